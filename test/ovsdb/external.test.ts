import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Idl, Remote, TlsKeys, VswitchTables } from "../../ts/ovsdb/index.js";
import { listen, openIdl, Server, Store, vswitchSchema } from "../../ts/ovsdb/index.js";
import { connectTo, eventually, missingOracle, startReal, temporaryDirectory, tool } from "./oracle.js";

const missing = missingOracle();
const timing = { backoffMsMin: 20, backoffMsMax: 100 };

function external(name: string, run: (directory: string) => Promise<void>): void {
  test(name, async () => {
    if (missing !== undefined) {
      console.log(`skipped: ${missing}`);
      return;
    }
    const directory = temporaryDirectory();
    try {
      await run(directory);
    } finally {
      fs.rmSync(directory, { recursive: true, force: true });
    }
  });
}

external(
  "a client of the real ovsdb-server takes the lock, writes, and survives a restart of the server",
  async (directory) => {
    let real = await startReal(directory, vswitchSchema);
    const idl = openIdl<VswitchTables>({
      schema: vswitchSchema,
      remote: `unix:${real.socket}`,
      lock: "ovs_vswitchd",
      timing,
    });
    await idl.ready();
    assert.ok(idl.hasLock);
    assert.is(idl.state, "ACTIVE");
    const txn = idl.transaction();
    const iface = txn.insert("Interface", { name: "p1", type: "internal" });
    const port = txn.insert("Port", { name: "p1", interfaces: [iface], trunks: [1, 2] });
    const bridge = txn.insert("Bridge", { name: "br0", ports: [port] });
    const root = txn.insert("Open_vSwitch", { bridges: [bridge], external_ids: new Map([["a", "b"]]) });
    txn.increment("Open_vSwitch", root, "next_cfg");
    txn.comment("test");
    const outcome = await txn.commit({ durable: true });
    assert.is(outcome.status, "success");
    assert.equal(outcome.status === "success" && outcome.increments, [1]);
    const before = idl.table("Port").first();
    assert.equal(before?.trunks, [1, 2]);

    await real.stop();
    await eventually(() => !idl.connected);
    const lost = idl.transaction();
    lost.set("Open_vSwitch", idl.table("Open_vSwitch").first()?.uuid as string, { cur_cfg: 1 });
    assert.equal(await lost.commit(), { status: "try_again" });
    assert.is(idl.table("Port").size, 1, "the contents stay while there is no connection");
    real = await startReal(directory, vswitchSchema);
    await eventually(() => idl.connected && idl.hasLock);
    assert.is(idl.table("Port").first(), before, "what is the same keeps its identity");

    assert.is(tool("ovs-vsctl", `--db=unix:${real.socket}`, "--no-wait", "set", "port", "p1", "tag=7").status, 0);
    await eventually(() => idl.table("Port").first()?.tag === 7);
    await idl.close();
    await real.stop();
  },
);

external("the real tools drive our server", async (directory) => {
  const file = path.join(directory, "conf.db");
  const server = new Server();
  const store = Store.open(file, vswitchSchema);
  server.add(store);
  const socket = path.join(directory, "db.sock");
  const remote = await listen(server, `punix:${socket}`);
  // The tools run while this process waits for them, so the server needs a process of its own.
  await remote.close();
  server.close();
  const index = new URL("../../ts/ovsdb/index.js", import.meta.url).href;
  const script = `import { Server, Store, listen, vswitchSchema } from ${JSON.stringify(index)};
    const server = new Server();
    server.add(Store.open(${JSON.stringify(file)}, vswitchSchema));
    await listen(server, ${JSON.stringify(`punix:${socket}`)});
    process.on("SIGTERM", () => { server.close(); process.exit(0); });`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "inherit" });
  try {
    await eventually(() => fs.existsSync(socket), 10_000);
    driveServer(`unix:${socket}`, directory);
  } finally {
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("exit", resolve));
  }
  const again = Store.open(file, vswitchSchema);
  assert.is(again.tables.get("Open_vSwitch")?.rows.size, 1, "what was acknowledged is there after kill -9");
  assert.is(again.tables.get("Port")?.rows.size, 0);
  again.close();
});

