import type { Clock, Timer } from "../clock/index.js";
import type { Logger } from "../log/index.js";
import { formatMessage } from "../openflow/index.js";
import type { Version } from "../openflow/message.js";
import {
  accepted,
  connected,
  connecting,
  deadline,
  disconnected,
  due,
  probed,
  type RconnEnd,
  type RconnState,
  type RconnStep,
  type RconnTiming,
  received,
  shortened,
  start,
  voidRconn,
} from "./rconn.js";
import { endOfFile, protocolError } from "./socket-error.js";
import { openStream, type Stream, type StreamEvents, type StreamOptions } from "./stream.js";
import type { Target } from "./target.js";
import { Vconn, type VconnEvents } from "./vconn.js";

/** A reliable connection to a controller, or one that a controller opened to us: the state machine of rconn.ts with a
 *  socket and a timer. */

/** Logs of what peers do wrong. */
export interface VconnLogs {
  readonly vconn: Logger;
  /** Every message as text, at debug level: of module vconn too, with a limit of its own. */
  readonly messages: Logger;
  readonly vconn_stream: Logger;
}

export interface RconnOptions {
  /** As it is named in the log. */
  readonly name: string;
  readonly clock: Clock;
  /** The peer alone, as its connection is named in the log. */
  readonly peer: string;
  /** Of module rconn. */
  readonly log: Logger;
  readonly vconnLogs: VconnLogs;
  readonly timing: RconnTiming;
  /** Bitmap of the versions that we speak. */
  readonly versions: number;
  readonly xid: () => number;
  readonly transport: StreamOptions;
  readonly events: RconnEvents;
}

export interface RconnEvents {
  /** A session is up. */
  up(vconn: Vconn, version: Version): void;
  readable(): void;
  drained(): void;
  /** The session is over. */
  down(): void;
  /** Whether anybody wants what passes. */
  isWatched(): boolean;
  /** Every message of the session, in either direction. */
  seen(message: Uint8Array): void;
}

export class Rconn {
  readonly #options: RconnOptions;
  #transport: StreamOptions;
  #timing: RconnTiming;
  #state: RconnState;
  #vconn: Vconn | undefined;
  #stream: Stream | undefined;
  #timer: Timer | undefined;
  #target: Target | undefined;
  #closed = false;

  constructor(options: RconnOptions) {
    this.#options = options;
    this.#transport = options.transport;
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
  connect(target: Target): void {
    this.#target = target;
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
    this.#state = shortened(this.#state, timing);
    this.#arm();
  }

  /** What new streams are made with; the present one ends, for its socket is marked otherwise. */
  remark(transport: StreamOptions): void {
    this.#transport = transport;
    this.reconnect();
  }

  /** Drops the session, to connect again after the shortest wait. */
  reconnect(): void {
    if (this.#state.name !== "ACTIVE" && this.#state.name !== "IDLE") return;
    this.#drop();
    this.#lost({ cause: "restart" });
  }

  /** Drops the session because of an error of ours. */
  abort(): void {
    this.#drop();
    this.#lost({ cause: "dropped", error: protocolError });
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
    for (const { level, text } of step.remarks) this.#say(level, text);
  }

  #say(level: "info" | "warn" | "err" | "debug", text: string): void {
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
    let events: StreamEvents | undefined;
    const stream = openStream(
      this.#target,
      {
        connected: () => {
          events = this.#attach(stream);
        },
        data: (chunk) => events?.data(chunk),
        closed: (error) => {
          if (events !== undefined) events.closed(error);
          else this.#failed(stream, stream.opened ? endOf(error) : { cause: "refused", error });
        },
      },
      this.#transport,
    );
    this.#stream = stream;
  }

  #attach(stream: Stream): StreamEvents {
    this.#stream = stream;
    const { events, vconnLogs, peer, versions, xid } = this.#options;
    const vconn: Vconn = new Vconn(stream, versions, xid, {
      ready: (version) => {
        this.#vconn = vconn;
        this.#take(connected(this.#state, this.#now()));
        this.#arm();
        events.up(vconn, version);
      },
      readable: () => events.readable(),
      drained: () => events.drained(),
      closed: (error) => this.#failed(stream, endOf(error)),
      remark: (module, level, text) => vconnLogs[module][level](module === "vconn" ? `${peer}: ${text}` : text),
      isWatched: () => vconnLogs.messages.enabled("dbg") || events.isWatched(),
      seen: (message) => events.seen(message),
      ...passage(vconnLogs.messages, peer),
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
    this.#drop();
    this.#lost({ cause: "timeout" });
  }

  /** The stream ended, or could not be opened. */
  #failed(stream: Stream, end: RconnEnd): void {
    if (this.#closed || stream !== this.#stream) return;
    this.#drop();
    this.#lost(end);
  }

  #drop(): void {
    this.#stream?.destroy();
    this.#stream = undefined;
  }

  #lost(end: RconnEnd): void {
    const hadSession = this.#vconn !== undefined;
    this.#vconn = undefined;
    this.#take(disconnected(this.#state, end, this.#now(), this.#timing));
    if (!this.#state.reliable) {
      this.#closed = true;
      this.#timer?.cancel();
      this.#options.events.down();
      return;
    }
    if (hadSession) this.#options.events.down();
    this.#arm();
  }
}

/** Writes what passes over a connection into the log.  Nothing is made into text while nobody listens. */
function passage(log: Logger, peer: string): Pick<VconnEvents, "passed" | "agreed"> {
  return {
    passed: (message, sent) => {
      if (log.enabled("dbg"))
        log.dbg(`${peer}: ${sent ? "sent (Success)" : "received"}: ${formatMessage(message).replace(/\n+$/, "")}`);
    },
    agreed: (sentence) => {
      if (log.enabled("dbg")) log.dbg(`${peer}: ${sentence()}`);
    },
  };
}

function endOf(error: string): RconnEnd {
  return error === endOfFile ? { cause: "closed" } : { cause: "dropped", error };
}
