import { OpenFlowError } from "./error.js";
import type { ErrorName } from "./tables/errors.js";

/** A message where it lies: `bytes` from `start` to `end`. */
export interface MessageSpan {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** A byte array that grows.  Network-order writers have no suffix; little-endian ones, for ABI records, end in `Le`. */
export class ByteWriter {
  bytes: Uint8Array;
  view: DataView;
  position = 0;

  constructor(capacity = 256) {
    this.bytes = new Uint8Array(capacity);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Makes room for `size` more bytes. */
  reserve(size: number): void {
    const needed = this.position + size;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.bytes.length));
    grown.set(this.bytes.subarray(0, this.position));
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }

  u8(value: number): void {
    this.reserve(1);
    this.bytes[this.position++] = value;
  }

  u16(value: number): void {
    this.reserve(2);
    this.view.setUint16(this.position, value);
    this.position += 2;
  }

  u32(value: number): void {
    this.reserve(4);
    this.view.setUint32(this.position, value);
    this.position += 4;
  }

  u64(value: bigint): void {
    this.reserve(8);
    this.view.setBigUint64(this.position, value);
    this.position += 8;
  }

  u16Le(value: number): void {
    this.reserve(2);
    this.view.setUint16(this.position, value, true);
    this.position += 2;
  }

  u32Le(value: number): void {
    this.reserve(4);
    this.view.setUint32(this.position, value, true);
    this.position += 4;
  }

  u64Le(value: bigint): void {
    this.reserve(8);
    this.view.setBigUint64(this.position, value, true);
    this.position += 8;
  }

  zeros(count: number): void {
    this.reserve(count);
    const end = this.position + count;
    // A call into the engine costs more than a few bytes.
    if (count > 16) this.bytes.fill(0, this.position, end);
    else for (let at = this.position; at < end; at++) this.bytes[at] = 0;
    this.position = end;
  }

  /** Zeros until `position - from` is a multiple of `unit`. */
  align(unit: number, from = 0): void {
    const over = (this.position - from) % unit;
    if (over !== 0) this.zeros(unit - over);
  }

  put(source: Uint8Array, start = 0, end = source.length): void {
    this.reserve(end - start);
    const { bytes, position } = this;
    if (end - start <= 48) for (let at = start; at < end; at++) bytes[position + at - start] = source[at] as number;
    else bytes.set(start === 0 && end === source.length ? source : source.subarray(start, end), position);
    this.position = position + end - start;
  }

  /** `text` in exactly `size` bytes, cut or filled with zeros, always ended by one. */
  text(text: string, size: number): void {
    const encoded = new TextEncoder().encode(text).subarray(0, size - 1);
    this.put(encoded);
    this.zeros(size - encoded.length);
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.bytes.slice(0, this.position);
  }
}

/** Reads network-order values from [position, end) and never beyond: a short read throws the error that it was made with. */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  position: number;
  readonly end: number;
  readonly tooShort: ErrorName;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length, tooShort: ErrorName = "OFPBRC_BAD_LEN") {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = start;
    this.end = end;
    this.tooShort = tooShort;
  }

  get left(): number {
    return this.end - this.position;
  }

  /** Position before moving on by `size`. */
  take(size: number): number {
    const at = this.position;
    if (size > this.end - at)
      throw new OpenFlowError(this.tooShort, `the message ends ${size - (this.end - at)} bytes too early`);
    this.position = at + size;
    return at;
  }

  u8(): number {
    return this.bytes[this.take(1)] as number;
  }

  u16(): number {
    return this.view.getUint16(this.take(2));
  }

  u32(): number {
    return this.view.getUint32(this.take(4));
  }

  u64(): bigint {
    return this.view.getBigUint64(this.take(8));
  }

  skip(size: number): void {
    this.take(size);
  }

  copy(size: number): Uint8Array {
    const at = this.take(size);
    return this.bytes.slice(at, at + size);
  }

  rest(): Uint8Array {
    return this.copy(this.left);
  }

  text(size: number): string {
    const raw = this.copy(size);
    const zero = raw.indexOf(0);
    return new TextDecoder().decode(zero < 0 ? raw : raw.subarray(0, zero));
  }
}

export const empty = new Uint8Array(0);

export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) return false;
  return true;
}
