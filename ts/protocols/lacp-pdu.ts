/** LACP's PDUs: the bytes after the Ethernet header.  Pure. */

/** What a system says of one of its links. */
export interface LacpInfo {
  readonly systemPriority: number;
  readonly systemId: Uint8Array;
  readonly key: number;
  readonly portPriority: number;
  readonly portId: number;
  /** Of `stateBit`. */
  readonly state: number;
}

/** In the order that they are shown in. */
export const stateBit = {
  activity: 1,
  timeout: 2,
  aggregation: 4,
  synchronized: 8,
  collecting: 16,
  distributing: 32,
  defaulted: 64,
  expired: 128,
} as const;

/** No partner. */
export const nobody: LacpInfo = {
  systemPriority: 0,
  systemId: new Uint8Array(6),
  key: 0,
  portPriority: 0,
  portId: 0,
  state: 0,
};

/** Ethernet type of LACP and other slow protocols, and the address that their frames go to. */
export const slowProtocols = 0x8809;
export const lacpAddress = Uint8Array.of(0x01, 0x80, 0xc2, 0x00, 0x00, 0x02);

const pduSize = 110;
const subtype = { lacp: 1, marker: 2 } as const;
/** Offsets of the parts; each begins with its type and length. */
const actorAt = 2;
const partnerAt = 22;
const collectorAt = 42;
const infoSize = 20;
const collectorSize = 16;

export function sameSystem(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, index) => byte === b[index]);
}

function writeInfo(pdu: DataView, at: number, type: number, info: LacpInfo): void {
  pdu.setUint8(at, type);
  pdu.setUint8(at + 1, infoSize);
  pdu.setUint16(at + 2, info.systemPriority);
  info.systemId.forEach((byte, index) => {
    pdu.setUint8(at + 4 + index, byte);
  });
  pdu.setUint16(at + 10, info.key);
  pdu.setUint16(at + 12, info.portPriority);
  pdu.setUint16(at + 14, info.portId);
  pdu.setUint8(at + 16, info.state);
}

function readInfo(pdu: DataView, at: number): LacpInfo {
  return {
    systemPriority: pdu.getUint16(at + 2),
    systemId: Uint8Array.from({ length: 6 }, (_, index) => pdu.getUint8(at + 4 + index)),
    key: pdu.getUint16(at + 10),
    portPriority: pdu.getUint16(at + 12),
    portId: pdu.getUint16(at + 14),
    state: pdu.getUint8(at + 16),
  };
}

export function composePdu(actor: LacpInfo, partner: LacpInfo): Uint8Array {
  const bytes = new Uint8Array(pduSize);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, subtype.lacp);
  view.setUint8(1, 1);
  writeInfo(view, actorAt, 1, actor);
  writeInfo(view, partnerAt, 2, partner);
  view.setUint8(collectorAt, 3);
  view.setUint8(collectorAt + 1, collectorSize);
  return bytes;
}

/** Undefined for what is no PDU of LACP. */
export function parsePdu(
  bytes: Uint8Array,
): { readonly actor: LacpInfo; readonly partner: LacpInfo } | "marker" | undefined {
  if (bytes.length < pduSize) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint8(0) === subtype.marker) return "marker";
  const parts = [
    [actorAt, 1],
    [partnerAt, 2],
  ] as const;
  const isWhole = parts.every(([at, type]) => view.getUint8(at) === type && view.getUint8(at + 1) === infoSize);
  if (view.getUint8(0) !== subtype.lacp || !isWhole) return undefined;
  return { actor: readInfo(view, actorAt), partner: readInfo(view, partnerAt) };
}
