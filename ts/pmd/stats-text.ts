import type { Figures } from "./figures.js";

/** `dpif-netdev/pmd-stats-show`. */

const ratio = (part: bigint, whole: bigint): string => (whole === 0n ? 0 : Number(part) / Number(whole)).toFixed(2);

/** The figures of one thread, or of all those that are shown as the main one.  Sluice has one cache in front of the megaflows,
 *  which is counted as Open vSwitch's exact-match cache, and bursts that take what the one before took are counted as its
 *  simple matches; it has nothing else of the kind, and never fails to translate. */
export function statsText(name: string, figures: Figures): string {
  const { cycles, packets, hits } = figures;
  const total = cycles.idle + cycles.busy;
  const share = (part: bigint): string => `${part} (${((100 * Number(part)) / Number(total)).toFixed(2)}%)`;
  const lines = [
    `${name}:`,
    `  packets received: ${packets.received}`,
    `  packet recirculations: ${packets.recirculated}`,
    `  avg. datapath passes per packet: ${ratio(packets.received + packets.recirculated, packets.received)}`,
    "  phwol hits: 0",
    "  mfex opt hits: 0",
    `  simple match hits: ${hits.simple}`,
    `  emc hits: ${hits.exact}`,
    "  smc hits: 0",
    `  megaflow hits: ${hits.masked}`,
    `  avg. subtable lookups per megaflow hit: ${ratio(hits.masked === 0n ? 0n : hits.searches, hits.masked)}`,
    `  miss with success upcall: ${hits.misses}`,
    "  miss with failed upcall: 0",
    `  avg. packets per output batch: ${ratio(packets.sent, figures.sentBatches)}`,
  ];
  if (total !== 0n) {
    lines.push(`  idle cycles: ${share(cycles.idle)}`, `  processing cycles: ${share(cycles.busy)}`);
    if (packets.received !== 0n) {
      lines.push(
        `  avg cycles per packet: ${ratio(total, packets.received)} (${total}/${packets.received})`,
        `  avg processing cycles per packet: ${ratio(cycles.busy, packets.received)} (${cycles.busy}/${packets.received})`,
      );
    }
  }
  return lines.map((line) => `${line}\n`).join("");
}
