/** Types of columns: one or two atomic types with constraints, and how many elements. */
import { syntaxError } from "./error.js";
import type { Json, JsonObject } from "./json.js";
import { compareStrings, isArray, printSorted } from "./json.js";
import { ObjectParser } from "./parser.js";
import type { AtomicName } from "./tables/column.js";
import type { Uuid } from "./uuid.js";

/** A value of an atomic type; a uuid is a lower-case string, an integer beyond 2**53 a bigint. */
export type Atom = number | bigint | boolean | string;

export interface BaseType {
  readonly type: AtomicName;
  /** Allowed values, sorted. */
  readonly enum?: readonly Atom[];
  readonly min?: number | bigint;
  readonly max?: number | bigint;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly refTable?: string;
  readonly weak?: boolean;
}

export interface ColumnType {
  readonly key: BaseType;
  readonly value: BaseType | undefined;
  readonly min: number;
  /** Infinity when there is no limit. */
  readonly max: number;
}

const atomicNames: readonly string[] = ["integer", "real", "boolean", "string", "uuid"];

function atomicName(json: Json): AtomicName {
  if (typeof json === "string" && atomicNames.includes(json)) {
    return json as AtomicName;
  }
  throw typeof json === "string"
    ? syntaxError(json, `"${json}" is not an atomic-type`)
    : syntaxError(json, "atomic-type expected");
}

function enumeration(json: Json, type: AtomicName): readonly Atom[] {
  const elements = isArray(json) && json[0] === "set" && isArray(json[1]) ? json[1] : [json];
  const fits = (element: Json): boolean =>
    typeof element === (type === "string" ? "string" : type === "boolean" ? "boolean" : "number");
  if (!elements.every(fits)) {
    throw syntaxError(json, `expected ${type}`);
  }
  return ([...elements] as Atom[]).sort(compareAtoms);
}

/** Parses a `<base-type>`. */
export function parseBaseType(json: Json): BaseType {
  if (typeof json === "string") {
    return { type: atomicName(json) };
  }
  const parser = new ObjectParser(json, "ovsdb type");
  const type = atomicName(parser.required("type", "string"));
  const base: { -readonly [K in keyof BaseType]: BaseType[K] } = { type };
  const allowed = parser.optional("enum", "any");
  if (allowed !== undefined) {
    base.enum = enumeration(allowed, type);
  }
  if (type === "integer" || type === "real") {
    const kind = type === "integer" ? "Integer" : "Real";
    const min = parser.optional(`min${kind}`, type === "integer" ? "integer" : "number");
    const max = parser.optional(`max${kind}`, type === "integer" ? "integer" : "number");
    Object.assign(base, min === undefined ? {} : { min }, max === undefined ? {} : { max });
    if (min !== undefined && max !== undefined && min > max) {
      throw syntaxError(json, `min${kind} exceeds max${kind}`);
    }
  } else if (type === "string") {
    const minLength = parser.optional("minLength", "integer");
    const maxLength = parser.optional("maxLength", "integer");
    Object.assign(base, minLength === undefined ? {} : { minLength: Number(minLength) });
    Object.assign(base, maxLength === undefined ? {} : { maxLength: Number(maxLength) });
    if (minLength !== undefined && maxLength !== undefined && minLength > maxLength) {
      throw syntaxError(json, "minLength exceeds maxLength");
    }
  } else if (type === "uuid") {
    parseReference(parser, base);
  }
  parser.finish();
  return base;
}

function parseReference(parser: ObjectParser, base: { refTable?: string; weak?: boolean }): void {
  const refTable = parser.optional("refTable", "id");
  if (refTable !== undefined) {
    base.refTable = refTable;
    const refType = parser.optional("refType", "id") ?? "strong";
    if (refType !== "strong" && refType !== "weak") {
      parser.fail('refType must be "strong" or "weak" (not "' + refType + '")');
    }
    base.weak = refType === "weak";
  }
}

