/** What goes wrong in a database, in the words that clients of ovsdb-server know. */
import type { Json, JsonObject } from "./json.js";
import { printSorted } from "./json.js";

/** An error that a client is told as `{"error": tag, "details": ..., "syntax": ...}`. */
export class OvsdbError extends Error {
  /** Stable word for programs, the same as `tag`. */
  readonly code: string;

  /** @param tag the `error` member on the wire
   *  @param details the sentence
   *  @param syntax text of the JSON that was at fault */
  constructor(
    readonly tag: string,
    readonly details: string,
    readonly syntax?: string,
  ) {
    super(syntax === undefined ? `${tag}: ${details}` : `syntax "${syntax}": ${tag}: ${details}`);
    this.name = "OvsdbError";
    this.code = tag;
  }

  toJson(): JsonObject {
    return {
      details: this.details,
      error: this.tag,
      ...(this.syntax === undefined ? {} : { syntax: this.syntax }),
    };
  }
}

/** An error about a piece of JSON, which is quoted in it. */
export function syntaxError(json: Json, details: string, tag = "syntax error"): OvsdbError {
  return new OvsdbError(tag, details, printSorted(json));
}
