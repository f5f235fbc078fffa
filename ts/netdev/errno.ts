import { error as abiError, type Result } from "../datapath/generated/records.js";

/** The C library's words for the error numbers that opening and setting devices gives, as operators know them. */
const words: ReadonlyMap<number, string> = new Map([
  [1, "Operation not permitted"],
  [2, "No such file or directory"],
  [5, "Input/output error"],
  [6, "No such device or address"],
  [11, "Resource temporarily unavailable"],
  [12, "Cannot allocate memory"],
  [13, "Permission denied"],
  [16, "Device or resource busy"],
  [17, "File exists"],
  [19, "No such device"],
  [22, "Invalid argument"],
  [24, "Too many open files"],
  [28, "No space left on device"],
  [34, "Numerical result out of range"],
  [36, "File name too long"],
  [38, "Function not implemented"],
  [71, "Protocol error"],
  [92, "Protocol not available"],
  [93, "Protocol not supported"],
  [95, "Operation not supported"],
  [97, "Address family not supported by protocol"],
  [98, "Address already in use"],
  [100, "Network is down"],
  [105, "No buffer space available"],
]);

export const errno = {
  noEntry: 2,
  noDevice: 19,
  exists: 17,
  invalid: 22,
  notSupported: 95,
  addressFamily: 97,
  addressInUse: 98,
  noMemory: 12,
  protocol: 71,
  busy: 16,
} as const;

export function errnoWords(number: number): string {
  return words.get(number) ?? `Unknown error ${number}`;
}

/** An errno value for the outcome of a batch's first command; 0 when it worked. */
export function errnoOf(results: readonly Result[]): number {
  const result = results[0];
  if (result === undefined || result.error === 0) return 0;
  if (result.systemError !== 0) return result.systemError;
  if (result.error === abiError.notSupported) return errno.notSupported;
  if (result.error === abiError.exists) return errno.exists;
  if (result.error === abiError.noSuchPort) return errno.noDevice;
  if (result.error === abiError.noMemory) return errno.noMemory;
  return errno.invalid;
}
