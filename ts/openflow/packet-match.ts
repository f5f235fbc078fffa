import { at, type KeyMatch } from "./key-match.js";

/** What actions need to know of a packet whose bytes are at hand: its Ethernet type, outermost VLAN tag, IP protocol,
 *  whether it is a fragment, ICMP type and code.  The datapath parses the whole packet; this is for a packet-out, whose
 *  actions are checked against its packet before it goes there. */

const ethHeaderSize = 14;
const vlanTypes: readonly number[] = [0x8100, 0x88a8];
const ethertypeMin = 0x600;
const vlanPresent = 0x1000;

/** Adds to `match` what the packet of packet type `packetType` says.  A field that was cut off is as if it were zero. */
export function addPacket(match: KeyMatch, packet: Uint8Array, packetType: number): void {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  if (packetType >>> 16 === 1) {
    match.setU16(at.ethType, packetType & 0xffff, 0xffff);
    addNetwork(match, view, packetType & 0xffff, 0);
    return;
  }
  if (packet.length < ethHeaderSize) return;
  let offset = 12;
  let type = view.getUint16(offset);
  if (vlanTypes.includes(type) && packet.length >= offset + 6) {
    match.setU16(at.vlanTci, view.getUint16(offset + 2) | vlanPresent, 0xffff);
    while (vlanTypes.includes(type) && packet.length >= offset + 6) {
      offset += 4;
      type = view.getUint16(offset);
    }
  }
  match.setU16(at.ethType, type < ethertypeMin ? 0x05ff : type, 0xffff);
  addNetwork(match, view, type, offset + 2);
}

function addNetwork(match: KeyMatch, view: DataView, type: number, offset: number): void {
  if (type === 0x0800) addIpv4(match, view, offset);
  else if (type === 0x86dd) addIpv6(match, view, offset);
}

function setByte(match: KeyMatch, offset: number, value: number): void {
  match.value[offset] = value;
  match.mask[offset] = 0xff;
}

function addIpv4(match: KeyMatch, view: DataView, start: number): void {
  if (view.byteLength < start + 20) return;
  setByte(match, at.ipProto, view.getUint8(start + 9));
  const fragment = view.getUint16(start + 6) & 0x3fff;
  const isLater = (fragment & 0x1fff) !== 0;
  setByte(match, at.ipFrag, (fragment === 0 ? 0 : 1) | (isLater ? 2 : 0));
  if (!isLater) addIcmp(match, view, start + 4 * (view.getUint8(start) & 0xf), 1, view.getUint8(start + 9));
}

/** Extension headers that are passed over: hop-by-hop, routing, destination options; 44 is the fragment header. */
const extensions: readonly number[] = [0, 43, 60];
const fragmentHeader = 44;

function addIpv6(match: KeyMatch, view: DataView, start: number): void {
  if (view.byteLength < start + 40) return;
  let next = view.getUint8(start + 6);
  let offset = start + 40;
  let isLater = false;
  while (view.byteLength >= offset + 8 && (extensions.includes(next) || next === fragmentHeader)) {
    const isFragment = next === fragmentHeader;
    if (isFragment) {
      isLater = view.getUint16(offset + 2) >= 8;
      setByte(match, at.ipFrag, isLater ? 3 : 1);
    }
    const size = isFragment ? 8 : 8 * (view.getUint8(offset + 1) + 1);
    next = view.getUint8(offset);
    offset += size;
    if (isLater) break;
  }
  setByte(match, at.ipProto, next);
  if (!isLater) addIcmp(match, view, offset, 58, next);
}

function addIcmp(match: KeyMatch, view: DataView, offset: number, icmp: number, protocol: number): void {
  if (protocol !== icmp || view.byteLength < offset + 4) return;
  match.setU16(at.tpSrc, view.getUint8(offset), 0xffff);
  match.setU16(at.tpDst, view.getUint8(offset + 1), 0xffff);
}
