/** Values of columns.  A datum is immutable: its keys are sorted and distinct, and a map has a value for each key. */
import type { Atom, BaseType, ColumnType } from "./column-type.js";
import { atomText, compareAtoms, defaultAtom, isMap } from "./column-type.js";
import { OvsdbError, syntaxError } from "./error.js";
import type { Json } from "./json.js";
import { isArray, isInteger, normalInteger } from "./json.js";
import type { AtomicName } from "./tables/column.js";
import type { Uuid } from "./uuid.js";
import { isUuid } from "./uuid.js";

export interface Datum {
  readonly keys: readonly Atom[];
  readonly values: readonly Atom[] | undefined;
}

/** Resolves `["named-uuid", name]` within a transaction. */
export type SymbolTable = (name: string) => Uuid;

const none: readonly Atom[] = [];
export const emptySet: Datum = { keys: none, values: undefined };
export const emptyMap: Datum = { keys: none, values: none };

const scalars = new Map<AtomicName, Datum>(
  (["integer", "real", "boolean", "string", "uuid"] as const).map((type) => [
    type,
    { keys: [defaultAtom(type)], values: undefined },
  ]),
);

/** The value of a column where nothing was given. */
export function defaultDatum(type: ColumnType): Datum {
  if (type.min === 0) {
    return type.value === undefined ? emptySet : emptyMap;
  }
  return type.value === undefined
    ? (scalars.get(type.key.type) as Datum)
    : { keys: [defaultAtom(type.key.type)], values: [defaultAtom(type.value.type)] };
}

export function equalDatums(a: Datum, b: Datum): boolean {
  return (
    a === b || (equalAtoms(a.keys, b.keys) && (a.values === b.values || equalAtoms(a.values ?? none, b.values ?? none)))
  );
}

function equalAtoms(a: readonly Atom[], b: readonly Atom[]): boolean {
  if (a.length !== b.length) {
    return false;
  }
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) {
      return false;
    }
  }
  return true;
}

/** Orders datums as ovsdb-server does: by keys, then by values, then by length. */
export function compareDatums(a: Datum, b: Datum): number {
  if (a.keys.length !== b.keys.length) {
    return a.keys.length - b.keys.length;
  }
  for (const [x, y] of [[a.keys, b.keys] as const, [a.values ?? none, b.values ?? none] as const]) {
    for (let i = 0; i < x.length; i++) {
      const order = compareAtoms(x[i] as Atom, y[i] as Atom);
      if (order !== 0) {
        return order;
      }
    }
  }
  return 0;
}

// Reading JSON.

function unwrap(json: Json, name: string, inner: "array" | "string"): Json {
  if (
    !isArray(json) ||
    json.length !== 2 ||
    json[0] !== name ||
    !(inner === "array" ? isArray(json[1]) : typeof json[1] === "string")
  ) {
    throw syntaxError(json, `expected ["${name}", <${inner}>]`);
  }
  return json[1] as Json;
}

function uuidAtom(json: Json, symbols: SymbolTable | undefined): Uuid {
  if (symbols !== undefined && isArray(json) && json.length === 2 && json[0] === "named-uuid") {
    if (typeof json[1] === "string") {
      return symbols(json[1]);
    }
  }
  const text = unwrap(json, "uuid", "string") as string;
  if (!isUuid(text)) {
    throw syntaxError(json, `"${text}" is not a valid UUID`);
  }
  return text.toLowerCase();
}

/** Reads an atom without looking at the constraints of its type. */
function unconstrainedAtom(json: Json, type: AtomicName, symbols: SymbolTable | undefined): Atom {
  switch (type) {
    case "integer":
      if (isInteger(json)) {
        return normalInteger(json);
      }
      break;
    case "real":
      if (typeof json === "number" || typeof json === "bigint") {
        return Number(json) + 0;
      }
      break;
    case "boolean":
      if (typeof json === "boolean") {
        return json;
      }
      break;
    case "string":
      if (typeof json === "string") {
        return json;
      }
      break;
    case "uuid":
      return uuidAtom(json, symbols);
  }
  throw syntaxError(json, `expected ${type}`);
}

function outOfRange(
  text: string,
  min: string | undefined,
  max: string | undefined,
  less: boolean,
  unit: string,
): OvsdbError {
  if (min !== undefined && max !== undefined) {
    return new OvsdbError("constraint violation", `${text} is not in the valid range ${min} to ${max} (inclusive)`);
  }
  return less
    ? new OvsdbError("constraint violation", `${text} is less than minimum allowed ${unit} ${min}`)
    : new OvsdbError("constraint violation", `${text} is greater than maximum allowed ${unit} ${max}`);
}

