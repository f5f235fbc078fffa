import { type ByteReader, ByteWriter } from "./bytes.js";
import { at, type KeyMatch, planOf } from "./key-match.js";
import { portFrom10, portTo10 } from "./oxm.js";
import { keyMember } from "./tables/key.js";

/** The fixed 40-byte match of OpenFlow 1.0, and the normalisation that goes with it. */

const wild = {
  inPort: 1 << 0,
  vlan: 1 << 1,
  ethSrc: 1 << 2,
  ethDst: 1 << 3,
  ethType: 1 << 4,
  ipProto: 1 << 5,
  tpSrc: 1 << 6,
  tpDst: 1 << 7,
  srcShift: 8,
  dstShift: 14,
  vlanPcp: 1 << 20,
  tos: 1 << 21,
};
const inPort = planOf("in_port_oxm");
const ethSrc = planOf("eth_src");
const ethDst = planOf("eth_dst");
const ethType = planOf("eth_type");
const proto = planOf("nw_proto");
const tos = planOf("nw_tos");
const dscp = planOf("ip_dscp");
const ipSrc = planOf("ip_src");
const ipDst = planOf("ip_dst");
const tpSrc = planOf("tcp_src");
const tpDst = planOf("tcp_dst");

export const match10Size = 40;

const prefixMask = (wildBits: number): number => (wildBits >= 32 ? 0 : (0xffffffff << wildBits) >>> 0);

/** Reads an OpenFlow 1.0 match into `match`, which the caller has cleared. */
export function decodeMatch10(match: KeyMatch, reader: ByteReader): void {
  const wildcards = reader.u32();
  const port = reader.u16();
  const srcAt = reader.take(6);
  const dstAt = reader.take(6);
  const vlan = reader.u16();
  const pcp = reader.u8();
  reader.skip(1);
  const type = reader.u16();
  const tosValue = reader.u8();
  const protoValue = reader.u8();
  reader.skip(2);
  const src = reader.u32();
  const dst = reader.u32();
  const srcPort = reader.u16();
  const dstPort = reader.u16();
  if ((wildcards & wild.inPort) === 0) match.setNumber(inPort, portFrom10(port));
  if ((wildcards & wild.ethSrc) === 0) match.setWire(ethSrc, reader.bytes, srcAt, -1);
  if ((wildcards & wild.ethDst) === 0) match.setWire(ethDst, reader.bytes, dstAt, -1);
  if ((wildcards & wild.ethType) === 0) match.setNumber(ethType, type);
  if ((wildcards & wild.vlan) === 0 && vlan === 0xffff) match.setU16(at.vlanTci, 0, 0xffff);
  else {
    const mask = ((wildcards & wild.vlan) === 0 ? 0x1fff : 0) | ((wildcards & wild.vlanPcp) === 0 ? 0xf000 : 0);
    match.setU16(at.vlanTci, ((vlan & 0xfff) | ((pcp & 7) << 13) | 0x1000) & mask, mask);
  }
  if ((wildcards & wild.tos) === 0) match.setNumber(dscp, tosValue >> 2);
  if ((wildcards & wild.ipProto) === 0) match.setNumber(proto, protoValue);
  const srcMask = prefixMask((wildcards >>> wild.srcShift) & 63);
  if (srcMask !== 0) match.setNumber(ipSrc, src, srcMask);
  const dstMask = prefixMask((wildcards >>> wild.dstShift) & 63);
  if (dstMask !== 0) match.setNumber(ipDst, dst, dstMask);
  if ((wildcards & wild.tpSrc) === 0) match.setNumber(tpSrc, srcPort);
  if ((wildcards & wild.tpDst) === 0) match.setNumber(tpDst, dstPort);
  normalize(match);
}

function wildBits(mask: number): number {
  let bits = 0;
  while (bits < 32 && ((mask >>> bits) & 1) === 0) bits++;
  return bits;
}

