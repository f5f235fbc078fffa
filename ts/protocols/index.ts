/** Protocol brains: pure functions of state, event and time. */

export * from "./bfd.js";
export { bfdFrame } from "./bfd-packet.js";
export { type BfdSettings, type BfdState, bfdForwards } from "./bfd-state.js";
export { bfdStatus, formatBfd } from "./bfd-text.js";
export * from "./bond.js";
export { accountLoads, rebalance } from "./bond-balance.js";
export { formatBond, listBond } from "./bond-text.js";
export { addressOf, type BridgeId, bpduFrame, bpduOfFrame, bridgeId, priorityOf } from "./bpdu.js";
export * from "./cfm.js";
export { ccmFrame, ccmOfFrame, ccmSeqAt, composeCcm } from "./cfm-packet.js";
export * from "./cfm-state.js";
export { formatCfm } from "./cfm-text.js";
export * from "./lacp.js";
export { lacpAddress, slowProtocols } from "./lacp-pdu.js";
export { formatLacp, formatLacpCounts } from "./lacp-text.js";
export * from "./lldp.js";
export type { LldpNote } from "./lldp-pdu.js";
export { formatAutoAttach, formatLldpCounts, formatMappings } from "./lldp-text.js";
export * from "./rstp.js";
export type { RstpPortSettings, RstpPortState, RstpRole, RstpSettings, RstpState, RstpStep } from "./rstp-state.js";
export { formatRstp, rstpRoleText, rstpStateText } from "./rstp-text.js";
export * from "./stp.js";
export { addressText, formatStp } from "./stp-text.js";
