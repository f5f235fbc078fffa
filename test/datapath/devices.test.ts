/** Ports on network devices: TCP between two namespaces through the datapath, nothing set by ethtool. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { release } from "node:os";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { portClass } from "../../ts/datapath/generated/records.js";
import { BatchBuilder, Datapath, type DatapathEvents, link, portStats, xskStats } from "../../ts/datapath/index.js";
import { type Host, makeHosts, removeHosts } from "../system/hosts.js";
import { addFlow, makeBridge, output, udpFrame } from "./bridge-setup.js";

const canMakeDevices = process.getuid?.() === 0 && spawnSync("ip", ["-V"]).status === 0;
if (!canMakeDevices) console.log("skip: ports on network devices need root and iproute2");

/** In one namespace a server that counts and sums the bytes it gets, in another a client that sends them. */
const server = `
const net = require("node:net");
let size = 0, sum = 0;
net.createServer((socket) => socket.on("data", (data) => { size += data.length; for (const byte of data) sum = (sum + byte) % 65521; })
  .on("end", () => { console.log(size, sum); process.exit(); })).listen(5000, () => console.log("ready"));
setTimeout(() => process.exit(1), 20000);`;
const client = `
const socket = require("node:net").connect(5000, process.argv[1]);
const data = Buffer.alloc(1 << 20, "a few bytes that do not repeat with a power of two");
let left = Number(process.argv[2]);
const more = () => { while (left > 0) { left--; if (!socket.write(data)) return socket.once("drain", more); } socket.end(); };
socket.on("connect", more).on("close", () => process.exit()).on("error", (error) => { console.log(error.message); process.exit(1); });
setTimeout(() => process.exit(1), 20000);`;

const inside = (host: Host, script: string, ...args: string[]): ChildProcess =>
  spawn("ip", ["netns", "exec", host.name, process.execPath, "-e", script, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });

/** Sends that many MiB from a host to another; resolves with what the server prints. */
async function transfer(from: Host, to: Host, mebibytes: number): Promise<string> {
  const listening = inside(to, server);
  let text = "";
  let sending: ChildProcess | undefined;
  const done = new Promise<void>((resolve) => listening.on("close", () => resolve()));
  listening.stdout?.on("data", (data: Buffer) => {
    text += data.toString();
    if (text.includes("ready") && sending === undefined) sending = inside(from, client, to.address, String(mebibytes));
  });
  await done;
  sending?.kill();
  return text.replace("ready", "").trim();
}

function expected(mebibytes: number): string {
  const data = Buffer.alloc(1 << 20, "a few bytes that do not repeat with a power of two");
  const once = data.reduce((sum, byte) => (sum + byte) % 65521, 0);
  return `${mebibytes << 20} ${(once * mebibytes) % 65521}`;
}

const normal = 0xfffffffa;

async function tcpOver(
  ports: readonly [first: number, second: number],
  config: Readonly<Record<string, string>> = {},
): Promise<Datapath> {
  const hosts = makeHosts("slp", 2);
  const datapath = new Datapath({ workers: 1 });
  try {
    makeBridge(
      datapath,
      hosts.map((host, index) => [ports[index]!, host.port, config] as const),
    );
    const bundles = new BatchBuilder();
    for (const port of [1, 2]) {
      const none = new BigUint64Array(64);
      bundles.bundleSet(
        { bridge: 1, bundle: port, vlanMode: 1, tag: 0, qinqEthtype: 0, bundleFlags: 0, trunks: none, cvlans: none },
        [port],
      );
    }
    addFlow(bundles, 1, output(normal)).commit(datapath);
    const [first, second] = hosts;
    assert.is(await transfer(first!, second!, 24), expected(24));
    assert.is(await transfer(second!, first!, 8), expected(8));
    for (const port of [1, 2]) {
      const stats = portStats(datapath, port);
      assert.ok(stats !== undefined && stats.rxPackets > 50n && stats.up === 1 && stats.carrier === 1);
      assert.is(stats.txErrors, 0n);
    }
  } finally {
    datapath.dispose();
    removeHosts(hosts);
  }
  return datapath;
}

/** Registers a test that is skipped without the right to make devices. */
const deviceTest = (name: string, run: () => Promise<void>): void => {
  if (canMakeDevices) test(name, run);
  else test.skip(name, run);
};

deviceTest("TCP passes between packet ports", async () => {
  await tcpOver([portClass.packet, portClass.packet]);
});

deviceTest("TCP passes between afxdp ports", async () => {
  await tcpOver([portClass.afxdp, portClass.afxdp]);
});

/** Whether the kernel hands over packets in several frames, as 6.6 and newer do. */
function takesSuperFrames(): boolean {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  return major > 6 || (major === 6 && minor >= 6);
}

if (canMakeDevices && takesSuperFrames()) {
  test("TCP passes between afxdp ports in generic mode, super-frames and all", async () => {
    await tcpOver([portClass.afxdp, portClass.afxdp], { "xdp-mode": "generic" });
  });
} else {
  test.skip("TCP passes between afxdp ports in generic mode, super-frames and all");
}

