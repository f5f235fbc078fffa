import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { type Megaflow, megaflows } from "../datapath/index.js";
import { flowText, matchInPort, withTlvMap } from "../openflow/index.js";
import { type DatapathView, findBridge, findDatapath } from "./appctl-datapath.js";
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
  return lines.join("");
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

function dumpMegaflows(
  all: Ofprotos,
  ofprotos: readonly Ofproto[],
  words: FlowWords,
  flags: DumpFlags,
  dpctl: boolean,
): string {
  const names = datapathPortNames(ofprotos);
  const ours = new Set(ofprotos.flatMap((one) => one.ports()).map((port) => port.spec.dpPort));
  const now = nowOf(all);
  const lines: string[] = [];
  for (const flow of megaflows(all.datapath)) {
    if (!ours.has(matchInPort(flow.match))) continue;
    const style = { now, names: flags.names ? names : undefined, more: flags.more, dpctl };
    lines.push(`${formatMegaflow(flow, words, style)}\n`);
  }
  return lines.join("");
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
        return dumpMegaflows(all, [findBridge(all, flags.rest[0] ?? "")], words, flags, false);
      },
    },
    {
      name: "dpctl/dump-flows",
      usage: "[-m] [--names] [dp] [filter=..] [type=..] [pmd=..]",
      minArgs: 0,
      maxArgs: 6,
      handler: (args) => {
        const flags = dumpFlags(args);
        const view = findDatapath(
          all,
          flags.rest.find((arg) => !arg.includes("=")),
        );
        const text = dumpMegaflows(all, view.ofprotos, words, flags, true);
        return view.type === "system" || text === "" ? text : `flow-dump from the main thread:\n${text}`;
      },
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
