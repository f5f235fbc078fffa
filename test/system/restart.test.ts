/** A daemon that ends and another that begins: what controllers and people put into the bridges is there again. */
import { type ChildProcess, execFile, execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  addDummyBridge,
  freePort,
  missing,
  type Ran,
  type Switch,
  sleep,
  sluice,
  startOvs,
  startSluice,
  until,
} from "./switch.js";

const skip = missing({ tools: ["ovs-vsctl", "ovs-ofctl", "ovs-appctl"] });
if (skip !== undefined) console.log(`skip: restart: ${skip}`);
const maybe = skip === undefined ? test : test.skip;
const noOvs = missing({ tools: ["ovs-vswitchd", "ovsdb-server"] });
if (noOvs !== undefined) console.log(`skip: restart of Open vSwitch: ${noOvs}`);

/** Runs `sluice ctl` while this process goes on: what it stops may be a child of this process. */
function ctl(under: Pick<Switch, "env">, ...args: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(process.execPath, [sluice, "ctl", ...args], { env: under.env }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

const pidOf = (under: Switch): number => Number(readFileSync(join(under.directory, "ovs-vswitchd.pid"), "utf8"));

async function stopAll(under: Switch): Promise<void> {
  await ctl(under, "stop", "--quiet");
  await under.stop();
}

function fill(under: Switch): void {
  addDummyBridge(under, 2, { port: (number) => (number === 2 ? ["ofport_request=7"] : []) });
  under.ok("ovs-vsctl", "add-br", "br1", "--", "set", "bridge", "br1", "datapath_type=dummy", "protocols=OpenFlow10");
  under.ok("ovs-ofctl", "add-tlv-map", "br0", "{class=0xffff,type=1,len=4}->tun_metadata3");
  const of15 = (...args: string[]): string => under.ok("ovs-ofctl", "-O", "OpenFlow15", ...args);
  of15("add-meter", "br0", "meter=3 kbps burst stats bands=type=drop rate=100 burst_size=20");
  of15(
    "add-group",
    "br0",
    "group_id=5,type=select,selection_method=hash,fields(ip_src),bucket=weight:3,actions=output:7",
  );
  of15(
    "add-group",
    "br0",
    "group_id=6,type=ff,bucket=watch_port:1,actions=output:1,bucket=watch_group:5,actions=group:5",
  );
  of15(
    "add-flow",
    "br0",
    "table=3,cookie=0x99,priority=7,idle_timeout=600,importance=4,send_flow_rem,tun_metadata3=3,ip,nw_src=1.2.3.0/24,actions=meter:3,group:6,goto_table:9",
  );
  of15(
    "add-flow",
    "br0",
    "conj_id=4,actions=learn(table=4,hard_timeout=3,NXM_OF_VLAN_TCI[0..11],output:NXM_OF_IN_PORT[])",
  );
  under.ok("ovs-ofctl", "add-flow", "br1", "table=5,priority=3,icmp,actions=NORMAL");
}

/** Everything that a restart must not change. */
function contents(under: Switch): string {
  const of15 = (command: string, ...args: string[]): string =>
    under.ok("ovs-ofctl", "-O", "OpenFlow15", ...args, command, "br0");
  return [
    of15("dump-flows", "--no-stats"),
    of15("dump-groups"),
    of15("dump-meters"),
    under.ok("ovs-ofctl", "dump-tlv-map", "br0"),
    under.ok("ovs-ofctl", "--no-stats", "dump-flows", "br1"),
    under.ok("ovs-vsctl", "--columns=name,ofport", "list", "interface"),
    under.ok("ovs-vsctl", "--columns=name,datapath_id", "list", "bridge"),
  ]
    .join("\n")
    .replace(/xid=0x[0-9a-f]+/g, "xid")
    .split("\n")
    .sort()
    .join("\n");
}

maybe("a restart keeps flows, groups, meters, tunnel options, port numbers and datapath ids", async () => {
  const under = await startSluice({ dummy: true });
  try {
    fill(under);
    const before = contents(under);
    assert.match(before, /meter:3,group:6/);
    const first = pidOf(under);
    const ran = await ctl(under, "restart");
    assert.is(ran.status, 0, ran.stderr);
    assert.match(ran.stdout, /^Saving 4 flows, 2 groups, 1 meter, 1 tunnel option of 2 bridges to /m);
    assert.match(ran.stdout, /^Forwards again after \d+ ms/m);
    assert.is.not(pidOf(under), first);
    assert.is(contents(under), before);
    assert.is(under.ok("ovs-vsctl", "get", "open", ".", "other_config").trim(), "{}");
    assert.equal(
      readdirSync(under.directory).filter((name) => name.startsWith("saved-")),
      [],
    );
    // What was saved into files by the new one is what the old one had, and another bridge's content goes.
    const saved = join(under.directory, "kept");
    assert.is((await ctl(under, "save", saved)).status, 0);
    under.ok("ovs-ofctl", "del-flows", "br0");
    under.ok("ovs-ofctl", "add-flow", "br0", "priority=1,actions=drop");
    under.ok("ovs-ofctl", "-O", "OpenFlow15", "add-meter", "br0", "meter=4 pktps bands=type=drop rate=1");
    const restored = await ctl(under, "restore", saved);
    assert.is(restored.status, 0, restored.stderr);
    assert.is(contents(under), before);
    // The tools that people have read the files, too.
    under.ok("ovs-ofctl", "-O", "OpenFlow15", "replace-flows", "br0", join(saved, "br0.flows"));
    assert.is(contents(under), before);
    assert.not.match(under.log(), /\|(WARN|ERR|EMER)\|/);
  } finally {
    await stopAll(under);
  }
});

maybe(
  "until flow-restore-wait is cleared nothing is forwarded, dialled or expired, and afterwards nothing was lost",
  async () => {
    let dialled = 0;
    const port = await freePort();
    const controller = createServer((socket) => {
      dialled++;
      socket.on("error", () => {}).resume();
    });
    await new Promise<void>((resolve) => controller.listen(port, "127.0.0.1", resolve));
    const under = await startSluice({ dummy: true });
    try {
      addDummyBridge(under, 2, { bridge: ["fail_mode=standalone"] });
      under.ok("ovs-vsctl", "set-controller", "br0", `tcp:127.0.0.1:${port}`);
      await until("the controller is dialled", 5, () => dialled > 0);
      // Set while it runs, it does nothing yet.
      under.ok("ovs-vsctl", "set", "open", ".", "other_config:flow-restore-wait=true");
      assert.is((await ctl(under, "stop")).status, 0);
      dialled = 0;
      const daemon = await startSluice({ dummy: true, directory: under.directory });
      try {
        assert.match(
          (await ctl(daemon, "status")).stdout,
          /is running with pid \d+\nIt forwards nothing until its flows are restored/,
        );
        assert.is(daemon.ok("ovs-appctl", "bridge/dump-flows", "br0").replace(/^table_id=254.*\n/gm, ""), "");
        daemon.ok("ovs-ofctl", "add-flow", "br0", "in_port=1,idle_timeout=1,send_flow_rem,actions=2");
        const frame = "in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x1234)";
        daemon.ok("ovs-appctl", "netdev-dummy/receive", "p1", frame);
        await sleep(1500);
        const sent = (): string => daemon.ok("ovs-ofctl", "dump-ports", "br0", "p2");
        assert.match(sent(), /tx pkts=0/);
        assert.match(daemon.ok("ovs-appctl", "dpctl/show"), /lookups: hit:0 missed:0 lost:1/);
        assert.match(daemon.ok("ovs-ofctl", "dump-flows", "br0"), /idle_timeout=1/);
        daemon.ok("ovs-ofctl", "add-flow", "br0", "in_port=2,actions=1");
        assert.is(dialled, 0);
        daemon.ok("ovs-vsctl", "remove", "open", ".", "other_config", "flow-restore-wait");
        await until("the controller is dialled again", 5, () => dialled > 0);
        daemon.ok("ovs-appctl", "netdev-dummy/receive", "p2", frame);
        await until("the packet is out", 5, () => /tx pkts=1/.test(daemon.ok("ovs-ofctl", "dump-ports", "br0", "p1")));
        assert.match(daemon.ok("ovs-ofctl", "dump-flows", "br0"), /in_port=2 actions=output:1/);
        // Once cleared, setting it again does nothing.
        daemon.ok("ovs-vsctl", "set", "open", ".", "other_config:flow-restore-wait=true");
        daemon.ok("ovs-appctl", "netdev-dummy/receive", "p2", frame);
        await until("it still forwards", 5, () => /tx pkts=2/.test(daemon.ok("ovs-ofctl", "dump-ports", "br0", "p1")));
      } finally {
        await daemon.stop();
      }
    } finally {
      await stopAll(under);
      controller.close();
    }
  },
);

maybe("what cannot be done is told with a remedy", async () => {
  const under = await startSluice({ dummy: true });
  try {
    for (const [args, text] of [
      [["bogus"], "sluice ctl: unknown command 'bogus'; use --help for help\n"],
      [[], "sluice ctl: missing command name; use --help for help\n"],
      [["save"], "sluice ctl: 'save' needs a directory: sluice ctl save DIRECTORY\n"],
      [["stop", "now"], "sluice ctl: 'stop' takes no 'now'; use --help for help\n"],
    ] as const) {
      const { status, stderr } = await ctl(under, ...args);
      assert.equal([status, stderr], [1, text]);
    }
    assert.match((await ctl(under, "restore", "/does/not/exist")).stderr, /was it made by `sluice ctl save`\?\n$/);
    assert.match((await ctl(under, "--help")).stdout, /^ {2}restart {12}/m);
    addDummyBridge(under, 1);
    const saved = join(under.directory, "kept");
    mkdirSync(saved);
    assert.is((await ctl(under, "save", saved)).status, 0);
    const [flows] = [join(saved, "br0.flows")];
    assert.ok(existsSync(flows));
    under.ok("ovs-vsctl", "del-br", "br0");
    assert.match((await ctl(under, "restore", saved)).stderr, /br0 is not a bridge or a socket/);
    assert.is((await ctl(under, "stop")).status, 0);
    assert.equal([(await ctl(under, "status")).status, (await ctl(under, "stop")).status], [1, 0]);
    assert.match((await ctl(under, "save", saved)).stderr, /no daemon runs in .*: `sluice ctl start` starts one/);
  } finally {
    await stopAll(under);
  }
});

maybe("what a bridge has mapped of tunnel options besides, or otherwise, gives way to what is restored", async () => {
  const under = await startSluice({ dummy: true });
  try {
    fill(under);
    const saved = join(under.directory, "kept");
    assert.is((await ctl(under, "save", saved)).status, 0);
    const before = contents(under);
    const again = async (...map: string[]): Promise<void> => {
      for (const change of map) under.ok("ovs-ofctl", ...change.split(" "));
      const restored = await ctl(under, "restore", saved);
      assert.is(restored.status, 0, restored.stderr);
      assert.is(contents(under), before);
    };
    await again(
      "add-tlv-map br0 {class=0xffff,type=2,len=8}->tun_metadata4",
      "add-flow br0 tun_metadata4=5,actions=drop",
    );
    // The option is another field, and the field another option.
    const other = ["{class=0xffff,type=1,len=4}->tun_metadata9", "{class=0xffff,type=8,len=8}->tun_metadata3"];
    await again(
      "del-flows br0",
      "del-tlv-map br0",
      ...other.map((mapping) => `add-tlv-map br0 ${mapping}`),
      "add-flow br0 tun_metadata3=5,actions=drop",
    );
  } finally {
    await stopAll(under);
  }
});

maybe("a daemon with a pidfile, a control socket and a database elsewhere is found by its pidfile", async () => {
  const away = mkdtempSync(join(tmpdir(), "sluice-away-"));
  const file = join(away, "real.db");
  const remote = `unix:${join(away, "real.sock")}`;
  const schema = "/usr/share/openvswitch/vswitch.ovsschema";
  if (spawnSync("ovsdb-tool", ["create", file, schema]).status !== 0) {
    console.log("skip: a daemon found by its pidfile: ovsdb-server is not installed");
    return;
  }
  const serve = (): ChildProcess =>
    spawn("ovsdb-server", [`--remote=p${remote}`, "--unixctl=none", "-vconsole:off", file], { stdio: "ignore" });
  let server = serve();
  const pidfile = join(away, "my.pid");
  const control = join(away, "my.ctl");
  const under = { env: { ...process.env, OVS_RUNDIR: away, OVS_LOGDIR: away, OVS_DBDIR: away } };
  // Where the daemon has its files is not known to whoever knows only the pidfile.
  const nowhere = { env: { ...process.env, OVS_RUNDIR: join(away, "nowhere") } };
  const tool = (name: string, ...args: string[]): string =>
    execFileSync(name, args, { ...under, encoding: "utf8", timeout: 20_000 });
  const pid = (): number => Number(readFileSync(pidfile, "utf8"));
  try {
    await until("ovsdb-server serves", 10, () => existsSync(join(away, "real.sock")));
    const words = ["--enable-dummy", "--disable-system", "-vconsole:off", "--log-file", `--unixctl=${control}`];
    const started = await ctl(under, "start", "--", ...words, `--pidfile=${pidfile}`, remote);
    assert.is(started.status, 0, started.stderr);
    const first = pid();
    const status = await ctl(nowhere, `--pidfile=${pidfile}`, "status");
    assert.equal([status.status, status.stdout], [0, `ovs-vswitchd is running with pid ${first}\n`], status.stderr);
    assert.is((await ctl(nowhere, "status")).status, 1);
    assert.match((await ctl(under, "start", "--", `--pidfile=${pidfile}`)).stdout, /^Runs already, with pid /);
    const dummy = ["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy", "fail_mode=secure"];
    tool("ovs-vsctl", `--db=${remote}`, "-t", "10", ...dummy);
    tool("ovs-ofctl", "add-flow", "br0", "priority=9,actions=drop");
    const restarted = await ctl(nowhere, `--pidfile=${pidfile}`, "restart");
    assert.is(restarted.status, 0, restarted.stderr);
    assert.is.not(pid(), first);
    assert.match(tool("ovs-ofctl", "dump-flows", "br0"), /priority=9 actions=drop/);
    assert.match(tool("ovs-appctl", "-t", control, "version"), /Sluice/);
    server.kill("SIGSTOP");
    const silent = await ctl(nowhere, `--pidfile=${pidfile}`, "status");
    server.kill("SIGCONT");
    assert.is(silent.status, 2);
    assert.is(silent.stdout, `ovs-vswitchd is running with pid ${pid()}\n`);
    assert.is(silent.stderr, `sluice ctl: ${remote}: the database does not answer\n`);
    server.kill("SIGKILL");
    await until("nobody serves the database", 10, () => server.signalCode !== null);
    const refused = await ctl(nowhere, `--pidfile=${pidfile}`, "status");
    assert.is(refused.status, 2);
    assert.match(refused.stderr, /database connection failed \(Connection refused\)\n$/);
    rmSync(join(away, "real.sock"));
    server = serve();
    assert.is((await ctl(nowhere, `--pidfile=${pidfile}`, "stop")).status, 0);
    assert.not(existsSync(pidfile));
    // It was asked by its own control socket, and no signal was needed.
    assert.not.match(readFileSync(join(away, "ovs-vswitchd.log"), "utf8"), /fatal_signal/);
  } finally {
    await ctl(nowhere, `--pidfile=${pidfile}`, "stop", "--quiet");
    server.kill("SIGKILL");
    rmSync(away, { recursive: true, force: true });
  }
});

(noOvs === undefined ? maybe : test.skip)(
  "Open vSwitch's daemon is replaced by Sluice with the same flows",
  async () => {
    const under = await startOvs({ dummy: true });
    try {
      fill(under);
      const before = contents(under);
      const ran = await ctl(under, "restart");
      assert.is(ran.status, 0, ran.stderr);
      assert.match(under.ok("ovs-appctl", "version"), /Sluice/);
      assert.is(contents(under), before);
    } finally {
      await stopAll(under);
    }
  },
);

test.run();
