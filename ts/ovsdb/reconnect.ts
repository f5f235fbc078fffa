/** When to connect, probe and give up: no sockets and no clock in it.  `now` is milliseconds on a monotonic clock.
 *  Follows lib/reconnect.c of Open vSwitch, and prints the same state names. */

export type ReconnectState =
  | { readonly name: "VOID" }
  | { readonly name: "BACKOFF"; readonly since: number; readonly backoffMs: number; readonly until: number }
  | { readonly name: "CONNECTING"; readonly since: number; readonly backoffMs: number }
  | { readonly name: "ACTIVE"; readonly since: number; readonly backoffMs: number; readonly lastActivity: number }
  | {
      readonly name: "IDLE";
      readonly since: number;
      readonly backoffMs: number;
      readonly lastActivity: number;
      readonly probedAt: number;
    };

export interface ReconnectTiming {
  readonly backoffMsMin: number;
  readonly backoffMsMax: number;
  /** Silence after which a probe is sent; 0 for never. */
  readonly probeMs: number;
}

/** Times that Open vSwitch uses for a database connection. */
export const defaultTiming: ReconnectTiming = { backoffMsMin: 1000, backoffMsMax: 8000, probeMs: 5000 };

export type ReconnectAction = "connect" | "disconnect" | "probe" | undefined;

/** Nothing is tried until `enable`. */
export const voidState: ReconnectState = { name: "VOID" };

/** Starts trying, at once. */
export function enable(state: ReconnectState, now: number): ReconnectState {
  return state.name === "VOID" ? { name: "BACKOFF", since: now, backoffMs: 0, until: now } : state;
}

/** The caller began to connect. */
export function connecting(state: ReconnectState, now: number): ReconnectState {
  return { name: "CONNECTING", since: now, backoffMs: backoffOf(state) };
}

/** The connection is up. */
export function connected(state: ReconnectState, now: number): ReconnectState {
  return { name: "ACTIVE", since: now, backoffMs: backoffOf(state), lastActivity: now };
}

/** Something was received. */
export function activity(state: ReconnectState, now: number): ReconnectState {
  if (state.name === "IDLE") {
    return { name: "ACTIVE", since: now, backoffMs: state.backoffMs, lastActivity: now };
  }
  return state.name === "ACTIVE" ? { ...state, lastActivity: now } : state;
}

/** The caller sent a probe, as `due` asked. */
export function probed(state: ReconnectState, now: number): ReconnectState {
  return state.name === "ACTIVE" ? { ...state, name: "IDLE", since: now, probedAt: now } : state;
}

/** The connection broke or could not be made.  A connection that lasted longer than the current backoff starts over with
 *  the shortest one; else each failure doubles it. */
export function disconnected(state: ReconnectState, now: number, timing: ReconnectTiming): ReconnectState {
  if (state.name === "VOID" || state.name === "BACKOFF") {
    return state;
  }
  const lasted =
    state.name !== "CONNECTING" && state.lastActivity - state.since >= state.backoffMs && state.backoffMs > 0;
  const fresh = state.backoffMs === 0 || lasted;
  const backoffMs = fresh ? timing.backoffMsMin : Math.min(state.backoffMs * 2, timing.backoffMsMax);
  return { name: "BACKOFF", since: now, backoffMs, until: now + backoffMs };
}

/** Tries again without waiting, as if for the first time. */
export function force(state: ReconnectState, now: number): ReconnectState {
  return state.name === "VOID" ? state : { name: "BACKOFF", since: now, backoffMs: 0, until: now };
}

/** What is due at `now`. */
export function due(state: ReconnectState, now: number, timing: ReconnectTiming): ReconnectAction {
  const at = deadline(state, timing);
  if (at === undefined || now < at) {
    return undefined;
  }
  switch (state.name) {
    case "BACKOFF":
      return "connect";
    case "ACTIVE":
      return "probe";
    default:
      return "disconnect";
  }
}

/** When `due` will next have something to say; undefined for never. */
export function deadline(state: ReconnectState, timing: ReconnectTiming): number | undefined {
  switch (state.name) {
    case "VOID":
      return undefined;
    case "BACKOFF":
      return state.until;
    case "CONNECTING":
      return state.since + Math.max(1000, state.backoffMs, timing.backoffMsMin);
    case "ACTIVE":
      return timing.probeMs === 0 ? undefined : Math.max(state.since, state.lastActivity) + timing.probeMs;
    case "IDLE":
      return state.probedAt + timing.probeMs;
  }
}

function backoffOf(state: ReconnectState): number {
  return state.name === "VOID" ? 0 : state.backoffMs;
}
