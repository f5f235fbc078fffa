import { type Core, numaNodes } from "./cores.js";
import { type Load, type PlacementRules, place, type Rxq } from "./placement.js";

/** Automatic load balance: whether placing all queues anew would spread the load better. */

/** A thread as it is. */
export interface BalanceThread extends Core {
  readonly isolated: boolean;
  /** Cycles that passed in all intervals; 0 before the first. */
  readonly totalCycles: bigint;
  readonly queues: readonly Rxq[];
}

export interface Verdict {
  readonly worthwhile: boolean;
  /** For the debug log. */
  readonly lines: readonly string[];
}

/** A check that costs little: why there is nothing to gain, or undefined. */
export function reasonNotToBalance(threads: readonly BalanceThread[], rules: PlacementRules): string | undefined {
  if (rules.algorithm === "roundrobin")
    return "PMD auto load balance nothing to do, pmd-rxq-assign=roundrobin assignment type configured.";
  const free = threads.filter(({ isolated }) => !isolated);
  if (free.length < 2 || !free.some(({ queues }) => queues.length > 1))
    return "PMD auto load balance nothing to do, not enough non-isolated PMDs or RxQs.";
  return undefined;
}

/** The mean square of how much loads differ from their mean, in whole numbers. */
export function variance(values: readonly bigint[]): bigint {
  const count = BigInt(values.length);
  if (count === 0n) return 0n;
  const mean = values.reduce((sum, value) => sum + value, 0n) / count;
  return values.reduce((sum, value) => sum + (value - mean) ** 2n, 0n) / count;
}

function busyPercents(loads: readonly Load[], threads: readonly BalanceThread[], numa: number): bigint[] {
  return loads
    .filter((load) => load.numa === numa && !load.isolated)
    .map((load) => {
      const total = threads.find(({ core }) => core === load.core)?.totalCycles ?? 0n;
      return total === 0n ? 0n : (100n * load.cycles) / total;
    });
}

const loadOf = (thread: BalanceThread): Load => ({
  core: thread.core,
  numa: thread.numa,
  isolated: thread.isolated,
  queues: [...thread.queues],
  cycles: thread.queues.reduce((sum, rxq) => sum + rxq.cycles, 0n),
});

/** What placing `queues` anew would bring. */
export function judge(
  threads: readonly BalanceThread[],
  queues: readonly Rxq[],
  rules: PlacementRules,
  improvementPercent: number,
): Verdict {
  const lines = ["PMD auto load balance performing dry run."];
  const planned = place(threads, queues, rules);
  lines.push(...planned.lines.filter(({ text }) => !text.startsWith("Performing")).map(({ text }) => text));
  const nodes = numaNodes(threads);
  const crosses = planned.loads.some(
    (load) => !load.isolated && load.queues.some((rxq) => rxq.pinned === undefined && rxq.numa !== load.numa),
  );
  if (crosses && nodes.length > 1) {
    lines.push(
      "PMD auto load balance detected cross-numa polling with multiple numa nodes. Unable to accurately estimate.",
    );
    return { worthwhile: false, lines };
  }
  const present = threads.map(loadOf);
  let worthwhile = false;
  let improvement = 0n;
  for (const numa of nodes) {
    const now = variance(busyPercents(present, threads, numa));
    const then = variance(busyPercents(planned.loads, threads, numa));
    if (then < now) improvement = (100n * (now - then)) / now;
    lines.push(
      `Numa node ${numa}. Current variance ${now} Estimated variance ${then}. Variance improvement ${improvement}%.`,
    );
    if (improvement >= BigInt(improvementPercent)) worthwhile = true;
  }
  lines.push(`PMD load variance improvement threshold ${improvementPercent}% is ${worthwhile ? "met" : "not met"}.`);
  return { worthwhile, lines };
}
