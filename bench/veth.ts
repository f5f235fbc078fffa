/** What do the devices of a host cost: veth to the switch to veth, and TCP between two namespaces? */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { sleep } from "./process.js";
import type { Case, Metric } from "./question.js";
import type { Side } from "./side.js";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
/** Frames come from the one CPU, the switch has the other. */
const sourceCpu = "0";
const switchCpu = "1";
const tag = `slb${process.pid % 10000}`;
const tools = ["ovs-vsctl", "ovs-ofctl", "ip", "taskset", "cc", "iperf3", "ethtool"] as const;

function run(tool: string, ...args: readonly string[]): string {
  return execFileSync(tool, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

function missing(side: Side): string | undefined {
  if (side.daemonMissing() !== undefined) return side.daemonMissing();
  if (process.getuid?.() !== 0) return "devices need root";
  const tool = tools.find((each) => spawnSync("sh", ["-c", `command -v ${each}`]).status !== 0);
  return tool === undefined ? undefined : `${tool} is not installed`;
}

interface Setting {
  readonly type: "system" | "afxdp";
  readonly options?: readonly string[];
  /** What Open vSwitch needs besides, so that TCP passes it at all or as fast as it can. */
  readonly ovsConfig?: readonly string[];
  readonly ovsWithoutOffloads?: boolean;
}

/** Runs `body` with hosts a and b in namespaces, joined by the switch. */
async function withHosts<T>(side: Side, setting: Setting, body: () => Promise<T>): Promise<T> {
  const ends = ["a", "b"].map((name) => ({ space: `${tag}${name}`, port: `${tag}p${name}` }));
  const config = ["pmd-cpu-mask=0x2", ...(side.name === "ovs" ? (setting.ovsConfig ?? []) : [])];
  const daemon = await side.startSystemDaemon(["taskset", "-c", switchCpu], config);
  const tell = (tool: string, ...args: readonly string[]): void => {
    execFileSync(tool, args, { env: daemon.env, stdio: ["ignore", "ignore", "pipe"] });
  };
  try {
    ends.forEach(({ space, port }, index) => {
      run("ip", "netns", "add", space);
      run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space);
      run("ip", "link", "set", port, "up");
      run("ip", "-n", space, "link", "set", "eth0", "up");
      run("ip", "-n", space, "addr", "add", `10.98.0.${index + 1}/24`, "dev", "eth0");
      // With it the device takes frames of XDP programs, which is what the source sends.
      run("ethtool", "-K", port, "gro", "on");
      if (side.name === "ovs" && setting.ovsWithoutOffloads === true)
        run("ip", "netns", "exec", space, "ethtool", "-K", "eth0", "tx", "off");
    });
    tell("ovs-vsctl", "-t", "20", "add-br", tag, "--", "set", "bridge", tag, "datapath_type=netdev");
    for (const { port } of ends) {
      const options = (setting.options ?? []).map((option) => `options:${option}`);
      const type = ["--", "set", "interface", port, `type=${setting.type}`, ...options];
      tell("ovs-vsctl", "-t", "20", "add-port", tag, port, ...type);
    }
    tell("ovs-ofctl", "del-flows", tag);
    for (const [from, to] of [ends, ends.toReversed()].map((each) => each.map(({ port }) => port)))
      tell("ovs-ofctl", "add-flow", tag, `in_port=${from},actions=output:${to}`);
    await sleep(500);
    return await body();
  } finally {
    await daemon.stop();
    for (const { space, port } of ends) {
      spawnSync("ip", ["link", "del", port]);
      spawnSync("ip", ["netns", "del", space]);
    }
  }
}

function receivedBy(space: string): number {
  const link = JSON.parse(run("ip", "-n", space, "-s", "-j", "link", "show", "eth0")) as readonly [
    { readonly stats64: { readonly rx: { readonly packets: number } } },
  ];
  return link[0].stats64.rx.packets;
}

/** Frames a second that leave the switch while more come than it can carry, and how many come. */
async function forwardFrames(seconds: number): Promise<{ packetsPerSecond: number; offeredPerSecond: number }> {
  const directory = mkdtempSync(join(tmpdir(), "bench-veth-"));
  try {
    const program = join(directory, "frame_source");
    run("cc", "-O2", "-o", program, join(root, "native", "port", "bench", "frame_source.c"));
    const command = ["netns", "exec", `${tag}a`, "taskset", "-c", sourceCpu, program, "eth0", String(seconds + 2)];
    const source = spawn("ip", command, { stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    source.stdout.on("data", (data: Buffer) => {
      said += data.toString();
    });
    const ended = once(source, "close");
    await sleep(1000);
    const before = receivedBy(`${tag}b`);
    const begin = performance.now();
    await sleep(1000 * seconds);
    const after = receivedBy(`${tag}b`);
    const elapsed = (performance.now() - begin) / 1000;
    await ended;
    if (said === "") throw new Error("the source of frames does not work here");
    const offered = JSON.parse(said) as { readonly packetsPerSecond: number };
    return { packetsPerSecond: (after - before) / elapsed, offeredPerSecond: offered.packetsPerSecond };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Bits a second of one TCP connection, as its receiver counts them. */
async function carryTcp(seconds: number): Promise<{ bitsPerSecond: number }> {
  const inside = (space: string): string[] => ["netns", "exec", space, "taskset", "-c", sourceCpu, "iperf3"];
  const server = spawn("ip", [...inside(`${tag}b`), "-s", "-1"], { stdio: "ignore" });
  const ended = once(server, "close");
  try {
    await sleep(500);
    const options = ["-c", "10.98.0.2", "--connect-timeout", "3000", "-O", "1", "-t", String(seconds), "-J"];
    const report = JSON.parse(spawnSync("ip", [...inside(`${tag}a`), ...options], { encoding: "utf8" }).stdout) as {
      readonly error?: string;
      readonly end: { readonly sum_received: { readonly bits_per_second: number } };
    };
    if (report.error !== undefined) throw new Error(`iperf3: ${report.error}`);
    return { bitsPerSecond: report.end.sum_received.bits_per_second };
  } finally {
    server.kill();
    await ended;
  }
}

const frameMetrics: readonly Metric[] = [
  { name: "packetsPerSecond", unit: "Mpps", better: "more", scale: 1e6 },
  { name: "offeredPerSecond", unit: "Mpps offered", better: "more", scale: 1e6 },
];
const tcpMetrics: readonly Metric[] = [{ name: "bitsPerSecond", unit: "Gbit/s", better: "more", scale: 1e9 }];

function frameCase(id: string, text: string, setting: Setting): Case {
  return {
    id,
    text,
    metrics: frameMetrics,
    quick: true,
    missing,
    measure: (side, { quick }) => withHosts(side, setting, () => forwardFrames(quick ? 1 : 3)),
  };
}

function tcpCase(id: string, text: string, setting: Setting): Case {
  return {
    id,
    text,
    metrics: tcpMetrics,
    quick: true,
    missing,
    measure: (side, { quick }) => withHosts(side, setting, () => carryTcp(quick ? 2 : 4)),
  };
}

const native = ["xdp-mode=native"];
const generic = ["xdp-mode=generic"];

export const veth: readonly Case[] = [
  frameCase("veth-packet", "veth to veth by AF_PACKET, 64 bytes", { type: "system" }),
  frameCase("veth-afxdp", "veth to veth by AF_XDP, native, 64 bytes", { type: "afxdp", options: native }),
  tcpCase("tcp-packet", "TCP through veths by AF_PACKET (Open vSwitch with userspace-tso-enable)", {
    type: "system",
    ovsConfig: ["userspace-tso-enable=true"],
  }),
  tcpCase("tcp-afxdp", "TCP through veths by AF_XDP, native (Open vSwitch: hosts with ethtool -K tx off)", {
    type: "afxdp",
    options: native,
    ovsWithoutOffloads: true,
  }),
  tcpCase("tcp-afxdp-generic", "TCP through veths by AF_XDP, generic (Open vSwitch: hosts with ethtool -K tx off)", {
    type: "afxdp",
    options: generic,
    ovsWithoutOffloads: true,
  }),
];
