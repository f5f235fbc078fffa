import { BatchBuilder, type BatchTarget } from "../datapath/index.js";
import { errnoOf } from "./errno.js";

/** Datapath ports that were opened in one batch, before their devices are asked for one after the other. */

/** A device that is to be opened. */
export interface WishedDevice {
  readonly name: string;
  /** As Interface.type. */
  readonly type: string;
  readonly datapathType: string;
  readonly options: ReadonlyMap<string, string>;
}

export interface PortAhead {
  readonly dpPort: number;
  readonly portClass: number;
  readonly options: ReadonlyMap<string, string>;
}

export class PortsAhead {
  readonly #datapath: BatchTarget;
  readonly #numbers = new Map<string, number>();

  constructor(datapath: BatchTarget) {
    this.#datapath = datapath;
  }

  /** Opens ports by name: all, or none when one of them fails, as the numbers of those after it depend on that. */
  open(ports: ReadonlyMap<string, PortAhead>): void {
    if (ports.size < 2) return;
    const batch = new BatchBuilder();
    for (const [name, { dpPort, portClass, options }] of ports) batch.portOpen(dpPort, portClass, name, options);
    const results = batch.submit(this.#datapath, { independent: true });
    const failed = results.some((result) => errnoOf([result]) !== 0);
    for (const [index, [name, { dpPort }]] of [...ports].entries())
      if (errnoOf(results.slice(index, index + 1)) === 0) this.#numbers.set(name, dpPort);
    if (failed) this.close();
  }

  numbers(): ReadonlySet<number> {
    return new Set(this.#numbers.values());
  }

  /** The number of a port that is open and whose device is asked for now. */
  take(name: string): number | undefined {
    const dpPort = this.#numbers.get(name);
    this.#numbers.delete(name);
    return dpPort;
  }

  /** Closes those whose devices nobody asked for. */
  close(): void {
    if (this.#numbers.size === 0) return;
    const batch = new BatchBuilder();
    for (const dpPort of this.#numbers.values()) batch.portClose(dpPort);
    this.#numbers.clear();
    batch.submit(this.#datapath, { independent: true });
  }
}
