/** What the database wants of a port's bond and of LACP.  Pure. */
import type { PortRow } from "../ovsdb/index.js";
import type { BondSettings, LacpMemberSettings, LacpSettings } from "../protocols/index.js";
import { type Mac, macBytes, parseMac } from "./bridge-address.js";
import { integer, truth } from "./config-values.js";

const wordMax = 0xffff;

/** Undefined without LACP. */
export function wantedLacp(
  row: PortRow,
  members: number,
  bridgeMac: Mac,
  warn: (text: string) => void,
): LacpSettings | undefined {
  if (row.lacp === undefined || row.lacp === "off") return undefined;
  const asked = row.other_config.get("lacp-system-id");
  const id = asked === undefined ? bridgeMac : parseMac(asked);
  if (id === undefined) {
    warn(`port ${row.name}: LACP system ID (${asked}) must be an Ethernet address.`);
    return undefined;
  }
  if (id === 0n) {
    warn(`port ${row.name}: Invalid zero LACP system ID.`);
    return undefined;
  }
  const priority = integer(row.other_config, "lacp-system-priority", 0);
  return {
    name: row.name,
    systemId: macBytes(id),
    // Links that can be aggregated are preferred by one.
    systemPriority: priority > 0 && priority <= wordMax ? priority : wordMax - (members > 1 ? 1 : 0),
    active: row.lacp === "active",
    fast: row.other_config.get("lacp-time")?.toLowerCase() === "fast",
    fallback: truth(row.other_config, "lacp-fallback-ab"),
  };
}

export function wantedLacpMember(
  name: string,
  config: ReadonlyMap<string, string> | undefined,
  ofport: number,
): LacpMemberSettings {
  const within = (key: string, fallback: number): number => {
    const value = integer(config, key, 0);
    return value > 0 && value <= wordMax ? value : fallback;
  };
  return {
    name,
    portId: within("lacp-port-id", ofport & wordMax),
    portPriority: within("lacp-port-priority", wordMax),
    key: within("lacp-aggregation-key", 0),
  };
}

const rebalanceMsDefault = 10_000;
const rebalanceMsMin = 1000;

/** 0 is never. */
function rebalanceMs(asked: number): number {
  return asked === 0 ? 0 : Math.max(asked, rebalanceMsMin);
}

const miimonMsDefault = 200;
/** Each look asks the kernel for every member. */
const miimonMsMin = 100;

/** How often the links of members are asked for; 0: they tell. */
export function wantedLookMs(row: PortRow, warn: (text: string) => void): number {
  const mode = row.other_config.get("bond-detect-mode");
  if (mode === undefined || mode === "carrier") return 0;
  if (mode !== "miimon") {
    warn(`port ${row.name}: unsupported bond-detect-mode ${mode}, defaulting to carrier`);
    return 0;
  }
  const asked = integer(row.other_config, "bond-miimon-interval", 0);
  return asked > 0 ? Math.max(asked, miimonMsMin) : miimonMsDefault;
}

export function wantedBond(row: PortRow): BondSettings {
  const mode = row.bond_mode ?? "active-backup";
  const fallback = truth(row.other_config, "lacp-fallback-ab");
  return {
    name: row.name,
    mode,
    updelayMs: Math.max(0, row.bond_updelay),
    downdelayMs: Math.max(0, row.bond_downdelay),
    basis: integer(row.other_config, "bond-hash-basis", 0),
    primary: mode === "active-backup" || fallback ? row.other_config.get("bond-primary") : undefined,
    fallback,
    rebalanceMs: rebalanceMs(integer(row.other_config, "bond-rebalance-interval", rebalanceMsDefault)),
    lbOutput: mode === "balance-tcp" && truth(row.other_config, "lb-output-action"),
    allMembersActive: mode === "balance-slb" && truth(row.other_config, "all-members-active"),
  };
}
