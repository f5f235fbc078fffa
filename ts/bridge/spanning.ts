import type { Clock, Timer } from "../clock/index.js";
import { spanningFlag } from "../datapath/generated/records.js";
import type { Logger, LogSource } from "../log/index.js";
import { type Ofproto, outputAction, type SpanningPort, sendPacketOut, stpState } from "../ofproto/index.js";
import type { BridgeRow } from "../ovsdb/index.js";
import {
  bpduFrame,
  bpduOfFrame,
  configureStp,
  receiveStp,
  runStp,
  type StpNote,
  type StpPortState,
  type StpState,
  type StpStep,
  stpCarrierChanged,
  stpDue,
  stpForwards,
  stpLearns,
  stpTopologyChange,
} from "../protocols/index.js";
import { type SpanningPortRow, wantedStp } from "./spanning-rows.js";

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

const noPort = 0xffffffff;
const noBuffer = 0xffffffff;

/** What the machine has said of a port, as far as the switch was told. */
interface Told {
  readonly text: string;
  readonly forwards: boolean;
  readonly learns: boolean;
}

const free: Told = { text: "disabled", forwards: false, learns: false };

export class Spanning {
  stp: StpState | undefined;
  readonly #options: SpanningOptions;
  readonly #stpLog: Logger;
  readonly #changeLog: Logger;
  readonly #portLog: Logger;
  readonly #configLog: Logger;
  readonly #told = new Map<string, Told>();
  #errors = "";
  #shown = "";
  #timer: Timer | undefined;

  constructor(options: SpanningOptions) {
    this.#options = options;
    this.#stpLog = options.log("stp");
    this.#changeLog = this.#stpLog.limited(1, 5);
    this.#portLog = options.log("ofproto_dpif");
    this.#configLog = options.log("bridge");
  }

  configure(rows: SpanningRows): void {
    const now = this.#options.clock.monotonic();
    const errors: string[] = [];
    if (rows.bridge.stp_enable) {
      const wanted = wantedStp(rows.bridge, rows.mac, rows.ports);
      errors.push(...wanted.errors);
      if (wanted.settings === undefined) this.stp = undefined;
      else this.#take(configureStp(this.stp, wanted.settings, wanted.ports, now));
    } else this.stp = undefined;
    if (errors.join() !== this.#errors) for (const error of errors) this.#configLog.err(error);
    this.#errors = errors.join();
    this.#options.ofproto.changeSettings({ spanningTree: this.stp === undefined ? "none" : "stp" });
    this.#tellPorts(true);
    this.#arm();
  }

  carrierChanged(name: string): void {
    const device = this.#options.device(name);
    if (this.stp === undefined || device === undefined) return;
    const port = this.stp.ports.find((each) => each.name === name);
    if (port === undefined || port.carrier === device.carrier) return;
    const [is, does] = device.carrier ? ["up", "enabling"] : ["down", "disabling"];
    this.#portLog.dbg(`bridge ${this.#options.ofproto.name}, port ${name} is ${is}, ${does} it.`);
    this.#take(stpCarrierChanged(this.stp, name, device.carrier, this.#options.clock.monotonic()));
  }

  /** A frame of the protocol arrived. */
  receive(name: string, frame: Uint8Array): void {
    const pdu = bpduOfFrame(frame);
    if (this.stp !== undefined && pdu !== undefined)
      this.#take(receiveStp(this.stp, name, pdu, this.#options.clock.monotonic()));
  }

  /** An administrator says that the topology changed. */
  topologyChanged(): void {
    if (this.stp !== undefined) this.#take(stpTopologyChange(this.stp, this.#options.clock.monotonic()));
  }

  close(): void {
    this.#timer?.cancel();
  }

  #run(): void {
    if (this.stp !== undefined) this.#take(runStp(this.stp, this.#options.clock.monotonic()));
  }

  #take(step: StpStep): void {
    this.stp = step.state;
    for (const note of step.notes) this.#note(note);
    this.#tellPorts(false);
    for (const { port, pdu } of step.transmissions) this.#send(port, pdu);
    if (step.flush) this.#flush();
    const { ports, designatedRoot, rootPathCost, bridgeId, rootPort } = step.state;
    const shown = [
      designatedRoot,
      rootPathCost,
      bridgeId,
      rootPort,
      ports.map(({ name, state }) => name + state),
    ].join();
    if (shown !== this.#shown) {
      this.#shown = shown;
      this.#options.changed();
    }
    this.#arm();
  }

  #note({ level, text }: StpNote): void {
    if (level === "info") this.#changeLog.info(text);
    else this.#stpLog[level](text);
  }

  /** Makes of the ports what the machine says, and of those that it does not have any more what they were. */
  #tellPorts(anew: boolean): void {
    const { ofproto } = this.#options;
    const states = new Map<string, StpPortState>((this.stp?.ports ?? []).map(({ name, state }) => [name, state]));
    for (const name of new Set([...this.#told.keys(), ...states.keys()])) {
      const state = states.get(name);
      const before = this.#told.get(name) ?? free;
      const now: Told =
        state === undefined ? free : { text: state, forwards: stpForwards(state), learns: stpLearns(state) };
      if (state === undefined) this.#told.delete(name);
      else this.#told.set(name, now);
      if (now.text !== before.text)
        this.#portLog.dbg(`port ${name}: STP state changed from ${before.text} to ${now.text}`);
      if (now.learns !== before.learns) this.#flush();
      if (anew || now !== before) ofproto.setSpanning(name, spanningOf(state));
    }
  }

  #flush(): void {
    this.#options.ofproto.flushFdb();
  }

  #send(name: string, pdu: Uint8Array): void {
    const device = this.#options.device(name);
    if (device === undefined) return;
    if (device.mac.every((byte) => byte === 0)) {
      this.#portLog.warn(`${this.#options.ofproto.name}: cannot send BPDU on port ${name} with unknown MAC`);
      return;
    }
    sendPacketOut(this.#options.ofproto, {
      bufferId: noBuffer,
      inPort: noPort,
      match: new Uint8Array(0),
      actions: outputAction(device.ofport),
      packet: bpduFrame(device.mac, pdu),
    });
  }

  #arm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.stp === undefined) return;
    const { clock } = this.#options;
    const due = stpDue(this.stp);
    if (due === Number.POSITIVE_INFINITY) return;
    this.#timer = clock.after(Math.max(1, due - clock.monotonic()), () => {
      this.#run();
    });
  }
}

function spanningOf(state: StpPortState | undefined): SpanningPort {
  const { noForward, noLearn, noBpdu } = spanningFlag;
  switch (state) {
    case undefined:
      return { flags: 0, state: 0 };
    case "disabled":
      return { flags: noForward | noLearn, state: 0 };
    case "blocking":
      return { flags: noForward | noLearn | noBpdu, state: stpState.block };
    case "listening":
      return { flags: noForward | noLearn, state: stpState.listen };
    case "learning":
      return { flags: noForward, state: stpState.learn };
    case "forwarding":
      return { flags: 0, state: stpState.forward };
  }
}
