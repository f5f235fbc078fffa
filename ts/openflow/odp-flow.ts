import { abiMatch } from "./codec-match.js";
import { FlowSyntaxError } from "./error.js";
import { at, type FieldPlan, KeyMatch, planOf } from "./key-match.js";
import { formatLabelStack, parseLabelStack } from "./label-stack.js";
import type { AbiMatch } from "./message.js";
import { formatTunnelMatch, parseTunnel } from "./odp-tunnel.js";
import { keyMember } from "./tables/key.js";
import { keyValues } from "./text-match.js";
import {
  ctStates,
  formatEth,
  formatFlags,
  formatIpv4,
  formatIpv6,
  hex,
  type PortNames,
  parseEth,
  parseIpv4,
  parseIpv6,
  parseNumber,
  tcpFlags,
  toBig,
} from "./text-value.js";

/** Flows as the datapath's commands write them: `in_port(1),eth(src=..,dst=..),eth_type(0x0800),ipv4(..)`.  Each row
 *  is one attribute: its name, its members, and when it stands in a flow. */

type Print = "dec" | "hex" | "hex0" | "eth" | "ipv4" | "ipv6" | "frag" | "tcp_flags" | "ct_state";

interface Part {
  readonly name: string;
  readonly plan: FieldPlan;
  readonly print: Print;
}

export interface Attribute {
  readonly name: string;
  readonly parts: readonly Part[];
  applies(match: KeyMatch): boolean;
}

const part = (name: string, field: string, print: Print): Part => ({ name, plan: planOf(field), print });
const always = (): boolean => true;
const isType =
  (...types: number[]) =>
  (match: KeyMatch): boolean =>
    types.includes(match.ethType);
const isIp =
  (proto: number) =>
  (match: KeyMatch): boolean =>
    match.meets("ip") && match.ipProto === proto && !isLaterFragment(match);
const isLaterFragment = (match: KeyMatch): boolean => ((match.value[at.ipFrag] as number) & 2) !== 0;
const attribute = (name: string, applies: (match: KeyMatch) => boolean, ...parts: Part[]): Attribute => ({
  name,
  parts,
  applies,
});

/** Attributes of one value print it alone. */
const single = (name: string, field: string, print: Print): Attribute =>
  attribute(name, always, part("", field, print));

export const head: readonly Attribute[] = [
  single("skb_priority", "skb_priority", "hex"),
  single("skb_mark", "pkt_mark", "hex"),
  single("ct_state", "ct_state", "ct_state"),
  single("ct_zone", "ct_zone", "hex"),
  single("ct_mark", "ct_mark", "hex"),
  single("ct_label", "ct_label", "hex"),
];
const dpHash = single("dp_hash", "dp_hash", "hex");
const ethernet = attribute("eth", always, part("src", "eth_src", "eth"), part("dst", "eth_dst", "eth"));

const later: readonly Attribute[] = [
  attribute(
    "ipv4",
    isType(0x0800),
    part("src", "ip_src", "ipv4"),
    part("dst", "ip_dst", "ipv4"),
    part("proto", "nw_proto", "dec"),
    part("tos", "nw_ecn", "hex"),
    part("ttl", "nw_ttl", "dec"),
    part("frag", "ip_frag", "frag"),
  ),
  attribute(
    "ipv6",
    isType(0x86dd),
    part("src", "ipv6_src", "ipv6"),
    part("dst", "ipv6_dst", "ipv6"),
    part("label", "ipv6_label", "hex"),
    part("proto", "nw_proto", "dec"),
    part("tclass", "nw_ecn", "hex"),
    part("hlimit", "nw_ttl", "dec"),
    part("frag", "ip_frag", "frag"),
  ),
  attribute(
    "arp",
    isType(0x0806, 0x8035),
    part("sip", "arp_spa", "ipv4"),
    part("tip", "arp_tpa", "ipv4"),
    part("op", "arp_op", "dec"),
    part("sha", "arp_sha", "eth"),
    part("tha", "arp_tha", "eth"),
  ),
  attribute(
    "nsh",
    isType(0x894f),
    part("flags", "nsh_flags", "dec"),
    part("ttl", "nsh_ttl", "dec"),
    part("mdtype", "nsh_mdtype", "dec"),
    part("np", "nsh_np", "dec"),
    part("spi", "nsh_spi", "hex0"),
    part("si", "nsh_si", "dec"),
    part("c1", "nsh_c1", "hex0"),
    part("c2", "nsh_c2", "hex0"),
    part("c3", "nsh_c3", "hex0"),
    part("c4", "nsh_c4", "hex0"),
  ),
  attribute("tcp", isIp(6), part("src", "tcp_src", "dec"), part("dst", "tcp_dst", "dec")),
  attribute("tcp_flags", isIp(6), part("", "tcp_flags", "tcp_flags")),
  attribute("udp", isIp(17), part("src", "udp_src", "dec"), part("dst", "udp_dst", "dec")),
  attribute("sctp", isIp(132), part("src", "sctp_src", "dec"), part("dst", "sctp_dst", "dec")),
  attribute(
    "icmp",
    (match) => match.ethType === 0x0800 && isIp(1)(match),
    part("type", "icmp_type", "dec"),
    part("code", "icmp_code", "dec"),
  ),
  attribute(
    "icmpv6",
    (match) => match.ethType === 0x86dd && isIp(58)(match),
    part("type", "icmpv6_type", "dec"),
    part("code", "icmpv6_code", "dec"),
  ),
  attribute(
    "nd",
    (match) =>
      match.meets("icmpv6") &&
      [135, 136].includes(match.number(planOf("icmpv6_type"))) &&
      !match.isWild(planOf("icmpv6_type")),
    part("target", "nd_target", "ipv6"),
    part("sll", "nd_sll", "eth"),
    part("tll", "nd_tll", "eth"),
  ),
];

