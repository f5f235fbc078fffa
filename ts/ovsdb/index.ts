/** OVSDB: the Open_vSwitch schema, a server (RFC 7047 with the extensions of Open vSwitch) and a typed client. */

export type { Channel, ChannelHandler } from "./channel.js";
export { localChannels, streamChannel } from "./channel.js";
export type { Clock } from "./clock.js";
export { systemClock } from "./clock.js";
export { OvsdbError } from "./error.js";
export type * from "./generated/vswitch-types.js";
export type { IdlOptions } from "./idl.js";
export { openIdl } from "./idl.js";
export type * from "./idl-types.js";
export type { Json, JsonObject } from "./json.js";
export type { LockFile } from "./log-file.js";
export { LogFileError } from "./log-file.js";
export type { ReconnectAction, ReconnectState, ReconnectTiming } from "./reconnect.js";
export type { Schema } from "./schema.js";
export { parseSchema, printSchema } from "./schema.js";
export { schemaJson, serverSchema, vswitchSchema } from "./schema-json.js";
export type { ServerOptions } from "./server.js";
export { Server } from "./server.js";
export type { StoreOptions, TransactResult } from "./store.js";
export { Store } from "./store.js";
export { vswitch } from "./tables/vswitch.js";
export type { Target } from "./target.js";
export { isPassive, isPassiveTarget, parseTarget, splitRemotes, TargetError } from "./target.js";
export type { Remote, RemoteSettings, RemoteStatus, TlsKeys, TlsSecurity, TransportOptions } from "./transport.js";
export { listen, serveRemote } from "./transport.js";
export type { Uuid, UuidSource } from "./uuid.js";
export { countingUuids, isUuid, randomUuid, zeroUuid } from "./uuid.js";
