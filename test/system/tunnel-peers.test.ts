import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { noOvs, type Pair, withPair } from "./pair.js";
import { have, type Switch, sleep, until } from "./switch.js";

/** Every type of tunnel with the real Open vSwitch at its other end: each switch has a bridge whose port is one end of a
 *  stream of frames, and a bridge with the tunnel. */

interface Case {
  readonly name: string;
  /** Columns of the tunnel's interface, without remote_ip. */
  readonly set: string;
  readonly over: readonly ("ipv4" | "ipv6")[];
  /** What tshark calls the tunnel's protocol. */
  readonly decodedAs: RegExp;
  /** Actions before the tunnel, and a match behind it. */
  readonly actions?: string;
  readonly match?: string;
  /** The frame's Ethernet header does not go through. */
  readonly layer3?: boolean;
  /** What Open vSwitch sends is damaged. */
  readonly oneWay?: boolean;
}

const both = ["ipv4", "ipv6"] as const;
const cases: readonly Case[] = [
  { name: "vxlan", set: "type=vxlan options:key=7", over: both, decodedAs: /:vxlan:/ },
  {
    name: "vxlan with checksums",
    set: "type=vxlan options:key=8 options:csum=true",
    over: ["ipv4"],
    decodedAs: /:vxlan:/,
  },
  {
    name: "vxlan-gpe",
    set: "type=vxlan options:key=7 options:exts=gpe options:dst_port=4790",
    over: both,
    decodedAs: /:udp:/,
  },
  {
    name: "geneve with an option",
    set: "type=geneve options:key=flow",
    over: both,
    decodedAs: /:geneve:/,
    actions: "set_field:0x123456->tun_id,set_field:0xcafe1234->tun_metadata0,",
    match: ",tun_id=0x123456,tun_metadata0=0xcafe1234",
  },
  { name: "gre", set: "type=gre options:key=11", over: both, decodedAs: /:gre:/ },
  { name: "gre with checksums", set: "type=gre options:csum=true", over: ["ipv4"], decodedAs: /:gre:/ },
  {
    name: "gre with sequence numbers",
    set: "type=gre options:key=3 options:seq=true",
    over: ["ipv4"],
    decodedAs: /:gre:/,
  },
  { name: "ip6gre", set: "type=ip6gre options:key=12", over: ["ipv6"], decodedAs: /:ipv6:.*gre:/ },
  {
    name: "erspan version 1",
    set: "type=erspan options:key=5 options:erspan_ver=1 options:erspan_idx=3",
    over: ["ipv4"],
    decodedAs: /:gre:erspan:/,
  },
  {
    name: "erspan version 2",
    set: "type=erspan options:key=6 options:erspan_ver=2 options:erspan_dir=1 options:erspan_hwid=7",
    over: ["ipv4"],
    decodedAs: /:gre:erspan:/,
  },
  {
    name: "ip6erspan",
    set: "type=ip6erspan options:key=6 options:erspan_ver=1 options:erspan_idx=9",
    over: ["ipv6"],
    decodedAs: /:gre:erspan:/,
  },
  // Open vSwitch 3.1 computes the UDP checksum before it writes the length, and refuses such packets itself.
  { name: "gtpu", oneWay: true, set: "type=gtpu options:key=99", over: both, decodedAs: /:gtp:/, layer3: true },
];

const addresses = {
  ipv4: ["10.9.0.1", "10.9.0.2"],
  ipv6: ["fd09::1", "fd09::2"],
} as const;

/** A UDP packet from 10.0.0.1 to 10.0.0.2 whose payload tells which one it is. */
function frame(tag: number): string {
  const payload = tag.toString(16).padStart(8, "0").repeat(4);
  const ip = "450000" + "2c" + "00000000" + "4011" + "66bf" + "0a000001" + "0a000002";
  return `0200000000bb0200000000aa0800${ip}04d2162e00180000${payload}`;
}

/** Frames in a pcap file, as hex. */
function framesOf(path: string): string[] {
  const bytes = readFileSync(path);
  const found: string[] = [];
  for (let at = 24; at + 16 <= bytes.length; ) {
    const size = bytes.readUInt32LE(at + 8);
    found.push(bytes.subarray(at + 16, at + 16 + size).toString("hex"));
    at += 16 + size;
  }
  return found;
}

function prepare(under: Switch, index: number, wire: string): void {
  under.ok(
    "ovs-vsctl",
    ...`add-br br-phy -- set bridge br-phy datapath_type=dummy other_config:hwaddr=02:09:00:00:00:0${index + 1}`.split(
      " ",
    ),
    ...`-- add-port br-phy p0 -- set interface p0 type=dummy ${wire} options:tx_pcap=${under.directory}/wire.pcap`.split(
      " ",
    ),
    ..."-- add-br br-int -- set bridge br-int datapath_type=dummy".split(" "),
    ...`-- add-port br-int h1 -- set interface h1 type=dummy ofport_request=1 options:tx_pcap=${under.directory}/h1.pcap`.split(
      " ",
    ),
  );
  under.ok("ovs-appctl", "netdev-dummy/set-admin-state", "up");
  under.ok("ovs-appctl", "netdev-dummy/ip4addr", "br-phy", `${addresses.ipv4[index]}/24`);
  under.ok("ovs-appctl", "netdev-dummy/ip6addr", "br-phy", `${addresses.ipv6[index]}/64`);
  under.run("ovs-appctl", "ovs/route/add", "10.9.0.0/24", "br-phy");
  under.run("ovs-appctl", "ovs/route/add", "fd09::/64", "br-phy");
  under.ok("ovs-ofctl", "add-tlv-map", "br-int", "{class=0xffff,type=0x10,len=4}->tun_metadata0");
}

