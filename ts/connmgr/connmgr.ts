import { isIPv4 } from "node:net";
import { join } from "node:path";
import type { Clock, Timer } from "../clock/index.js";
import type { Logger, LogSource } from "../log/index.js";
import {
  type DoneRequest,
  normalFlow,
  type Ofproto,
  type PacketInEvent,
  type PortChange,
  type RemovedFlow,
  type TableVacancyStatus,
} from "../ofproto/index.js";
import { inPortMatch } from "../openflow/index.js";
import {
  Controller,
  type ControllerHost,
  type ControllerOptions,
  type ControllerStatus,
  controllerKind,
  type Session,
} from "./controller.js";
import {
  type FailController,
  type FailMode,
  type FailOpenState,
  failOpenDeadline,
  failOpenIdle,
  failOpenPriority,
  isOpen,
  stepFailOpen,
} from "./fail-mode.js";
import { type InBandAddress, InBandControl } from "./in-band-control.js";
import { bundleIdleMsDefault } from "./message-bundles.js";
import { type FindNextHop, findNextHop } from "./next-hop.js";
import type { Ofconn } from "./ofconn.js";
import { failureMs, isAdmitted, isConnected, type RconnState } from "./rconn.js";
import { claim, type Generation, roleRank } from "./role.js";
import { Snoops } from "./snoop.js";
import { mayUseSocket } from "./socket-confinement.js";
import type { StreamOptions } from "./stream.js";
import { parseTarget } from "./target.js";
import type { TlsStore } from "./tls.js";
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
  /** Keys and certificates of ssl: and pssl: targets. */
  readonly tls?: TlsStore | undefined;
  /** Marks sockets with a code point; without it they are not marked. */
  readonly setDscp?: StreamOptions["setDscp"];
  readonly findNextHop?: FindNextHop | undefined;
}

