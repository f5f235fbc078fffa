import type { Clock, Timer } from "../clock/index.js";
import { spanningFlag } from "../datapath/generated/records.js";
import type { Logger, LogSource } from "../log/index.js";
import { type Ofproto, outputAction, type SpanningPort, sendOwnPacket, stpState } from "../ofproto/index.js";
import type { BridgeRow } from "../ovsdb/index.js";
import {
  bpduFrame,
  bpduOfFrame,
  configureRstp,
  configureStp,
  type RstpPortState,
  type RstpState,
  type RstpStep,
  receiveRstp,
  receiveStp,
  rstpCarrierChanged,
  rstpDue,
  rstpStateText,
  rstpTopologyChange,
  runRstp,
  runStp,
  type StpNote,
  type StpPortState,
  type StpState,
  type StpStep,
  stpCarrierChanged,
  stpDue,
  stpLearns,
  stpTopologyChange,
} from "../protocols/index.js";
import { type SpanningPortRow, wantedRstp, wantedStp } from "./spanning-rows.js";

/** The spanning tree of one bridge: drives the state machine by frames, devices and the clock, and carries out what it
 *  says: what ports may do, frames to send, addresses to forget. */

export interface SpanningDevice {
  readonly name: string;
  readonly ofport: number;
  readonly mac: Uint8Array;
  readonly carrier: boolean;
}

export interface SpanningOptions {
  readonly ofproto: Ofproto;
  readonly clock: Clock;
  readonly log: LogSource;
  readonly device: (name: string) => SpanningDevice | undefined;
  /** What the database shows of it changed. */
  readonly changed: () => void;
}

export interface SpanningRows {
  readonly bridge: BridgeRow;
  readonly mac: bigint;
  readonly ports: readonly SpanningPortRow[];
}

/** What the machine has said of a port, as far as the switch was told. */
interface Told {
  readonly text: string;
  readonly learns: boolean;
  readonly spanning: SpanningPort;
}

export class Spanning {
  stp: StpState | undefined;
  rstp: RstpState | undefined;
  readonly #options: SpanningOptions;
  /** What is wrong with frames: others decide how many there are. */
  readonly #frameLog: Logger;
  readonly #changeLog: Logger;
  readonly #portLog: Logger;
  readonly #configLog: Logger;
  readonly #told = new Map<string, Told>();
  #errors = "";
  #shown = "";
  #timer: Timer | undefined;

  constructor(options: SpanningOptions) {
    this.#options = options;
    this.#frameLog = options.log("stp").limited(1, 5);
    this.#changeLog = options.log("stp").limited(1, 5);
    this.#portLog = options.log("ofproto_dpif");
    this.#configLog = options.log("bridge");
  }

  configure(rows: SpanningRows): void {
    const { bridge } = rows;
    const now = this.#options.clock.monotonic();
    const errors: string[] = [];
    const isRapid = bridge.rstp_enable;
    if (isRapid && bridge.stp_enable)
      errors.push(`${bridge.name}: RSTP and STP are mutually exclusive but both are configured; enabling RSTP`);
    this.#leave(isRapid ? "stp" : "rstp");
    if (isRapid) {
      const wanted = wantedRstp(bridge, rows.mac, rows.ports);
      errors.push(...wanted.errors);
      this.#enter("rstp");
      this.#takeRstp(configureRstp(this.rstp, wanted.settings, wanted.ports, now));
    } else if (bridge.stp_enable) {
      const wanted = wantedStp(bridge, rows.mac, rows.ports);
      errors.push(...wanted.errors);
      if (wanted.settings === undefined) this.#leave("stp");
      else {
        this.#enter("stp");
        this.#takeStp(configureStp(this.stp, wanted.settings, wanted.ports, now));
      }
    } else this.#leave("stp");
    if (errors.join() !== this.#errors)
      for (const error of errors) this.#configLog[error.includes("mutually exclusive") ? "warn" : "err"](error);
    this.#errors = errors.join();
    this.#tellPorts(true);
    this.#arm();
  }

  #enter(protocol: "stp" | "rstp"): void {
    this.#options.ofproto.changeSettings({ spanningTree: protocol });
  }

