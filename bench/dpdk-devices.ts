/** DPDK's virtual devices, the same for both sides, and a loop over them without a switch. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Source, writePcap } from "./frames.js";
import type { Forwarding } from "./side.js";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

export const dpdkArguments = ["--no-huge", "--legacy-mem", "-m", "1024", "--no-pci", "--no-telemetry"] as const;

/** Swallows what is sent. */
export const dpdkSink = "net_null1,no-rx=1";

/** The device that makes the frames of `source` on port `port` without end; what it repeats is put into `directory`. */
export function dpdkSource(directory: string, source: Source, port: number): string {
  // The sink, on port 2, has number 1.
  const number = port - 1;
  if (source.zeroes === true) return `net_null${number}`;
  const file = join(directory, `source${port}.pcap`);
  writePcap(file, source);
  return `net_pcap${number},rx_pcap=${file},infinite_rx=1`;
}

/** Compiles native/dpdk/bench/io_bench.c and lets it carry net_null's frames to net_null. */
export async function runBareLoop(
  layout: "packed" | "pages",
  seconds: number,
): Promise<Pick<Forwarding, "packetsPerSecond" | "cyclesPerPacket">> {
  const directory = mkdtempSync(join(tmpdir(), "bench-io-"));
  const prefix = `slbench-i${process.pid}`;
  const run = (tool: string, ...args: readonly string[]): string => execFileSync(tool, args, { encoding: "utf8" });
  try {
    const program = join(directory, "io_bench");
    const flags = run("pkg-config", "--cflags", "--libs", "libdpdk").trim().split(/\s+/);
    const source = join(root, "native", "dpdk", "bench", "io_bench.c");
    run("cc", "-O2", "-o", program, source, ...flags);
    const devices = ["--vdev", "net_null0", "--vdev", dpdkSink];
    const eal = ["-l", "1", ...dpdkArguments, "--log-level=1", `--file-prefix=${prefix}`, ...devices];
    return JSON.parse(run(program, ...eal, "--", layout, String(seconds))) as Awaited<ReturnType<typeof runBareLoop>>;
  } finally {
    rmSync(directory, { recursive: true, force: true });
    rmSync(join("/var/run/dpdk", prefix), { recursive: true, force: true });
  }
}
