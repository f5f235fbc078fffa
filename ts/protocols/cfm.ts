/** CFM (802.1ag continuity checks) for one link: no sockets and no clock in it.  `now` is milliseconds on a monotonic
 *  clock.  Messages are sent at a fixed interval; three and a half intervals apart, a look at what came says whether there
 *  is a fault.
 *
 *  Functions take a state and return a new one, with the messages to send. */
import { type Ccm, composeCcm, parseCcm } from "./cfm-packet.js";
import { type CfmRemote, type CfmSettings, type CfmState, cfmFault, cfmFaultNames, cfmInterval } from "./cfm-state.js";

export interface CfmSurroundings {
  readonly now: number;
  /** Packets that the device has received. */
  readonly rxPackets: () => number;
}

export interface CfmNote {
  readonly level: "dbg" | "info" | "warn";
  readonly text: string;
}

export interface CfmStep {
  readonly state: CfmState;
  readonly transmissions: readonly Uint8Array[];
  readonly notes: readonly CfmNote[];
}

/** Looks between two times that health is worked out. */
const healthLooks = 6;
const remotesMax = 256;
const mpidMax = 8191n;
/** Counters of devices are not up to date sooner. */
const demandMsMin = 500;

/** Whether CFM can be run like that. */
export function isValidCfm({ mpid, extended }: CfmSettings): boolean {
  return mpid >= 1n && (extended || mpid <= mpidMax);
}

export function configureCfm(before: CfmState | undefined, settings: CfmSettings, around: CfmSurroundings): CfmState {
  const [interval, intervalMs] = cfmInterval(settings.intervalMs, settings.extended);
  const demand = settings.extended && settings.demand;
  const old = before ?? newState(settings);
  const hadDemand = before?.settings.demand === true;
  const next = {
    ...old,
    settings: { ...settings, demand },
    interval,
    intervalMs,
    rxPackets: demand && !hadDemand ? around.rxPackets() : old.rxPackets,
  };
  if (interval === old.interval && intervalMs === old.intervalMs) return next;
  return { ...next, nextTx: around.now, lookDue: around.now + lookMs(next) };
}

function newState(settings: CfmSettings): CfmState {
  return {
    settings,
    interval: 0,
    intervalMs: 0,
    isBooted: false,
    fault: 0,
    nextFault: 0,
    remoteOpup: true,
    override: undefined,
    seq: 0,
    lastTx: 0,
    nextTx: 0,
    lookDue: 0,
    remotes: [],
    heard: [],
    health: undefined,
    looksSinceHealth: 0,
    flaps: 0,
    rxPackets: 0,
    demandUntil: 0,
  };
}

function lookMs({ intervalMs, settings }: CfmState): number {
  return Math.floor((Math.max(intervalMs, settings.demand ? demandMsMin : intervalMs) * 7) / 2);
}

/** The message that is sent next. */
export function nextCcm(state: CfmState): Ccm {
  const { settings, interval, intervalMs } = state;
  return {
    seq: (state.seq + 1) >>> 0,
    mpid: settings.mpid,
    interval,
    intervalMs: interval === 0 ? intervalMs : 0,
    rdi: state.isBooted && state.remotes.length === 0,
    opdown: settings.extended && !settings.opup,
  };
}

/** Sends what is due, and looks at what has come. */
export function runCfm(before: CfmState, around: CfmSurroundings): CfmStep {
  const { now } = around;
  const notes: CfmNote[] = [];
  const transmissions: Uint8Array[] = [];
  let state = before;
  if (now >= state.nextTx) {
    const ccm = nextCcm(state);
    const delay = now - state.lastTx;
    if (state.lastTx !== 0 && delay > Math.floor((state.intervalMs * 3) / 2)) {
      const expected = `expected ${state.intervalMs}ms`;
      const text = `${state.settings.name}: long delay of ${delay}ms (${expected}) sending CCM seq ${ccm.seq}`;
      notes.push({ level: "info", text });
    }
    transmissions.push(composeCcm(ccm, state.settings.extended));
    state = { ...state, seq: ccm.seq, lastTx: now, nextTx: now + state.intervalMs };
  }
  if (now >= state.lookDue) state = look(state, around, notes);
  return { state, transmissions, notes };
}

export function cfmDue(state: CfmState): number {
  return Math.min(state.nextTx, state.lookDue);
}

/** A fault interval is over. */
function look(state: CfmState, around: CfmSurroundings, notes: CfmNote[]): CfmState {
  const { settings } = state;
  const { now } = around;
  const measured = measureHealth(state);
  const rxPackets = settings.demand ? around.rxPackets() : state.rxPackets;
  const isExcused =
    settings.demand && state.remotes.length === 1 && rxPackets > state.rxPackets && now < state.demandUntil;
  const remotes: CfmRemote[] = [];
  const heard = measured.remotes.filter(({ isHeard }) => isHeard);
  for (const remote of measured.remotes) {
    if (remote.isHeard) remotes.push({ ...remote, isHeard: false });
    else {
      const text = `${settings.name}: Received no CCM from RMP ${remote.mpid} in the last ${now - remote.lastRx}ms`;
      notes.push({ level: "info", text });
      if (isExcused) remotes.push(remote);
    }
  }
  const fault = state.nextFault | (remotes.length === 0 ? cfmFault.recv : 0);
  if (fault !== state.fault) {
    const names = (faults: number): string => `[${cfmFaultNames(faults).join(" ")}]`;
    const text = `${settings.name}: CFM faults changed from ${names(state.fault)} to ${names(fault)}.`;
    notes.push({ level: "info", text });
  }
  notes.push({ level: "dbg", text: `${settings.name}: new fault interval` });
  const isFlap = fault !== state.fault && (fault === 0 || state.fault === 0);
  return {
    ...measured,
    fault,
    nextFault: 0,
    remotes,
    heard: heard.map(({ mpid }) => mpid),
    remoteOpup: heard.length === 0 ? state.remoteOpup : heard.every(({ opup }) => opup),
    flaps: state.flaps + (isFlap ? 1 : 0),
    rxPackets,
    isBooted: true,
    lookDue: now + lookMs(state),
  };
}

