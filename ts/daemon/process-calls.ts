/** Calls of the operating system that Node does not offer: native/addon/process.h says what each does. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { DpdkCalls } from "../netdev/index.js";

export interface ProcessCalls extends DpdkCalls {
  lockFile(path: string, mode: number): number;
  lockHolder(path: string): number;
  unlockFile(descriptor: number): number;
  lockMemory(): number;
  becomeUser(uid: number, gid: number, groups: readonly number[], capabilities: bigint): number;
  sendDatagram(path: string, bytes: Uint8Array): number;
  discardStandardStreams(): number;
  setDscp(descriptor: number, dscp: number): number;
  setAddress(device: string, address: string, mask: string): number;
  addGateway(address: string): number;
}

/** The directory of the package: where package.json is, whether we run from a checkout's dist/ or installed. */
export function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, "package.json"))) {
    const parent = dirname(directory);
    if (parent === directory) throw new Error("The package that this file belongs to has no package.json.");
    directory = parent;
  }
  return directory;
}

/** Loads the addon.  Throws node-gyp-build's error when it is not built. */
export function loadProcessCalls(): ProcessCalls {
  const load = createRequire(import.meta.url)("node-gyp-build") as (root: string) => ProcessCalls;
  return load(packageRoot());
}
