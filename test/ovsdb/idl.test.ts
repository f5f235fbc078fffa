import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Idl, IdlChange, VswitchTables } from "../../ts/ovsdb/index.js";
import { openIdl, Server, Store, vswitchSchema } from "../../ts/ovsdb/index.js";

function embedded(): { readonly server: Server; readonly store: Store } {
  const server = new Server();
  const store = Store.memory(vswitchSchema);
  server.add(store);
  return { server, store };
}

async function opened(server: Server, lock?: string): Promise<Idl<VswitchTables>> {
  const idl = openIdl<VswitchTables>({
    schema: vswitchSchema,
    remote: server,
    ...(lock === undefined ? {} : { lock }),
  });
  await idl.ready();
  return idl;
}

async function withRoot(idl: Idl<VswitchTables>): Promise<string> {
  const txn = idl.transaction();
  const uuid = txn.insert("Open_vSwitch", { external_ids: new Map([["system-id", "x"]]) });
  const outcome = await txn.commit();
  assert.is(outcome.status, "success");
  return outcome.status === "success" ? (outcome.uuids.get(uuid) as string) : "";
}

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

test("a transaction's rows are in the replica when commit resolves, under the ids of the outcome", async () => {
  const { server } = embedded();
  const idl = await opened(server);
  const root = await withRoot(idl);
  const txn = idl.transaction();
  const iface = txn.insert("Interface", { name: "p1", ofport_request: 7 });
  const port = txn.insert("Port", { name: "p1", interfaces: [iface], trunks: [3, 1, 2, 3] });
  const bridge = txn.insert("Bridge", { name: "br0", ports: [port] });
  txn.mutate("Open_vSwitch", root, "bridges", "insert", [bridge]);
  txn.increment("Open_vSwitch", root, "next_cfg");
  const outcome = await txn.commit();
  assert.is(outcome.status, "success");
  if (outcome.status === "success") {
    assert.equal(outcome.increments, [1]);
    const row = idl.table("Port").get(outcome.uuids.get(port) as string);
    assert.equal(row?.trunks, [1, 2, 3]);
    assert.equal(row?.interfaces, [outcome.uuids.get(iface)]);
    assert.is(idl.table("Interface").first()?.ofport_request, 7);
    assert.is(idl.table("Interface").first()?.ofport, undefined);
    assert.equal(idl.table("Open_vSwitch").first()?.bridges, [outcome.uuids.get(bridge)]);
  }
  await idl.close();
  server.close();
});

test("writing what is there already sends nothing", async () => {
  const { server } = embedded();
  const idl = await opened(server);
  const root = await withRoot(idl);
  const txn = idl.transaction();
  txn.set("Open_vSwitch", root, { external_ids: new Map([["system-id", "x"]]), next_cfg: 0 });
  assert.equal(await txn.commit(), { status: "unchanged" });
  await idl.close();
  server.close();
});

test("own changes are not outside changes, and those of others are", async () => {
  const { server, store } = embedded();
  const idl = await opened(server);
  const root = await withRoot(idl);
  const changes: IdlChange<VswitchTables>[] = [];
  idl.onChange((change) => changes.push(change));
  const txn = idl.transaction();
  const iface = txn.insert("Interface", { name: "p" });
  txn.mutate("Open_vSwitch", root, "bridges", "insert", [
    txn.insert("Bridge", { name: "b", ports: [txn.insert("Port", { name: "p", interfaces: [iface] })] }),
  ]);
  await txn.commit();
  assert.equal(
    changes.map((change) => change.outside),
    [false],
  );
  const own = idl.transaction();
  own.set("Interface", idl.table("Interface").first()?.uuid as string, { ofport: 3, statistics: new Map([["rx", 1]]) });
  await own.commit();
  assert.equal(
    changes.map((change) => change.outside),
    [false, false],
  );
  store.transact(["Open_vSwitch", { op: "update", table: "Port", where: [], row: { trunks: ["set", [1, 2]] } }]);
  await settle();
  assert.equal(
    changes.map((change) => change.outside),
    [false, false, true],
  );
  assert.equal([...(changes[2]?.rows[0]?.columns ?? [])], ["trunks"]);
  const removal = idl.transaction();
  removal.set("Open_vSwitch", root, { bridges: [] });
  await removal.commit();
  assert.is(changes[3]?.outside, false, "rows collected because of an own change are own");
  assert.is(changes[3]?.rows.length, 4);
  await idl.close();
  server.close();
});

test("seqno moves once for each update", async () => {
  const { server, store } = embedded();
  const idl = await opened(server);
  await withRoot(idl);
  const before = idl.seqno;
  const row = (n: number) => ({ op: "update", table: "Open_vSwitch", where: [], row: { next_cfg: n, cur_cfg: n } });
  store.transact(["Open_vSwitch", row(1)]);
  store.transact(["Open_vSwitch", row(1)]);
  store.transact(["Open_vSwitch", row(2)]);
  await settle();
  assert.is(idl.seqno, before + 2);
  await idl.close();
  server.close();
});

