import { miss } from "../datapath/generated/records.js";
import { encodeFlowStats, OpenFlowError, tlvFields, tlvSpace } from "../openflow/index.js";
import type {
  FlowStatsRequest,
  Message,
  MessageBody,
  NxtResume,
  Opaque,
  PacketOut,
  PortMod,
  TableMod,
} from "../openflow/message.js";
import { resumePacket } from "./continuation.js";
import { internalTable, visibleTables } from "./flow-mods.js";
import { aggregateFlows, anyPort, type FlowFilter } from "./flow-records.js";
import { flowStatsReplies } from "./flow-stats.js";
import { groupFeatures, groupReplies, modifyGroup } from "./groups.js";
import { meterFeatures, meterReplies, modifyMeter } from "./meters.js";
import type { Ofproto } from "./ofproto.js";
import { sendPacketOut } from "./packet-out.js";
import { describePort, portStatsOf } from "./port.js";
import { portCounters } from "./port-counters.js";
import { applyPortMod, checkPortMod } from "./port-mod.js";
import { queueConfig, queueDescriptions, queueStats } from "./queues.js";
import type { Replies, Requester } from "./requester.js";
import { tableFeatures } from "./table-features.js";
import { tableInfos } from "./table-infos.js";
import { describeTable, type TableSettings, tableConfig, vacancy, vacancyReason } from "./table-settings.js";
import { tableStats } from "./table-stats.js";
import { changedTlvMap } from "./tlv-map.js";

/** What a switch answers to the OpenFlow messages that concern it.  Messages about the connection itself (hello, echo,
 *  roles, asynchronous messages) never come here, and flow_mods come in batches through a FlowModQueue. */

type Handler = (ofproto: Ofproto, message: Message, requester: Requester) => Replies;

const none: Replies = [];

function only(...bodies: readonly MessageBody[]): Replies {
  return bodies;
}

/** Bits of OFPC: FLOW_STATS, TABLE_STATS, PORT_STATS, GROUP_STATS (STP in 1.0), QUEUE_STATS, ARP_MATCH_IP, BUNDLES. */
const capabilities = { base: 0x47, groupStats: 0x08, arpMatchIp: 0x80, bundles: 0x200 } as const;
/** OFPAT numbers of OpenFlow 1.0 from output to enqueue. */
const actions10 = 0xfff;

function capabilitiesOf(version: number): number {
  const arp = version <= 2 ? capabilities.arpMatchIp : 0;
  const group = version >= 2 ? capabilities.groupStats : 0;
  const bundles = version >= 5 ? capabilities.bundles : 0;
  return capabilities.base | arp | group | bundles;
}

function features(ofproto: Ofproto, _message: Message, requester: Requester): Replies {
  const withPorts = requester.version < 4;
  return only({
    type: "features_reply",
    datapathId: ofproto.datapathId,
    nBuffers: 0,
    nTables: visibleTables,
    auxiliaryId: 0,
    capabilities: capabilitiesOf(requester.version),
    actions: requester.version === 1 ? actions10 : 0,
    ports: withPorts ? ofproto.ports().map(describePort) : [],
  });
}

/** Descriptions of ports, as many in a message as fit. */
function* portDesc(ofproto: Ofproto, message: Message): Generator<MessageBody> {
  if (message.type !== "port_desc_request") return;
  const perMessage = 512;
  const wanted = message.port === anyPort ? ofproto.ports() : [ofproto.port(message.port)];
  const ports = wanted.filter((port) => port !== undefined).map(describePort);
  for (let at = 0; at === 0 || at < ports.length; at += perMessage) {
    yield { type: "port_desc_reply", more: at + perMessage < ports.length, ports: ports.slice(at, at + perMessage) };
  }
}

/** Counters of ports, a few hundred in a message. */
function* portStats(ofproto: Ofproto, message: Message): Generator<MessageBody> {
  if (message.type !== "port_stats_request") return;
  const perMessage = 256;
  const wanted = message.port === anyPort ? ofproto.ports() : [ofproto.port(message.port)];
  const ports = wanted.filter((port) => port !== undefined);
  const now = ofproto.clock.monotonic();
  for (let at = 0; at === 0 || at < ports.length; at += perMessage) {
    yield {
      type: "port_stats_reply",
      more: at + perMessage < ports.length,
      ports: ports
        .slice(at, at + perMessage)
        .map((port) => portStatsOf(port, portCounters(ofproto.datapath, port), now)),
    };
  }
}

function checkTable(table: number): void {
  if (table !== 255 && table > internalTable) {
    throw new OpenFlowError("OFPBRC_BAD_TABLE_ID", `there is no table ${table}`, { table });
  }
}

