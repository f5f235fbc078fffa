import type { Clock, Timer } from "../clock/index.js";
import { protocol } from "../datapath/generated/records.js";
import type { Logger, LogSource } from "../log/index.js";
import { noMonitor, type Ofproto, oamAction, outputAction, type PortMonitor, sendOwnPacket } from "../ofproto/index.js";
import type { InterfaceInput, InterfaceRow } from "../ovsdb/index.js";
import {
  type BfdState,
  type BfdStep,
  type BfdSurroundings,
  bfdDecayDue,
  bfdDetectMs,
  bfdDue,
  bfdForwards,
  bfdFrame,
  bfdStatus,
  type CfmState,
  type CfmStep,
  ccmFrame,
  ccmOfFrame,
  ccmSeqAt,
  cfmDue,
  cfmFaultNames,
  cfmFaults,
  cfmLinkWorks,
  cfmRemoteOpup,
  composeBfdNow,
  composeCcm,
  configureBfd,
  configureCfm,
  countBfd,
  hearBfdTraffic,
  isSteadyBfd,
  isValidCfm,
  jitter,
  nextCcm,
  overrideBfd,
  overrideCfm,
  receiveBfd,
  receiveCcm,
  runBfd,
  runCfm,
  settleBfd,
  skipCcms,
} from "../protocols/index.js";
import type { KeepAlive } from "./keep-alive.js";
import { type BfdEndpoint, type WantedCfm, wantedBfd, wantedCfm } from "./monitor-rows.js";

/** What watches the link of one interface: drives the state machines of BFD and CFM by frames and the clock, and sends
 *  what they say. */

export interface MonitoredDevice {
  readonly ofport: number;
  readonly mac: Uint8Array;
}

export interface LinkMonitorOptions {
  readonly ofproto: Ofproto;
  readonly clock: Clock;
  readonly log: LogSource;
  /** From 0 and below 1. */
  readonly random: () => number;
  readonly device: () => MonitoredDevice | undefined;
  /** Packets that the device has received. */
  readonly rxPackets: () => number;
  /** Hands out the frames that wait: they came before what is due now. */
  readonly takeEvents: () => void;
  /** Makes a session of keep-alives in the datapath, for a protocol. */
  readonly keepAlive: (protocol: number) => KeepAlive;
  /** Whether the datapath is to send and listen by itself: not while time stands still. */
  readonly delegates: () => boolean;
  /** Whether the link may be used changed, or what the database shows of it. */
  readonly changed: () => void;
}

/** A state machine that had its turn has nothing more to do at that moment, but for a poll sequence that began. */
const turnsMax = 4;
/** How often traffic is looked for that says that the link works. */
const trafficLookMs = 500;
/** How often is looked, to be sure, after what the datapath would tell. */
const safetyLookMs = 1000;

/** RFC 5881, section 4: from 49152 on, each session its own. */
const udpSources = { first: 49152, count: 16384 };
let nextUdpSource = 0;

export class LinkMonitor {
  readonly name: string;
  bfd: BfdState | undefined;
  cfm: CfmState | undefined;
  readonly #options: LinkMonitorOptions;
  readonly #bfdLog: Logger;
  readonly #cfmLog: Logger;
  readonly #ofprotoLog: Logger;
  readonly #bfdKept: KeepAlive;
  readonly #cfmKept: KeepAlive;
  /** Frames that change nothing when they come again. */
  #bfdFrame: Uint8Array | undefined;
  #cfmFrame: Uint8Array | undefined;
  #endpoint: BfdEndpoint | undefined;
  #udpSource = 0;
  #rxPackets = 0;
  #shown = "";
  #told = JSON.stringify(noMonitor);
  #timer: Timer | undefined;
  #delegation: Timer | undefined;

