import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";

/** The C parser as a program, and Open vSwitch's beside it.  Each gives one line of text for each frame. */
export interface Parser {
  /** Members of the flow key as NAME=HEX. */
  parse(frames: readonly Uint8Array[]): string[];
  /** The frame that our composer makes of the frame's key, as hexadecimal digits. */
  recompose(frames: readonly Uint8Array[]): string[];
  /** What `ovs-ofctl parse-pcap` prints. */
  ofctl(frames: readonly Uint8Array[]): string[];
}

const files = ["test/parse_pcap.c", "packet.c", "parse.c", "compose.c", "checksum.c"];
const sources = files.map((file) => `native/packet/${file}`);
const flags = ["-std=gnu11", "-D_GNU_SOURCE", "-g", "-Inative", "-Inative/include"];
const sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

function pcap(all: readonly Uint8Array[]): Buffer {
  const parts = [Buffer.from("d4c3b2a1020004000000000000000000ffff000001000000", "hex")];
  for (const frame of all) {
    const header = Buffer.alloc(16);
    header.writeUInt32LE(frame.length, 8);
    header.writeUInt32LE(frame.length, 12);
    parts.push(header, Buffer.from(frame));
  }
  return Buffer.concat(parts);
}

/** Whether Open vSwitch's tools are there; says so when not. */
export function ofctlIsInstalled(): boolean {
  const installed = spawnSync("ovs-ofctl", ["--version"]).status === 0;
  if (!installed) console.log("skipped: ovs-ofctl is not installed");
  return installed;
}

function run(program: string, args: readonly string[]): string[] {
  const result = spawnSync(program, args, { encoding: "utf8", maxBuffer: 64 << 20 });
  assert.is(result.status, 0, result.stderr);
  return result.stdout
    .trimEnd()
    .split("\n")
    .map((line) => line.trim());
}

/** Builds the parser with sanitizers, lends it to `use`, and removes it. */
export function withParser(use: (parser: Parser) => void): void {
  const directory = mkdtempSync(join(tmpdir(), "sluice-parse-"));
  try {
    const program = join(directory, "parse_pcap");
    run("cc", [...flags, ...sanitizers, ...sources, "-o", program]);
    const file = join(directory, "frames.pcap");
    const save = (frames: readonly Uint8Array[]): string => {
      writeFileSync(file, pcap(frames));
      return file;
    };
    use({
      parse: (frames) => run(program, [save(frames)]),
      recompose: (frames) => run(program, [save(frames), "compose"]),
      ofctl: (frames) => run("ovs-ofctl", ["parse-pcap", save(frames)]),
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
}
