/** Time as rooms see it.  Nobody but this room calls Date.now, performance.now or setTimeout: so that a test, or
 *  `ovs-appctl time/stop`, can hold and move the time of everything at once.
 *
 *  `systemClock()` runs by itself.  `virtualClock(start)` stands still until it is moved:
 *
 *  ```ts
 *  const clock = virtualClock();
 *  const timer = clock.after(5000, probe);
 *  clock.advance(5000);                       // probe has run
 *  ``` */

export interface Timer {
  /** Idempotent, and fine after the timer has fired. */
  cancel(): void;
}

export interface Clock {
  /** Milliseconds, never going back; only differences mean anything. */
  monotonic(): number;
  /** Milliseconds since 1970. */
  wall(): number;
  /** Calls once, `delayMs` from now on this clock; with 0, soon, but never before `after` has returned. */
  after(delayMs: number, callback: () => void): Timer;
  /** Calls every `periodMs`.  A period that was missed is not made up for. */
  every(periodMs: number, callback: () => void): Timer;
}

/** A clock that can be held and moved. */
export interface AdjustableClock extends Clock {
  readonly stopped: boolean;
  /** Freezes the monotonic time. */
  stop(): void;
  /** Moves the monotonic time forward and calls what has become due, in order of time.  Works on a running clock too. */
  advance(ms: number): void;
  /** Tells after each `stop` and `advance`: for what keeps time elsewhere, as the datapath does. */
  onAdjust(listener: (nowMs: number) => void): void;
  /** Forgets all timers. */
  dispose(): void;
}

/** Where an adjustable clock takes its time and its one wake-up from. */
export interface TimeSource {
  monotonic(): number;
  wall(): number;
  /** Calls back after so many milliseconds; returns what cancels it. */
  wake(delayMs: number, callback: () => void): () => void;
}

interface Entry {
  due: number;
  /** Keeps timers of the same moment in the order in which they were set. */
  readonly order: number;
  readonly periodMs: number | undefined;
  readonly callback: () => void;
  cancelled: boolean;
}

const wakeMsMax = 0x7fffffff;

/** A binary heap by due time: a bridge with a thousand controllers has thousands of timers. */
class TimerHeap {
  private readonly entries: Entry[] = [];

  get first(): Entry | undefined {
    return this.entries[0];
  }

  push(entry: Entry): void {
    const { entries } = this;
    let index = entries.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!before(entry, entries[parent]!)) break;
      entries[index] = entries[parent]!;
      index = parent;
    }
    entries[index] = entry;
  }

  pop(): Entry | undefined {
    const { entries } = this;
    const top = entries[0];
    const last = entries.pop();
    if (last === undefined || entries.length === 0) return top;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= entries.length) break;
      if (child + 1 < entries.length && before(entries[child + 1]!, entries[child]!)) child++;
      if (!before(entries[child]!, last)) break;
      entries[index] = entries[child]!;
      index = child;
    }
    entries[index] = last;
    return top;
  }

  clear(): void {
    this.entries.length = 0;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.due < b.due || (a.due === b.due && a.order < b.order);
}

class HeapClock implements AdjustableClock {
  private readonly heap = new TimerHeap();
  private readonly listeners: ((nowMs: number) => void)[] = [];
  /** What `advance` has added to the source's time. */
  private offset = 0;
  private frozenAt: number | undefined;
  private nextOrder = 0;
  private cancelWake: (() => void) | undefined;
  private wakeDue = Number.POSITIVE_INFINITY;

  constructor(private readonly source: TimeSource) {}

  get stopped(): boolean {
    return this.frozenAt !== undefined;
  }

  monotonic(): number {
    return this.frozenAt ?? this.source.monotonic() + this.offset;
  }

  wall(): number {
    return this.source.wall();
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.add(delayMs, undefined, callback);
  }

  every(periodMs: number, callback: () => void): Timer {
    return this.add(periodMs, Math.max(periodMs, 1), callback);
  }

