import { miss } from "../datapath/generated/records.js";
import type { MessageBody, TableStats } from "../openflow/message.js";
import { visibleTables } from "./flow-mods.js";
import type { Ofproto } from "./ofproto.js";
import { tableInfos } from "./table-infos.js";
import { maxEntries } from "./table-settings.js";

/** Counters of tables. */

/** Tables in one message, well below 64 kB in every version. */
const perMessage = 254;
/** OFPTC of OpenFlow 1.1 and 1.2 for what a table does with a packet that no flow matches. */
const tableConfig: Readonly<Record<number, number>> = { [miss.controller]: 0, [miss.continue]: 1, [miss.drop]: 2 };

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
