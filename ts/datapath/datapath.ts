import { closedErrno, DatapathError } from "./errors.js";
import { type EventBytes, EventRing } from "./event-ring.js";
import { type DatapathEvent, type DatapathEvents, decodeEvent, stateEventTypes } from "./events.js";
import { loadNative, type NativeDatapath } from "./native.js";

export interface DatapathOptions {
  /** Threads that forward.  0, the default: packets move and timers fire inside `run` and `submit` only. */
  readonly workers?: number;
  /** Megaflows at most in each worker's cache; 0 for the default, 200000. */
  readonly flowLimit?: number;
  /** Bytes of the event ring: a power of two; the default is 4 MiB. */
  readonly ringSize?: number;
}

type Listener<Name extends keyof DatapathEvents> = (value: DatapathEvents[Name]) => void;
type Listeners = { [Name in keyof DatapathEvents]: Set<Listener<Name>> };

/** Events handed out in one turn of the JavaScript loop, so that a flood of packet-ins leaves room for the rest. */
const eventsPerTurn = 1024;
/** Events that one call of `drainEvents` hands out at most. */
const eventsPerCall = 1 << 20;
const ringSizeDefault = 4 << 20;

/** A datapath: bridges, ports and flows in native memory, changed by batches and told of by queries and events.
 *
 *  It belongs to the thread that made it.  It keeps no process alive by itself; see `ref`.  After `dispose` every call
 *  answers or throws that it is closed. */
export class Datapath {
  readonly workers: number;
  readonly #native: NativeDatapath;
  readonly #ring: EventRing;
  readonly #listeners: Listeners = {
    packetIn: new Set(),
    portFrame: new Set(),
    protocolPacket: new Set(),
    sample: new Set(),
    linkChanged: new Set(),
    portChanged: new Set(),
    addressChanged: new Set(),
    flowsChanged: new Set(),
    miss: new Set(),
    megaflow: new Set(),
    remark: new Set(),
    netflow: new Set(),
    flood: new Set(),
    keepaliveSilent: new Set(),
    stateLost: new Set(),
  };
  #stateDropped = 0;
  #draining = false;
  #closed = false;

  constructor(options: DatapathOptions = {}) {
    const { workers = 0, flowLimit = 0, ringSize = ringSizeDefault } = options;
    if (!Number.isInteger(Math.log2(ringSize)) || ringSize < 8192 || ringSize > 1 << 30) {
      throw new RangeError(`ringSize is ${ringSize}, but must be a power of two from 8192 to 2^30`);
    }
    const { NativeDatapath } = loadNative();
    this.workers = workers;
    this.#ring = new EventRing(ringSize);
    this.#native = new NativeDatapath({ ring: this.#ring.memory, workers, flowLimit }, () => this.#wake());
  }

  /** Applies a batch of the ABI's bytes; `results` gets 16 bytes for each command.  Returns 0 or an errno value. */
  submit(batch: Uint8Array, results: Uint8Array): number {
    return this.#closed ? closedErrno : this.#native.submit(batch, results);
  }

  /** Answers a query of the ABI's bytes into `reply`.  Returns the bytes used, or a negated errno value. */
  query(query: Uint8Array, reply: Uint8Array): number {
    return this.#closed ? -closedErrno : this.#native.query(query, reply);
  }

  /** Without workers: forwards what ports have received until nothing moves (or for `maxBursts` bursts), lets due
   *  timers fire, and hands out events.  Returns the packets received. */
  run(maxBursts = 0): number {
    const count = this.#closed ? -closedErrno : this.#native.run(maxBursts);
    if (count === -closedErrno) throw new DatapathError("DATAPATH_CLOSED", "The datapath is closed; make a new one.");
    if (count < 0) {
      throw new DatapathError("DATAPATH_SYSTEM", "A datapath with workers runs by itself; `run` is for one without.", {
        errno: -count,
      });
    }
    this.drainEvents();
    return count;
  }

  /** The datapath's clock in milliseconds. */
  now(): number {
    if (this.#closed) throw new DatapathError("DATAPATH_CLOSED", "The datapath is closed; make a new one.");
    return this.#native.now();
  }

  /** Calls `listener` for each event of that name; the returned function ends it. */
  on<Name extends keyof DatapathEvents>(name: Name, listener: Listener<Name>): () => void {
    this.#listeners[name].add(listener);
    return () => this.#listeners[name].delete(listener);
  }

  /** Hands out the events that wait, at once.  Returns how many. */
  drainEvents(): number {
    if (this.#draining) return 0;
    this.#draining = true;
    let count = 0;
    try {
      for (let taken = this.#drain(); taken > 0 && count < eventsPerCall; taken = this.#drain()) count += taken;
      this.#tellLoss();
    } finally {
      this.#draining = false;
    }
    if (!this.#closed && !this.#ring.arm()) setImmediate(() => this.#wake());
    return count;
  }

  /** Events lost for want of room in the ring, by the numbers of `event`. */
  droppedEvents(): number[] {
    return this.#ring.dropped();
  }

  /** Keeps the process alive until `unref` or `dispose`, as a server socket does. */
  ref(): void {
    if (!this.#closed) this.#native.ref();
  }
  unref(): void {
    if (!this.#closed) this.#native.unref();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Stops the threads, closes the ports and frees all memory.  Idempotent. */
  dispose(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#native.destroy();
    for (const set of Object.values(this.#listeners)) set.clear();
  }

  /** The ring had something: one turn's worth of events now, the rest in later turns. */
  #wake(): void {
    if (this.#closed || this.#draining) return;
    this.#draining = true;
    try {
      this.#drain();
      this.#tellLoss();
    } finally {
      this.#draining = false;
    }
    if (!this.#closed && !this.#ring.arm()) setImmediate(() => this.#wake());
  }

  #drain(): number {
    return this.#closed
      ? 0
      : this.#ring.drain(eventsPerTurn, (type, block, at, size) => this.#take(type, block, at, size));
  }

  #take(type: number, block: EventBytes, at: number, size: number): void {
    const event = this.#closed ? undefined : decodeEvent(type, block, at, size);
    if (event !== undefined) this.#emit(event);
  }

  #tellLoss(): void {
    if (this.#closed) return;
    const dropped = this.#ring.dropped();
    const lost = stateEventTypes.reduce((sum, type) => sum + (dropped[type] ?? 0), 0);
    if (lost === this.#stateDropped) return;
    this.#stateDropped = lost;
    this.#emit({ name: "stateLost", value: undefined });
  }

  /** A listener that throws does not keep an event from the others; its error surfaces as an uncaught one. */
  #emit(event: DatapathEvent): void {
    for (const listener of this.#listeners[event.name] as Set<(value: unknown) => void>) {
      try {
        listener(event.value);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
