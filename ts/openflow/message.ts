import type { ErrorName } from "./tables/errors.js";

/** OpenFlow messages as objects.  One union for every version: a member that a version does not carry is left at its
 *  neutral value when decoding, and ignored when encoding.  Matches, actions and flow_mods are in the ABI's form
 *  (`match` and action records), which is what rules are stored as; `match.ts`, `action.ts` and the text room turn
 *  them into objects and text. */

/** Wire version: 1 is OpenFlow 1.0, 4 is 1.3, 6 is 1.5. */
export type Version = 1 | 2 | 3 | 4 | 5 | 6;

/** A `match` record of the ABI; two empty bitmaps match everything. */
export type AbiMatch = Uint8Array;
/** A sequence of action records of the ABI. */
export type AbiActions = Uint8Array;

export interface PortDesc {
  readonly port: number;
  readonly hwAddr: Uint8Array;
  readonly name: string;
  /** OFPPC bits: PORT_DOWN 1, NO_STP 2, NO_RECV 4, NO_RECV_STP 8, NO_FLOOD 16, NO_FWD 32, NO_PACKET_IN 64. */
  readonly config: number;
  /** OFPPS bits of OpenFlow 1.1: LINK_DOWN 1, BLOCKED 2, LIVE 4; and the STP state of 1.0 in bits 8 and 9. */
  readonly state: number;
  /** OFPPF bits of OpenFlow 1.1 (1.0's are moved). */
  readonly current: number;
  readonly advertised: number;
  readonly supported: number;
  readonly peer: number;
  readonly currentSpeedKbps: number;
  readonly maxSpeedKbps: number;
}

