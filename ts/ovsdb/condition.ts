/** `where` clauses. */
import type { ColumnType } from "./column-type.js";
import { compareAtoms, isOptionalScalar, isScalar, typeInEnglish } from "./column-type.js";
import type { Datum, SymbolTable } from "./datum.js";
import { compareDatums, equalDatums, excludesAll, includesAll, parseDatum } from "./datum.js";
import { OvsdbError, syntaxError } from "./error.js";
import type { Json } from "./json.js";
import { isArray } from "./json.js";
import type { Column, TableSchema } from "./schema.js";
import type { Row, Table } from "./table.js";
import { field } from "./table.js";

const relations = ["<", "<=", "==", "!=", ">=", ">", "includes", "excludes"] as const;
type Relation = (typeof relations)[number];

export type Clause = boolean | { readonly column: Column; readonly relation: Relation; readonly arg: Datum };

/** All of it (`every`), or any of it (`some`), must hold. */
export type Condition = readonly Clause[];

function isRelation(text: string): text is Relation {
  return (relations as readonly string[]).includes(text);
}

/** The type that a clause's argument may have, which is wider than the column's for sets and maps. */
function argumentType(json: Json, column: Column, relation: Relation): ColumnType {
  const type = column.type;
  switch (relation) {
    case "<":
    case "<=":
    case ">=":
    case ">":
      if (!(isScalar(type) || isOptionalScalar(type)) || (type.key.type !== "integer" && type.key.type !== "real")) {
        throw syntaxError(
          json,
          `Type mismatch: "${relation}" operator may not be applied to column ${column.name} of type ${typeInEnglish(type)}.`,
        );
      }
      return { ...type, min: 1 };
    case "includes":
      return isScalar(type) ? type : { ...type, min: 0 };
    case "excludes":
      return isScalar(type) ? type : { ...type, min: 0, max: Infinity };
    default:
      return type;
  }
}

function parseClause(json: Json, table: TableSchema, symbols: SymbolTable | undefined): Clause {
  if (typeof json === "boolean") {
    return json;
  }
  if (!isArray(json) || json.length !== 3 || typeof json[0] !== "string" || typeof json[1] !== "string") {
    throw syntaxError(json, "Parse error in condition.");
  }
  const [name, relation, arg] = json as [string, string, Json];
  const column = table.columns.get(name);
  if (column === undefined) {
    throw syntaxError(json, `No column ${name} in table ${table.name}.`, "unknown column");
  }
  if (!isRelation(relation)) {
    throw new OvsdbError("unknown function", `No function named ${relation}.`);
  }
  return { column, relation, arg: parseDatum(arg, argumentType(json, column, relation), symbols) };
}

/** Parses a `<condition>` array. */
export function parseCondition(json: readonly Json[], table: TableSchema, symbols?: SymbolTable): Condition {
  return json.map((clause) => parseClause(clause, table, symbols));
}

function relationHolds(relation: Relation, value: Datum, arg: Datum): boolean {
  switch (relation) {
    case "==":
      return equalDatums(value, arg);
    case "!=":
      return !equalDatums(value, arg);
    case "includes":
      return includesAll(value, arg);
    case "excludes":
      return excludesAll(value, arg);
  }
  if (value.keys.length === 0 || arg.keys.length === 0) {
    return false;
  }
  const order = compareAtoms(value.keys[0] as number, arg.keys[0] as number);
  switch (relation) {
    case "<":
      return order < 0;
    case "<=":
      return order <= 0;
    case ">=":
      return order >= 0;
    case ">":
      return order > 0;
  }
}

export function clauseHolds(clause: Clause, row: Row): boolean {
  return typeof clause === "boolean" ? clause : relationHolds(clause.relation, field(row, clause.column), clause.arg);
}

/** Rows for which every clause holds. */
export function matchingRows(table: Table, condition: Condition): Row[] {
  const byUuid = condition.find(
    (clause) => typeof clause === "object" && clause.relation === "==" && clause.column.name === "_uuid",
  );
  if (typeof byUuid === "object") {
    const row = table.rows.get(byUuid.arg.keys[0] as string);
    return row !== undefined && condition.every((clause) => clauseHolds(clause, row)) ? [row] : [];
  }
  const rows: Row[] = [];
  for (const row of table.rows.values()) {
    if (condition.every((clause) => clauseHolds(clause, row))) {
      rows.push(row);
    }
  }
  return rows;
}

/** Orders rows as a `select` result is ordered: by each column in turn. */
export function compareRows(a: Row, b: Row, columns: readonly Column[]): number {
  for (const column of columns) {
    const order = compareDatums(field(a, column), field(b, column));
    if (order !== 0) {
      return order;
    }
  }
  return 0;
}
