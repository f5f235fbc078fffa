/** A switch under random changes of its configuration, good ones and bad ones, while packets pass: it does not die, does not
 *  grow, and in the end it is what a fresh start from the same database is.
 *
 *  Short among the tests.  SOAK_MINUTES=30 SOAK_SEED=7 node dist/test/system/soak.test.js runs longer, or again. */
import { execFile } from "node:child_process";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Random, seeded } from "../differential/random.js";
import { addDummyBridge, missing, type Switch, sleep, startSluice } from "./switch.js";

const seconds = 60 * Number(process.env.SOAK_MINUTES ?? 0.3);
const seed = Number(process.env.SOAK_SEED ?? 4711);
/** Memory is compared from here on: code is compiled and tables have grown. */
const warmPart = 0.4;
const growthMax = 1.05;
/** A short run ends before the collector has come round. */
const slackKiB = 24 * 1024;

const skip = missing({ tools: ["ovs-vsctl", "ovs-ofctl", "ovs-appctl"] });
if (skip !== undefined) console.log(`skip: soak: ${skip}`);
const maybe = skip === undefined ? test : test.skip;

const names = Array.from({ length: 12 }, (_, index) => `s${index + 1}`);
const bridges = ["br1", "br2", "br3"];
/** No device takes it. */
const mtuRefused = "60";

/** Transactions as a person writes them, some of which Open vSwitch refuses or finds fault with. */
const changes: readonly ((random: Random) => string)[] = [
  (r) => `--may-exist add-br ${r.pick(bridges)} -- set bridge ${r.pick(bridges)} datapath_type=dummy`,
  (r) => `--if-exists del-br ${r.pick(bridges)}`,
  (r) => `--may-exist add-port br0 ${r.pick(names)} -- set interface ${r.pick(names)} type=dummy`,
  (r) =>
    `--if-exists del-port ${r.pick(names)} -- add-port br0 ${r.pick(names)} -- set interface ${r.pick(names)} type=dummy`,
  (r) => `--if-exists del-port ${r.pick(names)}`,
  (r) => `set interface ${r.pick(names)} ofport_request=${1 + r.below(40)}`,
  (r) => `set port ${r.pick(names)} tag=${r.below(5000)}`,
  (r) =>
    `set port ${r.pick(names)} vlan_mode=${r.pick(["access", "trunk", "native-tagged", "native-untagged", "dot1q-tunnel"])} trunks=[${r.below(9)},${r.below(4095)}]`,
  (r) => `clear port ${r.pick(names)} ${r.pick(["tag", "trunks", "vlan_mode", "lacp", "bond_mode"])}`,
  (r) =>
    `--fake-iface --may-exist add-bond br0 bond${r.below(2)} ${r.pick(names)}x ${r.pick(names)}y lacp=${r.pick(["off", "active", "passive"])} bond_mode=${r.pick(["active-backup", "balance-slb", "balance-tcp"])}`,
  (r) => `--if-exists del-port bond${r.below(2)}`,
  (r) =>
    `set bridge br0 ${r.pick(["stp_enable", "rstp_enable", "mcast_snooping_enable"])}=${r.pick(["true", "false"])}`,
  (r) => `set bridge br0 fail_mode=${r.pick(["secure", "standalone"])}`,
  (r) =>
    `set bridge br0 other_config:${r.pick(["mac-aging-time", "mac-table-size", "flow-eviction-threshold"])}=${r.below(5000) - 20}`,
  (r) => `set bridge br0 protocols=${r.pick(["OpenFlow10", "OpenFlow13", "OpenFlow10,OpenFlow15", "[]"])}`,
  (r) =>
    `set-controller br0 ${r.pick(["tcp:127.0.0.1:1", "ptcp:0:127.0.0.1", "punix:nowhere", "bogus", "tcp:no.such.name.invalid:5"])}`,
  () => "del-controller br0",
  (r) =>
    `-- --id=@p get port ${r.pick(names)} -- --id=@m create mirror name=m${r.below(9)} select_all=true output_port=@p -- add bridge br0 mirrors @m`,
  () => "clear bridge br0 mirrors",
  () => `-- --id=@n create netflow targets="127.0.0.1:9" -- set bridge br0 netflow=@n`,
  () => `-- --id=@n create sflow targets="127.0.0.1:9" sampling=16 -- set bridge br0 sflow=@n`,
  (r) => `clear bridge br0 ${r.pick(["netflow", "sflow", "ipfix"])}`,
  (r) =>
    `--may-exist add-port br0 t${r.below(3)} -- set interface t${r.below(3)} type=${r.pick(["vxlan", "geneve", "gre"])} options:remote_ip=${r.pick(["1.2.3.4", "flow", "nonsense", "::1"])} options:key=${r.pick(["1", "flow", "x"])}`,
  (r) => `--if-exists del-port t${r.below(3)}`,
  (r) =>
    `--may-exist add-port br0 pa -- set interface pa type=patch options:peer=${r.pick(["pb", "nobody", "pa"])} -- --may-exist add-port ${r.pick(bridges)} pb -- set interface pb type=patch options:peer=pa`,
  (r) => `--if-exists del-port ${r.pick(["pa", "pb"])}`,
  (r) => `--may-exist add-port br0 nosuch -- set interface nosuch type=${r.pick(["bogus", "system", "tap"])}`,
  () => "--if-exists del-port nosuch",
  (r) => `set interface ${r.pick(names)} bfd:enable=${r.pick(["true", "false"])}`,
  (r) =>
    `set interface ${r.pick(names)} ingress_policing_rate=${r.below(3) * 500} ingress_policing_burst=${r.below(90)}`,
  (r) => `set interface ${r.pick(names)} mtu_request=${r.pick([mtuRefused, "1400", "9000"])}`,
  (r) => `set interface ${r.pick(["br0", "in0", "t0", "pa", "nosuch"])} mtu_request=${r.pick(["1300", "1450"])}`,
  (r) => `clear interface ${r.pick(["br0", "in0", "t0", "pa"])} mtu_request`,
  () => "--may-exist add-port br0 in0 -- set interface in0 type=internal",
  () => "--if-exists del-port in0",
  (r) =>
    `set open . other_config:${r.pick(["flow-limit", "max-idle", "vlan-limit", "bundle-idle-timeout", "stats-update-interval"])}=${r.below(9000) - 3}`,
  (r) => `set open . other_config:enable-statistics=${r.pick(["true", "false"])}`,
  () => "clear open . other_config",
  (r) => `--may-exist add-br a/b${r.below(2)} -- set bridge a/b0 datapath_type=dummy`,
  () => "--if-exists del-br a/b0 -- --if-exists del-br a/b1",
];