  stop(): void {
    // At a whole millisecond: sums of fractions are rounded, and five steps of a second may end before what one step of five
    // seconds reaches.
    this.frozenAt ??= Math.ceil(this.monotonic());
    this.arm();
    this.tell();
  }

  advance(ms: number): void {
    const target = this.monotonic() + Math.max(ms, 0);
    if (this.frozenAt === undefined) {
      this.offset += Math.max(ms, 0);
      this.fire(this.monotonic());
    } else {
      this.fireUpTo(target);
      this.frozenAt = target;
    }
    this.tell();
    this.arm();
  }

  onAdjust(listener: (nowMs: number) => void): void {
    this.listeners.push(listener);
  }

  dispose(): void {
    this.heap.clear();
    this.arm();
  }

  private tell(): void {
    for (const listener of this.listeners) listener(this.monotonic());
  }

  private add(delayMs: number, periodMs: number | undefined, callback: () => void): Timer {
    const due = this.monotonic() + Math.max(delayMs, 0);
    const entry: Entry = { due, order: this.nextOrder++, periodMs, callback, cancelled: false };
    this.heap.push(entry);
    if (due < this.wakeDue) this.arm();
    return {
      cancel: () => {
        entry.cancelled = true;
        if (this.heap.first === entry) this.arm();
      },
    };
  }

  /** On a frozen clock each callback sees the moment that it was set for. */
  private fireUpTo(target: number): void {
    for (let entry = this.heap.first; entry !== undefined && entry.due <= target; entry = this.heap.first) {
      this.frozenAt = Math.max(this.frozenAt ?? 0, entry.due);
      this.fireFirst(entry.due);
    }
  }

  private fire(now: number): void {
    // What a callback sets for "now" waits for the next turn, or a timer of zero would never let go.
    const orderEnd = this.nextOrder;
    for (let entry = this.heap.first; entry !== undefined && entry.due <= now; entry = this.heap.first) {
      if (entry.order >= orderEnd) break;
      this.fireFirst(now);
    }
  }

  private fireFirst(now: number): void {
    const entry = this.heap.pop();
    if (entry === undefined || entry.cancelled) return;
    if (entry.periodMs !== undefined) {
      entry.due = Math.max(entry.due + entry.periodMs, now);
      if (entry.due <= now) entry.due = now + entry.periodMs;
      this.heap.push(entry);
    }
    entry.callback();
  }

  private arm(): void {
    while (this.heap.first?.cancelled === true) this.heap.pop();
    const first = this.heap.first;
    // A frozen clock still calls what is due already: `after(0)` means soon, not later.
    const waits = first === undefined || (this.stopped && first.due > this.monotonic());
    const due = waits ? Number.POSITIVE_INFINITY : first.due;
    if (due === this.wakeDue && this.cancelWake !== undefined) return;
    this.cancelWake?.();
    this.cancelWake = undefined;
    this.wakeDue = due;
    if (due === Number.POSITIVE_INFINITY) return;
    const delay = Math.min(Math.max(Math.ceil(due - this.monotonic()), 0), wakeMsMax);
    this.cancelWake = this.source.wake(delay, () => {
      this.cancelWake = undefined;
      this.wakeDue = Number.POSITIVE_INFINITY;
      this.fire(this.monotonic());
      this.arm();
    });
  }
}

const systemSource: TimeSource = {
  monotonic: () => performance.now(),
  wall: () => Date.now(),
  wake: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

/** The machine's time.  All its timers stand behind one setTimeout, so an idle program does not wake. */
export function systemClock(source: TimeSource = systemSource): AdjustableClock {
  return new HeapClock(source);
}

/** A clock that starts stopped at `startMs`, with a wall clock that moves along. */
export function virtualClock(startMs = 0, wallStartMs = 0): AdjustableClock {
  const clock: AdjustableClock = new HeapClock({
    monotonic: () => startMs,
    wall: () => wallStartMs + clock.monotonic() - startMs,
    wake: () => () => {},
  });
  clock.stop();
  return clock;
}