/** Appends the match as far as OpenFlow 1.0 can say it. */
export function encodeMatch10(out: ByteWriter, match: KeyMatch): void {
  let wildcards = 0;
  const tci = match.u16(at.vlanTci);
  const tciMask = match.maskU16(at.vlanTci);
  let vlan = 0;
  let pcp = 0;
  if (tciMask === 0) wildcards |= wild.vlan | wild.vlanPcp;
  else if ((tciMask & 0x1000) !== 0 && (tci & 0x1000) === 0) {
    // As in Open vSwitch, whose controllers read back a priority of 0 that is matched.
    vlan = 0xffff;
  } else {
    if ((tciMask & 0xfff) === 0) wildcards |= wild.vlan;
    else vlan = tci & 0xfff;
    if ((tciMask & 0xe000) === 0) wildcards |= wild.vlanPcp;
    else pcp = tci >> 13;
  }
  if (match.isWild(inPort)) wildcards |= wild.inPort;
  if (match.isWild(ethSrc)) wildcards |= wild.ethSrc;
  if (match.isWild(ethDst)) wildcards |= wild.ethDst;
  if (match.isWild(ethType)) wildcards |= wild.ethType;
  if (match.isWild(proto)) wildcards |= wild.ipProto;
  if (match.isWild(tpSrc)) wildcards |= wild.tpSrc;
  if (match.isWild(tpDst)) wildcards |= wild.tpDst;
  if (match.isWild(dscp)) wildcards |= wild.tos;
  wildcards |=
    (wildBits(match.maskNumber(ipSrc)) << wild.srcShift) | (wildBits(match.maskNumber(ipDst)) << wild.dstShift);
  if (wildcards === 0xfffff && match.isWild(dscp)) wildcards = 0x3fffff;
  out.u32(wildcards >>> 0);
  out.u16(portTo10(match.number(inPort)));
  out.put(match.wireBytes(ethSrc));
  out.put(match.wireBytes(ethDst));
  out.u16(vlan);
  out.u8(pcp);
  out.zeros(1);
  out.u16(match.number(ethType));
  out.u8(match.number(tos) & 0xfc);
  out.u8(match.number(proto));
  out.zeros(2);
  out.u32(match.number(ipSrc));
  out.u32(match.number(ipDst));
  out.u16(match.number(tpSrc));
  out.u16(match.number(tpDst));
}

const span = (name: string): readonly [number, number] => [keyMember(name).offset, keyMember(name).size];
const groups = {
  address: [span("ip_src"), span("ip_dst")],
  transport: [span("tp_src"), span("tp_dst"), span("tcp_flags")],
  proto: [span("ip_proto")],
  ip: [span("ip_tos"), span("ip_ttl"), span("ip_frag")],
  sha: [span("arp_sha")],
  tha: [span("arp_tha")],
  ipv6: [span("ipv6_src"), span("ipv6_dst"), span("ipv6_label")],
  nd: [span("nd_target")],
  mpls: [span("mpls0_lse"), span("mpls1_lse"), span("mpls2_lse")],
};
type Group = keyof typeof groups;

/** Opens every field that the rest of the match gives no meaning; tells whether it changed something. */
export function normalize(match: KeyMatch): boolean {
  const may = new Set<Group>();
  const type = match.ethType;
  const protocol = match.ipProto;
  if (type === 0x0800) {
    for (const group of ["proto", "ip", "address"] as const) may.add(group);
    if (protocol === 6 || protocol === 17 || protocol === 132 || protocol === 1 || protocol === 2) may.add("transport");
  } else if (type === 0x86dd) {
    for (const group of ["proto", "ip", "ipv6"] as const) may.add(group);
    if (protocol === 6 || protocol === 17 || protocol === 132) may.add("transport");
    else if (protocol === 58) {
      may.add("transport");
      const solicit = match.meets("nd_solicit");
      if (solicit || match.meets("nd_advert")) may.add("nd").add(solicit ? "sha" : "tha");
    }
  } else if (type === 0x0806 || type === 0x8035) {
    for (const group of ["proto", "address", "sha", "tha"] as const) may.add(group);
  } else if (type === 0x8847 || type === 0x8848) may.add("mpls");
  let changed = false;
  for (const group of Object.keys(groups) as Group[]) {
    if (may.has(group)) continue;
    for (const [offset, size] of groups[group]) {
      for (let index = offset; index < offset + size; index++) {
        if (match.mask[index] === 0) continue;
        match.mask[index] = 0;
        match.value[index] = 0;
        changed = true;
      }
    }
  }
  return changed;
}

/** The match as the 40 bytes of OpenFlow 1.0. */
export function match10Bytes(match: KeyMatch): Uint8Array {
  const out = new ByteWriter(match10Size);
  encodeMatch10(out, match);
  return out.finish();
}
