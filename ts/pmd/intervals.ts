/** What threads and queues cost in each of the last intervals. */

export const intervalMs = 5000;
export const intervalsMax = 12;

/** Costs of the last intervals, newest first. */
export type Costs = readonly bigint[];

export const remember = (costs: Costs, cost: bigint): Costs => [cost, ...costs].slice(0, intervalsMax);

/** The sum of the last `count` intervals. */
export const costOf = (costs: Costs, count: number = intervalsMax): bigint =>
  costs.slice(0, count).reduce((sum, cost) => sum + cost, 0n);

/** Counters of a thread and its queues at one moment. */
export interface Reading {
  readonly nowMs: number;
  readonly nowCycles: bigint;
  readonly busyCycles: bigint;
  readonly idleCycles: bigint;
  readonly sleepCycles: bigint;
  /** By queue, as `key` names it. */
  readonly queues: ReadonlyMap<string, bigint>;
}

export interface ThreadHistory {
  /** At the beginning of the interval that runs. */
  readonly last: Reading;
  /** Cycles in the last interval; 0 until one has passed. */
  readonly intervalCycles: bigint;
  readonly busy: Costs;
  /** Intervals in a row in which it was as busy as automatic balance asks for. */
  readonly overloaded: number;
}

export const beginHistory = (reading: Reading): ThreadHistory => ({
  last: reading,
  intervalCycles: 0n,
  busy: [],
  overloaded: 0,
});

/** The queues of a thread changed: what it cost per interval is told anew, from a whole interval on. */
export const restartHistory = (history: ThreadHistory, reading: Reading): ThreadHistory => ({
  ...history,
  last: reading,
  intervalCycles: 0n,
  overloaded: 0,
});

export interface Passed {
  readonly history: ThreadHistory;
  /** What each queue cost in the interval. */
  readonly queues: ReadonlyMap<string, bigint>;
}

const since = (now: bigint, then: bigint): bigint => (now > then ? now - then : 0n);

/** The interval that ended with `reading`, or undefined while it is not yet over.  `loadPercent`: what counts as busy; undefined:
 *  nobody asks. */
export function passInterval(
  history: ThreadHistory,
  reading: Reading,
  loadPercent: number | undefined,
): Passed | undefined {
  const { last } = history;
  if (reading.nowMs - last.nowMs < intervalMs) return undefined;
  const busy = since(reading.busyCycles, last.busyCycles);
  const total = busy + since(reading.idleCycles, last.idleCycles) + since(reading.sleepCycles, last.sleepCycles);
  const load = busy === 0n ? 0n : (100n * busy) / total;
  const isOverloaded = loadPercent !== undefined && load >= BigInt(loadPercent);
  return {
    history: {
      last: reading,
      intervalCycles: since(reading.nowCycles, last.nowCycles),
      busy: remember(history.busy, busy),
      overloaded: loadPercent === undefined ? history.overloaded : isOverloaded ? history.overloaded + 1 : 0,
    },
    queues: new Map([...reading.queues].map(([key, cycles]) => [key, since(cycles, last.queues.get(key) ?? cycles)])),
  };
}
