import {
  bridgeQueryOffsets,
  bridgeQuerySize,
  dumpReplySize,
  query,
  readTableInfo,
  recordOffsets,
  type TableInfo,
  writeBridgeQuery,
} from "../datapath/generated/records.js";
import type { FlowDatapath } from "./abi-batch.js";
import { dumpReplies } from "./flow-records.js";

/** What the datapath knows of the tables of a bridge. */

const replySize = 32 * 1024;

/** Every table of the datapath's bridge, the switch's own one included. */
export function* tableInfos(of: { readonly datapath: FlowDatapath; readonly bridge: number }): Generator<TableInfo> {
  const asked = new Uint8Array(bridgeQuerySize);
  writeBridgeQuery(new DataView(asked.buffer), 0, {
    type: query.tableStats,
    flags: 0,
    size: bridgeQuerySize,
    cursor: 0n,
    bridge: of.bridge,
  });
  for (const reply of dumpReplies(of.datapath, asked, bridgeQueryOffsets.cursor, replySize)) {
    const view = new DataView(reply.bytes.buffer, reply.bytes.byteOffset, reply.bytes.length);
    let at = dumpReplySize;
    for (let index = 0; index < reply.count; index++) {
      yield readTableInfo(view, at);
      at += view.getUint32(at + recordOffsets.size, true);
    }
  }
}