  constructor(name: string, options: LinkMonitorOptions) {
    this.name = name;
    this.#options = options;
    this.#bfdLog = options.log("bfd").limited(20, 20);
    this.#cfmLog = options.log("cfm").limited(20, 30);
    this.#ofprotoLog = options.log("ofproto");
    this.#bfdKept = options.keepAlive(protocol.bfd);
    this.#cfmKept = options.keepAlive(protocol.cfm);
  }

  /** Returns whether there is anything to watch the link with. */
  configure(row: InterfaceRow): boolean {
    const wanted = wantedBfd(row);
    this.#sync();
    if (wanted === undefined) {
      this.bfd = undefined;
    } else {
      for (const error of wanted.errors) this.#bfdLog.err(error);
      if (this.bfd === undefined) {
        this.#udpSource = udpSources.first + (nextUdpSource++ % udpSources.count);
        this.#rxPackets = this.#options.rxPackets();
      }
      this.#endpoint = wanted.endpoint;
      this.#takeBfd(configureBfd(this.bfd, wanted.settings, this.#newDiscriminator(), this.#around()));
    }
    const cfm = this.#configureCfm(row);
    const monitor = wanted?.monitor ?? noMonitor;
    this.#tell({ ...monitor, flags: monitor.flags | (cfm?.flags ?? 0) });
    this.#finish();
    return this.bfd !== undefined || this.cfm !== undefined;
  }

  #configureCfm(row: InterfaceRow): WantedCfm | undefined {
    const wanted = wantedCfm(row);
    // What comes next is judged by the settings that are new.
    this.#cfmFrame = undefined;
    if (wanted === undefined || isValidCfm(wanted.settings)) {
      this.cfm = wanted === undefined ? undefined : configureCfm(this.cfm, wanted.settings, this.#around());
      return wanted;
    }
    const { ofproto, device } = this.#options;
    const port = `port ${device()?.ofport ?? 0} (${this.name})`;
    this.#ofprotoLog.warn(`${ofproto.name}: CFM configuration on ${port} failed (Invalid argument)`);
    this.cfm = undefined;
    return undefined;
  }

