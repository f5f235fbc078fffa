import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Json, JsonObject } from "../../ts/ovsdb/index.js";
import { LogFileError, Store, vswitchSchema } from "../../ts/ovsdb/index.js";
import { printSorted } from "../../ts/ovsdb/json.js";
import { parseLog } from "../../ts/ovsdb/log-file.js";
import { snapshotRecord } from "../../ts/ovsdb/log-record.js";
import { allTypesSchema, connectTo, missingOracle, startReal, temporaryDirectory, tool } from "./oracle.js";
import { randomSource, TransactionSource } from "./random-transaction.js";

const missing = missingOracle();
const schema = allTypesSchema();

function inDirectory(run: (directory: string) => void | Promise<void>): () => Promise<void> {
  return async () => {
    const directory = temporaryDirectory();
    try {
      await run(directory);
    } finally {
      fs.rmSync(directory, { recursive: true, force: true });
    }
  };
}

function contents(store: Store): string {
  return printSorted(snapshotRecord(store, 0, ""));
}

function transactSome(store: Store, count: number, seed: number): void {
  const source = new TransactionSource(randomSource(seed), schema);
  for (let i = 0; i < count; i++) {
    store.transact([store.name, ...source.transaction(), { op: "comment", comment: `number ${i}` }], { elapsedMs: 1 });
  }
}

test(
  "a file cut off at any byte after the schema loads, with every transaction that is whole in it",
  inDirectory((directory) => {
    const file = path.join(directory, "a.db");
    const small = {
      name: "S",
      tables: { T: { columns: { i: { type: "integer" }, s: { type: { key: "string", min: 0, max: "unlimited" } } } } },
    };
    const store = Store.open(file, small);
    const states = [contents(store)];
    const ends = [fs.statSync(file).size];
    for (let i = 0; i < 5; i++) {
      store.transact(["S", { op: "insert", table: "T", row: { i, s: ["set", ["x", `é${i}`]] } }]);
      store.transact(["S", { op: "mutate", table: "T", where: [], mutations: [["s", "insert", `y${i}`]] }]);
      states.push(contents(store));
      ends.push(fs.statSync(file).size);
    }
    store.close();
    const bytes = fs.readFileSync(file);
    const cut = path.join(directory, "cut.db");
    for (let n = ends[0] as number; n <= bytes.length; n++) {
      fs.writeFileSync(cut, bytes.subarray(0, n));
      const opened = Store.open(cut, small);
      const whole = ends.filter((end) => end <= n).length - 1;
      if (ends.includes(n)) {
        assert.is(contents(opened), states[whole], `at ${n}`);
      }
      assert.ok(opened.fileBytes <= n && opened.fileBytes >= (ends[whole] as number));
      const result = opened.transact(["S", { op: "insert", table: "T", row: { i: 99 } }]);
      assert.is(result.kind === "done" && printSorted(result.results).includes("uuid"), true);
      const after = contents(opened);
      opened.close();
      const again = Store.open(cut, small);
      assert.is(contents(again), after, "what is written after the damage was cut off is there");
      again.close();
    }
  }),
);

test(
  "a byte changed anywhere loses nothing before it",
  inDirectory((directory) => {
    const file = path.join(directory, "a.db");
    const store = Store.open(file, schema);
    transactSome(store, 30, 1);
    store.close();
    const bytes = fs.readFileSync(file);
    const whole = parseLog(bytes).records.length;
    for (let at = 0; at < bytes.length; at += 97) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] as number) ^ 0x11;
      const { records, goodBytes, damage } = parseLog(damaged);
      assert.ok(damage !== undefined && records.length < whole && goodBytes <= at);
    }
  }),
);

test(
  "ephemeral columns are gone after a restart, and all else is there",
  inDirectory((directory) => {
    const file = path.join(directory, "conf.db");
    const store = Store.open(file, vswitchSchema);
    const insert = (table: string, row: JsonObject, name: string): Json => ({
      op: "insert",
      table,
      row,
      "uuid-name": name,
    });
    store.transact([
      "Open_vSwitch",
      insert("Interface", { name: "p", mtu: 1500, ofport: 3, statistics: ["map", [["rx", 9007199254740993n]]] }, "i"),
      insert("Port", { name: "p", interfaces: ["named-uuid", "i"] }, "p"),
      insert("Bridge", { name: "b", ports: ["named-uuid", "p"], datapath_id: "0" }, "b"),
      insert("Open_vSwitch", { bridges: ["named-uuid", "b"], next_cfg: 1 }, "o"),
    ]);
    const size = store.fileBytes;
    store.transact(["Open_vSwitch", { op: "update", table: "Interface", where: [], row: { mtu: 9000 } }]);
    assert.is(store.fileBytes, size, "a change of ephemeral columns alone is not written");
    store.close();
    const again = Store.open(file, vswitchSchema);
    const result = again.transact([
      "Open_vSwitch",
      { op: "select", table: "Interface", where: [], columns: ["name", "mtu", "ofport", "statistics"] },
      { op: "select", table: "Bridge", where: [], columns: ["name", "datapath_id"] },
    ]);
    assert.equal(result.kind === "done" && result.results, [
      { rows: [{ name: "p", mtu: ["set", []], ofport: 3, statistics: ["map", []] }] },
      { rows: [{ name: "b", datapath_id: ["set", []] }] },
    ]);
    again.close();
  }),
);

test(
  "compaction keeps the contents and shrinks the file",
  inDirectory((directory) => {
    const file = path.join(directory, "a.db");
    const store = Store.open(file, schema);
    transactSome(store, 400, 2);
    const [before, size] = [contents(store), store.fileBytes];
    store.compact();
    assert.ok(store.fileBytes < size);
    transactSome(store, 20, 3);
    const after = contents(store);
    store.close();
    const again = Store.open(file, schema);
    assert.is(contents(again), after);
    assert.is.not(before, after);
    again.close();
  }),
);

