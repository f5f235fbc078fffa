import {
  decodeMessage,
  encodeMessage,
  FlowSyntaxError,
  inPortMatch,
  type MessageBody,
  OpenFlowError,
  type PortDesc,
  parseActions,
  parseFlow,
  parseMatch,
  type Version,
} from "../../ts/openflow/index.js";
import { readCorpus } from "./flow-corpus.js";

/** A valid message of every kind in every version that has it: what fuzz targets start from. */

export const versions: readonly Version[] = [1, 2, 3, 4, 5, 6];

const empty = new Uint8Array(0);
const any = 0xffffffff;
const text = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"));
export const match = parseMatch("tcp,in_port=3,tp_dst=80");
export const actions = parseActions("output:2,controller(max_len=100)");
export const hwAddr = Uint8Array.of(0, 17, 34, 51, 68, 85);
export const times = { durationSec: 5, durationNsec: 123000000 };
export const port: PortDesc = {
  port: 3,
  hwAddr,
  name: "eth3",
  config: 1,
  state: 1,
  current: 0x840,
  advertised: 0x2840,
  supported: 0x840,
  peer: 0,
  currentSpeedKbps: 10000000,
  maxSpeedKbps: 10000000,
};
export const portCounters = {
  rxPackets: 1n,
  txPackets: 2n,
  rxBytes: 3n,
  txBytes: 4n,
  rxDropped: 5n,
  txDropped: 6n,
  rxErrors: 7n,
  txErrors: 8n,
  rxFrameErr: 9n,
  rxOverErr: 10n,
  rxCrcErr: 11n,
  collisions: 12n,
};
const portStats = { port: 3, ...portCounters, ...times };
export const flowStats = {
  tableId: 3,
  priority: 7,
  ...times,
  idleTimeout: 10,
  hardTimeout: 0,
  idleAge: 4,
  hardAge: undefined,
  importance: 0,
  flags: 0,
  cookie: 9n,
  packetCount: 5n,
  byteCount: 6n,
  match,
  actions,
};
const removed = {
  type: "flow_removed",
  reason: 1,
  tableId: 3,
  priority: 7,
  cookie: 9n,
  ...times,
  idleTimeout: 10,
  hardTimeout: 20,
  packetCount: 5n,
  byteCount: 6n,
  match,
} as const;
const packetIn = {
  type: "packet_in",
  bufferId: any,
  totalLen: 60,
  reason: 1,
  tableId: 3,
  cookie: 5n,
  match: inPortMatch(3),
  packet: new Uint8Array(60),
  userdata: Uint8Array.of(1, 2, 3),
} as const;
const continuation = {
  bridge: Uint8Array.from({ length: 16 }, (_, index) => index),
  stack: [Uint8Array.of(1, 2, 3, 4)],
  mirrors: 1,
  isTracked: false,
  actions,
  actionSet: empty,
  dpPort: 2,
};
const bucket = { watchPort: any, watchGroup: any, actions: parseActions("output:2") };
export const group = {
  groupType: 1,
  groupId: 5,
  buckets: [
    { ...bucket, id: 0, weight: 3 },
    { ...bucket, id: 1, weight: 5, actions: parseActions("mod_nw_tos:4,output:7") },
  ],
  selection: undefined,
} as const;
export const hashed = { ...group, selection: { method: "hash", param: 7n, fields: [] } } as const;
export const failover = {
  groupType: 3,
  groupId: 6,
  buckets: [
    { ...bucket, id: 0, weight: 0, watchPort: 2 },
    { ...bucket, id: 1, weight: 0, watchGroup: 5 },
  ],
  selection: undefined,
} as const;
export const groupMod = { type: "group_mod", command: 0, commandBucket: any } as const;
const meter = {
  meterId: 3,
  flags: 0xd,
  bands: [
    { type: 1, rate: 1000, burstSize: 20, precLevel: 0 },
    { type: 2, rate: 500, burstSize: 0, precLevel: 1 },
  ],
};
const count = { packetCount: 5n, byteCount: 600n };
const monitor = { id: 1, flags: 0xf, outPort: any, outGroup: any, tableId: 255, match };
const update = {
  tableId: 3,
  reason: 0,
  priority: 7,
  cookie: 9n,
  idleTimeout: 1,
  hardTimeout: 2,
  match,
  actions,
} as const;
const mapping = { optionClass: 0xffff, optionType: 3, length: 8, index: 5 };
const async = {
  packetIn: [1, 2],
  portStatus: [3, 4],
  flowRemoved: [5, 6],
} as const;
const async14 = { ...async, roleStatus: [1, 1], tableStatus: [8, 16], requestForward: [1, 2] } as const;
const empty16 = new Uint8Array(16);
const tuple = {
  src: text("00000000000000000000ffff 0a000001"),
  dst: text("00000000000000000000ffff 0a000002"),
  srcPort: 80,
  dstPort: 81,
  icmpId: 0,
  icmpType: 0,
  icmpCode: 0,
};
const exporter = {
  totalFlows: 1n,
  currentFlows: 2n,
  packets: 3n,
  ipv4Packets: 4n,
  ipv6Packets: 5n,
  errorPackets: 6n,
  ipv4ErrorPackets: 7n,
  ipv6ErrorPackets: 8n,
  txPackets: 9n,
  txErrors: 10n,
  collectorSetId: 1,
};
const asked = { tableId: 3, outPort: any, outGroup: any, cookie: 5n, cookieMask: 7n, match } as const;

