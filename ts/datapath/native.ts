/** The addon: found in `build/Release` of a checkout or in `prebuilds` of an installed package. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { DatapathError } from "./errors.js";

export interface NativeOptions {
  /** The event ring's memory, over a SharedArrayBuffer. */
  readonly ring: Uint8Array;
  readonly workers: number;
  readonly flowLimit: number;
}

/** native/addon/datapath.cc.  Numbers below zero are negated errno values; a closed datapath says EBADF. */
export interface NativeDatapath {
  submit(batch: Uint8Array, results: Uint8Array): number;
  query(query: Uint8Array, reply: Uint8Array): number;
  run(maxBursts: number): number;
  now(): number;
  destroy(): void;
  ref(): void;
  unref(): void;
}

export interface NativeModule {
  readonly NativeDatapath: new (options: NativeOptions, wake: () => void) => NativeDatapath;
}

function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, "package.json")) && dirname(directory) !== directory) {
    directory = dirname(directory);
  }
  return directory;
}

/** Loads the addon; the module system keeps it. */
export function loadNative(): NativeModule {
  const root = packageRoot();
  const require = createRequire(import.meta.url);
  try {
    return (require("node-gyp-build") as (root: string) => NativeModule)(root);
  } catch (cause) {
    const reason = cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause);
    throw new DatapathError(
      "DATAPATH_NOT_BUILT",
      `The native datapath cannot be loaded (${reason}); run \`npm run build\` in ${root}.`,
      { root, reason },
    );
  }
}
