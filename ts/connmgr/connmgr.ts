import { realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Clock, Timer } from "../clock/index.js";
import type { Logger, LogSource } from "../log/index.js";
import { normalFlow, type Ofproto, type PacketInEvent, type PortChange, type RemovedFlow } from "../ofproto/index.js";
import { inPortMatch } from "../openflow/index.js";
import {
  Controller,
  type ControllerHost,
  type ControllerOptions,
  type ControllerStatus,
  type Session,
} from "./controller.js";
import {
  type FailController,
  type FailMode,
  type FailOpenState,
  failOpenDeadline,
  failOpenIdle,
  failOpenPriority,
  stepFailOpen,
} from "./fail-mode.js";
import type { Ofconn } from "./ofconn.js";
import { failureMs, isAdmitted, isConnected, type RconnState } from "./rconn.js";
import { claim, type Generation, roleRank } from "./role.js";
import { Snoops } from "./snoop.js";
import { parseTarget } from "./target.js";
import { defaultVersions } from "./version.js";

/** All OpenFlow connections of one bridge: which controllers there are, who hears what, and what the bridge does when
 *  they are gone. */

export interface ConnmgrOptions {
  readonly ofproto: Ofproto;
  /** Where BRIDGE.mgmt and BRIDGE.snoop lie, and the only place for unix sockets. */
  readonly runDirectory: string;
  readonly clock: Clock;
  readonly log: LogSource;
  /** 0 to 1; injected for tests. */
  readonly chance?: () => number;
}

/** Milliseconds that connections may be worked on before the event loop turns. */
const sliceMs = 4;
const managementProbeMs = 60_000;

export class Connmgr {
  readonly #ofproto: Ofproto;
  readonly #runDirectory: string;
  readonly #clock: Clock;
  readonly #logs: LogSource;
  readonly #log: Logger;
  readonly #failLog: Logger;
  readonly #host: ControllerHost;
  readonly #controllers = new Map<string, Controller>();
  readonly #sessions = new Map<Ofconn, Session>();
  readonly #ofconns = new Set<Ofconn>();
  readonly #snoops: Snoops;
  readonly #awake = new Set<Ofconn>();
  readonly #unlisten: () => void;
  #management: Controller | undefined;
  #turnPending = false;
  #versions = defaultVersions;
  #failMode: FailMode = "secure";
  #failOpen: FailOpenState = failOpenIdle;
  #failTimer: Timer | undefined;
  #scheduleTimer: Timer | undefined;
  #generation: Generation = { id: undefined };
  #xid = 1;
  #closed = false;

