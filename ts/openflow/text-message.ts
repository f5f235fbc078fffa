import { checkMessageLength, decodeMessage, identifyMessage, messageTitle } from "./codec.js";
import { OpenFlowError } from "./error.js";
import type {
  BundleControl,
  ErrorMessage,
  FeaturesReply,
  FlowRemoved,
  FlowStatsRequest,
  Hello,
  Message,
  MessageBody,
  PacketIn,
  PacketOut,
  PortMod,
  RoleRequest,
  RoleStatus,
  SwitchConfig,
} from "./message.js";
import { ofpp } from "./tables/ports.js";
import { formatActions } from "./text-action.js";
import { formatDuration } from "./text-flow.js";
import { formatGroup, formatGroupFeatures, formatGroupId, formatGroupMod, formatGroupStats } from "./text-group.js";
import { formatMatch } from "./text-match.js";
import { formatMeter, formatMeterFeatures, formatMeterId, formatMeterMod, formatMeterStats } from "./text-meter.js";
import {
  bitNames,
  capabilityNames,
  featureNames,
  formatActions10,
  formatFlowMod,
  formatFlows,
  formatPortDesc,
  formatPortStats,
  formatTables,
  fragModeName,
  heading,
  portConfigBits,
} from "./text-switch.js";
import { formatTlvTable } from "./text-tlv.js";
import { formatEth, formatPort, type PortNames } from "./text-value.js";

/** Whole messages as text: what a log at debug level shows of a connection, in the words of `ovs-ofctl ofp-print`.  Kinds
 *  whose contents are not spelled out show their heading. */

const defaultPriority = 0x8000;
const unknown = 0xffffffffffffffffn;

/** The bytes sixteen to a line, with their offsets and as characters. */
export function hexDump(bytes: Uint8Array): string {
  const perLine = 16;
  let text = "";
  for (let at = 0; at < bytes.length; at += perLine) {
    const line = [...bytes.subarray(at, at + perLine)];
    const hex = line.map(
      (byte, index) => `${byte.toString(16).padStart(2, "0")}${index === perLine / 2 - 1 ? "-" : " "}`,
    );
    const characters = line.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "."));
    const padding = "   ".repeat(perLine - line.length);
    text += `${at.toString(16).padStart(8, "0")}  ${hex.join("")}${padding}|${characters.join("").padEnd(perLine)}|\n`;
  }
  return text;
}

/** Ends with a newline, whatever the bytes are. */
export function formatMessage(bytes: Uint8Array, ports?: PortNames): string {
  let title = "";
  try {
    title = titleOf(bytes);
    const message = decodeMessage(bytes);
    const text = (title + formatBody(message, bytes, ports)).replace(/ +$/, "");
    return text.endsWith("\n") ? text : `${text}\n`;
  } catch (error) {
    if (!(error instanceof OpenFlowError)) throw error;
    return `${title}${title === "" ? "" : " "}***decode error: ${error.code}***\n${hexDump(bytes)}`;
  }
}

/** An error, and the message that it is about. */
export function formatErrorMessage(error: Message & ErrorMessage, ports?: PortNames): string {
  return heading("OFPT_ERROR", error) + formatError(error, ports);
}

function titleOf(bytes: Uint8Array): string {
  const identity = identifyMessage(bytes);
  checkMessageLength(bytes, identity);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return heading(messageTitle(identity), { version: view.getUint8(0), xid: view.getUint32(4) });
}

/** A set of names, or 0. */
function set(names: readonly string[]): string {
  return names.length === 0 ? "0" : names.join(" ");
}

function formatHello({ versions }: Hello): string {
  const listed: string[] = [];
  for (let version = 0; version < 32; version++) {
    if (((versions >>> version) & 1) === 1) listed.push(`0x${version.toString(16).padStart(2, "0")}`);
  }
  return `\n version bitmap: ${listed.join(", ")}`;
}

/** An error's data is a message, but for a failed hello's, which is a sentence. */
function formatError(error: ErrorMessage, ports: PortNames | undefined): string {
  const name = error.error ?? `type=${error.errorType}, code=${error.errorCode}`;
  const said =
    error.error === "OFPHFC_INCOMPATIBLE" || error.error === "OFPHFC_EPERM"
      ? new TextDecoder("latin1").decode(error.data)
      : formatMessage(error.data, ports);
  return ` ${name}\n${said}`;
}

function formatFeatures(reply: FeaturesReply, version: number): string {
  const dpid = reply.datapathId.toString(16).padStart(16, "0");
  let text = ` dpid:${dpid}\nn_tables:${reply.nTables}, n_buffers:${reply.nBuffers}`;
  if (reply.auxiliaryId !== 0) text += `, auxiliary_id:${reply.auxiliaryId}`;
  text += `\ncapabilities: ${set(capabilityNames(reply.capabilities, version))}\n`;
  if (reply.actions !== 0) text += `actions: ${formatActions10(reply.actions)}\n`;
  return text + reply.ports.map((port) => formatPortDesc(port, version)).join("");
}