export interface Hello {
  readonly type: "hello" /** Bit n: wire version n is spoken. */;
  readonly versions: number;
}
export interface ErrorMessage {
  readonly type: "error";
  /** Undefined when no row has the numbers. */
  readonly error: ErrorName | undefined;
  readonly vendor: number;
  readonly errorType: number;
  readonly errorCode: number;
  /** Beginning of the message that was at fault, or text for a failed hello. */
  readonly data: Uint8Array;
}
export interface Echo {
  readonly type: "echo_request" | "echo_reply";
  readonly data: Uint8Array;
}
/** Messages without a body. */
export interface Plain {
  readonly type:
    | "features_request"
    | "get_config_request"
    | "barrier_request"
    | "barrier_reply"
    | "get_async_request"
    | "desc_request"
    | "table_stats_request"
    | "group_features_request"
    | "meter_features_request"
    | "table_desc_request"
    | "ipfix_bridge_request"
    | "ipfix_flow_request"
    | "flow_monitor_paused"
    | "flow_monitor_resumed"
    | "nxt_tlv_table_request"
    | "nxt_flow_age";
}
export interface FeaturesReply {
  readonly type: "features_reply";
  readonly datapathId: bigint;
  readonly nBuffers: number;
  readonly nTables: number;
  readonly auxiliaryId: number;
  readonly capabilities: number;
  /** Bitmap of OpenFlow 1.0 actions. */
  readonly actions: number;
  /** Before OpenFlow 1.3. */
  readonly ports: readonly PortDesc[];
}
export interface SwitchConfig {
  readonly type: "get_config_reply" | "set_config";
  /** 0 normal, 1 drop, 2 reassemble, 3 nx-match. */
  readonly fragMode: number;
  /** OFPC_INVALID_TTL_TO_CONTROLLER: undefined where the version has no such bit. */
  readonly invalidTtlToController: boolean | undefined;
  readonly missSendLen: number;
}
export type PacketInFormat = "standard" | "nxt_packet_in" | "nxt_packet_in2";
export interface PacketIn {
  readonly type: "packet_in";
  readonly format: PacketInFormat;
  readonly bufferId: number;
  readonly totalLen: number;
  readonly reason: number;
  readonly tableId: number;
  readonly cookie: bigint;
  /** Pipeline fields; in_port is one of them. */
  readonly match: AbiMatch;
  readonly packet: Uint8Array;
  readonly userdata: Uint8Array;
  /** Of a packet that waits to be resumed. */
  readonly continuation?: Continuation | undefined;
}
/** What a paused packet goes on with. */
export interface Continuation {
  /** UUID of the bridge. */
  readonly bridge: Uint8Array;
  /** Values pushed, the last one first. */
  readonly stack: readonly Uint8Array[];
  /** Mirrors that have a copy. */
  readonly mirrors: number;
  /** Connection tracking saw the packet. */
  readonly isTracked: boolean;
  /** ABI records, with those that say whose rule the next ones are of. */
  readonly actions: Uint8Array;
  readonly actionSet: Uint8Array;
  /** Datapath port that the packet came in by; 0 for none. */
  readonly dpPort: number;
}
export interface NxtResume {
  readonly type: "nxt_resume";
  readonly packetIn: PacketIn;
}
export interface FlowRemoved {
  readonly type: "flow_removed";
  /** False for NXT_FLOW_REMOVED. */
  readonly standard: boolean;
  readonly reason: number;
  readonly tableId: number;
  readonly priority: number;
  readonly cookie: bigint;
  readonly durationSec: number;
  readonly durationNsec: number;
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  readonly packetCount: bigint;
  readonly byteCount: bigint;
  readonly match: AbiMatch;
}
export interface PortStatus {
  readonly type: "port_status" /** 0 add, 1 delete, 2 modify. */;
  readonly reason: number;
  readonly port: PortDesc;
}
export interface PacketOut {
  readonly type: "packet_out";
  readonly bufferId: number;
  readonly inPort: number;
  /** Pipeline fields of OpenFlow 1.5; in_port is one of them. */
  readonly match: AbiMatch;
  readonly actions: AbiActions;
  readonly packet: Uint8Array;
}
export interface FlowMod {
  readonly type: "flow_mod";
  /** False for NXT_FLOW_MOD. */
  readonly standard: boolean;
  /** 0 add, 1 modify, 2 modify strict, 3 delete, 4 delete strict. */
  readonly command: number;
  /** 255: all tables of a delete; or, for a bridge to choose, the first. */
  readonly tableId: number;
  readonly priority: number;
  readonly cookie: bigint;
  readonly cookieMask: bigint;
  readonly newCookie: bigint;
  /** Whether a modify changes the cookie. */
  readonly modifyCookie: boolean;
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  readonly bufferId: number;
  readonly outPort: number;
  readonly outGroup: number;
  readonly importance: number;
  /** ABI flow_flag bits. */
  readonly flags: number;
  readonly match: AbiMatch;
  readonly actions: AbiActions;
}
export interface PortMod {
  readonly type: "port_mod";
  readonly port: number;
  readonly hwAddr: Uint8Array;
  readonly config: number;
  readonly mask: number;
  readonly advertise: number;
}
export interface TableMod {
  readonly type: "table_mod";
  readonly tableId: number;
  readonly config: number;
  /** OFPTMPEF bits, when given. */
  readonly evictionFlags: number | undefined;
  readonly vacancy: TableVacancy | undefined;
}
/** What a bundle_control asks for, or answers. */
export interface BundleControl {
  readonly type: "bundle_control";
  readonly id: number;
  /** OFPBCT: 0 open, 2 close, 4 commit, 6 discard; the reply to each is one more. */
  readonly act: number;
  /** OFPBF: 1 atomic, 2 ordered. */
  readonly flags: number;
}
export interface BundleAdd {
  readonly type: "bundle_add_message";
  readonly id: number;
  readonly flags: number;
  /** A whole message, as it came. */
  readonly message: Uint8Array;
}
/** Whose changes a controller wants to be told. */
export interface FlowMonitor {
  readonly id: number;
  /** OFPFMC: 0 add, 1 modify, 2 delete. */
  readonly command: number;
  /** OFPFMF of OpenFlow 1.4. */
  readonly flags: number;
  readonly outPort: number;
  readonly outGroup: number;
  /** 255: every table. */
  readonly tableId: number;
  readonly match: AbiMatch;
}
export interface FlowMonitorRequest {
  readonly type: "flow_monitor_request";
  readonly monitors: readonly FlowMonitor[];
}
export interface FlowMonitorCancel {
  readonly type: "flow_monitor_cancel";
  readonly id: number;
}
export type FlowUpdateEvent = FlowUpdate["event"];
export type FlowUpdate =
  | {
      readonly event: "initial" | "added" | "removed" | "modified";
      readonly tableId: number;
      /** Why it was removed, else 0. */
      readonly reason: number;
      readonly priority: number;
      readonly cookie: bigint;
      readonly idleTimeout: number;
      readonly hardTimeout: number;
      readonly match: AbiMatch;
      /** Empty when not asked for. */
      readonly actions: AbiActions;
    }
  | { readonly event: "abbreviated"; readonly xid: number }
  | { readonly event: "paused" }
  | { readonly event: "resumed" };
