import { type FieldPlan, plans } from "./key-match.js";
import { fieldHeader, readOxmHeader } from "./oxm.js";
import { keyMapWords } from "./tables/key.js";
import { mix } from "./template.js";
import { tlvIndex } from "./tlv-map.js";

/** Fields whose values are copied between OXM and the flow key, whatever they are.  Other fields' values decide what may
 *  stand beside them, or are not valid all. */

const deciding: ReadonlySet<string> = new Set([
  "in_port",
  "in_port_oxm",
  "actset_output",
  "packet_type",
  "eth_type",
  "vlan_tci",
  "vlan_vid",
  "vlan_pcp",
  "nw_proto",
  "ip_frag",
  "icmp_type",
  "icmp_code",
  "icmpv6_type",
  "icmpv6_code",
  "arp_op",
  "ct_state",
]);

const isFree = (plan: FieldPlan): boolean => plan.same && tlvIndex(plan) < 0 && !deciding.has(plan.name);

/** OXM classes that the table below knows, by the lowest bits of their numbers: NXM_OF, NXM_NX, OXM_OF, OXM_OF_PKT_REG. */
const classIndex = (oxmClass: number): number => ((oxmClass >>> 14) & 2) | (oxmClass & 1);
const isFreeHeader = new Uint8Array(4 * 128);
for (const plan of plans.filter(isFree)) {
  for (let version = 1; version <= 6; version++) {
    const header = fieldHeader(plan.id, version);
    if (header !== undefined && header.vendor === 0)
      isFreeHeader[(classIndex(header.key >>> 7) << 7) | (header.key & 0x7f)] = 1;
  }
}

const isKnownClass = (oxmClass: number): boolean => (oxmClass & 0x7ffe) === 0;

/** A hash of the entries in [start, end) without the values of free fields; 0 when they cannot be read. */
export function hashEntries(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let hash = seed;
  for (let position = start; position < end; ) {
    if (end - position < 4) return 0;
    const oxmClass = ((bytes[position] as number) << 8) | (bytes[position + 1] as number);
    const third = bytes[position + 2] as number;
    const length = bytes[position + 3] as number;
    hash = mix(hash, (oxmClass << 16) | (third << 8) | length);
    const valueAt = position + 4;
    position = valueAt + length;
    if (position > end) return 0;
    let at = valueAt;
    if (isKnownClass(oxmClass) && isFreeHeader[(classIndex(oxmClass) << 7) | (third >> 1)] === 1)
      at = (third & 1) === 0 ? position : valueAt + (length >> 1);
    for (; at < position; at++) hash = mix(hash, bytes[at] as number);
  }
  return hash;
}

/** Calls `each` for the bytes of free fields' values among the entries in [start, end): where they stand, and where they
 *  stand in a match record.  Bytes that a mask opens in part are not free. */
export function eachFreeByte(
  bytes: Uint8Array,
  start: number,
  end: number,
  record: Uint8Array,
  recordAt: number,
  each: (at: number, recordPosition: number) => void,
): void {
  const positions = wordPositions(record, recordAt);
  for (let position = start; position < end; ) {
    const { plan, hasMask, valueAt, size, next } = readOxmHeader(bytes, position, end);
    position = next;
    if (plan === undefined || !isFree(plan) || size !== plan.bytes * (hasMask ? 2 : 1)) continue;
    for (let index = 0; index < plan.bytes; index++) {
      if (hasMask && bytes[valueAt + plan.bytes + index] !== 0xff) continue;
      const keyByte = plan.offset + index;
      each(valueAt + index, (positions[keyByte >> 3] as number) + (keyByte & 7));
    }
  }
}

/** Where the value of each word of the key stands in a match record. */
function wordPositions(record: Uint8Array, recordAt: number): number[] {
  const view = new DataView(record.buffer, record.byteOffset);
  const positions: number[] = [];
  let position = 8 * keyMapWords;
  for (let word = 0; word < 64 * keyMapWords; word++) {
    const map = view.getUint32(recordAt + 4 * (word >>> 5), true);
    if (((map >>> (word & 31)) & 1) === 0) continue;
    positions[word] = position;
    position += 16;
  }
  return positions;
}

/** A hash of a match record of `matchSize` bytes at `at`, without its values, and of what follows it in `size` bytes; 0 for
 *  a match on everything. */
export function hashRecord(record: Uint8Array, at: number, matchSize: number, size: number): number {
  if (matchSize === 0) return 0;
  const word = (position: number): number =>
    (record[position] as number) |
    ((record[position + 1] as number) << 8) |
    ((record[position + 2] as number) << 16) |
    ((record[position + 3] as number) << 24);
  let hash = size;
  const masksAt = at + 8 * keyMapWords;
  for (let position = at; position < masksAt; position += 4) hash = mix(hash, word(position));
  const end = at + matchSize;
  for (let position = masksAt + 8; position < end; position += 16)
    hash = mix(mix(hash, word(position)), word(position + 4));
  for (let position = (end + 7) & ~7; position < at + size; position += 4) hash = mix(hash, word(position));
  return hash;
}