export const bodies: readonly MessageBody[] = [
  { type: "hello", versions: 0x52 },
  { type: "error", error: "OFPBRC_BAD_LEN", vendor: 0, errorType: 1, errorCode: 6, data: text("0105000800000001") },
  { type: "echo_request", data: Uint8Array.of(1, 2, 3) },
  { type: "echo_reply", data: empty },
  { type: "features_request" },
  {
    type: "features_reply",
    datapathId: 0x1234n,
    nBuffers: 0,
    nTables: 254,
    auxiliaryId: 0,
    capabilities: 0xc7,
    actions: 0xfff,
    ports: [port, { ...port, port: 0xfffffffe, name: "br0" }],
  },
  { type: "get_config_request" },
  { type: "get_config_reply", fragMode: 0, invalidTtlToController: false, missSendLen: 128 },
  { type: "set_config", fragMode: 1, invalidTtlToController: false, missSendLen: 0 },
  { ...packetIn, format: "standard" },
  { ...packetIn, format: "nxt_packet_in" },
  { ...packetIn, format: "nxt_packet_in2" },
  { ...packetIn, format: "nxt_packet_in2", continuation },
  { type: "nxt_resume", packetIn: { ...packetIn, format: "nxt_packet_in2", continuation } },
  { ...removed, standard: true },
  { ...removed, standard: false },
  { type: "port_status", reason: 2, port },
  { type: "packet_out", bufferId: any, inPort: 3, match: inPortMatch(3), actions, packet: new Uint8Array(60) },
  { type: "port_mod", port: 3, hwAddr, config: 1, mask: 1, advertise: 0x840 },
  { type: "table_mod", tableId: 3, config: 0, evictionFlags: undefined, vacancy: undefined },
  { type: "table_mod", tableId: 3, config: 12, evictionFlags: 7, vacancy: { down: 20, up: 80, now: 0 } },
  { type: "barrier_request" },
  { type: "barrier_reply" },
  { type: "queue_get_config_request", port: 3 },
  { type: "queue_get_config_reply", port: 3, queues: [{ port: 3, queue: 4, minRate: 500, maxRate: 750 }] },
  { type: "role_request", standard: false, role: 2, generationId: undefined },
  { type: "role_request", standard: true, role: 3, generationId: 5n },
  { type: "role_reply", standard: true, role: 2, generationId: 5n },
  { type: "role_reply", standard: false, role: 1, generationId: undefined },
  { type: "role_status", role: 2, reason: 0, generationId: 7n },
  { type: "get_async_request" },
  { type: "get_async_reply", standard: true, config: async14 },
  { type: "set_async", standard: true, config: async14 },
  { type: "set_async", standard: true, config: async },
  { type: "set_async", standard: true, config: { packetIn: [1, undefined], tableStatus: [undefined, 8] } },
  { type: "set_async", standard: false, config: async },
  { ...groupMod, ...group },
  { ...groupMod, ...hashed },
  { ...groupMod, ...failover },
  { ...groupMod, command: 2, groupType: 0, groupId: 5, buckets: [], selection: undefined },
  { ...groupMod, ...group, command: 3, commandBucket: 0xfffffffe },
  { type: "meter_mod", command: 0, meter },
  { type: "requestforward", requestXid: 7, request: { type: "meter_mod", command: 0, meter } },
  { type: "requestforward", requestXid: 7, request: { ...groupMod, ...group } },
  { type: "bundle_control", id: 7, act: 0, flags: 3 },
  { type: "bundle_add_message", id: 7, flags: 3, message: empty },
  { type: "nxt_set_flow_format", value: 2 },
  { type: "nxt_flow_mod_table_id", value: 1 },
  { type: "nxt_set_packet_in_format", value: 2 },
  { type: "nxt_set_controller_id", value: 7 },
  { type: "nxt_flow_age" },
  { type: "flow_monitor_cancel", id: 5 },
  { type: "flow_monitor_paused" },
  { type: "flow_monitor_resumed" },
  { type: "nxt_tlv_table_mod", command: 0, mappings: [mapping, { ...mapping, index: 6, optionType: 4 }] },
  { type: "nxt_tlv_table_mod", command: 2, mappings: [] },
  { type: "nxt_tlv_table_request" },
  { type: "nxt_tlv_table_reply", space: 256, fieldCount: 64, mappings: [mapping] },
  { type: "desc_request" },
  { type: "desc_reply", manufacturer: "m", hardware: "h", software: "s", serial: "n", datapath: "d" },
  { type: "flow_stats_request", standard: true, ...asked },
  { type: "flow_stats_request", standard: false, ...asked },
  { type: "aggregate_request", standard: true, ...asked },
  { type: "aggregate_request", standard: false, ...asked },
  { type: "flow_stats_reply", standard: true, more: false, flows: [flowStats, { ...flowStats, hardAge: 9, flags: 1 }] },
  { type: "flow_stats_reply", standard: false, more: true, flows: [flowStats, { ...flowStats, hardAge: 9 }] },
  { type: "aggregate_reply", standard: true, packetCount: 5n, byteCount: 6n, flowCount: 7 },
  { type: "aggregate_reply", standard: false, packetCount: 5n, byteCount: 6n, flowCount: 7 },
  { type: "table_stats_request" },
  {
    type: "table_stats_reply",
    more: false,
    tables: [
      {
        tableId: 0,
        name: "classifier",
        activeCount: 5,
        lookupCount: 6n,
        matchedCount: 7n,
        maxEntries: 1000000,
        config: 0,
      },
    ],
  },
  { type: "port_stats_request", port: 3 },
  { type: "port_stats_reply", more: false, ports: [portStats] },
  { type: "queue_stats_request", port: any, queue: any },
  {
    type: "queue_stats_reply",
    more: false,
    queues: [{ port: 3, queue: 4, txBytes: 5n, txPackets: 6n, txErrors: 7n, ...times }],
  },
  { type: "port_desc_request", port: any },
  { type: "port_desc_reply", more: false, ports: [port, port] },
  { type: "queue_desc_request", port: 3, queue: 9 },
  { type: "queue_desc_reply", more: false, queues: [{ port: 3, queue: 4, minRate: 500, maxRate: 750 }] },
  { type: "group_stats_request", id: 5 },
  {
    type: "group_stats_reply",
    more: false,
    groups: [{ groupId: 5, refCount: 2, ...count, ...times, buckets: [count] }],
  },
  { type: "group_desc_request", id: 0xfffffffc },
  { type: "group_desc_reply", more: false, groups: [group, hashed, failover] },
  { type: "group_features_request" },
  {
    type: "group_features_reply",
    more: false,
    types: 15,
    capabilities: 7,
    maxGroups: [1, 2, 3, 4],
    actions: [5, 6, 7, 8],
  },
  { type: "meter_stats_request", id: 3 },
  {
    type: "meter_stats_reply",
    more: false,
    meters: [{ meterId: 3, flowCount: 1, packetInCount: 2n, byteInCount: 3n, ...times, bands: [count, count] }],
  },
  { type: "meter_config_request", id: any },
  { type: "meter_config_reply", more: false, meters: [meter, { ...meter, meterId: 4, bands: [] }] },
  { type: "meter_features_request" },
  {
    type: "meter_features_reply",
    more: false,
    maxMeters: 100,
    bandTypes: 6,
    capabilities: 15,
    maxBands: 8,
    maxColor: 0,
  },
  { type: "table_features_request", body: empty },
  { type: "table_desc_request" },
  {
    type: "table_desc_reply",
    more: false,
    tables: [
      { tableId: 1, config: 4, vacancy: undefined },
      { tableId: 2, config: 8, vacancy: { down: 20, up: 80, now: 50 } },
    ],
  },
  {
    type: "flow_monitor_request",
    monitors: [
      { ...monitor, command: 0 },
      { ...monitor, id: 2, command: 0, tableId: 4 },
    ],
  },
  {
    type: "flow_monitor_reply",
    more: false,
    updates: [
      { event: "added", ...update },
      { event: "removed", ...update, reason: 2, actions: empty },
      { event: "modified", ...update },
      { event: "abbreviated", xid: 5 },
    ],
  },
  { type: "ipfix_bridge_request" },
  { type: "ipfix_flow_request" },
  { type: "ipfix_bridge_reply", more: false, exporters: [exporter] },
  { type: "ipfix_flow_reply", more: false, exporters: [exporter, { ...exporter, collectorSetId: 2 }] },
  { type: "nxt_ct_flush_zone", zone: 5 },
  { type: "nxt_ct_flush", ipProto: 6, orig: tuple, reply: { ...tuple, dst: empty16 }, zone: 7 },
  {
    type: "nxt_ct_flush",
    ipProto: 1,
    orig: { ...tuple, srcPort: 0, dstPort: 0, icmpId: 5 },
    reply: undefined,
    zone: 0,
  },
  { type: "nxt_ct_flush", ipProto: 0, orig: undefined, reply: undefined, zone: undefined },
  { type: "table_features_reply", more: false, body: new Uint8Array(64) },
  { type: "table_status", reason: 3, table: { tableId: 1, config: 8, vacancy: { down: 20, up: 80, now: 10 } } },
];

