import { query, readTableInfo, type TableInfo } from "../datapath/generated/records.js";
import { type Dumped, dumpBridge } from "./object-dump.js";

/** What the datapath knows of the tables of a bridge. */

const replySize = 32 * 1024;

/** Every table of the datapath's bridge, the switch's own one included. */
export function* tableInfos(of: Dumped): Generator<TableInfo> {
  for (const { view, at } of dumpBridge(of, query.tableStats, replySize)) yield readTableInfo(view, at);
}
