import type { ByteWriter } from "./bytes.js";
import { type FieldPrereq, fieldByName, fieldId, fieldSpan, fields } from "./tables/fields.js";
import { keyMapWords, keyMember, keySize, keyStages, keyWords } from "./tables/key.js";

/** A match being built or read: value and mask for each byte of the flow key.  Bits of the value outside the mask are
 *  zero.  This is the expanded form of the ABI's `match` record. */

/** How a field moves between wire bytes and the key. */
export interface FieldPlan {
  readonly id: number;
  readonly name: string;
  readonly bytes: number;
  readonly bits: number;
  readonly offset: number;
  readonly size: number;
  readonly shift: number;
  /** Wire bytes and key bytes are the same. */
  readonly same: boolean;
  /** The bits that count of a field of at most 32 bits; of the type of service, not the two of ECN. */
  readonly significant: number;
  /** First and last 32-bit word of the key that the field lies in. */
  readonly firstWord: number;
  readonly lastWord: number;
  readonly maskable: boolean;
  readonly writable: boolean;
  readonly prereq: FieldPrereq;
}

export const plans: readonly FieldPlan[] = fields.map((row, id) => {
  const span = fieldSpan(row);
  const bits = Math.min(row.bits, 8 * span.size - span.shift);
  const same = span.size === row.bytes && span.shift === 0 && span.bits === 8 * row.bytes && row.name !== "nw_tos";
  return {
    id,
    name: row.name,
    bytes: row.bytes,
    bits: row.bits,
    offset: span.offset,
    size: span.size,
    shift: span.shift,
    same,
    significant: row.name === "nw_tos" ? 0xfc : bits >= 32 ? 0xffffffff : 2 ** bits - 1,
    firstWord: span.offset >> 2,
    lastWord: (span.offset + span.size - 1) >> 2,
    maskable: row.mask === "any",
    writable: row.writable,
    prereq: row.prereq,
  };
});

/** The plan of the field of that name; asserts that it is there. */
export function planOf(name: string): FieldPlan {
  const row = fieldByName(name);
  if (row === undefined) throw new Error(`there is no field ${name}`);
  return plans[fieldId(row)] as FieldPlan;
}

const ethType = keyMember("eth_type").offset;
const ipProto = keyMember("ip_proto").offset;
const ipFrag = keyMember("ip_frag").offset;
const vlanTci = keyMember("vlan0_tci").offset;
const tpSrc = keyMember("tp_src").offset;
const tpDst = keyMember("tp_dst").offset;
const packetType = keyMember("packet_type").offset;
const ctState = keyMember("ct_state").offset;
/** 32-bit words of what lies in the packet. */
const firstPacketWord = 2 * keyStages.l2;
const lastPacketWord = 2 * keyStages.options;

export const at = { ethType, ipProto, ipFrag, vlanTci, tpSrc, tpDst, packetType };

export class KeyMatch {
  readonly value = new Uint8Array(keySize);
  readonly mask = new Uint8Array(keySize);
  readonly #valueWords = new Uint32Array(this.value.buffer);
  readonly #maskWords = new Uint32Array(this.mask.buffer);

  clear(): void {
    this.#valueWords.fill(0);
    this.#maskWords.fill(0);
  }

  /** Sets a field from `plan.bytes` bytes at `valueAt`, masked by those at `maskAt` (-1: exact).  Value bits outside
   *  the mask are ignored. */
  setWire(plan: FieldPlan, source: Uint8Array, valueAt: number, maskAt: number): void {
    if (plan.same) {
      for (let index = 0; index < plan.bytes; index++) {
        const mask = maskAt < 0 ? 0xff : (source[maskAt + index] as number);
        this.mask[plan.offset + index] = mask;
        this.value[plan.offset + index] = (source[valueAt + index] as number) & mask;
      }
      return;
    }
    let value = 0;
    let mask = 0;
    for (let index = 0; index < plan.bytes; index++) {
      value = ((value << 8) | (source[valueAt + index] as number)) >>> 0;
      if (maskAt >= 0) mask = ((mask << 8) | (source[maskAt + index] as number)) >>> 0;
    }
    this.setNumber(plan, value, maskAt < 0 ? 0xffffffff : mask);
  }

  /** Sets a field of at most 32 bits. */
  setNumber(plan: FieldPlan, value: number, mask = 0xffffffff): void {
    const all = spanMask(plan);
    const bits = (mask & all) >>> 0;
    this.#merge(plan, (value & bits) >>> 0, bits, all);
  }