export interface FlowMonitorReply {
  readonly type: "flow_monitor_reply";
  readonly more: boolean;
  readonly updates: readonly FlowUpdate[];
}
/** Which Geneve option a tun_metadata field is. */
export interface TlvMapping {
  readonly optionClass: number;
  readonly optionType: number;
  /** Bytes of the value, a multiple of four. */
  readonly length: number;
  /** The number of the field. */
  readonly index: number;
}
/** `command` is NXTTMC: 0 add, 1 delete, 2 clear. */
export interface TlvTableMod {
  readonly type: "nxt_tlv_table_mod";
  readonly command: number;
  readonly mappings: readonly TlvMapping[];
}
export interface TlvTableReply {
  readonly type: "nxt_tlv_table_reply";
  /** Bytes that all options may have together. */
  readonly space: number;
  readonly fieldCount: number;
  readonly mappings: readonly TlvMapping[];
}
/** A connection, or all that are like it: what is zero is not asked for.  IPv4 addresses are IPv6 ones that begin with
 *  ::ffff. */
export interface ConnectionTuple {
  readonly src: Uint8Array;
  readonly dst: Uint8Array;
  readonly srcPort: number;
  readonly dstPort: number;
  readonly icmpId: number;
  readonly icmpType: number;
  readonly icmpCode: number;
}
export interface CtFlush {
  readonly type: "nxt_ct_flush";
  readonly ipProto: number;
  readonly orig: ConnectionTuple | undefined;
  readonly reply: ConnectionTuple | undefined;
  readonly zone: number | undefined;
}
export interface CtFlushZone {
  readonly type: "nxt_ct_flush_zone";
  readonly zone: number;
}
/** What an IPFIX exporter has counted; the ids of a bridge's own exporter are 0. */
export interface IpfixStats {
  readonly totalFlows: bigint;
  readonly currentFlows: bigint;
  readonly packets: bigint;
  readonly ipv4Packets: bigint;
  readonly ipv6Packets: bigint;
  readonly errorPackets: bigint;
  readonly ipv4ErrorPackets: bigint;
  readonly ipv6ErrorPackets: bigint;
  readonly txPackets: bigint;
  readonly txErrors: bigint;
  readonly collectorSetId: number;
}
export interface IpfixReply {
  readonly type: "ipfix_bridge_reply" | "ipfix_flow_reply";
  readonly more: boolean;
  readonly exporters: readonly IpfixStats[];
}
/** Others: their bodies as they came. */
export interface Opaque {
  readonly type: "table_features_request";
  readonly body: Uint8Array;
}
/** `type` is OFPMBT: 1 drop, 2 DSCP remark, which alone has a `precLevel`. */
export interface MeterBand {
  readonly type: number;
  /** Kilobits or packets a second. */
  readonly rate: number;
  /** Kilobits or packets; 0: not given. */
  readonly burstSize: number;
  readonly precLevel: number;
}
export interface MeterConfig {
  readonly meterId: number;
  /** OFPMF: KBPS 1, PKTPS 2, BURST 4, STATS 8. */
  readonly flags: number;
  readonly bands: readonly MeterBand[];
}
export interface MeterMod {
  readonly type: "meter_mod";
  /** 0 add, 1 modify, 2 delete. */
  readonly command: number;
  readonly meter: MeterConfig;
}
/** Tells the other controllers of a request of one of them. */
export interface RequestForward {
  readonly type: "requestforward";
  /** The xid of the request. */
  readonly requestXid: number;
  readonly request: MeterMod | GroupMod;
}
export interface RoleRequest {
  readonly type: "role_request" | "role_reply";
  /** False for Nicira's form. */
  readonly standard: boolean;
  /** OpenFlow 1.2 numbers: 0 nochange, 1 equal, 2 primary, 3 secondary. */
  readonly role: number;
  /** Undefined: the request carries none. */
  readonly generationId: bigint | undefined;
}
export interface RoleStatus {
  readonly type: "role_status";
  readonly role: number /** 0 primary request, 1 config, 2 experimenter. */;
  readonly reason: number;
  readonly generationId: bigint;
}
/** For each asynchronous message, the reasons wanted: as primary or equal, and as secondary. */
export interface AsyncConfig {
  readonly packetIn: readonly [number, number];
  readonly portStatus: readonly [number, number];
  readonly flowRemoved: readonly [number, number];
  readonly roleStatus: readonly [number, number];
  readonly tableStatus: readonly [number, number];
  readonly requestForward: readonly [number, number];
}
/** What a message does not name is absent. */
export type AsyncChange = {
  readonly [Kind in keyof AsyncConfig]?: readonly [primary: number | undefined, secondary: number | undefined];
};
export interface AsyncMessage {
  readonly type: "set_async" | "get_async_reply";
  /** False for NXT_SET_ASYNC_CONFIG. */
  readonly standard: boolean;
  readonly config: AsyncChange;
}
export interface QueueGetConfigRequest {
  readonly type: "queue_get_config_request";
  readonly port: number;
}
export interface QueueConfig {
  readonly queue: number;
  readonly port: number;
  readonly minRate: number | undefined;
  readonly maxRate: number | undefined;
}
export interface QueueGetConfigReply {
  readonly type: "queue_get_config_reply";
  readonly port: number;
  readonly queues: readonly QueueConfig[];
}
export interface QueueDescReply {
  readonly type: "queue_desc_reply";
  readonly more: boolean;
  readonly queues: readonly QueueConfig[];
}
export interface NxtSetting {
  readonly type: "nxt_flow_mod_table_id" | "nxt_set_flow_format" | "nxt_set_packet_in_format" | "nxt_set_controller_id";
  readonly value: number;
}

