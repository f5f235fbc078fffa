/** JSON values as OVSDB uses them: 64-bit integers survive, and text comes out as Open vSwitch prints it. */

/** An integer that a double cannot hold exactly is a bigint; every other number is a number. */
export type Json = null | boolean | number | bigint | string | readonly Json[] | JsonObject;

export interface JsonObject {
  readonly [name: string]: Json;
}

/** Deeper nesting is refused, as Open vSwitch refuses it. */
export const depthMax = 1000;

const int64Limit = 2 ** 63;

export function isObject(json: Json | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

export function isArray(json: Json | undefined): json is readonly Json[] {
  return Array.isArray(json);
}

/** Whether Open vSwitch takes this number for an integer: whole, and within 64 bits. */
export function isInteger(json: Json | undefined): json is number | bigint {
  return (
    typeof json === "bigint" || (typeof json === "number" && Number.isInteger(json) && Math.abs(json) < int64Limit)
  );
}

/** A whole number in its one form: a number when a double holds it exactly, else a bigint. */
export function normalInteger(value: number | bigint): number | bigint {
  if (typeof value === "number") {
    return Number.isSafeInteger(value) ? value + 0 : BigInt(value);
  }
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

/** Parses one JSON text.
 *  @throws SyntaxError when the text is not JSON. */
export function parseJson(text: string): Json {
  // JSON.parse rounds long integers; only a text that has a long run of digits takes the slower exact way.
  return /[0-9]{16}/.test(text) ? new ExactParser(text).parse() : (JSON.parse(text) as Json);
}

/** Prints a value without spaces, members in the order they have. */
export function printJson(json: Json): string {
  try {
    return JSON.stringify(json);
  } catch {
    return print(json, false);
  }
}

/** Prints a value without spaces, members sorted by name. */
export function printSorted(json: Json): string {
  return print(json, true);
}

/** A real number as C prints it with %.15g, or with the 17 digits that it takes to tell it from its neighbours. */
function printReal(value: number): string {
  let digits = value.toPrecision(15);
  let precision = 15;
  if (Number(digits) !== value) {
    digits = value.toPrecision(17);
    precision = 17;
  }
  const [mantissa = "", exponent] = Number(digits)
    .toExponential(precision - 1)
    .split("e");
  const power = Number(exponent);
  if (power >= -4 && power < precision) {
    const plain = value.toFixed(Math.min(Math.max(precision - 1 - power, 0), 100));
    return plain.includes(".") ? plain.replace(/\.?0+$/, "") : plain;
  }
  const sign = power < 0 ? "-" : "+";
  return `${mantissa.replace(/\.?0+$/, "")}e${sign}${String(Math.abs(power)).padStart(2, "0")}`;
}

function print(json: Json, sorted: boolean): string {
  if (typeof json === "bigint") {
    return json.toString();
  }
  if (typeof json === "number" && !Number.isSafeInteger(json)) {
    return isInteger(json) ? BigInt(json).toString() : printReal(json);
  }
  if (isArray(json)) {
    return `[${json.map((element) => print(element, sorted)).join(",")}]`;
  }
  if (isObject(json)) {
    const names = Object.keys(json);
    if (sorted) {
      names.sort(compareStrings);
    }
    return `{${names.map((name) => `${JSON.stringify(name)}:${print(json[name] as Json, sorted)}`).join(",")}}`;
  }
  return JSON.stringify(json);
}

/** Orders strings by their UTF-8 bytes, as strcmp does; JavaScript's `<` differs beyond U+FFFF. */
export function compareStrings(a: string, b: string): number {
  if (a === b) {
    return 0;
  }
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    let x = a.charCodeAt(i);
    let y = b.charCodeAt(i);
    if (x !== y) {
      // Surrogates stand for code points above every other code unit.
      x = x >= 0xd800 && x <= 0xdfff ? x + 0x10000 : x;
      y = y >= 0xd800 && y <= 0xdfff ? y + 0x10000 : y;
      return x - y;
    }
  }
  return a.length - b.length;
}

/** JSON.parse, except that integers keep all their digits. */
class ExactParser {
  private at = 0;

  constructor(private readonly text: string) {}

  parse(): Json {
    const value = this.value(0);
    this.space();
    if (this.at !== this.text.length) {
      this.fail();
    }
    return value;
  }

  private fail(): never {
    throw new SyntaxError(`Unexpected text in JSON at position ${this.at}`);
  }

  private space(): void {
    while (" \t\n\r".includes(this.text[this.at] ?? "x")) {
      this.at++;
    }
  }

  private take(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found === null) {
      this.fail();
    }
    this.at += found[0].length;
    return found[0];
  }

  private string(): string {
    return JSON.parse(this.take(/"(?:[^"\\]|\\.)*"/sy)) as string;
  }

  private value(depth: number): Json {
    if (depth > depthMax) {
      this.fail();
    }
    this.space();
    const c = this.text[this.at];
    if (c === '"') {
      return this.string();
    }
    if (c === "{") {
      return this.object(depth);
    }
    if (c === "[") {
      return this.array(depth);
    }
    if (c === "t" || c === "f" || c === "n") {
      return JSON.parse(this.take(/true|false|null/y)) as Json;
    }
    return this.number();
  }

  private number(): number | bigint {
    const text = this.take(/-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y);
    const rounded = Number(text);
    if (/^-?[0-9]{16,20}$/.test(text)) {
      const exact = BigInt(text);
      return BigInt.asIntN(64, exact) === exact ? normalInteger(exact) : rounded;
    }
    return rounded;
  }

  private array(depth: number): Json {
    const elements: Json[] = [];
    this.at++;
    this.space();
    if (this.text[this.at] === "]") {
      this.at++;
      return elements;
    }
    for (;;) {
      elements.push(this.value(depth + 1));
      this.space();
      if (this.take(/[,\]]/y) === "]") {
        return elements;
      }
    }
  }

  private object(depth: number): Json {
    const members: [string, Json][] = [];
    this.at++;
    this.space();
    if (this.text[this.at] === "}") {
      this.at++;
      return {};
    }
    for (;;) {
      this.space();
      const name = this.string();
      this.space();
      this.take(/:/y);
      members.push([name, this.value(depth + 1)]);
      this.space();
      if (this.take(/[,}]/y) === "}") {
        return Object.fromEntries(members);
      }
    }
  }
}
