import type { TraceNode, TraceTree } from "./trace-tree.js";

/** A trace as `ovs-appctl ofproto/trace` prints it. */

const pad = (columns: number): string => " ".repeat(columns);

/** The whole text. */
export function formatTrace(trace: TraceTree): string {
  const lines = [`Flow: ${trace.flow}`];
  printNodes(lines, trace.nodes, 0);
  lines.push("");
  lines.push(`Final flow: ${trace.finalFlow ?? "unchanged"}`);
  lines.push(`Megaflow: ${trace.megaflow}`);
  lines.push(`Datapath actions: ${trace.datapathActions}`);
  if (trace.failure !== null) lines.push(`Translation failed (${trace.failure}), packet is dropped.`);
  if (trace.slow.length > 0) {
    lines.push("This flow is handled by the userspace slow path because it:");
    lines.push(...trace.slow.map((reason) => `  - ${reason}.`));
  }
  return `${lines.join("\n")}\n`;
}

/** Nodes of one list at an indentation of `level` steps of four columns. */
function printNodes(lines: string[], nodes: readonly TraceNode[], level: number): void {
  nodes.forEach((node, index) => {
    if (node.kind === "action") printAction(lines, node, index === nodes.length - 1, level);
    else printStage(lines, node, level, level);
  });
}

type Action = Extract<TraceNode, { kind: "action" }>;
type Stage = Exclude<TraceNode, Action>;

/** An action, with its remarks below it and what it leads to.  What an action that is not its table's last one leads to
 *  is set in, so that one sees where the list goes on. */
function printAction(lines: string[], node: Action, isLast: boolean, level: number): void {
  lines.push(`${pad(4 * (level + 1))}${node.text}`);
  for (const child of node.children) {
    if (child.kind === "action") throw new Error("an action stands in its table's list");
    if (child.kind === "note" || child.kind === "bucket" || isLast) printStage(lines, child, level, level);
    else printStage(lines, child, level + 1, level + 2);
  }
}

/** A bridge, a table or the action set at `level`, its content at `inner`. */
function printStage(lines: string[], node: Stage, level: number, inner: number): void {
  const indent = pad(4 * level);
  switch (node.kind) {
    case "bridge": {
      const title = `bridge("${node.name}")`;
      lines.push("", `${indent}${title}`, `${indent}${"-".repeat(title.length)}`);
      break;
    }
    case "rule":
      lines.push(`${indent}${tableNumber(node.table)} ${ruleText(node)}`);
      if (node.children.length === 0) lines.push(`${pad(4 * (inner + 1))}drop`);
      break;
    case "miss":
      lines.push(`${indent}${tableNumber(node.table)} ${node.text}`, `${pad(4 * (inner + 1))}${node.action}`);
      return;
    case "actionSet":
      lines.push(`${indent}--. Executing action set:`);
      break;
    case "thaw":
      lines.push(`${pad(4 * (level + 1))}thaw`);
      node.children.forEach((child, index) => {
        const isLast = index === node.children.length - 1;
        lines.push(`${pad(4 * (level + (isLast ? 2 : 3)))}${child.kind === "note" ? child.text : ""}`);
      });
      return;
    case "note":
      // Remarks about an action stand a column further in.
      lines.push(`${pad(4 * (level + 1))}${/^(->|>>)/.test(node.text) ? " " : ""}${node.text}`);
      return;
    case "bucket":
      // A group's bucket: its actions are set in.
      lines.push(`${pad(4 * (level + 1))}bucket ${node.bucket}`);
      printNodes(lines, node.children, level + 2);
      return;
  }
  printNodes(lines, node.children, inner);
}

function tableNumber(table: number): string {
  return `${String(table).padStart(2)}.`;
}

function ruleText(node: Extract<TraceNode, { kind: "rule" }>): string {
  const cookie = node.cookie === "0" ? "" : `, cookie ${node.cookie}`;
  return `${node.match === "" ? "" : `${node.match}, `}priority ${node.priority >>> 0}${cookie}`;
}