deviceTest("TCP passes between a packet and an afxdp port", async () => {
  await tcpOver([portClass.packet, portClass.afxdp]);
});

const ip = (...args: string[]): void => assert.is(spawnSync("ip", args).status, 0, `ip ${args.join(" ")}`);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

deviceTest("TCP passes between a host and the machine's own tap, which goes when its port does", async () => {
  const hosts = makeHosts("slp", 1);
  const datapath = new Datapath({ workers: 1 });
  const tap = `slpt${process.pid % 10000}`;
  const space = `${tap}n`;
  try {
    makeBridge(datapath, [
      [portClass.packet, hosts[0]!.port],
      [portClass.tap, tap],
    ]);
    addFlow(new BatchBuilder(), 1, output(0xfffffffb)).commit(datapath);
    assert.is(link(datapath, tap)?.kind, "tun");
    // The tap's other side is the namespace that it lies in.
    ip("netns", "add", space);
    ip("link", "set", tap, "netns", space);
    ip("-n", space, "addr", "add", "10.77.0.9/24", "dev", tap);
    ip("-n", space, "link", "set", tap, "up");
    const other = { ...hosts[0]!, name: space, address: "10.77.0.9" };
    assert.is(await transfer(hosts[0]!, other, 8), expected(8));
    assert.is(await transfer(other, hosts[0]!, 8), expected(8));
  } finally {
    datapath.dispose();
    assert.is(spawnSync("ip", ["-n", space, "link", "show", tap]).status, 1);
    spawnSync("ip", ["netns", "del", space]);
    removeHosts(hosts);
  }
});

for (const [name, device] of [
  ["packet", portClass.packet],
  ["afxdp", portClass.afxdp],
] as const) {
  deviceTest(`frames pass ${name} ports as they are: tags of both kinds, and any length`, async () => {
    const ends = ["a", "b"].map((end) => `slp${process.pid % 10000}${end}`);
    const datapath = new Datapath();
    const frames: DatapathEvents["portFrame"][] = [];
    const vlan = (...tag: number[]): Uint8Array => {
      const frame = udpFrame(1);
      return Uint8Array.from([...frame.subarray(0, 12), ...tag, ...frame.subarray(12)]);
    };
    const long = new Uint8Array(1514).fill(7);
    long.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x12, 0x34]);
    const sent = [
      udpFrame(1),
      vlan(0x81, 0, 0x60, 5),
      vlan(0x88, 0xa8, 0, 7),
      vlan(0x88, 0xa8, 0, 7, 0x81, 0, 0, 9),
      long,
    ];
    try {
      ip("link", "add", ends[0]!, "type", "veth", "peer", "name", ends[1]!);
      for (const end of ends) ip("link", "set", end, "up");
      makeBridge(datapath, [
        [portClass.memory, "in"],
        [device, ends[0]!],
        [device, ends[1]!],
        [portClass.memory, "out"],
      ]);
      const batch = new BatchBuilder();
      // From "in" to the first end; what arrives at the second goes to "out".
      for (const [from, to] of [
        [1, 2],
        [3, 4],
      ] as const)
        addFlow(batch, 9, output(to), { inPort: from });
      addFlow(batch, 1, new Uint8Array(0)).commit(datapath);
      datapath.on("portFrame", (frame) => frames.push(frame));
      for (const frame of sent) batch.portInject(1, frame);
      batch.commit(datapath);
      for (let wait = 0; wait < 100 && frames.length < sent.length; wait++) {
        datapath.run();
        await pause(5);
      }
      const got = frames
        .filter(({ packet }) => packet[0] === 2)
        .map(({ packet }) => Buffer.from(packet).toString("hex"));
      assert.equal(
        got,
        sent.map((frame) => Buffer.from(frame).toString("hex")),
      );
    } finally {
      datapath.dispose();
      spawnSync("ip", ["link", "del", ends[0]!]);
    }
  });
}

deviceTest("a device that goes and comes is told of, and promiscuous mode ends with the port", async () => {
  const hosts = makeHosts("slp", 1);
  const datapath = new Datapath({ workers: 1 });
  const changes: DatapathEvents["portChanged"][] = [];
  const name = hosts[0]!.port;
  const promiscuous = 0x100;
  try {
    datapath.on("portChanged", (change) => changes.push(change));
    makeBridge(datapath, [[portClass.packet, name]]);
    assert.ok(((link(datapath, name)?.linkFlags ?? 0) & promiscuous) !== 0);
    ip("link", "set", name, "mtu", "1400");
    ip("link", "set", name, "down");
    await pause(300);
    assert.ok(changes.some((change) => change.dpPort === 1 && change.systemError === 0));
    assert.equal([portStats(datapath, 1)?.mtu, portStats(datapath, 1)?.up], [1400, 0]);
    new BatchBuilder().portClose(1).commit(datapath);
    assert.is((link(datapath, name)?.linkFlags ?? 0) & promiscuous, 0);
    new BatchBuilder().portOpen(1, portClass.packet, name).commit(datapath);
    changes.length = 0;
    ip("link", "del", name);
    await pause(300);
    assert.ok(changes.some((change) => change.dpPort === 1 && change.systemError === 19));
    const before = process.cpuUsage();
    await pause(300);
    const used = process.cpuUsage(before);
    assert.ok(used.user + used.system < 150_000, "a port whose device is gone costs no time");
  } finally {
    datapath.dispose();
    removeHosts(hosts);
  }
});