/** Parses a `<type>`. */
export function parseColumnType(json: Json): ColumnType {
  if (typeof json === "string") {
    return { key: parseBaseType(json), value: undefined, min: 1, max: 1 };
  }
  const parser = new ObjectParser(json, "ovsdb type");
  const key = parseBaseType(parser.required("key", "string", "object"));
  const value = parser.optional("value", "string", "object");
  const min = Number(parser.optional("min", "integer") ?? 1);
  const max = parser.optional("max", "integer", "string") ?? 1;
  parser.finish();
  if (typeof max === "string" && max !== "unlimited") {
    throw syntaxError(json, 'value of "max" must be integer or "unlimited"');
  }
  const type: ColumnType = {
    key,
    value: value === undefined ? undefined : parseBaseType(value),
    min,
    max: max === "unlimited" ? Infinity : Number(max),
  };
  if (min < 0 || min > 1 || type.max < 1 || type.max < min) {
    throw syntaxError(json, "ovsdb type fails constraint checks");
  }
  return type;
}

function baseJson(base: BaseType): Json {
  const upper = base.type === "integer" ? "Integer" : "Real";
  const json: Record<string, Json> = { type: base.type };
  if (base.enum !== undefined) {
    json["enum"] = ["set", base.enum];
  }
  const members: readonly (readonly [string, Json | undefined])[] = [
    [`min${upper}`, base.min],
    [`max${upper}`, base.max],
    ["minLength", base.minLength],
    ["maxLength", base.maxLength],
    ["refTable", base.refTable],
    ["refType", base.weak === true ? "weak" : undefined],
  ];
  for (const [name, value] of members) {
    if (value !== undefined) {
      json[name] = value;
    }
  }
  return Object.keys(json).length === 1 ? base.type : json;
}

/** The shortest JSON for a type. */
export function columnTypeJson(type: ColumnType): Json {
  const key = baseJson(type.key);
  if (isScalar(type) && typeof key === "string") {
    return key;
  }
  const json: Record<string, Json> = { key };
  if (type.value !== undefined) {
    json["value"] = baseJson(type.value);
  }
  if (type.min !== 1) {
    json["min"] = type.min;
  }
  if (type.max !== 1) {
    json["max"] = type.max === Infinity ? "unlimited" : type.max;
  }
  return json as JsonObject;
}

export function isScalar(type: ColumnType): boolean {
  return type.value === undefined && type.min === 1 && type.max === 1;
}

export function isOptionalScalar(type: ColumnType): boolean {
  return type.value === undefined && type.min === 0 && type.max === 1;
}

export function isMap(type: ColumnType): boolean {
  return type.value !== undefined;
}

export function isSet(type: ColumnType): boolean {
  return type.value === undefined && !(type.min === 1 && type.max === 1);
}

/** A type in words, for error messages. */
export function typeInEnglish(type: ColumnType): string {
  if (isScalar(type)) {
    return type.key.type;
  }
  const most = type.max === Infinity;
  const count = most
    ? type.min > 0
      ? ` ${type.min} or more`
      : ""
    : type.min > 0
      ? ` ${type.min} to ${type.max}`
      : ` up to ${type.max}`;
  return type.value === undefined
    ? `set of${count} ${type.key.type}s`
    : `map of${count} (${type.key.type}, ${type.value.type}) pairs`;
}

/** Orders two atoms of the same type. */
export function compareAtoms(a: Atom, b: Atom): number {
  if (typeof a === "string") {
    return compareStrings(a, b as string);
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The value of an atom where nothing was given. */
export function defaultAtom(type: AtomicName): Atom {
  switch (type) {
    case "integer":
    case "real":
      return 0;
    case "boolean":
      return false;
    case "string":
      return "";
    case "uuid":
      return "00000000-0000-0000-0000-000000000000" satisfies Uuid;
  }
}

/** An atom as text in messages: strings that are plain words stand bare. */
export function atomText(atom: Atom, type: AtomicName): string {
  if (typeof atom === "string" && type === "string") {
    const bare = /^[A-Za-z_][A-Za-z0-9_.-]*$/.test(atom) && atom !== "true" && atom !== "false";
    return bare && !/^[0-9a-f]{8}-/i.test(atom) ? atom : printSorted(atom);
  }
  return String(atom);
}
