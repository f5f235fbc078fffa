/** Gives OpenFlow port numbers to a bridge's ports.  Numbers that were freed rest for an hour, so that old flows do not
 *  hit a new port.  Pure but for being an object with state; times are milliseconds. */

/** Automatic numbers stay in the lower half of the range. */
const automaticMax = 32767;
/** Greatest number that a port may ask for. */
export const requestMax = 0xfeff;
const restMs = 60 * 60 * 1000;

export class PortNumbers {
  /** Number to when it was freed; Infinity while in use. */
  readonly #used = new Map<number, number>();
  #last: number;

  /** `last`: the automatic number given last; the next is one above. */
  constructor(last = 0) {
    this.#last = last;
  }

  inUse(port: number): boolean {
    return this.#used.get(port) === Number.POSITIVE_INFINITY;
  }

  /** The requested number when it is free, else the next automatic one; undefined when all are in use. */
  allocate(request: number | undefined, now: number): number | undefined {
    const wanted = request !== undefined && request >= 1 && request <= requestMax && !this.inUse(request);
    const port = wanted ? request : this.#next(now);
    if (port !== undefined) this.#used.set(port, Number.POSITIVE_INFINITY);
    return port;
  }

  release(port: number, now: number): void {
    if (this.#used.has(port)) this.#used.set(port, now);
  }

  #next(now: number): number | undefined {
    let oldest: number | undefined;
    let oldestAt = Number.POSITIVE_INFINITY;
    for (let tries = 0; tries < automaticMax; tries++) {
      this.#last = this.#last >= automaticMax ? 1 : this.#last + 1;
      const freedAt = this.#used.get(this.#last);
      if (freedAt === undefined || freedAt < now - restMs) return this.#last;
      if (freedAt < oldestAt) {
        oldestAt = freedAt;
        oldest = this.#last;
      }
    }
    return oldest;
  }
}
