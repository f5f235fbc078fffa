import {
  dumpReplyOffsets,
  dumpReplySize,
  readTraceStep,
  recordOffsets,
  type TraceStep,
  traceKind,
  traceStepSize,
} from "../datapath/generated/records.js";
import { pad8 } from "./abi-batch.js";

/** What a translation did, as a tree: bridges hold tables, tables hold actions, actions hold remarks and the tables and
 *  bridges that they lead to. */
export interface TraceNode {
  readonly kind: "bridge" | "rule" | "miss" | "action" | "note" | "action_set";
  readonly step: TraceStep;
  /** ABI match of a rule. */
  readonly match: Uint8Array;
  /** ABI actions: the action itself, or those of a remark. */
  readonly actions: Uint8Array;
  readonly children: TraceNode[];
}

export interface Trace {
  readonly roots: readonly TraceNode[];
  /** The flow afterwards, as an ABI match; undefined when it is unchanged. */
  readonly finalFlow: Uint8Array | undefined;
  /** What was read, as an ABI match. */
  readonly megaflow: Uint8Array;
  readonly datapathActions: Uint8Array;
  /** drop_reason, when translation failed. */
  readonly failure: number | undefined;
}

const kinds: Readonly<Record<number, TraceNode["kind"]>> = {
  [traceKind.bridge]: "bridge",
  [traceKind.rule]: "rule",
  [traceKind.miss]: "miss",
  [traceKind.action]: "action",
  [traceKind.note]: "note",
  [traceKind.actionSet]: "action_set",
};

/** Reads the datapath's reply to a trace. */
export function readTrace(reply: Uint8Array): Trace {
  const view = new DataView(reply.buffer, reply.byteOffset, reply.length);
  const count = view.getUint32(dumpReplyOffsets.nRecords, true);
  const roots: TraceNode[] = [];
  /** The open node of each depth. */
  const open: TraceNode[] = [];
  let finalFlow: Uint8Array | undefined;
  let megaflow = new Uint8Array(0);
  let datapathActions = new Uint8Array(0);
  let failure: number | undefined;
  let at = dumpReplySize;
  for (let index = 0; index < count; index++) {
    const step = readTraceStep(view, at);
    const matchAt = at + traceStepSize;
    const actionsAt = matchAt + pad8(step.matchSize);
    const match = reply.slice(matchAt, matchAt + step.matchSize);
    const actions = reply.slice(actionsAt, actionsAt + step.actionsSize);
    at += view.getUint32(at + recordOffsets.size, true);
    const kind = kinds[step.kind];
    if (kind !== undefined) {
      const node: TraceNode = { kind, step, match, actions, children: [] };
      const depth = Math.min(step.depth, open.length);
      open.length = depth;
      (open[depth - 1]?.children ?? roots).push(node);
      open.push(node);
    } else if (step.kind === traceKind.finalFlow) finalFlow = step.a === 1n ? undefined : match;
    else if (step.kind === traceKind.megaflow) megaflow = match;
    else if (step.kind === traceKind.datapathActions) datapathActions = actions;
    else if (step.kind === traceKind.error) failure = step.code;
  }
  return { roots, finalFlow, megaflow, datapathActions, failure };
}
