/** One OpenFlow switch over the datapath: ports, tables, flow_mods, dumps. */
export { oamAction, outputAction } from "./abi-actions.js";
export { CommandBatch, type CommandResult, DatapathError, type FlowDatapath } from "./abi-batch.js";
export { datapathCommands, datapathViews } from "./appctl-datapath.js";
export { dropCommands } from "./appctl-drops.js";
export { fdbCommands, learnedAddresses } from "./appctl-fdb.js";
export { datapathCapabilities, featureCommands } from "./appctl-features.js";
export { flowCommands } from "./appctl-flows.js";
export { mdbCommands, multicastGroups } from "./appctl-mdb.js";
export { traceCommands } from "./appctl-trace.js";
export { upcallCommands } from "./appctl-upcall.js";
export { bondCommands } from "./bond-commands.js";
export { type BondCounts, bondCounts } from "./bond-counts.js";
export { type Bundle, type BundleBond, trunkBundle } from "./bundle.js";
export { ChangeSet } from "./change-set.js";
export { DatapathLog } from "./datapath-log.js";
export { DatapathSettings, defaultSettings, type Settings } from "./datapath-settings.js";
export { describeFlood, type Flood, type FloodRule, floodCommands, floodText } from "./flood.js";
export {
  addFlowMod,
  type FlowModForm,
  type FlowModOutcome,
  FlowModQueue,
  internalTable,
  visibleTables,
} from "./flow-mods.js";
export {
  aggregateFlows,
  anyPort,
  dumpFlows,
  everyFlow,
  type FlowFilter,
  type FlowRecord,
  type FlowTotals,
} from "./flow-records.js";
export { type FlowInput, FlowTable, portNames, type TraceInput, type TraceResult } from "./flow-table.js";
export type { FlowWords, PortNames } from "./flow-words.js";
export { dumpGroups, type GroupRecord, modifyGroup } from "./groups.js";
export { normalFlow, type SystemFlow } from "./internal-flows.js";
export { dumpMeters, type MeterRecord, modifyMeter } from "./meters.js";
export { type Mirror, mirrorStats, mirrorsMax } from "./mirror.js";
export type { Multicast } from "./ofproto.js";
export {
  Ofproto,
  type OfprotoOptions,
  PortError,
  type SwitchDescription,
  type SwitchSettings,
} from "./ofproto.js";
export { Ofprotos, type OfprotosOptions } from "./ofprotos.js";
export { appendPacketOut, sendOwnPacket } from "./packet-out.js";
export {
  describePort,
  localPort,
  localPort10,
  noFeatures,
  noMonitor,
  type OfPort,
  type PatchPeer,
  type PortCounters,
  type PortDevice,
  type PortFeatures,
  type PortMonitor,
  type PortQueue,
  type PortSpec,
  portConfig,
  portState,
  type SpanningPort,
  stpState,
} from "./port.js";
export { portCounters, portInfo } from "./port-counters.js";
export type {
  DoneRequest,
  FlowChange,
  OfprotoListener,
  PacketInEvent,
  PortChange,
  RemovedFlow,
  Replies,
  Requester,
  RequestFailure,
  TableVacancyStatus,
} from "./requester.js";
export { handleRequest } from "./requests.js";
export { noSampling, type Sampling } from "./sampling.js";
export { tableInfos } from "./table-infos.js";
export { named, nameRank, noLimit, type TableSettings } from "./table-settings.js";
export type { TraceWords } from "./trace-remarks.js";
export { readTrace, type TraceSteps } from "./trace-steps.js";
export { formatTrace } from "./trace-text.js";
export { type TraceNode, type TraceTree, traceTree } from "./trace-tree.js";
export { TranslationLog } from "./translation-log.js";
