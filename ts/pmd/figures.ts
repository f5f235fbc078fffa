import type { HistogramInfo, WorkerInfo } from "../datapath/generated/records.js";
import { type QueryTarget, workerHistograms, workerStats } from "../datapath/index.js";

/** What workers have counted since they were cleared.  Native counters only ever grow: from zero they start by subtraction. */

export type Bins = ArrayLike<bigint>;

/** What the counters of a worker were at some moment. */
export interface Zero {
  readonly info: WorkerInfo;
  readonly histograms: ReadonlyMap<number, HistogramInfo>;
  readonly atMs: number;
}

export interface Figures {
  readonly cycles: { readonly idle: bigint; readonly busy: bigint; readonly sleep: bigint; readonly miss: bigint };
  readonly turns: { readonly all: bigint; readonly idle: bigint; readonly sleeps: bigint };
  readonly packets: { readonly received: bigint; readonly recirculated: bigint; readonly sent: bigint };
  readonly sentBatches: bigint;
  readonly hits: {
    readonly simple: bigint;
    readonly exact: bigint;
    readonly masked: bigint;
    readonly searches: bigint;
    readonly misses: bigint;
  };
  readonly hz: number;
}

function histogramsByWorker(target: QueryTarget): Map<number, Map<number, HistogramInfo>> {
  const out = new Map<number, Map<number, HistogramInfo>>();
  for (const info of workerHistograms(target)) {
    const kinds = out.get(info.worker) ?? new Map<number, HistogramInfo>();
    out.set(info.worker, kinds.set(info.kind, info));
  }
  return out;
}

/** The counters of all workers now. */
export function readZeros(target: QueryTarget, atMs: number): ReadonlyMap<number, Zero> {
  const histograms = histogramsByWorker(target);
  return new Map(
    [...workerStats(target)].map((info) => [
      info.worker,
      { info, histograms: histograms.get(info.worker) ?? new Map<number, HistogramInfo>(), atMs },
    ]),
  );
}

type Counter = { [Name in keyof WorkerInfo]: WorkerInfo[Name] extends bigint ? Name : never }[keyof WorkerInfo];

/** The sum over workers of what came since their zeros. */
export function figuresOf(now: readonly Zero[], zeros: ReadonlyMap<number, Zero>): Figures {
  const sum = (name: Counter): bigint =>
    now.reduce((total, { info }) => total + info[name] - (zeros.get(info.worker)?.info[name] ?? 0n), 0n);
  return {
    cycles: {
      idle: sum("idleCycles"),
      busy: sum("busyCycles"),
      sleep: sum("sleepCycles"),
      miss: sum("missCycles"),
    },
    turns: { all: sum("nPolls"), idle: sum("nIdlePolls"), sleeps: sum("nSleeps") },
    packets: { received: sum("nPackets"), recirculated: sum("nRecirculated"), sent: sum("nTxPackets") },
    sentBatches: sum("nTxBatches"),
    hits: {
      simple: sum("nSimpleHit"),
      exact: sum("nEmcHit"),
      masked: sum("nMegaflowHit"),
      searches: sum("nMaskProbe"),
      misses: sum("nMiss"),
    },
    hz: Number(now[0]?.info.cyclesHz ?? 1n),
  };
}

/** The bins of histogram `kind` since the zero; undefined if it was never measured. */
export function binsOf(now: Zero, zero: Zero | undefined, kind: number): { walls: Bins; bins: Bins } | undefined {
  const found = now.histograms.get(kind);
  if (found === undefined) return undefined;
  const before = zero?.histograms.get(kind)?.bins;
  return { walls: found.walls, bins: Array.from(found.bins, (count, index) => count - (before?.[index] ?? 0n)) };
}