  #merge(plan: FieldPlan, value: number, mask: number, all: number): void {
    let shift = plan.shift;
    for (let index = plan.size - 1; index >= 0 && shift > -32; index--, shift -= 8) {
      const part = (word: number): number =>
        shift >= 0 ? (shift < 32 ? (word << shift) & 0xff : 0) : (word >>> -shift) & 0xff;
      const keep = ~part(all) & 0xff;
      const byte = plan.offset + index;
      this.value[byte] = ((this.value[byte] as number) & keep) | part(value);
      this.mask[byte] = ((this.mask[byte] as number) & keep) | part(mask);
    }
  }

  /** Value and mask of a field of at most 32 bits. */
  number(plan: FieldPlan): number {
    return readSpan(this.value, plan);
  }

  maskNumber(plan: FieldPlan): number {
    return readSpan(this.mask, plan);
  }

  /** Value of a field as bytes of the wire. */
  wireBytes(plan: FieldPlan, from: Uint8Array = this.value): Uint8Array {
    if (plan.same) return from.slice(plan.offset, plan.offset + plan.bytes);
    const number = readSpan(from, plan);
    const out = new Uint8Array(plan.bytes);
    for (let index = 0; index < plan.bytes && index < 4; index++)
      out[plan.bytes - 1 - index] = (number >>> (8 * index)) & 0xff;
    return out;
  }

  /** Whether the match says something about the words that the field lies in: a quick look before `isWild`. */
  touches(plan: FieldPlan): boolean {
    for (let word = plan.firstWord; word <= plan.lastWord; word++) if (this.#maskWords[word] !== 0) return true;
    return false;
  }

  /** Appends the field's value, or its mask, as the wire has it. */
  putWire(out: ByteWriter, plan: FieldPlan, from: Uint8Array): void {
    if (plan.same) {
      out.put(from, plan.offset, plan.offset + plan.bytes);
      return;
    }
    const number = readSpan(from, plan);
    if (plan.bytes === 1) out.u8(number);
    else if (plan.bytes === 2) out.u16(number);
    else out.put(this.wireBytes(plan, from));
  }

  /** Whether the match leaves every bit of the field open. */
  isWild(plan: FieldPlan): boolean {
    if (!plan.same) return readSpan(this.mask, plan) === 0;
    for (let index = 0; index < plan.bytes; index++) if (this.mask[plan.offset + index] !== 0) return false;
    return true;
  }

  isExact(plan: FieldPlan): boolean {
    if (!plan.same) return readSpan(this.mask, plan) === spanMask(plan);
    for (let index = 0; index < plan.bytes; index++) if (this.mask[plan.offset + index] !== 0xff) return false;
    return true;
  }

  /** Opens every bit of the field. */
  wild(plan: FieldPlan): void {
    if (!plan.same) {
      this.#merge(plan, 0, 0, spanMask(plan));
      return;
    }
    this.value.fill(0, plan.offset, plan.offset + plan.bytes);
    this.mask.fill(0, plan.offset, plan.offset + plan.bytes);
  }

  u16(offset: number): number {
    return ((this.value[offset] as number) << 8) | (this.value[offset + 1] as number);
  }

  maskU16(offset: number): number {
    return ((this.mask[offset] as number) << 8) | (this.mask[offset + 1] as number);
  }

  setU16(offset: number, value: number, mask: number): void {
    this.value[offset] = (value & mask) >>> 8;
    this.value[offset + 1] = value & mask & 0xff;
    this.mask[offset] = mask >>> 8;
    this.mask[offset + 1] = mask & 0xff;
  }

  /** Ethernet type that the match demands, or -1.  A packet type of Ethernet's namespace demands one too. */
  get ethType(): number {
    if (this.value[packetType + 1] === 1 && this.mask[packetType + 3] === 0xff) return this.u16(packetType + 2);
    return this.maskU16(ethType) === 0xffff ? this.u16(ethType) : -1;
  }

  get ipProto(): number {
    return this.mask[ipProto] === 0xff ? (this.value[ipProto] as number) : -1;
  }

  /** Whether what the field needs stands in the match. */
  meets(prereq: FieldPrereq): boolean {
    switch (prereq) {
      case "none":
        return true;
      case "ethernet":
        return (this.value[packetType] as number) === 0 && (this.value[packetType + 1] as number) === 0;
      case "arp":
        return this.ethType === 0x0806 || this.ethType === 0x8035;
      case "vlan_vid":
        return ((this.value[vlanTci] as number) & 0x10) !== 0;
      case "ipv4":
        return this.ethType === 0x0800;
      case "ipv6":
        return this.ethType === 0x86dd;
      case "ip":
        return this.ethType === 0x0800 || this.ethType === 0x86dd;
      case "mpls":
        return this.ethType === 0x8847 || this.ethType === 0x8848;
      case "nsh":
        return this.ethType === 0x894f;
      case "tcp":
        return this.meets("ip") && this.ipProto === 6 && !this.#laterFragment();
      case "udp":
        return this.meets("ip") && this.ipProto === 17 && !this.#laterFragment();
      case "sctp":
        return this.meets("ip") && this.ipProto === 132 && !this.#laterFragment();
      case "icmpv4":
        return this.ethType === 0x0800 && this.ipProto === 1 && !this.#laterFragment();
      case "icmpv6":
        return this.ethType === 0x86dd && this.ipProto === 58 && !this.#laterFragment();
      case "nd":
        return this.meets("icmpv6") && this.#icmp(135, 136);
      case "nd_solicit":
        return this.meets("icmpv6") && this.#icmp(135, 135);
      case "nd_advert":
        return this.meets("icmpv6") && this.#icmp(136, 136);
      case "ct":
        return this.#tracked();
    }
  }

  /** A match on anything that lies in a packet means Ethernet packets unless it names another type; so naming that type
   *  besides says nothing.  `in_port` and the like alone are of packets of any type. */
  settlePacketType(): void {
    if (this.mask[packetType + 3] === 0 || this.value[packetType + 1] !== 0) return;
    for (let word = firstPacketWord; word < lastPacketWord; word++) {
      if (this.#maskWords[word] === 0) continue;
      this.setU16(packetType, 0, 0);
      this.setU16(packetType + 2, 0, 0);
      return;
    }
  }

  /** Whether the connection-tracking state says that the packet was tracked and is valid. */
  #tracked(): boolean {
    const value = this.value[ctState + 3] as number;
    const mask = this.mask[ctState + 3] as number;
    return (value & 0x07) !== 0 || ((value & 0x20) !== 0 && (mask & 0x10) !== 0 && (value & 0x10) === 0);
  }

  #laterFragment(): boolean {
    return ((this.value[ipFrag] as number) & 2) !== 0;
  }

  /** A code that the match leaves open may be 0, which is all that is asked for. */
  #icmp(low: number, high: number): boolean {
    const type = this.u16(tpSrc);
    return type >= low && type <= high && this.u16(tpDst) === 0;
  }

  /** Appends the ABI's `match` part and returns its size. */
  write(out: ByteWriter): number {
    const begin = out.position;
    out.reserve(8 * keyMapWords + 16 * keyWords);
    const { bytes, view } = out;
    let position = begin + 8 * keyMapWords;
    let low = 0;
    for (let word = 0; word < keyWords; word++) {
      if (word % 32 === 0) low = 0;
      if (this.#maskWords[2 * word] !== 0 || this.#maskWords[2 * word + 1] !== 0) {
        low |= 1 << (word % 32);
        const from = 8 * word;
        for (let index = 0; index < 8; index++) {
          bytes[position + index] = this.value[from + index] as number;
          bytes[position + 8 + index] = this.mask[from + index] as number;
        }
        position += 16;
      }
      if (word % 32 === 31 || word === keyWords - 1) view.setUint32(begin + 4 * (word >>> 5), low >>> 0, true);
    }
    for (let half = Math.ceil(keyWords / 32); half < 2 * keyMapWords; half++) view.setUint32(begin + 4 * half, 0, true);
    out.position = position;
    return position - begin;
  }

  /** Replaces the match by the ABI's `match` part at [start, start + size); size 0 is the match on everything. */
  read(bytes: Uint8Array, start = 0, size = bytes.length): void {
    this.clear();
    if (size === 0) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let position = start + 8 * keyMapWords;
    for (let half = 0; half < 2 * keyMapWords; half++) {
      let map = view.getUint32(start + 4 * half, true);
      while (map !== 0) {
        const bit = 31 - Math.clz32(map & -map);
        map = (map & (map - 1)) >>> 0;
        const to = 8 * (32 * half + bit);
        if (to + 8 > keySize || position + 16 > start + size) throw new Error("match record does not fit the flow key");
        for (let index = 0; index < 8; index++) {
          this.value[to + index] = bytes[position + index] as number;
          this.mask[to + index] = bytes[position + 8 + index] as number;
        }
        position += 16;
      }
    }
  }
}

/** All significant bits of a field of at most 32 bits, unshifted. */
export function spanMask(plan: FieldPlan): number {
  return plan.significant;
}

function readSpan(from: Uint8Array, plan: FieldPlan): number {
  let number = 0;
  for (let index = 0; index < plan.size; index++) number = number * 256 + (from[plan.offset + index] as number);
  return (Math.floor(number / 2 ** plan.shift) & spanMask(plan)) >>> 0;
}
