/** Rates as the kernel's queueing disciplines are told them: in bytes a second, with times in ticks of its clock.  Pure. */
import { encodeWords } from "./tc-message.js";

/** The kernel's clock for queueing, as /proc/net/psched tells it. */
export interface TcClock {
  readonly ticksPerSecond: number;
  /** Timer interrupts a second: what may have to be sent in one of them must fit a burst. */
  readonly bufferHz: number;
}

const plainClock: TcClock = { ticksPerSecond: 1, bufferHz: 100 };
const microseconds = 1_000_000;
const wordMax = 0xffffffff;

/** Reads the four numbers of /proc/net/psched. */
export function parseTcClock(text: string | undefined): TcClock {
  const [a = 0, b = 0, c = 0, d = 0] = (text ?? "")
    .trim()
    .split(/\s+/)
    .map((word) => Number.parseInt(word, 16) || 0);
  if (a === 0 || b === 0 || c === 0) return plainClock;
  return { ticksPerSecond: (a * c) / b, bufferHz: c === microseconds && d > 0 ? d : plainClock.bufferHz };
}

const ethernetSizeMin = 60;
const ethernetOverhead = 14 + 4;
const tableSize = 256;

/** By how many bits sizes are cut so that those of all frames fit a table of 256. */
function cellLog(mtu: number): number {
  let log = 0;
  for (let size = (mtu || 1500) + ethernetOverhead; size >= tableSize; size >>>= 1) log++;
  return log;
}

export function bytesToTicks(clock: TcClock, rate: number, size: number): number {
  return rate === 0 ? 0 : Math.floor((Math.trunc(clock.ticksPerSecond) * size) / rate) >>> 0;
}

export function ticksToBytes(clock: TcClock, rate: number, ticks: number): number {
  return Math.floor((rate * ticks) / clock.ticksPerSecond) >>> 0;
}

export function microsecondsToTicks(clock: TcClock, time: number): number {
  return Math.floor(time * (clock.ticksPerSecond / microseconds)) >>> 0;
}

/** `struct tc_ratespec`.  A rate that has no room in its word is told beside it, and is as great as can be here. */
export function rateSpec(rate: number, mtu: number): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, cellLog(mtu));
  view.setUint16(6, ethernetSizeMin, true);
  view.setUint32(8, Math.min(rate, wordMax), true);
  return bytes;
}

/** Whether a rate needs more than a word. */
export function isLongRate(rate: number): boolean {
  return rate > wordMax;
}

/** The table of how many ticks frames of 256 sizes take. */
export function rateTable(clock: TcClock, rate: number, mtu: number): Uint8Array {
  const log = cellLog(mtu);
  const ticks = Array.from({ length: tableSize }, (_, index) =>
    bytesToTicks(clock, rate, Math.max((index + 1) << log, ethernetSizeMin)),
  );
  return encodeWords(...ticks);
}

/** Ticks of a burst: what is asked for, or what a timer interrupt may have to send. */
export function burstTicks(clock: TcClock, rate: number, mtu: number, burst: number): number {
  const least = Math.floor(rate / clock.bufferHz) + mtu;
  return bytesToTicks(clock, rate, Math.max(burst, least));
}
