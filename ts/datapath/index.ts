export { BatchBuilder, type BatchTarget, encodeConfig, type ShapeRates } from "./batch.js";
export { Datapath, type DatapathOptions } from "./datapath.js";
export { type DropCount, type Drops, drops, type PacketAccounts } from "./drops.js";
export { DatapathError, errorName } from "./errors.js";
export type {
  DatapathEvent,
  DatapathEvents,
  NetflowRecords,
  PacketIn,
  PortFrame,
  ProtocolPacket,
  Remark,
  Sample,
} from "./events.js";
export { type FloodedRule, floodedRules, missStats } from "./misses.js";
export {
  arrival,
  ask,
  askTc,
  composePacket,
  counters,
  datapathStats,
  dumpRecords,
  flowChanges,
  keepaliveInfo,
  type Link,
  link,
  links,
  type Megaflow,
  megaflows,
  memory,
  neighbors,
  parsePacket,
  patchStats,
  portStats,
  type QueryTarget,
  queryRecord,
  queueStats,
  shapeStats,
  syncStats,
  type TraceRequest,
  trace,
  workerHistograms,
  workerHistory,
  workerStats,
  xskStats,
} from "./queries.js";
export { dropNamesOfOvs } from "./tables/drops.js";
export { pad8 } from "./tables/record.js";
