import { costOf, intervalMs, intervalsMax } from "./intervals.js";
import type { Rxq } from "./placement.js";
import type { PmdThread, PmdThreads } from "./threads.js";

/** `dpif-netdev/pmd-rxq-show`. */

const secondsMax = (intervalMs * intervalsMax) / 1000;
const secondsEach = intervalMs / 1000;

/** Seconds as they are shown: whole intervals, at most all. */
export function shownSeconds(asked: number | undefined): number {
  if (asked === undefined || asked === 0 || asked > secondsMax) return secondsMax;
  return Math.ceil(asked / secondsEach) * secondsEach;
}

const percent = (part: bigint, whole: bigint): string => `${String((100n * part) / whole).padStart(2)} %`;
const byName = (a: Rxq, b: Rxq): number => (a.port < b.port ? -1 : a.port > b.port ? 1 : a.queue - b.queue);

export function rxqText(threads: PmdThreads, thread: PmdThread, seconds: number): string {
  const intervals = seconds / secondsEach;
  const total = thread.history.intervalCycles * BigInt(intervals);
  const busy = costOf(thread.history.busy, intervals);
  const lines = [
    `pmd thread numa_id ${thread.numa} core_id ${thread.core}:`,
    `  isolated : ${thread.isolated ? "true" : "false"}`,
  ];
  let ofQueues = 0n;
  for (const rxq of thread.queues.toSorted(byName)) {
    const cost = costOf(threads.costs(rxq), intervals);
    ofQueues += cost;
    const usage = total === 0n ? "NOT AVAIL" : percent(cost, total);
    lines.push(
      `  port: ${rxq.port.padEnd(16)}  queue-id: ${String(rxq.queue).padStart(2)} (enabled)   pmd usage: ${usage}`,
    );
  }
  if (thread.queues.length > 0) {
    const spent = busy > total ? total : busy;
    const overhead = spent > ofQueues ? spent - ofQueues : 0n;
    lines.push(`  overhead: ${total === 0n ? "NOT AVAIL" : percent(overhead, total)}`);
  }
  return lines.map((line) => `${line}\n`).join("");
}