function filterOf(message: FlowStatsRequest): FlowFilter {
  checkTable(message.tableId);
  return {
    table: message.tableId,
    outPort: message.outPort,
    outGroup: message.outGroup,
    cookie: message.cookie,
    cookieMask: message.cookieMask,
    match: message.match,
    // The switch's own table shows itself to those who ask for it.
    includeHidden: message.tableId === internalTable,
  };
}

function flowStats(ofproto: Ofproto, message: Message, requester: Requester): Replies {
  if (message.type !== "flow_stats_request") return none;
  return flowStatsReplies(
    ofproto,
    filterOf(message),
    encodeFlowStats(requester.version, message.xid, message.standard),
  );
}

function aggregate(ofproto: Ofproto, message: Message): Replies {
  if (message.type !== "aggregate_request") return none;
  const totals = aggregateFlows(ofproto.datapath, ofproto.bridge, filterOf(message));
  return only({
    type: "aggregate_reply",
    standard: message.standard,
    packetCount: totals.nPackets,
    byteCount: totals.nBytes,
    flowCount: totals.nFlows,
  });
}

function refuseSecondary(requester: Requester): void {
  if (requester.isSecondary) {
    throw new OpenFlowError("OFPBRC_IS_SECONDARY", "a secondary controller may not change the switch");
  }
}

function packetOut(ofproto: Ofproto, message: Message, requester: Requester): Replies {
  refuseSecondary(requester);
  sendPacketOut(ofproto, message as PacketOut);
  return none;
}

function resume(ofproto: Ofproto, message: Message): Replies {
  resumePacket(ofproto, (message as NxtResume).packetIn);
  return none;
}

function portMod(ofproto: Ofproto, message: Message, requester: Requester): Replies {
  refuseSecondary(requester);
  const mod = message as PortMod;
  checkPortMod(ofproto, mod);
  applyPortMod(ofproto, mod, requester);
  return none;
}

/** OFPTC of OpenFlow 1.1 and 1.2: what happens to a packet that no rule matches. */
const missOf: Readonly<Record<number, number>> = { 0: miss.controller, 1: miss.continue, 2: miss.drop };
const missMask = 3;

/** Whether the table is to evict.  An eviction property says it in the place of the configuration's bit, as Open vSwitch
 *  reads it: 1 for yes, 2 for no, and anything else leaves the table as it is. */
function wantsEviction(mod: TableMod, before: boolean): boolean {
  const flags = mod.evictionFlags;
  if (flags === undefined) return (mod.config & tableConfig.eviction) !== 0;
  return flags === 1 || (flags !== 2 && before);
}

function vacancyChange(table: TableSettings, mod: TableMod, flowCount = 0): Partial<TableSettings> {
  const limits = { vacancyDown: mod.vacancy?.down ?? 0, vacancyUp: mod.vacancy?.up ?? 0 };
  if ((mod.config & tableConfig.vacancyEvents) === 0) return { ...limits, vacancyReason: 0 };
  if (table.vacancyReason !== 0) return limits;
  const isLow = vacancy(table, flowCount) < limits.vacancyUp;
  return { ...limits, vacancyReason: isLow ? vacancyReason.up : vacancyReason.down };
}

function tableMod(ofproto: Ofproto, message: Message, requester: Requester): Replies {
  refuseSecondary(requester);
  const mod = message as TableMod;
  if (mod.tableId === internalTable) throw new OpenFlowError("OFPTMFC_EPERM", "table 254 belongs to the switch");
  if (mod.tableId !== 255 && mod.tableId >= visibleTables) {
    throw new OpenFlowError("OFPTMFC_BAD_TABLE", `there is no table ${mod.tableId}`, { table: mod.tableId });
  }
  const flowCounts = [...tableInfos(ofproto)].map((info) => info.nFlows);
  const first = mod.tableId === 255 ? 0 : mod.tableId;
  const last = mod.tableId === 255 ? visibleTables - 1 : mod.tableId;
  for (let table = first; table <= last; table++) {
    if (requester.version <= 3) {
      const wanted = missOf[mod.config & missMask];
      if (wanted === undefined) throw new OpenFlowError("OFPTMFC_BAD_CONFIG", "no such table miss behaviour");
      ofproto.changeTable(table, { miss: wanted });
    } else if (requester.version >= 5) {
      const before = ofproto.table(table);
      const evictByController = wantsEviction(mod, before.evictByController);
      ofproto.changeTable(table, { evictByController, ...vacancyChange(before, mod, flowCounts[table]) });
    }
  }
  return none;
}

