/** What CFM knows of a link.  Times are milliseconds on a monotonic clock.  Pure. */

/** In the order that they are shown in. */
export const cfmFault = { recv: 1, rdi: 2, maid: 4, loopback: 8, overflow: 16, override: 32 } as const;

export interface CfmSettings {
  readonly name: string;
  readonly mpid: bigint;
  /** What is wanted; `cfmInterval` says what becomes of it. */
  readonly intervalMs: number;
  readonly extended: boolean;
  /** Any packets count as long as some of CFM come. */
  readonly demand: boolean;
  readonly opup: boolean;
  readonly vlan: number | "random";
  readonly pcp: number;
}

/** A maintenance point at the other end. */
export interface CfmRemote {
  readonly mpid: bigint;
  /** A message came since the last look. */
  readonly isHeard: boolean;
  readonly opup: boolean;
  readonly seq: number;
  /** Good messages since health was last worked out. */
  readonly healthy: number;
  readonly lastRx: number;
}

export interface CfmState {
  readonly settings: CfmSettings;
  /** Number on the wire, or 0. */
  readonly interval: number;
  readonly intervalMs: number;
  /** There was a look at what had come. */
  readonly isBooted: boolean;
  /** Of `cfmFault`; and those of messages since the last look. */
  readonly fault: number;
  readonly nextFault: number;
  readonly remoteOpup: boolean;
  /** What an administrator says in place of `fault`. */
  readonly override: boolean | undefined;
  readonly seq: number;
  readonly lastTx: number;
  readonly nextTx: number;
  readonly lookDue: number;
  readonly remotes: readonly CfmRemote[];
  /** Those that were heard at the last look. */
  readonly heard: readonly bigint[];
  /** Percentage of messages that came; undefined: not known, or of several maintenance points. */
  readonly health: number | undefined;
  readonly looksSinceHealth: number;
  readonly flaps: number;
  readonly rxPackets: number;
  readonly demandUntil: number;
}

/** By number on the wire. */
const intervals = [0, 3, 10, 100, 1000, 10_000, 60_000, 600_000];
const intervalMsMax = 0xffff;

/** The interval that is used when one is asked for: the next shorter one there is; any in extended mode. */
export function cfmInterval(askedMs: number, isExtended: boolean): readonly [number: number, ms: number] {
  const number = Math.max(
    1,
    intervals.findLastIndex((ms) => ms <= askedMs),
  );
  const ms = intervals[number] ?? 0;
  return isExtended && ms !== askedMs ? [0, Math.min(askedMs, intervalMsMax)] : [number, ms];
}

/** Faults there are, an administrator's word first. */
export function cfmFaults(state: CfmState): number {
  return state.override === undefined ? state.fault : state.override ? cfmFault.override : 0;
}

/** Undefined where nobody says. */
export function cfmRemoteOpup(state: CfmState): boolean | undefined {
  return state.settings.extended ? state.remoteOpup : undefined;
}

export function cfmLinkWorks(state: CfmState): boolean {
  return cfmFaults(state) === 0 && cfmRemoteOpup(state) !== false;
}

export function cfmFaultNames(faults: number): readonly string[] {
  return Object.entries(cfmFault).flatMap(([name, bit]) => ((faults & bit) === 0 ? [] : [name]));
}
