/** The flow commands of `sluice ofctl`: add, change, delete and list. */
import { readFileSync } from "node:fs";
import { errorWords } from "../connmgr/socket-error.js";
import {
  decodeMessage,
  encodeMessage,
  type FlowMod,
  type FlowStats,
  type FlowStatsRequest,
  FlowSyntaxError,
  formatActions,
  formatErrorMessage,
  formatFlow,
  formatFlows,
  formatMatch,
  heading,
  KeyMatch,
  parseFlow,
  planOf,
} from "../openflow/index.js";
import { Failure } from "./failure.js";
import { learnOptions, type OfctlConnection } from "./ofctl-connection.js";
import { onConnection, portsOf, type SwitchPorts, tablesOf } from "./ofctl-names.js";
import type { OfctlCall, SortKey } from "./ofctl-rows.js";

const command = { add: 0, modify: 1, modifyStrict: 2, delete: 3, deleteStrict: 4 } as const;
/** Commands as a file of flows may name them. */
const lineCommands: Readonly<Record<string, number>> = {
  add: command.add,
  modify: command.modify,
  modify_strict: command.modifyStrict,
  delete: command.delete,
  delete_strict: command.deleteStrict,
};
const allTables = 255;

/** What flows are read and printed with. */
export interface Names {
  readonly ports: SwitchPorts | undefined;
  readonly tables: ReadonlyMap<string, number>;
}

/** Asks for the names that a written flow may use, unless --no-names. */
export async function acceptedNames(call: OfctlCall, name: string): Promise<Names> {
  if (call.options.names === false) return { ports: undefined, tables: new Map() };
  const tables = await tablesOf(call, name);
  return { ports: await portsOf(call, name), tables };
}

/** Learns which options fields are, if the texts speak of them. */
async function needOptions(call: OfctlCall, name: string, texts: readonly string[]): Promise<void> {
  if (texts.some((text) => /tun_metadata/i.test(text))) await learnOptions(call, name);
}

const flowFlags = ["send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts"];
const timeouts = ["idle_timeout", "hard_timeout", "importance"];

/** Keywords that only some commands take; `undefined` is a query. */
function refusedWords(which: number | undefined): readonly string[] {
  if (which === command.add) return [];
  if (which === command.modify || which === command.modifyStrict) return ["importance"];
  return which === command.deleteStrict ? ["actions", ...timeouts] : ["actions", "priority", ...timeouts];
}

/** Reads a flow; `which` is a flow_mod's command, or undefined for a query. */
export function readFlow(call: OfctlCall, text: string, which: number | undefined, names: Names): FlowMod {
  for (const word of refusedWords(which)) {
    if (new RegExp(`(?:^|[,\\s])${word}\\s*(?:[=:,]|$)`).test(text))
      throw new FlowSyntaxError(`unknown keyword ${word}`);
  }
  const deletes = which === undefined || which >= command.delete;
  const flag = deletes ? flowFlags.find((word) => new RegExp(`(?:^|[,\\s])${word}(?:[,\\s]|$)`).test(text)) : undefined;
  if (flag !== undefined) throw new FlowSyntaxError(`field ${flag} missing value`);
  const cookie = /(?:^|[,\s])cookie\s*=\s*([^,\s/]+)(?=[,\s]|$)/.exec(text)?.[1];
  if (cookie !== undefined && deletes) {
    const remedy = `to match on a cookie, specify a mask, e.g. cookie=${cookie}/-1`;
    throw new FlowSyntaxError(`cannot set cookie (${remedy})`);
  }
  return parseFlow(text, which ?? command.delete, {
    ...(names.ports === undefined ? {} : { ports: names.ports }),
    tables: (word) => {
      const number = names.tables.get(word);
      if (number !== undefined) return number;
      if (/^\d+$/.test(word)) {
        if (Number(word) <= 255) return Number(word);
        call.remark("ofp_table", "WARN", `table ${word} is outside the supported range 0 through 255`);
      } else if (/^0x[0-9a-f]{1,2}$/i.test(word)) return Number(word);
      throw new FlowSyntaxError(`unknown table "${word}"`);
    },
    onNormalized: (before, after) => {
      call.remark("ofp_match", "INFO", "normalization changed ofp_match, details:");
      call.remark("ofp_match", "INFO", ` pre: ${before}`);
      call.remark("ofp_match", "INFO", `post: ${after}`);
    },
  });
}

