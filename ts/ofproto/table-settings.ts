import { miss } from "../datapath/generated/records.js";
import type { TableDescription } from "../openflow/message.js";

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
  /** Bits of the key that tell groups of rules apart, as the masks of an ABI match: the largest group gives up a rule
   *  first.  Empty: there is one group. */
  readonly evictionGroups: Uint8Array;
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
  evictionGroups: new Uint8Array(0),
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

/** OFPTC of OpenFlow 1.4. */
export const tableConfig = { eviction: 4, vacancyEvents: 8 } as const;

/** As OpenFlow 1.4 tells it. */
export function describeTable(table: TableSettings, tableId: number, flowCount: number): TableDescription {
  const tellsVacancy = table.vacancyReason !== 0;
  return {
    tableId,
    config: (table.evictByController ? tableConfig.eviction : 0) | (tellsVacancy ? tableConfig.vacancyEvents : 0),
    vacancy: tellsVacancy
      ? { down: table.vacancyDown, up: table.vacancyUp, now: vacancy(table, flowCount) }
      : undefined,
  };
}
