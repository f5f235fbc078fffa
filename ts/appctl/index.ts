export type { CommandContext, CommandReply, UnixctlCommand } from "./command.js";
export { UnixctlError } from "./command.js";
export { type CommandStatus, type KnownCommand, knownCommands } from "./known-commands.js";
