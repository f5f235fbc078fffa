import { miss } from "../datapath/generated/records.js";

/** How an OpenFlow table behaves, as the database and controllers have it.  Pure. */

/** Who gave a table its name: whoever ranks higher keeps it. */
export const nameRank = { none: 0, controller: 1, database: 2 } as const;
/** OFPTR: what a vacancy event waits for. */
export const vacancyReason = { down: 3, up: 4 } as const;
/** "No limit" in the datapath's records, and what OpenFlow calls it. */
export const noLimit = 0xffffffff;
const maxEntriesUnlimited = 1_000_000;

export interface TableSettings {
  /** ABI `miss`: what happens to a packet that no rule matches. */
  readonly miss: number;
  readonly maxFlows: number;
  /** A full table makes room for a new flow: because the database says so, or a controller. */
  readonly evictByDatabase: boolean;
  readonly evictByController: boolean;
  readonly name: string;
  readonly nameRank: number;
  /** Percentages of free room below and above which a controller wants to know; reason 0 for never. */
  readonly vacancyDown: number;
  readonly vacancyUp: number;
  readonly vacancyReason: number;
}

export const defaultTable: TableSettings = {
  miss: miss.default,
  maxFlows: noLimit,
  evictByDatabase: false,
  evictByController: false,
  name: "",
  nameRank: nameRank.none,
  vacancyDown: 0,
  vacancyUp: 0,
  vacancyReason: 0,
};

const nameSizeMax = 31;

/** Whether a name of that rank may be given. */
export function mayName(table: TableSettings, name: string, rank: number): boolean {
  return rank >= table.nameRank || name === table.name;
}

/** The change that gives the name; an empty one takes it away. */
export function named(table: TableSettings, name: string, rank: number): Partial<TableSettings> {
  if (rank < table.nameRank) return {};
  const cut = name.slice(0, nameSizeMax);
  return { name: cut, nameRank: cut === "" ? nameRank.none : rank };
}

/** max_entries of OpenFlow. */
export function maxEntries(table: TableSettings): number {
  return table.maxFlows === noLimit ? maxEntriesUnlimited : table.maxFlows;
}

/** Percentage of the table that is free. */
export function vacancy(table: TableSettings, flowCount: number): number {
  if (table.maxFlows === 0) return 100;
  return flowCount >= table.maxFlows ? 0 : Math.trunc(((table.maxFlows - flowCount) * 100) / table.maxFlows);
}
