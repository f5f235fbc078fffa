import type { Clock } from "../clock/index.js";
import type { LogSource } from "../log/index.js";
import type { Version } from "../openflow/message.js";
import { Ofconn, type OfconnHost } from "./ofconn.js";
import { effectiveRate, type PacketInRate } from "./packet-in-schedule.js";
import { effectiveProbeMs, isConnected, type RconnState, type RconnTiming } from "./rconn.js";
import { Rconn, type VconnLogs } from "./rconn-io.js";
import { role, roleName } from "./role.js";
import type { Snoops } from "./snoop.js";
import { type Listener, listen, type Stream, type StreamEvents, type StreamOptions } from "./stream.js";
import { parseTarget, type Target } from "./target.js";
import type { TlsStore } from "./tls.js";

/** A row of Controller: a target that we connect to, or one that we listen on.  Either way it has a set of sessions. */

export interface ControllerOptions {
  /** `tcp:...`, `unix:...`, `ssl:...` and their passive forms. */
  readonly target: string;
  /** Undefined: primary when active, service when passive. */
  readonly type?: "primary" | "service" | undefined;
  readonly maxBackoffMs?: number | undefined;
  /** 0 for never. */
  readonly probeMs?: number | undefined;
  /** Packet-ins per second; 0 for no limit. */
  readonly rateLimit?: number | undefined;
  readonly burstLimit?: number | undefined;
  readonly enableAsync?: boolean | undefined;
  /** Packet-ins that may wait for the controller to read; more are dropped. */
  readonly queueSize?: number | undefined;
  /** Differentiated services code point of what is sent to it. */
  readonly dscp?: number | undefined;
  /** Its packets may take the bridge itself: there are rules that let them pass whatever the flow table says. */
  readonly inBand?: boolean | undefined;
}

export const defaultMaxBackoffMs = 8000;
export const defaultProbeMs = 5000;
export const defaultQueueSize = 100;
/** Network control. */
export const defaultDscp = 48;

/** What the database's Controller row shows. */
export interface ControllerStatus {
  readonly isConnected: boolean;
  readonly role: string;
  readonly status: ReadonlyMap<string, string>;
}

/** What a controller needs of the bridge's connection manager. */
export interface ControllerHost extends OfconnHost {
  readonly clock: Clock;
  readonly logs: LogSource;
  readonly runDirectory: string;
  readonly versions: number;
  readonly snoops: Snoops;
  readonly tls: TlsStore | undefined;
  readonly setDscp: StreamOptions["setDscp"];
  nextXid(): number;
  added(ofconn: Ofconn): void;
  removed(ofconn: Ofconn): void;
  /** A controller showed that it has accepted us. */
  admitted(): void;
}

/** One session: a connection and, while it is up, the state that goes with it. */
export class Session {
  readonly rconn: Rconn;
  readonly #host: ControllerHost;
  readonly #controller: Controller;
  #ofconn: Ofconn | undefined;

  constructor(host: ControllerHost, controller: Controller, peer: string, ended: () => void) {
    this.#host = host;
    this.#controller = controller;
    const name = `${host.ofproto.name}<->${peer}`;
    this.rconn = new Rconn({
      name,
      peer,
      clock: host.clock,
      log: host.logs("rconn"),
      vconnLogs: controller.vconnLogs,
      transport: controller.transport,
      timing: controller.timing,
      versions: host.versions,
      xid: () => host.nextXid(),
      events: {
        up: (vconn, version) => this.#up(vconn, version, name),
        readable: () => this.#wake(),
        drained: () => this.#ofconn?.drained(),
        down: () => {
          this.#down();
          ended();
        },
        isWatched: () => host.snoops.isWatching(controller),
        seen: (message) => host.snoops.seen(controller, message),
      },
    });
  }

  get ofconn(): Ofconn | undefined {
    return this.#ofconn;
  }

  /** One turn of the session's requests; whether more waits. */
  turn(): boolean {
    const ofconn = this.#ofconn;
    if (ofconn === undefined) return false;
    const before = this.rconn.vconn?.receivedCount ?? 0;
    const more = ofconn.turn();
    if ((this.rconn.vconn?.receivedCount ?? before) !== before) {
      const admits = ofconn.takeAdmitting();
      this.rconn.received(admits);
      if (admits) this.#host.admitted();
    }
    return more;
  }

