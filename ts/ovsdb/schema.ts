/** Schemas: what tables and columns a database has. */
import type { ColumnType } from "./column-type.js";
import { columnTypeJson, parseColumnType } from "./column-type.js";
import type { Datum } from "./datum.js";
import { defaultDatum } from "./datum.js";
import { OvsdbError, syntaxError } from "./error.js";
import type { Json, JsonObject } from "./json.js";
import { isArray } from "./json.js";
import { isId, ObjectParser } from "./parser.js";

export interface Column {
  readonly name: string;
  readonly type: ColumnType;
  readonly mutable: boolean;
  readonly persistent: boolean;
  /** Position in a row's fields; `_uuid` is 0 and `_version` 1. */
  readonly index: number;
  readonly default: Datum;
}

export interface TableSchema {
  readonly name: string;
  /** Of all columns, `_uuid` and `_version` among them. */
  readonly columns: ReadonlyMap<string, Column>;
  /** By index. */
  readonly columnList: readonly Column[];
  readonly isRoot: boolean;
  /** Infinity when there is no limit. */
  readonly maxRows: number;
  readonly indexes: readonly (readonly Column[])[];
  /** Columns that refer strongly, or weakly, to a table. */
  readonly strong: readonly Column[];
  readonly weak: readonly Column[];
}

export interface Schema {
  readonly name: string;
  readonly version: string;
  readonly cksum: string;
  readonly tables: ReadonlyMap<string, TableSchema>;
}

export const uuidColumnIndex = 0;
export const versionColumnIndex = 1;

function makeColumn(name: string, type: ColumnType, mutable: boolean, persistent: boolean, index: number): Column {
  return { name, type, mutable, persistent, index, default: defaultDatum(type) };
}

function refersTo(column: Column, weak: boolean): boolean {
  return [column.type.key, column.type.value].some((base) => base?.refTable !== undefined && base.weak === weak);
}

function parseColumn(json: Json, name: string, index: number): Column {
  const parser = new ObjectParser(json, `schema for column ${name}`);
  const mutable = parser.optional("mutable", "boolean") ?? true;
  const ephemeral = parser.optional("ephemeral", "boolean") ?? false;
  const type = parseColumnType(parser.required("type", "string", "object"));
  parser.finish();
  // A weak reference can vanish without a transaction that says so, which an immutable column rules out.
  const weak = [type.key, type.value].some((base) => base?.weak === true);
  return makeColumn(name, type, mutable || weak, !ephemeral, index);
}

function parseIndexes(json: readonly Json[], columns: ReadonlyMap<string, Column>): readonly (readonly Column[])[] {
  return json.map((index) => {
    if (!isArray(index) || index.length === 0) {
      throw syntaxError(index, "array of distinct column names expected");
    }
    const found = index.map((name) => {
      const column = typeof name === "string" ? columns.get(name) : undefined;
      if (column === undefined || !column.persistent) {
        throw syntaxError(index, `${String(name)} is not a valid column name`);
      }
      return column;
    });
    if (new Set(found).size !== found.length) {
      throw syntaxError(index, "array of distinct column names expected");
    }
    return found;
  });
}

function parseTable(json: Json, name: string): TableSchema {
  const parser = new ObjectParser(json, `table schema for table ${name}`);
  const columnsJson = parser.required("columns", "object");
  const mutable = parser.optional("mutable", "boolean") ?? true;
  const maxRows = parser.optional("maxRows", "integer");
  const isRoot = parser.optional("isRoot", "boolean") ?? false;
  const indexes = parser.optional("indexes", "array") ?? [];
  parser.finish();
  if (maxRows !== undefined && maxRows <= 0) {
    throw syntaxError(json, "maxRows must be at least 1");
  }
  if (Object.keys(columnsJson).length === 0) {
    throw syntaxError(json, "table must have at least one column");
  }
  const own = parseColumnType("uuid");
  const columns = new Map([
    ["_uuid", makeColumn("_uuid", own, false, true, uuidColumnIndex)],
    ["_version", makeColumn("_version", own, false, false, versionColumnIndex)],
  ]);
  for (const [columnName, column] of Object.entries(columnsJson)) {
    if (!isId(columnName) || columnName.startsWith("_")) {
      throw syntaxError(json, `"${columnName}" is not a valid column name`);
    }
    const parsed = parseColumn(column, columnName, columns.size);
    columns.set(columnName, mutable ? parsed : { ...parsed, mutable: false });
  }
  const columnList = [...columns.values()];
  return {
    name,
    columns,
    columnList,
    isRoot,
    maxRows: maxRows === undefined ? Infinity : Number(maxRows),
    indexes: parseIndexes(indexes, columns),
    strong: columnList.filter((column) => refersTo(column, false)),
    weak: columnList.filter((column) => refersTo(column, true)),
  };
}

