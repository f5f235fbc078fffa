import { type HistoryInfo, histogram } from "../datapath/generated/records.js";
import { type Bins, binsOf, type Figures, type Zero } from "./figures.js";
import { histogramWalls, queueFillWalls } from "./histogram.js";

/** `dpif-netdev/pmd-perf-show`. */

const divide = (part: bigint | number, whole: bigint | number): number =>
  Number(whole) === 0 ? 0 : Number(part) / Number(whole);
const whole = (part: bigint, by: bigint): bigint => (by === 0n ? 0n : part / by);
const fixed = (value: number, digits: number, width = 0): string => value.toFixed(digits).padStart(width);
const count = (value: bigint | number | string): string => String(value).padStart(12);
const share = (part: bigint, all: bigint): string => `${fixed(100 * divide(part, all), 1, 5)} %`;

/** How the thread spent its time, and on what.  `seconds`: since when. */
export function overallText(figures: Figures, seconds: number): string {
  if (seconds === 0) return "";
  const { cycles, turns, packets, hits, hz } = figures;
  const used = cycles.idle + cycles.busy;
  const us = (value: bigint): number => (Number(value) * 1e6) / hz;
  const passes = packets.received + packets.recirculated;
  const lines = [
    `  Iterations:         ${count(turns.all)}  (${fixed(divide(us(used + cycles.sleep), turns.all), 2)} us/it)`,
    `  - Used TSC cycles:  ${count(used)}  (${fixed((100 * Number(used)) / seconds / hz, 1, 5)} % of total cycles)`,
    `  - idle iterations:  ${count(turns.idle)}  (${share(cycles.idle, used)} of used cycles)`,
    `  - busy iterations:  ${count(turns.all - turns.idle)}  (${share(cycles.busy, used)} of used cycles)`,
    `  - sleep iterations: ${count(turns.sleeps)}  (${share(turns.sleeps, turns.all)} of iterations)`,
    `  Sleep time (us):    ${count(us(cycles.sleep).toFixed(0))}  ` +
      `(${fixed(divide(us(cycles.sleep), turns.sleeps), 0, 3)} us/iteration avg.)`,
  ];
  if (packets.received === 0n) lines.push(`  Rx packets:         ${count(0)}`);
  else {
    const row = (name: string, value: bigint, more = ""): string =>
      `  - ${name}${count(value)}  (${share(value, passes)}${more})`;
    lines.push(
      `  Rx packets:         ${count(packets.received)}  (${fixed(Number(packets.received) / seconds / 1000, 0)} Kpps, ` +
        `${fixed(divide(cycles.busy, packets.received), 0)} cycles/pkt)`,
      `  Datapath passes:    ${count(passes)}  (${fixed(divide(passes, packets.received), 2)} passes/pkt)`,
      row("PHWOL hits:       ", 0n),
      row("MFEX Opt hits:    ", 0n),
      row("Simple Match hits:", hits.simple),
      row("EMC hits:         ", hits.exact),
      row("SMC hits:         ", 0n),
      row("Megaflow hits:    ", hits.masked, `, ${fixed(divide(hits.searches, hits.masked), 2)} subtbl lookups/hit`),
      row("Upcalls:          ", hits.misses, `, ${fixed(divide(us(cycles.miss), hits.misses), 1)} us/upcall`),
      row("Lost upcalls:     ", 0n),
    );
  }
  if (packets.sent === 0n) lines.push(`  Tx packets:         ${count(0)}\n`);
  else {
    lines.push(
      `  Tx packets:         ${count(packets.sent)}  (${fixed(Number(packets.sent) / seconds / 1000, 0)} Kpps)`,
      `  Tx batches:         ${count(figures.sentBatches)}  ` +
        `(${fixed(divide(packets.sent, figures.sentBatches), 2)} pkts/batch)`,
    );
  }
  return lines.map((line) => `${line}\n`).join("");
}

