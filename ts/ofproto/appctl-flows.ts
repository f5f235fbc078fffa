import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { arrival, type Megaflow, megaflows } from "../datapath/index.js";
import { ByteWriter, flowText, inPortMatch, KeyMatch, matchInPort, planOf, withTlvMap } from "../openflow/index.js";
import { type DatapathView, datapathViews, findBridge, findDatapath } from "./appctl-datapath.js";
import { dumpFlows, everyFlow } from "./flow-records.js";
import { datapathPortNames, portNames, traceFlow } from "./flow-table.js";
import type { FlowWords } from "./flow-words.js";
import { formatMegaflow, formatUfid } from "./megaflow-text.js";
import type { Ofproto } from "./ofproto.js";
import type { Ofprotos } from "./ofprotos.js";

/** The commands that print flows: bridge/dump-flows, dpif/dump-flows, dpctl/dump-flows, ofproto/trace. */

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

// ofproto/trace.

interface TraceArguments {
  readonly ofproto: Ofproto;
  /** ABI match with the packet's key; in_port is an OpenFlow port. */
  readonly key: Uint8Array;
  readonly packet: Uint8Array;
  readonly actions: Uint8Array;
  readonly generate: boolean;
  readonly names: boolean;
}

function isDatapathFlow(text: string): boolean {
  return /\(/.test(text) && /^[a-z_0-9]+\(/.test(text);
}

function isHex(text: string): boolean {
  return text.length % 2 === 0 && /^[0-9a-fA-F]+$/.test(text);
}

function traceArguments(
  all: Ofprotos,
  args: readonly string[],
  words: FlowWords,
  withActions: boolean,
): TraceArguments {
  const options = { names: false, generate: false };
  const rest: string[] = [];
  for (const arg of args) {
    if (arg === "--names") options.names = true;
    else if (arg === "-generate" || arg === "--generate") options.generate = true;
    else if (arg !== "--no-names" && arg !== "-consistent" && arg !== "--consistent") rest.push(arg);
  }
  const actionsText = withActions ? rest.pop() : undefined;
  let packet = new Uint8Array(0);
  const last = rest[rest.length - 1] ?? "";
  if (rest.length > 1 && isHex(last) && !last.includes("=")) {
    packet = Uint8Array.from(Buffer.from(last, "hex"));
    rest.pop();
  }
  const { ofproto, key } = flowToTrace(all, rest, words);
  const actions = actionsText === undefined ? new Uint8Array(0) : words.parseActions(actionsText, portNames(ofproto));
  return { ofproto, key, packet, actions, ...options };
}

/** `[dp] odp_flow` or `bridge br_flow`. */
function flowToTrace(all: Ofprotos, rest: readonly string[], words: FlowWords): { ofproto: Ofproto; key: Uint8Array } {
  const [first = "", second] = rest;
  const flow = second ?? first;
  if (isDatapathFlow(flow)) {
    if (second !== undefined && !datapathViews(all).some((view) => matches(view, first))) {
      throw new UnixctlError("Cannot find the datapath");
    }
    const view = findDatapath(all, second === undefined ? undefined : first);
    return onOpenFlowPort(view, words.parseDatapathMatch(flow, datapathPortNames(view.ofprotos)));
  }
  if (second === undefined) throw new UnixctlError(`syntax error at ${first} (or the bridge name was omitted)`);
  const ofproto = findBridge(all, first, `${first}: unknown bridge`);
  try {
    return { ofproto, key: words.parseMatch(flow, portNames(ofproto)) };
  } catch (error) {
    throw new UnixctlError(
      `Bad openflow flow syntax: ${flow}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function matches(view: DatapathView, name: string): boolean {
  return view.name === name || view.name.endsWith(`@${name}`);
}

/** A flow on a datapath port, as the bridge sees it that has the port. */
function onOpenFlowPort(view: DatapathView, match: Uint8Array): { ofproto: Ofproto; key: Uint8Array } {
  const found = arrival(view.datapath, match);
  const ofproto = found === undefined ? undefined : view.ofprotos.find((one) => one.bridge === found.bridge);
  if (found !== undefined && ofproto !== undefined) {
    const key = new KeyMatch();
    key.read(match);
    const on = new KeyMatch();
    on.read(inPortMatch(found.ofpPort));
    const { value, mask } = key;
    on.mask.forEach((byte, index) => {
      if (byte === 0) return;
      mask[index] = byte;
      value[index] = on.value[index] ?? 0;
    });
    const out = new ByteWriter();
    key.write(out);
    return { ofproto, key: out.finish() };
  }
  if (isTunneled(match)) throw new UnixctlError("no OpenFlow tunnel port for this packet");
  throw new UnixctlError(`no OpenFlow port for datapath port ${matchInPort(match)}`);
}

/** Whether a flow of the datapath came out of a tunnel. */
function isTunneled(match: Uint8Array): boolean {
  const key = new KeyMatch();
  key.read(match);
  return [planOf("tun_dst"), planOf("tun_ipv6_dst")].some((plan) => key.wireBytes(plan).some((byte) => byte !== 0));
}

function runTrace(all: Ofprotos, args: readonly string[], words: FlowWords, withActions: boolean): string {
  const { ofproto, key, ...input } = traceArguments(all, args, words, withActions);
  return withTlvMap(ofproto.tlvs, () => traceFlow(ofproto, key, input).text);
}

export function flowCommands(all: Ofprotos, words: FlowWords = flowText): readonly UnixctlCommand[] {
  const traceUsage = "{[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet]";
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
    {
      name: "ofproto/trace",
      usage: traceUsage,
      minArgs: 1,
      maxArgs: Number.POSITIVE_INFINITY,
      handler: (args) => runTrace(all, args, words, false),
    },
    {
      name: "ofproto/trace-packet-out",
      usage: `[-consistent] ${traceUsage} actions`,
      minArgs: 2,
      maxArgs: Number.POSITIVE_INFINITY,
      handler: (args) => runTrace(all, args, words, true),
    },
  ];
}
