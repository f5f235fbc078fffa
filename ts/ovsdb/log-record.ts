/** Transactions as records of a database file, and back. */
import type { Datum } from "./datum.js";
import { applyDifference, datumJson, difference, equalDatums, parseDatum } from "./datum.js";
import { OvsdbError } from "./error.js";
import type { Json, JsonObject } from "./json.js";
import { isObject } from "./json.js";
import type { Column, TableSchema } from "./schema.js";
import type { Database, Row } from "./table.js";
import { defaultRow, field, withFields } from "./table.js";
import type { Effects, RowEffect } from "./transaction.js";
import { Transaction } from "./transaction.js";
import type { Uuid, UuidSource } from "./uuid.js";
import { isUuid } from "./uuid.js";

function storedColumns(table: TableSchema): readonly Column[] {
  return table.columnList.filter((column) => column.persistent && column.name !== "_uuid");
}

/** What the file says of one row: undefined for nothing, null for a deletion. */
function rowRecord({ table, before, after }: RowEffect): JsonObject | null | undefined {
  if (after === undefined) {
    return null;
  }
  const json: Record<string, Json> = {};
  for (const column of storedColumns(table.schema)) {
    const now = field(after, column);
    const earlier = before === undefined ? column.default : field(before, column);
    if (!equalDatums(now, earlier)) {
      json[column.name] = datumJson(before === undefined ? now : difference(earlier, now, column.type), column.type);
    }
  }
  return before !== undefined && Object.keys(json).length === 0 ? undefined : json;
}

/** The record of a transaction, or undefined when it changed nothing that is stored.
 *  Columns of more than one element are written as what comes and goes, which keeps records of large sets small. */
export function transactionRecord(effects: Effects, dateMs: number, comment: string): JsonObject | undefined {
  const record: Record<string, Json> = {};
  for (const [table, rows] of effects) {
    const json: Record<string, Json> = {};
    for (const [uuid, effect] of rows) {
      const row = rowRecord(effect);
      if (row !== undefined) {
        json[uuid] = row;
      }
    }
    if (Object.keys(json).length > 0) {
      record[table.schema.name] = json;
    }
  }
  if (Object.keys(record).length === 0) {
    return undefined;
  }
  if (comment !== "") {
    record["_comment"] = comment;
  }
  record["_date"] = dateMs;
  record["_is_diff"] = true;
  return record;
}

/** One record that makes the whole contents, as compaction writes it. */
export function snapshotRecord(database: Database, dateMs: number, comment: string): JsonObject {
  const record: Record<string, Json> = {};
  for (const [name, table] of database.tables) {
    const rows: [Uuid, Json][] = [];
    for (const row of table.rows.values()) {
      rows.push([row.uuid, rowRecord({ table, before: undefined, after: row }) as JsonObject]);
    }
    if (rows.length > 0) {
      record[name] = Object.fromEntries(rows);
    }
  }
  record["_comment"] = comment;
  record["_date"] = dateMs;
  return record;
}

/** Rows by table name, read from the records of a file. */
export class Replay {
  private readonly tables = new Map<string, Map<Uuid, Row>>();

  constructor(private readonly database: Database) {}

  /** Applies one record.
   *  @throws OvsdbError when it does not fit the schema */
  apply(record: JsonObject): void {
    const isDiff = record["_is_diff"] === true;
    for (const [name, rows] of Object.entries(record)) {
      const table = this.database.tables.get(name);
      if (table === undefined) {
        if (name.startsWith("_")) {
          continue;
        }
        throw new OvsdbError("unknown table", `No table named ${name}.`);
      }
      if (!isObject(rows)) {
        throw new OvsdbError("syntax error", "object expected");
      }
      this.applyTable(table.schema, rows, isDiff);
    }
  }

  private applyTable(schema: TableSchema, json: JsonObject, isDiff: boolean): void {
    const rows = this.tables.get(schema.name) ?? new Map<Uuid, Row>();
    this.tables.set(schema.name, rows);
    for (const [uuid, change] of Object.entries(json)) {
      if (!isUuid(uuid)) {
        throw new OvsdbError("syntax error", `"${uuid}" is not a valid UUID`);
      }
      const row = rows.get(uuid);
      if (isObject(change)) {
        rows.set(uuid, changedRow(schema, row ?? defaultRow(schema, uuid), change, isDiff && row !== undefined));
      } else if (change === null && row !== undefined) {
        rows.delete(uuid);
      } else {
        throw new OvsdbError("syntax error", `Row ${uuid} is changed or deleted but does not exist.`);
      }
    }
  }

  /** Puts the rows into the database, which must be empty.
   *  @throws OvsdbError when they violate the schema */
  finish(uuids: UuidSource): void {
    const transaction = new Transaction(this.database, uuids);
    for (const [name, rows] of this.tables) {
      const table = this.database.tables.get(name);
      if (table !== undefined) {
        for (const row of rows.values()) {
          transaction.insert(table, row);
        }
      }
    }
    transaction.prepare();
    transaction.commit();
  }
}

function changedRow(schema: TableSchema, row: Row, json: JsonObject, isDiff: boolean): Row {
  const changes: [Column, Datum][] = [];
  for (const [name, value] of Object.entries(json)) {
    const column = schema.columns.get(name);
    if (column === undefined) {
      throw new OvsdbError("unknown column", `No column ${name} in table ${schema.name}.`);
    }
    if (isDiff) {
      const diff = parseDatum(value, { ...column.type, min: 0, max: column.type.max > 1 ? Infinity : 1 });
      changes.push([column, applyDifference(field(row, column), diff, column.type)]);
    } else {
      changes.push([column, parseDatum(value, column.type)]);
    }
  }
  return withFields(row, changes);
}