export interface DescReply {
  readonly type: "desc_reply";
  readonly manufacturer: string;
  readonly hardware: string;
  readonly software: string;
  readonly serial: string;
  readonly datapath: string;
}
export interface FlowStatsRequest {
  readonly type: "flow_stats_request" | "aggregate_request";
  readonly standard: boolean;
  readonly tableId: number;
  readonly outPort: number;
  readonly outGroup: number;
  readonly cookie: bigint;
  readonly cookieMask: bigint;
  readonly match: AbiMatch;
}
export interface FlowStats {
  readonly tableId: number;
  readonly priority: number;
  readonly durationSec: number;
  readonly durationNsec: number;
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  /** Seconds since last use, or undefined. */
  readonly idleAge: number | undefined;
  readonly hardAge: number | undefined;
  readonly importance: number;
  readonly flags: number;
  readonly cookie: bigint;
  readonly packetCount: bigint;
  readonly byteCount: bigint;
  readonly match: AbiMatch;
  readonly actions: AbiActions;
}
export interface FlowStatsReply {
  readonly type: "flow_stats_reply";
  readonly standard: boolean;
  readonly more: boolean;
  readonly flows: readonly FlowStats[];
}
export interface AggregateReply {
  readonly type: "aggregate_reply";
  readonly standard: boolean;
  readonly packetCount: bigint;
  readonly byteCount: bigint;
  readonly flowCount: number;
}
export interface TableStats {
  readonly tableId: number;
  readonly name: string;
  readonly activeCount: number;
  readonly lookupCount: bigint;
  readonly matchedCount: bigint;
  readonly maxEntries: number;
  /** OFPTC of OpenFlow 1.1 and 1.2, what happens to a packet that no flow matches; 0 in other versions. */
  readonly config: number;
}
export interface TableStatsReply {
  readonly type: "table_stats_reply";
  readonly more: boolean;
  readonly tables: readonly TableStats[];
}
/** `port`: OFPP_ANY for all of them, which is all that can be asked before OpenFlow 1.5. */
export interface PortDescRequest {
  readonly type: "port_desc_request";
  readonly port: number;
}
export interface PortStatsRequest {
  readonly type: "port_stats_request";
  readonly port: number;
}
/** Counters; all bits set is "unknown". */
export interface PortStats {
  readonly port: number;
  readonly rxPackets: bigint;
  readonly txPackets: bigint;
  readonly rxBytes: bigint;
  readonly txBytes: bigint;
  readonly rxDropped: bigint;
  readonly txDropped: bigint;
  readonly rxErrors: bigint;
  readonly txErrors: bigint;
  readonly rxFrameErr: bigint;
  readonly rxOverErr: bigint;
  readonly rxCrcErr: bigint;
  readonly collisions: bigint;
  readonly durationSec: number;
  readonly durationNsec: number;
  /** Packets by size and kind, in the order of `rfc2819Counters`; absent when none is known.  From OpenFlow 1.4 on. */
  readonly rfc2819?: readonly bigint[];
  /** What the device counts besides.  From OpenFlow 1.4 on. */
  readonly custom?: readonly (readonly [name: string, value: bigint])[];
}
export interface PortStatsReply {
  readonly type: "port_stats_reply";
  readonly more: boolean;
  readonly ports: readonly PortStats[];
}
export interface QueueStatsRequest {
  readonly type: "queue_stats_request" | "queue_desc_request";
  readonly port: number;
  readonly queue: number;
}
export interface QueueStats {
  readonly port: number;
  readonly queue: number;
  readonly txBytes: bigint;
  readonly txPackets: bigint;
  readonly txErrors: bigint;
  readonly durationSec: number;
  readonly durationNsec: number;
}
export interface QueueStatsReply {
  readonly type: "queue_stats_reply";
  readonly more: boolean;
  readonly queues: readonly QueueStats[];
}
export interface PortDescReply {
  readonly type: "port_desc_reply";
  readonly more: boolean;
  readonly ports: readonly PortDesc[];
}
/** Group and meter statistics requests. */
export interface IdRequest {
  readonly type: "group_stats_request" | "group_desc_request" | "meter_stats_request" | "meter_config_request";
  readonly id: number;
}
export interface MeterStats {
  readonly meterId: number;
  /** Flows that use it. */
  readonly flowCount: number;
  readonly packetInCount: bigint;
  readonly byteInCount: bigint;
  readonly durationSec: number;
  readonly durationNsec: number;
  readonly bands: readonly { readonly packetCount: bigint; readonly byteCount: bigint }[];
}
export interface MeterStatsReply {
  readonly type: "meter_stats_reply";
  readonly more: boolean;
  readonly meters: readonly MeterStats[];
}
export interface MeterConfigReply {
  readonly type: "meter_config_reply";
  readonly more: boolean;
  readonly meters: readonly MeterConfig[];
}
export interface MeterFeaturesReply {
  readonly type: "meter_features_reply";
  readonly more: boolean;
  readonly maxMeters: number;
  /** Bit n: bands of type n. */
  readonly bandTypes: number;
  readonly capabilities: number;
  readonly maxBands: number;
  readonly maxColor: number;
}
/** A bucket of a group.  Ports and groups that are not watched are 0xffffffff. */
export interface GroupBucket {
  readonly id: number;
  readonly weight: number;
  readonly watchPort: number;
  readonly watchGroup: number;
  readonly actions: AbiActions;
}
/** How a select group chooses. */
export interface GroupSelection {
  readonly method: "hash" | "dp_hash";
  readonly param: bigint;
  /** Fields by their place in the field table, and which of their bits. */
  readonly fields: readonly { readonly field: number; readonly mask: Uint8Array }[];
}
export interface GroupDesc {
  /** OFPGT: 0 all, 1 select, 2 indirect, 3 fast failover. */
  readonly groupType: number;
  readonly groupId: number;
  readonly buckets: readonly GroupBucket[];
  readonly selection: GroupSelection | undefined;
}
export interface GroupMod extends GroupDesc {
  readonly type: "group_mod";
  /** OFPGC of OpenFlow 1.5: 0 add, 1 modify, 2 delete, 3 insert bucket, 5 remove bucket; 0x8000 add or modify. */
  readonly command: number;
  /** Where to insert, or what to remove. */
  readonly commandBucket: number;
  /** Of a request that was done: the buckets that the group has now. */
  readonly outcome?: { readonly buckets: readonly GroupBucket[] };
}
export interface GroupStats {
  readonly groupId: number;
  /** Flows that use it. */
  readonly refCount: number;
  readonly packetCount: bigint;
  readonly byteCount: bigint;
  readonly durationSec: number;
  readonly durationNsec: number;
  readonly buckets: readonly { readonly packetCount: bigint; readonly byteCount: bigint }[];
}
export interface GroupStatsReply {
  readonly type: "group_stats_reply";
  readonly more: boolean;
  readonly groups: readonly GroupStats[];
}
export interface GroupDescReply {
  readonly type: "group_desc_reply";
  readonly more: boolean;
  readonly groups: readonly GroupDesc[];
}
export interface GroupFeaturesReply {
  readonly type: "group_features_reply";
  readonly more: boolean;
  readonly types: number;
  readonly capabilities: number;
  /** By type. */
  readonly maxGroups: readonly number[];
  readonly actions: readonly number[];
}
/** Replies that are made as they are sent: table features. */
export interface RawReply {
  readonly type: "table_features_reply";
  readonly more: boolean;
  readonly body: Uint8Array;
}
export interface TableDescription {
  readonly tableId: number;
  readonly config: number;
  readonly vacancy: TableVacancy | undefined;
}
/** Percentages of a table that are free: below and above which to tell, and now. */
export interface TableVacancy {
  readonly down: number;
  readonly up: number;
  readonly now: number;
}
/** Tells that a table's vacancy crossed a limit. */
export interface TableStatus {
  readonly type: "table_status";
  /** OFPTR: 3 it fell below, 4 it rose above. */
  readonly reason: number;
  readonly table: TableDescription;
}
export interface TableDescReply {
  readonly type: "table_desc_reply";
  readonly more: boolean;
  readonly tables: readonly TableDescription[];
}