/** Runs ovs-vsctl while frames go on. */
function vsctl(
  under: Switch,
  words: readonly string[],
): Promise<{ readonly isDone: boolean; readonly stderr: string }> {
  return new Promise((resolve) => {
    execFile("ovs-vsctl", ["-t", "20", ...words], { env: under.env }, (error, _stdout, stderr) => {
      resolve({ isDone: error === null, stderr });
    });
  });
}

/** A connection to the control socket, for what must be quick. */
function frame(under: Switch, device: string, flow: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(join(under.directory, `ovs-vswitchd.${under.pid}.ctl`));
    const over = (): void => {
      socket.destroy();
      resolve();
    };
    socket.on("error", over).on("close", over).on("data", over);
    socket.write(JSON.stringify({ id: 0, method: "netdev-dummy/receive", params: [device, flow] }));
  });
}

/** Frames of a few hundred hosts on all ports that there are, until told to stop. */
async function traffic(under: Switch, random: Random, stop: { now: boolean }): Promise<number> {
  let sent = 0;
  while (!stop.now) {
    const mac = (): string => `50:54:00:00:0${random.below(2)}:${(random.below(100) + 100).toString(16)}`;
    const vlan = random.chance(0.3)
      ? `,eth_type(0x8100),vlan(vid=${random.below(9)},pcp=0),encap(eth_type(0x1234))`
      : ",eth_type(0x1234)";
    await frame(under, random.pick([...names, "p1", "p2"]), `in_port(1),eth(src=${mac()},dst=${mac()})${vlan}`);
    sent++;
    await sleep(2);
  }
  return sent;
}

/** Takes back what a fresh start cannot know of, in Open vSwitch neither: a device that refuses an MTU keeps the one that it
 *  had, and of several interfaces that ask for one number that one keeps it which was there first. */