  /** A frame of CFM arrived `agoMs` ago. */
  receiveCfm(frame: Uint8Array, agoMs: number): void {
    this.#sync();
    this.#cfmKept.surprised();
    if (this.cfm === undefined) return;
    const before = this.cfm;
    const source = [...frame.subarray(6, 12)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
    const around = { ...this.#around(), now: Math.floor(this.#now() - agoMs) };
    const step = receiveCcm(before, ccmOfFrame(frame), source, around);
    // What the datapath takes counts as healthy, so a message with a fault is not for it.
    const [was, is] = [before.remotes[0], step.state.remotes[0]];
    const isOne = before.remotes.length === 1 && step.state.remotes.length === 1;
    const isSteady = isOne && (is?.healthy ?? 0) > (was?.healthy ?? 0);
    const isPlain = step.notes.every(({ level }) => level === "dbg");
    this.#cfmFrame = isSteady && isPlain ? frame.slice() : undefined;
    this.#takeCfm(step);
    this.#finish();
  }

  /** A frame of BFD arrived `agoMs` ago. */
  receiveBfd(frame: Uint8Array, agoMs: number): void {
    this.#sync();
    this.#bfdKept.surprised();
    if (this.bfd === undefined) return;
    const before = this.bfd;
    this.#takeBfd(receiveBfd(this.bfd, frame, { ...this.#around(), now: Math.floor(this.#now() - agoMs) }));
    this.#bfdFrame = isSteadyBfd(before, this.bfd) ? frame.slice() : undefined;
    if (this.bfd.owesFinal) this.#run();
    this.#finish();
  }

  /** Whether the link may be used, as far as the protocols know. */
  mayEnable(): boolean {
    if (this.bfd === undefined && this.cfm === undefined) return true;
    return (this.cfm !== undefined && cfmLinkWorks(this.cfm)) || (this.bfd !== undefined && bfdForwards(this.bfd));
  }

  /** What the database shows. */
  columns(): InterfaceInput {
    return { bfd_status: this.bfdStatus(), ...cfmColumns(this.cfm) };
  }

  overrideCfm(override: boolean | undefined): void {
    if (this.cfm !== undefined) this.cfm = overrideCfm(this.cfm, override);
    this.#finish();
  }

  bfdStatus(): ReadonlyMap<string, string> {
    return this.bfd === undefined ? new Map() : bfdStatus(this.bfd);
  }

  overrideBfd(override: boolean | undefined): void {
    if (this.bfd !== undefined) this.bfd = overrideBfd(this.bfd, override);
    this.#finish();
  }

  /** Brings what is shown up to the present. */
  refresh(): void {
    this.#sync();
    this.#lookForTraffic();
    if (this.bfd !== undefined) this.#takeBfd(settleBfd(this.bfd, this.#around()));
    this.#finish();
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#delegation?.cancel();
    this.#delegation = undefined;
    this.#bfdKept.close();
    this.#cfmKept.close();
    this.bfd = undefined;
    this.cfm = undefined;
  }

  /** Looks what there is to do: the datapath tells that the other end is silent, or the clock was stopped or let go. */
  wake(): void {
    this.#tick();
  }

  #now(): number {
    return this.#options.clock.monotonic();
  }

  #around(): BfdSurroundings {
    const { random, rxPackets } = this.#options;
    return { now: Math.floor(this.#now()), random, rxPackets };
  }

  #newDiscriminator(): number {
    return 1 + Math.floor(this.#options.random() * 0xffffffff);
  }

  #tick(): void {
    this.#options.takeEvents();
    this.#sync();
    this.#lookForTraffic();
    this.#run();
    this.#finish();
    this.#options.takeEvents();
  }

  #run(): void {
    if (this.cfm !== undefined && this.#cfmDue(this.cfm) <= this.#now())
      this.#takeCfm(runCfm(this.cfm, this.#around()));
    for (let turn = 0; turn < turnsMax && this.bfd !== undefined; turn++) {
      if (turn > 0 && this.#bfdDue(this.bfd) > this.#now()) break;
      this.#takeBfd(runBfd(this.bfd, this.#around()));
    }
  }

  #lookForTraffic(): void {
    if (this.bfd?.settings.forwardingIfRx !== true) return;
    const packets = this.#options.rxPackets();
    if (packets > this.#rxPackets) this.#takeBfd(hearBfdTraffic(this.bfd, this.#around()));
    this.#rxPackets = packets;
  }

  #takeBfd(step: BfdStep): void {
    this.bfd = step.state;
    for (const { level, text } of step.notes) this.#bfdLog[level](text);
    for (const message of step.transmissions) this.#sendBfd(message);
  }

  #takeCfm(step: CfmStep): void {
    this.cfm = step.state;
    for (const { level, text } of step.notes) this.#cfmLog[level](text);
    const device = this.#options.device();
    if (device === undefined) return;
    for (const ccm of step.transmissions) this.#send(device, this.#cfmFrameOf(device, ccm, step.state), false);
  }

  #cfmFrameOf(device: MonitoredDevice, ccm: Uint8Array, { settings }: CfmState): Uint8Array {
    const { vlan, pcp, extended } = settings;
    const tag = vlan === "random" ? Math.floor(this.#options.random() * 4096) : vlan;
    return ccmFrame(device.mac, ccm, extended, tag | (pcp << 13));
  }

