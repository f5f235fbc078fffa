import { readTraceStep, type TraceStep, traceKind, traceStepSize } from "../datapath/generated/records.js";
import { pad8 } from "../datapath/index.js";

/** What a translation did, as the datapath tells it: steps in the tree that their depths make. */
export interface StepNode {
  readonly kind: "bridge" | "rule" | "miss" | "action" | "note" | "actionSet" | "thaw" | "bucket";
  readonly step: TraceStep;
  /** ABI match of a rule. */
  readonly match: Uint8Array;
  /** ABI actions: the action itself, or those of a remark. */
  readonly actions: Uint8Array;
  readonly children: StepNode[];
}

export interface TraceSteps {
  readonly roots: readonly StepNode[];
  /** The flow before, as an ABI match. */
  readonly flow: Uint8Array;
  /** The flow afterwards, as an ABI match; undefined when it is unchanged. */
  readonly finalFlow: Uint8Array | undefined;
  /** What was read, as an ABI match. */
  readonly megaflow: Uint8Array;
  readonly datapathActions: Uint8Array;
  /** Bits of slow_reason: why each packet of the flow is looked at. */
  readonly slow: bigint;
  /** drop_reason, when translation failed. */
  readonly failure: number | undefined;
}

const kinds: Readonly<Record<number, StepNode["kind"]>> = {
  [traceKind.bridge]: "bridge",
  [traceKind.rule]: "rule",
  [traceKind.miss]: "miss",
  [traceKind.action]: "action",
  [traceKind.note]: "note",
  [traceKind.actionSet]: "actionSet",
  [traceKind.thaw]: "thaw",
  [traceKind.bucket]: "bucket",
};

/** Reads the steps of a trace, each a trace_step record. */
export function readTrace(steps: readonly Uint8Array[]): TraceSteps {
  const roots: StepNode[] = [];
  /** The open node of each depth. */
  const open: StepNode[] = [];
  let flow: Uint8Array = new Uint8Array(0);
  let finalFlow: Uint8Array | undefined;
  let megaflow: Uint8Array = new Uint8Array(0);
  let datapathActions: Uint8Array = new Uint8Array(0);
  let slow = 0n;
  let failure: number | undefined;
  for (const record of steps) {
    const step = readTraceStep(new DataView(record.buffer, record.byteOffset, record.length), 0);
    const actionsAt = traceStepSize + pad8(step.matchSize);
    const match = record.slice(traceStepSize, traceStepSize + step.matchSize);
    const actions = record.slice(actionsAt, actionsAt + step.actionsSize);
    const kind = kinds[step.kind];
    if (kind !== undefined) {
      const node: StepNode = { kind, step, match, actions, children: [] };
      const depth = Math.min(step.depth, open.length);
      open.length = depth;
      const siblings = open[depth - 1]?.children ?? roots;
      (kind === "actionSet" ? actionSetList(siblings) : siblings).push(node);
      open.push(node);
    } else if (step.kind === traceKind.flow) flow = match;
    else if (step.kind === traceKind.finalFlow) finalFlow = step.a === 1n ? undefined : match;
    else if (step.kind === traceKind.megaflow) megaflow = match;
    else if (step.kind === traceKind.datapathActions) datapathActions = actions;
    else if (step.kind === traceKind.slow) slow = step.a;
    else if (step.kind === traceKind.error) failure = step.code;
  }
  return { roots, flow, finalFlow, megaflow, datapathActions, slow, failure };
}

/** The action set runs when all else has run, and is told at the end of the list of the bridge's first table. */
function actionSetList(siblings: StepNode[]): StepNode[] {
  const bridge = siblings.findLast((node) => node.kind === "bridge");
  return bridge?.children.find((node) => node.kind === "rule" || node.kind === "miss")?.children ?? siblings;
}
