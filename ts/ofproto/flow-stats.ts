import { dumpReplySize } from "../datapath/generated/records.js";
import { type FlowStatsEncoder, withTlvMap } from "../openflow/index.js";
import { type FlowFilter, flowDumpReplies } from "./flow-records.js";
import type { Ofproto } from "./ofproto.js";

/** Flows as statistics replies, made while they are taken: a dump of a million flows holds one reply in memory. */
export function* flowStatsReplies(
  ofproto: Ofproto,
  filter: FlowFilter,
  encoder: FlowStatsEncoder,
): Generator<Uint8Array> {
  for (const reply of flowDumpReplies(ofproto.datapath, ofproto.bridge, filter)) {
    // Laid out at once: what is taken later goes by another map, perhaps.
    yield* withTlvMap(ofproto.tlvs, () => [...encoder.add(reply.bytes, dumpReplySize, reply.bytes.length)]);
  }
  yield encoder.finish();
}
