import { flowFlag } from "../datapath/generated/records.js";
import type { FlowStats, MessageBody } from "../openflow/message.js";
import { dumpFlows, type FlowFilter, type FlowRecord } from "./flow-records.js";
import type { Ofproto } from "./ofproto.js";

/** Flows as statistics replies, made while they are taken: a dump of a million flows holds one reply in memory. */

/** Flags that OpenFlow knows. */
const wireFlags =
  flowFlag.sendFlowRem | flowFlag.checkOverlap | flowFlag.resetCounts | flowFlag.noPacketCounts | flowFlag.noByteCounts;
/** Stops a reply well before 65535 bytes: a flow's wire form may be larger than its form here by its header. */
const replySizeMax = 48 * 1024;
const wireHeaderSize = 64;

/** The wire form of a flow is at most so large, as far as the reply's size is concerned. */
function sizeOf(flow: FlowRecord): number {
  return wireHeaderSize + flow.matchBytes.length + 2 * flow.actionsBytes.length;
}

export function toFlowStats(flow: FlowRecord): FlowStats {
  const ageMs = Number(flow.nowMs - flow.createdMs);
  return {
    tableId: flow.table,
    priority: flow.priority,
    durationSec: Math.floor(ageMs / 1000),
    durationNsec: (ageMs % 1000) * 1_000_000,
    idleTimeout: flow.idleTimeoutS,
    hardTimeout: flow.hardTimeoutS,
    idleAge: Math.floor(Number(flow.nowMs - flow.usedMs) / 1000),
    hardAge: Math.floor(Number(flow.nowMs - flow.modifiedMs) / 1000),
    importance: flow.importance,
    flags: flow.flowFlags & wireFlags,
    cookie: flow.cookie,
    packetCount: flow.nPackets,
    byteCount: flow.nBytes,
    match: flow.matchBytes.slice(),
    actions: flow.actionsBytes.slice(),
  };
}

export function* flowStatsReplies(ofproto: Ofproto, filter: FlowFilter, standard: boolean): Generator<MessageBody> {
  let flows: FlowStats[] = [];
  let size = 0;
  for (const record of dumpFlows(ofproto.datapath, ofproto.bridge, filter)) {
    const more = sizeOf(record);
    if (size + more > replySizeMax && flows.length > 0) {
      yield { type: "flow_stats_reply", standard, more: true, flows };
      flows = [];
      size = 0;
    }
    flows.push(toFlowStats(record));
    size += more;
  }
  yield { type: "flow_stats_reply", standard, more: false, flows };
}
