import type { Logger } from "../log/index.js";
import { named, nameRank, noLimit, type Ofproto, visibleTables } from "../ofproto/index.js";
import { FlowSyntaxError, fieldByName, parseSubfield, subfieldMask } from "../openflow/index.js";

/** Rows of Flow_Table: what the database says of OpenFlow tables. */

interface TableRow {
  readonly name: string | undefined;
  readonly flow_limit: number | undefined;
  readonly overflow_policy: string | undefined;
  readonly groups: readonly string[];
  readonly prefixes: readonly string[];
}

const noGroups = new Uint8Array(0);

/** Bits by which rules are grouped for eviction.  What cannot be read is left out, and told. */
function evictionGroups(row: TableRow, where: string, log: Logger): Uint8Array {
  const subfields = row.groups.flatMap((text) => {
    try {
      return [parseSubfield(text)];
    } catch (error) {
      if (!(error instanceof FlowSyntaxError)) throw error;
      log.warn(`${where}: error parsing 'groups' (${error.message})`);
      return [];
    }
  });
  return subfields.length === 0 ? noGroups : subfieldMask(subfields);
}

/** Fields whose prefixes Open vSwitch can look up by. */
const prefixFields: ReadonlySet<string> = new Set([
  ...["tun_id", "tun_src", "tun_dst", "tun_ipv6_src", "tun_ipv6_dst"],
  ...["ip_src", "ip_dst", "ipv6_src", "ipv6_dst"],
]);

/** Prefixes are a hint for lookup, which needs none here.  What is no field of prefixes is told all the same. */
function checkPrefixes(row: TableRow, where: string, log: Logger): void {
  for (const name of row.prefixes) {
    if (name === "none") return;
    const field = fieldByName(name);
    if (field === undefined) log.warn(`${where}: 'prefixes' with unknown field: ${name}`);
    else if (!prefixFields.has(field.name)) log.warn(`${where}: 'prefixes' with incompatible field: ${name}`);
  }
}

/** Tables that have a row, or had one when it was looked last: the others are as they are without one. */
const withRows = new WeakMap<object, readonly number[]>();

/** `rows`: Bridge.flow_tables, by number of the table. */
export function configureTables<Id>(
  ofproto: Ofproto,
  rows: ReadonlyMap<number, Id>,
  find: (id: Id) => TableRow | undefined,
  log: Logger,
): void {
  const now = [...rows.keys()].filter((table) => table >= 0 && table < visibleTables);
  const tables = new Set([...(withRows.get(ofproto) ?? []), ...now]);
  withRows.set(ofproto, now);
  for (const table of [...tables].sort((one, other) => one - other)) {
    const id = rows.get(table);
    const row = id === undefined ? undefined : find(id);
    const where = `bridge ${ofproto.name} table ${table}`;
    if (row !== undefined) checkPrefixes(row, where, log);
    ofproto.changeTable(table, {
      ...named(ofproto.table(table), row?.name ?? "", nameOfDatabase(ofproto, table, row?.name)),
      maxFlows: row?.flow_limit === undefined ? noLimit : Math.min(row.flow_limit, noLimit),
      evictByDatabase: row?.overflow_policy === "evict",
      evictionGroups: row === undefined ? noGroups : evictionGroups(row, where, log),
    });
  }
}

/** A table that the database does not name keeps the name that a controller gave it. */
function nameOfDatabase(ofproto: Ofproto, table: number, name: string | undefined): number {
  const isFree = (name ?? "") === "" && ofproto.table(table).nameRank < nameRank.database;
  return isFree ? nameRank.none : nameRank.database;
}
