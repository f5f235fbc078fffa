import type { Clock, Timer } from "../clock/index.js";
import type { Logger, LogSource } from "../log/index.js";
import { noMonitor, type Ofproto, oamAction, outputAction, type PortMonitor, sendPacketOut } from "../ofproto/index.js";
import type { InterfaceInput, InterfaceRow } from "../ovsdb/index.js";
import {
  type BfdState,
  type BfdStep,
  type BfdSurroundings,
  bfdDue,
  bfdForwards,
  bfdFrame,
  bfdStatus,
  type CfmState,
  type CfmStep,
  ccmFrame,
  ccmOfFrame,
  cfmDue,
  cfmFaultNames,
  cfmFaults,
  cfmLinkWorks,
  cfmRemoteOpup,
  configureBfd,
  configureCfm,
  hearBfdTraffic,
  isValidCfm,
  overrideBfd,
  overrideCfm,
  receiveBfd,
  receiveCcm,
  runBfd,
  runCfm,
  settleBfd,
} from "../protocols/index.js";
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
  /** Whether the link may be used changed, or what the database shows of it. */
  readonly changed: () => void;
}

const noPort = 0xffffffff;
const noBuffer = 0xffffffff;
/** A state machine that had its turn has nothing more to do at that moment, but for a poll sequence that began. */
const turnsMax = 4;
/** How often traffic is looked for that says that the link works. */
const trafficLookMs = 500;

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
  #endpoint: BfdEndpoint | undefined;
  #udpSource = 0;
  #rxPackets = 0;
  #shown = "";
  #told = "";
  #timer: Timer | undefined;

  constructor(name: string, options: LinkMonitorOptions) {
    this.name = name;
    this.#options = options;
    this.#bfdLog = options.log("bfd").limited(20, 20);
    this.#cfmLog = options.log("cfm").limited(20, 30);
    this.#ofprotoLog = options.log("ofproto");
  }

  /** Returns whether there is anything to watch the link with. */
  configure(row: InterfaceRow): boolean {
    const wanted = wantedBfd(row);
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
    if (this.cfm === undefined) return;
    const source = [...frame.subarray(6, 12)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
    const around = { ...this.#around(), now: Math.floor(this.#now() - agoMs) };
    this.#takeCfm(receiveCcm(this.cfm, ccmOfFrame(frame), source, around));
    this.#finish();
  }

  /** A frame of BFD arrived `agoMs` ago. */
  receiveBfd(frame: Uint8Array, agoMs: number): void {
    if (this.bfd === undefined) return;
    this.#takeBfd(receiveBfd(this.bfd, frame, { ...this.#around(), now: Math.floor(this.#now() - agoMs) }));
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
    this.#lookForTraffic();
    if (this.bfd !== undefined) this.#takeBfd(settleBfd(this.bfd, this.#around()));
    this.#finish();
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.bfd = undefined;
    this.cfm = undefined;
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
    this.#lookForTraffic();
    this.#run();
    this.#finish();
    this.#options.takeEvents();
  }

  #run(): void {
    if (this.cfm !== undefined && cfmDue(this.cfm) <= this.#now()) this.#takeCfm(runCfm(this.cfm, this.#around()));
    for (let turn = 0; turn < turnsMax && this.bfd !== undefined; turn++) {
      if (turn > 0 && bfdDue(this.bfd) > this.#now()) break;
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
    const { vlan, pcp, extended } = step.state.settings;
    for (const ccm of step.transmissions) {
      const tag = vlan === "random" ? Math.floor(this.#options.random() * 4096) : vlan;
      this.#send(device, ccmFrame(device.mac, ccm, extended, tag | (pcp << 13)), false);
    }
  }

  #sendBfd(message: Uint8Array): void {
    const device = this.#options.device();
    const endpoint = this.#endpoint;
    if (device === undefined || endpoint === undefined) return;
    const { ethSrc, ipSrc, ipDst, ethDst, oam } = endpoint;
    const ownEthSrc = ethSrc.some((byte) => byte !== 0) ? ethSrc : device.mac;
    const addresses = { ethSrc: ownEthSrc, ethDst, ipSrc, ipDst, udpSrc: this.#udpSource };
    this.#send(device, bfdFrame(addresses, message), oam);
  }

  #send({ ofport }: MonitoredDevice, packet: Uint8Array, oam: boolean): void {
    sendPacketOut(this.#options.ofproto, {
      bufferId: noBuffer,
      inPort: noPort,
      match: new Uint8Array(0),
      actions: Uint8Array.from([...(oam ? oamAction() : []), ...outputAction(ofport)]),
      packet,
    });
  }

  /** Says which frames are ours. */
  #tell(monitor: PortMonitor): void {
    const text = JSON.stringify(monitor);
    if (text === this.#told) return;
    this.#told = text;
    this.#options.ofproto.setMonitor(this.name, monitor);
  }

  #finish(): void {
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
      this.bfd === undefined ? Number.POSITIVE_INFINITY : bfdDue(this.bfd),
      this.bfd?.settings.forwardingIfRx === true ? now + trafficLookMs : Number.POSITIVE_INFINITY,
      this.cfm === undefined ? Number.POSITIVE_INFINITY : cfmDue(this.cfm),
    );
    if (due === Number.POSITIVE_INFINITY) return;
    this.#timer = this.#options.clock.after(Math.max(1, due - now), () => {
      this.#tick();
    });
  }
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
