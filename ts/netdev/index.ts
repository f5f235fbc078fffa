/** Network devices: interface types, their state and counters. */
export { deviceCommands } from "./commands.js";
export { errnoWords } from "./errno.js";
export { type LinkFeatures, linkFeatures } from "./features.js";
export {
  type DeviceDatapath,
  type DeviceState,
  Netdev,
  NetdevError,
  Netdevs,
  type NetdevsOptions,
  type TunnelPort,
} from "./netdev.js";
export { formatAddress, type TunnelConfig } from "./tunnel-config.js";
export { tunnelRecord } from "./tunnel-record.js";
export { availableTypes, isReservedName, type NetdevPolicy, type NetdevType, netdevTypes } from "./types.js";
