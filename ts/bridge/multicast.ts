/** How a bridge treats multicast, as its row says.  Pure. */

import type { Multicast } from "../ofproto/index.js";
import type { BridgeRow } from "../ovsdb/index.js";
import { integer, truth } from "./config-values.js";

/** An integer of other_config, kept within the bounds as Open vSwitch keeps it: what is negative is taken for very much, and
 *  0, or no integer, for the default. */
function bounded(row: BridgeRow, key: string, fallback: number, min: number, max: number): number {
  const value = integer(row.other_config, key, 0);
  if (value === 0) return fallback;
  return value < 0 ? max : Math.min(Math.max(value, min), max);
}

export function wantedMulticast(row: BridgeRow): Multicast {
  return {
    snooping: row.mcast_snooping_enable,
    agingS: bounded(row, "mcast-snooping-aging-time", 300, 15, 3600),
    tableSize: bounded(row, "mcast-snooping-table-size", 2048, 10, 1_000_000),
    floodUnregistered: !truth(row.other_config, "mcast-snooping-disable-flood-unregistered"),
  };
}
