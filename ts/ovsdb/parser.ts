/** Takes JSON objects apart, and says what is missing, of the wrong type, or too much. */

import { OvsdbError, syntaxError } from "./error.js";
import type { Json, JsonObject } from "./json.js";
import { isArray, isInteger, isObject } from "./json.js";

/** Types that a member may have; `id` is a string that is an RFC 7047 `<id>`. */
export interface MemberTypes {
  array: readonly Json[];
  object: JsonObject;
  string: string;
  id: string;
  boolean: boolean;
  integer: number | bigint;
  number: number | bigint;
  any: Json;
}

export function isId(text: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(text);
}

function hasType(json: Json, type: keyof MemberTypes): boolean {
  switch (type) {
    case "array":
      return isArray(json);
    case "object":
      return isObject(json);
    case "string":
      return typeof json === "string";
    case "id":
      return typeof json === "string" && isId(json);
    case "boolean":
      return typeof json === "boolean";
    case "integer":
      return isInteger(json);
    case "number":
      return typeof json === "number" || typeof json === "bigint";
    case "any":
      return true;
  }
}

/** One object being taken apart.  Every method throws the error that Open vSwitch gives. */
export class ObjectParser {
  private readonly used = new Set<string>();
  private readonly object: JsonObject;

  constructor(
    private readonly json: Json,
    private readonly name: string,
  ) {
    this.object = isObject(json) ? json : {};
    if (!isObject(json)) {
      throw new OvsdbError("syntax error", `Parsing ${name} failed: Object expected.`);
    }
  }

  fail(message: string): never {
    throw syntaxError(this.json, `Parsing ${this.name} failed: ${message}`);
  }

  optional<T extends keyof MemberTypes>(name: string, ...types: readonly T[]): MemberTypes[T] | undefined {
    const value = Object.hasOwn(this.object, name) ? this.object[name] : undefined;
    if (value === undefined) {
      return undefined;
    }
    this.used.add(name);
    if (!types.some((type) => hasType(value, type))) {
      this.fail(`Type mismatch for member '${name}'.`);
    }
    return value as MemberTypes[T];
  }

  required<T extends keyof MemberTypes>(name: string, ...types: readonly T[]): MemberTypes[T] {
    const value = this.optional(name, ...types);
    if (value === undefined) {
      this.fail(`Required '${name}' member is missing.`);
    }
    return value;
  }

  /** Refuses members that nobody asked for. */
  finish(): void {
    for (const name of Object.keys(this.object)) {
      if (!this.used.has(name)) {
        this.fail(`Member '${name}' is present but not allowed here.`);
      }
    }
  }
}