  close(): void {
    this.rconn.close();
    this.#down();
  }

  /** An error of ours: this session ends, others go on. */
  fail(): void {
    this.rconn.abort();
  }

  #up(
    vconn: Parameters<ConstructorParameters<typeof Rconn>[0]["events"]["up"]>[0],
    version: Version,
    name: string,
  ): void {
    const { kind, enableAsync, packetInRate, queueSize } = this.#controller;
    this.#ofconn = new Ofconn(vconn, version, this.#host, { name, kind, enableAsync, packetInRate, queueSize });
    this.#host.added(this.#ofconn);
    this.#controller.bind(this.#ofconn, this);
  }

  #down(): void {
    const ofconn = this.#ofconn;
    if (ofconn === undefined) return;
    this.#ofconn = undefined;
    this.#controller.unbind(ofconn);
    this.#host.removed(ofconn);
  }

  #wake(): void {
    if (this.#ofconn !== undefined) this.#host.wake(this.#ofconn);
  }
}

export class Controller {
  readonly target: string;
  readonly vconnLogs: VconnLogs;
  readonly #host: ControllerHost;
  readonly #parsed: Target;
  readonly #sessions = new Set<Session>();
  readonly #byOfconn: Map<Ofconn, Session>;
  #options: ControllerOptions;
  #listener: Listener | undefined;
  #listenError: string | undefined;

  /** `sessions`: the bridge's table of who serves which connection.  Throws when the target cannot be read. */
  constructor(host: ControllerHost, options: ControllerOptions, sessions: Map<Ofconn, Session>) {
    const parsed = parseTarget(options.target, host.runDirectory);
    if (parsed === undefined) throw new Error(`${options.target} is not an OpenFlow target`);
    this.target = options.target;
    this.#host = host;
    this.#parsed = parsed;
    this.#options = options;
    this.#byOfconn = sessions;
    // What these say is a fault of the peer, of which a few lines are enough.
    this.vconnLogs = {
      vconn: host.logs("vconn").limited(1, 5),
      messages: host.logs("vconn").limited(600, 600),
      vconn_stream: host.logs("vconn_stream").limited(10, 25),
    };
  }

