/** Datums as the values that programs use: an optional scalar as `T | undefined`, a set as an array, a map as a Map. */
import type { Atom, ColumnType } from "./column-type.js";
import { isMap } from "./column-type.js";
import type { Datum } from "./datum.js";
import { sortedDatum } from "./datum.js";
import { normalInteger } from "./json.js";

export type TypedValue = Atom | undefined | readonly Atom[] | ReadonlyMap<Atom, Atom>;

/** Integers are read as numbers: beyond 2**53 they are rounded, which only counters ever reach. */
function readAtom(atom: Atom): Atom {
  return typeof atom === "bigint" ? Number(atom) : atom;
}

function readAtoms(atoms: readonly Atom[]): readonly Atom[] {
  return atoms.some((atom) => typeof atom === "bigint") ? atoms.map(readAtom) : atoms;
}

export function typedValue(datum: Datum, type: ColumnType): TypedValue {
  if (isMap(type)) {
    return new Map(datum.keys.map((key, i) => [readAtom(key), readAtom(datum.values?.[i] as Atom)]));
  }
  if (type.max === 1) {
    const atom = datum.keys[0];
    return atom === undefined ? undefined : readAtom(atom);
  }
  return readAtoms(datum.keys);
}

function isAtom(value: unknown): value is Atom {
  return ["number", "bigint", "boolean", "string"].includes(typeof value);
}

function writeAtom(value: unknown, base: ColumnType["key"]): Atom {
  if (!isAtom(value)) {
    throw new TypeError(`A ${base.type} was expected, but ${String(value)} was given.`);
  }
  if (base.type === "integer") {
    return normalInteger(typeof value === "bigint" ? value : Math.trunc(Number(value)));
  }
  return base.type === "uuid" && typeof value === "string" ? value.toLowerCase() : value;
}

/** The datum of a value, whose elements may be in any order; what appears twice in an array counts once. */
export function valueDatum(value: unknown, type: ColumnType): Datum {
  if (type.value !== undefined) {
    const valueType = type.value;
    const pairs = value === undefined ? [] : [...(value as ReadonlyMap<unknown, unknown>)];
    return sortedDatum(
      pairs.map(([key]) => writeAtom(key, type.key)),
      pairs.map(([, v]) => writeAtom(v, valueType)),
    );
  }
  if (value === undefined) {
    return { keys: [], values: undefined };
  }
  if (isAtom(value)) {
    return { keys: [writeAtom(value, type.key)], values: undefined };
  }
  return sortedDatum(
    [...new Set([...(value as Iterable<unknown>)].map((element) => writeAtom(element, type.key)))],
    undefined,
  );
}
