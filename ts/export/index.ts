/** What exporters send, and the sockets that they send it by. */
export { type CollectorCounts, Collectors } from "./collectors.js";
export { type FlowInterface, type FlowPacket, type FlowTunnel, IpfixExporter, type IpfixOptions } from "./ipfix.js";
export { Netflow, type NetflowFlow, type NetflowOptions } from "./netflow.js";
export {
  type AgentOptions,
  type FlowSample,
  outputCode,
  type PortSample,
  SflowAgent,
  type SwitchSample,
  type TunnelSample,
} from "./sflow.js";
export { addressBytes, parseTarget, type Target } from "./targets.js";
