/** Messages of rtnetlink about queueing: qdiscs and their classes, as tc(8) exchanges them with the kernel.  Pure.
 *
 *  A message is a header of 16 bytes, `struct tcmsg` of 20, and attributes; numbers are in the host's order, which is
 *  little-endian wherever we run. */

export const tcType = {
  newQdisc: 36,
  deleteQdisc: 37,
  getQdisc: 38,
  newClass: 40,
  deleteClass: 41,
  getClass: 42,
} as const;
const flag = {
  request: 1,
  ack: 4,
  echo: 8,
  root: 0x100,
  match: 0x200,
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
};
/** What a request does if there is something, or nothing. */
export const tcFlags = {
  make: flag.create | flag.exclusive,
  makeOrChange: flag.create,
  makeOrReplace: flag.create | flag.replace,
  ask: flag.echo,
  dump: flag.root | flag.match,
  none: 0,
} as const;
export const tcAttribute = { kind: 1, options: 2, stats2: 7 } as const;
const statsAttribute = { basic: 1, queue: 3 } as const;
/** TC_H_ROOT. */
export const rootParent = 0xffffffff;

const headerSize = 16;
const messageSize = 20;
const attributeHeaderSize = 4;
const nestedFlag = 0x8000;
const pad4 = (size: number): number => (size + 3) & ~3;

export function handle(major: number, minor: number): number {
  return ((major << 16) | minor) >>> 0;
}

export function handleText(value: number): string {
  return `${value >>> 16}:${value & 0xffff}`;
}

export interface TcAttribute {
  readonly type: number;
  readonly value: Uint8Array;
}

export interface TcMessage {
  readonly type: number;
  readonly ifindex: number;
  readonly handle: number;
  readonly parent: number;
  readonly attributes: ReadonlyMap<number, Uint8Array>;
}

/** Attributes one behind the other, as they lie in a message and in the value of an attribute that has some. */
export function encodeAttributes(attributes: readonly TcAttribute[]): Uint8Array<ArrayBuffer> {
  const size = attributes.reduce((sum, { value }) => sum + attributeHeaderSize + pad4(value.length), 0);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { type, value } of attributes) {
    view.setUint16(at, attributeHeaderSize + value.length, true);
    view.setUint16(at + 2, type, true);
    bytes.set(value, at + attributeHeaderSize);
    at += attributeHeaderSize + pad4(value.length);
  }
  return bytes;
}

/** Reads attributes; what is cut short ends the list. */
export function decodeAttributes(bytes: Uint8Array): Map<number, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const attributes = new Map<number, Uint8Array>();
  for (let at = 0; at + attributeHeaderSize <= bytes.length; ) {
    const size = view.getUint16(at, true);
    if (size < attributeHeaderSize || at + size > bytes.length) break;
    attributes.set(view.getUint16(at + 2, true) & ~nestedFlag, bytes.subarray(at + attributeHeaderSize, at + size));
    at += pad4(size);
  }
  return attributes;
}

export function encodeTc(
  message: {
    readonly type: number;
    readonly flags: number;
    readonly ifindex: number;
    readonly handle?: number;
    readonly parent?: number;
  },
  attributes: readonly TcAttribute[] = [],
): Uint8Array<ArrayBuffer> {
  const tail = encodeAttributes(attributes);
  const bytes = new Uint8Array(headerSize + messageSize + tail.length);
  const view = new DataView(bytes.buffer);
  const isDump = message.flags === tcFlags.dump;
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, message.type, true);
  // A dump has an end of its own; an acknowledgement ends everything else.
  view.setUint16(6, flag.request | message.flags | (isDump ? 0 : flag.ack), true);
  view.setUint32(8, 1, true);
  view.setInt32(headerSize + 4, message.ifindex, true);
  view.setUint32(headerSize + 8, message.handle ?? 0, true);
  view.setUint32(headerSize + 12, message.parent ?? 0, true);
  bytes.set(tail, headerSize + messageSize);
  return bytes;
}

/** Reads what the kernel answered; other messages than those about queueing, and what is cut short, are left out. */
export function decodeTc(bytes: Uint8Array): TcMessage[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const messages: TcMessage[] = [];
  for (let at = 0; at + headerSize + messageSize <= bytes.length; ) {
    const size = view.getUint32(at, true);
    if (size < headerSize + messageSize || at + size > bytes.length) break;
    const type = view.getUint16(at + 4, true);
    if (type >= tcType.newQdisc && type <= tcType.getClass) {
      messages.push({
        type,
        ifindex: view.getInt32(at + headerSize + 4, true),
        handle: view.getUint32(at + headerSize + 8, true),
        parent: view.getUint32(at + headerSize + 12, true),
        attributes: decodeAttributes(bytes.subarray(at + headerSize + messageSize, at + size)),
      });
    }
    at += pad4(size);
  }
  return messages;
}

/** A string of C as the value of an attribute. */
export function encodeString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}

export function decodeString(value: Uint8Array | undefined): string | undefined {
  if (value === undefined) return undefined;
  const end = value.indexOf(0);
  return new TextDecoder().decode(end < 0 ? value : value.subarray(0, end));
}

export function encodeWords(...words: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * words.length);
  const view = new DataView(bytes.buffer);
  words.forEach((word, index) => {
    view.setUint32(4 * index, word, true);
  });
  return bytes;
}

/** The word at `offset` of an attribute's value; undefined if it does not reach that far. */
export function wordAt(value: Uint8Array | undefined, offset: number): number | undefined {
  if (value === undefined || offset + 4 > value.length) return undefined;
  return new DataView(value.buffer, value.byteOffset, value.length).getUint32(offset, true);
}

export interface TcCounters {
  readonly txBytes: bigint;
  readonly txPackets: bigint;
  readonly txErrors: bigint;
}

/** What the kernel counted of a class. */
export function countersOf(message: TcMessage): TcCounters | undefined {
  const stats = message.attributes.get(tcAttribute.stats2);
  const parts = stats === undefined ? undefined : decodeAttributes(stats);
  const basic = parts?.get(statsAttribute.basic);
  const packets = wordAt(basic, 8);
  const drops = wordAt(parts?.get(statsAttribute.queue), 8);
  if (basic === undefined || packets === undefined || drops === undefined) return undefined;
  const txBytes = new DataView(basic.buffer, basic.byteOffset, basic.length).getBigUint64(0, true);
  return { txBytes, txPackets: BigInt(packets), txErrors: BigInt(drops) };
}
