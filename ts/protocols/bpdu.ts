/** What the frames of the spanning tree protocols, plain and rapid, have in common.  Pure. */

/** The address that they go to: those of bridges. */
export const bridgeGroupAddress = Uint8Array.of(0x01, 0x80, 0xc2, 0x00, 0x00, 0x00);
/** What an LLC header says of them: destination, source, control. */
const llc = Uint8Array.of(0x42, 0x42, 0x03);
const ethernetSize = 14;
const vlanSize = 4;

/** Types of BPDUs. */
export const bpduType = { config: 0, rapid: 2, topologyChange: 0x80 } as const;
/** Sizes in bytes: a TCN, what a config begins with, and a rapid one. */
export const bpduSize = { topologyChange: 4, config: 35, rapid: 36 } as const;
/** Times in BPDUs count in this part of a second. */
export const ticksPerSecond = 256;

export const msOfTicks = (ticks: number): number => (ticks * 1000) / ticksPerSecond;
export const ticksOfMs = (ms: number): number => Math.floor((ms * ticksPerSecond) / 1000);

/** A bridge's identifier: priority in the upper 16 bits, address below. */
export type BridgeId = bigint;

const addressBits = (1n << 48n) - 1n;
export const bridgeId = (priority: number, address: bigint): BridgeId => (BigInt(priority) << 48n) | address;
export const priorityOf = (id: BridgeId): number => Number(id >> 48n);
export const addressOf = (id: BridgeId): bigint => id & addressBits;

/** The fields that a config and a rapid BPDU share. */
export interface BpduFields {
  readonly flags: number;
  readonly rootId: BridgeId;
  readonly rootPathCost: number;
  readonly bridgeId: BridgeId;
  readonly portId: number;
  /** The rest in ticks. */
  readonly messageAge: number;
  readonly maxAge: number;
  readonly helloTime: number;
  readonly forwardDelay: number;
}

export function composeBpdu(version: number, type: number, fields: BpduFields): Uint8Array {
  const bytes = new Uint8Array(type === bpduType.rapid ? bpduSize.rapid : bpduSize.config);
  const view = new DataView(bytes.buffer);
  view.setUint8(2, version);
  view.setUint8(3, type);
  view.setUint8(4, fields.flags);
  view.setBigUint64(5, fields.rootId);
  view.setUint32(13, fields.rootPathCost);
  view.setBigUint64(17, fields.bridgeId);
  view.setUint16(25, fields.portId);
  view.setUint16(27, fields.messageAge);
  view.setUint16(29, fields.maxAge);
  view.setUint16(31, fields.helloTime);
  view.setUint16(33, fields.forwardDelay);
  return bytes;
}

export function composeTopologyChange(): Uint8Array {
  return Uint8Array.of(0, 0, 0, bpduType.topologyChange);
}

/** What a BPDU begins with; undefined when it is shorter than that. */
export function bpduHeader(
  bytes: Uint8Array,
): { readonly protocol: number; readonly version: number; readonly type: number } | undefined {
  if (bytes.length < bpduSize.topologyChange) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return { protocol: view.getUint16(0), version: view.getUint8(2), type: view.getUint8(3) };
}

/** `bytes` must be at least as long as a config BPDU. */
export function bpduFields(bytes: Uint8Array): BpduFields {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    flags: view.getUint8(4),
    rootId: view.getBigUint64(5),
    rootPathCost: view.getUint32(13),
    bridgeId: view.getBigUint64(17),
    portId: view.getUint16(25),
    messageAge: view.getUint16(27),
    maxAge: view.getUint16(29),
    helloTime: view.getUint16(31),
    forwardDelay: view.getUint16(33),
  };
}

/** The frame that carries a BPDU from `source`. */
export function bpduFrame(source: Uint8Array, bpdu: Uint8Array): Uint8Array {
  const size = llc.length + bpdu.length;
  return Uint8Array.from([...bridgeGroupAddress, ...source.subarray(0, 6), size >>> 8, size & 0xff, ...llc, ...bpdu]);
}

/** The BPDU that a frame carries, without padding; undefined when it is too short to have one. */
export function bpduOfFrame(frame: Uint8Array): Uint8Array | undefined {
  const type = ((frame[12] ?? 0) << 8) | (frame[13] ?? 0);
  const tagged = type === 0x8100 ? vlanSize : 0;
  const size = tagged === 0 ? type : ((frame[16] ?? 0) << 8) | (frame[17] ?? 0);
  const begin = ethernetSize + tagged;
  const payload = frame.subarray(begin, Math.min(frame.length, begin + size));
  return payload.length < llc.length ? undefined : payload.subarray(llc.length);
}