/** Columns of the histograms; undefined: what Sluice does not measure. */
const columns: readonly { readonly head: string; readonly foot?: string; readonly kind: number | undefined }[] = [
  { head: "cycles/it", kind: histogram.cycles },
  { head: "packets/it", kind: histogram.packets },
  { head: "cycles/pkt", kind: histogram.cyclesPerPacket },
  { head: "pkts/batch", kind: histogram.packetsPerBatch },
  { head: "max vhost qlen", foot: "vhost qlen", kind: undefined },
  { head: "upcalls/it", kind: histogram.misses },
  { head: "cycles/upcall", kind: histogram.cyclesPerMiss },
];

const emptyBins: Bins = queueFillWalls.map(() => 0n);

/** `now` and `zero` of one worker; `figures` the same as numbers. */
export function histogramsText(now: Zero, zero: Zero | undefined, figures: Figures): string {
  const parts = columns.map(({ kind }) =>
    kind === undefined
      ? { walls: queueFillWalls, bins: emptyBins }
      : (binsOf(now, zero, kind) ?? { walls: histogramWalls(kind), bins: emptyBins }),
  );
  const row = (cells: readonly string[]): string => `   ${cells.map((cell) => cell.padEnd(21)).join("  ")}`;
  const cell = (wall: string, bin: bigint | undefined): string => `${wall.padEnd(9)} ${String(bin ?? 0n).padEnd(11)}`;
  const last = emptyBins.length - 1;
  const lines = ["Histograms", row(columns.map(({ head }) => head))];
  for (let index = 0; index <= last; index++)
    lines.push(
      row(parts.map(({ walls, bins }) => cell(index === last ? ">" : String(walls[index] ?? 0n), bins[index]))),
    );
  const { cycles, turns, packets, hits } = figures;
  const batches = now.info.nBatches - (zero?.info.nBatches ?? 0n);
  if (turns.all > 0n) {
    lines.push("-".repeat(154), row(columns.map(({ head, foot }) => foot ?? head)));
    lines.push(
      row([
        String(whole(cycles.idle + cycles.busy, turns.all)),
        fixed(divide(packets.received, turns.all), 5),
        String(whole(cycles.busy, packets.received)),
        fixed(divide(packets.received, batches), 5),
        fixed(0, 5),
        fixed(divide(hits.misses, turns.all), 5),
        String(whole(cycles.miss, hits.misses)),
      ]),
    );
  }
  return lines.map((line) => `${line}\n`).join("");
}

const cells = (widths: readonly number[], values: readonly (string | bigint)[], gap: string): string =>
  `   ${values.map((value, index) => String(value).padEnd(widths[index] ?? 0)).join(gap)}\n`;

/** The last turns, newest first. */
export function turnsText(turns: readonly HistoryInfo[]): string {
  const head = ["iter", "cycles", "packets", "cycles/pkt", "pkts/batch", "vhost qlen", "upcalls", "cycles/upcall"];
  const rows = turns.map((turn) =>
    cells(
      [18, 11, 11, 11, 11, 11, 11, 11],
      [
        turn.stamp,
        turn.cycles,
        turn.nPackets,
        whole(turn.cycles, turn.nPackets),
        whole(turn.nPackets, turn.nBatches),
        "0",
        turn.nMisses,
        whole(turn.missCycles, turn.nMisses),
      ],
      "  ",
    ),
  );
  return [cells([17, 10, 10, 10, 10, 10, 10, 10], head, "   "), ...rows].join("");
}

/** The last milliseconds, newest first. */
export function millisecondsText(history: readonly HistoryInfo[]): string {
  const head = [
    "ms",
    "iterations",
    "cycles/it",
    "Kpps",
    "cycles/pkt",
    "pkts/batch",
    "vhost qlen",
    "upcalls",
    "cycles/upcall",
  ];
  const rows = history.map((ms) =>
    cells(
      [13, 11, 11, 11, 11, 11, 11, 11, 11],
      [
        ms.stamp,
        ms.nTurns,
        whole(ms.cycles, ms.nTurns),
        ms.nPackets,
        whole(ms.busyCycles, ms.nPackets),
        whole(ms.nPackets, ms.nBatches),
        "0",
        ms.nMisses,
        whole(ms.missCycles, ms.nMisses),
      ],
      "  ",
    ),
  );
  return [cells([12, 10, 10, 10, 10, 10, 10, 10, 10], head, "   "), ...rows].join("");
}
