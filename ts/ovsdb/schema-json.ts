/** Database rows -> schema JSON in the shortest spelling that RFC 7047 allows. */
import type { Json, JsonObject } from "./json.js";
import type { BaseSpec, ColumnSpec, DatabaseSpec, TableSpec, TypeSpec } from "./tables/column.js";
import { server } from "./tables/server.js";
import { vswitch } from "./tables/vswitch.js";

function baseJson(base: BaseSpec): Json {
  const { type, ...constraints } = base;
  if (Object.keys(constraints).length === 0) {
    return type;
  }
  const { enum: values, ...rest } = constraints;
  return { type, ...(values === undefined ? {} : { enum: ["set", [...values].sort()] }), ...rest };
}

function typeJson(type: TypeSpec): Json {
  const key = baseJson(type.key);
  const alone = type.value === undefined && type.min === 1 && type.max === 1;
  if (alone && typeof key === "string") {
    return key;
  }
  return {
    key,
    ...(type.value === undefined ? {} : { value: baseJson(type.value) }),
    ...(type.min === 1 ? {} : { min: type.min }),
    ...(type.max === 1 ? {} : { max: type.max }),
  };
}

function columnJson(column: ColumnSpec): JsonObject {
  return {
    type: typeJson(column.type),
    ...(column.ephemeral ? { ephemeral: true } : {}),
    ...(column.immutable ? { mutable: false } : {}),
  };
}

function tableJson(table: TableSpec): JsonObject {
  return {
    columns: Object.fromEntries(Object.entries(table.columns).map(([name, column]) => [name, columnJson(column)])),
    ...(table.maxRows === undefined ? {} : { maxRows: table.maxRows }),
    ...(table.isRoot ? { isRoot: true } : {}),
    ...(table.indexes === undefined ? {} : { indexes: table.indexes.map((index) => [...index]) }),
  };
}

/** The `<database-schema>` of RFC 7047 section 3.2 for a database declared as rows. */
export function schemaJson(database: DatabaseSpec): JsonObject {
  return {
    name: database.name,
    version: database.version,
    ...(database.cksum === undefined ? {} : { cksum: database.cksum }),
    tables: Object.fromEntries(Object.entries(database.tables).map(([name, table]) => [name, tableJson(table)])),
  };
}

/** Schema of the Open_vSwitch database. */
export const vswitchSchema: JsonObject = schemaJson(vswitch);

/** Schema of the _Server database. */
export const serverSchema: JsonObject = schemaJson(server);
