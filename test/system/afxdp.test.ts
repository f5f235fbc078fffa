/** AF_XDP ports in the database: their columns, what dpif/show says of them, and why one does not open. */
import { spawnSync } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { portClass } from "../../ts/datapath/generated/records.js";
import { BatchBuilder, Datapath } from "../../ts/datapath/index.js";
import { have, missing, type Switch, type SwitchOptions, startOvs, startSluice, until } from "./switch.js";

const reason = missing({ root: true, tools: ["ovs-vsctl", "ovs-ofctl", "ip", "setpriv", "prlimit"] });
if (reason !== undefined) console.log(`skip: AF_XDP ports: ${reason}`);
const maybe = reason === undefined ? test : test.skip;

const tag = `slx${process.pid % 10000}`;

function ip(...args: string[]): void {
  assert.is(spawnSync("ip", args).status, 0, `ip ${args.join(" ")}`);
}

/** Runs `body` with a bridge and a veth pair whose end `device` is not in it yet. */
async function withDevice(
  options: SwitchOptions & { readonly real?: boolean },
  body: (under: Switch, bridge: string, device: string) => Promise<void>,
): Promise<void> {
  const under = await (options.real === true ? startOvs(options) : startSluice(options));
  const device = `${tag}a`;
  try {
    ip("link", "add", device, "type", "veth", "peer", "name", `${tag}b`);
    for (const end of [device, `${tag}b`]) ip("link", "set", end, "up");
    under.ok("ovs-vsctl", "-t", "20", "add-br", tag, "--", "set", "bridge", tag, "datapath_type=netdev");
    await body(under, tag, device);
  } finally {
    await under.stop();
    spawnSync("ip", ["link", "del", device]);
  }
}

/** Adds the device with these options and gives Interface.error, or undefined when it opened. */
function add(under: Switch, bridge: string, device: string, ...options: string[]): string | undefined {
  const settings = options.map((option) => `options:${option}`);
  under.run("ovs-vsctl", "-t", "20", "--if-exists", "del-port", device);
  const interface_ = ["--", "set", "interface", device, "type=afxdp", ...settings];
  under.run("ovs-vsctl", "-t", "20", "add-port", bridge, device, ...interface_);
  const text = under.ok("ovs-vsctl", "get", "interface", device, "error").trim();
  return text === "[]" ? undefined : (JSON.parse(text) as string);
}

maybe("an AF_XDP port tells its mode, its options and what the kernel counts", async () => {
  await withDevice({}, async (under, bridge, device) => {
    const get = (column: string): string => under.ok("ovs-vsctl", "get", "interface", device, column).trim();
    assert.is(add(under, bridge, device, "xdp-mode=GENERIC", "use-need-wakeup=false", "n_rxq=0"), undefined);
    assert.match(get("status"), /driver_name=veth.*use-need-wakeup="?false"?, xdp-mode=generic/);
    const shown = "(afxdp: n_rxq=1, use-need-wakeup=false, xdp-mode=generic, xdp-mode-in-use=generic)";
    assert.ok(under.ok("ovs-appctl", "dpif/show").includes(shown), under.ok("ovs-appctl", "dpif/show"));
    under.ok("ovs-vsctl", "remove", "interface", device, "options", "xdp-mode", "use-need-wakeup");
    await until("changed options take effect", 10, () => get("status").includes("xdp-mode=native"));
    assert.match(get("status"), /use-need-wakeup="?true"?/);
    await until("statistics are written", 10, () => get("statistics").includes("xsk_queue_0_rx_dropped=0"));
    const counters = ["rx_dropped", "rx_invalid_descs", "tx_invalid_descs"].map((key) => `xsk_queue_0_${key}=0`);
    const ports = under.ok("ovs-ofctl", "-O", "OpenFlow14", "dump-ports", bridge, device);
    for (const counter of counters) assert.ok(ports.includes(counter), ports);
    assert.match(under.ok("ovs-vsctl", "get", "open", ".", "iface_types"), /afxdp, afxdp-nonpmd/);
  });
});

maybe("an AF_XDP port that does not open says which and what to do", async () => {
  await withDevice({}, async (under, bridge, device) => {
    const head = `could not add network device ${device} to ofproto`;
    assert.match(
      add(under, bridge, device, "xdp-mode=native-with-zerocopy") ?? "",
      `${head} (Operation not supported): `,
    );
    assert.match(
      add(under, bridge, device, "n_rxq=2") ?? "",
      `${head} (Invalid argument): the device lacks one of queues`,
    );
    // Another program has it: this one.
    const other = new Datapath();
    new BatchBuilder().portOpen(1, portClass.afxdp, device).commit(other);
    assert.match(add(under, bridge, device) ?? "", `${head} (Device or resource busy): the device has an XDP program`);
    other.dispose();
    const error = (): string => under.ok("ovs-vsctl", "get", "interface", device, "error").trim();
    await until("the port opens when the other program has gone", 10, () => error() === "[]");
    under.ok("ovs-vsctl", "-t", "20", "del-port", device);
    ip("link", "set", `${tag}b`, "mtu", "9000");
    assert.match(add(under, bridge, device, "xdp-mode=native") ?? "", "(Numerical result out of range): the MTU");
    assert.is(add(under, bridge, device, "xdp-mode=generic"), undefined);
    const tries = (under.log().match(/could not add network device/g) ?? []).length;
    assert.ok(tries < 8, `a port that does not open is not tried over and over, but was ${tries} times`);
  });
});

maybe("without the capability, or memory that may be locked, an AF_XDP port says so", async () => {
  await withDevice({ under: ["setpriv", "--bounding-set=-bpf,-sys_admin"] }, async (under, bridge, device) => {
    assert.match(add(under, bridge, device) ?? "", "(Operation not permitted): AF_XDP needs CAP_NET_ADMIN");
  });
  const unlocked = ["prlimit", "--memlock=65536", "setpriv", "--bounding-set=-ipc_lock"];
  await withDevice({ under: unlocked }, async (under, bridge, device) => {
    assert.match(add(under, bridge, device) ?? "", "(No buffer space available): queue 0 need");
  });
});

const ovsHasAfxdp =
  have("ovs-vswitchd") && spawnSync("ldd", ["/usr/sbin/ovs-vswitchd"], { encoding: "utf8" }).stdout.includes("libxdp");
if (!ovsHasAfxdp) console.log("skip: AF_XDP ports beside Open vSwitch's: it has none");

(reason === undefined && ovsHasAfxdp ? test : test.skip)("options are read as Open vSwitch reads them", async () => {
  const tried = [["xdp-mode=quick"], ["n_rxq=200"], ["n_rxq=-1"], ["xdp-mode=Native", "use-need-wakeup=FALSE"], []];
  const answers = async (real: boolean): Promise<string[]> => {
    const said: string[] = [];
    await withDevice({ real }, async (under, bridge, device) => {
      for (const options of tried) {
        said.push(add(under, bridge, device, ...options) ?? "opened");
        said.push(/\(afxdp.*\)/.exec(under.ok("ovs-appctl", "dpif/show"))?.[0] ?? "not shown");
      }
      for (const line of under.log().split("\n")) {
        const [, , module = "", level = "", text = ""] = line.split("|");
        if (module === "netdev_afxdp" && level === "ERR" && text.startsWith(device))
          said.push(`${level} ${text.replace(/\d+\)/, "most)")}`);
      }
    });
    return said;
  };
  assert.equal(await answers(false), await answers(true));
});

test.run();