function forget(under: Switch): void {
  const columns = ["--bare", "--no-headings", "-f", "csv", "--columns=_uuid,ofport,ofport_request,mtu_request"];
  for (const line of under
    .ok("ovs-vsctl", ...columns, "list", "interface")
    .trim()
    .split("\n")) {
    const [row = "", number, asked, mtu] = line.split(",");
    const vsctl = (...words: string[]): string => under.ok("ovs-vsctl", "-t", "20", ...words);
    if (mtu === mtuRefused) vsctl("set", "interface", row, "mtu_request=1400");
    if (asked !== "" && asked !== number && number !== "-1") vsctl("clear", "interface", row, "ofport_request");
  }
}

/** What must be as after a fresh start: columns that follow from the configuration, and what the tools show. */
function state(under: Switch): string {
  const columns: Readonly<Record<string, string>> = {
    bridge: "name,datapath_id,datapath_type,protocols,fail_mode,stp_enable,rstp_enable,other_config",
    port: "name,tag,trunks,vlan_mode,lacp,bond_mode",
    interface: "name,type,ofport,error,admin_state,link_state,mtu,options",
  };
  const rows = Object.entries(columns).map(([table, names]) => {
    const { data } = JSON.parse(under.ok("ovs-vsctl", "-f", "json", `--columns=${names}`, "list", table)) as {
      data: unknown[];
    };
    return data
      .map((row) => `${table} ${JSON.stringify(row)}`)
      .sort()
      .join("\n");
  });
  const shown = ["ofproto/list", "bond/list", "tnl/ports/show", "ofproto/list-tunnels"].map((command) => {
    const lines = under.ok("ovs-appctl", command).split("\n");
    return `${command}\n${lines
      .map((line) => line.replace(/\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b/g, "MAC").replace(/^\d+\t/, ""))
      .sort()
      .join("\n")}`;
  });
  return [...rows, ...shown].join("\n");
}

maybe(
  `a switch lives through ${Math.round(seconds)} s of changes, good and bad, and is in the end what its database says`,
  async () => {
    console.log(`soak: seed ${seed}, ${Math.round(seconds)} s`);
    const random = seeded(seed);
    const args = ["--enable-dummy", "--disable-system"];
    const under = await startSluice({ args });
    try {
      addDummyBridge(under, 2);
      under.ok("ovs-ofctl", "add-flow", "br0", "actions=NORMAL");
      const stop = { now: false };
      const sent = traffic(under, seeded(seed + 1), stop);
      const end = Date.now() + 1000 * seconds;
      const warmAt = Date.now() + 1000 * seconds * warmPart;
      let warmKiB = 0;
      let taken = 0;
      let refused = 0;
      while (Date.now() < end) {
        const words = random.pick(changes)(random).split(" ");
        const { isDone, stderr } = await vsctl(under, words);
        if (isDone) taken++;
        else refused++;
        assert.ok(under.alive(), `the switch died of ovs-vsctl ${words.join(" ")}`);
        assert.not.match(stderr, /timed out|Alarm clock/, `ovs-vsctl ${words.join(" ")}`);
        if (warmKiB === 0 && Date.now() > warmAt) warmKiB = under.residentKiB();
        await sleep(5);
      }
      stop.now = true;
      const frames = await sent;
      const lastKiB = under.residentKiB();
      console.log(`soak: ${taken} changes taken, ${refused} refused, ${frames} frames, ${warmKiB} to ${lastKiB} KiB`);
      assert.ok(taken > 10 && refused > 0 && frames > 100);
      assert.ok(lastKiB <= growthMax * warmKiB + (seconds < 600 ? slackKiB : 0), `${warmKiB} grew to ${lastKiB} KiB`);
      assert.not.match(under.log(), /\|EMER\||internal error/);
      under.ok("ovs-vsctl", "--if-exists", "remove", "open", ".", "other_config", "stats-update-interval");
      forget(under);
      await sleep(500);
      const before = state(under);
      under.ok("ovs-appctl", "exit");
      for (let round = 0; round < 200 && under.alive(); round++) await sleep(20);
      const again = await startSluice({ args, directory: under.directory });
      try {
        await sleep(500);
        const [lived, fresh] = [before.split("\n"), state(again).split("\n")];
        assert.equal(
          lived.filter((line) => !fresh.includes(line)),
          [],
        );
        assert.equal(
          fresh.filter((line) => !lived.includes(line)),
          [],
        );
      } finally {
        await again.stop();
      }
    } finally {
      await under.stop();
    }
  },
);

test.run();
