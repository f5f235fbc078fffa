/** Network devices: interface types, their state and counters. */
export { formatAddress, formatNetwork, isMapped, mapIpv4, type Network, parseAddress } from "./address.js";
export { deviceCommands } from "./commands.js";
export { Dpdk, type DpdkCalls } from "./dpdk.js";
export { dpdkCommands } from "./dpdk-commands.js";
export { errnoWords } from "./errno.js";
export { type LinkFeatures, linkFeatures } from "./features.js";
export {
  type DeviceDatapath,
  type DeviceState,
  isCustomStatistic,
  Netdev,
  NetdevError,
  Netdevs,
  type NetdevsOptions,
  type TunnelPort,
} from "./netdev.js";
export type { WishedDevice } from "./ports-ahead.js";
export type { DeviceQos, QosQueue, ShownQos } from "./qos.js";
export { type Route, Router } from "./router.js";
export { type RouterCommandOptions, routerCommands } from "./router-commands.js";
export type { TunnelConfig } from "./tunnel-config.js";
export { tunnelRecord } from "./tunnel-record.js";
export { availableTypes, isReservedName, type NetdevPolicy, type NetdevType, netdevTypes } from "./types.js";
