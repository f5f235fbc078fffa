/** What the commands of `sluice ofctl` are given. */
import type { OfctlRun } from "./ofctl-connection.js";

export interface SortKey {
  /** A match field, or "priority". */
  readonly field: string;
  readonly descending: boolean;
}

export interface OfctlOptions {
  readonly strict: boolean;
  readonly mayCreate: boolean;
  readonly stats: boolean;
  readonly json: boolean;
  /** Port names instead of numbers; undefined: only on a terminal.  Names are read unless this is false. */
  readonly names: boolean | undefined;
  readonly sort: SortKey | undefined;
}

export interface OfctlCall extends OfctlRun {
  /** The command's words; the first one is the switch. */
  readonly args: readonly string[];
  readonly options: OfctlOptions;
}

export interface OfctlRow {
  readonly name: string;
  readonly usage: string;
  readonly about: string;
  readonly minArgs: number;
  readonly maxArgs: number;
  /** Resolves to the exit status. */
  readonly run: (call: OfctlCall) => Promise<number>;
}
