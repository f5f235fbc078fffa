/** When to connect, probe and give up on a reliable OpenFlow connection, and whether the peer has admitted us.  No
 *  sockets and no clock in it: `now` is milliseconds on a monotonic clock.  Follows the rules of Open vSwitch's rconn
 *  and prints the same state names. */

export type RconnStateName = "VOID" | "BACKOFF" | "CONNECTING" | "ACTIVE" | "IDLE" | "DISCONNECTED";

export interface RconnTiming {
  /** Longest wait between attempts. */
  readonly maxBackoffMs: number;
  /** Silence after which an echo request is sent; 0 for never. */
  readonly probeMs: number;
}

export interface RconnState {
  readonly name: RconnStateName;
  /** When the state was entered. */
  readonly since: number;
  readonly backoffMs: number;
  /** A connection that still lives at this moment has proved itself: the next wait starts over at one second. */
  readonly backoffDeadline: number;
  readonly lastActivity: number;
  /** Undefined: never. */
  readonly lastConnected: number | undefined;
  readonly lastDisconnected: number | undefined;
  /** When the peer last did something that shows that it accepted us. */
  readonly lastAdmitted: number;
  readonly probablyAdmitted: boolean;
  /** Text of the last failure; undefined when nothing has failed yet. */
  readonly lastError: string | undefined;
}

/** What the owner of the socket has to do. */
export type RconnAction = "connect" | "probe" | "timeout" | undefined;

/** A remark for the log that goes with a transition. */
export interface RconnRemark {
  readonly level: "info" | "warn" | "err" | "debug";
  readonly text: string;
}

export interface RconnStep {
  readonly state: RconnState;
  readonly remarks: readonly RconnRemark[];
}

const second = 1000;
/** A connection that lasts this long counts as admitted, whatever the peer says. */
const admittedAfterMs = 30 * second;
/** No probe comes earlier than this, whatever is configured. */
export const probeMsMin = 5 * second;

/** The probe interval in force for a configured one. */
export function effectiveProbeMs(configuredMs: number): number {
  return configuredMs === 0 ? 0 : Math.max(probeMsMin, configuredMs);
}

/** A connection that nobody has asked for yet. */
export function voidRconn(now: number): RconnState {
  return {
    name: "VOID",
    since: now,
    backoffMs: 0,
    backoffDeadline: Number.NEGATIVE_INFINITY,
    lastActivity: now,
    lastConnected: undefined,
    lastDisconnected: undefined,
    lastAdmitted: now,
    probablyAdmitted: false,
    lastError: undefined,
  };
}

/** Whether a session is up. */
export function isConnected(state: RconnState): boolean {
  return state.name === "ACTIVE" || state.name === "IDLE";
}

/** Whether the peer has accepted the present session, as far as one can tell. */
export function isAdmitted(state: RconnState): boolean {
  return isConnected(state) && state.lastConnected !== undefined && state.lastAdmitted >= state.lastConnected;
}

/** For how long the controller has failed us; 0 while it serves us. */
export function failureMs(state: RconnState, now: number): number {
  return isAdmitted(state) ? 0 : now - state.lastAdmitted;
}

/** The owner begins an attempt. */
export function connecting(state: RconnState, now: number, timing: RconnTiming): RconnStep {
  return {
    state: { ...state, name: "CONNECTING", since: now, backoffDeadline: now + state.backoffMs },
    remarks: quiet(state, timing) ? [] : [{ level: "info", text: "connecting..." }],
  };
}

/** The session is up: both hellos agree. */
export function connected(state: RconnState, now: number): RconnStep {
  return {
    state: { ...state, name: "ACTIVE", since: now, lastConnected: now, lastActivity: state.lastActivity },
    remarks: [{ level: "info", text: "connected" }],
  };
}

/** Makes a state for a session that somebody else opened (a passive service), which is never opened again. */
export function accepted(now: number): RconnState {
  return { ...voidRconn(now), name: "ACTIVE", lastConnected: now };
}

