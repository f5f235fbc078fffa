/** Continuity check messages of CFM (802.1ag, with the fields that Open vSwitch's extended mode adds), and the frames that
 *  carry them.  Pure. */

const cfmEthertype = 0x8902;
const addresses = {
  plain: Uint8Array.of(0x01, 0x80, 0xc2, 0x00, 0x00, 0x30),
  extended: Uint8Array.of(0x01, 0x23, 0x20, 0x00, 0x00, 0x30),
};
const vlanType = 0x8100;
const stackedVlanType = 0x88a8;
const ethernetSize = 14;
const tagSize = 4;

const ccmSize = 75;
/** The TLVs' end may be missing. */
const ccmSizeMin = 74;
const ccmOpcode = 1;
/** Offset of the TLVs from the end of the first four bytes. */
const tlvOffset = 70;
const at = { opcode: 1, flags: 2, tlvOffset: 3, seq: 4, mpid: 8, maid: 10, intervalMs: 58, mpid64: 60, opdown: 68 };
const flag = { rdi: 0x80, interval: 0x07 };

/** Whom messages are for: a domain "ovs", named by a string, and in it an association "ovs". */
const maid = new Uint8Array(48);
maid.set([4, 3, ...new TextEncoder().encode("ovs"), 2, 3, ...new TextEncoder().encode("ovs")]);

export interface Ccm {
  readonly seq: number;
  readonly mpid: bigint;
  /** 1 to 7; 0: `intervalMs` says it. */
  readonly interval: number;
  /** In extended mode, of intervals that have no number. */
  readonly intervalMs: number;
  /** The sender hears nobody. */
  readonly rdi: boolean;
  /** In extended mode: the sender is not operational. */
  readonly opdown: boolean;
}

/** Where the sequence number is in a message. */
export const ccmSeqAt = at.seq;

export function composeCcm(ccm: Ccm, isExtended: boolean): Uint8Array {
  const bytes = new Uint8Array(ccmSize);
  const view = new DataView(bytes.buffer);
  view.setUint8(at.opcode, ccmOpcode);
  view.setUint8(at.flags, ccm.interval | (ccm.rdi ? flag.rdi : 0));
  view.setUint8(at.tlvOffset, tlvOffset);
  view.setUint32(at.seq, ccm.seq);
  // What those read who do not speak the extended mode is some number.
  view.setUint16(at.mpid, Number(ccm.mpid & 0xffffn));
  bytes.set(maid, at.maid);
  view.setUint16(at.intervalMs, ccm.intervalMs);
  if (isExtended) {
    view.setBigUint64(at.mpid64, ccm.mpid);
    view.setUint8(at.opdown, ccm.opdown ? 1 : 0);
  }
  return bytes;
}

/** A message, or what is wrong with it. */
export function parseCcm(
  bytes: Uint8Array,
  isExtended: boolean,
): Ccm | "unparsable" | "otherMaid" | { readonly opcode: number } {
  if (bytes.length < ccmSizeMin) return "unparsable";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const opcode = view.getUint8(at.opcode);
  if (opcode !== ccmOpcode) return { opcode };
  if (!maid.every((byte, index) => byte === bytes[at.maid + index])) return "otherMaid";
  const flags = view.getUint8(at.flags);
  return {
    seq: view.getUint32(at.seq),
    mpid: isExtended ? view.getBigUint64(at.mpid64) : BigInt(view.getUint16(at.mpid)),
    interval: flags & flag.interval,
    intervalMs: view.getUint16(at.intervalMs),
    rdi: (flags & flag.rdi) !== 0,
    opdown: isExtended && view.getUint8(at.opdown) !== 0,
  };
}

/** `tci` 0: without a tag. */
export function ccmFrame(source: Uint8Array, ccm: Uint8Array, isExtended: boolean, tci: number): Uint8Array {
  const word = (value: number): number[] => [value >>> 8, value & 0xff];
  const tag = tci === 0 ? [] : [...word(vlanType), ...word(tci)];
  const destination = isExtended ? addresses.extended : addresses.plain;
  return Uint8Array.from([...destination, ...source, ...tag, ...word(cfmEthertype), ...ccm]);
}

/** What follows the Ethernet header and tags of a frame. */
export function ccmOfFrame(frame: Uint8Array): Uint8Array {
  const typeAt = (size: number): number => ((frame[size - 2] ?? 0) << 8) | (frame[size - 1] ?? 0);
  let size = ethernetSize;
  while (typeAt(size) === vlanType || typeAt(size) === stackedVlanType) size += tagSize;
  return frame.subarray(size);
}
