/** OVSDB: the Open_vSwitch schema, a server (RFC 7047 with the extensions of Open vSwitch) and a typed client. */
export type * from "./generated/vswitch-types.js";
export type * from "./idl-types.js";
export type { Json, JsonObject } from "./json.js";
export { schemaJson, serverSchema, vswitchSchema } from "./schema-json.js";
export { vswitch } from "./tables/vswitch.js";
export type { Uuid, UuidSource } from "./uuid.js";
export { countingUuids, isUuid, randomUuid, zeroUuid } from "./uuid.js";