const sameBytes = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0;

/** Whether OpenFlow 1.0's own flow_mod says all of the flow. */
function fits10(flow: FlowMod): boolean {
  if (flow.cookieMask !== 0n) return false;
  const back = decodeMessage(encodeMessage(1, 0, { ...flow, standard: true }));
  return back.type === "flow_mod" && sameBytes(back.match, flow.match);
}

/** Turns on what OpenFlow 1.0 needs for the flows, and gives the form in which they are sent. */
export async function prepare(
  connection: OfctlConnection,
  flows: readonly FlowMod[],
): Promise<(flow: FlowMod) => FlowMod> {
  const deletes = (flow: FlowMod): boolean => flow.command >= command.delete;
  if (connection.version > 1) {
    return (flow) => (flow.tableId === allTables && !deletes(flow) ? { ...flow, tableId: 0 } : flow);
  }
  if (flows.some((flow) => flow.outGroup !== 0xffffffff)) {
    const wanted = "none of the usable flow formats (OXM,OpenFlow11) is among the allowed flow formats";
    throw new Failure(`${wanted} (OpenFlow10,NXM)`);
  }
  const nicira = !flows.every(fits10);
  const tableId = flows.some((flow) => flow.tableId !== allTables);
  if (nicira) await connection.order({ type: "nxt_set_flow_format", value: 2 });
  if (tableId) await connection.order({ type: "nxt_flow_mod_table_id", value: 1 });
  return (flow) => ({ ...flow, standard: !nicira, tableId: tableId ? flow.tableId : 0 });
}

async function sendFlows(call: OfctlCall, name: string, flows: readonly FlowMod[], names: Names): Promise<number> {
  return onConnection(call, name, async (connection) => {
    const form = await prepare(connection, flows);
    for (const flow of flows) {
      const error = await connection.order(form(flow));
      if (error?.type !== "error") continue;
      process.stderr.write(formatErrorMessage(error, call.options.names === true ? names.ports : undefined));
      return 1;
    }
    return 0;
  });
}

/** Runs a command that changes one flow: `add-flow`, `mod-flows`, `del-flows`. */
export async function changeFlow(call: OfctlCall, which: number): Promise<number> {
  const [name = "", text = ""] = call.args;
  const names = await acceptedNames(call, name);
  await needOptions(call, name, [text]);
  const strict = call.options.strict && which !== command.add ? 1 : 0;
  return sendFlows(call, name, [readFlow(call, text, which + strict, names)], names);
}

export const addFlow = (call: OfctlCall): Promise<number> => changeFlow(call, command.add);
export const modFlows = (call: OfctlCall): Promise<number> => changeFlow(call, command.modify);
export const delFlows = (call: OfctlCall): Promise<number> => changeFlow(call, command.delete);

export function readLines(file: string): string[] {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8").split("\n");
  } catch (error) {
    throw new Failure(`${file}: open failed (${errorWords(error)})`);
  }
}