test("a verified column that changed makes the transaction try again", async () => {
  const { server, store } = embedded();
  const idl = await opened(server);
  const root = await withRoot(idl);
  const txn = idl.transaction();
  txn.verify("Open_vSwitch", root, "next_cfg");
  txn.set("Open_vSwitch", root, { cur_cfg: 5 });
  store.transact(["Open_vSwitch", { op: "update", table: "Open_vSwitch", where: [], row: { next_cfg: 9 } }]);
  assert.equal(await txn.commit(), { status: "try_again" });
  await idl.close();
  server.close();
});

test("the second to ask for a lock waits, cannot write, and gets it when the first is gone", async () => {
  const { server } = embedded();
  const first = await opened(server, "ovs_vswitchd");
  const second = await opened(server, "ovs_vswitchd");
  assert.ok(first.hasLock);
  assert.not(second.hasLock);
  assert.ok(second.lockContended);
  const txn = second.transaction();
  txn.insert("Open_vSwitch", {});
  assert.equal(await txn.commit(), { status: "not_locked" });
  const got = new Promise<void>((resolve) => second.onChange((change) => change.reason === "lock" && resolve()));
  await first.close();
  await got;
  assert.ok(second.hasLock);
  await second.close();
  server.close();
});

test("a row that did not change keeps its identity", async () => {
  const { server, store } = embedded();
  const idl = await opened(server);
  await withRoot(idl);
  store.transact(["Open_vSwitch", { op: "insert", table: "QoS", row: { type: "linux-htb" } }]);
  await settle();
  const root = idl.table("Open_vSwitch").first();
  const qos = idl.table("QoS").first();
  store.transact(["Open_vSwitch", { op: "update", table: "QoS", where: [], row: { type: "linux-hfsc" } }]);
  await settle();
  assert.is(idl.table("Open_vSwitch").first(), root);
  assert.is.not(idl.table("QoS").first(), qos);
  await idl.close();
  server.close();
});

test("an aborted or dry transaction changes nothing", async () => {
  const { server } = embedded();
  const idl = await opened(server);
  const root = await withRoot(idl);
  const txn = idl.transaction();
  txn.set("Open_vSwitch", root, { cur_cfg: 5 });
  assert.is((await txn.commit({ dryRun: true })).status, "success");
  const aborted = idl.transaction();
  aborted.set("Open_vSwitch", root, { cur_cfg: 5 });
  aborted.abort();
  assert.is((await aborted.commit()).status, "aborted");
  assert.is(idl.table("Open_vSwitch").first()?.cur_cfg, 0);
  await idl.close();
  server.close();
});

test("a constraint that is violated is an outcome with the server's words", async () => {
  const { server } = embedded();
  const idl = await opened(server);
  const txn = idl.transaction();
  txn.insert("Interface", { name: "p", ofport_request: 65280 });
  assert.equal(await txn.commit(), {
    status: "error",
    error: "constraint violation",
    details: "65280 is not in the valid range 1 to 65279 (inclusive)",
  });
  await idl.close();
  server.close();
});

test("a change of the schema is survived by connecting again", async () => {
  const { server, store } = embedded();
  const idl = openIdl<VswitchTables>({ schema: vswitchSchema, remote: server, timing: { backoffMsMin: 1 } });
  await idl.ready();
  await withRoot(idl);
  const client = openIdl<VswitchTables>({ schema: vswitchSchema, remote: server, timing: { backoffMsMin: 1 } });
  await client.ready();
  server.convert(store, store.schema);
  const again = new Promise<void>((resolve) => idl.onChange((change) => change.reason === "snapshot" && resolve()));
  await again;
  assert.is(idl.table("Open_vSwitch").size, 1);
  await idl.close();
  await client.close();
  server.close();
});

test("1,000 ports in one transaction arrive whole, and tell of themselves once", async () => {
  const { server } = embedded();
  const idl = await opened(server);
  const root = await withRoot(idl);
  const before = idl.seqno;
  const txn = idl.transaction();
  const ports = Array.from({ length: 1000 }, (_, i) =>
    txn.insert("Port", { name: `p${i}`, interfaces: [txn.insert("Interface", { name: `p${i}` })] }),
  );
  txn.mutate("Open_vSwitch", root, "bridges", "insert", [txn.insert("Bridge", { name: "br0", ports })]);
  assert.is((await txn.commit()).status, "success");
  assert.is(idl.table("Port").size, 1000);
  assert.is(idl.seqno - before, 1);
  await idl.close();
  server.close();
});

test.run();
