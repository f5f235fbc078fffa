import { rfc2819Counters } from "./codec-port.js";
import type { FlowMod, FlowStatsReply, PortDesc, PortStats, TableStats } from "./message.js";
import { ofpp } from "./tables/ports.js";
import { formatActions } from "./text-action.js";
import { type FlowFormatOptions, formatDuration, formatFlow } from "./text-flow.js";
import { formatMatch } from "./text-match.js";
import { formatEth, formatPort, type PortNames } from "./text-value.js";

/** Parts of messages as ovs-ofctl(8) prints them: ports, tables, flows. */

/** `OFPT_X (OF1.3) (xid=0x2):`. */
export function heading(name: string, message: { readonly version: number; readonly xid: number }): string {
  const version = message.version === 1 ? "" : ` (OF1.${message.version - 1})`;
  return `${name}${version} (xid=0x${message.xid.toString(16)}):`;
}

export function bitNames(bits: number, words: readonly (string | undefined)[]): string[] {
  return words.filter((word, bit): word is string => word !== undefined && (bits & (1 << bit)) !== 0);
}

const configs = ["PORT_DOWN", "NO_STP", "NO_RECV", "NO_RECV_STP", "NO_FLOOD", "NO_FWD", "NO_PACKET_IN"];
const states = ["LINK_DOWN", "BLOCKED", "LIVE"];
const stpStates = [undefined, "STP_LEARN", "STP_FORWARD", "STP_BLOCK"];
const features = [
  "10MB-HD",
  "10MB-FD",
  "100MB-HD",
  "100MB-FD",
  "1GB-HD",
  "1GB-FD",
  "10GB-FD",
  "40GB-FD",
  "100GB-FD",
  "1TB-FD",
  "OTHER",
  "COPPER",
  "FIBER",
  "AUTO_NEG",
  "AUTO_PAUSE",
  "AUTO_PAUSE_ASYM",
];
/** Mbps of the first ten features. */
const speeds = [10, 10, 100, 100, 1000, 1000, 10_000, 40_000, 100_000, 1_000_000];

const capabilities10 = [
  "FLOW_STATS",
  "TABLE_STATS",
  "PORT_STATS",
  "STP",
  undefined,
  "IP_REASM",
  "QUEUE_STATS",
  "ARP_MATCH_IP",
];
const capabilities11 = [
  ...capabilities10.slice(0, 3),
  "GROUP_STATS",
  ...capabilities10.slice(4),
  "PORT_BLOCKED",
  "BUNDLES",
  "FLOW_MONITORING",
];
/** OpenFlow 1.0's actions, `output` at bit 0, in the order of printing. */
const actions10: readonly (readonly [name: string, bit: number])[] = [
  ["output", 0],
  ["enqueue", 11],
  ["set_vlan_vid", 1],
  ["set_vlan_pcp", 2],
  ["strip_vlan", 3],
  ["mod_dl_src", 4],
  ["mod_dl_dst", 5],
  ["mod_nw_src", 6],
  ["mod_nw_dst", 7],
  ["mod_nw_tos", 8],
  ["mod_tp_src", 9],
  ["mod_tp_dst", 10],
];

/** OpenFlow 1.2 took the bit away. */
const arpMatchIp = 0x80;

export function capabilityNames(capabilities: number, version: number): string[] {
  return bitNames(
    version < 3 ? capabilities : capabilities & ~arpMatchIp,
    version === 1 ? capabilities10 : capabilities11,
  );
}
export function formatActions10(bits: number): string {
  return actions10.flatMap(([name, bit]) => ((bits & (1 << bit)) === 0 ? [] : [name])).join(" ");
}
export const portConfigBits = (bits: number): string[] => bitNames(bits, configs);
export const portConfigNames = (port: PortDesc): string[] => portConfigBits(port.config);
export function portStateNames(port: PortDesc): string[] {
  const stp = stpStates[(port.state >>> 8) & 3];
  return stp === undefined ? bitNames(port.state, states) : [...bitNames(port.state, states), stp];
}
export const featureNames = (bits: number): string[] => bitNames(bits, features);

/** Speed in Mbps now and at most; OpenFlow 1.0 says it by its features alone. */
export function portSpeeds(port: PortDesc, version: number): readonly [now: number, max: number] {
  if (version > 1) return [Math.floor(port.currentSpeedKbps / 1000), Math.floor(port.maxSpeedKbps / 1000)];
  const most = (bits: number): number => Math.max(0, ...speeds.filter((_, bit) => (bits & (1 << bit)) !== 0));
  return [most(port.current), most(port.supported)];
}

export function formatPortDesc(port: PortDesc, version: number): string {
  const listed = (found: readonly string[]): string => (found.length === 0 ? "0" : found.join(" "));
  let text = ` ${formatPort(port.port)}(${port.name}): addr:${formatEth(port.hwAddr)}\n`;
  text += `     config:     ${listed(portConfigNames(port))}\n     state:      ${listed(portStateNames(port))}\n`;
  for (const [label, bits] of [
    ["current:    ", port.current],
    ["advertised: ", port.advertised],
    ["supported:  ", port.supported],
    ["peer:       ", port.peer],
  ] as const) {
    if (bits !== 0) text += `     ${label}${featureNames(bits).join(" ")}\n`;
  }
  const [now, max] = portSpeeds(port, version);
  return `${text}     speed: ${now} Mbps now, ${max} Mbps max\n`;
}

const unknown = 0xffffffffffffffffn;
const count = (value: bigint): string => (value === unknown ? "?" : String(value));