/** Every line is a flow, or a command and a flow. */
export async function addFlows(call: OfctlCall): Promise<number> {
  const [name = "", file = ""] = call.args;
  const names = await acceptedNames(call, name);
  const lines = readLines(file);
  await needOptions(call, name, lines);
  const flows: FlowMod[] = [];
  for (const [index, line] of lines.entries()) {
    const text = line.replace(/#.*$/, "").trim();
    if (text === "") continue;
    const [, word = "", rest = ""] = /^([a-z_]+)(?:\s+(.*))?$/.exec(text) ?? [];
    const which = lineCommands[word];
    try {
      flows.push(readFlow(call, which === undefined ? text : rest, which ?? command.add, names));
    } catch (error) {
      if (error instanceof FlowSyntaxError) throw new Failure(`${file}:${index + 1}: ${error.message}`);
      throw error;
    }
  }
  return sendFlows(call, name, flows, names);
}

/** Connects and makes the request for the flows that the command names. */
async function query<T>(
  call: OfctlCall,
  type: FlowStatsRequest["type"],
  body: (connection: OfctlConnection, request: FlowStatsRequest, names: Names) => Promise<T>,
): Promise<T> {
  const [name = "", text] = call.args;
  if (text !== undefined) await needOptions(call, name, [text]);
  const names =
    text === undefined ? { ports: undefined, tables: new Map<string, number>() } : await acceptedNames(call, name);
  const flow = readFlow(call, text ?? "", undefined, names);
  return onConnection(call, name, async (connection) => {
    const standard = connection.version > 1;
    if (!standard) await connection.order({ type: "nxt_set_flow_format", value: 2 });
    const { tableId, outPort, outGroup, cookie, cookieMask, match } = flow;
    return body(connection, { type, standard, tableId, outPort, outGroup, cookie, cookieMask, match }, names);
  });
}

/** Flows that have the field come first, in its order; then those of higher priority. */
function compareBy(sort: SortKey): (one: FlowStats, other: FlowStats) => number {
  const [left, right] = [new KeyMatch(), new KeyMatch()];
  const sign = sort.descending ? -1 : 1;
  return (one, other) => {
    if (sort.field === "priority") {
      const order = sign * (one.priority - other.priority);
      if (order !== 0) return order;
    } else {
      const plan = planOf(sort.field);
      left.read(one.match);
      right.read(other.match);
      const has = [left, right].map((key) => !key.isWild(plan) && key.meets(plan.prereq));
      if (has[0] !== has[1]) return has[0] ? -1 : 1;
      const order = has[0] ? sign * Buffer.compare(left.wireBytes(plan), right.wireBytes(plan)) : 0;
      if (order !== 0) return order;
    }
    return other.priority - one.priority;
  };
}

function flowForMachines(flow: FlowStats, ports: SwitchPorts | undefined): Readonly<Record<string, unknown>> {
  return {
    table: flow.tableId,
    priority: flow.priority,
    cookie: `0x${flow.cookie.toString(16)}`,
    duration: flow.durationSec + flow.durationNsec / 1e9,
    n_packets: Number(flow.packetCount),
    n_bytes: Number(flow.byteCount),
    idle_timeout: flow.idleTimeout,
    hard_timeout: flow.hardTimeout,
    importance: flow.importance,
    match: formatMatch(flow.match, undefined, ports),
    actions: formatActions(flow.actions, ports),
  };
}

export async function dumpFlows(call: OfctlCall): Promise<number> {
  const { names: wanted, stats, json, sort } = call.options;
  const shown = wanted ?? process.stdout.isTTY === true;
  const outPorts = shown ? await portsOf(call, call.args[0] ?? "") : undefined;
  const text = { ...(outPorts === undefined ? {} : { ports: outPorts }), noStats: !stats };
  return query(call, "flow_stats_request", async (connection, request) => {
    const plain = !shown && stats && !json && sort === undefined;
    const flows: FlowStats[] = [];
    for await (const reply of connection.askAll(request)) {
      if (reply.type === "error") {
        process.stdout.write(formatErrorMessage(reply));
        return plain ? 0 : 1;
      }
      if (reply.type !== "flow_stats_reply") continue;
      if (plain) {
        const title = heading(reply.standard ? "OFPST_FLOW reply" : "NXST_FLOW reply", reply);
        process.stdout.write(`${title}${reply.more ? " flags=[more]" : ""}\n${formatFlows(reply, text)}`);
      } else {
        for (const flow of reply.flows)
          flows.push(reply.standard ? flow : { ...flow, idleAge: undefined, hardAge: undefined });
      }
    }
    if (plain) return 0;
    if (sort !== undefined) flows.sort(compareBy(sort));
    if (json) process.stdout.write(`${JSON.stringify(flows.map((flow) => flowForMachines(flow, outPorts)))}\n`);
    else process.stdout.write(flows.map((flow) => ` ${formatFlow(flow, text)}\n`).join(""));
    return 0;
  });
}

export async function dumpAggregate(call: OfctlCall): Promise<number> {
  return query(call, "aggregate_request", async (connection, request) => {
    const reply = await connection.ask(request);
    if (reply.type === "error") process.stdout.write(formatErrorMessage(reply));
    if (reply.type !== "aggregate_reply") return 0;
    const { packetCount, byteCount, flowCount } = reply;
    const counts = { packet_count: Number(packetCount), byte_count: Number(byteCount), flow_count: flowCount };
    const title = heading(reply.standard ? "OFPST_AGGREGATE reply" : "NXST_AGGREGATE reply", reply);
    const said = Object.entries(counts).map(([key, value]) => `${key}=${value}`);
    process.stdout.write(call.options.json ? `${JSON.stringify(counts)}\n` : `${title} ${said.join(" ")}\n`);
    return 0;
  });
}