test(
  "a file that has grown is compacted, but not within ten minutes of the last time",
  inDirectory((directory) => {
    let now = 0;
    const clock = { now: () => now, wall: () => now, after: () => () => undefined };
    const store = Store.open(
      path.join(directory, "a.db"),
      { name: "S", tables: { T: { columns: { s: { type: "string" } } } } },
      { clock },
    );
    const row = { s: "x".repeat(200_000) };
    store.transact(["S", { op: "insert", table: "T", row }]);
    const write = (n: number): void => {
      for (let i = 0; i < n; i++) {
        store.transact(["S", { op: "update", table: "T", where: [], row: { s: `${row.s}${Math.trunc(now)}-${i}` } }]);
      }
    };
    write(120);
    assert.ok(store.fileBytes > 20_000_000);
    now = 11 * 60 * 1000;
    write(1);
    assert.ok(store.fileBytes < 1_000_000);
    store.close();
  }),
);

test(
  "a file with an older schema is converted, and a copy is kept",
  inDirectory((directory) => {
    const file = path.join(directory, "a.db");
    const old = {
      name: "S",
      version: "1.0.0",
      cksum: "7 7",
      tables: { T: { columns: { a: { type: "string" }, gone: { type: "integer" } } } },
    };
    const store = Store.open(file, old);
    store.transact(["S", { op: "insert", table: "T", row: { a: "x", gone: 1 } }]);
    store.close();
    const tables = { T: { columns: { a: { type: "string" }, fresh: { type: { key: "integer", min: 0, max: 1 } } } } };
    const converted = Store.open(file, { name: "S", version: "1.1.0", tables });
    const result = converted.transact(["S", { op: "select", table: "T", where: [], columns: ["a", "fresh"] }]);
    assert.equal(result.kind === "done" && result.results, [{ rows: [{ a: "x", fresh: ["set", []] }] }]);
    converted.close();
    assert.ok(fs.existsSync(`${file}.backup1.0.0-7`));
    const older = Store.open(file, old);
    assert.is(older.schema.version, "1.1.0", "a newer file is served as it is");
    older.close();
  }),
);

test(
  "a file in use, one that is no database and a clustered one are refused with the remedy",
  inDirectory((directory) => {
    const held = new Set<string>();
    const lockFile = (file: string): (() => void) => {
      if (held.has(file)) {
        throw new Error("held by process 1");
      }
      held.add(file);
      return () => held.delete(file);
    };
    const file = path.join(directory, "conf.db");
    const code = (run: () => unknown): string => {
      try {
        run();
        return "none";
      } catch (error) {
        return error instanceof LogFileError ? error.code : String(error);
      }
    };
    const store = Store.open(file, schema, { lockFile });
    assert.equal([...held], [path.join(directory, ".conf.db.~lock~")]);
    assert.is(
      code(() => Store.open(file, schema, { lockFile })),
      "locked",
    );
    store.close();
    assert.is(held.size, 0);
    fs.writeFileSync(file, "hello\n");
    assert.is(
      code(() => Store.open(file, schema, { lockFile })),
      "not-a-database",
    );
    assert.is(held.size, 0);
    fs.writeFileSync(file, `OVSDB CLUSTER 3 ${"0".repeat(40)}\n{}\n`);
    assert.is(
      code(() => Store.open(file, schema)),
      "clustered",
    );
    assert.is(fs.readFileSync(file, "utf8").length, 60, "a file that is refused is left alone");
  }),
);

test(
  "ovsdb-tool and ovsdb-server read our file, and we read theirs",
  inDirectory(async (directory) => {
    if (missing !== undefined) {
      console.log(`skipped: ${missing}`);
      return;
    }
    const file = path.join(directory, "real.db");
    const store = Store.open(file, schema);
    transactSome(store, 300, 4);
    const ours = contents(store);
    store.close();
    const log = tool("ovsdb-tool", "show-log", file);
    assert.is(log.status, 0, log.out);
    assert.match(log.out, /record 1: .* "number/);
    assert.is(tool("ovsdb-tool", "db-version", file).out.trim(), "1.0.0");
    const real = await startReal(directory, schema, file);
    const client = await connectTo(real.socket);
    const source = new TransactionSource(randomSource(5), schema);
    const select = (table: string): Json => ({ op: "select", table, where: [], columns: source.columns(table) });
    const theirs = await client.transact("All", select("T"), select("C"));
    await client.transact(
      "All",
      { op: "insert", table: "L", row: { v: 77 } },
      { op: "update", table: "T", where: [], row: { m: ["map", [["k", "v"]]] } },
    );
    await client.transact("All", {
      op: "mutate",
      table: "T",
      where: [],
      mutations: [
        ["m", "insert", ["map", [["k2", "v2"]]]],
        ["m", "delete", "k"],
      ],
    });
    client.channel.close();
    await real.stop();
    const again = Store.open(file, schema);
    const rows = again.transact([
      "All",
      select("T"),
      { op: "select", table: "L", where: [["v", "==", 77]], columns: ["v"] },
    ]);
    assert.match(printSorted(rows.kind === "done" ? rows.results : []), /"m":\["map",\[\["k2","v2"\]\]\]/);
    assert.is(ours.includes("20000000"), printSorted(theirs).includes("20000000"));
    const end = contents(again);
    again.close();
    assert.is(tool("ovsdb-tool", "compact", file).status, 0);
    const compacted = Store.open(file, schema);
    assert.is(contents(compacted), end, "the same after ovsdb-tool compact");
    compacted.close();
  }),
);

test.run();
