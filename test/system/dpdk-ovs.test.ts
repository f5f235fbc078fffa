/** What the database, ovs-ofctl and ovs-appctl say of DPDK's devices: the real Open vSwitch with DPDK is asked the same. */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { missing, root, type Switch, startOvs, startSluice, until } from "./switch.js";

const daemon = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk";
const lacking =
  missing({ root: true, tools: ["ovs-vsctl", "ovsdb-server", "ip", "bash"] }) ??
  (existsSync(join(root, "build", "Release", "sluice_dpdk.so")) ? undefined : "Sluice was built without DPDK") ??
  (existsSync(daemon) ? undefined : "openvswitch-switch-dpdk is not installed");
if (lacking !== undefined) console.log(`skip: DPDK beside Open vSwitch: ${lacking}`);
const maybe = lacking === undefined ? test : test.skip;

const tag = `slo${process.pid % 10000}`;

/** The real one with DPDK, in a network namespace of its own: its devices have names that others may have. */
async function startOvsDpdk(): Promise<Switch> {
  const tools = mkdtempSync(join(tmpdir(), "ovs-dpdk-"));
  const wrapper = join(tools, "ovs-vswitchd");
  const inside = `exec -a ovs-vswitchd ${daemon} "$@"`;
  writeFileSync(wrapper, `#!/bin/sh\nexec ip netns exec ${tag} bash -c '${inside}' -- "$@"\n`);
  chmodSync(wrapper, 0o755);
  spawnSync("ip", ["netns", "add", tag]);
  const under = await startOvs({ env: { PATH: `${tools}:${process.env.PATH ?? ""}` } });
  const stop = async (): Promise<void> => {
    await under.stop();
    spawnSync("ip", ["netns", "del", tag]);
    rmSync(tools, { recursive: true, force: true });
    rmSync(join("/var/run/dpdk", `${tag}ovs`), { recursive: true, force: true });
  };
  return { ...under, stop };
}

