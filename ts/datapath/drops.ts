import { counters, type QueryTarget } from "./queries.js";
import { constantSets } from "./tables/constants.js";

/** Packets of one port that were dropped for one reason. */
export interface DropCount {
  /** That dropped it, or by which it came; 0: none, or one that is gone. */
  readonly dpPort: number;
  /** `port`: receiving or sending it failed; `packet`: the way through the switch ended. */
  readonly kind: "port" | "packet";
  /** A name of the tables of port_drop and drop_reason. */
  readonly reason: string;
  readonly packets: bigint;
}

/** What becomes of packets besides: packets received and injected, and copies, are those that were sent, dropped or
 *  consumed.  (A port counts a packet that it drops as received only if the drop is for policing.) */
export interface PacketAccounts {
  readonly injected: bigint;
  readonly copied: bigint;
  readonly consumed: bigint;
}

export interface Drops {
  readonly drops: readonly DropCount[];
  readonly accounts: PacketAccounts;
}

/** Where each set begins in the ids of counters. */
const portBase = 0x20000;
const coverageBase = 0x10000;

function namesOf(prefix: string): ReadonlyMap<number, string> {
  const set = constantSets.find((each) => each.prefix === prefix);
  return new Map((set?.rows ?? []).map((row) => [Number(row.value), row.name]));
}

const portNames = namesOf("port_drop");
const packetNames = namesOf("drop_reason");
const coverageNames = namesOf("coverage");

/** Every drop of the datapath so far, by port and reason, in the order of the ports. */
export function drops(target: QueryTarget): Drops {
  const found: DropCount[] = [];
  const accounts = new Map<string | undefined, bigint>();
  for (const { id, dpPort, value } of counters(target)) {
    const kind = id >= portBase ? "port" : "packet";
    if (id >= coverageBase && id < portBase) accounts.set(coverageNames.get(id - coverageBase), value);
    else {
      const reason = kind === "port" ? portNames.get(id - portBase) : packetNames.get(id);
      found.push({ dpPort, kind, reason: reason ?? `reason_${id}`, packets: value });
    }
  }
  const account = (name: string): bigint => accounts.get(name) ?? 0n;
  return {
    drops: found.sort((a, b) => a.dpPort - b.dpPort),
    accounts: {
      injected: account("packet_injected"),
      copied: account("packet_copied"),
      consumed: account("packet_consumed"),
    },
  };
}
