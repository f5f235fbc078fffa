import { error } from "./generated/records.js";

/** Errors of this room.  `code` is stable; the sentence names the object and what helps. */
export class DatapathError extends Error {
  readonly code: "DATAPATH_NOT_BUILT" | "DATAPATH_CLOSED" | "DATAPATH_SYSTEM" | "DATAPATH_COMMAND";
  readonly details: Readonly<Record<string, unknown>>;
  constructor(code: DatapathError["code"], sentence: string, details: Readonly<Record<string, unknown>> = {}) {
    super(sentence);
    this.name = "DatapathError";
    this.code = code;
    this.details = details;
  }
}

/** The errno value that a closed datapath answers with: EBADF. */
export const closedErrno = 9;

const names = new Map<number, string>(Object.entries(error).map(([name, value]) => [value, name]));

/** The name of an error of a command's result, such as `noSuchPort`. */
export function errorName(code: number): string {
  return names.get(code) ?? `error ${code}`;
}