/** Throws unless the atom satisfies the constraints of its type. */
export function checkAtom(atom: Atom, base: BaseType): void {
  if (base.enum !== undefined && !base.enum.includes(atom)) {
    const allowed = base.enum.map((value) => atomText(value, base.type)).join(", ");
    const text = atomText(atom, base.type);
    throw new OvsdbError("constraint violation", `${text} is not one of the allowed values ([${allowed}])`);
  }
  if (base.min !== undefined || base.max !== undefined) {
    const less = base.min !== undefined && (atom as number) < base.min;
    if (less || (base.max !== undefined && (atom as number) > base.max)) {
      throw outOfRange(String(atom), base.min?.toString(), base.max?.toString(), less, "value");
    }
  }
  if (base.minLength !== undefined || base.maxLength !== undefined) {
    const length = [...(atom as string)].length;
    const less = base.minLength !== undefined && length < base.minLength;
    if (less || (base.maxLength !== undefined && length > base.maxLength)) {
      throw outOfRange(
        `"${atom}" length ${length}`,
        less ? String(base.minLength) : undefined,
        less ? undefined : String(base.maxLength),
        less,
        "length",
      );
    }
  }
}

function parseAtom(json: Json, base: BaseType, symbols: SymbolTable | undefined): Atom {
  const atom = unconstrainedAtom(json, base.type, symbols);
  checkAtom(atom, base);
  return atom;
}

/** Reads an atom of a type without constraints. */
export function parsePlainAtom(json: Json, type: AtomicName): Atom {
  return unconstrainedAtom(json, type, undefined);
}

/** Reads a `<value>` of a column type. */
export function parseDatum(json: Json, type: ColumnType, symbols?: SymbolTable): Datum {
  const map = isMap(type);
  if (!map && !(isArray(json) && json[0] === "set")) {
    return { keys: [parseAtom(json, type.key, symbols)], values: undefined };
  }
  const word = map ? "map" : "set";
  const elements = unwrap(json, word, "array") as readonly Json[];
  const count = elements.length;
  if (count < type.min || count > type.max) {
    throw syntaxError(
      json,
      type.min === 1 && type.max === 1
        ? `${word} must have exactly one member but ${count} are present`
        : `${word} must have ${type.min} to ${Math.min(type.max, 4294967295)} members but ${count} are present`,
    );
  }
  const keys: Atom[] = [];
  const values: Atom[] = [];
  for (const element of elements) {
    if (type.value === undefined) {
      keys.push(parseAtom(element, type.key, symbols));
    } else {
      if (!isArray(element) || element.length !== 2) {
        throw syntaxError(element, "expected 2-element array");
      }
      keys.push(parseAtom(element[0] as Json, type.key, symbols));
      values.push(parseAtom(element[1] as Json, type.value, symbols));
    }
  }
  return sortedDatum(keys, map ? values : undefined);
}

/** A datum of elements in any order.
 *  @throws OvsdbError when a key appears twice. */
export function sortedDatum(keys: readonly Atom[], values: readonly Atom[] | undefined): Datum {
  let sorted = true;
  for (let i = 1; i < keys.length; i++) {
    const order = compareAtoms(keys[i - 1] as Atom, keys[i] as Atom);
    if (order === 0) {
      throw duplicate(values !== undefined);
    }
    sorted &&= order < 0;
  }
  if (sorted) {
    return { keys, values };
  }
  const order = keys.map((_, i) => i).sort((a, b) => compareAtoms(keys[a] as Atom, keys[b] as Atom));
  const sortedKeys = order.map((i) => keys[i] as Atom);
  for (let i = 1; i < sortedKeys.length; i++) {
    if (sortedKeys[i] === sortedKeys[i - 1]) {
      throw duplicate(values !== undefined);
    }
  }
  return { keys: sortedKeys, values: values === undefined ? undefined : order.map((i) => values[i] as Atom) };
}

function duplicate(map: boolean): OvsdbError {
  return new OvsdbError("ovsdb error", map ? "map contains duplicate key" : "set contains duplicate");
}

// Writing JSON.

export function atomJson(atom: Atom, type: AtomicName): Json {
  return type === "uuid" ? ["uuid", atom] : atom;
}

/** Writes a datum: a set of one element as that element alone. */
export function datumJson(datum: Datum, type: ColumnType): Json {
  const keyType = type.key.type;
  if (type.value !== undefined) {
    const valueType = type.value.type;
    const values = datum.values as readonly Atom[];
    return ["map", datum.keys.map((key, i) => [atomJson(key, keyType), atomJson(values[i] as Atom, valueType)])];
  }
  if (datum.keys.length === 1) {
    return atomJson(datum.keys[0] as Atom, keyType);
  }
  return ["set", keyType === "uuid" ? datum.keys.map((key) => ["uuid", key]) : datum.keys];
}

