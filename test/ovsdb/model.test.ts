import { test } from "uvu";
import * as assert from "uvu/assert";
import { Server, Store } from "../../ts/ovsdb/index.js";
import type { JsonObject } from "../../ts/ovsdb/json.js";
import { printSorted } from "../../ts/ovsdb/json.js";
import { Replay, snapshotRecord, transactionRecord } from "../../ts/ovsdb/log-record.js";
import { Replica } from "../../ts/ovsdb/replica.js";
import { parseSchema } from "../../ts/ovsdb/schema.js";
import type { Database, Table } from "../../ts/ovsdb/table.js";
import { field, makeDatabase, rowKey } from "../../ts/ovsdb/table.js";
import { countingUuids } from "../../ts/ovsdb/uuid.js";
import { allTypesSchema, PlainClient } from "./oracle.js";
import { randomSource, TransactionSource } from "./random-transaction.js";

const schema = allTypesSchema();

/** Strong reference counts, found by looking at every row. */
function countReferences(database: Database, target: Table): Map<string, number> {
  const counts = new Map<string, number>();
  for (const table of database.tables.values()) {
    for (const row of table.rows.values()) {
      for (const column of table.schema.strong) {
        const datum = field(row, column);
        const uuids = [
          ...(column.type.key.refTable === target.schema.name ? datum.keys : []),
          ...(column.type.value?.refTable === target.schema.name ? (datum.values ?? []) : []),
        ];
        for (const uuid of uuids) {
          if (uuid !== row.uuid) {
            counts.set(String(uuid), (counts.get(String(uuid)) ?? 0) + 1);
          }
        }
      }
    }
  }
  return counts;
}

function checkConsistency(database: Database): void {
  for (const table of database.tables.values()) {
    const counts = countReferences(database, table);
    assert.equal(
      new Map([...table.strongRefs].sort()),
      new Map([...counts].sort()),
      `references to ${table.schema.name}`,
    );
    for (const uuid of counts.keys()) {
      assert.ok(table.rows.has(uuid), "a strong reference leads to a row");
    }
    if (!table.schema.isRoot) {
      for (const uuid of table.rows.keys()) {
        assert.ok(counts.has(uuid), "a row that is not of a root table is referred to");
      }
    }
    assert.ok(table.rows.size <= table.schema.maxRows);
    table.schema.indexes.forEach((columns, i) => {
      const keys = new Map([...table.rows.values()].map((row) => [rowKey(row, columns), row.uuid]));
      assert.is(keys.size, table.rows.size, "keys are unique");
      assert.equal(new Map([...(table.indexes[i] ?? [])].sort()), new Map([...keys].sort()));
    });
  }
}

function contents(database: Database): string {
  return printSorted(snapshotRecord(database, 0, ""));
}

test("10,000 random transactions keep the database consistent, and its file, its monitors and a replica the same as it", async () => {
  const seed = Number(process.env["SLUICE_SEED"] ?? 7);
  const total = 10_000;
  const source = new TransactionSource(randomSource(seed), schema);
  const store = Store.memory(schema, { uuids: countingUuids() });
  const server = new Server();
  server.add(store);
  const client = new PlainClient(server.connect());
  const columns = Object.fromEntries(
    [...store.tables.values()].map((table) => [
      table.schema.name,
      { columns: source.columns(table.schema.name).filter((name) => name !== "_uuid") },
    ]),
  );
  await client.request("monitor_cond", ["All", "two", columns]);
  await client.request("monitor", ["All", "one", columns]);
  const replicas = { update: new Replica(parseSchema(schema)), update2: new Replica(parseSchema(schema)) };
  const records: JsonObject[] = [];
  store.watch((effects) => {
    const record = transactionRecord(effects, 0, "");
    if (record !== undefined) {
      records.push(record);
    }
  });
  let succeeded = 0;
  for (let i = 0; i < total; i++) {
    const before = i % 10 === 0 ? contents(store) : undefined;
    const result = store.transact(["All", ...source.transaction()], { elapsedMs: 1 });
    const failed = result.kind === "done" && printSorted(result.results).includes('"error"');
    if (failed && before !== undefined) {
      assert.is(contents(store), before, `seed ${seed}, ${i}: a transaction that fails changes nothing`);
    }
    succeeded += failed ? 0 : 1;
    if (i % 100 === 99) {
      checkConsistency(store);
    }
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
  for (const { method, params } of client.notifications as unknown as {
    method: "update" | "update2";
    params: [string, JsonObject];
  }[]) {
    replicas[method].apply(params[1], method);
  }
  const replayed = makeDatabase(parseSchema(schema));
  const replay = new Replay(replayed);
  for (const record of records) {
    replay.apply(
      JSON.parse(JSON.stringify(record, (_, v: unknown) => (typeof v === "bigint" ? Number(v) : v))) as JsonObject,
    );
  }
  replay.finish(countingUuids());
  assert.is(contents(replayed), contents(store), "the records of the file make the same contents");
  for (const replica of Object.values(replicas)) {
    for (const [name, table] of store.tables) {
      const copy = replica.tables.get(name);
      assert.is(copy?.size, table.rows.size);
      for (const row of table.rows.values()) {
        for (const column of table.schema.columnList.slice(2)) {
          assert.equal(copy?.datum(row.uuid, column), field(row, column), `${name}.${column.name}`);
        }
      }
    }
  }
  console.log(`${total} random transactions, ${succeeded} of which succeeded (seed ${seed})`);
  server.close();
});

test.run();
