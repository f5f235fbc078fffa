/** What a change of the database costs, counted in work and not in time: as much as the change, however many ports there
 *  are beside it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Bridges } from "../../ts/bridge/index.js";
import { systemClock } from "../../ts/clock/index.js";
import { Datapath } from "../../ts/datapath/index.js";
import { Netdevs } from "../../ts/netdev/index.js";
import type { Idl, VswitchTables } from "../../ts/ovsdb/index.js";
import { openIdl, Server, Store, vswitchSchema } from "../../ts/ovsdb/index.js";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Work {
  /** Batches that the datapath was given. */
  batches: number;
  /** Devices that were opened. */
  opened: number;
  /** Questions that the datapath was asked. */
  queries: number;
  /** Rows whose columns were worked out. */
  rows: number;
  /** Columns that were written to the database. */
  written: number;
}

interface Rig {
  readonly idl: Idl<VswitchTables>;
  /** Another client of the database: what the switch writes itself is no news to it. */
  readonly writer: Idl<VswitchTables>;
  readonly work: Work;
  /** Configures, and gives the work that it was. */
  run(): Promise<Work>;
  addPorts(first: number, count: number): Promise<void>;
  close(): Promise<void>;
}

const silent = () => {
  const log = { emer() {}, err() {}, warn() {}, info() {}, dbg() {}, isOn: () => false, limited: () => log };
  return log;
};

