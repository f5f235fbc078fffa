import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { collector, decode } from "./collector.js";
import { noOvs, withPair } from "./pair.js";
import { addDummyBridge, freePort, have, type Switch, sleep, startSluice, until } from "./switch.js";

/** sFlow and IPFIX of the whole switch: what tshark reads in datagrams of Sluice and of Open vSwitch, and a collector. */

const ether = "eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07)";
const packets = [
  `in_port(1),${ether},eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=0xb8,ttl=64,frag=no),tcp(src=1234,dst=80),tcp_flags(0x002)`,
  `in_port(1),${ether},eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=63,frag=no),udp(src=53,dst=5353)`,
  `in_port(2),${ether},eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.3,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)`,
  `in_port(1),${ether},eth_type(0x8100),vlan(vid=5,pcp=3),encap(eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=4,ttl=64,frag=no),udp(src=7,dst=8))`,
  `in_port(2),${ether},eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::2,label=5,proto=17,tclass=0x70,hlimit=64,frag=no),udp(src=1,dst=2)`,
  `in_port(1),${ether},eth_type(0x0806),arp(sip=10.0.0.1,tip=10.0.0.2,op=1,sha=50:54:00:00:00:05,tha=00:00:00:00:00:00)`,
];

function setUp(under: Switch, column: "sflow" | "ipfix", port: number, ...columns: string[]): void {
  addDummyBridge(under, 3);
  under.ok("ovs-ofctl", "add-flow", "br0", "in_port=1,actions=2,3");
  under.ok("ovs-ofctl", "add-flow", "br0", "in_port=2,actions=mod_vlan_vid:9,1");
  const table = column === "sflow" ? "sFlow" : "IPFIX";
  const row = ["--id=@x", "create", table, `targets="127.0.0.1:${port}"`, ...columns];
  under.ok("ovs-vsctl", ...row, "--", "set", "bridge", "br0", `${column}=@x`);
}

/** Sends the packets; with `arrived`, one after the other, each when all is told of the one before: how many packets are
 *  handled at once is up to each switch, and running totals go by it. */
async function send(under: Switch, arrived?: (inPort: number) => Promise<void>): Promise<void> {
  for (const port of [1, 2]) {
    const own = packets.filter((packet) => packet.startsWith(`in_port(${port})`));
    const bursts = arrived === undefined ? [own] : own.map((packet) => [packet]);
    for (const burst of bursts) {
      under.ok("ovs-appctl", "netdev-dummy/receive", `p${port}`, ...burst);
      await arrived?.(port);
    }
  }
}

/** Samples, records and templates as tshark prints them, each whole, without times and without what depends on the order of
 *  packets, which is up to each switch.  Open vSwitch takes the first packet of a flow for dropped, wherever it goes. */
function told(text: string, begins: RegExp, ownLines: RegExp): string[] {
  const parts: string[][] = [];
  for (const line of text.split("\n").map((each) => each.trim())) {
    if (begins.test(line)) parts.push([]);
    if (line !== "" && !ownLines.test(line)) parts.at(-1)?.push(line);
  }
  return parts.map((lines) => lines.join("\n")).sort();
}

async function gatherSamples(under: Switch): Promise<readonly Buffer[]> {
  const from = await collector();
  setUp(under, "sflow", from.port, "agent=lo", "sampling=1", "polling=0", "header=96");
  await send(under);
  const nSamples = (): number => from.datagrams.reduce((sum, datagram) => sum + datagram.readUInt32BE(24), 0);
  await until(`${under.kind} samples`, 60, () => nSamples() >= packets.length);
  from.close();
  return from.datagrams;
}

async function gatherRecords(under: Switch): Promise<readonly Buffer[]> {
  const from = await collector();
  setUp(under, "ipfix", from.port, "obs_domain_id=7", "obs_point_id=9", "sampling=1");
  const isRecord = (datagram: Buffer): boolean => datagram.readUInt16BE(16) >= 256;
  // One of the exporter itself comes with the first.
  let wanted = 1;
  await send(under, async (inPort) => {
    // What came in by p1 leaves by two ports, the others by one.
    wanted += inPort === 1 ? 3 : 2;
    await until(`${under.kind} tells`, 60, () => from.datagrams.filter(isRecord).length >= wanted);
  });
  from.close();
  return from.datagrams;
}

const missing = noOvs ?? (have("tshark") ? undefined : "tshark is not installed");
if (missing !== undefined) console.log(`skip: sFlow and IPFIX beside Open vSwitch: ${missing}`);
else {
  const kinds = [
    [6343, "sflow", /^Flow sample/],
    [4739, "cflow", /^Set /],
  ] as const;
  const own =
    /^(Frame|Ethernet|Internet Protocol|User Datagram|Datagram|Agent|Sub-agent|Sequence|SysUptime|Sample pool|Timestamp|Export|Length|\[|StartTime|EndTime|Dropped|FlowSequence)|Total/;

  test("tshark reads the same samples of sFlow and records of IPFIX as from Open vSwitch, and nothing malformed", async () => {
    const gathered: (readonly Buffer[])[] = [];
    await withPair(async ({ both }) => {
      for (const gather of [gatherSamples, gatherRecords]) {
        for (const under of both) {
          gathered.push(await gather(under));
          under.ok("ovs-vsctl", "del-br", "br0");
        }
      }
    });
    for (const [index, [port, protocol, begins]] of kinds.entries()) {
      const [mine, other] = gathered
        .slice(2 * index, 2 * index + 2)
        .map((each) => decode(each, port, protocol, "-V", "-O", protocol));
      assert.not.match(mine ?? "", /[Mm]alformed/);
      const expected = told(other ?? "", begins, own);
      assert.ok(expected.length >= packets.length);
      assert.equal(told(mine ?? "", begins, own), expected);
    }
  });
}

if (!have("nfcapd") || !have("nfdump")) console.log("skip: IPFIX collected: nfdump is not installed");
else {
  test("nfcapd collects IPFIX, and nfdump prints it", async () => {
    const under = await startSluice({ dummy: true });
    const directory = mkdtempSync(join(tmpdir(), "sluice-ipfix-"));
    const port = await freePort();
    const nfcapd = spawn("nfcapd", ["-l", directory, "-w", directory, "-p", String(port), "-b", "127.0.0.1"], {
      stdio: "ignore",
    });
    try {
      await sleep(500);
      setUp(under, "ipfix", port, "sampling=1");
      await send(under);
      await sleep(1500);
      nfcapd.kill("SIGTERM");
      await until("nfcapd ends", 10, () => nfcapd.exitCode !== null || nfcapd.signalCode !== null);
      const file = readdirSync(directory).find((name) => name.startsWith("nfcapd."));
      const printed = spawnSync(
        "nfdump",
        ["-r", join(directory, file ?? ""), "-q", "-6", "-o", "fmt:%sa %da %pkt %pr"],
        {
          encoding: "utf8",
        },
      );
      const rows = printed.stdout
        .trim()
        .split("\n")
        .map((line) => line.trim().split(/\s+/).join(" "));
      // It takes what the exporter has seen in all for what the flow has.
      const has = (row: RegExp): boolean => rows.some((each) => row.test(each));
      assert.ok(has(/^10.0.0.1 10.0.0.3 \d+ ICMP$/), printed.stdout + printed.stderr);
      assert.ok(has(/^fe80::1 fe80::2 \d+ UDP$/), printed.stdout);
    } finally {
      if (nfcapd.exitCode === null) nfcapd.kill("SIGKILL");
      rmSync(directory, { recursive: true, force: true });
      await under.stop();
    }
  });
}

test.run();
