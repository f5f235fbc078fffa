import type { ByteReader, ByteWriter } from "./bytes.js";
import { readPort, writePort } from "./codec-port.js";
import { OpenFlowError } from "./error.js";
import { at, type KeyMatch, planOf } from "./key-match.js";

/** The fixed 88-byte match of OpenFlow 1.1 (OFPMT_STANDARD), in whose masks a bit of 1 means "any".  `readMatch` has read
 *  its first four bytes, the type and the length. */

const wild = {
  inPort: 1 << 0,
  vlan: 1 << 1,
  vlanPcp: 1 << 2,
  ethType: 1 << 3,
  tos: 1 << 4,
  proto: 1 << 5,
  tpSrc: 1 << 6,
  tpDst: 1 << 7,
  mplsLabel: 1 << 8,
  mplsTc: 1 << 9,
} as const;

const vlanAny = 0xfffe;
const vlanNone = 0xffff;
/** Bits of a VLAN tag: present, identifier, priority. */
const tci = { present: 0x1000, vid: 0xfff, pcp: 0xe000, pcpShift: 13 } as const;

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
const icmpType = planOf("icmp_type");
const icmpCode = planOf("icmp_code");
const mplsLabel = planOf("mpls_label");
const mplsTc = planOf("mpls_tc");
const metadata = planOf("metadata");

const version11 = 2;
const ip = 0x0800;
const arp = 0x0806;
const rarp = 0x8035;
const mpls = [0x8847, 0x8848];
const icmp = 1;
const withPorts = [6, 17, 132];

export const match11Size = 88;

const bad = (sentence: string): OpenFlowError => new OpenFlowError("OFPBMC_BAD_VALUE", sentence);

/** `size` bytes at the reader with every bit turned. */
function turned(reader: ByteReader, size: number): Uint8Array {
  const from = reader.take(size);
  const bytes = new Uint8Array(size);
  for (let index = 0; index < size; index++) bytes[index] = ~(reader.bytes[from + index] as number) & 0xff;
  return bytes;
}

/** Sets a field from its value at `valueAt` and a turned mask, when the mask has a bit. */
function setMasked(match: KeyMatch, plan: typeof ethSrc, reader: ByteReader, valueAt: number, mask: Uint8Array): void {
  if (mask.every((byte) => byte === 0)) return;
  const both = new Uint8Array(2 * mask.length);
  both.set(reader.bytes.subarray(valueAt, valueAt + mask.length));
  both.set(mask, mask.length);
  match.setWire(plan, both, 0, mask.length);
}

function setVlan(match: KeyMatch, wildcards: number, vlan: number, pcp: number): void {
  if ((wildcards & wild.vlan) !== 0) return;
  if (vlan === vlanNone) {
    match.setU16(at.vlanTci, 0, 0xffff);
    return;
  }
  if (vlan !== vlanAny && vlan > tci.vid) throw bad(`there is no VLAN ${vlan}`);
  let value: number = tci.present;
  let mask: number = tci.present;
  if (vlan !== vlanAny) {
    value |= vlan;
    mask |= tci.vid;
  }
  if ((wildcards & wild.vlanPcp) === 0) {
    if (pcp > 7) throw bad(`there is no VLAN priority ${pcp}`);
    value |= pcp << tci.pcpShift;
    mask |= tci.pcp;
  }
  match.setU16(at.vlanTci, value, mask);
}

function setPorts(match: KeyMatch, wildcards: number, source: number, destination: number): void {
  const protocol = match.ipProto;
  const isIcmp = protocol === icmp;
  if (!isIcmp && !withPorts.includes(protocol)) return;
  for (const [bit, plan, value] of [
    [wild.tpSrc, isIcmp ? icmpType : tpSrc, source],
    [wild.tpDst, isIcmp ? icmpCode : tpDst, destination],
  ] as const) {
    if ((wildcards & bit) !== 0) continue;
    if (isIcmp && value > 0xff) throw new OpenFlowError("OFPBMC_BAD_FIELD", `there is no ICMP type or code ${value}`);
    match.setNumber(plan, value);
  }
}