/** Every sixth look, which share of the messages of the only maintenance point came. */
function measureHealth(state: CfmState): CfmState {
  if (state.looksSinceHealth !== healthLooks) return { ...state, looksSinceHealth: state.looksSinceHealth + 1 };
  const [only, ...others] = state.remotes;
  const fresh = { ...state, looksSinceHealth: 1 };
  if (only === undefined) return { ...fresh, health: 0 };
  if (others.length > 0) return { ...fresh, health: undefined };
  const expected = Math.floor((healthLooks * 7) / 2);
  const health = Math.min(100, Math.floor((only.healthy * 100) / expected));
  return { ...fresh, health, remotes: [{ ...only, healthy: 0 }] };
}

/** A message came; `bytes` is what follows the Ethernet header of its frame, and `source` the address it came from. */
export function receiveCcm(state: CfmState, bytes: Uint8Array, source: string, around: CfmSurroundings): CfmStep {
  const { settings } = state;
  const { name } = settings;
  const notes: CfmNote[] = [];
  const note = (level: CfmNote["level"], text: string): void => {
    notes.push({ level, text: `${name}: ${text}` });
  };
  const ccm = parseCcm(bytes, settings.extended);
  if (ccm === "unparsable") note("info", "Received an unparseable 802.1ag CCM heartbeat.");
  else if (ccm === "otherMaid") {
    note("warn", `Received unexpected remote MAID from MAC ${source}`);
    return { state: { ...state, nextFault: state.nextFault | cfmFault.maid }, transmissions: [], notes };
  } else if ("opcode" in ccm) note("info", `Received an unsupported 802.1ag message. (opcode ${ccm.opcode})`);
  else return { state: take(state, ccm, source, around.now, note), transmissions: [], notes };
  return { state, transmissions: [], notes };
}

function take(
  state: CfmState,
  ccm: Ccm,
  source: string,
  now: number,
  note: (level: CfmNote["level"], text: string) => void,
): CfmState {
  const { settings } = state;
  const { mpid, seq, interval } = ccm;
  if (interval !== state.interval)
    note("warn", `received a CCM with an unexpected interval (${interval}) from RMP ${mpid}`);
  if (settings.extended && interval === 0 && ccm.intervalMs !== state.intervalMs)
    note("warn", `received a CCM with an unexpected extended interval (${ccm.intervalMs}ms) from RMP ${mpid}`);
  const known = state.remotes.find((remote) => remote.mpid === mpid);
  const hasRoom = known !== undefined || state.remotes.length < remotesMax;
  let fault = 0;
  if (!hasRoom) {
    fault |= cfmFault.overflow;
    note("warn", `dropped CCM with MPID ${mpid} from MAC ${source}`);
  }
  if (ccm.rdi) {
    fault |= cfmFault.rdi;
    note("dbg", `RDI bit flagged from RMP ${mpid}`);
  }
  note("dbg", `received CCM (seq ${seq}) (mpid ${mpid}) (interval ${interval}) (RDI ${ccm.rdi})`);
  // As Open vSwitch, what does not fit is only warned of.
  if (!hasRoom) return state;
  // Our own number is noticed from its second message on.
  if (known !== undefined && mpid === settings.mpid) {
    fault |= cfmFault.loopback;
    note("warn", `received CCM with local MPID ${mpid}`);
  }
  if (known !== undefined && known.seq !== 0 && seq !== (known.seq + 1) >>> 0) {
    const between = `(previous ${known.seq}) (current ${seq})`;
    const text = `detected sequence numbers which indicate possible connectivity problems ${between}`;
    note("warn", `(mpid ${mpid}) ${text}`);
  }
  const healthy = (known?.healthy ?? 0) + (fault === 0 ? 1 : 0);
  const remote: CfmRemote = { mpid, isHeard: true, opup: !ccm.opdown, seq, healthy, lastRx: now };
  const others = state.remotes.filter((each) => each !== known);
  return {
    ...state,
    nextFault: state.nextFault | fault,
    remotes: [...others, remote].sort((a, b) => (a.mpid < b.mpid ? -1 : 1)),
    demandUntil: fault === 0 && settings.demand ? now + 100 * state.intervalMs : state.demandUntil,
  };
}

/** Of the only maintenance point more messages came, each as the last one, up to the one before `seq`. */
export function skipCcms(state: CfmState, seq: number, more: number): CfmState {
  const remotes = state.remotes.map((remote) => ({
    ...remote,
    seq: (seq - 1) >>> 0,
    healthy: remote.healthy + more,
  }));
  return { ...state, remotes };
}

/** What an administrator says of the link. */
export function overrideCfm(state: CfmState, override: boolean | undefined): CfmState {
  return { ...state, override };
}
