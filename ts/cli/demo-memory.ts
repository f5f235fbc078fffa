/** The demonstration without root: the same switch inside this process, its hosts made of frames. */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createSwitch, type SwitchBridge, type SwitchPort } from "../index.js";

/** A host on a memory port: answers ARP and ping, and can ping. */
interface MemoryHost {
  readonly name: string;
  readonly port: SwitchPort;
  readonly mac: readonly number[];
  readonly address: readonly number[];
}

const broadcast = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
const minimumFrame = 60;
const say = (text = ""): void => {
  process.stdout.write(`${text}\n`);
};

function checksum(bytes: readonly number[]): number[] {
  let sum = 0;
  for (let index = 0; index < bytes.length; index += 2) sum += ((bytes[index] ?? 0) << 8) + (bytes[index + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return [(~sum >> 8) & 0xff, ~sum & 0xff];
}

function frameOf(
  to: readonly number[],
  from: readonly number[],
  type: readonly number[],
  body: readonly number[],
): Uint8Array {
  const bytes = [...to, ...from, ...type, ...body];
  while (bytes.length < minimumFrame) bytes.push(0);
  return Uint8Array.from(bytes);
}

const arp = (operation: number, from: MemoryHost, toMac: readonly number[], toAddress: readonly number[]): Uint8Array =>
  frameOf(
    operation === 1 ? broadcast : toMac,
    from.mac,
    [8, 6],
    [0, 1, 8, 0, 6, 4, 0, operation, ...from.mac, ...from.address, ...toMac, ...toAddress],
  );

function echo(type: 0 | 8, from: MemoryHost, toMac: readonly number[], toAddress: readonly number[]): Uint8Array {
  const icmp = [type, 0, 0, 0, 0, 1, 0, 1, 0x73, 0x6c, 0x75, 0x69, 0x63, 0x65];
  const sum = checksum(icmp);
  icmp[2] = sum[0] ?? 0;
  icmp[3] = sum[1] ?? 0;
  const ip = [0x45, 0, 0, 20 + icmp.length, 0, 0, 0, 0, 64, 1, 0, 0, ...from.address, ...toAddress];
  const ipSum = checksum(ip);
  ip[10] = ipSum[0] ?? 0;
  ip[11] = ipSum[1] ?? 0;
  return frameOf(toMac, from.mac, [8, 0], [...ip, ...icmp]);
}

const isFor = (frame: Uint8Array, at: number, address: readonly number[]): boolean =>
  address.every((byte, index) => frame[at + index] === byte);

/** Lets every host answer what has arrived, until nothing arrives any more.  Returns the frames that each got. */
function exchange(hosts: readonly MemoryHost[]): Map<MemoryHost, Uint8Array[]> {
  const got = new Map<MemoryHost, Uint8Array[]>(hosts.map((host) => [host, []]));
  for (let moved = true; moved; ) {
    moved = false;
    for (const host of hosts) {
      for (const frame of host.port.take()) {
        moved = true;
        got.get(host)?.push(frame);
        const sender = [...frame.subarray(6, 12)];
        const isArp = frame[12] === 8 && frame[13] === 6 && frame[21] === 1;
        const isEcho = frame[12] === 8 && frame[13] === 0 && frame[23] === 1 && frame[34] === 8;
        if (isArp && isFor(frame, 38, host.address)) host.port.send(arp(2, host, sender, [...frame.subarray(28, 32)]));
        if (isEcho && isFor(frame, 30, host.address))
          host.port.send(echo(0, host, sender, [...frame.subarray(26, 30)]));
      }
    }
  }
  return got;
}

/** ARP, then an echo request; whether the echo reply came. */
function ping(hosts: readonly MemoryHost[], from: MemoryHost, to: MemoryHost): boolean {
  from.port.send(arp(1, from, [0, 0, 0, 0, 0, 0], to.address));
  if (!(exchange(hosts).get(from) ?? []).some((frame) => frame[21] === 2)) return false;
  from.port.send(echo(8, from, to.mac, to.address));
  return (exchange(hosts).get(from) ?? []).some(
    (frame) => frame[12] === 8 && frame[13] === 0 && frame[34] === 0 && isFor(frame, 26, to.address),
  );
}

function pingAll(hosts: readonly MemoryHost[]): void {
  for (const from of hosts) {
    const words = hosts
      .filter((to) => to !== from)
      .map((to) => `${to.name} ${ping(hosts, from, to) ? "ok" : "no answer"}`);
    say(`    ${from.name} -> ${words.join(", ")}`);
  }
}

function addHosts(bridge: SwitchBridge): MemoryHost[] {
  return [1, 2, 3].map((n) => ({
    name: `h${n}`,
    port: bridge.addPort(`p${n}`, { number: n }),
    mac: [2, 0, 0, 0, 0, n],
    address: [10, 77, 1, n],
  }));
}

/** Runs until interrupted.  `flows` are the lines of the flow table. */
export async function runDemoInMemory(directory: string, flows: readonly string[]): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const capture = join(directory, "mirror.pcap");
  const sw = await createSwitch({ clock: "virtual", runDirectory: directory });
  const interrupted = new Promise<void>((resolve) => {
    // Ctrl-C under npm arrives twice, from the terminal and from npm: the second must not cut the clean-up short.
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => resolve());
  });
  const alive = setInterval(() => sw.advance(1000), 1000);
  try {
    const bridge = sw.addBridge("br0", { failMode: "standalone" });
    const hosts = addHosts(bridge);
    say("Sluice: a switch, three hosts, one flow table");
    say("(without root, so the hosts are made of frames on memory ports, and everything flooded goes to a pcap file)");
    say();
    for (const host of hosts) say(`    ${host.name} ${host.address.join(".")} --- ${host.port.name} --- br0`);
    bridge.addPort("capture", { type: "pcap", number: 4, options: { tx_pcap: capture } });
    say();
    say("Every host pings every other, through MAC learning:");
    pingAll(hosts);
    say();
    say("A flow table: host 1 may not ping host 3, nobody may telnet:");
    bridge.deleteFlows();
    bridge.addFlows(flows);
    pingAll(hosts);
    say();
    say("The flows and what they counted:");
    for (const flow of bridge.dumpFlows()) say(` ${flow.text}`);
    say();
    say("Why host 1 does not reach host 3:");
    say(bridge.trace("in_port=1,icmp,nw_dst=10.77.1.3").text.replace(/^/gm, "    ").trimEnd());
    bridge.openManagement();
    say();
    say("The switch stays up. In another terminal, try:");
    say();
    say(`    ovs-ofctl dump-flows unix:${join(directory, "br0.mgmt")}`);
    say(`    tcpdump -r ${capture}`);
    say();
    say("Ctrl-C stops the switch and removes what it made.");
    await interrupted;
    say();
    say("Stopping, and removing what was made.");
  } finally {
    clearInterval(alive);
    await sw.dispose();
    if (existsSync(directory)) rmSync(directory, { recursive: true, force: true });
  }
}
