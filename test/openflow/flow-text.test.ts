import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  decodeMessage,
  encodeMessage,
  type FlowMod,
  FlowSyntaxError,
  formatActions,
  formatMatch,
  type Message,
  OpenFlowError,
  parseFlow,
} from "../../ts/openflow/index.js";
import { readCorpus } from "./flow-corpus.js";

const flagNames = ["send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts"];

/** The line that ovs-ofctl prints for an add, after the message's name. */
function formatAdd(flow: FlowMod, version: number): string {
  const parts = ["ADD"];
  if (flow.tableId !== 255 && flow.tableId !== 0) parts.push(`table:${flow.tableId}`);
  const match = formatMatch(flow.match, flow.priority);
  if (match !== "") parts.push(match);
  if (flow.newCookie !== 0n) parts.push(`cookie:0x${flow.newCookie.toString(16)}`);
  if (flow.idleTimeout !== 0) parts.push(`idle:${flow.idleTimeout}`);
  if (flow.hardTimeout !== 0) parts.push(`hard:${flow.hardTimeout}`);
  if (flow.importance !== 0 && version >= 5) parts.push(`importance:${flow.importance}`);
  flagNames.forEach((name, bit) => {
    if ((flow.flags >> bit) & 1) parts.push(name);
  });
  return `${parts.join(" ")} actions=${formatActions(flow.actions)}`;
}

/** Whether the fixed match of OpenFlow 1.0 says the match. */
function saidBy10(match: Uint8Array): boolean {
  const request = {
    type: "flow_stats_request",
    standard: true,
    tableId: 0,
    outPort: 0,
    outGroup: 0,
    cookie: 0n,
    cookieMask: 0n,
    match,
  } as const;
  const back = decodeMessage(encodeMessage(1, 1, request));
  return back.type === "flow_stats_request" && formatMatch(back.match) === formatMatch(match);
}

/** What we print for the flow after a trip over the wire of that version. */
function printed(input: string, version: 1 | 4 | 6): string {
  try {
    const flow = parseFlow(input);
    const send = (standard: boolean): Message =>
      decodeMessage(encodeMessage(version, 1, { ...flow, standard, tableId: flow.tableId === 255 ? 0 : flow.tableId }));
    const back = send(version > 1 || saidBy10(flow.match));
    if (back.type !== "flow_mod") return `a ${back.type}`;
    return formatAdd(back, version);
  } catch (error) {
    if (error instanceof FlowSyntaxError) return `error: ${error.message}`;
    if (error instanceof OpenFlowError) return `refused: ${error.code}`;
    throw error;
  }
}

test("a flow prints after a trip over the wire as ovs-ofctl prints it", () => {
  const wrong: string[] = [];
  for (const { input, expected } of readCorpus()) {
    for (const { version, text } of expected) {
      if (text.startsWith("error: no usable") || text === "error:") continue;
      const ours = printed(input, version);
      if (ours !== text) wrong.push(`${input}\n   1.${version - 1} OVS  ${text}\n       ours ${ours}`);
    }
  }
  if (wrong.length > 0) console.log(wrong.join("\n"));
  assert.is(wrong.length, 0);
});

test.run();
