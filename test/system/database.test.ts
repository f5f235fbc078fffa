/** The embedded database as files and sockets: the real tools read what Sluice wrote and the other way round. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { missing, type Switch, sleep, startSluice, until } from "./switch.js";

const reason = missing({ tools: ["ovs-vsctl", "ovsdb-server", "ovsdb-tool", "ovsdb-client"] });
if (reason !== undefined) console.log(`skip: database: ${reason}`);
const maybe = reason === undefined ? test : test.skip;

const dummy = ["--", "set", "bridge", "br0", "datapath_type=dummy"];

/** Contents of the configuration tables, as ovsdb-client sees them. */
function contents(under: Pick<Switch, "ok">, directory: string): string {
  const columns = {
    Bridge: "name,datapath_type,other_config,external_ids",
    Port: "name,tag,trunks",
    Interface: "name,type,options",
    Controller: "target",
    Open_vSwitch: "external_ids,other_config",
  };
  return Object.entries(columns)
    .map(
      ([table, list]) =>
        `${table}\n${under
          .ok(
            "ovs-vsctl",
            `--db=unix:${join(directory, "db.sock")}`,
            "--no-wait",
            "--format=csv",
            `--columns=${list}`,
            "list",
            table,
          )
          .split("\n")
          .sort()
          .join("\n")}`,
    )
    .join("\n");
}