function configure(under: Switch, index: number, one: Case, over: "ipv4" | "ipv6"): void {
  const remote = addresses[over][1 - index] ?? "";
  under.ok("ovs-vsctl", "--if-exists", "del-port", "br-int", "t0");
  under.ok(
    "ovs-vsctl",
    ...`add-port br-int t0 -- set interface t0 ofport_request=2 ${one.set} options:remote_ip=${remote}`.split(" "),
  );
  // Dummy devices answer requests for IPv4 addresses only.
  if (over === "ipv6") under.ok("ovs-appctl", "tnl/neigh/set", "br-phy", remote, `02:09:00:00:00:0${2 - index}`);
  under.ok("ovs-ofctl", "del-flows", "br-int");
  under.ok("ovs-ofctl", "add-flow", "br-int", `in_port=1,actions=${one.actions ?? ""}output:2`);
  under.ok("ovs-ofctl", "add-flow", "br-int", `in_port=2${one.match ?? ""},actions=output:1`);
}

let tag = 0x1000;

/** Sends until the frame comes out at the other end: the first packets make the neighbour known. */
async function passes(from: Switch, to: Switch, one: Case): Promise<void> {
  const sent = frame(++tag);
  const wanted = one.layer3 === true ? sent.slice(28) : sent;
  const came = (): boolean => framesOf(join(to.directory, "h1.pcap")).some((got) => got.endsWith(wanted));
  await until(`${one.name} from ${from.kind} to ${to.kind} passes`, 8, async () => {
    from.ok("ovs-appctl", "netdev-dummy/receive", "h1", sent);
    for (let i = 0; i < 10 && !came(); i++) await sleep(30);
    return came();
  });
}

/** Whoever sent it, tshark makes sense of what was on the wire. */
function isWellFormed(pair: Pair): void {
  for (const under of pair.both) {
    const wire = join(under.directory, "wire.pcap");
    const checks = ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"];
    const bad = under.ok(
      "tshark",
      "-r",
      wire,
      ...checks,
      "-Y",
      "_ws.malformed || ip.checksum.status == 0 || udp.checksum.status == 0",
    );
    assert.is(bad, "", under.kind);
    const protocols = under.ok("tshark", "-r", wire, "-T", "fields", "-e", "frame.protocols");
    for (const { name, decodedAs, oneWay } of cases)
      if (under === pair.ours || oneWay !== true) assert.match(protocols, decodedAs, `${name} by ${under.kind}`);
  }
}

const test = suite("tunnels beside Open vSwitch");
if (noOvs !== undefined) console.log(`skip: tunnels beside Open vSwitch: ${noOvs}`);
else {
  test("each type passes both ways over IPv4 and IPv6, and what is on the wire is well-formed", async () => {
    await withPair(async (pair) => {
      const { ours, theirs } = pair;
      const socket = join(ours.directory, "wire.sock");
      prepare(ours, 0, `options:pstream=punix:${socket}`);
      prepare(theirs, 1, `options:stream=unix:${socket}`);
      for (const one of cases) {
        for (const over of one.over) {
          pair.both.forEach((under, index) => {
            configure(under, index, one, over);
          });
          await passes(ours, theirs, one);
          if (one.oneWay !== true) await passes(theirs, ours, one);
        }
      }
      if (have("tshark")) isWellFormed(pair);
      else console.log("skip: tunnels decoded: tshark is not installed");
    });
  });

  test("who listens for which packets is shown alike, and ports go with their last tunnel", async () => {
    await withPair(async ({ ours, theirs, both: all }) => {
      // Open vSwitch tells of the host's own devices, too.
      const shown = (under: Switch, ...args: string[]): string[] =>
        under
          .ok("ovs-appctl", "tnl/ports/show", ...args)
          .split("\n")
          .filter((line) => !line.includes("eth(dst=") || line.includes("eth(dst=02:09:00:00:00:01)"))
          .sort();
      for (const under of all) {
        under.ok(
          "ovs-vsctl",
          ..."add-br br0 -- set bridge br0 datapath_type=dummy other_config:hwaddr=02:09:00:00:00:01".split(" "),
          ...["vxlan", "geneve", "gre", "gtpu"].flatMap((type) =>
            `-- add-port br0 ${type}0 -- set interface ${type}0 type=${type} options:remote_ip=10.9.0.7`.split(" "),
          ),
          ..."-- add-port br0 vxlan1 -- set interface vxlan1 type=vxlan options:remote_ip=10.9.0.8".split(" "),
        );
        under.ok("ovs-appctl", "netdev-dummy/ip4addr", "br0", "10.9.0.1/24");
        under.ok("ovs-appctl", "netdev-dummy/ip6addr", "br0", "fd09::1/64");
        under.run("ovs-appctl", "ovs/route/add", "10.9.0.0/24", "br0");
      }
      await until("Open vSwitch listens", 5, () => shown(theirs, "-v").length > 8);
      await until("Sluice listens", 5, () => shown(ours, "-v").length > 8);
      assert.equal(shown(ours, "-v"), shown(theirs, "-v"));
      assert.equal(shown(ours), shown(theirs));
      for (const under of all) under.ok("ovs-vsctl", "del-port", "vxlan0", "--", "del-port", "geneve0");
      const isGone = (under: Switch): boolean => !shown(under).some((line) => line.startsWith("genev"));
      for (const under of all) await until(`the port of ${under.kind} is gone`, 5, () => isGone(under));
      assert.equal(shown(ours), shown(theirs));
    });
  });
}
test.run();