async function makeRig(): Promise<Rig> {
  const directory = mkdtempSync(join(tmpdir(), "sluice-work-"));
  const server = new Server();
  server.add(Store.memory(vswitchSchema));
  const idl = openIdl<VswitchTables>({ schema: vswitchSchema, remote: server, lock: "ovs_vswitchd" });
  await idl.ready();
  const writer = openIdl<VswitchTables>({ schema: vswitchSchema, remote: server });
  await writer.ready();
  const inner = new Datapath({ workers: 1 });
  const work: Work = { batches: 0, opened: 0, queries: 0, rows: 0, written: 0 };
  // A proxy would not do: the methods have private fields.
  const submit = inner.submit.bind(inner);
  inner.submit = (batch, results) => {
    work.batches++;
    return submit(batch, results);
  };
  const query = inner.query.bind(inner);
  inner.query = (question, reply) => {
    work.queries++;
    return query(question, reply);
  };
  const transaction = idl.transaction.bind(idl);
  idl.transaction = () => {
    const txn = transaction();
    const set = txn.set.bind(txn);
    txn.set = ((table: "Bridge", row: string, columns: object) => {
      work.rows++;
      const before = idl.table(table).get(row) as unknown as Record<string, unknown> | undefined;
      for (const [name, value] of Object.entries(columns)) if (text(before?.[name]) !== text(value)) work.written++;
      set(table, row, columns);
    }) as typeof txn.set;
    return txn;
  };
  const bridges = new Bridges({
    idl,
    datapath: inner,
    policy: { dummy: "plain", system: false },
    runDirectory: directory,
    clock: systemClock(),
    log: silent as never,
    coverage: { count() {} } as never,
    random: () => 0.5,
    systemRoutes: false,
    wake: () => {},
  });
  const open = bridges.netdevs.open.bind(bridges.netdevs);
  bridges.netdevs.open = (...args) => {
    work.opened++;
    return open(...args);
  };
  const rig: Rig = {
    idl,
    writer,
    work,
    run: async () => {
      // What the other client wrote arrives in a turn of its own.
      await sleep(20);
      Object.assign(work, { batches: 0, opened: 0, queries: 0, rows: 0, written: 0 });
      await bridges.run();
      return { ...work };
    },
    addPorts: async (first, count) => {
      const bridge = idl.table("Bridge").first();
      const txn = writer.transaction();
      const ports = Array.from({ length: count }, (_, index) => {
        const name = `p${first + index}`;
        return txn.insert("Port", { name, interfaces: [txn.insert("Interface", { name, type: "dummy" })] });
      });
      if (bridge === undefined) {
        const added = txn.insert("Bridge", { name: "br0", datapath_type: "dummy", ports });
        txn.insert("Open_vSwitch", { bridges: [added] });
      } else txn.mutate("Bridge", bridge.uuid, "ports", "insert", ports);
      assert.is((await txn.commit()).status, "success");
    },
    close: async () => {
      bridges.close();
      inner.dispose();
      await writer.close();
      await idl.close();
      server.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
  return rig;
}

const text = (value: unknown): string =>
  JSON.stringify(value instanceof Map ? [...value].sort() : value, (_, one) =>
    typeof one === "bigint" ? `${one}` : one,
  );

/** The work of one port that comes, of a column that no one uses, and of one that a port's VLANs come from, beside
 *  `beside` ports. */
async function costs(beside: number): Promise<readonly Work[]> {
  const rig = await makeRig();
  try {
    await rig.addPorts(1, beside);
    await rig.run();
    // What was written comes back, and is looked at once more.
    await rig.addPorts(beside + 1, 1);
    await rig.run();
    await rig.addPorts(beside + 2, 1);
    const come = await rig.run();
    const row = [...rig.idl.table("Port")].find((one) => one.name === "p1");
    assert.ok(row !== undefined);
    const set = async (columns: object): Promise<Work> => {
      const txn = rig.writer.transaction();
      txn.set("Port", row.uuid, columns);
      assert.is((await txn.commit()).status, "success");
      return rig.run();
    };
    return [come, await set({ external_ids: new Map([["a", "b"]]) }), await set({ tag: 7 })];
  } finally {
    await rig.close();
  }
}

test("the work of a change is that of what changed", async () => {
  const [few, many] = [await costs(5), await costs(150)];
  assert.equal(many, few);
  const [come, unused, tagged] = many as readonly [Work, Work, Work];
  assert.is(come.opened, 1);
  assert.is(unused.opened + tagged.opened, 0);
  assert.ok(come.batches <= 10, `${come.batches} batches for a port`);
  assert.ok(unused.batches <= 1, `${unused.batches} batches for what the datapath has no use for`);
  assert.ok(tagged.batches <= 2, `${tagged.batches} batches for a tag`);
});

/** The batches of that many ports that come in one transaction. */
async function batchesOf(count: number): Promise<number> {
  const rig = await makeRig();
  try {
    await rig.addPorts(1, count);
    return (await rig.run()).batches;
  } finally {
    await rig.close();
  }
}

test("ports that come together are given to the datapath together", async () => {
  assert.is(await batchesOf(150), await batchesOf(5));
});

test("of devices that are opened together one that fails leaves the others, with the numbers that they would have had", () => {
  const inner = new Datapath({ workers: 1 });
  try {
    const netdevs = new Netdevs({
      datapath: inner,
      policy: { dummy: "plain", system: true },
      log: silent() as never,
      random: () => 0.5,
      now: () => 0,
    });
    const wished = ["a", "b", "c"].map((name) => ({
      name,
      type: name === "b" ? "system" : "dummy",
      datapathType: "netdev",
      options: new Map<string, string>(),
    }));
    const opened: (readonly [string, number])[] = [];
    netdevs.openMany(wished, () => {
      for (const { name, type, datapathType, options } of wished) {
        try {
          opened.push([name, netdevs.open(name, type, datapathType, options).dpPort]);
        } catch (error) {
          assert.match(String(error), /could not open network device b/);
        }
      }
    });
    assert.equal(opened, [
      ["a", 1],
      ["c", 2],
    ]);
    // Those that nobody opens are not left behind.
    const more = ["x", "y", "z"].map((name) => ({ name, type: "dummy", datapathType: "netdev", options: new Map() }));
    netdevs.openMany(more, () => {
      netdevs.open("y", "dummy", "netdev", new Map());
    });
    assert.is(netdevs.open("x", "dummy", "netdev", new Map()).dpPort, 3);
  } finally {
    inner.dispose();
  }
});

test.run();
