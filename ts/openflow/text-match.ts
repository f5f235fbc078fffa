import { abiMatch } from "./codec-match.js";
import { FlowSyntaxError } from "./error.js";
import { at, type FieldPlan, KeyMatch, plans } from "./key-match.js";
import { formatInnerLabels } from "./label-stack.js";
import { normalize } from "./match10.js";
import type { AbiMatch } from "./message.js";
import { type FieldRow, fieldByName, fieldId, fields } from "./tables/fields.js";
import { keyMember } from "./tables/key.js";
import {
  formatFlags,
  formatPort,
  formatValue,
  hex,
  type PortNames,
  parseValue,
  tcpFlags,
  toBig,
  tunnelFlags,
} from "./text-value.js";
import { currentTlvMap, hasTlv, setTlv, tlvBytes, tlvIndex } from "./tlv-map.js";

/** Matches as ovs-ofctl writes them. */

const plan = (name: string): FieldPlan => {
  const row = fieldByName(name);
  if (row === undefined) throw new Error(`there is no field ${name}`);
  return plans[fieldId(row)] as FieldPlan;
};
const rowOf = (one: FieldPlan): FieldRow => fields[one.id] as FieldRow;

/** Keywords that stand for an Ethernet type and perhaps an IP protocol. */
const protocols: readonly (readonly [name: string, ethType: number, ipProto: number])[] = [
  ["ip", 0x0800, 0],
  ["ipv4", 0x0800, 0],
  ["ip4", 0x0800, 0],
  ["arp", 0x0806, 0],
  ["icmp", 0x0800, 1],
  ["tcp", 0x0800, 6],
  ["udp", 0x0800, 17],
  ["sctp", 0x0800, 132],
  ["ipv6", 0x86dd, 0],
  ["ip6", 0x86dd, 0],
  ["icmp6", 0x86dd, 58],
  ["tcp6", 0x86dd, 6],
  ["udp6", 0x86dd, 17],
  ["sctp6", 0x86dd, 132],
  ["rarp", 0x8035, 0],
  ["mpls", 0x8847, 0],
  ["mplsm", 0x8848, 0],
];
const protocolByName = new Map(protocols.map((row) => [row[0], row]));

const ethType = plan("eth_type");
const ipProto = plan("nw_proto");
const inPortOxm = plan("in_port_oxm");
const packetType = plan("packet_type");
const recircId = plan("recirc_id");
const innerTci = keyMember("vlan1_tci").offset;

/** Applies the keyword to the match; false when it is none. */
export function applyProtocol(match: KeyMatch, name: string): boolean {
  if (name === "eth") {
    match.setNumber(packetType, 0);
    return true;
  }
  const row = protocolByName.get(name);
  if (row === undefined) return false;
  match.setNumber(ethType, row[1]);
  if (row[2] !== 0) match.setNumber(ipProto, row[2]);
  return true;
}

/** `name=text` into the match. */
export function applyField(match: KeyMatch, row: FieldRow, text: string, ports?: PortNames): void {
  const own = plans[fieldId(row)] as FieldPlan;
  const { value, mask } = parseValue(row, text, ports);
  const number = (): number => value.reduce((sum, byte) => sum * 256 + byte, 0);
  switch (row.name) {
    case "in_port":
    case "in_port_oxm": {
      const port = number();
      match.setNumber(inPortOxm, row.bytes === 2 && port >= 0xff00 ? port + 0xffff0000 : port);
      return;
    }
    case "dl_vlan": {
      const vid = number();
      if (vid === 0xffff) match.setU16(at.vlanTci, 0, 0xffff);
      else if (vid > 0xfff) throw new FlowSyntaxError(`${text}: not a valid value for ${row.name}`);
      else mergeTci(match, vid | 0x1000, 0x1fff);
      return;
    }
    case "dl_vlan_pcp":
    case "vlan_pcp": {
      const pcp = number();
      if (pcp > 7) throw new FlowSyntaxError(`${text}: not a valid value for ${row.name}`);
      mergeTci(match, (pcp << 13) | 0x1000, 0xf000);
      return;
    }
    default:
  }
  if (row.bits < 8 * row.bytes && row.bytes <= 4 && mask === undefined && number() >= 2 ** row.bits) {
    throw new FlowSyntaxError(`${text}: not a valid value for ${row.name}`);
  }
  const both = new Uint8Array(2 * row.bytes);
  both.set(value);
  if (mask !== undefined) both.set(mask, row.bytes);
  if (tlvIndex(own) >= 0) {
    const option = currentTlvMap()?.get(tlvIndex(own));
    if (option === undefined) throw new FlowSyntaxError(`${row.name} has no entry in the TLV map`);
    setTlv(match, option, both, 0, mask === undefined ? -1 : row.bytes, row.bytes);
    return;
  }
  match.setWire(own, both, 0, mask === undefined ? -1 : row.bytes);
}

