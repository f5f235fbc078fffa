/** Writes every generated file, or with --check tells which differ.  Each generator is a pure function from rows to
 *  files: a map from a path below the project's root to its content. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { generate as generateAbi } from "./generate-abi.js";
import { generate as generateAppctl } from "./generate-appctl.js";
import { generate as generateOpenflow } from "./generate-openflow.js";
import { generate as generateOvsdb } from "./generate-ovsdb.js";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const check = process.argv.includes("--check");
let stale = 0;

for (const [path, content] of [...generateAbi(), ...generateAppctl(), ...generateOpenflow(), ...generateOvsdb()]) {
  const file = join(root, path);
  let before: string | undefined;
  try {
    before = readFileSync(file, "utf8");
  } catch {
    before = undefined;
  }
  if (before === content) continue;
  stale += 1;
  console.log(`${check ? "stale" : "wrote"} ${path}`);
  if (check) continue;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}
if (check && stale > 0) process.exitCode = 1;