function tableDescriptions(ofproto: Ofproto): Replies {
  const flowCounts = [...tableInfos(ofproto)].map((info) => info.nFlows);
  const tables = Array.from({ length: visibleTables }, (_, tableId) =>
    describeTable(ofproto.table(tableId), tableId, flowCounts[tableId] ?? 0),
  );
  return only({ type: "table_desc_reply", more: false, tables });
}

function ipfixStats(ofproto: Ofproto, message: Message): Replies {
  const ofBridge = message.type === "ipfix_bridge_request";
  const exporters = ofproto.ipfixStats(ofBridge);
  if (exporters.length === 0) throw new OpenFlowError("NXST_NOT_CONFIGURED", "there is no such IPFIX exporter");
  return only({ type: ofBridge ? "ipfix_bridge_reply" : "ipfix_flow_reply", more: false, exporters });
}

function groupMod(ofproto: Ofproto, message: Message, requester: Requester): Replies {
  refuseSecondary(requester);
  if (message.type !== "group_mod") return none;
  const { version: _version, xid, ...mod } = message;
  ofproto.tellRequest({ requestXid: xid, request: modifyGroup(ofproto, mod), origin: requester });
  return none;
}

function groupById(ofproto: Ofproto, message: Message): Replies {
  if (message.type !== "group_stats_request" && message.type !== "group_desc_request") return none;
  const type = message.type === "group_stats_request" ? "group_stats_reply" : "group_desc_reply";
  return groupReplies(ofproto, type, message.id);
}

function meterMod(ofproto: Ofproto, message: Message, requester: Requester): Replies {
  refuseSecondary(requester);
  if (message.type !== "meter_mod") return none;
  modifyMeter(ofproto, message);
  const { type, command, meter, xid } = message;
  ofproto.tellRequest({ requestXid: xid, request: { type, command, meter }, origin: requester });
  return none;
}

function meterById(ofproto: Ofproto, message: Message): Replies {
  if (message.type !== "meter_stats_request" && message.type !== "meter_config_request") return none;
  const type = message.type === "meter_stats_request" ? "meter_stats_reply" : "meter_config_reply";
  return meterReplies(ofproto, type, message.id);
}

function tlvTableMod(ofproto: Ofproto, message: Message, requester: Requester): Replies {
  refuseSecondary(requester);
  if (message.type === "nxt_tlv_table_mod") ofproto.tlvs = changedTlvMap(ofproto, message);
  return none;
}

const handlers: Partial<Record<Message["type"], Handler>> = {
  features_request: features,
  desc_request: (ofproto) => only({ type: "desc_reply", ...ofproto.description }),
  port_desc_request: portDesc,
  port_stats_request: portStats,
  flow_stats_request: flowStats,
  aggregate_request: aggregate,
  table_stats_request: (ofproto) => tableStats(ofproto),
  table_desc_request: tableDescriptions,
  queue_get_config_request: queueConfig,
  queue_stats_request: queueStats,
  queue_desc_request: queueDescriptions,
  packet_out: packetOut,
  port_mod: portMod,
  table_mod: tableMod,
  group_mod: groupMod,
  meter_mod: meterMod,
  group_stats_request: groupById,
  group_desc_request: groupById,
  group_features_request: (_ofproto, message) => only(groupFeatures(message.version)),
  meter_stats_request: meterById,
  meter_config_request: meterById,
  meter_features_request: () => only({ type: "meter_features_reply", more: false, ...meterFeatures }),
  table_features_request: (ofproto, message, requester) => tableFeatures(ofproto, message as Opaque, requester),
  nxt_resume: resume,
  nxt_tlv_table_mod: tlvTableMod,
  nxt_tlv_table_request: (ofproto) =>
    only({ type: "nxt_tlv_table_reply", space: tlvSpace, fieldCount: tlvFields, mappings: ofproto.tlvs.entries() }),
  // No connection is tracked, so there is none to forget.
  nxt_ct_flush_zone: () => none,
  nxt_ct_flush: () => none,
  ipfix_bridge_request: ipfixStats,
  ipfix_flow_request: ipfixStats,
  nxt_flow_age: () => none,
};

/** Answers one message.  Throws OpenFlowError; a message that a switch never gets is one too. */
export function handleRequest(ofproto: Ofproto, message: Message, requester: Requester): Replies {
  const handler = handlers[message.type];
  if (handler === undefined) throw new OpenFlowError("OFPBRC_BAD_TYPE", `a switch does not expect ${message.type}`);
  return handler(ofproto, message, requester);
}