function formatConfig(config: SwitchConfig): string {
  const ttl = config.invalidTtlToController === true ? " invalid_ttl_to_controller" : "";
  return ` frags=${fragModeName(config.fragMode)}${ttl} miss_send_len=${config.missSendLen}\n`;
}

const packetInReasons = ["no_match", "action", "invalid_ttl", "action_set", "group", "packet_out"];

function formatPacketIn(packetIn: PacketIn, ports: PortNames | undefined): string {
  let text = packetIn.tableId === 0 ? "" : ` table_id=${packetIn.tableId}`;
  if (packetIn.cookie !== unknown) text += ` cookie=0x${packetIn.cookie.toString(16)}`;
  text += ` total_len=${packetIn.totalLen} ${formatMatch(packetIn.match, defaultPriority, ports)}`;
  text += ` (via ${packetInReasons[packetIn.reason] ?? packetIn.reason}) data_len=${packetIn.packet.length}`;
  if (packetIn.bufferId !== 0xffffffff) text += ` buffer=0x${packetIn.bufferId.toString(16).padStart(8, "0")}`;
  else {
    text += " (unbuffered)";
    if (packetIn.totalLen !== packetIn.packet.length) text += " (***total_len != data_len***)";
  }
  if (packetIn.userdata.length === 0) return `${text}\n`;
  const userdata = [...packetIn.userdata].map((byte) => byte.toString(16).padStart(2, "0"));
  return `${text}\n userdata=${userdata.join(".")}\n`;
}

function formatPacketOut(packetOut: PacketOut, ports: PortNames | undefined): string {
  const match = formatMatch(packetOut.match, defaultPriority, ports);
  const data =
    packetOut.bufferId === 0xffffffff
      ? `data_len=${packetOut.packet.length}`
      : `buffer=0x${packetOut.bufferId.toString(16).padStart(8, "0")}`;
  return ` ${match} actions=${formatActions(packetOut.actions, ports)} ${data}`;
}

const removedReasons = ["idle", "hard", "delete", "group_delete", "meter_delete", "eviction"];

function formatFlowRemoved(removed: FlowRemoved, ports: PortNames | undefined): string {
  let text = ` ${formatMatch(removed.match, removed.priority, ports)}`;
  text += ` reason=${removedReasons[removed.reason] ?? removed.reason}`;
  if (removed.tableId !== 255) text += ` table_id=${removed.tableId}`;
  if (removed.cookie !== 0n) text += ` cookie:0x${removed.cookie.toString(16)}`;
  text += ` duration${formatDuration(removed.durationSec, removed.durationNsec)}s idle${removed.idleTimeout}`;
  if (removed.hardTimeout !== 0) text += ` hard${removed.hardTimeout}`;
  return `${text} pkts${removed.packetCount} bytes${removed.byteCount}\n`;
}

function formatPortMod(mod: PortMod, ports: PortNames | undefined): string {
  const advertise = mod.advertise === 0 ? "UNCHANGED" : featureNames(mod.advertise).join(" ");
  return (
    ` port: ${formatPort(mod.port, ports)}: addr:${formatEth(mod.hwAddr)}\n` +
    `     config: ${set(portConfigBits(mod.config))}\n     mask:   ${set(portConfigBits(mod.mask))}\n` +
    `     advertise: ${advertise}\n`
  );
}

const bundleActs = [
  "OPEN_REQUEST",
  "OPEN_REPLY",
  "CLOSE_REQUEST",
  "CLOSE_REPLY",
  "COMMIT_REQUEST",
  "COMMIT_REPLY",
  "DISCARD_REQUEST",
  "DISCARD_REPLY",
];

/** Zero without a prefix, as C's `%#x` writes it. */
const prefixedHex = (value: number): string => (value === 0 ? "0" : `0x${value.toString(16)}`);
const formatBundleFlags = (flags: number): string => set(bitNames(flags, ["atomic", "ordered"]));

function formatBundleControl(control: BundleControl): string {
  const act = bundleActs[control.act] ?? "";
  return `\n bundle_id=${prefixedHex(control.id)} type=${act} flags=${formatBundleFlags(control.flags)}`;
}

const roles = ["nochange", "equal", "primary", "secondary"];
const roleReasons = ["primary_request", "configuration_changed", "experimenter_data_changed"];

function formatRole(message: RoleRequest | RoleStatus): string {
  const { generationId } = message;
  const generation = generationId === undefined || generationId === unknown ? "" : ` generation_id=${generationId}`;
  const reason = message.type === "role_status" ? ` reason=${roleReasons[message.reason] ?? "(unknown)"}` : "";
  return ` role=${roles[message.role] ?? message.role}${generation}${reason}`;
}

function formatFlowStatsRequest(request: FlowStatsRequest, ports: PortNames | undefined): string {
  const table = request.tableId === 255 ? "" : ` table=${request.tableId}`;
  const out = request.outPort === ofpp.ANY ? "" : ` out_port=${formatPort(request.outPort, ports)}`;
  return `${table}${out} ${formatMatch(request.match, defaultPriority, ports)}`;
}