  #leave(protocol: "stp" | "rstp"): void {
    if (this[protocol] === undefined) return;
    this[protocol] = undefined;
    this.#tellPorts(true, protocol);
    this.#options.ofproto.changeSettings({ spanningTree: "none" });
  }

  carrierChanged(name: string): void {
    const device = this.#options.device(name);
    const port = (this.stp ?? this.rstp)?.ports.find((each) => each.name === name);
    if (device === undefined || port === undefined || port.carrier === device.carrier) return;
    const { carrier } = device;
    if (this.rstp !== undefined) this.#takeRstp(rstpCarrierChanged(this.rstp, name, carrier));
    if (this.stp === undefined) return;
    const [is, does] = carrier ? ["up", "enabling"] : ["down", "disabling"];
    this.#portLog.dbg(`bridge ${this.#options.ofproto.name}, port ${name} is ${is}, ${does} it.`);
    this.#takeStp(stpCarrierChanged(this.stp, name, carrier, this.#options.clock.monotonic()));
  }

  /** A frame of the protocol arrived. */
  receive(name: string, frame: Uint8Array): void {
    const pdu = bpduOfFrame(frame);
    if (pdu === undefined) return;
    if (this.stp !== undefined) this.#takeStp(receiveStp(this.stp, name, pdu, this.#options.clock.monotonic()));
    if (this.rstp !== undefined) this.#takeRstp(receiveRstp(this.rstp, name, pdu));
  }

  /** An administrator says that the topology changed. */
  topologyChanged(): void {
    if (this.stp !== undefined) this.#takeStp(stpTopologyChange(this.stp, this.#options.clock.monotonic()));
    if (this.rstp !== undefined) this.#takeRstp(rstpTopologyChange(this.rstp));
  }

  close(): void {
    this.#timer?.cancel();
  }

  #run(): void {
    const now = this.#options.clock.monotonic();
    if (this.stp !== undefined) this.#takeStp(runStp(this.stp, now));
    if (this.rstp !== undefined) this.#takeRstp(runRstp(this.rstp, now));
  }

  #takeStp(step: StpStep): void {
    this.stp = step.state;
    for (const note of step.notes) this.#note(note);
    this.#tellPorts(false);
    if (step.flush) this.#flushAll();
    const { ports, designatedRoot, rootPathCost, bridgeId, rootPort } = step.state;
    const states = ports.map(({ name, state }) => name + state);
    this.#finish(step.transmissions, [designatedRoot, rootPathCost, bridgeId, rootPort, states].join());
  }

  #takeRstp(step: RstpStep): void {
    this.rstp = step.state;
    this.#tellPorts(false);
    for (const name of step.flush) this.#flushPort(name);
    const { ports, rootPriority, rootPortId, bridgeId } = step.state;
    const states = ports.map(({ name, role, state }) => name + role + state);
    this.#finish(step.transmissions, [...Object.values(rootPriority), rootPortId, bridgeId, states].join());
  }

  #finish(transmissions: StpStep["transmissions"], shown: string): void {
    for (const { port, pdu } of transmissions) this.#send(port, pdu);
    if (shown !== this.#shown) {
      this.#shown = shown;
      this.#options.changed();
    }
    this.#arm();
  }

  #note({ level, text }: StpNote): void {
    if (level === "info") this.#changeLog.info(text);
    else this.#frameLog[level](text);
  }

  /** Makes of the ports what the machine says, and of those that it does not have any more what they were. */
  #tellPorts(anew: boolean, protocol: "stp" | "rstp" = this.rstp === undefined ? "stp" : "rstp"): void {
    const { ofproto } = this.#options;
    const states = new Map<string, Told>([
      ...(this.stp?.ports ?? []).map(({ name, state }) => [name, stpTold(state)] as const),
      ...(this.rstp?.ports ?? []).map(({ name, state }) => [name, rstpTold(state)] as const),
    ]);
    const free = { text: protocol === "stp" ? "disabled" : "Disabled", learns: false, spanning: freePort };
    for (const name of new Set([...this.#told.keys(), ...states.keys()])) {
      const before = this.#told.get(name) ?? free;
      const now = states.get(name) ?? free;
      if (states.has(name)) this.#told.set(name, now);
      else this.#told.delete(name);
      const isChanged = now.text !== before.text;
      if (isChanged)
        this.#portLog.dbg(`port ${name}: ${protocol.toUpperCase()} state changed from ${before.text} to ${now.text}`);
      if (now.learns !== before.learns) {
        if (protocol === "stp") this.#flushAll();
        else this.#flushPort(name);
      }
      if (anew || isChanged) ofproto.setSpanning(name, now.spanning);
    }
  }

  /** Forgets addresses and, as Open vSwitch does with this protocol and not with the rapid one, multicast groups. */
  #flushAll(): void {
    this.#options.ofproto.flushFdb();
    this.#options.ofproto.flushMdb();
  }

  #flushPort(name: string): void {
    const device = this.#options.device(name);
    if (device !== undefined) this.#options.ofproto.flushFdb(device.ofport);
  }

  #send(name: string, pdu: Uint8Array): void {
    const device = this.#options.device(name);
    if (device === undefined) return;
    if (device.mac.every((byte) => byte === 0)) {
      this.#portLog.warn(`${this.#options.ofproto.name}: cannot send BPDU on port ${name} with unknown MAC`);
      return;
    }
    sendOwnPacket(this.#options.ofproto, outputAction(device.ofport), bpduFrame(device.mac, pdu));
  }

  #arm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const { clock } = this.#options;
    const due = Math.min(
      this.stp === undefined ? Number.POSITIVE_INFINITY : stpDue(this.stp),
      this.rstp === undefined ? Number.POSITIVE_INFINITY : rstpDue(this.rstp),
    );
    if (due === Number.POSITIVE_INFINITY) return;
    this.#timer = clock.after(Math.max(1, due - clock.monotonic()), () => {
      this.#run();
    });
  }
}

const freePort: SpanningPort = { flags: 0, state: 0 };

function stpTold(state: StpPortState): Told {
  const { noForward, noLearn, noBpdu } = spanningFlag;
  const ports: Readonly<Record<StpPortState, SpanningPort>> = {
    disabled: { flags: noForward | noLearn, state: 0 },
    blocking: { flags: noForward | noLearn | noBpdu, state: stpState.block },
    listening: { flags: noForward | noLearn, state: stpState.listen },
    learning: { flags: noForward, state: stpState.learn },
    forwarding: { flags: 0, state: stpState.forward },
  };
  return { text: state, learns: stpLearns(state), spanning: ports[state] };
}

function rstpTold(state: RstpPortState): Told {
  const { noForward, noLearn } = spanningFlag;
  const ports: Readonly<Record<RstpPortState, SpanningPort>> = {
    discarding: { flags: noForward | noLearn, state: stpState.listen },
    learning: { flags: noForward, state: stpState.learn },
    forwarding: { flags: 0, state: stpState.forward },
  };
  return { text: rstpStateText[state], learns: state !== "discarding", spanning: ports[state] };
}