/** A veth with as many queues as the port: `count` frames go in at one end, come back at the other through an AF_XDP port that sends each
 *  out of where it came from. */
async function roundTrips(config: Readonly<Record<string, string>>, count: number): Promise<void> {
  const ends = ["a", "b"].map((end) => `slq${process.pid % 10000}${end}`);
  const there = new Datapath();
  const back = new Datapath();
  const queues = ["numrxqueues", config["n_rxq"]!, "numtxqueues", config["n_rxq"]!];
  const got = new Map<string, number>();
  const keyOf = (frame: Uint8Array): string => Buffer.from(frame).toString("hex");
  try {
    ip("link", "add", ends[0]!, ...queues, "type", "veth", "peer", "name", ends[1]!, ...queues);
    for (const end of ends) ip("link", "set", end, "up");
    makeBridge(there, [
      [portClass.memory, "memory"],
      [portClass.packet, ends[0]!],
    ]);
    const batch = new BatchBuilder();
    addFlow(batch, 1, output(2), { inPort: 1 });
    addFlow(batch, 1, output(1), { inPort: 2 }).commit(there);
    makeBridge(back, [[portClass.afxdp, ends[1]!, config]]);
    addFlow(new BatchBuilder(), 1, output(0xfffffff8)).commit(back);
    assert.is(portStats(back, 1)?.nRxq, Number(config["n_rxq"]));
    assert.is(portStats(back, 1)?.xdpUseNeedWakeup, config["use-need-wakeup"] === "false" ? 0 : 1);
    assert.is(xskStats(back, 1).length, Number(config["n_rxq"]));
    there.on("portFrame", ({ packet }) => {
      const key = keyOf(packet);
      if (packet[0] === 2) got.set(key, (got.get(key) ?? 0) + 1);
    });
    const total = (): number => [...got.values()].reduce((sum, each) => sum + each, 0);
    for (let sent = 0; sent < count; sent += 32) {
      const inject = new BatchBuilder();
      for (let i = 0; i < 32; i++) {
        const frame = udpFrame(1 + (i % 32));
        frame[35] = (sent / 32) % 256;
        inject.portInject(1, frame);
      }
      inject.commit(there);
      for (let wait = 0; wait < 200 && total() < sent + 32; wait++) {
        there.run();
        back.run();
        if (wait > 20) await pause(1);
      }
    }
    assert.is(total(), count, "every frame comes back");
    assert.is(got.size, Math.min(count, 256 * 32), "as it was sent");
    const stats = portStats(back, 1);
    assert.equal([stats?.rxDropped, stats?.txDropped, stats?.txErrors], [0n, 0n, 0n]);
    for (const socket of xskStats(back, 1)) {
      assert.equal([socket.rxDropped, socket.rxInvalidDescs, socket.txInvalidDescs], [0n, 0n, 0n]);
    }
  } finally {
    there.dispose();
    back.dispose();
    spawnSync("ip", ["link", "del", ends[0]!]);
  }
}

deviceTest(
  "an afxdp port's queues share a umem, whose frames go round between them more often than there are",
  async () => {
    await roundTrips({ n_rxq: "4", "xdp-mode": "native" }, 32 * 640);
    await roundTrips({ n_rxq: "4", "xdp-mode": "generic" }, 32 * 40);
  },
);

deviceTest("an afxdp port works without the kernel's asking for wake-ups", async () => {
  await roundTrips({ n_rxq: "1", "use-need-wakeup": "false" }, 32 * 160);
});

deviceTest("a device has one AF_XDP port at a time, and modes have names", async () => {
  const hosts = makeHosts("slp", 1);
  const datapath = new Datapath();
  const open = (dpPort: number, config: Readonly<Record<string, string>>): number | undefined =>
    new BatchBuilder().portOpen(dpPort, portClass.afxdp, hosts[0]!.port, config).submit(datapath)[0]?.systemError;
  try {
    assert.is(open(1, { "xdp-mode": "quick" }), 22);
    assert.is(open(1, { "use-need-wakeup": "perhaps" }), 22);
    assert.is(open(1, { n_rxq: "2" }), 22, "the device has one queue");
    assert.is(open(1, { "xdp-mode": "native-with-zerocopy" }), 95);
    assert.is(open(1, { "xdp-mode": "native" }), 0);
    assert.is(portStats(datapath, 1)?.xdpMode, 2);
    assert.is(open(2, { "xdp-mode": "native" }), 16);
    new BatchBuilder().portClose(1).commit(datapath);
    assert.is(open(1, { "xdp-mode": "generic" }), 0, "at once, though the kernel frees the queue a little later");
    assert.is(portStats(datapath, 1)?.xdpMode, 3);
  } finally {
    datapath.dispose();
    removeHosts(hosts);
  }
});

test.run();