export function formatPortStats(stats: PortStats, version: number, ports: PortNames | undefined): string {
  const { rxPackets, rxBytes, rxDropped, rxErrors, rxFrameErr, rxOverErr, rxCrcErr } = stats;
  const pad = stats.port < 10 ? " " : "";
  let text = `  port ${pad}${formatPort(stats.port, ports)}: rx pkts=${count(rxPackets)}, bytes=${count(rxBytes)}, `;
  text += `drop=${count(rxDropped)}, errs=${count(rxErrors)}, frame=${count(rxFrameErr)}, `;
  text += `over=${count(rxOverErr)}, crc=${count(rxCrcErr)}\n`;
  text += `           tx pkts=${count(stats.txPackets)}, bytes=${count(stats.txBytes)}, `;
  text += `drop=${count(stats.txDropped)}, errs=${count(stats.txErrors)}, coll=${count(stats.collisions)}\n`;
  if (version >= 4 && stats.durationSec !== 0xffffffff)
    text += `           duration=${formatDuration(stats.durationSec, stats.durationNsec)}s\n`;
  for (const direction of ["rx", "tx"] as const) {
    const known = rfc2819Counters.flatMap(([way, name], index) => {
      const value = stats.rfc2819?.[index] ?? unknown;
      return way === direction && value !== unknown ? [`${name}=${value}, `] : [];
    });
    if (known.length > 0) text += `           ${direction} rfc2819 ${known.join("")}\n`;
  }
  const custom = stats.custom ?? [];
  if (custom.length === 0) return text;
  // Three in a row.
  const rows = custom.map(
    ([name, value], index) => `${index % 3 === 0 ? `\n${" ".repeat(22)}` : " "}${name}=${value},`,
  );
  return `${text}           CUSTOM Statistics${rows.join("")}\n`;
}

/** Everything that a table of OpenFlow 1.0 can match on. */
const matching10 = "in_port eth_{src,dst,type} vlan_{vid,pcp} ip_{src,dst} nw_{proto,tos} tcp_{src,dst}";

/** Tables like the one before are only named. */
export function formatTables(tables: readonly TableStats[], version: number): string {
  const blocks: string[] = [];
  const alike = (one: TableStats, other: TableStats): boolean =>
    one.activeCount === other.activeCount &&
    one.lookupCount === other.lookupCount &&
    one.matchedCount === other.matchedCount &&
    one.maxEntries === other.maxEntries;
  for (let index = 0; index < tables.length; ) {
    const table = tables[index]!;
    const before = tables[index - 1];
    let end = index + 1;
    if (before !== undefined && table.name === "" && alike(before, table)) {
      while (end < tables.length && tables[end]!.name === "" && alike(before, tables[end]!)) end++;
      const last = tables[end - 1]!.tableId;
      const which = last === table.tableId ? `table ${last}` : `tables ${table.tableId}...${last}`;
      blocks.push(`  ${which}: ditto\n`);
    } else {
      const { tableId, activeCount, lookupCount, matchedCount, maxEntries } = table;
      let text = `  table ${tableId}${table.name === "" ? "" : ` ("${table.name}")`}:`;
      if (before !== undefined && alike(before, table)) {
        blocks.push(`${text} ditto\n`);
        index = end;
        continue;
      }
      text += `\n    active=${activeCount}, lookup=${lookupCount}, matched=${matchedCount}\n`;
      if (version < 4) {
        if (before?.maxEntries === maxEntries) text += "    (same features)\n";
        else text += `    max_entries=${maxEntries}\n    matching:\n      exact match or wildcard: ${matching10}\n`;
      }
      blocks.push(text);
    }
    index = end;
  }
  return blocks.join("\n");
}

const fragModes = ["normal", "drop", "reassemble", "nx-match"];
export const fragModeName = (mode: number): string => fragModes[mode] ?? String(mode);

export function formatFlows(reply: FlowStatsReply, options: FlowFormatOptions): string {
  return reply.flows.map((flow) => ` ${formatFlow(flow, options)}\n`).join("");
}

const commands = ["ADD", "MOD", "MOD_STRICT", "DEL", "DEL_STRICT"];
const flagNames = ["send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts"];

const resetCounts = 4;

/** The one-line form in which ovs-ofctl shows a flow_mod.  Before OpenFlow 1.2 every one resets counts, unsaid. */
export function formatFlowMod(flow: FlowMod, ports?: PortNames, version = 6): string {
  const words = [commands[flow.command] ?? `(command ${flow.command})`];
  if (flow.tableId !== 0) words.push(`table:${flow.tableId}`);
  const match = formatMatch(flow.match, flow.priority, ports);
  if (match !== "") words.push(match);
  if (flow.newCookie !== 0n && flow.newCookie !== unknown) words.push(`cookie:0x${flow.newCookie.toString(16)}`);
  if (flow.cookieMask !== 0n) words.push(`cookie:0x${flow.cookie.toString(16)}/0x${flow.cookieMask.toString(16)}`);
  if (flow.idleTimeout !== 0) words.push(`idle:${flow.idleTimeout}`);
  if (flow.hardTimeout !== 0) words.push(`hard:${flow.hardTimeout}`);
  if (flow.importance !== 0) words.push(`importance:${flow.importance}`);
  if (flow.outPort !== ofpp.ANY) words.push(`out_port:${formatPort(flow.outPort, ports)}`);
  words.push(
    ...bitNames(version < 3 ? flow.flags & ~resetCounts : flow.flags, flagNames),
    `actions=${formatActions(flow.actions, ports)}`,
  );
  return words.join(" ");
}
