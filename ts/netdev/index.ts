/** Network devices: interface types, their state and counters. */
export { deviceCommands } from "./commands.js";
export { errnoWords } from "./errno.js";
export { type LinkFeatures, linkFeatures } from "./features.js";
export { type DeviceDatapath, type DeviceState, Netdev, NetdevError, Netdevs, type NetdevsOptions } from "./netdev.js";
export { availableTypes, isReservedName, type NetdevPolicy, type NetdevType, netdevTypes } from "./types.js";
