/** A command of `ovs-appctl`: a row.  Rooms export their rows; the daemon gathers them into one table, which prints
 *  `list-commands` and checks the number of arguments before a handler is called. */

/** What a handler is told besides its arguments. */
export interface CommandContext {
  /** What the connection asked for with `set-options --format`. */
  readonly format: "text" | "json";
}

/** Plain text, ending with a newline when not empty, or that and the same as data for `--format json`. */
export type CommandReply = string | { readonly text: string; readonly json: unknown };

export interface UnixctlCommand {
  /** `bridge/dump-flows`. */
  readonly name: string;
  /** As `list-commands` prints it: `[-m] [dp]`. */
  readonly usage: string;
  readonly minArgs: number;
  /** Infinity where there is no end. */
  readonly maxArgs: number;
  /** Whether it is there now; always if this is not. */
  readonly available?: () => boolean;
  /** Throws UnixctlError for what the user did wrong; the text goes back as it is. */
  readonly handler: (args: readonly string[], context: CommandContext) => CommandReply | Promise<CommandReply>;
}

/** The user asked for something that cannot be.  ovs-appctl prints the message and exits 2. */
export class UnixctlError extends Error {
  readonly code = "UNIXCTL_ERROR";

  constructor(
    message: string,
    /** The same for machines. */
    readonly details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
    this.name = "UnixctlError";
  }
}