/** The whole type-of-service byte, which no field of OpenFlow is. */
function tosPlan(): FieldPlan {
  const { offset, size } = keyMember("ip_tos");
  return {
    ...planOf("nw_ecn"),
    name: "ip_tos",
    bits: 8,
    bytes: 1,
    offset,
    size,
    shift: 0,
    same: true,
    significant: 0xff,
  };
}
const wholeTos = tosPlan();
const planFor = (one: Part): FieldPlan => (one.name === "tos" || one.name === "tclass" ? wholeTos : one.plan);

const ethType = planOf("eth_type");
const inPort = planOf("in_port_oxm");
const packetType = planOf("packet_type");
const recircId = planOf("recirc_id");
const innerTci = keyMember("vlan1_tci").offset;

function formatPart(match: KeyMatch, one: Part, verbose: boolean): string {
  const plan = planFor(one);
  const value = match.wireBytes(plan);
  const exact = match.isExact(plan);
  const mask = match.wireBytes(plan, match.mask);
  const both = (print: (bytes: Uint8Array) => string): string =>
    exact ? print(value) : `${print(value)}/${print(mask)}`;
  switch (one.print) {
    case "dec":
      return exact ? String(toBig(value)) : `${toBig(value)}/${hex(toBig(mask))}`;
    case "hex":
      return both((bytes) => hex(toBig(bytes)));
    case "hex0":
      return both((bytes) => `0x${toBig(bytes).toString(16)}`);
    case "eth":
      return both(formatEth);
    case "ipv4":
      return both(formatIpv4);
    case "ipv6":
      return both(formatIpv6);
    case "frag":
      return ["no", "first", "<error>", "later"][match.number(plan)] ?? "<error>";
    case "tcp_flags":
      return formatFlags(tcpFlags, match.number(plan), match.maskNumber(plan), 0xfff);
    case "ct_state": {
      const bits = match.maskNumber(plan);
      if (!verbose) return formatFlags(ctStates, match.number(plan), bits & 0xff, 0xff);
      return bits === 0xffffffff ? hex(match.number(plan)) : `${hex(match.number(plan))}/${hex(bits)}`;
    }
  }
}

/** `name(member=value,..)` with the members that the match looks at, or undefined when it looks at none. */
export function formatAttribute(match: KeyMatch, row: Attribute, verbose: boolean): string | undefined {
  const parts: string[] = [];
  for (const one of row.parts) {
    const isFragment = one.print === "frag";
    if (!verbose && !isFragment && match.isWild(planFor(one))) continue;
    if (isFragment && !verbose && match.isWild(one.plan) && parts.length === 0 && !match.meets("ip")) continue;
    const text = formatPart(match, one, verbose);
    parts.push(one.name === "" ? text : `${one.name}=${text}`);
  }
  return parts.length === 0 ? undefined : `${row.name}(${parts.join(",")})`;
}

const scratch = new KeyMatch();
const packet = new KeyMatch();

