import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { type Megaflow, megaflows, workerStats } from "../datapath/index.js";
import { flowText, matchInPort, withTlvMap } from "../openflow/index.js";
import { type DatapathView, findBridge, findDatapath } from "./appctl-datapath.js";
import { bondRules } from "./bond-commands.js";
import { dumpFlows, everyFlow } from "./flow-records.js";
import { datapathPortNames } from "./flow-table.js";
import type { FlowWords } from "./flow-words.js";
import { formatMegaflow, formatUfid } from "./megaflow-text.js";
import type { Ofproto } from "./ofproto.js";
import type { Ofprotos } from "./ofprotos.js";

/** The commands that print flows: bridge/dump-flows, dpif/dump-flows, dpctl/dump-flows. */

function dumpBridge(ofproto: Ofproto, words: FlowWords, withOffload: boolean): string {
  const lines: string[] = [];
  for (const flow of dumpFlows(ofproto.datapath, ofproto.bridge, { ...everyFlow, includeHidden: true })) {
    const seconds = Math.floor(Number(flow.nowMs - flow.createdMs) / 1000);
    const table = flow.table === 0 ? "" : `table_id=${flow.table}, `;
    const offload = withOffload ? "n_offload_packets=0, n_offload_bytes=0, " : "";
    const match = withTlvMap(ofproto.tlvs, () => words.match(flow.matchBytes, flow.priority, undefined));
    const actions = words.actions(flow.actionsBytes, undefined);
    lines.push(
      `${table}duration=${seconds}s, n_packets=${flow.nPackets}, n_bytes=${flow.nBytes}, ${offload}${match},actions=${actions}\n`,
    );
  }
  return [...lines, ...bondRules(ofproto)].join("");
}

function isIn(view: DatapathView, flow: Megaflow): boolean {
  const dpPort = matchInPort(flow.match);
  return view.ofprotos.some((ofproto) => ofproto.ports().some((port) => port.spec.dpPort === dpPort));
}

interface DumpFlags {
  readonly more: boolean;
  readonly names: boolean;
  readonly rest: readonly string[];
}

/** Splits options off.  `-m` prints ports by name unless told not to. */
function dumpFlags(args: readonly string[]): DumpFlags {
  const more = args.includes("-m") || args.includes("--more");
  return {
    more,
    names: args.includes("--names") || (more && !args.includes("--no-names")),
    rest: args.filter((arg) => !arg.startsWith("-")),
  };
}

/** What `pmd=` says of workers without a core, and how they are told apart here. */
const mainThread = -1;

/** Lines of megaflows by the core whose thread has them. */
function megaflowLines(
  all: Ofprotos,
  ofprotos: readonly Ofproto[],
  words: FlowWords,
  flags: DumpFlags,
  dpctl: boolean,
): ReadonlyMap<number, readonly string[]> {
  const names = datapathPortNames(ofprotos);
  const ours = new Set(ofprotos.flatMap((one) => one.ports()).map((port) => port.spec.dpPort));
  const now = nowOf(all);
  const cores = new Map([...workerStats(all.datapath)].map(({ worker, core }) => [worker, core | 0]));
  const lines = new Map<number, string[]>();
  for (const flow of megaflows(all.datapath)) {
    if (!ours.has(matchInPort(flow.match))) continue;
    const style = { now, names: flags.names ? names : undefined, more: flags.more, dpctl };
    const core = cores.get(flow.worker) ?? mainThread;
    const line = `${formatMegaflow(flow, words, style)}\n`;
    const there = lines.get(core);
    if (there === undefined) lines.set(core, [line]);
    else there.push(line);
  }
  return lines;
}

function dumpDatapath(all: Ofprotos, args: readonly string[], words: FlowWords): string {
  const flags = dumpFlags(args);
  const view = findDatapath(
    all,
    flags.rest.find((arg) => !arg.includes("=")),
  );
  const lines = megaflowLines(all, view.ofprotos, words, flags, true);
  const asked = flags.rest.find((arg) => arg.startsWith("pmd="))?.slice("pmd=".length);
  if (asked !== undefined) {
    const core = Number.parseInt(asked, 10);
    // As in Open vSwitch, which says no more of it.
    if (Number.isNaN(core)) throw new UnixctlError("");
    return (lines.get(core) ?? []).join("");
  }
  const title = (core: number): string => {
    if (view.type === "system") return "";
    return core === mainThread ? "flow-dump from the main thread:\n" : `flow-dump from pmd on cpu core: ${core}\n`;
  };
  return [...lines]
    .sort(([a], [b]) => a - b)
    .map(([core, part]) => `${title(core)}${part.join("")}`)
    .join("");
}

/** The datapath's clock, as the newest time that anything there carries. */
export function nowOf(all: Ofprotos): number {
  const datapath: object = all.datapath;
  if ("now" in datapath && typeof datapath.now === "function") return Number(datapath.now.call(datapath));
  return all.clock.monotonic();
}

export function flowCommands(all: Ofprotos, words: FlowWords = flowText): readonly UnixctlCommand[] {
  return [
    {
      name: "bridge/dump-flows",
      usage: "[--offload-stats] bridge",
      minArgs: 1,
      maxArgs: 2,
      handler: (args) =>
        dumpBridge(
          findBridge(all, args[args.length - 1] ?? "", "Unknown bridge"),
          words,
          args.includes("--offload-stats"),
        ),
    },
    {
      name: "dpif/dump-flows",
      usage: "[-m] [--names | --no-names] bridge",
      minArgs: 1,
      maxArgs: Number.POSITIVE_INFINITY,
      handler: (args) => {
        const flags = dumpFlags(args);
        const lines = megaflowLines(all, [findBridge(all, flags.rest[0] ?? "")], words, flags, false);
        return [...lines.values()].flat().join("");
      },
    },
    {
      name: "dpctl/dump-flows",
      usage: "[-m] [--names] [dp] [filter=..] [type=..] [pmd=..]",
      minArgs: 0,
      maxArgs: 6,
      handler: (args) => dumpDatapath(all, args, words),
    },
    {
      name: "dpctl/get-flow",
      usage: "[dp] ufid",
      minArgs: 1,
      maxArgs: 2,
      handler: (args) => {
        const wanted = args.at(-1) ?? "";
        const view = findDatapath(all, args.length > 1 ? args[0] : undefined);
        if (!/^ufid:[0-9a-f-]{36}$/i.test(wanted))
          throw new UnixctlError("ovs-vswitchd: parsing flow ufid (Invalid argument)");
        for (const flow of megaflows(all.datapath)) {
          if (formatUfid(flow) !== wanted.toLowerCase() || !isIn(view, flow)) continue;
          return `${formatMegaflow(flow, words, { now: nowOf(all), names: undefined, more: false, dpctl: true })}\n`;
        }
        throw new UnixctlError("ovs-vswitchd: getting flow (No such file or directory)");
      },
    },
  ];
}
