import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Collector, collector, decode } from "./collector.js";
import { noOvs, withPair } from "./pair.js";
import { addDummyBridge, freePort, have, type Switch, sleep, startSluice, until } from "./switch.js";

/** NetFlow of the whole switch: its datagrams beside those of Open vSwitch, and as collectors read them. */

/** What was told of each flow in all records together, without times.  When either switch looks at its megaflows is a matter
 *  of chance, and it may be between two packets. */
function recordsOf(datagrams: readonly Buffer[]): string[] {
  const sums = new Map<string, [packets: number, bytes: number, flags: number]>();
  for (const datagram of datagrams) {
    for (let at = 24; at < 24 + 48 * datagram.readUInt16BE(2); at += 48) {
      const record = datagram.subarray(at, at + 48);
      const ends = Buffer.concat([record.subarray(0, 16), record.subarray(32, 37), record.subarray(38)]).toString(
        "hex",
      );
      const [packets, bytes, flags] = sums.get(ends) ?? [0, 0, 0];
      const all = flags | record.readUInt8(37);
      sums.set(ends, [packets + record.readUInt32BE(16), bytes + record.readUInt32BE(20), all]);
    }
  }
  return [...sums].map(([ends, counts]) => `${ends} ${counts.join(" ")}`).sort();
}

const packets = [
  "in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=0xb8,ttl=64,frag=no),tcp(src=1234,dst=80),tcp_flags(0x002)",
  "in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=0xb8,ttl=64,frag=no),tcp(src=1234,dst=80),tcp_flags(0x010)",
  "in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=53,dst=5353)",
  "in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.3,proto=17,tos=0,ttl=64,frag=no),udp(src=53,dst=5353)",
  "in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)",
  "in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.9,proto=1,tos=0,ttl=64,frag=no),icmp(type=3,code=1)",
  "in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=132,tos=0,ttl=64,frag=no),sctp(src=9,dst=10)",
  "in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=89,tos=0,ttl=64,frag=no)",
  "in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::2,label=0,proto=17,tclass=0,hlimit=64,frag=no),udp(src=1,dst=2)",
  "in_port(1),eth(src=50:54:00:00:00:05,dst=ff:ff:ff:ff:ff:ff),eth_type(0x0806),arp(sip=10.0.0.1,tip=10.0.0.2,op=1,sha=50:54:00:00:00:05,tha=00:00:00:00:00:00)",
];

const rules = [
  "table=0,priority=1,actions=drop",
  "priority=5,in_port=1,udp,nw_dst=10.0.0.2,actions=2",
  "priority=5,in_port=1,udp,nw_dst=10.0.0.3,actions=2,3",
  "priority=5,in_port=1,tcp,actions=FLOOD",
  "priority=5,in_port=1,icmp,actions=mod_nw_dst:10.9.9.9,3",
  "priority=5,in_port=1,sctp,actions=set_queue:1,2",
  "priority=5,in_port=1,ip,nw_proto=89,actions=enqueue:2:1",
];

function setUp(under: Switch, port: number, ...columns: string[]): void {
  addDummyBridge(under, 3);
  for (const rule of rules) under.ok("ovs-ofctl", "add-flow", "br0", rule);
  const targets = `targets="127.0.0.1:${port}"`;
  under.ok(
    "ovs-vsctl",
    "--id=@nf",
    "create",
    "NetFlow",
    targets,
    ...columns,
    "--",
    "set",
    "bridge",
    "br0",
    "netflow=@nf",
  );
}

function traffic(under: Switch): void {
  under.ok("ovs-appctl", "netdev-dummy/receive", "p1", ...packets);
  under.ok("ovs-appctl", "netdev-dummy/receive", "p1", ...packets.slice(0, 6));
}

async function told(under: Switch, from: Collector, nRecords: number): Promise<string[]> {
  under.ok("ovs-appctl", "revalidator/wait");
  under.ok("ovs-appctl", "revalidator/purge");
  await until(`${under.kind} tells ${nRecords} flows`, 10, () => recordsOf(from.datagrams).length >= nRecords);
  await sleep(200);
  return recordsOf(from.datagrams);
}

