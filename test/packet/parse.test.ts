import { test } from "uvu";
import * as assert from "uvu/assert";
import { frames } from "./frames.js";
import { ofctlIsInstalled, withParser } from "./parser.js";

/** The flow key of one frame: each member's bytes as hexadecimal digits. */
type Key = ReadonlyMap<string, string>;

/** A small generator of numbers (mulberry32), so that a failure can be had again. */
function random(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  };
}

/** Every frame, padded, cut everywhere, and with bytes changed where headers say what follows. */
function corpus(): Uint8Array[] {
  const pick = random(1);
  const values = [0, 1, 2, 3, 4, 6, 17, 44, 51, 58, 0x45, 0x4f, 0x60, 0x81, 0xff];
  const all: Uint8Array[] = [];
  for (const [, hex] of frames) {
    const frame = new Uint8Array(Buffer.from(hex, "hex"));
    all.push(frame, new Uint8Array([...frame, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    for (let size = 14; size < frame.length; size++) all.push(frame.slice(0, size));
    for (let i = 0; i < 60; i++) {
      const changed = frame.slice(0, pick(2) === 0 ? frame.length : 14 + pick(frame.length - 13));
      for (let n = pick(3); n >= 0; n--) {
        changed[12 + pick(changed.length - 12)] = pick(3) === 0 ? pick(256) : (values[pick(values.length)] ?? 0);
      }
      all.push(changed);
    }
  }
  return all;
}

const member = (key: Key, name: string): string => key.get(name) ?? "";
const number = (key: Key, name: string): number => Number.parseInt(member(key, name), 16);
const mac = (key: Key, name: string): string => (member(key, name).match(/../g) ?? []).join(":");
const ipv4 = (key: Key, name: string): string =>
  (member(key, name).match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16)).join(".");
const hex = (value: number): string => `0x${value.toString(16)}`;
const tci = (key: Key, name: string): string => `0x${member(key, name)}`;

/** The sixteen bytes of an IPv6 address in text, as hexadecimal digits. */
function ipv6Digits(text: string): string {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (dotted !== null) {
    const [, head = "", ...bytes] = dotted;
    const [a = 0, b = 0, c = 0, d = 0] = bytes.map(Number);
    return ipv6Digits(`${head}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`);
  }
  const [head = "", tail] = text.split("::");
  const words = (part: string): string[] => (part === "" ? [] : part.split(":"));
  const before = words(head);
  const after = tail === undefined ? [] : words(tail);
  const zeros = new Array<string>(8 - before.length - after.length).fill("0");
  return [...before, ...zeros, ...after].map((word) => word.padStart(4, "0")).join("");
}

const tcpFlags = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns"];

function tcpFlagsText(flags: number): string {
  if (flags === 0) return "0";
  const names = tcpFlags.filter((_, bit) => ((flags >> bit) & 1) === 1).join("|");
  const others = flags & ~0x1ff;
  return others === 0 ? names : `${names}${names === "" ? "" : "|"}[${others}]`;
}

/** What each token of OVS's text should say of our key. */
const tokens: Readonly<Record<string, (key: Key) => string>> = {
  in_port: () => "ANY",
  vlan_tci: (key) => tci(key, "vlan0_tci"),
  vlan_tci1: (key) => tci(key, "vlan1_tci"),
  dl_vlan: (key) => String(number(key, "vlan0_tci") & 0xfff),
  dl_vlan_pcp: (key) => String(number(key, "vlan0_tci") >> 13),
  dl_vlan1: (key) => String(number(key, "vlan1_tci") & 0xfff),
  dl_vlan_pcp1: (key) => String(number(key, "vlan1_tci") >> 13),
  dl_src: (key) => mac(key, "eth_src"),
  dl_dst: (key) => mac(key, "eth_dst"),
  dl_type: (key) => `0x${member(key, "eth_type")}`,
  mpls_label: (key) => String(number(key, "mpls0_lse") >>> 12),
  mpls_tc: (key) => String((number(key, "mpls0_lse") >>> 9) & 7),
  mpls_bos: (key) => String((number(key, "mpls0_lse") >>> 8) & 1),
  mpls_ttl: (key) => String(number(key, "mpls0_lse") & 0xff),
  mpls_lse1: (key) => String(number(key, "mpls1_lse")),
  mpls_lse2: (key) => String(number(key, "mpls2_lse")),
  nw_src: (key) => ipv4(key, "ip_src"),
  nw_dst: (key) => ipv4(key, "ip_dst"),
  arp_spa: (key) => ipv4(key, "ip_src"),
  arp_tpa: (key) => ipv4(key, "ip_dst"),
  arp_op: (key) => String(number(key, "ip_proto")),
  arp_sha: (key) => mac(key, "arp_sha"),
  arp_tha: (key) => mac(key, "arp_tha"),
  ipv6_src: (key) => member(key, "ipv6_src"),
  ipv6_dst: (key) => member(key, "ipv6_dst"),
  nd_target: (key) => member(key, "nd_target"),
  ipv6_label: (key) => `0x${member(key, "ipv6_label").slice(3)}`,
  nw_proto: (key) => String(number(key, "ip_proto")),
  nw_tos: (key) => String(number(key, "ip_tos") & 0xfc),
  nw_ecn: (key) => String(number(key, "ip_tos") & 3),
  nw_ttl: (key) => String(number(key, "ip_ttl")),
  nw_frag: (key) => ["no", "first", "?", "later"][number(key, "ip_frag")] ?? "?",
  tp_src: (key) => String(number(key, "tp_src")),
  tp_dst: (key) => String(number(key, "tp_dst")),
  icmp_type: (key) => String(number(key, "tp_src")),
  icmp_code: (key) => String(number(key, "tp_dst")),
  tcp_flags: (key) => tcpFlagsText(number(key, "tcp_flags")),
  nd_sll: (key) => mac(key, "arp_sha"),
  nd_tll: (key) => mac(key, "arp_tha"),
  nsh_flags: (key) => String(number(key, "nsh_flags")),
  nsh_ttl: (key) => String(number(key, "nsh_ttl")),
  nsh_mdtype: (key) => String(number(key, "nsh_mdtype")),
  nsh_np: (key) => String(number(key, "nsh_np")),
  nsh_spi: (key) => hex(number(key, "nsh_path_hdr") >>> 8),
  nsh_si: (key) => String(number(key, "nsh_path_hdr") & 0xff),
  nsh_c1: (key) => hex(number(key, "nsh_c1")),
  nsh_c2: (key) => hex(number(key, "nsh_c2")),
  nsh_c3: (key) => hex(number(key, "nsh_c3")),
  nsh_c4: (key) => hex(number(key, "nsh_c4")),
};

const ethTypes: Readonly<Record<string, string>> = {
  ip: "0800",
  ipv6: "86dd",
  arp: "0806",
  rarp: "8035",
  mpls: "8847",
  mplsm: "8848",
  tcp: "0800",
  udp: "0800",
  sctp: "0800",
  icmp: "0800",
  tcp6: "86dd",
  udp6: "86dd",
  sctp6: "86dd",
  icmp6: "86dd",
};

const protocols: Readonly<Record<string, number>> = {
  tcp: 6,
  udp: 17,
  sctp: 132,
  icmp: 1,
  tcp6: 6,
  udp6: 17,
  sctp6: 132,
  icmp6: 58,
};

/** What of OVS's text about a frame our key does not say. */
function differences(text: string, key: Key): string[] {
  const wrong: string[] = [];
  for (const token of text.split(",")) {
    const equals = token.indexOf("=");
    const name = equals < 0 ? token : token.slice(0, equals);
    if (equals < 0) {
      const proto = protocols[name];
      if (member(key, "eth_type") !== ethTypes[name]) wrong.push(`${name}: eth_type is ${member(key, "eth_type")}`);
      if (proto !== undefined && number(key, "ip_proto") !== proto)
        wrong.push(`${name}: ip_proto is ${number(key, "ip_proto")}`);
      continue;
    }
    let value = token.slice(equals + 1);
    if (name.startsWith("ipv6_s") || name.startsWith("ipv6_d") || name === "nd_target") value = ipv6Digits(value);
    const ours = tokens[name]?.(key) ?? "nothing";
    if (ours !== value) wrong.push(`${token}: ours is ${ours}`);
  }
  return wrong;
}

test("frames, whole, cut and changed, have the flow key that ovs-ofctl parse-pcap prints", () => {
  if (!ofctlIsInstalled()) return;
  withParser((parser) => {
    const all = corpus();
    const keys = parser.parse(all).map((line) => {
      return new Map(line.split(" ").map((pair) => pair.split("=") as [string, string]));
    });
    const texts = parser.ofctl(all);
    assert.is(keys.length, all.length);
    assert.is(texts.length, all.length);
    const wrong = texts.flatMap((text, index) => {
      const found = differences(text, keys[index] ?? new Map());
      const bytes = Buffer.from(all[index] ?? []).toString("hex");
      return found.length === 0 ? [] : [`${bytes}\n  ${text}\n  ${found.join("; ")}`];
    });
    assert.equal(wrong.slice(0, 5), [], `${wrong.length} of ${all.length} differ`);
  });
});

test.run();
