/** What a session of BFD is, and what follows from it at once.  Times are milliseconds on a monotonic clock.  Pure. */
import { type BfdSessionState, bfdFlag } from "./bfd-packet.js";

export interface BfdSettings {
  readonly name: string;
  readonly minTxMs: number;
  readonly minRxMs: number;
  /** 0: no decay. */
  readonly decayMinRxMs: number;
  readonly mult: number;
  readonly cpathDown: boolean;
  /** Count as forwarding while any packets arrive. */
  readonly forwardingIfRx: boolean;
}

export interface BfdState {
  readonly settings: BfdSettings;
  readonly disc: number;
  readonly state: BfdSessionState;
  readonly diagnostic: number;
  readonly isPolling: boolean;
  /** A packet with the final bit is due at once. */
  readonly owesFinal: boolean;
  readonly minTxMs: number;
  readonly minRxMs: number;
  /** What a poll sequence asks for. */
  readonly pollMinTxMs: number;
  readonly pollMinRxMs: number;
  readonly remote: BfdRemote;
  readonly lastTx: number;
  readonly nextTx: number;
  readonly detectTime: number;
  readonly isForwarding: boolean;
  readonly flaps: number;
  /** What an administrator says in place of `isForwarding`. */
  readonly override: boolean | undefined;
  /** Until when packets of any kind, and of BFD, make the link count as forwarding. */
  readonly rxUntil: number;
  readonly demandRxUntil: number;
  readonly decay: BfdDecay;
}

/** What the other end says. */
export interface BfdRemote {
  readonly state: BfdSessionState;
  readonly diagnostic: number;
  readonly flags: number;
  readonly disc: number;
  readonly mult: number;
  readonly minRxMs: number;
  readonly minTxMs: number;
}

/** A link without other traffic asks for fewer control packets. */
export interface BfdDecay {
  readonly isActive: boolean;
  /** Control packets since the last look, and packets of the device then. */
  readonly controlPackets: number;
  readonly rxPackets: number;
  /** When to look. */
  readonly due: number;
}

/** RFC 5880, section 6.8.3: while a session is not up. */
export const bfdSlowMs = 1000;

export function bfdMinTxMs(state: BfdState): number {
  return state.state === "up" ? state.minTxMs : Math.max(state.minTxMs, bfdSlowMs);
}

export function bfdTxIntervalMs(state: BfdState): number {
  return Math.max(bfdMinTxMs(state), state.remote.minRxMs);
}

export function bfdRxIntervalMs(state: BfdState): number {
  return Math.max(state.minRxMs, state.remote.minTxMs);
}

/** Local flags, of `bfdFlag`. */
export function bfdFlags(state: BfdState): number {
  return (state.isPolling ? bfdFlag.poll : 0) | (state.owesFinal ? bfdFlag.final : 0);
}

export function bfdForwards(state: BfdState): boolean {
  return state.override ?? state.isForwarding;
}