/** A message came.  `admits`: it is of a kind that only a controller that accepts us sends. */
export function received(state: RconnState, admits: boolean, now: number): RconnState {
  const lasted = state.lastConnected !== undefined && now - state.lastConnected >= admittedAfterMs;
  const admitted = state.probablyAdmitted || admits || lasted;
  const active: RconnState = state.name === "IDLE" ? { ...state, name: "ACTIVE", since: now } : state;
  return {
    ...active,
    lastActivity: now,
    probablyAdmitted: admitted,
    lastAdmitted: admitted ? now : state.lastAdmitted,
  };
}

/** The owner sent the probe that `due` asked for. */
export function probed(state: RconnState, now: number): RconnStep {
  const idle = now - Math.max(state.lastActivity, state.since);
  return {
    state: { ...state, name: "IDLE", since: now },
    remarks: [{ level: "debug", text: `idle ${Math.floor(idle / second)} seconds, sending inactivity probe` }],
  };
}

/** The attempt or the session ended.  `error` undefined means that the peer closed it in order. */
export function disconnected(
  state: RconnState,
  error: string | undefined,
  now: number,
  timing: RconnTiming,
): RconnStep {
  if (state.name === "VOID" || state.name === "DISCONNECTED") return { state, remarks: [] };
  const remarks: RconnRemark[] = [];
  const wasConnecting = state.name === "CONNECTING";
  const deadline = wasConnecting ? Number.POSITIVE_INFINITY : state.backoffDeadline;
  let backoffMs: number;
  if (now >= deadline) {
    backoffMs = Math.min(second, timing.maxBackoffMs);
  } else if (state.backoffMs < timing.maxBackoffMs / 2) {
    backoffMs = Math.max(second, 2 * state.backoffMs);
    remarks.push({ level: "info", text: `waiting ${Math.floor(backoffMs / second)} seconds before reconnect` });
  } else {
    if (!quiet(state, timing)) {
      remarks.push({
        level: "info",
        text: "continuing to retry connections in the background but suppressing further logging",
      });
    }
    backoffMs = timing.maxBackoffMs;
  }
  return {
    state: {
      ...state,
      name: "BACKOFF",
      since: now,
      backoffMs,
      backoffDeadline: now + backoffMs,
      lastDisconnected: state.name === "BACKOFF" ? state.lastDisconnected : now,
      probablyAdmitted: false,
      lastError: error ?? "End of file",
    },
    remarks,
  };
}

/** Tries at once: a new connection, or one that is told to begin again. */
export function start(state: RconnState, now: number): RconnState {
  return { ...state, name: "BACKOFF", since: now, backoffMs: 0, backoffDeadline: now, probablyAdmitted: false };
}

/** What is due at `now`. */
export function due(state: RconnState, now: number, timing: RconnTiming): RconnAction {
  const at = deadline(state, timing);
  if (at === undefined || now < at) return undefined;
  switch (state.name) {
    case "BACKOFF":
      return "connect";
    case "ACTIVE":
      return "probe";
    default:
      return "timeout";
  }
}

/** When `due` will next have something to say; undefined for never. */
export function deadline(state: RconnState, timing: RconnTiming): number | undefined {
  switch (state.name) {
    case "BACKOFF":
      return state.since + state.backoffMs;
    case "CONNECTING":
      return state.since + Math.max(second, state.backoffMs);
    case "ACTIVE":
      return timing.probeMs === 0 ? undefined : Math.max(state.lastActivity, state.since) + timing.probeMs;
    case "IDLE":
      return timing.probeMs === 0 ? undefined : state.since + timing.probeMs;
    default:
      return undefined;
  }
}

/** Whether attempts go unlogged: the longest wait has been reached. */
function quiet(state: RconnState, timing: RconnTiming): boolean {
  return state.backoffMs >= timing.maxBackoffMs;
}