function mergeTci(match: KeyMatch, value: number, mask: number): void {
  const rest = match.maskU16(at.vlanTci) & ~mask;
  match.setU16(at.vlanTci, (match.u16(at.vlanTci) & rest) | value, rest | mask);
}

/** Reads a comma-separated match.  Fields without their prerequisites are dropped, as ovs-ofctl does. */
export function parseMatch(text: string, ports?: PortNames): AbiMatch {
  const match = new KeyMatch();
  for (const { key, value } of keyValues(text)) {
    if (applyProtocol(match, key)) continue;
    const row = fieldByName(key);
    if (row === undefined) throw new FlowSyntaxError(`unknown keyword ${key}`);
    if (value === undefined || value === "") throw new FlowSyntaxError(`field ${key} missing value`);
    applyField(match, row, value, ports);
  }
  normalize(match);
  match.settlePacketType();
  return abiMatch(match);
}

export interface KeyValue {
  readonly key: string;
  readonly value: string | undefined;
  /** Whether the value stood in parentheses right after the key. */
  readonly parens: boolean;
  /** Where the rest of the text begins, delimiter included. */
  readonly end: number;
}

/** Splits `key=value,key:value,key(value),key` at commas and spaces outside of parentheses. */
export function keyValues(text: string): KeyValue[] {
  const items: KeyValue[] = [];
  let position = 0;
  while (position < text.length) {
    if (/[,\s]/.test(text[position] as string)) {
      position += 1;
      continue;
    }
    const start = position;
    while (position < text.length && !/[:=(,\s]/.test(text[position] as string)) position += 1;
    const key = text.slice(start, position);
    const mark = text[position];
    if (mark === undefined || /[,\s]/.test(mark)) {
      items.push({ key, value: undefined, parens: false, end: position });
      continue;
    }
    position += 1;
    const from = position;
    if (mark === "(") {
      for (let depth = 1; position < text.length; position++) {
        if (text[position] === "(") depth += 1;
        else if (text[position] === ")" && --depth === 0) break;
      }
      if (position >= text.length) throw new FlowSyntaxError(`${text.slice(start)}: missing closing parenthesis`);
      items.push({ key, value: text.slice(from, position), parens: true, end: position + 1 });
      position += 1;
      continue;
    }
    let depth = 0;
    for (; position < text.length; position++) {
      const char = text[position] as string;
      if (char === "(" || char === "[") depth += 1;
      else if (char === ")" || char === "]") depth -= 1;
      else if (depth <= 0 && /[,\s]/.test(char)) break;
    }
    items.push({ key, value: text.slice(from, position), parens: false, end: position });
  }
  return items;
}

const before = [
  "pkt_mark",
  "recirc_id",
  "dp_hash",
  "conj_id",
  "skb_priority",
  "actset_output",
  "ct_state",
  "ct_zone",
  "ct_mark",
  "ct_label",
  "ct_nw_src",
  "ct_ipv6_src",
  "ct_nw_dst",
  "ct_ipv6_dst",
  "ct_nw_proto",
  "ct_tp_src",
  "ct_tp_dst",
].map(plan);
const registers = Array.from({ length: 16 }, (_, index) => plan(`reg${index}`));
const tunnel = [
  "tun_id",
  "tun_src",
  "tun_dst",
  "tun_ipv6_src",
  "tun_ipv6_dst",
  "tun_gbp_id",
  "tun_gbp_flags",
  "tun_tos",
  "tun_ttl",
  "tun_erspan_ver",
  "tun_erspan_idx",
  "tun_erspan_dir",
  "tun_erspan_hwid",
  "tun_gtpu_flags",
  "tun_gtpu_msgtype",
  "tun_flags",
].map(plan);
const tunnelFlagsPlan = plan("tun_flags");
const nsh = [
  "nsh_flags",
  "nsh_ttl",
  "nsh_mdtype",
  "nsh_np",
  "nsh_spi",
  "nsh_si",
  "nsh_c1",
  "nsh_c2",
  "nsh_c3",
  "nsh_c4",
].map(plan);
const nshType = plan("nsh_mdtype");
const named = new Map(
  [
    "eth_src",
    "eth_dst",
    "ip_src",
    "ip_dst",
    "ipv6_src",
    "ipv6_dst",
    "ipv6_label",
    "arp_spa",
    "arp_tpa",
    "arp_sha",
    "arp_tha",
    "nw_tos",
    "nw_ecn",
    "nw_ttl",
    "ip_frag",
    "mpls_label",
    "mpls_tc",
    "mpls_ttl",
    "mpls_bos",
    "nd_target",
    "nd_sll",
    "nd_tll",
    "nd_reserved",
    "nd_options_type",
    "metadata",
    "tcp_src",
    "tcp_dst",
    "tcp_flags",
    "icmp_type",
    "icmp_code",
    "arp_op",
  ].map((name) => [name, plan(name)]),
);
/** Fields whose zero has a prefix, too. */
const prefixedInMatch = new Set(["nsh_spi", "nsh_c1", "nsh_c2", "nsh_c3", "nsh_c4"]);
const erspanVersion = plan("tun_erspan_ver");
/** Fields that a match prints only if it is of that version of ERSPAN. */
const erspanVersions = new Map([
  ["tun_erspan_idx", 1],
  ["tun_erspan_dir", 2],
  ["tun_erspan_hwid", 2],
]);
/** Fields of tunnels of which a match prints the value only, and some by another name. */
const valueOnly = new Map([
  ["tun_erspan_ver", "tun_erspan_ver"],
  ["tun_erspan_dir", "tun_erspan_dir"],
  ["tun_erspan_hwid", "tun_erspan_hwid"],
  ["tun_gtpu_flags", "gtpu_flags"],
  ["tun_gtpu_msgtype", "gtpu_msgtype"],
]);
/** Decimal fields that a match prints in hexadecimal. */
const hexInMatch = new Set(["recirc_id"]);

/** A value or mask of a field in a match, in hexadecimal with a prefix. */
function prefixed(row: FieldRow, bytes: Uint8Array): string {
  return `0x${toBig(bytes)
    .toString(16)
    .padStart(row.name === "nd_reserved" ? 8 : 1, "0")}`;
}

/** Prints an expanded match; `priority` undefined or the default of 32768 is left out. */
export function formatKeyMatch(match: KeyMatch, priority?: number, ports?: PortNames): string {
  const parts: string[] = [];
  const put = (name: string, one: FieldPlan): void => {
    if (match.isWild(one)) return;
    const row = rowOf(one);
    const value = match.wireBytes(one);
    const mask = match.isExact(one) ? undefined : match.wireBytes(one, match.mask);
    const label = row.name === "ipv6_label" && mask === undefined;
    const hasPrefix = prefixedInMatch.has(row.name) || (row.format === "dec" && mask !== undefined);
    const text = label
      ? `0x${match.number(one).toString(16).padStart(5, "0")}`
      : hasPrefix
        ? `${prefixed(row, value)}${mask === undefined ? "" : `/${prefixed(row, mask)}`}`
        : hexInMatch.has(row.name) && mask === undefined
          ? hex(match.number(one))
          : formatValue(row, value, mask, ports);
    parts.push(`${name}=${text}`);
  };
  const field = (name: string): FieldPlan => named.get(name) as FieldPlan;
  if (priority !== undefined && priority !== 32768) parts.push(`priority=${priority}`);
  for (const one of before) put(one.name, one);
  if (!match.isWild(packetType)) {
    if (match.number(packetType) !== 0) put("packet_type", packetType);
    else if (!match.isWild(recircId)) parts.push("eth");
  }
  const type = match.ethType;
  const proto = match.ipProto;
  let skipType = true;
  let skipProto = false;
  if (type >= 0 && !match.isWild(ethType)) {
    const keyword =
      protocols.find((row) => row[1] === type && row[2] !== 0 && row[2] === proto) ??
      protocols.find((row) => row[1] === type && row[2] === 0);
    if (keyword !== undefined) {
      parts.push(keyword[0]);
      skipProto = keyword[2] !== 0;
    } else skipType = false;
  } else skipType = match.isWild(ethType);
  for (const one of registers) put(one.name, one);
  for (const one of tunnel) {
    if (one === tunnelFlagsPlan) {
      putTunnelFlags(match, parts);
      continue;
    }
    const version = erspanVersions.get(one.name);
    if (version !== undefined && version !== match.number(erspanVersion)) continue;
    const name = valueOnly.get(one.name);
    if (name === undefined) put(one.name, one);
    else if (!match.isWild(one))
      parts.push(`${name}=${formatValue(rowOf(one), match.wireBytes(one), undefined, ports)}`);
  }
  putOptions(match, parts);
  put("metadata", field("metadata"));
  if (!match.isWild(inPortOxm)) parts.push(`in_port=${formatPort(match.number(inPortOxm), ports)}`);
  putVlan(match, parts, at.vlanTci, "");
  putVlan(match, parts, innerTci, "1");
  put("dl_src", field("eth_src"));
  put("dl_dst", field("eth_dst"));
  // The type of a packet without Ethernet header is its packet type's.
  if (!skipType && type < 0) put("dl_type", ethType);
  else if (!skipType) parts.push(`dl_type=0x${type.toString(16).padStart(4, "0")}`);
  const isArp = type === 0x0806 || type === 0x8035;
  if (type === 0x86dd) for (const name of ["ipv6_src", "ipv6_dst", "ipv6_label"]) put(name, field(name));
  else if (isArp) for (const name of ["arp_spa", "arp_tpa"]) put(name, field(name));
  else {
    put("nw_src", field("ip_src"));
    put("nw_dst", field("ip_dst"));
  }
  if (type === 0x894f) putNsh(match, put);
  if (!skipProto) put(isArp ? "arp_op" : "nw_proto", isArp ? field("arp_op") : ipProto);
  if (isArp) for (const name of ["arp_sha", "arp_tha"]) put(name, field(name));
  if (!isArp) for (const name of ["nw_tos", "nw_ecn", "nw_ttl"]) put(name, field(name));
  for (const name of ["mpls_label", "mpls_tc", "mpls_ttl", "mpls_bos"]) put(name, field(name));
  parts.push(...formatInnerLabels(match));
  putFragment(match, parts, field("ip_frag"));
  const icmp = (type === 0x0800 && proto === 1) || (type === 0x86dd && proto === 58);
  if (icmp) {
    put("icmp_type", field("icmp_type"));
    put("icmp_code", field("icmp_code"));
    if (type === 0x86dd && match.meets("nd")) {
      for (const name of ["nd_target", "nd_sll", "nd_tll", "nd_reserved", "nd_options_type"]) put(name, field(name));
    }
  } else {
    put("tp_src", field("tcp_src"));
    put("tp_dst", field("tcp_dst"));
  }
  if (proto === 6) {
    const flags = field("tcp_flags");
    if (!match.isWild(flags))
      parts.push(`tcp_flags=${formatFlags(tcpFlags, match.number(flags), match.maskNumber(flags), 0xfff)}`);
  }
  return parts.join(",");
}

/** Flags of a tunnel: by name where all that there are are told, as of a packet; a rule matches the first only. */
function putTunnelFlags(match: KeyMatch, parts: string[]): void {
  const all = 2 ** tunnelFlags.length - 1;
  const mask = match.maskNumber(tunnelFlagsPlan);
  const told = mask > all ? 1 : mask;
  if (told !== 0) parts.push(`tun_flags=${formatFlags(tunnelFlags, match.number(tunnelFlagsPlan), told, all)}`);
}

/** Geneve options, of those that the map knows: `NP` is one that must not be there. */
function putOptions(match: KeyMatch, parts: string[]): void {
  for (const entry of currentTlvMap()?.entries() ?? []) {
    if (!hasTlv(match.mask, entry.index)) continue;
    const name = `tun_metadata${entry.index}`;
    const mask = tlvBytes(match.mask, entry);
    if (!hasTlv(match.value, entry.index)) parts.push(`${name}=NP`);
    else if (mask.every((byte) => byte === 0)) parts.push(name);
    else {
      const exact = mask.every((byte) => byte === 0xff);
      parts.push(`${name}=${hex(toBig(tlvBytes(match.value, entry)))}${exact ? "" : `/${hex(toBig(mask))}`}`);
    }
  }
}

/** Context headers only mean something with metadata type 1. */
function putNsh(match: KeyMatch, put: (name: string, one: FieldPlan) => void): void {
  const isType1 = match.isExact(nshType) && match.number(nshType) === 1;
  for (const one of nsh) if (isType1 || !/_c\d$/.test(one.name)) put(one.name, one);
}

function putFragment(match: KeyMatch, parts: string[], frag: FieldPlan): void {
  const mask = match.maskNumber(frag);
  if (mask === 0) return;
  const value = match.number(frag);
  const name =
    mask === 3
      ? ({ 0: "no", 1: "first", 3: "later" }[value] ?? "<error>")
      : mask === 1
        ? value === 1
          ? "yes"
          : "no"
        : value === 0
          ? "not_later"
          : "later";
  parts.push(`nw_frag=${name}`);
}

function putVlan(match: KeyMatch, parts: string[], offset: number, suffix: string): void {
  const tci = match.u16(offset);
  const mask = match.maskU16(offset);
  if (mask === 0) return;
  const vid = mask & 0xfff;
  const pcp = mask & 0xe000;
  const cfi = mask & 0x1000;
  const four = (value: number): string => `0x${value.toString(16).padStart(4, "0")}`;
  if (
    cfi !== 0 &&
    (tci & 0x1000) !== 0 &&
    (vid === 0 || vid === 0xfff) &&
    (pcp === 0 || pcp === 0xe000) &&
    (vid !== 0 || pcp !== 0)
  ) {
    if (vid !== 0) parts.push(`dl_vlan${suffix}=${tci & 0xfff}`);
    if (pcp !== 0) parts.push(`dl_vlan_pcp${suffix}=${tci >> 13}`);
  } else parts.push(`vlan_tci${suffix}=${four(tci)}${mask === 0xffff ? "" : `/${four(mask)}`}`);
}

const scratch = new KeyMatch();

/** Prints an ABI match. */
export function formatMatch(match: AbiMatch, priority?: number, ports?: PortNames): string {
  scratch.read(match);
  return formatKeyMatch(scratch, priority, ports);
}