function formatVlan(tci: number, mask: number, verbose: boolean): string {
  const parts: string[] = [];
  const put = (name: string, value: number, bits: number, all: number): void => {
    if (bits === 0 && value === 0 && !verbose) return;
    parts.push(bits === all ? `${name}=${value}` : `${name}=${value}/0x${bits.toString(16)}`);
  };
  put("vid", tci & 0xfff, mask & 0xfff, 0xfff);
  put("pcp", tci >> 13, mask >> 13, 7);
  return `vlan(${parts.join(",")})`;
}

/** Prints a packet's key: every header that it has. */
export function formatDatapathKey(key: AbiMatch, names: PortNames | undefined): string {
  scratch.read(key);
  scratch.mask.fill(0xff);
  return formatScratch(scratch, names, true);
}

/** Prints a megaflow's match; `verbose` shows what it leaves open too.  With the `key` that it was made for, values are
 *  that packet's where the match has only some of their bits. */
export function formatDatapathMatch(
  abi: AbiMatch,
  names: PortNames | undefined,
  verbose: boolean,
  key?: AbiMatch,
): string {
  scratch.read(abi);
  if (key !== undefined) {
    packet.read(key);
    packet.mask.fill(0xff);
    scratch.value.set(packet.value);
  }
  return formatScratch(key === undefined ? scratch : packet, names, verbose);
}

/** `shape` says which headers there are. */
function formatScratch(shape: KeyMatch, names: PortNames | undefined, verbose: boolean): string {
  const match = scratch;
  const parts: string[] = [];
  const add = (row: Attribute): void => {
    const text = row.applies(shape) ? formatAttribute(match, row, verbose) : undefined;
    if (text !== undefined) parts.push(text);
  };
  for (const row of head) {
    add(row);
    const tunnel = row.name === "skb_priority" ? formatTunnelMatch(match, verbose) : undefined;
    if (tunnel !== undefined) parts.push(tunnel);
  }
  parts.push(`recirc_id(${hex(match.number(recircId))})`);
  add(dpHash);
  const port = match.number(inPort);
  parts.push(`in_port(${names?.nameOf(port) ?? port})`);
  const type = match.number(packetType);
  parts.push(`packet_type(ns=${type >>> 16},id=${hex(type & 0xffff)})`);
  add(ethernet);
  let close = "";
  for (const offset of [at.vlanTci, innerTci]) {
    const tci = match.u16(offset);
    const mask = match.maskU16(offset);
    if ((tci & 0x1000) === 0) break;
    const tpid = match.u16(offset - 2);
    parts.push(`eth_type(0x${(tpid === 0 ? 0x8100 : tpid).toString(16)})`);
    if (verbose || mask !== 0) parts.push(formatVlan(tci, mask, verbose));
    parts.push("encap(");
    close += ")";
  }
  if (!match.isWild(ethType) || verbose)
    parts.push(`eth_type(0x${match.number(ethType).toString(16).padStart(4, "0")})`);
  const labels = match.meets("mpls") ? formatLabelStack(match, verbose) : undefined;
  if (labels !== undefined) parts.push(labels);
  for (const row of later) add(row);
  return parts.join(",").replaceAll("encap(,", "encap(") + close;
}

const attributes = new Map([...head, dpHash, ethernet, ...later].map((row) => [row.name, row]));

function parsePart(one: Part, text: string): { value: Uint8Array; mask: Uint8Array | undefined } {
  const plan = planFor(one);
  const number = (word: string): Uint8Array => {
    const value = parseNumber(word);
    if (value === undefined || value >= 1n << BigInt(8 * plan.bytes))
      throw new FlowSyntaxError(`${text}: bad value for ${one.name}`);
    return Uint8Array.from({ length: plan.bytes }, (_, index) =>
      Number((value >> BigInt(8 * (plan.bytes - 1 - index))) & 255n),
    );
  };
  if (one.print === "frag") {
    const found = { no: 0, first: 1, later: 3 }[text];
    if (found === undefined) throw new FlowSyntaxError(`${text}: bad fragment type`);
    return { value: Uint8Array.of(found), mask: undefined };
  }
  const flags = one.print === "tcp_flags" ? tcpFlags : one.print === "ct_state" ? ctStates : undefined;
  if (flags !== undefined && !/^\d/.test(text)) {
    let value = 0;
    let mask = /^[+-]/.test(text) ? 0 : 0xfff;
    for (const [, sign, name] of text.matchAll(/([+-]?)([a-z]+)\|?/g)) {
      const index = flags.indexOf(name ?? "");
      if (index < 0) throw new FlowSyntaxError(`${text}: unknown flag ${name}`);
      const bit = 1 << index;
      if (sign !== "-") value |= bit;
      if (sign !== "") mask |= bit;
    }
    const bytes = (bits: number): Uint8Array =>
      Uint8Array.from({ length: plan.bytes }, (_, index) => (bits >>> (8 * (plan.bytes - 1 - index))) & 255);
    return { value: bytes(value), mask: mask === 0xfff ? undefined : bytes(mask) };
  }
  const parse =
    one.print === "eth" ? parseEth : one.print === "ipv4" ? parseIpv4 : one.print === "ipv6" ? parseIpv6 : number;
  const [left = "", right] = text.split("/");
  const value = parse(left);
  const mask = right === undefined ? undefined : parse(right);
  if (value === undefined || (right !== undefined && mask === undefined))
    throw new FlowSyntaxError(`${text}: bad value for ${one.name}`);
  return { value, mask };
}

