import { settingsFlag } from "../datapath/generated/records.js";
import { BatchBuilder } from "../datapath/index.js";
import type { FlowDatapath } from "./abi-batch.js";

/** Settings of the datapath as a whole.  The ABI takes them all at once, and they come from several places: columns of
 *  the database, commands, log levels.  They meet here. */
export interface Settings {
  /** Megaflows at most. */
  readonly flowLimit: number;
  readonly maxIdleMs: number;
  /** VLAN tags that are looked at: 0, for all that the datapath knows, 1 or 2. */
  readonly vlanLimit: number;
  /** Megaflows may cover more than one flow. */
  readonly megaflows: boolean;
  /** Misses and changes of megaflows are told as events. */
  readonly tell: boolean;
  /** Nothing is forwarded and no rule expires, because flows are still being restored. */
  readonly hold: boolean;
}

export const defaultSettings: Settings = {
  flowLimit: 200_000,
  maxIdleMs: 10_000,
  vlanLimit: 0,
  megaflows: true,
  tell: false,
  hold: false,
};

export class DatapathSettings {
  readonly #datapath: FlowDatapath;
  #now = defaultSettings;

  constructor(datapath: FlowDatapath) {
    this.#datapath = datapath;
  }

  get now(): Settings {
    return this.#now;
  }

  /** Changes what is given, and returns whether that is a change. */
  change(wanted: Partial<Settings>): boolean {
    const next = { ...this.#now, ...wanted };
    if (JSON.stringify(next) === JSON.stringify(this.#now)) return false;
    this.#now = next;
    new BatchBuilder()
      .settings({
        flowLimit: next.flowLimit,
        maxIdleMs: next.maxIdleMs,
        vlanLimit: next.vlanLimit,
        settingsFlags:
          (next.megaflows ? 0 : settingsFlag.exactMegaflows) |
          (next.tell ? settingsFlag.tellMegaflows : 0) |
          (next.hold ? settingsFlag.hold : 0),
      })
      .commit(this.#datapath);
    return true;
  }
}
