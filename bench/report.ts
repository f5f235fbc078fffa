/** Figures as JSON lines and as a table. */
import { type Figure, isMeasured, type Measured, median } from "./question.js";

function shown(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function cell(measured: Measured, scale: number): string {
  return isMeasured(measured) ? shown(median(measured.samples) / scale) : measured.missing;
}

/** Sluice's figure by Open vSwitch's; above 1 is more of it, whether or not that is good. */
function ratio(figure: Figure): number | undefined {
  if (!isMeasured(figure.sluice) || !isMeasured(figure.ovs)) return undefined;
  const base = median(figure.ovs.samples);
  return base === 0 ? undefined : median(figure.sluice.samples) / base;
}

export function jsonLine(figure: Figure): string {
  const of = (measured: Measured): object =>
    isMeasured(measured) ? { median: median(measured.samples), samples: measured.samples } : measured;
  const { id, text, metric } = figure;
  const better = metric.better;
  const unit = metric.scale === undefined ? metric.unit : `1/s`;
  return JSON.stringify({
    id,
    text,
    metric: metric.name,
    unit,
    better,
    sluice: of(figure.sluice),
    ovs: of(figure.ovs),
    ratio: ratio(figure),
  });
}

export function table(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => {
    const { metric } = figure;
    const scale = metric.scale ?? 1;
    const share = ratio(figure);
    const verdict =
      share === undefined ? "" : `${shown(share)} x${metric.better === "less" ? " (less is better)" : ""}`;
    return [figure.text, metric.unit, cell(figure.sluice, scale), cell(figure.ovs, scale), verdict];
  });
  const head = ["What", "Unit", "Sluice", "Open vSwitch", "Sluice / OVS"];
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(["---", "---", "---:", "---:", "---:"]), ...rows.map(line)].join("\n");
}
