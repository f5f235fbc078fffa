/** Bridges: what the database wants, running. */

export { aggregateCommands } from "./aggregate-commands.js";
export { Bridge } from "./bridge.js";
export { formatMac, parseMac } from "./bridge-address.js";
export { Bridges, type BridgesOptions } from "./bridges.js";
export { datapathPortCommands } from "./datapath-ports.js";
export { discoveryCommands } from "./discovery-commands.js";
export { monitorCommands } from "./monitor-commands.js";
export { qosCommands } from "./qos-commands.js";
export { spanningCommands } from "./spanning-commands.js";
export { tunnelCommands } from "./tunnel-commands.js";
