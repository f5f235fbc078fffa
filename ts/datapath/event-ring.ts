/** The consuming side of the event ring: sluice/datapath.h says how it works. */
import { recordSize } from "./generated/records.js";

const tailAt = 0;
const headAt = 64;
const droppedAt = 136;
const droppedCount = 16;
const armedAt = 264;
const dataAt = 320;
/** Events are copied into blocks of so many bytes: an allocation for each would cost more than all the rest. */
const blockSize = 64 * 1024;

/** Where an event was copied to: bytes that nobody else writes. */
export interface EventBytes {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Of the same bytes. */
  readonly view: DataView;
}

export class EventRing {
  /** What the addon gets. */
  readonly memory: Uint8Array;
  readonly #words: BigUint64Array;
  readonly #low: Int32Array;
  readonly #view: DataView;
  readonly #size: number;
  #head = 0;
  #block: EventBytes = newBlock(0);
  #blockUsed = 0;

  /** A ring with `size` bytes for events, a power of two. */
  constructor(size: number) {
    const buffer = new SharedArrayBuffer(dataAt + size);
    this.memory = new Uint8Array(buffer);
    this.#words = new BigUint64Array(buffer);
    this.#low = new Int32Array(buffer);
    this.#view = new DataView(buffer);
    this.#size = size;
  }

  /** Bytes that wait. */
  #waiting(): number {
    return ((Atomics.load(this.#low, tailAt / 4) >>> 0) - (this.#head >>> 0)) >>> 0;
  }

  /** Takes up to `max` records and hands each to `take`, which finds it in a block at [at, at + size).  Returns how many
   *  there were. */
  drain(max: number, take: (type: number, block: EventBytes, at: number, size: number) => void): number {
    let count = 0;
    let waiting = this.#waiting();
    try {
      while (waiting > 0 && count < max) {
        const at = dataAt + (this.#head & (this.#size - 1));
        const type = this.#view.getUint16(at, true);
        const size = this.#view.getUint32(at + 4, true);
        if (size < recordSize || size > waiting)
          throw new Error(`event ring: a record of ${size} bytes, ${waiting} waiting`);
        if (type !== 0) this.#copy(at, size);
        this.#head += size;
        waiting -= size;
        if (type !== 0) {
          count++;
          take(type, this.#block, this.#blockUsed - size, size);
        }
        if (waiting === 0) waiting = this.#waiting();
      }
    } finally {
      Atomics.store(this.#words, headAt / 8, BigInt(this.#head));
    }
    return count;
  }

  #copy(at: number, size: number): void {
    if (this.#blockUsed + size > this.#block.bytes.length) {
      this.#block = newBlock(Math.max(size, blockSize));
      this.#blockUsed = 0;
    }
    const { bytes } = this.#block;
    const { memory } = this;
    if (size > 512) bytes.set(memory.subarray(at, at + size), this.#blockUsed);
    else for (let index = 0; index < size; index++) bytes[this.#blockUsed + index] = memory[at + index] as number;
    this.#blockUsed += size;
  }

  /** Asks for a wake-up at the next event.  False: there are events already, and no wake-up will come. */
  arm(): boolean {
    Atomics.store(this.#words, armedAt / 8, 1n);
    if (this.#waiting() === 0) return true;
    Atomics.store(this.#words, armedAt / 8, 0n);
    return false;
  }

  /** Events lost for want of room since the ring was made, by type. */
  dropped(): number[] {
    return Array.from({ length: droppedCount }, (_, type) => Number(Atomics.load(this.#words, droppedAt / 8 + type)));
  }
}

function newBlock(size: number): EventBytes {
  const bytes = new Uint8Array(size);
  return { bytes, view: new DataView(bytes.buffer) };
}
