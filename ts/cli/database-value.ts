/** Values of columns as ovs-vsctl reads them from its command line. */
import type { Atom, ColumnType } from "../ovsdb/column-type.js";
import { checkAtom, type Datum, sortedDatum } from "../ovsdb/datum.js";
import { OvsdbError } from "../ovsdb/error.js";
import { Failure } from "./failure.js";

const punctuation = /[\s,=[\]{}()]/;

/** Splits text into words and the marks between them; a word in double quotes is a JSON string. */
function tokens(text: string): { readonly mark: boolean; readonly text: string }[] {
  const list: { mark: boolean; text: string }[] = [];
  for (let at = 0; at < text.length; ) {
    const letter = text[at]!;
    if (letter === '"') {
      const match = /^"(?:[^"\\]|\\.)*"/.exec(text.slice(at));
      if (match === null) throw new Failure(`${text}: unterminated quoted string`);
      list.push({ mark: false, text: JSON.parse(match[0]) as string });
      at += match[0].length;
    } else if (punctuation.test(letter)) {
      if (/[=[\]{}]/.test(letter)) list.push({ mark: true, text: letter });
      at++;
    } else {
      let end = at;
      // Inside a word a colon, a slash or a bracketless mark belongs to it, as in an address.
      while (end < text.length && !/[\s,=[\]{}"]/.test(text[end]!)) end++;
      list.push({ mark: false, text: text.slice(at, end) });
      at = end;
    }
  }
  return list;
}

function integer(text: string): number | bigint {
  if (!/^[+-]?(0x[0-9a-f]+|\d+)$/i.test(text)) throw new Failure(`"${text}" is not a valid integer or range`);
  const value = text.startsWith("-") ? -BigInt(text.slice(1)) : BigInt(text.replace(/^\+/, ""));
  const small = Number(value);
  return Number.isSafeInteger(small) ? small : value;
}

function uuid(text: string): string {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) throw new Failure(`"${text}" is not a valid UUID`);
  return text.toLowerCase();
}

function atom(text: string, base: ColumnType["key"]): Atom {
  const value = ((): Atom => {
    switch (base.type) {
      case "integer":
        return integer(text);
      case "real": {
        const real = Number(text);
        if (text === "" || Number.isNaN(real)) throw new Failure(`"${text}" is not a valid real number`);
        return real;
      }
      case "boolean":
        if (/^(true|yes|on|1)$/.test(text)) return true;
        if (/^(false|no|off|0)$/.test(text)) return false;
        throw new Failure(`"${text}" is not a valid boolean (use "true" or "false")`);
      case "uuid":
        return uuid(text);
      case "string":
        return text;
    }
  })();
  try {
    checkAtom(value, base);
  } catch (error) {
    if (error instanceof OvsdbError) throw new Failure(error.message);
    throw error;
  }
  return value;
}

/** `5`, `[1,2]`, `1,2`, `{a=b}` or `a=b,c=d`, as the column's type wants it. */
export function parseValue(text: string, type: ColumnType): Datum {
  const list = tokens(text).filter((token) => !(token.mark && token.text !== "="));
  // A string column of one element may be empty, or hold marks that mean nothing in it.
  if (type.value === undefined && type.max === 1 && type.key.type === "string" && !/^["[]/.test(text)) {
    return sortedDatum([atom(text, type.key)], undefined);
  }
  const keys: Atom[] = [];
  const values: Atom[] = [];
  for (let at = 0; at < list.length; at++) {
    const word = list[at]!;
    if (word.mark) throw new Failure(`${text}: syntax error at "="`);
    keys.push(atom(word.text, type.key));
    if (type.value === undefined) continue;
    if (list[at + 1]?.text !== "=" || list[at + 2] === undefined) {
      throw new Failure(`${text}: syntax error at "${list[at + 1]?.text ?? ""}" expecting "="`);
    }
    values.push(atom(list[at + 2]!.text, type.value));
    at += 2;
  }
  if (keys.length < type.min || keys.length > type.max) {
    const most = type.max === Number.POSITIVE_INFINITY ? "any number of" : String(type.max);
    throw new Failure(`"${text}": ${keys.length} values where between ${type.min} and ${most} are allowed`);
  }
  try {
    return sortedDatum(keys, type.value === undefined ? undefined : values);
  } catch (error) {
    if (error instanceof OvsdbError) throw new Failure(`${text}: ${error.message}`);
    throw error;
  }
}

/** One pair for a map column: what `COLUMN:KEY=VALUE` sets. */
export function withPair(datum: Datum, key: string, value: string, type: ColumnType): Datum {
  if (type.value === undefined) throw new Failure("cannot specify key to set for non-map column");
  const keyAtom = atom(key, type.key);
  const pairs = new Map(datum.keys.map((one, at) => [one, datum.values?.[at] ?? ""] as const));
  const quoted = /^"/.test(value) ? (JSON.parse(value) as string) : value;
  pairs.set(keyAtom, atom(quoted, type.value));
  return sortedDatum([...pairs.keys()], [...pairs.values()]);
}
