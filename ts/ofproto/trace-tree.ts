import { slowReasonText, traceNote, traceNoteText } from "../datapath/generated/records.js";
import { failures, remark, type TraceWords } from "./trace-remarks.js";
import type { StepNode, TraceSteps } from "./trace-steps.js";

/** What a translation did, as a tree that is plain JSON: bridges hold tables, tables hold actions, actions hold remarks
 *  and the tables and bridges that they lead to.  Flows and actions are as ovs-ofctl writes them. */
export interface TraceTree {
  readonly flow: string;
  readonly nodes: readonly TraceNode[];
  /** Null: it is unchanged. */
  readonly finalFlow: string | null;
  /** What was read of the packet. */
  readonly megaflow: string;
  readonly datapathActions: string;
  /** Why each packet of the flow is looked at, if it is. */
  readonly slow: readonly string[];
  /** Why the packet is dropped, if translation failed. */
  readonly failure: string | null;
}

export type TraceNode =
  | { readonly kind: "bridge"; readonly name: string; readonly children: readonly TraceNode[] }
  | {
      /** A table, and the rule of it that matched. */
      readonly kind: "rule";
      readonly table: number;
      readonly match: string;
      readonly priority: number;
      /** `0x12`; `0` for none. */
      readonly cookie: string;
      readonly children: readonly TraceNode[];
    }
  | {
      /** A table without a rule that matches, and what then becomes of the packet. */
      readonly kind: "miss";
      readonly table: number;
      readonly text: string;
      readonly action: string;
    }
  | { readonly kind: "action"; readonly text: string; readonly children: readonly TraceNode[] }
  | {
      /** A remark about the action that it stands under. */
      readonly kind: "note";
      /** Which, for programs: `noLearnedMac`. */
      readonly name: string;
      readonly text: string;
    }
  | { readonly kind: "actionSet"; readonly children: readonly TraceNode[] }
  | {
      /** A packet that paused, or was looked up again, goes on. */
      readonly kind: "thaw";
      readonly children: readonly TraceNode[];
    }
  | { readonly kind: "bucket"; readonly bucket: number; readonly children: readonly TraceNode[] };

const noteNames = new Map(Object.entries(traceNote).map(([name, code]) => [code as number, name]));

/** The tree of a trace. */
export function traceTree(trace: TraceSteps, words: TraceWords): TraceTree {
  const { roots, flow, finalFlow, megaflow, datapathActions, slow, failure } = trace;
  const actions = words.datapathActions(datapathActions, flow);
  return {
    flow: words.flow(flow),
    nodes: roots.map((node) => treeNode(node, words)),
    finalFlow: finalFlow === undefined ? null : words.flow(finalFlow),
    megaflow: words.match(megaflow),
    datapathActions: actions === "" ? "drop" : actions,
    slow: [...slowReasonText].filter(([bit]) => (slow & BigInt(bit)) !== 0n).map(([, text]) => text),
    failure: failure === undefined ? null : (failures[failure] ?? "unknown"),
  };
}

function treeNode(node: StepNode, words: TraceWords): TraceNode {
  const { kind, step } = node;
  const children = node.children.map((child) => treeNode(child, words));
  switch (kind) {
    case "bridge":
      return { kind, name: words.bridgeName(step.bridge), children };
    case "rule": {
      const cookie = step.cookie === 0n ? "0" : `0x${step.cookie.toString(16)}`;
      return { kind, table: step.table, match: words.match(node.match), priority: step.priority, cookie, children };
    }
    case "miss": {
      // The reason of an implied miss has no name.
      const action = step.code === traceNote.missController ? "controller(reason=)" : "drop";
      return { kind, table: step.table, text: traceNoteText.get(step.code) ?? "No match.", action };
    }
    case "action":
      return { kind, text: words.actions(node.actions), children };
    case "note":
      return { kind, name: noteNames.get(step.code) ?? String(step.code), text: remark(node, words) };
    case "actionSet":
    case "thaw":
      return { kind, children };
    case "bucket":
      return { kind, bucket: Number(step.a), children };
  }
}