/** A datum as text in messages. */
export function datumText(datum: Datum, type: ColumnType): string {
  const key = (i: number): string => atomText(datum.keys[i] as Atom, type.key.type);
  const valueType = type.value?.type;
  if (valueType !== undefined) {
    const pairs = datum.keys.map((_, i) => `${key(i)}=${atomText(datum.values?.[i] as Atom, valueType)}`);
    return `{${pairs.join(", ")}}`;
  }
  return type.max > 1 || datum.keys.length === 0 ? `[${datum.keys.map((_, i) => key(i)).join(", ")}]` : key(0);
}

// Arithmetic of sets and maps.

/** Position of a key, or of where it would go as the complement (negative). */
function search(keys: readonly Atom[], key: Atom): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = compareAtoms(keys[middle] as Atom, key);
    if (order === 0) {
      return middle;
    }
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return ~low;
}

export function hasKey(datum: Datum, key: Atom): boolean {
  return search(datum.keys, key) >= 0;
}

/** Elements of both; where both have a key, `a` decides its value. */
export function union(a: Datum, b: Datum): Datum {
  if (b.keys.every((key) => hasKey(a, key))) {
    return a;
  }
  const keys: Atom[] = [];
  const values: Atom[] | undefined = a.values === undefined ? undefined : [];
  let i = 0;
  let j = 0;
  while (i < a.keys.length || j < b.keys.length) {
    const order = i >= a.keys.length ? 1 : j >= b.keys.length ? -1 : compareAtoms(a.keys[i] as Atom, b.keys[j] as Atom);
    if (order <= 0) {
      keys.push(a.keys[i] as Atom);
      values?.push(a.values?.[i] as Atom);
      i++;
      j += order === 0 ? 1 : 0;
    } else {
      keys.push(b.keys[j] as Atom);
      values?.push(b.values?.[j] as Atom);
      j++;
    }
  }
  return { keys, values };
}

/** Elements of `a` for which `keep` holds; `a` itself when that is all. */
export function filterDatum(a: Datum, keep: (key: Atom, value: Atom | undefined) => boolean): Datum {
  const kept: number[] = [];
  for (let i = 0; i < a.keys.length; i++) {
    if (keep(a.keys[i] as Atom, a.values?.[i])) {
      kept.push(i);
    }
  }
  if (kept.length === a.keys.length) {
    return a;
  }
  const values = a.values;
  return {
    keys: kept.map((i) => a.keys[i] as Atom),
    values: values === undefined ? undefined : kept.map((i) => values[i] as Atom),
  };
}

/** `a` without what is in `b`; when `b` has values, a pair goes only if its value is the same. */
export function subtract(a: Datum, b: Datum): Datum {
  return filterDatum(a, (key, value) => {
    const at = search(b.keys, key);
    return at < 0 || (b.values !== undefined && b.values[at] !== value);
  });
}

/** Whether `a` has all elements (pairs, for maps) of `b`. */
export function includesAll(a: Datum, b: Datum): boolean {
  return b.keys.every((key, i) => {
    const at = search(a.keys, key);
    return at >= 0 && (b.values === undefined || a.values?.[at] === b.values[i]);
  });
}

/** Whether `a` has no element (pair, for maps) of `b`. */
export function excludesAll(a: Datum, b: Datum): boolean {
  return !b.keys.some((key, i) => {
    const at = search(a.keys, key);
    return at >= 0 && (b.values === undefined || a.values?.[at] === b.values[i]);
  });
}

/** What turns `before` into `after`: for a column of more than one element, the elements that come or go and the pairs
 *  whose value changes; else the new value. */
export function difference(before: Datum, after: Datum, type: ColumnType): Datum {
  if (type.max <= 1) {
    return after;
  }
  const gone = filterDatum(before, (key) => !hasKey(after, key));
  const come = filterDatum(after, (key, value) => {
    const at = search(before.keys, key);
    return at < 0 || (before.values !== undefined && before.values[at] !== value);
  });
  return union(come, gone);
}

/** The inverse of `difference`. */
export function applyDifference(before: Datum, diff: Datum, type: ColumnType): Datum {
  if (type.max <= 1) {
    return diff;
  }
  const kept = filterDatum(before, (key) => !hasKey(diff, key));
  const added = filterDatum(diff, (key, value) => {
    const at = search(before.keys, key);
    return at < 0 || (before.values !== undefined && before.values[at] !== value);
  });
  return union(added, kept);
}
