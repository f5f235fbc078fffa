/** The contents of a database as a client knows them, in typed rows. */
import type { ColumnType } from "./column-type.js";
import type { Datum } from "./datum.js";
import { applyDifference, equalDatums, parseDatum } from "./datum.js";
import type { IdlTable, RowChange } from "./idl-types.js";
import type { Json, JsonObject } from "./json.js";
import { isObject } from "./json.js";
import type { Column, Schema, TableSchema } from "./schema.js";
import type { TypedValue } from "./typed-value.js";
import { typedValue } from "./typed-value.js";
import type { Uuid } from "./uuid.js";

type TypedRow = { readonly uuid: Uuid } & { readonly [column: string]: TypedValue };

interface Entry {
  readonly row: TypedRow;
  /** By column index. */
  readonly datums: readonly Datum[];
}

/** All columns but `_uuid` and `_version`, which come first. */
function ownColumns(schema: TableSchema): readonly Column[] {
  return schema.columnList.slice(2);
}

/** How a message describes rows: `initial` and `update2` leave out defaults, `update` gives whole rows. */
export type UpdateForm = "update" | "update2";

export class ReplicaTable implements IdlTable<TypedRow> {
  private readonly entries = new Map<Uuid, Entry>();
  private readonly columns: readonly Column[];
  private readonly defaults: Entry;

  constructor(readonly schema: TableSchema) {
    const row: Record<string, TypedValue> = {};
    this.columns = ownColumns(schema);
    for (const column of this.columns) {
      row[column.name] = typedValue(column.default, column.type);
    }
    this.defaults = { row: row as TypedRow, datums: schema.columnList.map((column) => column.default) };
  }

  get size(): number {
    return this.entries.size;
  }

  get(uuid: Uuid): TypedRow | undefined {
    return this.entries.get(uuid)?.row;
  }

  first(): TypedRow | undefined {
    for (const entry of this.entries.values()) {
      return entry.row;
    }
    return undefined;
  }

  find(test: (row: TypedRow) => boolean): TypedRow | undefined {
    for (const { row } of this.entries.values()) {
      if (test(row)) {
        return row;
      }
    }
    return undefined;
  }

  *values(): IterableIterator<TypedRow> {
    for (const { row } of this.entries.values()) {
      yield row;
    }
  }

  [Symbol.iterator](): IterableIterator<TypedRow> {
    return this.values();
  }

  uuids(): IterableIterator<Uuid> {
    return this.entries.keys();
  }

  /** The exact value of a column. */
  datum(uuid: Uuid, column: Column): Datum | undefined {
    return this.entries.get(uuid)?.datums[column.index];
  }

  /** Puts datums in place, and tells what changed; undefined when nothing did.
   *  @param whole whether columns that `values` lacks get their default, and else keep what they have */
  put(uuid: Uuid, values: readonly (readonly [Column, Datum])[], whole: boolean): RowChange | undefined {
    const entry = this.entries.get(uuid);
    const before = entry ?? this.defaults;
    const base = whole ? this.defaults : before;
    const datums = [...base.datums];
    for (const [column, datum] of values) {
      datums[column.index] = datum;
    }
    const row: Record<string, TypedValue> = { ...before.row, uuid };
    const changed = new Set<string>();
    for (const column of this.columns) {
      const datum = datums[column.index] as Datum;
      const old = before.datums[column.index] as Datum;
      if (equalDatums(datum, old)) {
        datums[column.index] = old;
      } else {
        changed.add(column.name);
        row[column.name] = typedValue(datum, column.type);
      }
    }
    if (entry !== undefined && changed.size === 0) {
      return undefined;
    }
    const after = Object.freeze(row) as TypedRow;
    this.entries.set(uuid, { row: after, datums });
    return this.change(uuid, entry === undefined ? "insert" : "modify", entry?.row, after, changed);
  }

  delete(uuid: Uuid): RowChange | undefined {
    const entry = this.entries.get(uuid);
    this.entries.delete(uuid);
    return (
      entry && this.change(uuid, "delete", entry.row, undefined, new Set(this.columns.map((column) => column.name)))
    );
  }

