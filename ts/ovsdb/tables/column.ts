/** The words in which database tables are declared: column types, column flags, tables.  Pure data. */

export type AtomicName = "integer" | "real" | "boolean" | "string" | "uuid";

/** One atom's type with its constraints, spelled as RFC 7047 `<base-type>` spells them. */
export interface BaseSpec {
  readonly type: AtomicName;
  readonly enum?: readonly string[];
  readonly minInteger?: number;
  readonly maxInteger?: number;
  readonly refTable?: string;
  readonly refType?: "weak";
}

/** A column's type: `value` makes it a map; `min` and `max` default to 1. */
export interface TypeSpec {
  readonly key: BaseSpec;
  readonly value?: BaseSpec;
  readonly min: 0 | 1;
  readonly max: number | "unlimited";
}

export interface ColumnSpec {
  readonly type: TypeSpec;
  /** One sentence for the reference page. */
  readonly about: string;
  /** Not written to the file: the value does not survive a restart of the server. */
  readonly ephemeral?: true;
  /** May be given when the row is inserted, and never changed afterwards. */
  readonly immutable?: true;
}

export interface TableSpec {
  readonly about: string;
  /** Rows of a root table live without being referred to. */
  readonly isRoot?: true;
  readonly maxRows?: number;
  readonly indexes?: readonly (readonly string[])[];
  readonly columns: Readonly<Record<string, ColumnSpec>>;
}

export interface DatabaseSpec {
  readonly name: string;
  readonly version: string;
  /** Checksum of the schema text that this is compatible with, as `ovsdb-client get-schema-cksum` prints it. */
  readonly cksum?: string;
  readonly about: string;
  readonly tables: Readonly<Record<string, TableSpec>>;
}

export const string: BaseSpec = { type: "string" };
export const integer: BaseSpec = { type: "integer" };
export const boolean: BaseSpec = { type: "boolean" };
export const uuid: BaseSpec = { type: "uuid" };

/** An integer between `min` and `max`; leave `max` out for no upper limit. */
export function range(min: number, max?: number): BaseSpec {
  return max === undefined
    ? { type: "integer", minInteger: min }
    : { type: "integer", minInteger: min, maxInteger: max };
}

/** One of a few strings. */
export function oneOf(...values: readonly string[]): BaseSpec {
  return { type: "string", enum: values };
}

/** A strong reference: the row referred to stays alive, and may not be deleted. */
export function ref(table: string): BaseSpec {
  return { type: "uuid", refTable: table };
}

/** A weak reference: it vanishes from the column when the row referred to is deleted. */
export function weak(table: string): BaseSpec {
  return { type: "uuid", refTable: table, refType: "weak" };
}

/** Zero or one. */
export function optional(key: BaseSpec): TypeSpec {
  return { key, min: 0, max: 1 };
}

/** Any number up to `max`; with `min` 1, at least one. */
export function setOf(key: BaseSpec, max: number | "unlimited" = "unlimited", min: 0 | 1 = 0): TypeSpec {
  return { key, min, max };
}

export function mapOf(key: BaseSpec, value: BaseSpec): TypeSpec {
  return { key, value, min: 0, max: "unlimited" };
}

/** Free-form strings by key, the shape of `other_config` and its kin. */
export const strings: TypeSpec = mapOf(string, string);

function typeSpec(type: BaseSpec | TypeSpec): TypeSpec {
  return "key" in type ? type : { key: type, min: 1, max: 1 };
}

/** A column that a user or controller configures. */
export function column(type: BaseSpec | TypeSpec, about: string): ColumnSpec {
  return { type: typeSpec(type), about };
}

/** A column that is fixed once the row exists. */
export function fixed(type: BaseSpec | TypeSpec, about: string): ColumnSpec {
  return { type: typeSpec(type), about, immutable: true };
}

/** A column that is not written to the file. */
export function ephemeral(type: BaseSpec | TypeSpec, about: string): ColumnSpec {
  return { type: typeSpec(type), about, ephemeral: true };
}
