import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { history } from "../datapath/generated/records.js";
import { workerHistory } from "../datapath/index.js";
import { figuresOf, readZeros, type Zero } from "./figures.js";
import { histogramsText, millisecondsText, overallText, turnsText } from "./perf-text.js";
import { rxqText, shownSeconds } from "./rxq-text.js";
import { statsText } from "./stats-text.js";
import type { PmdThread, PmdThreads } from "./threads.js";

/** The commands `dpif-netdev/pmd-*` of `ovs-appctl`. */

const historyMax = 1000;

/** What the words of such a command ask for. */
interface Asked {
  readonly core: number | undefined;
  readonly seconds: number | undefined;
  readonly datapath: string | undefined;
}

const digits = (text: string): number | undefined => (/^\d+$/.test(text) ? Number(text) : undefined);

function readWords(words: readonly string[], withSeconds: boolean): Asked {
  let asked: Asked = { core: undefined, seconds: undefined, datapath: undefined };
  for (let at = 0; at < words.length; at++) {
    const [word = "", next] = words.slice(at);
    if (word === "-pmd" && next !== undefined) {
      asked = { ...asked, core: digits(next) ?? asked.core };
      at++;
    } else if (withSeconds && word === "-secs" && next !== undefined) {
      asked = { ...asked, seconds: digits(next) };
      at++;
    } else asked = { ...asked, datapath: word };
  }
  return asked;
}

interface PerfAsked {
  readonly histograms: boolean;
  readonly turns: number;
  readonly milliseconds: number;
  readonly rest: readonly string[];
}

function readPerfWords(words: readonly string[]): PerfAsked {
  const limit = (text: string): number => Math.min(Math.max(Number.parseInt(text, 10) || 0, 0), historyMax);
  let asked = { histograms: true, turns: 0, milliseconds: 0 };
  for (let at = 0; at < words.length; at++) {
    const [word = "", next] = words.slice(at);
    if (word === "-nh") asked = { ...asked, histograms: false };
    else if (word === "-it" && next !== undefined) asked = { ...asked, turns: limit(words[++at] ?? "") };
    else if (word === "-ms" && next !== undefined) asked = { ...asked, milliseconds: limit(words[++at] ?? "") };
    else return { ...asked, rest: words.slice(at) };
  }
  return { ...asked, rest: [] };
}

const title = ({ numa, core }: PmdThread): string => `pmd thread numa_id ${numa} core_id ${core}`;

export interface PmdCommandsOptions {
  readonly threads: PmdThreads;
  /** Names of the datapaths that there are: `ovs-netdev`. */
  readonly datapaths: () => readonly string[];
}

export function pmdCommands({ threads, datapaths }: PmdCommandsOptions): readonly UnixctlCommand[] {
  /** Whatever is not the name of a datapath means the only one. */
  const mustFind = (name: string | undefined, anyNameWillDo: boolean): void => {
    const all = datapaths();
    if (name !== undefined && all.includes(name)) return;
    if (all.length !== 1 || (name !== undefined && !anyNameWillDo))
      throw new UnixctlError("please specify an existing datapath");
  };
  const find = (words: readonly string[], withSeconds = false): { asked: Asked; chosen: readonly PmdThread[] } => {
    const asked = readWords(words, withSeconds);
    mustFind(asked.datapath, true);
    return { asked, chosen: threads.threads.filter(({ core }) => asked.core === undefined || asked.core === core) };
  };
  const now = (): ReadonlyMap<number, Zero> => readZeros(threads.datapath, threads.clock.monotonic());
  const sharedOf = (all: ReadonlyMap<number, Zero>): readonly Zero[] =>
    [...all.values()].filter(({ info }) => info.worker < threads.sharedWorkers);

  const showStats = (words: readonly string[]): string => {
    const { asked, chosen } = find(words);
    const all = now();
    const text = chosen.map((thread) => {
      const one = all.get(thread.worker);
      return one === undefined ? "" : statsText(title(thread), figuresOf([one], threads.zeros));
    });
    // A number of a core excludes those without one.
    if (asked.core === undefined) text.push(statsText("main thread", figuresOf(sharedOf(all), threads.zeros)));
    return text.join("");
  };
  const clearStats = (words: readonly string[]): string => {
    const { asked, chosen } = find(words);
    const shared = asked.core === undefined ? sharedOf(now()).map(({ info }) => info.worker) : [];
    threads.clear([...chosen.map(({ worker }) => worker), ...shared]);
    return "";
  };
  const showQueues = (words: readonly string[]): string => {
    const { asked, chosen } = find(words, true);
    const seconds = shownSeconds(asked.seconds);
    if (chosen.length === 0 && asked.core !== undefined) return "";
    return [
      `Displaying last ${seconds} seconds pmd usage %\n`,
      ...chosen.map((thread) => rxqText(threads, thread, seconds)),
    ].join("");
  };
  const showPerf = (words: readonly string[]): string => {
    const { histograms, turns, milliseconds, rest } = readPerfWords(words);
    const { chosen } = find(rest);
    const all = now();
    const time = new Date(threads.clock.wall()).toISOString().slice(11, 23);
    return chosen
      .map((thread) => {
        const one = all.get(thread.worker);
        if (one === undefined) return "";
        const zero = threads.zeros.get(thread.worker);
        const seconds = (one.atMs - (zero?.atMs ?? 0)) / 1000;
        const figures = figuresOf([one], threads.zeros);
        const parts = [
          `\nTime: ${time}\nMeasurement duration: ${seconds.toFixed(3)} s\n\n${title(thread)}:\n\n`,
          overallText(figures, seconds),
        ];
        if (threads.settings.metrics) {
          if (histograms) parts.push(`\n${histogramsText(one, zero, figures)}`);
          const last = (kind: number, limit: number, from: number | bigint) =>
            workerHistory(threads.datapath, thread.worker, kind, limit).filter(({ stamp }) => stamp > from);
          if (turns > 0) parts.push(`\n${turnsText(last(history.turns, turns, zero?.info.nPolls ?? 0))}`);
          if (milliseconds > 0) parts.push(`\n${millisecondsText(last(history.milliseconds, milliseconds, 0))}`);
        }
        return parts.join("");
      })
      .join("");
  };
  const command = (
    name: string,
    usage: string,
    maxArgs: number,
    handler: (words: readonly string[]) => string,
  ): UnixctlCommand => ({ name: `dpif-netdev/${name}`, usage, minArgs: 0, maxArgs, handler });

  return [
    command("pmd-stats-show", "[-pmd core] [dp]", 3, showStats),
    command("pmd-stats-clear", "[-pmd core] [dp]", 3, clearStats),
    command("pmd-rxq-show", "[-pmd core] [-secs secs] [dp]", 5, showQueues),
    command("pmd-perf-show", "[-nh] [-it iter-history-len] [-ms ms-history-len] [-pmd core] [dp]", 8, showPerf),
    command("pmd-rxq-rebalance", "[dp]", 1, ([name]) => {
      mustFind(name, false);
      threads.reconfigure();
      return "pmd rxq rebalance requested.\n";
    }),
  ];
}