const nFlows = 7;

if (noOvs !== undefined) console.log(`skip: NetFlow beside Open vSwitch: ${noOvs}`);
else {
  test("the same packets make the same records as in Open vSwitch, from megaflows that are as narrow", async () => {
    await withPair(async ({ ours, theirs, both }) => {
      const collectors = [await collector(), await collector()] as const;
      try {
        const records: string[][] = [];
        const flows: string[] = [];
        for (const [i, under] of both.entries()) {
          const from = collectors[i as 0 | 1];
          setUp(under, from.port, "active_timeout=60");
          traffic(under);
          await sleep(200);
          const dump = under.ok("ovs-appctl", "dpctl/dump-flows").split("\n");
          const matches = dump.filter((line) => line.includes("recirc_id")).map((line) => line.split(", packets")[0]);
          flows.push(matches.sort().join("\n"));
          records.push(await told(under, from, nFlows));
        }
        assert.is(records[0]?.join("\n"), records[1]?.join("\n"));
        assert.is(records[0]?.length, nFlows);
        assert.is(flows[0], flows[1]);
        const heads = collectors.map(({ datagrams }) => datagrams[0]?.subarray(20, 24).toString("hex"));
        assert.is(heads[0], heads[1], "the datapath's own engine type and id, and no sampling");

        for (const [i, under] of both.entries()) {
          const from = collectors[i as 0 | 1];
          const netflow = under.ok("ovs-vsctl", "get", "bridge", "br0", "netflow").trim();
          under.ok(
            "ovs-vsctl",
            "set",
            "NetFlow",
            netflow,
            "engine_type=3",
            "engine_id=200",
            "add_id_to_interface=true",
            "active_timeout=-1",
          );
          from.datagrams.length = 0;
          traffic(under);
          records[i] = await told(under, from, nFlows);
          heads[i] = from.datagrams[0]?.subarray(20, 24).toString("hex");
        }
        assert.is(records[0]?.join("\n"), records[1]?.join("\n"), "after a change of options");
        assert.equal(heads, ["03c80000", "03c80000"]);
        const warnings = both.map((under) =>
          under
            .log()
            .split("\n")
            .filter((line) => /netflow|active timeout/i.test(line)),
        );
        const [mine = [], other = []] = warnings.map((lines) => [
          ...new Set(lines.map((line) => line.split("|").slice(2).join("|"))),
        ]);
        assert.equal(mine.sort(), other.sort());
        assert.is(mine.length, 2);

        for (const [i, under] of both.entries()) {
          under.ok("ovs-vsctl", "clear", "bridge", "br0", "netflow");
          collectors[i as 0 | 1].datagrams.length = 0;
          traffic(under);
          under.ok("ovs-appctl", "revalidator/purge");
        }
        await sleep(300);
        assert.equal(
          collectors.map(({ datagrams }) => datagrams.length),
          [0, 0],
          "without NetFlow nothing is told",
        );
        assert.ok(ours.alive() && theirs.alive());
      } finally {
        for (const { close } of collectors) close();
      }
    });
  });
}

test("a flow that goes on is told each time that the active timeout passes, and its times are those of its packets", async () => {
  const under = await startSluice({ dummy: true });
  const from = await collector();
  try {
    setUp(under, from.port, "active_timeout=10");
    under.ok("ovs-appctl", "time/stop");
    for (let second = 0; second < 25; second += 2) {
      under.ok("ovs-appctl", "netdev-dummy/receive", "p1", packets[2] ?? "");
      under.ok("ovs-appctl", "time/warp", "2000");
    }
    under.ok("ovs-appctl", "time/warp", "12000");
    await until("three records", 10, () => from.datagrams.length >= 3);
    const records = from.datagrams.map((datagram) => datagram.subarray(24));
    const counts = records.map((record) => record.readUInt32BE(16));
    assert.is(
      counts.reduce((sum, count) => sum + count, 0),
      13,
    );
    assert.ok((counts[0] ?? 0) >= 5 && (counts[1] ?? 0) >= 5, `${counts}`);
    const firsts = new Set(records.map((record) => record.readUInt32BE(24)));
    assert.is(firsts.size, 1, "each record tells when the flow began");
    const lasts = records.map((record) => record.readUInt32BE(28));
    assert.ok((lasts[2] ?? 0) - (lasts[0] ?? 0) >= 10_000, `${lasts}`);
    const sequences = from.datagrams.map((datagram) => datagram.readUInt32BE(16));
    assert.equal(sequences, [0, 1, 2]);
  } finally {
    from.close();
    await under.stop();
  }
});

