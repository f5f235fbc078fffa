import type { Clock, Timer } from "../clock/index.js";
import type { Logger } from "../log/index.js";
import type { Version } from "../openflow/message.js";
import {
  accepted,
  connected,
  connecting,
  deadline,
  disconnected,
  due,
  probed,
  type RconnState,
  type RconnStep,
  type RconnTiming,
  received,
  start,
  voidRconn,
} from "./rconn.js";
import { openStream, type Stream, type StreamEvents, type TlsMaterial } from "./stream.js";
import type { Target } from "./target.js";
import { Vconn } from "./vconn.js";

/** A reliable connection to a controller, or one that a controller opened to us: the state machine of rconn.ts with a
 *  socket and a timer. */

export interface RconnOptions {
  /** As it is named in the log. */
  readonly name: string;
  readonly clock: Clock;
  /** Of module rconn. */
  readonly log: Logger;
  /** Of module vconn. */
  readonly vconnLog: Logger;
  readonly timing: RconnTiming;
  /** Bitmap of the versions that we speak. */
  readonly versions: number;
  readonly xid: () => number;
  readonly events: RconnEvents;
}

export interface RconnEvents {
  /** A session is up. */
  up(vconn: Vconn, version: Version): void;
  readable(): void;
  drained(): void;
  /** The session is over. */
  down(): void;
  /** Every message of the session, in either direction. */
  seen(message: Uint8Array): void;
}

export class Rconn {
  readonly #options: RconnOptions;
  #timing: RconnTiming;
  #state: RconnState;
  #vconn: Vconn | undefined;
  #stream: Stream | undefined;
  #timer: Timer | undefined;
  #target: { readonly target: Target; readonly tls: TlsMaterial | undefined } | undefined;
  #closed = false;

  constructor(options: RconnOptions) {
    this.#options = options;
    this.#timing = options.timing;
    this.#state = voidRconn(options.clock.monotonic());
  }

  get state(): RconnState {
    return this.#state;
  }
  get vconn(): Vconn | undefined {
    return this.#vconn;
  }

  /** Begins to connect, and goes on for ever. */
  connect(target: Target, tls: TlsMaterial | undefined): void {
    this.#target = { target, tls };
    this.#state = start(this.#state, this.#now());
    this.#run();
  }

  /** Takes a stream that a peer opened.  Returns where the stream's events go. */
  accept(stream: Stream): StreamEvents {
    this.#state = accepted(this.#now());
    this.#arm();
    return this.#attach(stream);
  }

  /** The session's peer sent a message; `admits` when it shows that it has accepted us. */
  received(admits: boolean): void {
    this.#state = received(this.#state, admits, this.#now());
  }

  setTiming(timing: RconnTiming): void {
    this.#timing = timing;
    this.#arm();
  }

  /** Drops the session and connects again without waiting. */
  reconnect(): void {
    if (this.#state.name !== "ACTIVE" && this.#state.name !== "IDLE") return;
    this.#options.log.info(`${this.#options.name}: disconnecting`);
    this.#drop();
    this.#lost("Connection reset by peer");
  }

  /** Drops the session because of an error of ours. */
  abort(): void {
    this.#drop();
    this.#lost("Protocol error");
  }

  /** Ends for good. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#vconn?.close();
    this.#stream?.destroy();
    this.#vconn = undefined;
    this.#stream = undefined;
    this.#state = { ...this.#state, name: "DISCONNECTED", since: this.#now() };
  }

  #now(): number {
    return this.#options.clock.monotonic();
  }

  #take(step: RconnStep): void {
    this.#state = step.state;
    for (const { level, text } of step.remarks) this.#remark(level, text);
  }

  #remark(level: "info" | "warn" | "err" | "debug", text: string): void {
    this.#options.log[level === "debug" ? "dbg" : level](`${this.#options.name}: ${text}`);
  }

  #run(): void {
    if (this.#closed) return;
    const action = due(this.#state, this.#now(), this.#timing);
    if (action === "connect") this.#open();
    else if (action === "probe") this.#probe();
    else if (action === "timeout") this.#timeout();
    this.#arm();
  }

  #arm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#closed) return;
    const at = deadline(this.#state, this.#timing);
    if (at !== undefined) this.#timer = this.#options.clock.after(Math.max(0, at - this.#now()), () => this.#run());
  }

  #open(): void {
    if (this.#target === undefined) return;
    this.#take(connecting(this.#state, this.#now(), this.#timing));
    const { target, tls } = this.#target;
    let events: StreamEvents | undefined;
    const stream = openStream(
      target,
      {
        connected: () => {
          events = this.#attach(stream);
        },
        data: (chunk) => events?.data(chunk),
        closed: (error) => (events === undefined ? this.#failed(stream, error) : events.closed(error)),
      },
      tls,
    );
    this.#stream = stream;
  }

  #attach(stream: Stream): StreamEvents {
    this.#stream = stream;
    const { events, vconnLog, name, versions, xid } = this.#options;
    const vconn: Vconn = new Vconn(stream, versions, xid, {
      ready: (version) => {
        this.#vconn = vconn;
        if (this.#target !== undefined) this.#take(connected(this.#state, this.#now()));
        this.#arm();
        events.up(vconn, version);
      },
      readable: () => events.readable(),
      drained: () => events.drained(),
      closed: (error) => this.#failed(stream, error),
      remark: (level, text) => vconnLog[level === "debug" ? "dbg" : level](`${name}: ${text}`),
      seen: (message) => events.seen(message),
    });
    return {
      connected: () => undefined,
      data: (chunk) => vconn.take(chunk),
      closed: (error) => vconn.streamClosed(error),
    };
  }

  #probe(): void {
    this.#take(probed(this.#state, this.#now()));
    const vconn = this.#vconn;
    if (vconn?.version === undefined) return;
    const echoRequest = 2;
    const message = new Uint8Array(8);
    const view = new DataView(message.buffer);
    view.setUint8(0, vconn.version);
    view.setUint8(1, echoRequest);
    view.setUint16(2, message.length);
    view.setUint32(4, 0);
    vconn.send(message);
  }

  #timeout(): void {
    if (this.#state.name === "CONNECTING") this.#remark("info", "connection timed out");
    else {
      const seconds = Math.floor(this.#timing.probeMs / 1000);
      this.#remark("err", `no response to inactivity probe after ${seconds} seconds, disconnecting`);
    }
    this.#drop();
    this.#lost("Connection timed out");
  }

  /** The stream ended, or could not be opened. */
  #failed(stream: Stream, error: string): void {
    if (this.#closed || stream !== this.#stream) return;
    const quiet = this.#state.backoffMs >= this.#timing.maxBackoffMs;
    if (this.#state.name === "CONNECTING") {
      this.#remark(quiet ? "debug" : "warn", `connection failed (${error})`);
    } else if (error === "End of file")
      this.#remark(this.#target === undefined ? "debug" : "info", "connection closed by peer");
    else this.#remark("warn", `connection dropped (${error})`);
    this.#drop();
    this.#lost(error);
  }

  #drop(): void {
    this.#stream?.destroy();
    this.#stream = undefined;
  }

  #lost(error: string): void {
    const hadSession = this.#vconn !== undefined;
    this.#vconn = undefined;
    if (this.#target === undefined) {
      this.#closed = true;
      this.#timer?.cancel();
      this.#state = { ...this.#state, name: "DISCONNECTED", since: this.#now(), lastError: error };
      this.#options.events.down();
      return;
    }
    this.#take(disconnected(this.#state, error, this.#now(), this.#timing));
    if (hadSession) this.#options.events.down();
    this.#arm();
  }
}
