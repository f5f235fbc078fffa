import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";

/** The C library's words for a failure, as Open vSwitch prints them: libuv has them with a small letter. */
export function errnoText(errno: number): string {
  const text = getSystemErrorMap().get(-Math.abs(errno))?.[1] ?? `Unknown error ${errno}`;
  const exceptions: Readonly<Record<number, string>> = {
    [constants.errno.EAGAIN]: "Resource temporarily unavailable",
    [constants.errno.EEXIST]: "File exists",
  };
  return exceptions[Math.abs(errno)] ?? text.charAt(0).toUpperCase() + text.slice(1);
}

/** The same of an error that Node threw. */
export function systemErrorText(error: unknown): string {
  if (typeof error === "object" && error !== null && "errno" in error && typeof error.errno === "number") {
    return errnoText(error.errno);
  }
  return error instanceof Error ? error.message : String(error);
}
