import { checkActions } from "./action-check.js";
import { ByteWriter } from "./bytes.js";
import { abiMatch } from "./codec-match.js";
import { FlowSyntaxError, OpenFlowError } from "./error.js";
import { KeyMatch } from "./key-match.js";
import { normalize } from "./match10.js";
import type { FlowMod, FlowStats } from "./message.js";
import { fieldByName } from "./tables/fields.js";
import { ofpp } from "./tables/ports.js";
import { formatActions, parseActions } from "./text-action.js";
import { applyField, applyProtocol, formatKeyMatch, keyValues } from "./text-match.js";
import { needNumber, type PortNames, parsePort } from "./text-value.js";

/** Flows as ovs-ofctl writes them. */

export interface FlowTextOptions {
  readonly ports?: PortNames;
  /** Names of tables, for `table=NAME`. */
  readonly tables?: (name: string) => number | undefined;
  /** Called with the match before and after, when fields without their prerequisites were dropped. */
  readonly onNormalized?: (before: string, after: string) => void;
}

const flags: Readonly<Record<string, number>> = {
  send_flow_rem: 1,
  check_overlap: 2,
  reset_counts: 4,
  no_packet_counts: 8,
  no_byte_counts: 16,
};
/** Read and ignored, so that a dumped flow can be read again. */
const ignored = new Set(["duration", "n_packets", "n_bytes", "idle_age", "hard_age"]);

/** Reads one flow.  `command` is that of the flow_mod: 0 add, 1 modify, 2 modify strict, 3 delete, 4 delete strict. */
export function parseFlow(text: string, command = 0, options: FlowTextOptions = {}): FlowMod {
  const { ports } = options;
  const deletes = command >= 3;
  const marker = /(?:^|[,\s])(?:actions?|action)\s*=/.exec(text);
  const head = marker === null ? text : text.slice(0, marker.index);
  const actionText = marker === null ? undefined : text.slice(marker.index + marker[0].length).trim();
  if (actionText === undefined && !deletes) throw new FlowSyntaxError("must specify an action");
  const match = new KeyMatch();
  const flow = {
    tableId: 255,
    priority: 32768,
    cookie: 0n,
    cookieMask: 0n,
    newCookie: command === 0 ? 0n : 0xffffffffffffffffn,
    modifyCookie: false,
    idleTimeout: 0,
    hardTimeout: 0,
    outPort: ofpp.ANY as number,
    outGroup: 0xffffffff,
    importance: 0,
    flags: 0,
  };
  for (const { key, value } of keyValues(head)) {
    if (applyProtocol(match, key)) continue;
    const flag = flags[key];
    if (flag !== undefined) {
      flow.flags |= flag;
      continue;
    }
    if (ignored.has(key)) continue;
    const need = (): string => {
      if (value === undefined || value === "") throw new FlowSyntaxError(`field ${key} missing value`);
      return value;
    };
    switch (key) {
      case "table": {
        const named = options.tables?.(need());
        flow.tableId = named ?? Number(needNumber(need(), 8, "table"));
        continue;
      }
      case "priority":
        flow.priority = Number(needNumber(need(), 16, "priority"));
        continue;
      case "idle_timeout":
        flow.idleTimeout = Number(needNumber(need(), 16, "idle_timeout"));
        continue;
      case "hard_timeout":
        flow.hardTimeout = Number(needNumber(need(), 16, "hard_timeout"));
        continue;
      case "importance":
        flow.importance = Number(needNumber(need(), 16, "importance"));
        continue;
      case "cookie":
        readCookie(flow, need(), command);
        continue;
      case "out_port": {
        if (!deletes) throw new FlowSyntaxError("unknown keyword out_port");
        const port = parsePort(need(), ports);
        if (port === undefined) throw new FlowSyntaxError(`${value} is not a valid OpenFlow port`);
        flow.outPort = port;
        continue;
      }
      case "out_group":
        flow.outGroup = need() === "any" ? 0xffffffff : Number(needNumber(need(), 32, "out_group"));
        continue;
      default:
    }
    const row = fieldByName(key);
    if (row === undefined) throw new FlowSyntaxError(`unknown keyword ${key}`);
    applyField(match, row, value === undefined && key.startsWith("tun_metadata") ? "0/0" : need(), ports);
  }
  const before = options.onNormalized === undefined ? "" : formatKeyMatch(match);
  if (normalize(match)) options.onNormalized?.(before, formatKeyMatch(match));
  const actions = actionText === undefined ? new Uint8Array(0) : parseActions(actionText, ports);
  const abi = abiMatch(match);
  return {
    type: "flow_mod",
    standard: true,
    command,
    bufferId: 0xffffffff,
    ...flow,
    match: abi,
    actions: checked(abi, actions, flow.tableId),
  };
}