  get kind(): "primary" | "service" {
    return controllerKind(this.#options, this.#parsed);
  }
  get isPassive(): boolean {
    return this.#parsed.passive;
  }
  get enableAsync(): boolean {
    return this.#options.enableAsync ?? true;
  }
  get packetInRate(): PacketInRate | undefined {
    const { rateLimit, burstLimit } = this.#options;
    return rateLimit === undefined || rateLimit === 0 ? undefined : effectiveRate(rateLimit, burstLimit);
  }
  get queueSize(): number {
    return this.#options.queueSize ?? defaultQueueSize;
  }
  get isInBand(): boolean {
    return this.#options.inBand ?? true;
  }
  get parsed(): Target {
    return this.#parsed;
  }
  get transport(): StreamOptions {
    const { tls, setDscp, logs } = this.#host;
    return { dscp: this.#options.dscp ?? defaultDscp, setDscp, tls, tlsLog: logs("stream_ssl").limited(10, 25) };
  }
  /** Interval as configured, which fail-open counts by. */
  get probeMs(): number {
    const probeMs = this.#options.probeMs ?? defaultProbeMs;
    return probeMs === 0 ? 0 : Math.max(1000, wholeSeconds(probeMs));
  }
  get timing(): RconnTiming {
    // Nothing gets lost on a unix socket, so there is nothing to probe for.
    const probeMs = this.#parsed.kind === "unix" && !this.#parsed.passive ? 0 : effectiveProbeMs(this.probeMs);
    const maxBackoffMs = wholeSeconds(this.#options.maxBackoffMs ?? defaultMaxBackoffMs);
    return { maxBackoffMs: Math.max(1000, maxBackoffMs), probeMs };
  }
  get sessions(): ReadonlySet<Session> {
    return this.#sessions;
  }
  /** Why it does not listen, if it should and does not. */
  get listenError(): string | undefined {
    return this.#listenError;
  }
  /** The TCP port that it listens on. */
  get listenPort(): number | undefined {
    return this.#listener?.port();
  }
  /** Of an active controller; undefined of a passive one. */
  get rconnState(): RconnState | undefined {
    return this.#parsed.passive ? undefined : [...this.#sessions][0]?.rconn.state;
  }

  /** Connects, or listens. */
  start(): void {
    if (this.#parsed.passive) this.#listen();
    else {
      const session = new Session(this.#host, this, this.target, () => undefined);
      this.#sessions.add(session);
      session.rconn.connect(this.#parsed);
    }
  }

  /** Takes other options for the same target.  What a connection got when it was made, its kind and which messages it
   *  hears, stays until the next one. */
  change(options: ControllerOptions): void {
    const remarked = this.#options.dscp !== options.dscp;
    this.#options = options;
    for (const session of this.#sessions) {
      session.rconn.setTiming(this.timing);
      session.ofconn?.change(this.packetInRate, this.queueSize);
      if (remarked) session.rconn.remark(this.transport);
    }
  }

  /** Begins again from nothing, with the host's present versions. */
  restart(): void {
    this.close();
    this.start();
  }

  reconnect(): void {
    for (const session of [...this.#sessions]) session.rconn.reconnect();
  }

  close(): void {
    this.#listener?.close();
    this.#listener = undefined;
    for (const session of [...this.#sessions]) session.close();
    this.#sessions.clear();
  }

  bind(ofconn: Ofconn, session: Session): void {
    this.#byOfconn.set(ofconn, session);
  }

  unbind(ofconn: Ofconn): void {
    this.#byOfconn.delete(ofconn);
  }

  status(now: number): ControllerStatus {
    const session = [...this.#sessions][0];
    const state = this.rconnState;
    if (state === undefined || session === undefined) return { isConnected: false, role: "", status: new Map() };
    const status = new Map<string, string>();
    if (state.lastError !== undefined) status.set("last_error", state.lastError);
    status.set("state", state.name);
    const seconds = (at: number): string => String(Math.floor((now - at) / 1000));
    if (state.lastConnected !== undefined) status.set("sec_since_connect", seconds(state.lastConnected));
    if (state.lastDisconnected !== undefined) status.set("sec_since_disconnect", seconds(state.lastDisconnected));
    const schedules = session.ofconn?.schedules;
    if (schedules !== undefined) {
      for (const [index, name] of (["action", "miss"] as const).entries()) {
        const schedule = schedules[index as 0 | 1];
        status.set(`packet-in-${name}-backlog`, String(schedule.backlog));
        status.set(`packet-in-${name}-bypassed`, String(schedule.bypassed));
        status.set(`packet-in-${name}-queued`, String(schedule.queued));
        status.set(`packet-in-${name}-dropped`, String(schedule.dropped));
      }
    }
    return {
      isConnected: isConnected(state),
      role: session.ofconn === undefined ? roleName(role.noChange) : roleName(session.ofconn.role),
      status,
    };
  }

  #listen(): void {
    const log = this.#host.logs("connmgr").limited(1, 5);
    this.#listener = listen(
      this.#parsed,
      {
        listening: () => undefined,
        failed: (error) => {
          this.#listenError = error;
          this.#host.logs("connmgr").err(`failed to listen on ${this.target}: ${error}`);
        },
        acceptFailed: (error) => log.warn(`accept failed (${error})`),
        accepted: (stream, peer) => this.#accept(stream, peer),
      },
      this.transport,
    );
  }

  #accept(stream: Stream, peer: string): StreamEvents {
    const session: Session = new Session(this.#host, this, peer, () => {
      this.#sessions.delete(session);
    });
    this.#sessions.add(session);
    return session.rconn.accept(stream);
  }
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

/** Primary controllers are those that a bridge is without when they are gone. */
export function controllerKind(options: ControllerOptions, target: Target): "primary" | "service" {
  return options.type ?? (target.passive ? "service" : "primary");
}
