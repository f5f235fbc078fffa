import { named, nameRank, noLimit, type Ofproto, visibleTables } from "../ofproto/index.js";

/** Rows of Flow_Table: what the database says of OpenFlow tables. */

interface TableRow {
  readonly name: string | undefined;
  readonly flow_limit: number | undefined;
  readonly overflow_policy: string | undefined;
}

/** `rows`: Bridge.flow_tables, by number of the table. */
export function configureTables<Id>(
  ofproto: Ofproto,
  rows: ReadonlyMap<number, Id>,
  find: (id: Id) => TableRow | undefined,
): void {
  for (let table = 0; table < visibleTables; table++) {
    const id = rows.get(table);
    const row = id === undefined ? undefined : find(id);
    ofproto.changeTable(table, {
      ...named(ofproto.table(table), row?.name ?? "", nameOfDatabase(ofproto, table, row?.name)),
      maxFlows: row?.flow_limit === undefined ? noLimit : Math.min(row.flow_limit, noLimit),
      evictByDatabase: row?.overflow_policy === "evict",
    });
  }
}

/** A table that the database does not name keeps the name that a controller gave it. */
function nameOfDatabase(ofproto: Ofproto, table: number, name: string | undefined): number {
  const isFree = (name ?? "") === "" && ofproto.table(table).nameRank < nameRank.database;
  return isFree ? nameRank.none : nameRank.database;
}