function checkReferences(json: Json, tables: ReadonlyMap<string, TableSchema>): void {
  for (const table of tables.values()) {
    for (const column of table.columnList) {
      for (const [base, word] of [[column.type.key, "key"] as const, [column.type.value, "value"] as const]) {
        if (base?.refTable !== undefined && !tables.has(base.refTable)) {
          throw syntaxError(
            json,
            `Column ${column.name} in table ${table.name} has a ${word} that refers to undefined table "${base.refTable}".`,
          );
        }
      }
    }
  }
}

/** Parses a `<database-schema>`.
 *  @throws OvsdbError when it is not one */
export function parseSchema(json: Json): Schema {
  const parser = new ObjectParser(json, "database schema");
  const name = parser.required("name", "id");
  const version = parser.optional("version", "string") ?? "";
  const cksum = parser.optional("cksum", "string") ?? "";
  const tablesJson = parser.required("tables", "object");
  parser.finish();
  if (version !== "" && !/^[0-9]+\.[0-9]+\.[0-9]+$/.test(version)) {
    throw syntaxError(json, `schema version "${version}" not in format x.y.z`);
  }
  const tables = new Map<string, TableSchema>();
  for (const [tableName, table] of Object.entries(tablesJson)) {
    if (!isId(tableName) || tableName.startsWith("_")) {
      throw syntaxError(json, `"${tableName}" is not a valid table name`);
    }
    tables.set(tableName, parseTable(table, tableName));
  }
  checkReferences(json, tables);
  // A schema from before root tables were invented means that every table is one.
  if (![...tables.values()].some((table) => table.isRoot)) {
    for (const [tableName, table] of tables) {
      tables.set(tableName, { ...table, isRoot: true });
    }
  }
  return { name, version, cksum, tables };
}

function columnJson(column: Column): JsonObject {
  return {
    ...(column.persistent ? {} : { ephemeral: true }),
    ...(column.mutable ? {} : { mutable: false }),
    type: columnTypeJson(column.type),
  };
}

function tableJson(table: TableSchema, showRoot: boolean): JsonObject {
  const columns = table.columnList.filter((column) => !column.name.startsWith("_"));
  return {
    columns: Object.fromEntries(columns.map((column) => [column.name, columnJson(column)])),
    ...(table.indexes.length === 0
      ? {}
      : { indexes: table.indexes.map((index) => index.map((column) => column.name)) }),
    ...(showRoot && table.isRoot ? { isRoot: true } : {}),
    ...(table.maxRows === Infinity ? {} : { maxRows: table.maxRows }),
  };
}

/** Writes a schema in its shortest form, which is also what two schemas are compared by. */
export function printSchema(schema: Schema): JsonObject {
  const showRoot = ![...schema.tables.values()].every((table) => table.isRoot);
  return {
    ...(schema.cksum === "" ? {} : { cksum: schema.cksum }),
    name: schema.name,
    tables: Object.fromEntries([...schema.tables].map(([name, table]) => [name, tableJson(table, showRoot)])),
    ...(schema.version === "" ? {} : { version: schema.version }),
  };
}

/** The columns that a `columns` member names, in its order; all when it is absent. */
export function parseColumnSet(json: Json | undefined, table: TableSchema): readonly Column[] {
  if (json === undefined) {
    return table.columnList;
  }
  if (!isArray(json)) {
    throw syntaxError(json, "array of distinct column names expected");
  }
  const columns: Column[] = [];
  for (const name of json) {
    if (typeof name !== "string") {
      throw syntaxError(json, "array of distinct column names expected");
    }
    const column = table.columns.get(name);
    if (column === undefined) {
      throw syntaxError(json, `${name} is not a valid column name`);
    }
    if (columns.includes(column)) {
      throw syntaxError(json, "array of distinct column names expected");
    }
    columns.push(column);
  }
  return columns;
}

/** @throws OvsdbError `unknown column` */
export function columnOf(table: TableSchema, name: string): Column {
  const column = table.columns.get(name);
  if (column === undefined) {
    throw new OvsdbError("unknown column", `No column ${name} in table ${table.name}.`);
  }
  return column;
}