function setPart(match: KeyMatch, one: Part, text: string): void {
  const plan = planFor(one);
  const { value, mask } = parsePart(one, text);
  const both = new Uint8Array(2 * plan.bytes);
  both.set(value);
  if (mask !== undefined) both.set(mask, plan.bytes);
  match.setWire(plan, both, 0, mask === undefined ? -1 : plan.bytes);
}

/** Reads a datapath flow.  What it does not name stays open. */
export function parseDatapathMatch(text: string, names?: PortNames): AbiMatch {
  const match = new KeyMatch();
  parseInto(match, text, names, 0);
  return abiMatch(match);
}

function parseInto(match: KeyMatch, text: string, names: PortNames | undefined, vlans: number): void {
  let tags = vlans;
  for (const { key, value, parens } of keyValues(text)) {
    if (key.startsWith("ufid")) continue;
    if (!parens || value === undefined) throw new FlowSyntaxError(`syntax error at ${key}`);
    switch (key) {
      case "in_port": {
        const number = parseNumber(value) ?? names?.numberOf(value);
        if (number === undefined) throw new FlowSyntaxError(`unknown port ${value}`);
        match.setNumber(inPort, Number(number));
        continue;
      }
      case "recirc_id":
        match.setNumber(recircId, Number(parseNumber(value) ?? 0n));
        continue;
      case "packet_type": {
        const found = /^ns=(\w+),id=(\w+)$/.exec(value);
        match.setNumber(packetType, Number(found?.[1] ?? 0) * 65536 + Number(found?.[2] ?? 0));
        continue;
      }
      case "eth_type": {
        const type = Number(parseNumber(value.split("/")[0] as string) ?? 0n);
        if ((type === 0x8100 || type === 0x88a8) && /vlan\(/.test(text)) {
          match.setU16((tags === 0 ? at.vlanTci : innerTci) - 2, type, 0xffff);
        } else match.setNumber(ethType, type);
        continue;
      }
      case "vlan": {
        let tci = 0x1000;
        for (const member of keyValues(value)) {
          const number = Number(parseNumber((member.value ?? "0").split("/")[0] as string) ?? 0n);
          if (member.key === "vid") tci |= number & 0xfff;
          else if (member.key === "pcp") tci |= (number & 7) << 13;
          else if (member.key === "cfi" && number === 0) tci &= ~0x1000;
          else if (member.key === "tci") tci = number;
        }
        match.setU16(tags === 0 ? at.vlanTci : innerTci, tci, 0xffff);
        tags += 1;
        continue;
      }
      case "mpls":
        parseLabelStack(match, keyValues(value));
        continue;
      case "encap":
        parseInto(match, value, names, tags);
        continue;
      case "tunnel":
        parseTunnel(match, value);
        continue;
      case "ct_tuple4":
      case "ct_tuple6":
        continue;
      default:
    }
    const row = attributes.get(key);
    if (row === undefined) throw new FlowSyntaxError(`syntax error at ${key}(${value})`);
    const only = row.parts[0];
    if (row.parts.length === 1 && only !== undefined && only.name === "") {
      setPart(match, only, value);
      continue;
    }
    for (const member of keyValues(value)) {
      const one = row.parts.find((each) => each.name === member.key);
      if (one !== undefined && member.value !== undefined) setPart(match, one, member.value);
      else throw new FlowSyntaxError(`syntax error at ${key}(${value})`);
    }
  }
}

/** Attributes that a set action may write, in the order in which they are printed. */
export const settable: readonly Attribute[] = [ethernet, ...later.filter((row) => row.name !== "tcp_flags"), ...head];