  #sendBfd(message: Uint8Array): void {
    const device = this.#options.device();
    const frame = device && this.#bfdFrameOf(device, message);
    if (device !== undefined && frame !== undefined) this.#send(device, frame, this.#endpoint?.oam === true);
  }

  #bfdFrameOf(device: MonitoredDevice, message: Uint8Array): Uint8Array | undefined {
    if (this.#endpoint === undefined) return undefined;
    const { ethSrc, ipSrc, ipDst, ethDst } = this.#endpoint;
    const ownEthSrc = ethSrc.some((byte) => byte !== 0) ? ethSrc : device.mac;
    return bfdFrame({ ethSrc: ownEthSrc, ethDst, ipSrc, ipDst, udpSrc: this.#udpSource }, message);
  }

  /** When we have something to do for BFD that the datapath does not do. */
  #bfdDue(bfd: BfdState): number {
    const now = this.#now();
    const isSent = this.#bfdKept.isSending && !bfd.owesFinal && bfd.nextTx > now;
    if (!isSent) return bfdDue(bfd);
    const isAlive = bfd.state === "init" || bfd.state === "up";
    if (!isAlive) return Number.POSITIVE_INFINITY;
    return Math.min(bfdDecayDue(bfd), this.#bfdKept.isListening ? now + safetyLookMs : bfd.detectTime);
  }

  #cfmDue(cfm: CfmState): number {
    return this.#cfmKept.isSending && cfm.nextTx > this.#now() ? cfm.lookDue : cfmDue(cfm);
  }

  #send(device: MonitoredDevice, packet: Uint8Array, oam: boolean): void {
    sendOwnPacket(this.#options.ofproto, actionsTo(device, oam), packet);
  }

  /** Says which frames are ours. */
  #tell(monitor: PortMonitor): void {
    const text = JSON.stringify(monitor);
    if (text === this.#told) return;
    this.#told = text;
    this.#options.ofproto.setMonitor(this.name, monitor);
  }

  /** Takes in what the datapath sent and heard meanwhile. */
  #sync(): void {
    const now = this.#now();
    const bfd = this.#bfdKept.news();
    if (this.bfd !== undefined && bfd !== undefined) {
      if (bfd.heard > 0) {
        const around = { ...this.#around(), now: Math.floor(now - bfd.heardAgoMs) };
        this.bfd = countBfd(receiveBfd(this.bfd, bfd.frame, around).state, bfd.heard - 1);
      }
      const lastTx = bfd.sentAgoMs === undefined ? this.bfd.lastTx : Math.floor(now - bfd.sentAgoMs);
      if (bfd.sent > 0) this.bfd = { ...this.bfd, lastTx, nextTx: Math.ceil(now + bfd.nextInMs) };
    }
    const cfm = this.#cfmKept.news();
    if (this.cfm !== undefined && cfm !== undefined) {
      if (cfm.heard > 0) {
        const around = { ...this.#around(), now: Math.floor(now - cfm.heardAgoMs) };
        const skipped = skipCcms(this.cfm, cfm.rxSeq, cfm.heard - 1);
        this.cfm = receiveCcm(skipped, ccmOfFrame(cfm.frame), "", around).state;
      }
      const lastTx = cfm.sentAgoMs === undefined ? this.cfm.lastTx : Math.floor(now - cfm.sentAgoMs);
      if (cfm.sent > 0) this.cfm = { ...this.cfm, seq: cfm.txSeq, lastTx, nextTx: Math.ceil(now + cfm.nextInMs) };
    }
  }

  /** Hands what repeats itself to the datapath, once what is due now was done. */
  #delegate(): void {
    const device = this.#options.device();
    if (!this.#options.delegates() || device === undefined) {
      this.#bfdKept.close();
      this.#cfmKept.close();
      return;
    }
    const now = this.#now();
    if (this.bfd === undefined) this.#bfdKept.close();
    else if (!this.bfd.owesFinal && this.bfd.nextTx > now) this.#delegateBfd(this.bfd, device, now);
    if (this.cfm === undefined) this.#cfmKept.close();
    else if (this.cfm.nextTx > now) this.#delegateCfm(this.cfm, device, now);
  }

  #delegateBfd(bfd: BfdState, device: MonitoredDevice, now: number): void {
    const frame = this.#bfdFrameOf(device, composeBfdNow(bfd));
    if (frame === undefined) return;
    const detectMs = bfdDetectMs(bfd);
    this.#bfdKept.set(device.ofport, {
      frame,
      seqAt: 0,
      actions: actionsTo(device, this.#endpoint?.oam === true),
      intervalMs: jitter(bfd),
      firstMs: bfd.nextTx - now,
      expected: bfd.state === "up" ? this.#bfdFrame : undefined,
      expectedSeqAt: 0,
      detectMs,
      silentMs: now - (bfd.detectTime - detectMs),
    });
  }

  #delegateCfm(cfm: CfmState, device: MonitoredDevice, now: number): void {
    // The number is that of the last message; the next one is sent.
    const frame = this.#cfmFrameOf(device, composeCcm({ ...nextCcm(cfm), seq: cfm.seq }, cfm.settings.extended), cfm);
    const seqAtIn = (bytes: Uint8Array): number => bytes.length - ccmOfFrame(bytes).length + ccmSeqAt;
    this.#cfmKept.set(device.ofport, {
      frame,
      seqAt: seqAtIn(frame),
      actions: actionsTo(device, false),
      intervalMs: [cfm.intervalMs, cfm.intervalMs],
      firstMs: cfm.nextTx - now,
      expected: cfm.remotes.length === 1 ? this.#cfmFrame : undefined,
      expectedSeqAt: this.#cfmFrame === undefined ? 0 : seqAtIn(this.#cfmFrame),
      detectMs: 0,
      silentMs: 0,
    });
  }

  #scheduleDelegation(): void {
    const isDelegated = this.#bfdKept.isSending || this.#cfmKept.isSending;
    if (this.#delegation !== undefined || (!this.#options.delegates() && !isDelegated)) return;
    // Frames that wait are taken first: after what they say the datapath would go on.
    this.#delegation = this.#options.clock.after(0, () => {
      this.#delegation = undefined;
      this.#options.takeEvents();
      this.#sync();
      this.#delegate();
      this.#arm();
    });
  }

  #finish(): void {
    this.#scheduleDelegation();
    this.#arm();
    const { cfm } = this;
    const cfmShown = cfm && [cfmFaults(cfm), cfm.flaps, cfm.health, cfmRemoteOpup(cfm), cfm.heard];
    const shown = [this.mayEnable(), ...this.bfdStatus().values(), cfmShown].join("\n");
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#options.changed();
  }

  #arm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const now = this.#now();
    const due = Math.min(
      this.bfd === undefined ? Number.POSITIVE_INFINITY : this.#bfdDue(this.bfd),
      this.bfd?.settings.forwardingIfRx === true ? now + trafficLookMs : Number.POSITIVE_INFINITY,
      this.cfm === undefined ? Number.POSITIVE_INFINITY : this.#cfmDue(this.cfm),
    );
    if (due === Number.POSITIVE_INFINITY) return;
    this.#timer = this.#options.clock.after(Math.max(1, due - now), () => {
      this.#tick();
    });
  }
}

function actionsTo({ ofport }: MonitoredDevice, oam: boolean): Uint8Array {
  return Uint8Array.from([...(oam ? oamAction() : []), ...outputAction(ofport)]);
}

/** Columns of an interface without CFM are empty. */
export function cfmColumns(cfm: CfmState | undefined): InterfaceInput {
  const opup = cfm && cfmRemoteOpup(cfm);
  return {
    cfm_fault: cfm && cfmFaults(cfm) !== 0,
    cfm_fault_status: cfm === undefined ? [] : cfmFaultNames(cfmFaults(cfm)),
    cfm_flap_count: cfm?.flaps,
    cfm_health: cfm?.health,
    cfm_remote_mpids: cfm?.heard ?? [],
    cfm_remote_opstate: opup === undefined ? undefined : opup ? "up" : "down",
  };
}
