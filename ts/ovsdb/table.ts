/** Rows in memory.  Rows are immutable; changing one means putting another in its place. */
import type { Atom } from "./column-type.js";
import type { Datum } from "./datum.js";
import { datumJson } from "./datum.js";
import type { Json, JsonObject } from "./json.js";
import type { Column, Schema, TableSchema } from "./schema.js";
import type { Uuid } from "./uuid.js";
import { zeroUuid } from "./uuid.js";

export interface Row {
  readonly uuid: Uuid;
  /** By column index, `_uuid` and `_version` first. */
  readonly fields: readonly Datum[];
}

export interface Table {
  readonly schema: TableSchema;
  readonly rows: Map<Uuid, Row>;
  /** How many strong references there are to each row of this table that has any. */
  readonly strongRefs: Map<Uuid, number>;
  /** Which rows, of which table, refer weakly to each row of this table. */
  readonly weakRefs: Map<Uuid, Map<Uuid, Table>>;
  /** For each index of the schema, the row that has a key. */
  readonly indexes: readonly Map<string, Uuid>[];
}

export interface Database {
  schema: Schema;
  tables: ReadonlyMap<string, Table>;
}

export function makeTables(schema: Schema): ReadonlyMap<string, Table> {
  return new Map(
    [...schema.tables].map(([name, table]) => [
      name,
      {
        schema: table,
        rows: new Map(),
        strongRefs: new Map(),
        weakRefs: new Map(),
        indexes: table.indexes.map(() => new Map<string, Uuid>()),
      },
    ]),
  );
}

/** An empty database. */
export function makeDatabase(schema: Schema): Database {
  return { schema, tables: makeTables(schema) };
}

export function uuidDatum(uuid: Uuid): Datum {
  return { keys: [uuid], values: undefined };
}

/** A row with the default in every column. */
export function defaultRow(schema: TableSchema, uuid: Uuid): Row {
  const fields = schema.columnList.map((column) => column.default);
  fields[0] = uuidDatum(uuid);
  fields[1] = uuidDatum(zeroUuid);
  return { uuid, fields };
}

export function field(row: Row, column: Column): Datum {
  return row.fields[column.index] as Datum;
}

/** The row with some columns replaced. */
export function withFields(row: Row, changes: Iterable<readonly [Column, Datum]>): Row {
  const fields = [...row.fields];
  for (const [column, datum] of changes) {
    fields[column.index] = datum;
  }
  return { uuid: row.uuid, fields };
}

/** The row as a JSON object of these columns. */
export function rowJson(row: Row, columns: readonly Column[]): JsonObject {
  const json: Record<string, Json> = {};
  for (const column of columns) {
    json[column.name] = datumJson(field(row, column), column.type);
  }
  return json;
}

/** Text that is the same for two rows exactly when these columns are equal. */
export function rowKey(row: Row, columns: readonly Column[]): string {
  const atom = (a: Atom): Atom => (typeof a === "bigint" ? `${a}n` : a);
  return JSON.stringify(
    columns.map((column) => {
      const datum = field(row, column);
      return datum.values === undefined ? datum.keys.map(atom) : [datum.keys.map(atom), datum.values.map(atom)];
    }),
  );
}