maybe("the real ovsdb-server opens the file that Sluice wrote, and the other way round", async () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-db-"));
  try {
    const first = await startSluice({ dummy: true, directory });
    first.ok(
      "ovs-vsctl",
      "add-br",
      "br0",
      ...dummy,
      "--",
      "add-port",
      "br0",
      "p1",
      "--",
      "set",
      "interface",
      "p1",
      "type=dummy",
      "--",
      "set",
      "port",
      "p1",
      "tag=7",
      "--",
      "set-controller",
      "br0",
      "tcp:127.0.0.1:1",
    );
    first.ok("ovs-vsctl", "set", "open", ".", "external-ids:hostname=somewhere");
    const before = contents(first, directory);
    await first.stop();
    const file = join(directory, "conf.db");
    assert.is(first.ok("ovsdb-tool", "db-version", file).trim(), "8.3.1");
    assert.match(first.ok("ovsdb-tool", "show-log", file), /record 0: "Open_vSwitch" schema/);
    const server = spawn("ovsdb-server", ["--remote=punix:db.sock", "-vconsole:off", "--unixctl=none", file], {
      env: first.env,
      stdio: "ignore",
    });
    try {
      await until("ovsdb-server serves the file", 10, () => first.run("ovs-vsctl", "--no-wait", "show").status === 0);
      assert.is(contents(first, directory), before);
      first.ok("ovs-vsctl", "--no-wait", "add-port", "br0", "p2", "--", "set", "interface", "p2", "type=dummy");
    } finally {
      server.kill("SIGKILL");
      await sleep(300);
    }
    first.ok("ovsdb-tool", "compact", file);
    const second = await startSluice({ dummy: true, directory });
    try {
      assert.equal(second.ok("ovs-vsctl", "list-ports", "br0").trim().split("\n").sort(), ["p1", "p2"]);
      assert.is(second.ok("ovs-vsctl", "get", "port", "p1", "tag").trim(), "7");
      assert.match(second.ok("ovs-vsctl", "get", "interface", "p2", "ofport"), /^\d+/);
    } finally {
      await second.stop();
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

maybe("kill -9 loses no transaction that was acknowledged", async () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-kill-"));
  try {
    let acknowledged = 0;
    for (let round = 0; round < 3; round++) {
      const under = await startSluice({ dummy: true, directory, args: ["--overwrite-pidfile"] });
      if (round > 0)
        assert.ok(
          Number(under.ok("ovs-vsctl", "get", "open", ".", "external-ids:n").trim().replaceAll('"', "")) >=
            acknowledged,
          "the last acknowledged value is there",
        );
      const end = Date.now() + 1500;
      setTimeout(() => {
        if (under.alive()) process.kill(under.pid, "SIGKILL");
      }, 1000).unref();
      while (Date.now() < end) {
        const next = acknowledged + 1;
        const child = spawn("ovs-vsctl", ["--no-wait", "-t", "2", "set", "open", ".", `external-ids:n=${next}`], {
          env: under.env,
          stdio: "ignore",
        });
        const status = await new Promise<number | null>((resolve) =>
          child.once("exit", (code) => {
            resolve(code);
          }),
        );
        if (status === 0) acknowledged = next;
        else break;
      }
      await until("the killed daemon is gone", 5, () => !under.alive());
    }
    assert.ok(acknowledged > 10, `only ${acknowledged} transactions`);
    console.log(`${acknowledged} transactions acknowledged over three kills`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

maybe("ovsdb-client's commands work against the running switch", async () => {
  const under = await startSluice({ dummy: true });
  try {
    const server = `unix:${join(under.directory, "db.sock")}`;
    assert.equal(
      under.ok("ovsdb-client", "list-dbs", server).trim().split("\n").sort(),
      ["Open_vSwitch", "_Server"].sort(),
    );
    assert.is(under.ok("ovsdb-client", "get-schema-version", server, "Open_vSwitch").trim(), "8.3.1");
    assert.ok(under.ok("ovsdb-client", "get-schema", server, "Open_vSwitch").includes('"Flow_Sample_Collector_Set"'));
    assert.match(under.ok("ovsdb-client", "dump", server, "Open_vSwitch", "Open_vSwitch"), /iface_types/);
    const reply = under.ok(
      "ovsdb-client",
      "transact",
      server,
      '["Open_vSwitch",{"op":"select","table":"Open_vSwitch","where":[],"columns":["cur_cfg"]},{"op":"nonsense"}]',
    );
    assert.match(reply, /"rows"/);
    const monitor = spawn("ovsdb-client", ["monitor", server, "Open_vSwitch", "Bridge", "name", "--format=csv"], {
      env: under.env,
      stdio: ["ignore", "pipe", "ignore"],
    });
    let seen = "";
    monitor.stdout.on("data", (data: Buffer) => {
      seen += data.toString();
    });
    await sleep(300);
    under.ok("ovs-vsctl", "add-br", "br0", ...dummy);
    await until("the monitor sees the new bridge", 5, () => seen.includes("br0"));
    monitor.kill("SIGKILL");
    const holder = spawn("ovsdb-client", ["lock", server, "mine"], {
      env: under.env,
      stdio: ["pipe", "pipe", "ignore"],
    });
    let locked = "";
    holder.stdout.on("data", (data: Buffer) => {
      locked += data.toString();
    });
    await until("the lock is granted", 5, () => /locked/.test(locked));
    holder.kill("SIGKILL");
  } finally {
    await under.stop();
  }
});

maybe("a switch on an external database survives the server's restart", async () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-ext-"));
  const file = join(directory, "conf.db");
  const start = (): ReturnType<typeof spawn> =>
    spawn("ovsdb-server", [`--remote=punix:${join(directory, "db.sock")}`, "-vconsole:off", "--unixctl=none", file], {
      stdio: "ignore",
    });
  spawnSync("ovsdb-tool", ["create", file, "/usr/share/openvswitch/vswitch.ovsschema"]);
  let server = start();
  await sleep(500);
  spawnSync("ovs-vsctl", [`--db=unix:${join(directory, "db.sock")}`, "--no-wait", "init"]);
  try {
    const under = await startSluice({ dummy: true, directory });
    try {
      under.ok("ovs-vsctl", "-t", "10", "add-br", "br0", ...dummy);
      server.kill("SIGKILL");
      await sleep(300);
      server = start();
      await until(
        "the switch is back",
        15,
        () =>
          under.run(
            "ovs-vsctl",
            "-t",
            "5",
            "--may-exist",
            "add-port",
            "br0",
            "p1",
            "--",
            "set",
            "interface",
            "p1",
            "type=dummy",
          ).status === 0,
      );
      assert.match(under.ok("ovs-vsctl", "-t", "10", "get", "interface", "p1", "ofport"), /^\d+/);
    } finally {
      await under.stop();
    }
  } finally {
    server.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  }
});

test.run();
