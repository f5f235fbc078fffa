/** Connections to OpenFlow controllers. */

export { connmgrCommands } from "./appctl.js";
export { Connmgr, type ConnmgrOptions } from "./connmgr.js";
export type { ControllerOptions, ControllerStatus } from "./controller.js";
export { type FailMode, failOpenPriority } from "./fail-mode.js";
export type { InBandAddress } from "./in-band-control.js";
export { errorWords } from "./socket-error.js";
export type { StreamOptions } from "./stream.js";
export { parseTarget, type Target } from "./target.js";
export { type TlsFileNames, type TlsPolicy, type TlsSession, TlsStore } from "./tls.js";
export { defaultVersions, versionsOf } from "./version.js";
