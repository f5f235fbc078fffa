import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import type { Clock, Timer } from "../clock/index.js";
import type { Coverage } from "../log/index.js";

const sampleMs = 5000;
/** Samples of 5 s kept for the minute, and minutes kept for the hour. */
const samplesPerMinute = 12;
const minutesPerHour = 60;

interface Counter {
  total: number;
  /** Total at the last sample. */
  sampled: number;
  readonly minute: number[];
  readonly hour: number[];
}

/** Counters of what another place counts, such as the datapath: totals by name, read when they are asked for. */
export type CounterReader = () => Readonly<Record<string, number>>;

/** Counts events by name, and how fast they come. */
export class CoverageCounters implements Coverage {
  private readonly counters = new Map<string, Counter>();
  private readonly readers: CounterReader[] = [];
  private samples = 0;
  private lastSampleMs: number;
  private readonly timer: Timer;

  constructor(private readonly clock: Clock) {
    this.lastSampleMs = clock.monotonic();
    this.timer = clock.every(sampleMs, () => this.sample());
  }

  declare(...names: readonly string[]): void {
    for (const name of names) this.counter(name);
  }

  count(name: string, by = 1): void {
    this.counter(name).total += by;
  }

  /** Merges in counters that are kept elsewhere. */
  addReader(reader: CounterReader): void {
    this.readers.push(reader);
  }

  /** The total of a counter, or undefined when there is none of that name. */
  read(name: string): number | undefined {
    this.pull();
    return this.counters.get(name)?.total;
  }

  close(): void {
    this.timer.cancel();
  }

  /** As `coverage/show` prints it. */
  show(): string {
    this.pull();
    const moved = [...this.counters].filter(([, counter]) => counter.total > 0).sort(([a], [b]) => (a < b ? -1 : 1));
    const lines = [`Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash=${this.hash(moved)}:`];
    for (const [name, counter] of moved) {
      const [five, minute, hour] = rates(counter);
      lines.push(
        `${name.padEnd(24)} ${five.toFixed(1).padStart(5)}/sec ${minute.toFixed(3).padStart(9)}/sec   ${hour.toFixed(4).padStart(11)}/sec   total: ${counter.total}`,
      );
    }
    lines.push(`${this.counters.size - moved.length} events never hit`);
    return `${lines.join("\n")}\n`;
  }

  /** The same as data. */
  table(): Readonly<Record<string, { total: number; perSecond: readonly number[] }>> {
    this.pull();
    return Object.fromEntries(
      [...this.counters].map(([name, counter]) => [name, { total: counter.total, perSecond: rates(counter) }]),
    );
  }

  private counter(name: string): Counter {
    let counter = this.counters.get(name);
    if (counter === undefined) {
      counter = { total: 0, sampled: 0, minute: [], hour: [] };
      this.counters.set(name, counter);
    }
    return counter;
  }

  private pull(): void {
    for (const reader of this.readers) {
      for (const [name, total] of Object.entries(reader())) this.counter(name).total = total;
    }
  }

  private sample(): void {
    this.pull();
    const now = this.clock.monotonic();
    // After a warp one sample stands for all the periods that were jumped over.
    const periods = Math.max(1, Math.min(Math.round((now - this.lastSampleMs) / sampleMs), samplesPerMinute));
    this.lastSampleMs = now;
    for (const counter of this.counters.values()) {
      const delta = counter.total - counter.sampled;
      counter.sampled = counter.total;
      for (let i = 0; i < periods; i++) counter.minute.unshift(delta / periods);
      counter.minute.length = Math.min(counter.minute.length, samplesPerMinute);
    }
    this.samples += periods;
    if (this.samples < samplesPerMinute) return;
    this.samples = 0;
    for (const counter of this.counters.values()) {
      counter.hour.unshift(sum(counter.minute));
      counter.hour.length = Math.min(counter.hour.length, minutesPerHour);
    }
  }

  /** Tells two runs with the same events apart from two with others. */
  private hash(moved: readonly (readonly [string, Counter])[]): string {
    let hash = 0x811c9dc5;
    for (const [name, counter] of moved) {
      for (const letter of `${name}${String(counter.total).length}`) {
        hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193) >>> 0;
      }
    }
    return hash.toString(16).padStart(8, "0");
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Per second over 5 s, the last minute and the last hour. */
function rates(counter: Counter): readonly [number, number, number] {
  const newest = counter.total - counter.sampled;
  const minute = sum(counter.minute);
  return [
    (counter.minute[0] ?? newest) / 5,
    minute / 60,
    (counter.hour.length === 0 ? minute : sum(counter.hour)) / 3600,
  ];
}

/** The `coverage/...` rows. */
export function coverageCommands(counters: CoverageCounters): readonly UnixctlCommand[] {
  return [
    {
      name: "coverage/show",
      usage: "",
      minArgs: 0,
      maxArgs: 0,
      handler: () => ({ text: counters.show(), json: counters.table() }),
    },
    {
      name: "coverage/read-counter",
      usage: "COUNTER",
      minArgs: 1,
      maxArgs: 1,
      handler: ([name = ""]) => {
        const total = counters.read(name);
        if (total === undefined) throw new UnixctlError("No such counter", { counter: name });
        return `${total}\n`;
      },
    },
  ];
}
