import type { Netdev } from "./netdev/index.js";

/** A port of an embedded switch: frames of a memory port go in by `send` and come out by `receive`. */

/** Nothing came out of a port in time, or the port is closed. */
export class PortSilentError extends Error {
  readonly code: "PORT_SILENT" | "PORT_CLOSED";
  readonly details: Readonly<Record<string, unknown>>;
  constructor(code: PortSilentError["code"], sentence: string, details: Readonly<Record<string, unknown>>) {
    super(sentence);
    this.name = "PortSilentError";
    this.code = code;
    this.details = details;
  }
}

export interface PortStatistics {
  readonly rxPackets: bigint;
  readonly rxBytes: bigint;
  readonly rxDropped: bigint;
  readonly txPackets: bigint;
  readonly txBytes: bigint;
  readonly txDropped: bigint;
}

/** Frames that wait to be received; older ones give way, and are counted in `missed`. */
const waitingMax = 4096;
const receiveMsDefault = 1000;

interface Waiter {
  readonly resolve: (frame: Uint8Array) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

export class SwitchPort {
  readonly name: string;
  /** OpenFlow port number. */
  readonly number: number;
  /** Frames that nobody received in time. */
  missed = 0;
  readonly #netdev: Netdev;
  readonly #settle: () => void;
  readonly #frames: Uint8Array[] = [];
  readonly #waiters: Waiter[] = [];
  #closed = false;

  /** Use `SwitchBridge.addPort`. */
  constructor(netdev: Netdev, number: number, settle: () => void) {
    this.name = netdev.name;
    this.number = number;
    this.#netdev = netdev;
    this.#settle = settle;
  }

  /** Gives the port a frame as if a device had received it.  Without workers it has been forwarded when this returns.
   *  Throws NetdevError for a port that is not a memory port. */
  send(frame: Uint8Array): void {
    this.#mustBeOpen();
    this.#netdev.receive(frame);
    this.#settle();
  }

  /** The next frame that leaves the port.  Rejects with PORT_SILENT when there is none for so long. */
  receive(options: { readonly timeoutMs?: number } = {}): Promise<Uint8Array> {
    const frame = this.#frames.shift();
    if (frame !== undefined) return Promise.resolve(frame);
    const timeoutMs = options.timeoutMs ?? receiveMsDefault;
    return new Promise((resolve, reject) => {
      this.#mustBeOpen();
      const timer = setTimeout(() => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        reject(
          new PortSilentError(
            "PORT_SILENT",
            `no frame left port ${this.name} in ${timeoutMs} ms; look at what the switch does with it by trace()`,
            { port: this.name, timeoutMs },
          ),
        );
      }, timeoutMs);
      const waiter = { resolve, reject, timer };
      this.#waiters.push(waiter);
    });
  }

  /** Every frame that has left the port and was not received yet. */
  take(): Uint8Array[] {
    return this.#frames.splice(0);
  }

  statistics(): PortStatistics {
    this.#mustBeOpen();
    const counters = this.#netdev.counters();
    if (counters === undefined)
      throw new PortSilentError("PORT_CLOSED", `port ${this.name} has no counters any more; its device is closed`, {
        port: this.name,
      });
    const { rxPackets, rxBytes, rxDropped, txPackets, txBytes, txDropped } = counters;
    return { rxPackets, rxBytes, rxDropped, txPackets, txBytes, txDropped };
  }

  /** Turns the port administratively up or down. */
  setUp(up: boolean): void {
    this.#mustBeOpen();
    this.#netdev.setUp(up);
  }

  toJSON(): { readonly name: string; readonly number: number; readonly type: string } {
    return { name: this.name, number: this.number, type: this.#netdev.type.name };
  }

  /** Called by the switch when a frame has left the port. */
  deliver(frame: Uint8Array): void {
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      clearTimeout(waiter.timer);
      waiter.resolve(frame);
      return;
    }
    if (this.#frames.length === waitingMax) {
      this.#frames.shift();
      this.missed += 1;
    }
    this.#frames.push(frame);
  }

  /** Called by the bridge; who still waits for a frame is told. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { reject, timer } of this.#waiters.splice(0)) {
      clearTimeout(timer);
      reject(this.#closedError());
    }
    this.#netdev.close();
  }

  #mustBeOpen(): void {
    if (this.#closed) throw this.#closedError();
  }

  #closedError(): PortSilentError {
    return new PortSilentError("PORT_CLOSED", `port ${this.name} is closed; add it again`, { port: this.name });
  }
}
