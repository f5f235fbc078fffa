export type { CommandContext, CommandReply, UnixctlCommand } from "./command.js";
export { UnixctlError } from "./command.js";