/** What follows the heading. */
function formatBody(message: Message, bytes: Uint8Array, ports: PortNames | undefined): string {
  const more = "more" in message && message.more ? " flags=[more]" : "";
  return (
    more + (formatChange(message, ports) ?? formatConnection(message, bytes, ports) ?? formatStats(message, ports))
  );
}

/** Messages that change something, or tell of a change; undefined for others. */
function formatChange(message: Message, ports: PortNames | undefined): string | undefined {
  switch (message.type) {
    case "packet_in":
      return formatPacketIn(message, ports);
    case "packet_out":
      return formatPacketOut(message, ports);
    case "flow_mod":
      return ` ${formatFlowMod(message, ports, message.version)}`;
    case "flow_removed":
      return formatFlowRemoved(message, ports);
    case "port_status":
      return ` ${["ADD", "DEL", "MOD"][message.reason] ?? ""}:${formatPortDesc(message.port, message.version)}`;
    case "port_mod":
      return formatPortMod(message, ports);
    case "meter_mod":
      return formatMeterMod(message);
    case "group_mod":
      return formatGroupMod(message, message.version, ports);
    case "bundle_control":
      return formatBundleControl(message);
    case "bundle_add_message": {
      const head = `\n bundle_id=${prefixedHex(message.id)} flags=${formatBundleFlags(message.flags)}\n`;
      return head + formatMessage(message.message, ports);
    }
    default:
      return undefined;
  }
}

/** Messages about the connection and the switch; undefined for others. */
function formatConnection(message: Message, bytes: Uint8Array, ports: PortNames | undefined): string | undefined {
  switch (message.type) {
    case "hello":
      return formatHello(message);
    case "error":
      return formatError(message, ports);
    case "echo_request":
    case "echo_reply":
      return ` ${bytes.length - 8} bytes of payload\n`;
    case "features_reply":
      return formatFeatures(message, message.version);
    case "get_config_reply":
    case "set_config":
      return formatConfig(message);
    case "role_request":
    case "role_reply":
    case "role_status":
      return formatRole(message);
    case "nxt_set_flow_format":
      return ` format=${["openflow10", undefined, "nxm"][message.value] ?? "(unknown)"}`;
    case "nxt_set_packet_in_format":
      return ` format=${["standard", "nxt_packet_in", "nxt_packet_in2"][message.value] ?? message.value}`;
    case "nxt_flow_mod_table_id":
      return message.value === 0 ? " disable" : " enable";
    case "nxt_set_controller_id":
    case "flow_monitor_cancel":
      return ` id=${message.type === "flow_monitor_cancel" ? message.id : message.value}`;
    default:
      return undefined;
  }
}

function formatStats(message: Message & MessageBody, ports: PortNames | undefined): string {
  switch (message.type) {
    case "desc_reply":
      return (
        `\nManufacturer: ${message.manufacturer}\nHardware: ${message.hardware}\nSoftware: ${message.software}\n` +
        `Serial Num: ${message.serial}\nDP Description: ${message.datapath}\n`
      );
    case "flow_stats_request":
    case "aggregate_request":
      return formatFlowStatsRequest(message, ports);
    case "flow_stats_reply":
      return `\n${formatFlows(message, ports === undefined ? {} : { ports })}`;
    case "aggregate_reply":
      return ` packet_count=${message.packetCount} byte_count=${message.byteCount} flow_count=${message.flowCount}`;
    case "table_stats_reply":
      return `\n${formatTables(message.tables, message.version)}`;
    case "port_stats_request":
      return ` port_no=${formatPort(message.port, ports)}`;
    case "port_stats_reply": {
      const texts = message.ports.map((port) => formatPortStats(port, message.version, ports));
      return ` ${texts.length} ports\n${texts.join("")}`;
    }
    case "meter_stats_request":
    case "meter_config_request":
      return ` ${formatMeterId(message.id, "=")}`;
    case "meter_config_reply":
      return `\n${message.meters.map((meter) => formatMeter(meter)).join("\n")}`;
    case "meter_stats_reply":
      return `\n${message.meters.map((meter) => formatMeterStats(meter)).join("\n")}`;
    case "group_stats_request":
    case "group_desc_request":
      return ` group_id=${formatGroupId(message.id)}`;
    case "group_desc_reply":
      return `\n${message.groups.map((group) => ` ${formatGroup(group, message.version, ports)}\n`).join("")}`;
    case "group_stats_reply":
      return `\n${message.groups.map(formatGroupStats).join("")}`;
    case "group_features_reply":
      return formatGroupFeatures(message, message.version);
    case "meter_features_reply":
      return formatMeterFeatures(message);
    case "nxt_tlv_table_reply":
      return formatTlvTable(message);
    case "port_desc_request":
    case "queue_get_config_request":
      return ` port=${formatPort(message.port, ports)}`;
    case "port_desc_reply":
      return `\n${message.ports.map((port) => formatPortDesc(port, message.version)).join("")}`;
    default:
      return "";
  }
}