  constructor(options: ConnmgrOptions) {
    this.#ofproto = options.ofproto;
    this.#runDirectory = options.runDirectory;
    this.#clock = options.clock;
    this.#logs = options.log;
    this.#log = options.log("connmgr");
    this.#failLog = options.log("fail_open");
    this.#snoops = new Snoops(
      () => this.#bestSession(),
      () => this.#nextXid(),
    );
    this.#host = this.#makeHost(options.chance ?? Math.random);
    this.#unlisten = options.ofproto.listen({
      packetIn: (event) => this.#packetIn(event),
      flowRemoved: (flow) => this.#flowRemoved(flow),
      portChanged: (change) => this.#portChanged(change),
      flowsFlushed: () => this.#flowsFlushed(),
    });
  }

  /** Opens BRIDGE.mgmt and BRIDGE.snoop, where ovs-ofctl looks for them. */
  openManagement(): void {
    const name = this.#ofproto.name;
    this.#management = this.#addService({
      target: `punix:${join(this.#runDirectory, `${name}.mgmt`)}`,
      probeMs: managementProbeMs,
    });
    this.#snoops.listen(join(this.#runDirectory, `${name}.snoop`), (error) =>
      this.#log.err(`${name}: failed to listen for snoops: ${error}`),
    );
  }

  get failMode(): FailMode {
    return this.#failMode;
  }
  get isFailOpen(): boolean {
    return this.#failOpen.active;
  }
  /** Connections that are up. */
  get connectionCount(): number {
    return this.#ofconns.size;
  }

  /** Takes the whole list of wanted controllers; keeps those that are there.  Flows are flushed when the bridge gets its
   *  first primary controller or loses its last one. */
  setControllers(wanted: readonly ControllerOptions[]): void {
    const hadPrimary = this.#hasPrimary();
    const targets = new Map(wanted.filter((one) => one.target !== "none").map((one) => [one.target, one]));
    for (const [target, controller] of [...this.#controllers]) {
      const options = targets.get(target);
      if (options !== undefined && controller.change(options)) continue;
      this.#log.info(`${this.#ofproto.name}: removed ${controller.kind} controller "${target}"`);
      controller.close();
      this.#controllers.delete(target);
    }
    for (const options of targets.values()) {
      if (this.#controllers.has(options.target)) continue;
      const controller = this.#makeController(options);
      if (controller === undefined) continue;
      this.#log.info(`${this.#ofproto.name}: added ${controller.kind} controller "${options.target}"`);
      this.#controllers.set(options.target, controller);
      controller.start();
    }
    if (this.#hasPrimary() !== hadPrimary) this.#ofproto.flushFlows();
    this.#runFailMode();
  }

  setFailMode(mode: FailMode): void {
    if (mode === this.#failMode) return;
    this.#failMode = mode;
    if (!this.#hasPrimary()) this.#ofproto.flushFlows();
    this.#runFailMode();
  }

  /** Bitmap of wire versions.  A change ends every connection, those of BRIDGE.mgmt too. */
  setVersions(versions: number): void {
    if (versions === this.#versions || versions === 0) return;
    this.#versions = versions;
    const options = [...this.#controllers.values()];
    for (const controller of options) controller.restart();
    this.#management?.restart();
  }

  /** Drops every connection; active ones are made again at once. */
  reconnect(): void {
    for (const controller of this.#controllers.values()) controller.reconnect();
  }

  /** By target. */
  status(): ReadonlyMap<string, ControllerStatus> {
    const now = this.#clock.monotonic();
    return new Map([...this.#controllers].map(([target, controller]) => [target, controller.status(now)]));
  }

  /** TCP port that a passive controller listens on: for port 0, which one it got. */
  listenPort(target: string): number | undefined {
    return this.#controllers.get(target)?.listenPort;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unlisten();
    this.#failTimer?.cancel();
    this.#scheduleTimer?.cancel();
    this.#snoops.close();
    this.#management?.close();
    for (const controller of this.#controllers.values()) controller.close();
    this.#controllers.clear();
    this.#awake.clear();
  }

  #makeHost(chance: () => number): ControllerHost {
    const self = this;
    return {
      ofproto: this.#ofproto,
      log: this.#log,
      logs: this.#logs,
      clock: this.#clock,
      runDirectory: this.#runDirectory,
      snoops: this.#snoops,
      get versions() {
        return self.#versions;
      },
      get generationId() {
        return self.#generation.id;
      },
      now: () => this.#clock.monotonic(),
      chance,
      nextXid: () => this.#nextXid(),
      claim: (id) => {
        const next = claim(this.#generation, id);
        if (next !== undefined) this.#generation = next;
        return next !== undefined;
      },
      demoteOthers: (except) => {
        const primary = 2;
        for (const other of this.#ofconns) if (other !== except && other.role === primary) other.demote();
      },
      wantsChanged: () => this.#updateWants(),
      wake: (ofconn) => this.#wake(ofconn),
      failed: (ofconn) => this.#sessions.get(ofconn)?.fail(),
      added: (ofconn) => {
        this.#ofconns.add(ofconn);
        this.#updateWants();
        this.#runFailMode();
      },
      admitted: () => {
        if (this.#failOpen.active) this.#runFailMode();
      },
      removed: (ofconn) => {
        this.#ofconns.delete(ofconn);
        this.#awake.delete(ofconn);
        if (this.#closed) return;
        this.#updateWants();
        this.#runFailMode();
      },
    };
  }

  #nextXid(): number {
    this.#xid = (this.#xid + 1) >>> 0;
    return this.#xid;
  }

  /** Undefined, with a line in the log, when the target may not be used. */
  #makeController(options: ControllerOptions): Controller | undefined {
    const name = this.#ofproto.name;
    const target = parseTarget(options.target, this.#runDirectory);
    if (target === undefined) {
      this.#log.warn(`${name}: ${options.target} is not an OpenFlow target`);
      return undefined;
    }
    if (target.kind === "unix" && !this.#mayUse(target.path, target.passive)) {
      this.#log.err(
        `${name}: not adding Unix domain socket controller "${options.target}" due to possibility for remote exploit. ` +
          `Instead, specify a socket in "${this.#runDirectory}/" or connect to "unix:${this.#runDirectory}/${name}.mgmt" ` +
          "(which is always available without special configuration).",
      );
      return undefined;
    }
    if (target.kind === "ssl" && options.tls === undefined) {
      this.#log.err(
        `${name}: ${options.target}: private key, certificate and CA certificate must be configured to use SSL`,
      );
      return undefined;
    }
    return new Controller(this.#host, options, this.#sessions);
  }

  /** Whether a database, which may be written from afar, may name that socket. */
  #mayUse(path: string, passive: boolean): boolean {
    if (resolved(dirname(path)) !== resolved(this.#runDirectory)) return false;
    const name = basename(path);
    return !passive || name.startsWith(`${this.#ofproto.name}.`);
  }

  #addService(options: ControllerOptions): Controller {
    const controller = new Controller(this.#host, options, this.#sessions);
    controller.start();
    return controller;
  }

  #hasPrimary(): boolean {
    return [...this.#controllers.values()].some((controller) => controller.kind === "primary");
  }

  #bestSession(): Session | undefined {
    let best: Session | undefined;
    let rank = -1;
    for (const controller of this.#controllers.values()) {
      for (const session of controller.sessions) {
        const ofconn = session.ofconn;
        if (ofconn === undefined || roleRank(ofconn.role) <= rank) continue;
        best = session;
        rank = roleRank(ofconn.role);
      }
    }
    return best;
  }

  // The turns of the connections.

  #wake(ofconn: Ofconn): void {
    if (this.#closed) return;
    this.#awake.add(ofconn);
    if (this.#turnPending) return;
    this.#turnPending = true;
    setImmediate(() => this.#turns());
  }

  /** Each connection that has work gets a turn, and another one while there is time. */
  #turns(): void {
    this.#turnPending = false;
    const end = performance.now() + sliceMs;
    while (this.#awake.size > 0 && performance.now() < end) {
      for (const ofconn of [...this.#awake]) {
        this.#awake.delete(ofconn);
        const more = this.#sessions.get(ofconn)?.turn() ?? false;
        if (more) this.#awake.add(ofconn);
      }
    }
    if (this.#awake.size > 0 && !this.#turnPending && !this.#closed) {
      this.#turnPending = true;
      setImmediate(() => this.#turns());
    }
  }

  // What the switch tells.

  #packetIn(event: PacketInEvent): void {
    for (const ofconn of this.#ofconns) ofconn.packetIn(event);
    this.#runSchedules();
  }

  #runSchedules(): void {
    const now = this.#clock.monotonic();
    let next: number | undefined;
    for (const ofconn of this.#ofconns) {
      if (ofconn.schedules === undefined) continue;
      const at = ofconn.runSchedules(now);
      if (at !== undefined && (next === undefined || at < next)) next = at;
    }
    this.#scheduleTimer?.cancel();
    this.#scheduleTimer = undefined;
    if (next !== undefined) {
      this.#scheduleTimer = this.#clock.after(Math.max(1, next - now), () => this.#runSchedules());
    }
  }

  #flowRemoved(flow: RemovedFlow): void {
    for (const ofconn of this.#ofconns) ofconn.flowRemoved(flow);
  }

  #portChanged(change: PortChange): void {
    for (const ofconn of this.#ofconns) ofconn.portChanged(change);
  }

  /** A flush took the fail mode's rules too. */
  #flowsFlushed(): void {
    if (!this.#hasPrimary() && this.#failMode === "standalone") this.#ofproto.addSystemFlow(normalFlow(0));
    if (this.#failOpen.active) this.#ofproto.addSystemFlow(normalFlow(failOpenPriority));
  }

  #updateWants(): void {
    const ofconns = [...this.#ofconns];
    this.#ofproto.changeSettings({
      packetInOnMiss: ofconns.some((ofconn) => ofconn.wantsTableMiss),
      invalidTtlToController: ofconns.some((ofconn) => ofconn.wantsInvalidTtl),
    });
  }

  // Fail mode.

  #failControllers(now: number): FailController[] {
    const controllers: FailController[] = [];
    for (const controller of this.#controllers.values()) {
      if (controller.isPassive || controller.kind !== "primary") continue;
      const state: RconnState | undefined = controller.rconnState;
      if (state === undefined) continue;
      controllers.push({
        failureMs: failureMs(state, now),
        isConnected: isConnected(state),
        isAdmitted: isAdmitted(state),
        probeMs: controller.probeMs,
      });
    }
    return controllers;
  }

  #runFailMode(): void {
    if (this.#closed) return;
    const now = this.#clock.monotonic();
    const controllers = this.#failControllers(now);
    const wasActive = this.#failOpen.active;
    const step = stepFailOpen(this.#failOpen, this.#failMode, controllers, now);
    this.#failOpen = step.state;
    for (const action of step.actions) {
      if (action.do === "enter") this.#enterFailOpen(action.failureMs);
      else if (action.do === "recover") this.#recover("No longer in fail-open mode");
      else this.#sendBogusPacketIn();
    }
    if (wasActive && !step.state.active && step.actions.length === 0) this.#recover("No longer in fail-open mode");
    this.#failTimer?.cancel();
    this.#failTimer = undefined;
    const at = failOpenDeadline(this.#failOpen, this.#failMode, controllers, now);
    if (at !== undefined) this.#failTimer = this.#clock.after(Math.max(1, at - now), () => this.#runFailMode());
  }

  #enterFailOpen(failedMs: number): void {
    const seconds = Math.floor(failedMs / 1000);
    this.#failLog.warn(
      `Could not connect to controller (or switch failed controller's post-connection admission control policy) ` +
        `for ${seconds} seconds, failing open`,
    );
    this.#ofproto.flushFlows();
  }

  #recover(text: string): void {
    this.#failLog.warn(text);
    this.#ofproto.removeSystemFlow(normalFlow(failOpenPriority));
  }

  /** A gratuitous announcement that makes a controller which works do something that shows it. */
  #sendBogusPacketIn(): void {
    const packet = new Uint8Array(60);
    packet.fill(0xff, 0, 6);
    packet.set([0x00, 0x23, 0x20], 6);
    const rarp = [0x80, 0x35, 0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x03];
    packet.set(rarp, 12);
    this.#packetIn({
      inPort: 0xfffffffe,
      table: 0,
      reason: 0,
      controllerId: 0,
      maxLen: 0xffff,
      cookie: 0n,
      totalLen: packet.length,
      match: inPortMatch(0xfffffffe),
      userdata: new Uint8Array(0),
      packet,
    });
  }
}

function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
