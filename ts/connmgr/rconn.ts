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
  /** We open it and open it again; otherwise the peer opened it, and its end is the end. */
  readonly reliable: boolean;
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
    reliable: true,
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
    state: { ...state, name: "ACTIVE", since: now, lastConnected: now },
    remarks: [{ level: state.reliable ? "info" : "debug", text: "connected" }],
  };
}

/** A peer opened a stream to us; its hello has a second to come. */
export function accepted(now: number): RconnState {
  return { ...voidRconn(now), name: "CONNECTING", reliable: false };
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

/** Why an attempt or a session ended. */
export type RconnEnd =
  /** There never was a stream. */
  | { readonly cause: "refused"; readonly error: string }
  /** The stream broke, before or after the hellos. */
  | { readonly cause: "dropped"; readonly error: string }
  | { readonly cause: "closed" }
  /** What `due` called a timeout. */
  | { readonly cause: "timeout" }
  /** We want to begin anew. */
  | { readonly cause: "restart" };

/** The attempt or the session ended. */
export function disconnected(state: RconnState, end: RconnEnd, now: number, timing: RconnTiming): RconnStep {
  if (state.name === "VOID" || state.name === "DISCONNECTED") return { state, remarks: [] };
  const remarks = endRemarks(state, end, now, timing);
  const over = {
    ...state,
    since: now,
    // Where there was no stream, nothing was disconnected.
    lastDisconnected: end.cause === "refused" ? state.lastDisconnected : now,
    probablyAdmitted: false,
    lastError: lastError(end),
  };
  if (!state.reliable) return { state: { ...over, name: "DISCONNECTED" }, remarks };
  const attemptFailed = end.cause === "refused" || (end.cause === "timeout" && state.name === "CONNECTING");
  const { backoffMs, remark } = nextBackoff(state, attemptFailed, now, timing);
  if (remark !== undefined) remarks.push(remark);
  return { state: { ...over, name: "BACKOFF", backoffMs, backoffDeadline: now + backoffMs }, remarks };
}

function lastError(end: RconnEnd): string | undefined {
  switch (end.cause) {
    case "refused":
    case "dropped":
      return end.error;
    case "closed":
      return "End of file";
    case "timeout":
      return "Connection timed out";
    case "restart":
      return undefined;
  }
}

function endRemarks(state: RconnState, end: RconnEnd, now: number, timing: RconnTiming): RconnRemark[] {
  switch (end.cause) {
    case "refused":
      return [{ level: "warn", text: `connection failed (${end.error})` }];
    case "dropped":
      return [{ level: "warn", text: `connection dropped (${end.error})` }];
    case "closed":
      return [{ level: state.reliable ? "info" : "debug", text: "connection closed by peer" }];
    case "timeout": {
      if (state.name !== "CONNECTING") {
        const seconds = Math.floor((now - state.since) / second);
        return [{ level: "err", text: `no response to inactivity probe after ${seconds} seconds, disconnecting` }];
      }
      return quiet(state, timing) ? [] : [{ level: "info", text: "connection timed out" }];
    }
    case "restart":
      return [{ level: "info", text: "disconnecting" }];
  }
}

/** A session that outlived its deadline proved itself, so that the next wait starts over at one second. */
function nextBackoff(
  state: RconnState,
  attemptFailed: boolean,
  now: number,
  timing: RconnTiming,
): { readonly backoffMs: number; readonly remark: RconnRemark | undefined } {
  if (!attemptFailed && now >= state.backoffDeadline) return { backoffMs: second, remark: undefined };
  if (state.backoffMs < timing.maxBackoffMs / 2) {
    const backoffMs = Math.max(second, 2 * state.backoffMs);
    return {
      backoffMs,
      remark: { level: "info", text: `waiting ${Math.floor(backoffMs / second)} seconds before reconnect` },
    };
  }
  const text = "continuing to retry connections in the background but suppressing further logging";
  return { backoffMs: timing.maxBackoffMs, remark: quiet(state, timing) ? undefined : { level: "info", text } };
}

/** The longest wait has become shorter. */
export function shortened(state: RconnState, timing: RconnTiming): RconnState {
  return state.backoffMs <= timing.maxBackoffMs ? state : { ...state, backoffMs: timing.maxBackoffMs };
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
  return state.reliable && state.backoffMs >= timing.maxBackoffMs;
}
