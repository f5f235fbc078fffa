import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { flowText, keyValues, OpenFlowError, withTlvMap } from "../openflow/index.js";
import { portNames, type TraceResult, traceFlow } from "./flow-table.js";
import type { FlowWords } from "./flow-words.js";
import { dumpGroups } from "./groups.js";
import type { Ofproto } from "./ofproto.js";
import type { Ofprotos } from "./ofprotos.js";
import { type TraceArguments, traceArguments } from "./trace-arguments.js";

/** The commands that tell why a packet goes where it goes: ofproto/trace, ofproto/trace-packet-out. */

const usage = "{[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet]";
const instructions: ReadonlySet<string> = new Set([
  "goto_table",
  "write_metadata",
  "write_actions",
  "clear_actions",
  "meter",
]);

/** What the command prints: the text, or with `--json` the tree that it is printed from. */
function reply(result: TraceResult, asked: TraceArguments): string {
  const { text, ...tree } = result;
  return asked.json ? `${JSON.stringify(tree, undefined, 2)}\n` : text;
}

/** The actions of a packet-out, held against what a controller may ask for. */
function packetOutActions(text: string, asked: TraceArguments, words: FlowWords): Uint8Array {
  const named = keyValues(text);
  const instruction = named.find(({ key }) => instructions.has(key));
  if (instruction !== undefined) throw new UnixctlError(`${instruction.key} instruction not allowed here`);
  const actions = words.parseActions(text, portNames(asked.ofproto));
  try {
    if (asked.consistent) words.checkActions(asked.key, actions);
    for (const { key, value } of named) if (key === "group") needGroup(asked.ofproto, Number(value));
  } catch (error) {
    if (!(error instanceof OpenFlowError)) throw error;
    throw new UnixctlError(`Bad actions: ${error.code}`);
  }
  return actions;
}

function needGroup(ofproto: Ofproto, id: number): void {
  for (const _group of dumpGroups(ofproto, id)) return;
  throw new OpenFlowError("OFPBAC_BAD_OUT_GROUP", `${ofproto.name} has no group ${id}`);
}

export function traceCommands(all: Ofprotos, words: FlowWords = flowText): readonly UnixctlCommand[] {
  return [
    {
      name: "ofproto/trace",
      usage,
      minArgs: 1,
      maxArgs: Number.POSITIVE_INFINITY,
      handler: (args) => {
        const asked = traceArguments(all, args, words, false);
        return withTlvMap(asked.ofproto.tlvs, () => reply(traceFlow(asked.ofproto, asked.key, asked), asked));
      },
    },
    {
      name: "ofproto/trace-packet-out",
      usage: `[-consistent] ${usage} actions`,
      minArgs: 2,
      maxArgs: Number.POSITIVE_INFINITY,
      handler: (args) => {
        const asked = traceArguments(all, args.slice(0, -1), words, true);
        return withTlvMap(asked.ofproto.tlvs, () => {
          const actions = packetOutActions(args.at(-1) ?? "", asked, words);
          return reply(traceFlow(asked.ofproto, asked.key, { ...asked, actions }), asked);
        });
      },
    },
  ];
}
