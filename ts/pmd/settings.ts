/** What `Open_vSwitch.other_config` says of threads and queues, and what is logged when it changes. */

export const algorithms = ["roundrobin", "cycles", "group"] as const;
export type Algorithm = (typeof algorithms)[number];

export interface PmdSettings {
  readonly mask: string | undefined;
  readonly algorithm: Algorithm;
  /** Whether a core that a queue is pinned to polls only such queues. */
  readonly isolate: boolean;
  readonly metrics: boolean;
  readonly maxSleepUs: number;
  readonly autoBalance: boolean;
  readonly balanceMinutes: number;
  readonly loadPercent: number;
  readonly improvementPercent: number;
}

/** What holds before the first configuration. */
export const initialSettings: PmdSettings = {
  mask: undefined,
  algorithm: "cycles",
  isolate: true,
  metrics: false,
  maxSleepUs: 0,
  autoBalance: false,
  balanceMinutes: 0,
  loadPercent: 0,
  improvementPercent: 0,
};

const defaults = { balanceMinutes: 1, balanceMinutesMax: 20_000, loadPercent: 95, improvementPercent: 25 };
const sleepUsMax = 10_000;

type Config = ReadonlyMap<string, string>;

/** As C's strtoull of a word that is all digits; undefined for what is not a number. */
function unsigned(config: Config, key: string): number | undefined {
  const text = config.get(key);
  return text !== undefined && /^\s*\+?\d+$/.test(text) ? Number(text) : undefined;
}

/** A percentage; what is none is the default. */
function percent(config: Config, key: string, fallback: number): number {
  const value = unsigned(config, key);
  return value === undefined || value > 100 ? fallback : value;
}

function boolean(config: Config, key: string, fallback: boolean): boolean {
  const text = config.get(key)?.toLowerCase();
  if (text === undefined) return fallback;
  return fallback ? text !== "false" : text === "true";
}

export interface ReadSettings {
  readonly settings: PmdSettings;
  readonly warnings: readonly string[];
}

export function readSettings(config: Config): ReadSettings {
  const warnings: string[] = [];
  const asked = config.get("pmd-rxq-assign") ?? "cycles";
  const algorithm = algorithms.find((name) => name === asked);
  if (algorithm === undefined)
    warnings.push("Unsupported rx queue to PMD assignment mode in pmd-rxq-assign. Defaulting to 'cycles'.");
  let isolate = boolean(config, "pmd-rxq-isolate", true);
  if (!isolate && algorithm !== "group") {
    warnings.push("pmd-rxq-isolate can only be set false when using pmd-rxq-assign=group");
    isolate = true;
  }
  const minutes = unsigned(config, "pmd-auto-lb-rebal-interval") ?? defaults.balanceMinutes;
  const settings: PmdSettings = {
    mask: config.get("pmd-cpu-mask"),
    algorithm: algorithm ?? "cycles",
    isolate,
    metrics: boolean(config, "pmd-perf-metrics", false),
    maxSleepUs: Math.min(unsigned(config, "pmd-maxsleep") ?? 0, sleepUsMax),
    autoBalance: boolean(config, "pmd-auto-lb", false),
    balanceMinutes: minutes > defaults.balanceMinutesMax ? defaults.balanceMinutes : Math.max(1, minutes),
    loadPercent: percent(config, "pmd-auto-lb-load-threshold", defaults.loadPercent),
    improvementPercent: percent(config, "pmd-auto-lb-improvement-threshold", defaults.improvementPercent),
  };
  return { settings, warnings };
}

/** What to log of a change; `was` is undefined for the first configuration. */
export function settingsLines(was: PmdSettings | undefined, is: PmdSettings): readonly string[] {
  const before = was ?? initialSettings;
  const lines: string[] = [];
  const tell = (key: keyof PmdSettings, line: string): boolean => {
    if (before[key] === is[key]) return false;
    lines.push(line);
    return true;
  };
  tell("metrics", `PMD performance metrics collection ${is.metrics ? "enabled" : "disabled"}`);
  tell("algorithm", `Rxq to PMD assignment mode changed to: '${is.algorithm}'.`);
  tell("isolate", is.isolate ? "pmd-rxq-affinity isolates PMD core" : "pmd-rxq-affinity does not isolate PMD core");
  const changes = [
    tell("balanceMinutes", `PMD auto load balance interval set to ${is.balanceMinutes} mins`),
    tell("improvementPercent", `PMD auto load balance improvement threshold set to ${is.improvementPercent}%`),
    tell("loadPercent", `PMD auto load balance load threshold set to ${is.loadPercent}%`),
  ];
  if (before.autoBalance !== is.autoBalance || changes.includes(true)) {
    lines.push(
      is.autoBalance
        ? `PMD auto load balance is enabled, interval ${is.balanceMinutes} mins, ` +
            `pmd load threshold ${is.loadPercent}%, improvement threshold ${is.improvementPercent}%.`
        : "PMD auto load balance is disabled.",
    );
  }
  if (was === undefined || was.maxSleepUs !== is.maxSleepUs) {
    lines.push(`PMD max sleep request is ${is.maxSleepUs} usecs.`);
    lines.push(`PMD load based sleeps are ${is.maxSleepUs > 0 ? "enabled" : "disabled"}.`);
  }
  return lines;
}
