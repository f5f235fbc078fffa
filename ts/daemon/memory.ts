import type { UnixctlCommand } from "../appctl/index.js";
import type { Clock, Timer } from "../clock/index.js";
import type { Logger, MemoryUsage } from "../log/index.js";

const checkMs = 10_000;
/** Report again when the peak has grown by half. */
const growth = 1.5;

/** Watches the resident size of the process, and prints what is in use. */
export class MemoryMonitor {
  private readonly providers: MemoryUsage[] = [];
  private readonly startedMs: number;
  private reportedKb = 0;
  private reportedMs = 0;
  private readonly timer: Timer;

  constructor(
    private readonly clock: Clock,
    private readonly log: Logger,
    private readonly peakKb: () => number = () => process.resourceUsage().maxRSS,
  ) {
    this.startedMs = clock.monotonic();
    this.timer = clock.every(checkMs, () => this.check());
  }

  add(provider: MemoryUsage): void {
    this.providers.push(provider);
  }

  close(): void {
    this.timer.cancel();
  }

  /** Everything in use, by name; zeros are left out. */
  usage(): Readonly<Record<string, number>> {
    const total = new Map<string, number>();
    for (const provider of this.providers) {
      for (const [name, count] of Object.entries(provider())) total.set(name, (total.get(name) ?? 0) + count);
    }
    return Object.fromEntries([...total].filter(([, count]) => count !== 0).sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** `handlers:1 ports:5 rules:5`. */
  show(): string {
    return Object.entries(this.usage())
      .map(([name, count]) => `${name}:${count}`)
      .join(" ");
  }

  private check(): void {
    const peak = this.peakKb();
    const now = this.clock.monotonic();
    if (this.reportedKb > 0 && peak < this.reportedKb * growth) return;
    if (this.reportedKb === 0) {
      const seconds = ((now - this.startedMs) / 1000).toFixed(1);
      this.log.info(`${peak} kB peak resident set size after ${seconds} seconds`);
    } else {
      const percent = Math.round((peak / this.reportedKb - 1) * 100);
      const seconds = ((now - this.reportedMs) / 1000).toFixed(1);
      this.log.info(
        `peak resident set size grew ${percent}% in last ${seconds} seconds, from ${this.reportedKb} kB to ${peak} kB`,
      );
    }
    this.reportedKb = peak;
    this.reportedMs = now;
    const text = this.show();
    if (text !== "") this.log.info(text);
  }
}

/** The row of `memory/show`. */
export function memoryCommands(memory: MemoryMonitor): readonly UnixctlCommand[] {
  return [
    {
      name: "memory/show",
      usage: "",
      minArgs: 0,
      maxArgs: 0,
      handler: () => ({ text: memory.show(), json: memory.usage() }),
    },
  ];
}
