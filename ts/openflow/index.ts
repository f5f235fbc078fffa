/** OpenFlow: messages, matches, actions and flows as bytes, objects and ovs-ofctl text.  Pure; runs in a browser. */

export { outputsTo, usesGroup } from "./action-output.js";
export { ByteReader, ByteWriter, equalBytes, type MessageSpan } from "./bytes.js";
export {
  appendMessage,
  checkMessageLength,
  type DecodeContext,
  decodeMessage,
  encodeFlowStats,
  encodeMessage,
  identifyMessage,
  type MessageIdentity,
  messageTitle,
} from "./codec.js";
export { type BundleAddPlace, bundleAct, bundleFlags, isBundleAdd, readBundleAddMessage } from "./codec-bundle.js";
export { noContinuation } from "./codec-continuation.js";
export {
  anyFlowModContext,
  type FlowModContext,
  flowModOfRecord,
  isFlowMod,
  lastFlowModBuffer,
  recordOfFlowMod,
} from "./codec-flow-mod.js";
export { monitorCommand, monitorFlag } from "./codec-flow-monitor.js";
export { type FlowStatsEncoder, flowOfInfo } from "./codec-flow-stats.js";
export { bucketNumber, groupCommand, groupNumber, groupType } from "./codec-group.js";
export { bandType, meterCommand, meterFlag } from "./codec-meter.js";
export { inPortMatch, matchInPort } from "./codec-packet.js";
export { errorReply } from "./codec-switch.js";
export { FlowSyntaxError, OpenFlowError } from "./error.js";
export { decodeFlowMod } from "./flow-mod-template.js";
export { flowText } from "./flow-text.js";
export { KeyMatch, planOf } from "./key-match.js";
export { matchIsWithin } from "./match-within.js";
export type * from "./message.js";
export { formatDatapathActions } from "./odp-action.js";
export { formatDatapathKey, formatDatapathMatch, parseDatapathMatch } from "./odp-flow.js";
export { datapathOutcome, type Outcome, type OuterHeader, tunnelOfWords } from "./odp-outcome.js";
export { subfieldMask } from "./subfield-mask.js";
export { type ErrorName, type ErrorRow, errorByWire, errorRow, errors } from "./tables/errors.js";
export { fieldByName } from "./tables/fields.js";
export { ofpp, type PortRow, portMax, reservedPorts } from "./tables/ports.js";
export { formatAction, formatActions, parseActions } from "./text-action.js";
export { parseExactFlow } from "./text-exact-flow.js";
export {
  type FlowFormatOptions,
  type FlowTextOptions,
  formatBridgeFlow,
  formatDuration,
  formatFlow,
  parseFlow,
} from "./text-flow.js";
export {
  formatGroup,
  formatGroupFeatures,
  formatGroupId,
  formatGroupMod,
  formatGroupStats,
  parseGroup,
  parseGroupLine,
} from "./text-group.js";
export { applyField, applyProtocol, formatKeyMatch, formatMatch, keyValues, parseMatch } from "./text-match.js";
export { formatErrorMessage, formatMessage } from "./text-message.js";
export {
  formatMeter,
  formatMeterFeatures,
  formatMeterStats,
  meterNumbers,
  parseMeter,
  parseMeterId,
} from "./text-meter.js";
export { formatSubfield, parseSubfield, type Subfield } from "./text-subfield.js";
export {
  capabilityNames,
  formatActions10,
  formatFlows,
  formatPortDesc,
  formatPortStats,
  formatTables,
  fragModeName,
  heading,
  portConfigNames,
  portSpeeds,
  portStateNames,
} from "./text-switch.js";
export { formatTlvTable, parseTlvMappings } from "./text-tlv.js";
export {
  formatEth,
  formatIpv4,
  formatIpv6,
  formatPort,
  formatValue,
  type PortNames,
  parseEth,
  parseIpv4,
  parseIpv6,
  parsePort,
  parseValue,
} from "./text-value.js";
export { swapTlvMap, TlvMap, tlvCommand, tlvFields, tlvSpace, withTlvMap } from "./tlv-map.js";
export {
  type Action,
  actionsFromObjects,
  actionsToObjects,
  type FieldValue,
  type Flow,
  flowModOfFlow,
  type Match,
  type MatchValue,
  matchFromObject,
  matchToObject,
  type SubfieldRef,
} from "./typed.js";
