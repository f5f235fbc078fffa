import { UnixctlError } from "../appctl/index.js";
import { arrival } from "../datapath/index.js";
import { ByteWriter, inPortMatch, KeyMatch, matchInPort, planOf } from "../openflow/index.js";
import { type DatapathView, datapathViews, findBridge, findDatapath } from "./appctl-datapath.js";
import { datapathPortNames, portNames } from "./flow-table.js";
import type { FlowWords } from "./flow-words.js";
import type { Ofproto } from "./ofproto.js";
import type { Ofprotos } from "./ofprotos.js";

/** The words behind ofproto/trace. */

export interface TraceArguments {
  readonly ofproto: Ofproto;
  /** ABI match with the packet's key; in_port is an OpenFlow port. */
  readonly key: Uint8Array;
  readonly packet?: Uint8Array;
  readonly generate: boolean;
  readonly payload?: Uint8Array;
  readonly names: boolean;
  /** Actions must not need more of the packet than the flow says. */
  readonly consistent: boolean;
  readonly json: boolean;
}

const payloadMax = 64_000;
const frameMin = 14;

/** Bytes of text in hexadecimal.  Throws as Open vSwitch does. */
function hexBytes(text: string): Uint8Array {
  const digits = text.replace(/\s+/g, "");
  if (digits.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(digits))
    throw new UnixctlError("Trailing garbage in packet data");
  return Uint8Array.from(Buffer.from(digits, "hex"));
}

function frame(text: string): Uint8Array {
  const bytes = hexBytes(text);
  if (bytes.length < frameMin) throw new UnixctlError("Packet data too short for Ethernet");
  return bytes;
}

function payloadOfLength(text: string): Uint8Array {
  const length = Number.parseInt(text, 10) || 0;
  if (length > payloadMax || length < 0) throw new UnixctlError(`${text}: too much L7 data`);
  return Uint8Array.from({ length }, (_, index) => index);
}

const stateBits: Readonly<Record<string, number>> = {
  new: 0x01,
  est: 0x02,
  rel: 0x04,
  rpl: 0x08,
  inv: 0x10,
  trk: 0x20,
  snat: 0x40,
  dnat: 0x80,
};

/** A connection's state, as ct() would find it when the packet comes back. */
function connectionState(text: string): number {
  let state = 0;
  for (const name of text.split(/[, ]+/).filter((word) => word !== "")) {
    const bit = stateBits[name];
    if (bit === undefined) throw new UnixctlError(`${name}: unknown connection tracking state flag`);
    state |= bit;
  }
  const { trk, inv, est, rpl } = stateBits as { trk: number; inv: number; est: number; rpl: number };
  const told = Object.keys(stateBits).filter((name) => (state & (stateBits[name] as number)) !== 0);
  const wrong: string[] = [];
  if (state !== 0 && (state & trk) === 0) wrong.push('If "trk" is unset, no other flags are set');
  if ((state & inv) !== 0 && (state & ~(trk | inv)) !== 0) wrong.push('when "inv" is set, only "trk" may also be set');
  if ((state & 1) !== 0 && (state & est) !== 0) wrong.push('"new" and "est" are mutually exclusive');
  if ((state & 1) !== 0 && (state & rpl) !== 0) wrong.push('"new" and "rpy" are mutually exclusive');
  if (wrong.length > 0)
    throw new UnixctlError(wrong.map((one) => `${told.join("|")}: invalid connection state: ${one}\n`).join(""));
  return state;
}

/** Reads `[dp] odp_flow` or `bridge br_flow`, with options and a packet.  `packetOut`: of ofproto/trace-packet-out. */
export function traceArguments(
  all: Ofprotos,
  args: readonly string[],
  words: FlowWords,
  packetOut: boolean,
): TraceArguments {
  const options = { names: false, generate: false, consistent: false, json: false };
  let payload: Uint8Array | undefined;
  const rest: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] as string;
    const value = (): string => {
      const next = args[++index];
      if (next === undefined) throw new UnixctlError(`Missing argument for option ${arg}`);
      return next;
    };
    if (arg === "--names" || arg === "-names") options.names = true;
    else if (arg === "-generate" || arg === "--generate") options.generate = true;
    else if (arg === "--json") options.json = true;
    else if (packetOut && (arg === "-consistent" || arg === "--consistent")) options.consistent = true;
    else if (arg === "--l7") payload = hexBytes(value());
    else if (arg === "--l7-len") payload = payloadOfLength(value());
    else if (arg === "--ct-next") connectionState(value());
    else if (arg.startsWith("-")) throw new UnixctlError(`${arg}: unknown option`);
    else if (rest.length === 3) throw new UnixctlError("too many arguments");
    else rest.push(arg);
  }
  const packet = options.generate ? undefined : takePacket(rest);
  if (rest.length === 0 || rest.length > 2) throw new UnixctlError("Syntax error");
  return {
    ...flowToTrace(all, rest, words),
    ...options,
    ...(packet === undefined ? {} : { packet }),
    ...(payload === undefined ? {} : { payload }),
  };
}

/** Takes the packet off the end, if there is one.  Of three words the last must be one. */
function takePacket(rest: string[]): Uint8Array | undefined {
  if (rest.length < 2) return undefined;
  try {
    const bytes = frame(rest.at(-1) as string);
    rest.pop();
    return bytes;
  } catch (error) {
    if (rest.length > 2) throw error;
    return undefined;
  }
}

function isDatapathFlow(text: string): boolean {
  return /^\s*(ufid:[0-9a-fA-F-]+[,\s]+)?[a-z_0-9]+\(/.test(text);
}

function flowToTrace(all: Ofprotos, rest: readonly string[], words: FlowWords): { ofproto: Ofproto; key: Uint8Array } {
  const [first = "", second] = rest;
  const flow = second ?? first;
  if (isDatapathFlow(flow)) {
    if (second !== undefined && !datapathViews(all).some((view) => matches(view, first))) {
      throw new UnixctlError("Cannot find the datapath");
    }
    const view = findDatapath(all, second === undefined ? undefined : first);
    // A dumped flow is traced as the packet that it was made for: what it leaves open does not matter.
    const packet = flow.replace(/\/[^,()]+/g, "");
    return onOpenFlowPort(view, words.parseDatapathMatch(packet, datapathPortNames(view.ofprotos)));
  }
  if (second === undefined) throw new UnixctlError(`syntax error at ${first} (or the bridge name was omitted)`);
  const ofproto = findBridge(all, first, `${first}: unknown bridge`);
  try {
    return { ofproto, key: words.parseFlow(flow, portNames(ofproto)) };
  } catch (error) {
    throw new UnixctlError(`Bad openflow flow syntax: ${error instanceof Error ? error.message : String(error)}`);
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
  const key = new KeyMatch();
  key.read(match);
  const recirculated = key.number(planOf("recirc_id"));
  if (recirculated !== 0) throw new UnixctlError(`no recirculation data for recirc_id 0x${recirculated.toString(16)}`);
  if (isTunneled(key)) throw new UnixctlError("no OpenFlow tunnel port for this packet");
  throw new UnixctlError(`no OpenFlow port for datapath port ${matchInPort(match)}`);
}

/** Whether a flow of the datapath came out of a tunnel. */
function isTunneled(key: KeyMatch): boolean {
  return [planOf("tun_dst"), planOf("tun_ipv6_dst")].some((plan) => key.wireBytes(plan).some((byte) => byte !== 0));
}
