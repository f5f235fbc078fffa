import type { TraceStep } from "../datapath/generated/records.js";
import { dropReason, traceNote, traceNoteText } from "../datapath/generated/records.js";
import { formatPort } from "../openflow/index.js";
import type { StepNode } from "./trace-steps.js";
import { tunnelAddress } from "./tunnel-match.js";

/** What the steps of a trace say in words. */

/** How the pieces print; injected, because names of ports depend on the bridge and on `--names`. */
export interface TraceWords {
  /** A flow or match without priority: `tcp,in_port=1`; empty for everything. */
  match(match: Uint8Array): string;
  /** A packet's key in full. */
  flow(key: Uint8Array): string;
  actions(actions: Uint8Array): string;
  datapathActions(actions: Uint8Array, megaflow: Uint8Array): string;
  bridgeName(bridge: number): string;
  portName(bridge: number, port: number): string;
  /** `NXM_NX_REG0[0..15]`. */
  subfield(field: number, offset: number, bits: number): string;
  /** The value of a subfield, as it prints alone. */
  value(field: number, bits: number, value: bigint): string;
}

/** What `Translation failed` says in parentheses. */
export const failures: Readonly<Record<number, string>> = {
  [dropReason.recursionTooDeep]: "Recursion too deep",
  [dropReason.tooManyResubmits]: "Too many resubmits",
  [dropReason.stackTooBig]: "Stack too deep",
  [dropReason.actionsTooBig]: "Too many recursive resubmits",
  [dropReason.unsupportedPacketType]: "Unsupported packet type",
  [dropReason.noRecirculation]: "No recirculation context",
  [dropReason.tooManyMplsLabels]: "Too many MPLS labels",
};

type RemarkNumbers = Pick<TraceStep, "code" | "bridge" | "a" | "b" | "c" | "d">;

/** What a remark says. */
export function remark(node: StepNode, words: TraceWords): string {
  const { step } = node;
  if (step.code === traceNote.subfieldNow) {
    const value = (step.cookie << 64n) | step.d;
    const [field, offset, bits] = [Number(step.a), Number(step.b), Number(step.c)];
    return `-> ${words.subfield(field, offset, bits)} is now ${words.value(field, bits, value)}`;
  }
  if (step.code === traceNote.deleteField)
    return `-> delete ${/TUN_METADATA\d+/.exec(words.subfield(Number(step.a), 0, 1))?.[0].toLowerCase()}`;
  if (step.code === traceNote.tunnelVia || step.code === traceNote.tunnelNoNeighbor) return pathRemark(step, words);
  if (step.code === traceNote.bucketNotLive) {
    const port = step.b === 0xffffffffn ? "" : `port ${step.b}`;
    const group = step.c === 0xffffffffn ? "" : `port ${step.c}`;
    return `-> bucket ${step.a}: not live due to ${[port, group].filter((one) => one !== "").join(" and ")}`;
  }
  if (step.code === traceNote.actionSet) {
    const text = words.actions(node.actions);
    return node.actions.length === 0 ? "-> action set is empty" : `-> action set is: ${text}`;
  }
  if (step.code === traceNote.learnedFlow) return learnedFlow(node, words);
  if (step.code === traceNote.restoringActions) return `Restoring actions: ${words.actions(node.actions)}`;
  if (step.code === traceNote.restoringActionSet) return `Restoring action set: ${words.actions(node.actions)}`;
  if (step.code === traceNote.unrolled) return `restored state: table=${step.a}, cookie=${hex(step.c)}`;
  return plainRemark(step, words);
}

/** A remark that its numbers say all of. */
function plainRemark(step: RemarkNumbers, words: Pick<TraceWords, "portName">): string {
  const numbers: Readonly<Record<string, bigint>> = { a: step.a, b: step.b, c: step.c, d: step.d };
  return (traceNoteText.get(step.code) ?? `-> remark ${step.code}`).replace(
    /%([pmrxi]?)([abcd])/g,
    (_all, form, name) => {
      const value = numbers[name as string] ?? 0n;
      if (form === "r") return formatPort(Number(value));
      if (form === "p") return words.portName(step.bridge, Number(value));
      if (form === "i") return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join(".");
      if (form === "x") return `0x${value.toString(16)}`;
      return form === "m" ? formatMac(value) : String(value);
    },
  );
}

/** A remark as the log has it, without what makes it stand out in a trace. */
export function warningText(step: RemarkNumbers, words: Pick<TraceWords, "portName">): string {
  return plainRemark(step, words).replace(/^>>>> (.*) <<<<$|^-> (.*)$/, "$1$2");
}

function learnedFlow(node: StepNode, words: TraceWords): string {
  const { a: table, b: priority, c: cookie, d } = node.step;
  const [idle, hard] = [Number(d & 0xffffn), Number((d >> 16n) & 0xffffn)];
  const match = words.match(node.match);
  return [
    `-> table=${table}`,
    ...(match === "" ? [] : [match]),
    `priority=${priority}`,
    ...(cookie === 0n ? [] : [`cookie=0x${cookie.toString(16)}`]),
    ...(idle === 0 ? [] : [`idle=${idle}`]),
    ...(hard === 0 ? [] : [`hard=${hard}`]),
    ...(d >> 32n === 0n ? [] : ["send_flow_rem"]),
    `actions=${words.actions(node.actions)}`,
  ].join(" ");
}

const hex = (value: bigint): string => (value === 0n ? "0" : `0x${value.toString(16)}`);
/** What is told of the way that a tunnel's packet takes. */
function pathRemark(step: TraceStep, words: TraceWords): string {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, step.a);
  view.setBigUint64(8, step.b);
  const address = tunnelAddress(bytes);
  if (step.code === traceNote.tunnelVia) {
    const bridge = Number(step.c >> 32n);
    return `-> tunneling to ${address} via ${words.portName(bridge, Number(step.c & 0xffffffffn))}`;
  }
  const kind = address.includes(":") ? "ND" : "ARP";
  return `-> neighbor cache miss for ${address} on bridge ${words.bridgeName(Number(step.c))}, sending ${kind} request`;
}

function formatMac(value: bigint): string {
  return value
    .toString(16)
    .padStart(12, "0")
    .replace(/(..)(?!$)/g, "$1:");
}
