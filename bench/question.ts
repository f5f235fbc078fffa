/** Questions and how they are asked: each side in turn, the order reversed every time (A B B A), medians compared. */
import type { Side } from "./side.js";

export interface Metric {
  readonly name: string;
  readonly unit: string;
  /** Which of two figures is the better one. */
  readonly better: "more" | "less";
  /** What figures are divided by before they are shown. */
  readonly scale?: number;
}

/** Figures by the names of the case's metrics. */
export type Sample = Readonly<Record<string, number>>;

export interface Case {
  /** Stable; what `--only` selects by. */
  readonly id: string;
  readonly text: string;
  readonly metrics: readonly Metric[];
  /** In the short form of the bench too. */
  readonly quick: boolean;
  measure(side: Side, options: MeasureOptions): Promise<Sample>;
  /** Why `side` is not measured, or undefined. */
  missing(side: Side): string | undefined;
}

export interface MeasureOptions {
  readonly quick: boolean;
}

/** One metric of one case, measured. */
export interface Figure {
  readonly id: string;
  readonly text: string;
  readonly metric: Metric;
  readonly sluice: Measured;
  readonly ovs: Measured;
}

export type Measured = { readonly samples: readonly number[] } | { readonly missing: string };

export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function isMeasured(measured: Measured): measured is { readonly samples: readonly number[] } {
  return "samples" in measured;
}

/** Asks a case of both sides, `rounds` times each.  `tell` hears of each measurement. */
export async function ask(
  one: Case,
  sides: readonly [sluice: Side, ovs: Side],
  rounds: number,
  options: MeasureOptions,
  tell: (side: Side, sample: Sample) => void,
): Promise<Figure[]> {
  const samples = new Map<Side, Sample[]>(sides.map((side) => [side, []]));
  const failed = new Map<Side, string>();
  for (let round = 0; round < rounds; round++) {
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      const reason = failed.get(side) ?? one.missing(side);
      if (reason !== undefined) {
        failed.set(side, reason);
        continue;
      }
      try {
        const sample = await one.measure(side, options);
        samples.get(side)!.push(sample);
        tell(side, sample);
      } catch (error) {
        failed.set(side, `failed: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
  const of = (side: Side, metric: Metric): Measured => {
    const reason = failed.get(side);
    return reason !== undefined
      ? { missing: reason }
      : { samples: samples.get(side)!.map((sample) => sample[metric.name] ?? Number.NaN) };
  };
  return one.metrics.map((metric) => ({
    id: one.id,
    text: one.text,
    metric,
    sluice: of(sides[0], metric),
    ovs: of(sides[1], metric),
  }));
}
