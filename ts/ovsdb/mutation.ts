/** `mutations` members: arithmetic on columns, elements in and out of sets and maps. */
import type { Atom, ColumnType } from "./column-type.js";
import { isMap, isScalar, isSet, typeInEnglish } from "./column-type.js";
import type { Datum, SymbolTable } from "./datum.js";
import { checkAtom, parseDatum, sortedDatum, subtract, union } from "./datum.js";
import { OvsdbError, syntaxError } from "./error.js";
import type { Json } from "./json.js";
import { isArray, normalInteger } from "./json.js";
import type { Column, TableSchema } from "./schema.js";

const mutators = ["+=", "-=", "*=", "/=", "%=", "insert", "delete"] as const;
export type Mutator = (typeof mutators)[number];

export interface Mutation {
  readonly column: Column;
  readonly mutator: Mutator;
  readonly arg: Datum;
}

function mismatch(json: Json, column: Column, mutator: Mutator): OvsdbError {
  return syntaxError(
    json,
    `Type mismatch: "${mutator}" operator may not be applied to column ${column.name} of type ${typeInEnglish(column.type)}.`,
  );
}

function parseArgument(
  json: readonly Json[],
  column: Column,
  mutator: Mutator,
  symbols: SymbolTable | undefined,
): Datum {
  const type = column.type;
  const arg = json[2] as Json;
  if (mutator !== "insert" && mutator !== "delete") {
    const number = type.key.type === "integer" || (type.key.type === "real" && mutator !== "%=");
    if (!(isScalar(type) || isSet(type)) || !number) {
      throw mismatch(json, column, mutator);
    }
    return parseDatum(arg, { key: { type: type.key.type }, value: undefined, min: 1, max: 1 }, symbols);
  }
  if (!isSet(type) && !isMap(type)) {
    throw mismatch(json, column, mutator);
  }
  if (mutator === "insert") {
    return parseDatum(arg, { ...type, min: 0 }, symbols);
  }
  const wide: ColumnType = { ...type, min: 0, max: Infinity };
  if (!isMap(type)) {
    return parseDatum(arg, wide, symbols);
  }
  // What is taken out of a map may be named by pairs or by keys alone.
  try {
    return parseDatum(arg, wide, symbols);
  } catch {
    return parseDatum(arg, { ...wide, value: undefined }, symbols);
  }
}

function parseMutation(json: Json, table: TableSchema, symbols: SymbolTable | undefined): Mutation {
  if (!isArray(json) || json.length !== 3 || typeof json[0] !== "string" || typeof json[1] !== "string") {
    throw syntaxError(json, "Parse error in mutation.");
  }
  const [name, mutator] = json as [string, Mutator];
  const column = table.columns.get(name);
  if (column === undefined) {
    throw syntaxError(json, `No column ${name} in table ${table.name}.`, "unknown column");
  }
  if (!column.mutable) {
    throw syntaxError(json, `Cannot mutate immutable column ${name} in table ${table.name}.`, "constraint violation");
  }
  if (!mutators.includes(mutator)) {
    throw new OvsdbError("unknown mutator", `No mutator named ${mutator}.`);
  }
  return { column, mutator, arg: parseArgument(json, column, mutator, symbols) };
}

/** Parses a `mutations` array. */
export function parseMutations(json: readonly Json[], table: TableSchema, symbols?: SymbolTable): readonly Mutation[] {
  return json.map((mutation) => parseMutation(mutation, table, symbols));
}

function notRepresentable(mutator: Mutator): OvsdbError {
  return new OvsdbError("range error", `Result of "${mutator}" operation is out of range.`);
}

function divisionByZero(): OvsdbError {
  return new OvsdbError("domain error", "Division by zero.");
}

function computeInteger(mutator: Mutator, x: number | bigint, y: number | bigint): number | bigint {
  const a = BigInt(x);
  const b = BigInt(y);
  if ((mutator === "/=" || mutator === "%=") && b === 0n) {
    throw divisionByZero();
  }
  const result =
    mutator === "+=" ? a + b : mutator === "-=" ? a - b : mutator === "*=" ? a * b : mutator === "/=" ? a / b : a % b;
  if (BigInt.asIntN(64, result) !== result) {
    throw notRepresentable(mutator);
  }
  return normalInteger(result);
}

function computeReal(mutator: Mutator, x: number, y: number): number {
  if (mutator === "/=" && y === 0) {
    throw divisionByZero();
  }
  const result = mutator === "+=" ? x + y : mutator === "-=" ? x - y : mutator === "*=" ? x * y : x / y;
  if (!Number.isFinite(result)) {
    throw notRepresentable(mutator);
  }
  return result + 0;
}

function arithmetic(mutation: Mutation, value: Datum): Datum {
  const { column, mutator, arg } = mutation;
  const base = column.type.key;
  const y = arg.keys[0] as Atom;
  const keys = value.keys.map((x) => {
    const result =
      base.type === "integer"
        ? computeInteger(mutator, x as number | bigint, y as number | bigint)
        : computeReal(mutator, x as number, y as number);
    checkAtom(result, base);
    return result;
  });
  try {
    return sortedDatum(keys, undefined);
  } catch {
    throw new OvsdbError("constraint violation", `Result of "${mutator}" operation contains duplicates.`);
  }
}

/** The value that a column has after a mutation. */
export function mutate(mutation: Mutation, value: Datum): Datum {
  const { column, mutator, arg } = mutation;
  if (mutator !== "insert" && mutator !== "delete") {
    return arithmetic(mutation, value);
  }
  const result = mutator === "insert" ? union(value, arg) : subtract(value, arg);
  const count = result.keys.length;
  if (count < column.type.min || count > column.type.max) {
    throw new OvsdbError(
      "constraint violation",
      `Attempted to store ${count} elements in ${typeInEnglish(column.type)}.`,
    );
  }
  return result;
}