/** Reads what follows the type and the length into `match`, which the caller has cleared. */
export function decodeMatch11(match: KeyMatch, reader: ByteReader): void {
  const portAt = reader.take(4);
  const wildcards = reader.u32();
  const end = reader.position + match11Size - 12;
  if ((wildcards & wild.inPort) === 0) {
    const before = reader.position;
    reader.position = portAt;
    const port = portOf(reader);
    reader.position = before;
    match.setNumber(inPort, port);
  }
  const srcAt = reader.take(6);
  setMasked(match, ethSrc, reader, srcAt, turned(reader, 6));
  const dstAt = reader.take(6);
  setMasked(match, ethDst, reader, dstAt, turned(reader, 6));
  const vlan = reader.u16();
  const pcp = reader.u8();
  reader.skip(1);
  setVlan(match, wildcards, vlan, pcp);
  const type = reader.u16();
  if ((wildcards & wild.ethType) === 0) match.setNumber(ethType, type);
  const known = (wildcards & wild.ethType) === 0 ? type : 0;
  const tosValue = reader.u8();
  const protoValue = reader.u8();
  if (known === ip && (wildcards & wild.tos) === 0) {
    if ((tosValue & 3) !== 0) throw bad(`${tosValue} is not a type of service`);
    match.setNumber(dscp, tosValue >> 2);
  }
  const addressesAt = reader.take(16);
  if (known === ip || known === arp || known === rarp) {
    if ((wildcards & wild.proto) === 0) match.setNumber(proto, protoValue);
    for (const [index, plan] of [ipSrc, ipDst].entries()) {
      const valueAt = addressesAt + 8 * index;
      const mask = ~reader.view.getUint32(valueAt + 4) >>> 0;
      if (mask !== 0) match.setNumber(plan, reader.view.getUint32(valueAt), mask);
    }
  }
  const source = reader.u16();
  const destination = reader.u16();
  if (known === ip) setPorts(match, wildcards, source, destination);
  const label = reader.u32();
  const trafficClass = reader.u8();
  reader.skip(3);
  if (mpls.includes(known)) {
    if ((wildcards & wild.mplsLabel) === 0) match.setNumber(mplsLabel, label);
    if ((wildcards & wild.mplsTc) === 0) match.setNumber(mplsTc, trafficClass);
  }
  const metadataAt = reader.take(8);
  setMasked(match, metadata, reader, metadataAt, turned(reader, 8));
  reader.position = end;
}

function portOf(reader: ByteReader): number {
  try {
    return readPort(reader, version11);
  } catch {
    throw bad("the match is on a port that cannot be");
  }
}

function turnedMask(match: KeyMatch, plan: typeof ethSrc): Uint8Array {
  return match.wireBytes(plan, match.mask).map((byte) => ~byte & 0xff);
}

/** Appends the match, type and length included, as far as OpenFlow 1.1 can say it. */
export function encodeMatch11(out: ByteWriter, match: KeyMatch): void {
  const begin = out.position;
  let wildcards = 0;
  out.u16(0);
  out.u16(match11Size);
  if (match.isWild(inPort)) {
    wildcards |= wild.inPort;
    out.zeros(4);
  } else writePort(out, match.number(inPort), version11);
  out.u32(0);
  for (const plan of [ethSrc, ethDst]) {
    out.put(match.wireBytes(plan));
    out.put(turnedMask(match, plan));
  }
  wildcards |= putVlan(out, match);
  const fixed = (bit: number, wanted: boolean): void => {
    if (!wanted) wildcards |= bit;
  };
  fixed(wild.ethType, !match.isWild(ethType));
  out.u16(match.number(ethType));
  fixed(wild.tos, !match.isWild(dscp));
  out.u8(match.number(tos) & 0xfc);
  fixed(wild.proto, !match.isWild(proto));
  out.u8(match.number(proto));
  for (const plan of [ipSrc, ipDst]) {
    out.put(match.wireBytes(plan));
    out.put(turnedMask(match, plan));
  }
  fixed(wild.tpSrc, !match.isWild(tpSrc));
  out.u16(match.number(tpSrc));
  fixed(wild.tpDst, !match.isWild(tpDst));
  out.u16(match.number(tpDst));
  fixed(wild.mplsLabel, !match.isWild(mplsLabel));
  out.u32(match.number(mplsLabel));
  fixed(wild.mplsTc, !match.isWild(mplsTc));
  out.u8(match.number(mplsTc));
  out.zeros(3);
  out.put(match.wireBytes(metadata));
  out.put(turnedMask(match, metadata));
  out.view.setUint32(begin + 8, wildcards);
}

/** Appends VLAN, priority and padding; returns what is open. */
function putVlan(out: ByteWriter, match: KeyMatch): number {
  const value = match.u16(at.vlanTci);
  const mask = match.maskU16(at.vlanTci);
  let vlan = 0;
  let pcp = 0;
  let open = 0;
  if (mask === 0) open = wild.vlan | wild.vlanPcp;
  else if ((mask & tci.present) !== 0 && (value & tci.present) === 0) {
    vlan = vlanNone;
    open = wild.vlanPcp;
  } else {
    vlan = (mask & tci.vid) === 0 ? vlanAny : value & tci.vid;
    if ((mask & tci.pcp) === 0) open = wild.vlanPcp;
    else pcp = value >> tci.pcpShift;
  }
  out.u16(vlan);
  out.u8(pcp);
  out.zeros(1);
  return open;
}
