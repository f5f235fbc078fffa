/** Counters of events worth counting, for `coverage/show`.  A room takes a `Coverage` when it is made (default:
 *  `uncounted`) and calls `count` with a name of its own; names are Open vSwitch's where it counts the same thing. */
export interface Coverage {
  /** Makes a counter known at zero, so that `coverage/read-counter` finds it before it first moves. */
  declare(...names: readonly string[]): void;
  count(name: string, by?: number): void;
}

export const uncounted: Coverage = { declare: () => {}, count: () => {} };

/** What a room has in use, for `memory/show`: keys such as `ports` or `rules`.  Zeros are left out when printed, and the
 *  same key from several rooms is added up. */
export type MemoryUsage = () => Readonly<Record<string, number>>;
