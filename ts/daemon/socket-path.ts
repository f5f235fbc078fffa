import { closeSync, openSync } from "node:fs";
import { basename, dirname } from "node:path";

/** What fits into sockaddr_un with its final zero. */
const pathBytesMax = 107;

/** A name for a Unix socket that fits into an address, however long its path: longer ones go through /proc.  Call
 *  `close` when bind or connect is done. */
export function openSocketPath(path: string): { readonly path: string; readonly close: () => void } {
  if (Buffer.byteLength(path) <= pathBytesMax) return { path, close: () => {} };
  const descriptor = openSync(dirname(path), "r");
  return { path: `/proc/self/fd/${descriptor}/${basename(path)}`, close: () => closeSync(descriptor) };
}