/** DPDK with a bridge br0. */
function prepare(under: Switch): void {
  const extra = `--no-huge --legacy-mem -m 512 --no-pci --no-telemetry --file-prefix=${tag}${under.kind}`;
  // Open vSwitch shares 800 MB of buffers among its ports unless told otherwise.
  const memory = ["other_config:per-port-memory=true", `other_config:dpdk-extra="${extra}"`];
  const config = ["other_config:dpdk-init=true", ...memory];
  under.ok("ovs-vsctl", "-t", "30", "--no-wait", "set", "open", ".", ...config);
  const bridge = ["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "fail_mode=secure"];
  under.ok("ovs-vsctl", "-t", "30", ...bridge);
}

const addPort = (under: Switch, name: string, type: string, ...columns: string[]): unknown =>
  under.run(
    "ovs-vsctl",
    "-t",
    "30",
    "add-port",
    "br0",
    name,
    "--",
    "set",
    "interface",
    name,
    `type=${type}`,
    ...columns,
  );

const column = (under: Switch, name: string, column: string): string =>
  under.ok("ovs-vsctl", "get", "interface", name, column).trim();

const keys = (map: string): string[] => [...map.matchAll(/([a-z][a-z0-9_]*)=/g)].map((found) => found[1] ?? "");

/** Answers that differ from run to run, made alike. */
function told(under: Switch): Record<string, unknown> {
  const status = (name: string): string =>
    column(under, name, "status")
      .replace(/numa_id="-?\d+"/, "numa_id")
      .replaceAll(under.directory, "DIR");
  const answer = (...words: string[]): string => {
    const { status: code, stdout, stderr } = under.run("ovs-appctl", ...words);
    return `${code} ${stdout}${stderr}`.replace(/ovs-appctl: .*/, "").trim();
  };
  const columns = ["admin_state", "link_state", "link_speed", "duplex", "mtu", "error"];
  return {
    columns: Object.fromEntries(["p1", "p2"].map((name) => [name, columns.map((each) => column(under, name, each))])),
    status: ["p1", "p2", "v1", "v2"].map(status),
    links: ["v1", "v2"].map((name) => ["link_state", "link_speed", "duplex"].map((each) => column(under, name, each))),
    features: under
      .ok("ovs-ofctl", "dump-ports-desc", "br0")
      .split(/(?=^ \S)/m)
      .filter((port) => /^ [12]\(/.test(port))
      .map((port) => port.replace(/addr:\S+/, "addr")),
    errors: ["twice", "foo", "none"].map((name) => column(under, name, "error").replace(/^"could not .*"$/, "refused")),
    commands: under
      .ok("ovs-appctl", "list-commands")
      .split("\n")
      .filter((line) => /dpdk/.test(line)),
    answers: [
      answer("netdev-dpdk/set-admin-state", "p1", "sideways"),
      answer("netdev-dpdk/set-admin-state", "br0", "up"),
      answer("netdev-dpdk/set-admin-state", "p1", "down"),
      column(under, "p1", "admin_state"),
      answer("netdev-dpdk/set-admin-state", "up"),
      answer("netdev-dpdk/detach", "net_null9"),
      answer("netdev-dpdk/detach", "net_null0"),
      answer("netdev-dpdk/get-mempool-info", "nobody"),
      answer("dpdk/log-set", "lib.eal:loud"),
      answer("dpdk/log-set", "loud"),
      answer("dpdk/log-set", "lib.eal:debug", "pmd.*:error"),
      answer("dpdk/log-list")
        .split("\n")
        .filter((line) => /lib.eal,/.test(line)),
      // The thread that started DPDK; how many there are besides is each switch's own affair.
      answer("dpdk/lcore-list")
        .split("\n")
        .filter((line) => /lcore 0,.*role RTE/.test(line)).length,
    ],
  };
}

/** What becomes of QoS of each kind, of settings that cannot be, and of types that are the kernel's. */
function qosTold(under: Switch): string[] {
  const told: string[] = [];
  const look = (what: string): void => {
    const shown = under.ok("ovs-appctl", "qos/show", "p1").split("\n").toSorted().join("\n");
    // Open vSwitch tells of such a queue only if it is asked for by its number, and then of any that is not there, too.
    const { stdout, stderr } = under.run("ovs-ofctl", "-O", "OpenFlow13", "queue-stats", "br0", "1", "0");
    const counted = /port 1 queue.*errors=\d+|OFPQOFC_\w+/.exec(stdout + stderr)?.[0];
    told.push([what, shown, counted].join("\n"));
  };
  const set = (type: string, ...more: readonly string[]): void => {
    const words = ["set", "port", "p1", "qos=@q", "--", "--id=@q", "create", "qos", `type=${type}`, ...more];
    under.ok("ovs-vsctl", "-t", "30", "--", ...words);
    look([type, ...more].join(" "));
  };
  const rates = (...numbers: readonly [number, number, number, number]): string[] =>
    ["cir", "cbs", "eir", "ebs"].map((key, index) => `other-config:${key}=${numbers[index]}`);
  told.push(under.ok("ovs-appctl", "qos/show-types", "p1").split("\n").toSorted().join("\n"));
  look("none");
  set("egress-policer", "other-config:cir=46000000", "other-config:cbs=2048");
  set("egress-policer", "other-config:cir=0", "other-config:cbs=2048");
  set("trtcm-policer", ...rates(52000, 2048, 52001, 2049));
  set("trtcm-policer", ...rates(52000, 0, 0, 0));
  set("trtcm-policer", ...rates(0, 0, 0, 0));
  const queues = ["--id=@a", "create", "queue", ...rates(41000, 2048, 42000, 2048), "--", "--id=@b", "create", "queue"];
  set(
    "trtcm-policer",
    ...rates(52000, 2048, 52000, 2048),
    "queues:1=@a",
    "queues:2=@b",
    "--",
    ...queues,
    ...rates(1, 0, 0, 0),
  );
  set("linux-htb");
  under.ok("ovs-vsctl", "clear", "port", "p1", "qos");
  look("taken back");
  return told;
}

async function ask(under: Switch): Promise<{ told: Record<string, unknown>; counted: string[] }> {
  prepare(under);
  addPort(under, "p1", "dpdk", "options:dpdk-devargs=net_null0,no-rx=1", "ofport_request=1");
  const many = ["options:n_rxq=3", "options:n_rxq_desc=100", "options:n_txq_desc=4096", "mtu_request=2000"];
  addPort(under, "p2", "dpdk", "options:dpdk-devargs=net_null1,no-rx=1", ...many, "ofport_request=2");
  addPort(under, "v1", "dpdkvhostuserclient", `options:vhost-server-path=${under.directory}/v1.sock`);
  addPort(under, "v2", "dpdkvhostuser");
  addPort(under, "twice", "dpdk", "options:dpdk-devargs=net_null0");
  addPort(under, "foo", "dpdk", "options:dpdk-devargs=net_foo0");
  addPort(under, "none", "dpdk");
  assert.ok(existsSync(join(under.directory, "v2")), "a dpdkvhostuser port makes its socket");
  await until("statistics of each port", 20, () => column(under, "p2", "statistics") !== "{}");
  const qos = qosTold(under);
  return { told: { ...told(under), qos }, counted: keys(column(under, "p2", "statistics")).toSorted() };
}

maybe("DPDK's devices are told of as Open vSwitch does", async () => {
  const ours = await startSluice();
  try {
    const theirs = await startOvsDpdk();
    try {
      const [sluice, ovs] = [await ask(ours), await ask(theirs)];
      assert.equal(sluice.told, ovs.told);
      // Open vSwitch also counts what its policers drop, which are not the port's here; queues differ in number.
      const unlike = /^(ovs_.x_qos_drops|tx_q\d+_.*)$/;
      assert.equal(
        sluice.counted.filter((key) => !unlike.test(key)),
        ovs.counted.filter((key) => !unlike.test(key)),
      );
    } finally {
      await theirs.stop();
    }
  } finally {
    await ours.stop();
  }
});

test.run();
