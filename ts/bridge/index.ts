/** Bridges: what the database wants, running. */
export { Bridge } from "./bridge.js";
export { formatMac, parseMac } from "./bridge-address.js";
export { Bridges, type BridgesOptions } from "./bridges.js";
export { tunnelCommands } from "./tunnel-commands.js";
