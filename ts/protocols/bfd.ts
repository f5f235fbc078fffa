/** BFD (RFC 5880) for one link: no sockets and no clock in it.  `now` is milliseconds on a monotonic clock, and so are all
 *  times that a state has.  As in Open vSwitch, a session belongs to its link, whatever discriminator packets carry; demand
 *  mode and authentication are not spoken; and besides the session's state there is `forwarding`, whether packets may be
 *  sent by the link.
 *
 *  Functions take a state and return a new one, with the control packets to send. */
import {
  type BfdMessage,
  type BfdSessionState,
  bfdDiagnostic,
  bfdDiagnosticText,
  bfdFlag,
  bfdFlagsText,
  bfdOfFrame,
  bfdPacketSize,
  bfdTtl,
  bfdVersion,
  composeBfd,
  parseBfd,
} from "./bfd-packet.js";
import {
  type BfdRemote,
  type BfdSettings,
  type BfdState,
  bfdFlags,
  bfdMinTxMs,
  bfdRxIntervalMs,
  bfdSlowMs,
  bfdTxIntervalMs,
} from "./bfd-state.js";
import { formatBfd } from "./bfd-text.js";

export interface BfdSurroundings {
  readonly now: number;
  /** From 0 and below 1. */
  readonly random: () => number;
  /** Packets that the device has received. */
  readonly rxPackets: () => number;
}

export interface BfdNote {
  readonly level: "dbg" | "info" | "warn";
  readonly text: string;
}

export interface BfdStep {
  readonly state: BfdState;
  readonly transmissions: readonly Uint8Array[];
  readonly notes: readonly BfdNote[];
}

const multDefault = 3;
const rxLookMs = 2000;

const noRemote: BfdRemote = { state: "down", diagnostic: 0, flags: 0, disc: 0, mult: 0, minRxMs: 1, minTxMs: 0 };

type Draft = { -readonly [Key in keyof BfdState]: BfdState[Key] };

/** A state in the making. */
class Work {
  readonly #s: Draft;
  readonly around: BfdSurroundings;
  readonly notes: BfdNote[] = [];
  readonly transmissions: Uint8Array[] = [];

  constructor(state: BfdState, around: BfdSurroundings) {
    this.#s = { ...state };
    this.around = around;
  }

  get s(): Draft {
    return this.#s;
  }

