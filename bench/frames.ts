/** The frames that null ports make (native/port/null.c), for switches that have no null port: written to a pcap file. */
import { closeSync, openSync, writeSync } from "node:fs";

export interface Source {
  /** Distinct flows; they differ in their IPv4 source address. */
  readonly flows: number;
  /** The headers of each flow, for sources that differ in more; then `masks` and `order` say nothing. */
  readonly headers?: (flow: number) => Headers;
  /** Values that the address's upper byte takes in turn. */
  readonly masks?: number;
  readonly order?: "sequential" | "random";
  /** One flow of frames that are all zero bytes, as DPDK's net_null makes them. */
  readonly zeroes?: boolean;
  /** Addresses that share any number of bits with 10.0.0.10 and 11.0.0.11, of source and destination: a mask for each of
   *  1024 pairs where rules name these two. */
  readonly pattern?: "prefixes";
}

/** What frames of such sources differ in. */
export interface Headers {
  readonly proto: number;
  readonly src: number;
  readonly dst: number;
  readonly sport: number;
  readonly dport: number;
}

/** Bytes of a frame of 64 bytes on the wire, whose last four are the frame check sequence. */
export const frameSize = 60;
const step = { sequential: 1, random: 2654435761 } as const;

/** The IPv4 source address of flow number `flow`. */
export function sourceAddress(source: Source, flow: number): number {
  return 0x0a000000 + ((flow % (source.masks ?? 1)) << 24) + (flow & 0xffffff);
}

/** An address that has the first `bit` bits of `address`, not the next one, and then those of `rest`. */
function differ(address: number, bit: number, rest: number): number {
  const first = 0x80000000 >>> bit;
  return (address ^ first ^ (rest & (first - 1))) >>> 0;
}

/** The frame of flow number `flow`, as null ports make it. */
export function frame(source: Source, flow: number): Uint8Array {
  const bytes = Uint8Array.of(
    ...[0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x08, 0x00],
    ...[0x45, 0, 0, frameSize - 14, 0, 0, 0x40, 0, 64, 17, 0, 0, 0, 0, 0, 0, 10, 255, 0, 1],
    ...[0x10, 0, 0x20, 0, 0, frameSize - 34, 0, 0],
    ...new Array<number>(frameSize - 42).fill(0),
  );
  const view = new DataView(bytes.buffer);
  const headers = source.headers?.(flow);
  if (headers === undefined) {
    view.setUint32(26, sourceAddress(source, flow));
    if (source.pattern === "prefixes") {
      view.setUint32(26, differ(0x0a00000a, flow % 32, Math.imul(flow, 2654435761)));
      view.setUint32(30, differ(0x0b00000b, (flow >>> 5) % 32, Math.imul(flow, 2246822519)));
    }
  } else {
    view.setUint8(23, headers.proto);
    view.setUint32(26, headers.src);
    view.setUint32(30, headers.dst);
    view.setUint16(34, headers.sport);
    view.setUint16(36, headers.dport);
    // A TCP header of twenty bytes; what is UDP's length is the upper half of its sequence number.
    if (headers.proto === 6) view.setUint8(46, 0x50);
  }
  view.setUint16(24, internetChecksum(view, 14, 20));
  return bytes;
}

function internetChecksum(view: DataView, start: number, size: number): number {
  let sum = 0;
  for (let at = start; at < start + size; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** Writes one frame of each flow, in the order in which a null port makes them. */
export function writePcap(path: string, source: Source): void {
  const recordSize = 16 + frameSize;
  const bytes = Buffer.alloc(24 + source.flows * recordSize);
  bytes.writeUInt32LE(0xa1b2c3d4, 0);
  bytes.writeUInt16LE(2, 4);
  bytes.writeUInt16LE(4, 6);
  bytes.writeUInt32LE(65535, 16);
  bytes.writeUInt32LE(1, 20);
  for (let index = 0; index < source.flows; index++) {
    const flow = (Math.imul(index, step[source.order ?? "sequential"]) >>> 0) % source.flows;
    const at = 24 + index * recordSize;
    bytes.writeUInt32LE(frameSize, at + 8);
    bytes.writeUInt32LE(frameSize, at + 12);
    bytes.set(frame(source, flow), at + 16);
  }
  const file = openSync(path, "w");
  try {
    writeSync(file, bytes);
  } finally {
    closeSync(file);
  }
}