if (!have("tshark")) console.log("skip: NetFlow decoded: tshark is not installed");
else {
  test("tshark reads the records, and finds nothing malformed", async () => {
    const under = await startSluice({ dummy: true });
    const from = await collector();
    try {
      setUp(under, from.port, "engine_id=9", "engine_type=1");
      traffic(under);
      await told(under, from, nFlows);
      const fields = ["srcaddr", "dstaddr", "inputint", "outputint", "packets", "protocol"].flatMap((field) => [
        "-e",
        `cflow.${field}`,
      ]);
      const form = ["-T", "fields", "-E", "aggregator=;", ...fields, "-e", "_ws.malformed"];
      const decoded = decode(from.datagrams, 2055, "cflow", ...form);
      const rows = decoded
        .trimEnd()
        .split("\n")
        .flatMap((line) => {
          const columns = line.split("\t").map((column) => column.split(";"));
          return (columns[0] ?? []).map((_, i) =>
            columns
              .map((column) => column[i] ?? "")
              .join(" ")
              .trim(),
          );
        });
      assert.equal(
        rows.sort(),
        [
          "10.0.0.1 10.0.0.2 1 2 2 17",
          "10.0.0.1 10.0.0.2 1 2 1 132",
          "10.0.0.1 10.0.0.2 1 65534 1 89",
          "10.0.0.1 10.0.0.2 1 65535 4 6",
          "10.0.0.1 10.0.0.3 1 65534 2 17",
          "10.0.0.1 10.9.9.9 1 3 2 1",
          "10.0.0.1 10.9.9.9 1 3 2 1",
        ].sort(),
      );
    } finally {
      from.close();
      await under.stop();
    }
  });
}

if (!have("nfcapd") || !have("nfdump")) console.log("skip: NetFlow collected: nfdump is not installed");
else {
  test("nfcapd collects what nfdump then prints", async () => {
    const under = await startSluice({ dummy: true });
    const directory = mkdtempSync(join(tmpdir(), "sluice-nfcapd-"));
    const port = await freePort();
    const from = await collector();
    const nfcapd = spawn("nfcapd", ["-l", directory, "-w", directory, "-p", String(port), "-b", "127.0.0.1"], {
      stdio: "ignore",
    });
    try {
      await sleep(500);
      setUp(under, port, `targets="127.0.0.1:${port}","127.0.0.1:${from.port}"`);
      traffic(under);
      await told(under, from, nFlows);
      await sleep(300);
      nfcapd.kill("SIGTERM");
      await until("nfcapd ends", 10, () => nfcapd.exitCode !== null || nfcapd.signalCode !== null);
      const file = readdirSync(directory).find((name) => name.startsWith("nfcapd."));
      const printed = spawnSync(
        "nfdump",
        ["-r", join(directory, file ?? ""), "-q", "-o", "fmt:%sa %da %in %out %pkt %byt %pr"],
        { encoding: "utf8" },
      );
      const rows = printed.stdout
        .trim()
        .split("\n")
        .map((line) => line.trim().split(/\s+/).join(" "));
      assert.is(rows.length, nFlows, printed.stdout + printed.stderr);
      assert.ok(rows.includes("10.0.0.1 10.0.0.2 1 2 2 212 UDP"), printed.stdout);
    } finally {
      if (nfcapd.exitCode === null) nfcapd.kill("SIGKILL");
      from.close();
      rmSync(directory, { recursive: true, force: true });
      await under.stop();
    }
  });
}

test.run();