export type MessageBody =
  | Hello
  | ErrorMessage
  | Echo
  | Plain
  | FeaturesReply
  | SwitchConfig
  | PacketIn
  | NxtResume
  | FlowRemoved
  | PortStatus
  | PacketOut
  | FlowMod
  | PortMod
  | TableMod
  | BundleControl
  | BundleAdd
  | FlowMonitorRequest
  | FlowMonitorCancel
  | FlowMonitorReply
  | MeterMod
  | GroupMod
  | GroupStatsReply
  | GroupDescReply
  | GroupFeaturesReply
  | RequestForward
  | TlvTableMod
  | TlvTableReply
  | CtFlush
  | CtFlushZone
  | IpfixReply
  | Opaque
  | RoleRequest
  | RoleStatus
  | AsyncMessage
  | QueueGetConfigRequest
  | QueueGetConfigReply
  | NxtSetting
  | DescReply
  | FlowStatsRequest
  | FlowStatsReply
  | AggregateReply
  | TableStatsReply
  | PortDescRequest
  | PortStatsRequest
  | PortStatsReply
  | QueueStatsRequest
  | QueueStatsReply
  | QueueDescReply
  | PortDescReply
  | IdRequest
  | MeterStatsReply
  | MeterConfigReply
  | MeterFeaturesReply
  | RawReply
  | TableStatus
  | TableDescReply;

export interface MessageHeader {
  readonly version: Version;
  readonly xid: number;
}
export type Message = MessageHeader & MessageBody;
export type MessageType = MessageBody["type"];
