import {
  bridgeQueryOffsets,
  bridgeQuerySize,
  dumpReplySize,
  miss,
  query,
  readTableInfo,
  recordOffsets,
  type TableInfo,
  writeBridgeQuery,
} from "../datapath/generated/records.js";
import type { MessageBody, TableStats } from "../openflow/message.js";
import { visibleTables } from "./flow-mods.js";
import { dumpReplies } from "./flow-records.js";
import type { Ofproto } from "./ofproto.js";
import { maxEntries } from "./table-settings.js";

/** Counters of tables. */

const replySize = 32 * 1024;
/** Tables in one message, well below 64 kB in every version. */
const perMessage = 254;
/** OFPTC of OpenFlow 1.1 and 1.2 for what a table does with a packet that no flow matches. */
const tableConfig: Readonly<Record<number, number>> = { [miss.controller]: 0, [miss.continue]: 1, [miss.drop]: 2 };

/** Every table of the datapath's bridge, the switch's own one included. */
export function* tableInfos(ofproto: Ofproto): Generator<TableInfo> {
  const asked = new Uint8Array(bridgeQuerySize);
  writeBridgeQuery(new DataView(asked.buffer), 0, {
    type: query.tableStats,
    flags: 0,
    size: bridgeQuerySize,
    cursor: 0n,
    bridge: ofproto.bridge,
  });
  for (const reply of dumpReplies(ofproto.datapath, asked, bridgeQueryOffsets.cursor, replySize)) {
    const view = new DataView(reply.bytes.buffer, reply.bytes.byteOffset, reply.bytes.length);
    let at = dumpReplySize;
    for (let index = 0; index < reply.count; index++) {
      yield readTableInfo(view, at);
      at += view.getUint32(at + recordOffsets.size, true);
    }
  }
}

export function* tableStats(ofproto: Ofproto): Generator<MessageBody> {
  let tables: TableStats[] = [];
  for (const info of tableInfos(ofproto)) {
    if (info.table >= visibleTables) continue;
    if (tables.length === perMessage) {
      yield { type: "table_stats_reply", more: true, tables };
      tables = [];
    }
    tables.push({
      tableId: info.table,
      name: ofproto.table(info.table).name,
      activeCount: info.nFlows,
      lookupCount: info.nLookups,
      matchedCount: info.nMatches,
      maxEntries: maxEntries(ofproto.table(info.table)),
      config: tableConfig[ofproto.table(info.table).miss] ?? 0,
    });
  }
  yield { type: "table_stats_reply", more: false, tables };
}