function driveServer(db: string, directory: string): void {
  const vsctl = (...args: readonly string[]): string => {
    const run = tool("ovs-vsctl", `--db=${db}`, "--no-wait", ...args);
    assert.is(run.status, 0, `${args.join(" ")}: ${run.out}`);
    return run.out.trim();
  };
  const client = (...args: readonly string[]): string => {
    const run = tool("ovsdb-client", ...args);
    assert.is(run.status, 0, `${args.join(" ")}: ${run.out}`);
    return run.out.trim();
  };
  vsctl("init");
  vsctl(
    "add-br",
    "br0",
    "--",
    "set",
    "bridge",
    "br0",
    "protocols=OpenFlow10,OpenFlow13",
    "other_config:hwaddr=aa:55:aa:55:00:01",
  );
  vsctl("add-port", "br0", "p1", "tag=5", "--", "set", "interface", "p1", "type=internal", "ofport_request=3");
  vsctl("--may-exist", "add-port", "br0", "p1");
  vsctl("set-controller", "br0", "tcp:127.0.0.1:6653");
  vsctl("set-fail-mode", "br0", "secure");
  assert.is(vsctl("list-ports", "br0"), "p1");
  assert.is(vsctl("get", "port", "p1", "tag"), "5");
  assert.is(vsctl("get", "bridge", "br0", "protocols"), "[OpenFlow10, OpenFlow13]");
  assert.match(vsctl("show"), /Controller "tcp:127\.0\.0\.1:6653"[\s\S]*fail_mode: secure[\s\S]*tag: 5/);
  const wrong = tool("ovs-vsctl", `--db=${db}`, "--no-wait", "set", "interface", "p1", "ofport_request=65280");
  assert.is(
    wrong.out.trim(),
    "ovs-vsctl: constraint violation: 65280 is not in the valid range 1 to 65279 (inclusive)",
  );
  assert.is(client("list-dbs", db), "Open_vSwitch\n_Server");
  assert.is(client("get-schema-version", db), "8.3.1");
  assert.is(client("needs-conversion", db, "/usr/share/openvswitch/vswitch.ovsschema"), "no");
  assert.match(client("list-tables", db), /Flow_Sample_Collector_Set/);
  assert.match(client("list-columns", db, "Bridge"), /fail_mode/);
  assert.match(client("dump", db, "Port", "name"), /p1/);
  client("wait", db, "Open_vSwitch", "connected");
  assert.match(
    client(
      "transact",
      db,
      '["Open_vSwitch",{"op":"select","table":"Port","where":[["name","==","p1"]],"columns":["tag"]}]',
    ),
    /\[\{"rows":\[\{"tag":5\}\]\}\]/,
  );
  const snapshot = path.join(directory, "backup.db");
  fs.writeFileSync(snapshot, `${client("backup", db)}\n`);
  assert.match(
    tool(
      "ovsdb-tool",
      "query",
      snapshot,
      '["Open_vSwitch",{"op":"select","table":"Port","where":[],"columns":["name"]}]',
    ).out,
    /p1/,
  );
  client("convert", db, "/usr/share/openvswitch/vswitch.ovsschema");
  vsctl("del-port", "p1");
  vsctl("del-br", "br0");
  assert.is(vsctl("list-br"), "");
}

/** A CA, and a certificate that it signed, made by openssl. */
function makeKeys(directory: string): TlsKeys | undefined {
  const at = (name: string): string => path.join(directory, name);
  const openssl = (...args: readonly string[]): boolean => spawnSync("openssl", args, { stdio: "ignore" }).status === 0;
  const made =
    openssl(
      "req",
      "-x509",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-keyout",
      at("ca.key"),
      "-out",
      at("ca.pem"),
      "-subj",
      "/CN=ca",
      "-days",
      "2",
    ) &&
    openssl(
      "req",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-keyout",
      at("key.pem"),
      "-out",
      at("req.pem"),
      "-subj",
      "/CN=switch",
    ) &&
    openssl(
      "x509",
      "-req",
      "-in",
      at("req.pem"),
      "-CA",
      at("ca.pem"),
      "-CAkey",
      at("ca.key"),
      "-CAcreateserial",
      "-out",
      at("cert.pem"),
      "-days",
      "2",
    );
  return made
    ? { key: fs.readFileSync(at("key.pem")), cert: fs.readFileSync(at("cert.pem")), ca: fs.readFileSync(at("ca.pem")) }
    : undefined;
}

test("a client over TLS with the right certificate is served, one over plain TCP is not", async () => {
  const directory = temporaryDirectory();
  const tls = makeKeys(directory);
  if (tls === undefined) {
    console.log("skipped: openssl is not installed");
    fs.rmSync(directory, { recursive: true });
    return;
  }
  const server = new Server();
  server.add(Store.memory(vswitchSchema));
  const remote: Remote = await listen(server, "pssl:0:127.0.0.1", { tls });
  const port = remote.status().boundPort as number;
  const idl: Idl<VswitchTables> = openIdl({ schema: vswitchSchema, remote: `ssl:127.0.0.1:${port}`, tls, timing });
  await idl.ready();
  const txn = idl.transaction();
  txn.insert("Open_vSwitch", {});
  assert.is((await txn.commit()).status, "success");
  const plain: Idl<VswitchTables> = openIdl({ schema: vswitchSchema, remote: `tcp:127.0.0.1:${port}`, timing });
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.not(plain.connected);
  await plain.close();
  await idl.close();
  await remote.close();
  server.close();
  fs.rmSync(directory, { recursive: true });
});

test("of several servers, one that is not there is passed over at once", async () => {
  const directory = temporaryDirectory();
  const server = new Server();
  server.add(Store.memory(vswitchSchema));
  const socket = path.join(directory, "db.sock");
  const remote = await listen(server, `punix:${socket}`);
  const idl = openIdl<VswitchTables>({
    schema: vswitchSchema,
    remote: `unix:${directory}/none.sock,unix:${socket}`,
    timing: { backoffMsMin: 60_000 },
  });
  await idl.ready();
  const client = await connectTo(socket);
  client.channel.close();
  await idl.close();
  await remote.close();
  server.close();
  fs.rmSync(directory, { recursive: true });
});

test.run();