function readCookie(
  flow: { cookie: bigint; cookieMask: bigint; newCookie: bigint; modifyCookie: boolean },
  text: string,
  command: number,
): void {
  const slash = text.indexOf("/");
  if (slash >= 0) {
    if (command === 0) throw new FlowSyntaxError("cannot set cookie and match on cookie");
    flow.cookie = needNumber(text.slice(0, slash), 64, "cookie");
    flow.cookieMask =
      text.slice(slash + 1) === "-1" ? 0xffffffffffffffffn : needNumber(text.slice(slash + 1), 64, "cookie mask");
    return;
  }
  flow.newCookie = needNumber(text, 64, "cookie");
  flow.modifyCookie = true;
}

/** The actions with what they keep of the match filled in; an inconsistency is the writer's fault. */
function checked(match: Uint8Array, actions: Uint8Array, table: number): Uint8Array {
  const out = new ByteWriter(128);
  out.put(match);
  const from = out.position;
  out.put(actions);
  try {
    checkActions(out, 0, from, from, out.position, { version: 1, table, executedOnly: false });
  } catch (error) {
    if (!(error instanceof OpenFlowError)) throw error;
    if (error.code === "OFPBAC_UNSUPPORTED_ORDER") throw new FlowSyntaxError(error.message, error.details);
    throw new FlowSyntaxError(`actions are invalid with specified match (${error.code})`, { error: error.code });
  }
  return out.bytes.slice(from, out.position);
}

/** `5.123`: seconds, with as many decimals as say the time exactly, and at least three if any. */
export function formatDuration(seconds: number, nanoseconds: number): string {
  if (nanoseconds === 0) return String(seconds);
  const digits = String(nanoseconds).padStart(9, "0");
  const used = Math.max(3, digits.replace(/0+$/, "").length);
  return `${seconds}.${digits.slice(0, used)}`;
}

export interface FlowFormatOptions {
  readonly ports?: PortNames;
  readonly tableName?: (table: number) => string | undefined;
  /** Leave out counters, durations and ages (`--no-stats`). */
  readonly noStats?: boolean;
}

const scratch = new KeyMatch();

/** One line of `ovs-ofctl dump-flows`, without the space that leads it. */
export function formatFlow(flow: FlowStats, options: FlowFormatOptions = {}): string {
  const { ports } = options;
  const parts: string[] = [];
  const stats = options.noStats !== true;
  const table = options.tableName?.(flow.tableId) ?? String(flow.tableId);
  if (stats || flow.cookie !== 0n) parts.push(`cookie=0x${flow.cookie.toString(16)}`);
  if (stats) parts.push(`duration=${formatDuration(flow.durationSec, flow.durationNsec)}s`);
  if (stats || flow.tableId !== 0) parts.push(`table=${table}`);
  if (stats) parts.push(`n_packets=${flow.packetCount}`, `n_bytes=${flow.byteCount}`);
  if (flow.idleTimeout !== 0) parts.push(`idle_timeout=${flow.idleTimeout}`);
  if (flow.hardTimeout !== 0) parts.push(`hard_timeout=${flow.hardTimeout}`);
  let text = parts.map((part) => `${part}, `).join("");
  for (const [name, bit] of Object.entries(flags)) if ((flow.flags & bit) !== 0) text += `${name} `;
  if (flow.importance !== 0) text += `importance=${flow.importance}, `;
  if (stats && flow.idleAge !== undefined) text += `idle_age=${flow.idleAge}, `;
  if (stats && flow.hardAge !== undefined && flow.hardAge !== flow.durationSec) text += `hard_age=${flow.hardAge}, `;
  scratch.read(flow.match);
  const match = formatKeyMatch(scratch, flow.priority, ports);
  return `${text}${match}${match === "" ? "" : " "}actions=${formatActions(flow.actions, ports)}`;
}

/** One line of `ovs-appctl bridge/dump-flows`. */
export function formatBridgeFlow(flow: FlowStats, ports?: PortNames): string {
  scratch.read(flow.match);
  const table = flow.tableId === 0 ? "" : `table_id=${flow.tableId}, `;
  const match = formatKeyMatch(scratch, flow.priority, ports);
  return `${table}duration=${flow.durationSec}s, n_packets=${flow.packetCount}, n_bytes=${flow.byteCount}, ${match},actions=${formatActions(flow.actions, ports)}`;
}