/** Milliseconds that connections may be worked on before the event loop turns, and with it others are heard. */
const sliceMs = 0.1;
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
  readonly #reports = new Map<Ofconn, Timer>();
  readonly #unlisten: () => void;
  readonly #inBand: InBandControl;
  readonly #chance: () => number;
  #extraRemotes: readonly InBandAddress[] = [];
  /** While controllers are not to be dialled yet: whether there is a primary one among them. */
  #awaitsPrimary = false;
  #inBandQueue: number | undefined;
  #management: Controller | undefined;
  #turnPending = false;
  #versions = defaultVersions;
  #failMode: FailMode = "secure";
  #failOpen: FailOpenState = failOpenIdle;
  #failTimer: Timer | undefined;
  #scheduleTimer: Timer | undefined;
  #dueTimer: Timer | undefined;
  #bundleIdleMs = bundleIdleMsDefault;
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
      () => this.#bestController(),
      () => this.#nextXid(),
      options.log,
    );
    this.#chance = options.chance ?? Math.random;
    this.#host = this.#makeHost(options);
    this.#inBand = new InBandControl({
      ofproto: options.ofproto,
      clock: options.clock,
      log: options.log("in_band"),
      findNextHop: options.findNextHop ?? findNextHop,
    });
    this.#unlisten = options.ofproto.listen({
      packetIn: (event) => this.#packetIn(event),
      flowRemoved: (flow) => this.#flowRemoved(flow),
      portChanged: (change) => this.#portChanged(change),
      requestDone: (done) => this.#requestDone(done),
      tableStatus: (status) => this.#tableStatus(status),
      flowChanged: (change) => {
        for (const ofconn of this.#ofconns) ofconn.flowChanged(change);
      },
      flowChangesTold: () => {
        for (const ofconn of this.#ofconns) ofconn.flowChangesTold();
      },
      flowsFlushed: () => this.#flowsFlushed(),
    });
  }

  /** Opens BRIDGE.mgmt and BRIDGE.snoop, where ovs-ofctl looks for them. */
  openManagement(): void {
    const name = this.#ofproto.name;
    const target = `punix:${join(this.#runDirectory, `${name}.mgmt`)}`;
    this.#management = this.#addService({ target, probeMs: managementProbeMs });
    this.#log.info(`${name}: added service controller "${target}"`);
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
   *  first primary controller or loses its last one.  With `hold` none is dialled or listened for yet, while what the
   *  bridge does without controllers stays undone: the flows that are being restored are theirs. */
  setControllers(wanted: readonly ControllerOptions[], hold = false): void {
    const hadPrimary = this.#hasPrimary();
    // One that is called none says that there is none.
    const real = wanted.length === 1 && wanted[0]?.target === "none" ? [] : wanted;
    this.#awaitsPrimary = hold && real.some((options) => this.#isPrimary(options));
    const targets = new Map(hold ? [] : real.map((one) => [one.target, one]));
    for (const options of targets.values()) {
      if (this.#controllers.has(options.target)) continue;
      const controller = this.#makeController(options);
      if (controller === undefined) continue;
      this.#controllers.set(options.target, controller);
      controller.start();
      this.#log.info(`${this.#ofproto.name}: added ${controller.kind} controller "${options.target}"`);
    }
    for (const [target, controller] of [...this.#controllers]) {
      const options = targets.get(target);
      if (options !== undefined) {
        controller.change(options);
        continue;
      }
      this.#log.info(`${this.#ofproto.name}: removed ${controller.kind} controller "${target}"`);
      this.#snoops.forget(controller);
      controller.close();
      this.#controllers.delete(target);
    }
    this.#updateInBand();
    this.#runFailMode();
    if (this.#hasPrimary() !== hadPrimary) this.#ofproto.flushFlows();
  }

  /** In-band control: remotes that are no controllers of this bridge, and the queue of what goes to and from remotes. */
  setInBand(extraRemotes: readonly InBandAddress[], queue: number | undefined): void {
    this.#extraRemotes = extraRemotes;
    this.#inBandQueue = queue;
    this.#updateInBand();
  }

  setFailMode(mode: FailMode): void {
    if (mode === this.#failMode) return;
    this.#failMode = mode;
    this.#runFailMode();
    if (!this.#hasPrimary()) this.#ofproto.flushFlows();
  }

  /** Bitmap of wire versions.  A change ends every connection, those of BRIDGE.mgmt too. */
  setVersions(versions: number): void {
    if (versions === this.#versions || versions === 0) return;
    this.#versions = versions;
    const management = this.#management;
    for (const controller of [...(management === undefined ? [] : [management]), ...this.#controllers.values()]) {
      const { name } = this.#ofproto;
      this.#log.info(
        `${name}: Changes to controller "${controller.target}" expects re-initialization: Re-initializing now.`,
      );
      this.#snoops.forget(controller);
      controller.restart();
      this.#log.info(`${name}: added ${controller.kind} controller "${controller.target}"`);
    }
  }

  /** other_config:bundle-idle-timeout; 0 for the default. */
  setBundleIdle(ms: number): void {
    this.#bundleIdleMs = ms > 0 ? ms : bundleIdleMsDefault;
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
    this.#inBand.close();
    this.#dueTimer?.cancel();
    this.#snoops.close();
    this.#management?.close();
    for (const controller of this.#controllers.values()) controller.close();
    this.#controllers.clear();
    this.#awake.clear();
  }

  #makeHost(options: ConnmgrOptions): ControllerHost {
    const self = this;
    return {
      ofproto: this.#ofproto,
      log: this.#log,
      logs: this.#logs,
      clock: this.#clock,
      runDirectory: this.#runDirectory,
      snoops: this.#snoops,
      tls: options.tls,
      setDscp: options.setDscp,
      get versions() {
        return self.#versions;
      },
      get bundleIdleMs() {
        return self.#bundleIdleMs;
      },
      get generationId() {
        return self.#generation.id;
      },
      now: () => this.#clock.monotonic(),
      chance: this.#chance,
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
      flowModsCame: (ofconn) => {
        if (!this.#reports.has(ofconn)) this.#reportFlowMods(ofconn);
      },
      wake: (ofconn) => this.#wake(ofconn),
      failed: (ofconn) => this.#sessions.get(ofconn)?.fail(),
      added: (ofconn) => {
        this.#ofconns.add(ofconn);
        this.#updateWants();
        this.#runFailMode();
      },
      admitted: () => {
        if (!this.#ofproto.settings.isControlled) this.#updateWants();
        if (this.#failOpen.active) this.#runFailMode();
      },
      removed: (ofconn) => {
        this.#ofconns.delete(ofconn);
        this.#awake.delete(ofconn);
        this.#reports.get(ofconn)?.cancel();
        this.#reports.delete(ofconn);
        ofconn.ended();
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
    const { name } = this.#ofproto;
    const target = parseTarget(options.target, this.#runDirectory);
    if (target === undefined) {
      this.#log.warn(`${name}: unsupported controller "${options.target}"`);
      return undefined;
    }
    if (target.kind === "unix") {
      const refusal = mayUseSocket(options.target, target, this.#runDirectory, name);
      if (refusal !== undefined) {
        this.#logs("bridge").err(refusal);
        return undefined;
      }
    }
    return new Controller(this.#host, options, this.#sessions);
  }

  #addService(options: ControllerOptions): Controller {
    const controller = new Controller(this.#host, options, this.#sessions);
    controller.start();
    return controller;
  }

  #isPrimary(options: ControllerOptions): boolean {
    const target = parseTarget(options.target, this.#runDirectory);
    return target !== undefined && controllerKind(options, target) === "primary";
  }

  #hasPrimary(): boolean {
    return this.#awaitsPrimary || [...this.#controllers.values()].some((controller) => controller.kind === "primary");
  }

  /** Of those that we connect to, the one that has the most to say. */
  #bestController(): Controller | undefined {
    let best: Controller | undefined;
    let rank = -1;
    for (const controller of this.#controllers.values()) {
      if (controller.isPassive) continue;
      const ofconn = [...controller.sessions][0]?.ofconn;
      const preference = ofconn === undefined ? 0 : roleRank(ofconn.role);
      if (preference <= rank) continue;
      best = controller;
      rank = preference;
    }
    return best;
  }

  #updateInBand(): void {
    const addresses: InBandAddress[] = [];
    for (const controller of this.#controllers.values()) {
      const { parsed } = controller;
      if (!controller.isInBand || parsed.kind === "unix" || parsed.passive || !isIPv4(parsed.host)) continue;
      addresses.push({ ip: parsed.host, port: parsed.port });
    }
    this.#inBand.set([...addresses, ...this.#extraRemotes], this.#inBandQueue);
    this.#ofproto.changeSettings({ inBand: this.#inBand.isActive });
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
    this.#runDue();
  }

  /** Does what connections wanted done by now: unfinished requests and bundles that time out, lines for the log. */
  #runDue(): void {
    if (this.#closed) return;
    const now = this.#clock.monotonic();
    let next: number | undefined;
    for (const ofconn of this.#ofconns) {
      const at = ofconn.runDue(now);
      if (at !== undefined && (next === undefined || at < next)) next = at;
    }
    this.#dueTimer?.cancel();
    this.#dueTimer = next === undefined ? undefined : this.#clock.after(Math.max(1, next - now), () => this.#runDue());
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

  #reportFlowMods(ofconn: Ofconn): void {
    const now = this.#clock.monotonic();
    const at = ofconn.reportFlowMods(now);
    if (at === undefined) this.#reports.delete(ofconn);
    else {
      const timer = this.#clock.after(Math.max(1, at - now), () => this.#reportFlowMods(ofconn));
      this.#reports.set(ofconn, timer);
    }
  }

  #flowRemoved(flow: RemovedFlow): void {
    for (const ofconn of this.#ofconns) ofconn.flowRemoved(flow);
  }

  #requestDone(done: DoneRequest): void {
    for (const ofconn of this.#ofconns) ofconn.requestDone(done);
  }

  #tableStatus(status: TableVacancyStatus): void {
    for (const ofconn of this.#ofconns) ofconn.tableStatus(status);
  }

  #portChanged(change: PortChange): void {
    for (const ofconn of this.#ofconns) ofconn.portChanged(change);
  }

  /** A flush took the fail mode's rules too. */
  #flowsFlushed(): void {
    const open = isOpen(this.#failMode, this.#failControllers(this.#clock.monotonic()));
    if (open) this.#ofproto.addSystemFlow(normalFlow(failOpenPriority));
    if (!this.#hasPrimary() && this.#failMode === "standalone") this.#ofproto.addSystemFlow(normalFlow(0));
    this.#inBand.flushed();
  }

  #updateWants(): void {
    const ofconns = [...this.#ofconns];
    this.#ofproto.changeSettings({
      packetInOnMiss: ofconns.some((ofconn) => ofconn.wantsTableMiss),
      invalidTtlToController: ofconns.some((ofconn) => ofconn.wantsInvalidTtl),
      monitorFlows: ofconns.some((ofconn) => ofconn.monitorsFlows),
      isControlled: ofconns.some((ofconn) => {
        const state = ofconn.kind === "primary" ? this.#sessions.get(ofconn)?.rconn.state : undefined;
        return state !== undefined && isAdmitted(state);
      }),
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
    const step = stepFailOpen(this.#failOpen, this.#failMode, controllers, now);
    this.#failOpen = step.state;
    for (const action of step.actions) {
      if (action.do === "enter") this.#enterFailOpen(action.failureMs);
      else if (action.do === "recover") this.#recover("No longer in fail-open mode");
      else if (action.do === "bogus_packet_in") this.#sendBogusPacketIn();
      else {
        const seconds = Math.floor(action.failureMs / 1000);
        this.#failLog.info(`Still in fail-open mode after ${seconds} seconds disconnected from controller`);
      }
    }
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

  /** A gratuitous announcement, of an address that nobody has, that makes a controller which works do something that
   *  shows it. */
  #sendBogusPacketIn(): void {
    const packet = new Uint8Array(42);
    const random = Math.floor(this.#chance() * 0x800000);
    const mac = [0x00, 0x23, 0x20, 0x80 | (random >>> 16), (random >>> 8) & 0xff, random & 0xff];
    packet.fill(0xff, 0, 6);
    packet.set(mac, 6);
    const rarp = [0x80, 0x35, 0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x03];
    packet.set(rarp, 12);
    packet.set(mac, 22);
    packet.set(mac, 32);
    this.#packetIn({
      inPort: 0xfffffffe,
      table: 0,
      reason: 0,
      controllerId: 0,
      maxLen: 0xffff,
      cookie: 0xffffffffffffffffn,
      totalLen: packet.length,
      match: inPortMatch(0xfffffffe),
      userdata: new Uint8Array(0),
      packet,
    });
  }
}