  finish(): BfdStep {
    return { state: this.#s, transmissions: this.transmissions, notes: this.notes };
  }

  note(level: BfdNote["level"], text: string): void {
    this.notes.push({ level, text });
  }

  /** Works out whether the link forwards, and counts if that changed. */
  settleForwarding(): void {
    const s = this.#s;
    if (s.override !== undefined) return;
    const { now } = this.around;
    const hears = s.settings.forwardingIfRx && s.rxUntil > now && s.demandRxUntil > now;
    const { pathDown, concatenatedPathDown, reverseConcatenatedPathDown } = bfdDiagnostic;
    const isPathDown = [pathDown, concatenatedPathDown, reverseConcatenatedPathDown].some(
      (diagnostic) => diagnostic === s.remote.diagnostic,
    );
    const forwards = (s.state === "up" || hears) && !isPathDown;
    if (forwards !== s.isForwarding) s.flaps += 1;
    s.isForwarding = forwards;
  }

  setState(state: BfdSessionState, wanted: number): void {
    const s = this.#s;
    const diagnostic = s.settings.cpathDown ? bfdDiagnostic.concatenatedPathDown : wanted;
    if (s.state === state && s.diagnostic === diagnostic) return;
    const change = `${s.state}->${state} "${bfdDiagnosticText(s.diagnostic)}"->"${bfdDiagnosticText(diagnostic)}"`;
    this.settleForwarding();
    this.note("info", `${s.settings.name}: BFD state change: ${change}.\n${formatBfd(s, this.around.now)}`);
    s.state = state;
    s.diagnostic = diagnostic;
    if (!isAlive(s)) {
      s.remote = { ...noRemote, mult: s.remote.mult };
      if (s.decay.isActive) {
        s.minRxMs = s.settings.minRxMs;
        s.decay = { ...s.decay, isActive: false };
      }
    }
    if (state === "up" && s.settings.decayMinRxMs !== 0) this.restartDecay();
  }

  /** Begins a poll sequence, by which new times are agreed on. */
  poll(): void {
    const s = this.#s;
    if (!isAlive(s) || s.isPolling || s.owesFinal) return;
    s.pollMinTxMs = s.settings.minTxMs;
    s.pollMinRxMs = s.decay.isActive ? s.settings.decayMinRxMs : s.settings.minRxMs;
    s.isPolling = true;
    s.nextTx = 0;
    this.note("info", `${s.settings.name}: Initiating poll sequence`);
  }

  setNextTx(): void {
    const s = this.#s;
    const [least, most] = jitter(s);
    s.nextTx = s.lastTx + least + Math.floor(this.around.random() * (most - least + 1));
  }

  restartDecay(): void {
    const s = this.#s;
    s.decay = {
      ...s.decay,
      rxPackets: this.around.rxPackets(),
      controlPackets: 0,
      due: Math.max(s.settings.decayMinRxMs, rxLookMs) + this.around.now,
    };
  }

  /** Goes into decay if hardly anything but control packets arrives. */
  tryDecay(): void {
    const s = this.#s;
    const got = this.around.rxPackets() - s.decay.rxPackets;
    s.decay = { ...s.decay, isActive: got <= 2 * Math.max(s.decay.controlPackets, 1) };
    this.restartDecay();
  }

  hearTraffic(): void {
    const s = this.#s;
    s.rxUntil = Math.max(bfdRxIntervalMs(s) * s.settings.mult, rxLookMs) + this.around.now;
  }
}

const isAlive = ({ state }: BfdState): boolean => state === "init" || state === "up";

/** Between which times after a packet the next one is sent.  RFC 5880, section 6.8.7. */
export function jitter(state: BfdState): readonly [least: number, most: number] {
  const interval = bfdTxIntervalMs(state);
  const part = (percent: number): number => interval - Math.floor((interval * percent) / 100);
  return [part(25), state.settings.mult === 1 ? part(10) : part(0)];
}

/** A session that begins, or takes other settings.  `disc` is the discriminator of a new one. */
export function configureBfd(
  before: BfdState | undefined,
  settings: BfdSettings,
  disc: number,
  around: BfdSurroundings,
): BfdStep {
  const work = new Work(before ?? newSession(settings.name, disc), around);
  const { s } = work;
  if (before === undefined) work.setState("down", bfdDiagnostic.none);
  const old = s.settings;
  const mayChange = (better: boolean): boolean => s.state !== "up" || (!s.isPolling && better);
  let needsPoll = false;
  s.settings = { ...settings, cpathDown: old.cpathDown };
  if (settings.minTxMs !== old.minTxMs) {
    if (mayChange(settings.minTxMs < s.minTxMs)) s.minTxMs = settings.minTxMs;
    needsPoll = true;
  }
  if (settings.minRxMs !== old.minRxMs) {
    if (mayChange(settings.minRxMs > s.minRxMs)) s.minRxMs = settings.minRxMs;
    needsPoll = true;
  }
  if (settings.decayMinRxMs !== old.decayMinRxMs || settings.minRxMs !== old.minRxMs) {
    if (settings.decayMinRxMs > 0 && settings.decayMinRxMs < settings.minRxMs) {
      work.note("warn", `${settings.name}: decay_min_rx cannot be less than ${settings.minRxMs} ms`);
      s.settings = { ...s.settings, decayMinRxMs: 0 };
    }
    s.decay = { ...s.decay, isActive: false };
    work.restartDecay();
    needsPoll = true;
  }
  if (settings.cpathDown !== old.cpathDown) {
    s.settings = { ...s.settings, cpathDown: settings.cpathDown };
    work.setState(s.state, bfdDiagnostic.none);
    needsPoll = true;
  }
  if (settings.forwardingIfRx !== old.forwardingIfRx || (settings.forwardingIfRx && settings.mult !== old.mult)) {
    if (s.state === "up" && settings.forwardingIfRx) work.hearTraffic();
    else if (settings.forwardingIfRx !== old.forwardingIfRx) s.rxUntil = 0;
  }
  if (needsPoll) work.poll();
  return work.finish();
}

function newSession(name: string, disc: number): BfdState {
  return {
    settings: {
      name,
      minTxMs: 0,
      minRxMs: 0,
      decayMinRxMs: 0,
      mult: multDefault,
      cpathDown: false,
      forwardingIfRx: false,
    },
    disc,
    state: "admin_down",
    diagnostic: bfdDiagnostic.none,
    isPolling: false,
    owesFinal: false,
    minTxMs: bfdSlowMs,
    minRxMs: 0,
    pollMinTxMs: 0,
    pollMinRxMs: 0,
    remote: { ...noRemote, state: "admin_down", minRxMs: 0 },
    lastTx: 0,
    nextTx: 0,
    detectTime: 0,
    isForwarding: false,
    flaps: 0,
    override: undefined,
    rxUntil: 0,
    demandRxUntil: 0,
    decay: { isActive: false, controlPackets: 0, rxPackets: 0, due: 0 },
  };
}

/** The control packet that a session sends now. */
export function bfdMessage(s: BfdState): BfdMessage {
  return {
    version: bfdVersion,
    diagnostic: s.diagnostic,
    state: s.state,
    flags: bfdFlags(s),
    mult: s.settings.mult,
    length: bfdPacketSize,
    myDisc: s.disc,
    yourDisc: s.remote.disc,
    minTxUs: 1000 * (s.isPolling ? s.pollMinTxMs : bfdMinTxMs(s)),
    minRxUs: 1000 * (s.isPolling ? s.pollMinRxMs : s.minRxMs),
    minRxEchoUs: 0,
  };
}

/** The same as bytes. */
export function composeBfdNow(state: BfdState): Uint8Array {
  return composeBfd(bfdMessage(state));
}

/** Silence that takes the session down. */
export function bfdDetectMs(state: BfdState): number {
  return bfdRxIntervalMs(state) * state.remote.mult;
}

/** Sends what is due, and notices what has not come. */
export function runBfd(state: BfdState, around: BfdSurroundings): BfdStep {
  const work = new Work(state, around);
  const { s } = work;
  const { now } = around;
  if (s.owesFinal || now >= s.nextTx) transmit(work);
  const wasDecaying = s.decay.isActive;
  if (isAlive(s) && now >= s.detectTime) work.setState("down", bfdDiagnostic.expired);
  work.settleForwarding();
  if (s.state === "up" && s.settings.decayMinRxMs > 0 && now >= s.decay.due) work.tryDecay();
  const isAsConfigured = s.minRxMs === s.settings.minRxMs || s.minRxMs === s.settings.decayMinRxMs;
  if (s.minTxMs !== s.settings.minTxMs || !isAsConfigured || s.decay.isActive !== wasDecaying) work.poll();
  return work.finish();
}

function transmit(work: Work): void {
  const { s } = work;
  const { now } = work.around;
  const interval = bfdTxIntervalMs(s);
  const delay = now - s.nextTx;
  const { name } = s.settings;
  if (s.nextTx !== 0 && delay > Math.floor((interval * 3) / 2))
    work.note("info", `${name}: long delay of ${delay}ms (expected ${interval}ms) sending BFD control message`);
  const message = bfdMessage(s);
  work.transmissions.push(composeBfd(message));
  s.owesFinal = false;
  work.note("dbg", describe(s, message, "Sending BFD Message", now));
  s.lastTx = now;
  work.setNextTx();
}

/** When `runBfd` has something to do next. */
export function bfdDue(state: BfdState): number {
  if (state.owesFinal) return Number.NEGATIVE_INFINITY;
  return isAlive(state) ? Math.min(state.detectTime, state.nextTx, bfdDecayDue(state)) : state.nextTx;
}

/** When it is looked whether the link has other traffic than control packets; infinity: not at all. */
export function bfdDecayDue({ state, settings, decay }: BfdState): number {
  return state === "up" && settings.decayMinRxMs > 0 ? decay.due : Number.POSITIVE_INFINITY;
}

/** What is wrong with a message; undefined for one that counts. */
function fault(s: BfdState, { version, flags, length, mult, myDisc, yourDisc, state }: BfdMessage): string | undefined {
  if (version !== bfdVersion) return "Incorrect version";
  if ((flags & bfdFlag.auth) !== 0) return "Authenticated control message with authentication disabled";
  if (length < bfdPacketSize) return "Unexpected length";
  if (mult === 0) return "Zero multiplier";
  if ((flags & bfdFlag.multipoint) !== 0) return "Unsupported multipoint flag";
  if (myDisc === 0) return "NULL my_disc";
  if (yourDisc !== 0) return yourDisc === s.disc ? undefined : "Incorrect your_disc";
  return state === "init" || state === "up" ? "Null your_disc" : undefined;
}

/** A frame for this session came.  RFC 5880, section 6.8.6. */
export function receiveBfd(state: BfdState, frame: Uint8Array, around: BfdSurroundings): BfdStep {
  const work = new Work(state, around);
  const { s } = work;
  const packet = bfdOfFrame(frame);
  if (packet === undefined || packet.payload.length === 0) return work.finish();
  s.decay = { ...s.decay, controlPackets: s.decay.controlPackets + 1 };
  work.settleForwarding();
  if (packet.ttl !== bfdTtl) return work.finish();
  const message = parseBfd(packet.payload);
  const { name } = s.settings;
  if (message === undefined) {
    const size = `only ${packet.payload.length} bytes long, at least ${bfdPacketSize} required`;
    work.note("info", `${name}: Received too-short BFD control message (${size}).`);
    return work.finish();
  }
  work.note("dbg", describe(s, message, "Received BFD control message", around.now));
  const wrong = fault(s, message);
  if (wrong !== undefined) work.note("warn", describe(s, message, wrong, around.now));
  else {
    if (message.length > bfdPacketSize) work.note("warn", describe(s, message, "Unexpected length", around.now));
    takeTimes(work, message);
    takeState(work, message);
    if (s.settings.forwardingIfRx) s.demandRxUntil = around.now + 100 * s.settings.minRxMs;
  }
  work.settleForwarding();
  return work.finish();
}

/** What a message says of polls and times. */
function takeTimes(work: Work, message: BfdMessage): void {
  const { s } = work;
  const { now } = work.around;
  const { flags, mult } = message;
  const oldMult = s.remote.mult;
  s.remote = { ...s.remote, disc: message.myDisc, state: message.state, flags, diagnostic: message.diagnostic };
  if ((flags & bfdFlag.final) !== 0 && s.isPolling) {
    s.minTxMs = s.pollMinTxMs;
    s.minRxMs = s.pollMinRxMs;
    s.isPolling = false;
    work.note("info", describe(s, message, "Poll sequence terminated", now));
  }
  if ((flags & bfdFlag.poll) !== 0) {
    s.isPolling = false;
    s.owesFinal = true;
  }
  if (oldMult !== mult)
    work.note("info", `Interface ${s.settings.name} remote mult value ${oldMult} changed to ${mult}`);
  const minRxMs = Math.max(Math.floor(message.minRxUs / 1000), 1);
  const hasNewMinRx = minRxMs !== s.remote.minRxMs;
  s.remote = { ...s.remote, mult, minRxMs };
  if (hasNewMinRx) {
    if (s.nextTx !== 0) work.setNextTx();
    work.note("info", describe(s, message, "New remote min_rx", now));
  }
  s.remote = { ...s.remote, minTxMs: Math.max(Math.floor(message.minTxUs / 1000), 1) };
  s.detectTime = bfdRxIntervalMs(s) * mult + now;
}

/** What a message does to the session's state. */
function takeState(work: Work, message: BfdMessage): void {
  const { s } = work;
  const { state: remote } = message;
  const isRemoteAlive = remote === "init" || remote === "up";
  if (remote === "admin_down") {
    if (s.state !== "down") work.setState("down", bfdDiagnostic.remoteDown);
    return;
  }
  switch (s.state) {
    case "down":
      if (remote === "down") work.setState("init", s.diagnostic);
      else if (remote === "init") work.setState("up", s.diagnostic);
      return;
    case "init":
      if (isRemoteAlive) work.setState("up", s.diagnostic);
      return;
    case "up":
      if (isRemoteAlive) return;
      work.setState("down", bfdDiagnostic.remoteDown);
      work.note("info", describe(s, message, "Remote signaled STATE_DOWN", work.around.now));
      return;
    case "admin_down":
      return;
  }
}

/** Packets of any kind arrived. */
export function hearBfdTraffic(state: BfdState, around: BfdSurroundings): BfdStep {
  const work = new Work(state, around);
  if (!state.settings.forwardingIfRx) return work.finish();
  work.settleForwarding();
  work.hearTraffic();
  work.settleForwarding();
  return work.finish();
}

/** More control packets came, each as the last one. */
export function countBfd(state: BfdState, more: number): BfdState {
  return { ...state, decay: { ...state.decay, controlPackets: state.decay.controlPackets + more } };
}

/** Whether packets that are the same as the one that led from `before` to `after` will change nothing but times. */
export function isSteadyBfd(before: BfdState, after: BfdState): boolean {
  if (before.state !== "up" || after.state !== "up" || after.owesFinal || after.isPolling) return false;
  if ((after.remote.flags & (bfdFlag.poll | bfdFlag.final)) !== 0) return false;
  return (Object.keys(after.remote) as (keyof BfdRemote)[]).every((key) => before.remote[key] === after.remote[key]);
}

/** Brings `isForwarding` up to the present. */
export function settleBfd(state: BfdState, around: BfdSurroundings): BfdStep {
  const work = new Work(state, around);
  work.settleForwarding();
  return work.finish();
}

/** What an administrator says of the link. */
export function overrideBfd(state: BfdState, override: boolean | undefined): BfdState {
  return { ...state, override };
}

function describe(s: BfdState, message: BfdMessage, what: string, now: number): string {
  const hex = (value: number): string => `0x${value.toString(16)}`;
  const time = (us: number): string => `${us}us (${Math.floor(us / 1000)}ms)`;
  return (
    `${s.settings.name}: ${what}.` +
    `\n  vers:${message.version} diag:"${bfdDiagnosticText(message.diagnostic)}" state:${message.state}` +
    ` mult:${message.mult} length:${message.length}` +
    `\n  flags: ${bfdFlagsText(message.flags)}` +
    `\n  my_disc:${hex(message.myDisc)} your_disc:${hex(message.yourDisc)}` +
    `\n  min_tx:${time(message.minTxUs)}` +
    `\n  min_rx:${time(message.minRxUs)}` +
    `\n  min_rx_echo:${time(message.minRxEchoUs)}${formatBfd(s, now)}`
  );
}