  private change(
    uuid: Uuid,
    kind: RowChange["kind"],
    before: TypedRow | undefined,
    after: TypedRow | undefined,
    columns: ReadonlySet<string>,
  ): RowChange {
    return { table: this.schema.name as never, uuid, kind, before, after, columns, outside: columns };
  }
}

/** Integers that a newer server allows but our schema does not are still shown, so constraints are not looked at. */
function lenient(type: ColumnType): ColumnType {
  const bare = (base: ColumnType["key"]): ColumnType["key"] => ({ type: base.type });
  return { key: bare(type.key), value: type.value && bare(type.value), min: 0, max: type.max > 1 ? Infinity : 1 };
}

export class Replica {
  readonly tables: ReadonlyMap<string, ReplicaTable>;
  private readonly types = new Map<Column, ColumnType>();

  constructor(schema: Schema) {
    this.tables = new Map([...schema.tables].map(([name, table]) => [name, new ReplicaTable(table)]));
    for (const table of schema.tables.values()) {
      for (const column of table.columnList) {
        this.types.set(column, lenient(column.type));
      }
    }
  }

  /** Applies `<table-updates>`.
   *  @throws OvsdbError when they do not fit the schema */
  apply(updates: JsonObject, form: UpdateForm): RowChange[] {
    const changes: RowChange[] = [];
    for (const [name, rows] of Object.entries(updates)) {
      const table = this.tables.get(name);
      if (table === undefined || !isObject(rows)) {
        continue;
      }
      for (const [uuid, json] of Object.entries(rows)) {
        const change = isObject(json) ? this.applyRow(table, uuid, json, form) : undefined;
        if (change !== undefined) {
          changes.push(change);
        }
      }
    }
    return changes;
  }

  /** Makes the contents equal to a snapshot. */
  replace(updates: JsonObject, form: UpdateForm): RowChange[] {
    const changes: RowChange[] = [];
    for (const [name, table] of this.tables) {
      const rows = updates[name];
      for (const uuid of [...table.uuids()]) {
        if (!isObject(rows) || !Object.hasOwn(rows, uuid)) {
          changes.push(table.delete(uuid) as RowChange);
        }
      }
    }
    for (const [name, rows] of Object.entries(updates)) {
      const table = this.tables.get(name);
      if (table === undefined || !isObject(rows)) {
        continue;
      }
      for (const [uuid, json] of Object.entries(rows)) {
        const row = isObject(json) ? (json[form === "update" ? "new" : "initial"] ?? json["insert"]) : undefined;
        const change = isObject(row) ? table.put(uuid, this.datums(table, row), true) : undefined;
        if (change !== undefined) {
          changes.push(change);
        }
      }
    }
    return changes;
  }

  private datums(table: ReplicaTable, json: JsonObject): [Column, Datum][] {
    const datums: [Column, Datum][] = [];
    for (const [name, value] of Object.entries(json)) {
      const column = table.schema.columns.get(name);
      if (column !== undefined) {
        datums.push([column, parseDatum(value, this.types.get(column) as ColumnType)]);
      }
    }
    return datums;
  }

  private applyRow(table: ReplicaTable, uuid: Uuid, json: JsonObject, form: UpdateForm): RowChange | undefined {
    if (form === "update") {
      const row = json["new"];
      return isObject(row) ? table.put(uuid, this.datums(table, row), false) : table.delete(uuid);
    }
    const whole: Json | undefined = json["initial"] ?? json["insert"];
    if (isObject(whole)) {
      return table.put(uuid, this.datums(table, whole), true);
    }
    if ("delete" in json) {
      return table.delete(uuid);
    }
    const modify = json["modify"];
    return isObject(modify) ? table.put(uuid, this.modified(table, uuid, modify), false) : undefined;
  }

  private modified(table: ReplicaTable, uuid: Uuid, json: JsonObject): readonly (readonly [Column, Datum])[] {
    return this.datums(table, json).map(([column, diff]) => [
      column,
      applyDifference(table.datum(uuid, column) ?? column.default, diff, column.type),
    ]);
  }
}