export interface Sample {
  readonly version: Version;
  readonly body: MessageBody;
  readonly bytes: Uint8Array;
}

/** What a version cannot say is left out. */
function encoded(version: Version, body: MessageBody): Sample[] {
  const inner = encodeMessage(version, 1, { ...groupMod, ...group });
  const whole = body.type === "bundle_add_message" ? { ...body, message: inner } : body;
  try {
    return [{ version, body: whole, bytes: encodeMessage(version, 1, whole) }];
  } catch (error) {
    if (error instanceof Error && /has no message/.test(error.message)) return [];
    throw new Error(`${body.type} in version ${version}: ${error instanceof Error ? error.stack : error}`);
  }
}

export function messageSamples(): Sample[] {
  return versions.flatMap((version) => bodies.flatMap((body) => encoded(version, body)));
}

/** Whether a switch takes it: packets that a controller sends have less that actions may rely on than flows have. */
function isAccepted(bytes: Uint8Array): boolean {
  try {
    decodeMessage(bytes);
    return true;
  } catch (error) {
    if (error instanceof OpenFlowError) return false;
    throw error;
  }
}

/** The flows of flows.md as flow_mods and packet_outs; those that a version cannot say are left out. */
export function flowSamples(): Sample[] {
  return readCorpus().flatMap(({ input }) =>
    versions.flatMap((version) => {
      try {
        const parsed = parseFlow(input);
        // Table 255 is whichever the switch chooses, which is the first.
        const flow = { ...parsed, tableId: parsed.tableId === 255 ? 0 : parsed.tableId, standard: version !== 1 };
        const out: MessageBody = {
          type: "packet_out",
          bufferId: any,
          inPort: 1,
          match: inPortMatch(1),
          actions: flow.actions,
          packet: new Uint8Array(60),
        };
        return [...encoded(version, flow), ...encoded(version, out)].filter(({ bytes }) => isAccepted(bytes));
      } catch (error) {
        if (error instanceof FlowSyntaxError || error instanceof OpenFlowError) return [];
        throw error;
      }
    }),
  );
}
