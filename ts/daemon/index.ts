/** Process life: what the `sluice` command needs of it. */
import type { StartSwitch } from "./switch.js";

export { systemErrorText } from "./errno.js";
export { gateVariable } from "./gate.js";
export { getopt, type LongOption, type OptionEvent } from "./getopt.js";
export { startIdleSwitch } from "./idle-switch.js";
export { JsonStream } from "./json-stream.js";
export { parseOptions } from "./options.js";
export { below, directories, directoryVariables } from "./paths.js";
export { PidfileError, pidfileHolder } from "./pidfile.js";
export { loadProcessCalls, type ProcessCalls, packageRoot } from "./process-calls.js";
export { openSocketPath } from "./socket-path.js";
export type { RunningSwitch, StartSwitch, SwitchSurroundings } from "./switch.js";
export { CommandTable, UnixctlServer } from "./unixctl.js";
export { versionText, vswitchd } from "./vswitchd.js";

/** Loads the switch itself only where one is started: a process that detaches leaves that to its child. */
export const startLiveSwitch: StartSwitch = async (...surroundings) =>
  (await import("./live-switch.js")).startLiveSwitch(...surroundings);

/** Loads what a daemon will need. */
export async function preloadSwitch(): Promise<void> {
  await Promise.all([import("./live-switch.js"), import("./database.js")]);
}
