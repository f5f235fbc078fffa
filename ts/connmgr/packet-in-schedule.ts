/** Limits the packet-ins to a controller: a token bucket, and a queue that is fair between ingress ports.  Pure but for
 *  being an object with state: the clock and chance are given.  One schedule for packets that actions sent and one for
 *  table misses, as `status` names them. */

export interface PacketInRate {
  /** Packets per second. */
  readonly rate: number;
  /** Packets that may go at once, and also the most that wait. */
  readonly burst: number;
}

/** The burst in force: a quarter of the rate unless it was given, at least 1. */
export function effectiveRate(rate: number, burst: number | undefined): PacketInRate {
  const wanted = burst === undefined || burst === 0 ? Math.floor(rate / 4) : burst;
  return { rate, burst: Math.max(1, wanted) };
}

/** Tokens are milli-packets, so that one millisecond at one packet a second is one token. */
const tokensPerPacket = 1000;
/** Packets handed over in one run. */
const packetsPerRun = 50;

export class PacketInSchedule<T> {
  #rate: PacketInRate;
  #tokens = 0;
  #filledAt: number;
  readonly #chance: () => number;
  readonly #queues = new Map<number, T[]>();
  /** The ingress port after which the next one is served. */
  #lastServed = -1;
  #backlog = 0;
  /** Counters, as the Controller row's status shows them. */
  bypassed = 0;
  queued = 0;
  dropped = 0;

  constructor(rate: PacketInRate, now: number, chance: () => number) {
    this.#rate = rate;
    this.#filledAt = now;
    this.#tokens = rate.burst * tokensPerPacket;
    this.#chance = chance;
  }

  get backlog(): number {
    return this.#backlog;
  }

  setRate(rate: PacketInRate): void {
    this.#rate = rate;
    this.#tokens = Math.min(this.#tokens, rate.burst * tokensPerPacket);
    while (this.#backlog > rate.burst) this.#dropOne();
  }

  /** Takes a packet; returns it at once when it may go now, or undefined when it waits (or was dropped). */
  offer(port: number, packet: T, now: number): T | undefined {
    if (this.#backlog === 0 && this.#take(now)) {
      this.bypassed++;
      return packet;
    }
    if (this.#backlog >= this.#rate.burst) this.#dropOne();
    const queue = this.#queues.get(port);
    if (queue === undefined) this.#queues.set(port, [packet]);
    else queue.push(packet);
    this.#backlog++;
    this.queued++;
    return undefined;
  }

  /** The waiting packets whose turn has come, round robin over ports. */
  run(now: number): T[] {
    const out: T[] = [];
    while (this.#backlog > 0 && out.length < packetsPerRun && this.#take(now)) {
      const port = this.#nextPort();
      out.push(this.#shift(port));
      this.#lastServed = port;
    }
    return out;
  }

  /** When `run` will next have something; undefined while nothing waits. */
  deadline(now: number): number | undefined {
    if (this.#backlog === 0) return undefined;
    this.#fill(now);
    const missing = tokensPerPacket - this.#tokens;
    return missing <= 0 ? now : now + Math.ceil(missing / this.#rate.rate);
  }

  #fill(now: number): void {
    const gained = Math.max(0, now - this.#filledAt) * this.#rate.rate;
    this.#filledAt = now;
    this.#tokens = Math.min(this.#tokens + gained, this.#rate.burst * tokensPerPacket);
  }

  #take(now: number): boolean {
    this.#fill(now);
    if (this.#tokens < tokensPerPacket) return false;
    this.#tokens -= tokensPerPacket;
    return true;
  }

  #nextPort(): number {
    const ports = [...this.#queues.keys()].sort((a, b) => a - b);
    return ports.find((port) => port > this.#lastServed) ?? ports[0] ?? 0;
  }

  #shift(port: number): T {
    const queue = this.#queues.get(port);
    const packet = queue?.shift();
    if (queue === undefined || packet === undefined) throw new Error(`no packet waits for port ${port}`);
    if (queue.length === 0) this.#queues.delete(port);
    this.#backlog--;
    return packet;
  }

  /** Makes room: the oldest packet of the longest queue goes, whichever of several equally long ones chance picks. */
  #dropOne(): void {
    const longest = Math.max(...[...this.#queues.values()].map((queue) => queue.length));
    const ports = [...this.#queues].filter(([, queue]) => queue.length === longest).map(([port]) => port);
    const port = ports[Math.min(ports.length - 1, Math.floor(this.#chance() * ports.length))];
    if (port === undefined) return;
    this.#shift(port);
    this.dropped++;
  }
}
