import { histogram } from "../datapath/generated/records.js";

/** Walls of the histograms' bins: the ranges are those that Open vSwitch prints. */

const bins = 32;
const endless = 0xffffffff;

interface Range {
  readonly min: number;
  readonly max: number;
  readonly linear?: true;
}

const ranges: ReadonlyMap<number, Range> = new Map<number, Range>([
  [histogram.cycles, { min: 500, max: 24_000_000 }],
  [histogram.packets, { min: 0, max: 1000 }],
  [histogram.cyclesPerPacket, { min: 100, max: 30_000, linear: true }],
  [histogram.packetsPerBatch, { min: 0, max: 32, linear: true }],
  [histogram.misses, { min: 0, max: 30, linear: true }],
  [histogram.cyclesPerMiss, { min: 1000, max: 1_000_000 }],
]);

/** At equal distances. */
function linearWalls({ min, max }: Range): number[] {
  return Array.from({ length: bins - 1 }, (_, index) => min + Math.trunc((index * (max - min)) / (bins - 2)));
}

/** At equal ratios, but at least 1 apart; from 0, the first is 0. */
function logarithmicWalls({ min, max }: Range): number[] {
  const walls = min === 0 ? [0] : [];
  const count = bins - 1 - walls.length;
  const low = Math.log(Math.max(min, 1));
  const step = (Math.log(max) - low) / (count - 1);
  let next = walls.length;
  for (let index = 0; index < count; index++) {
    next = Math.max(next, Math.trunc(Math.exp(low + index * step)));
    walls.push(next++);
  }
  walls[bins - 2] = Math.max(walls[bins - 2] ?? 0, max);
  return walls;
}

/** The walls of histogram `kind`; the last bin has no end. */
export function histogramWalls(kind: number): readonly bigint[] {
  const range = ranges.get(kind) ?? { min: 0, max: bins, linear: true };
  const walls = range.linear === true ? linearWalls(range) : logarithmicWalls(range);
  return [...walls, endless].map(BigInt);
}

/** Walls of Open vSwitch's histogram of how full a virtual machine's queue was, which is not measured here. */
export const queueFillWalls: readonly bigint[] = [...logarithmicWalls({ min: 0, max: 512 }), endless].map(BigInt);
