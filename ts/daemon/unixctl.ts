import { chmodSync, unlinkSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { type CommandContext, type CommandReply, type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { type Coverage, type Logger, silentLogger, uncounted } from "../log/index.js";
import { JsonStream } from "./json-stream.js";
import { openSocketPath } from "./socket-path.js";

const requestBytesMax = 1 << 20;
/** Requests that one connection may have waiting; while there are more, nothing is read from it. */
const waitingMax = 64;
/** Reply bytes that one connection may leave unread before nothing more is done for it. */
const unreadBytesMax = 16 << 20;

/** The commands of a process.  Rooms add theirs; a name is added once. */
export class CommandTable {
  private readonly commands = new Map<string, UnixctlCommand>();

  constructor() {
    this.add({
      name: "list-commands",
      usage: "",
      minArgs: 0,
      maxArgs: 0,
      handler: () => ({
        text: this.list(),
        json: Object.fromEntries(this.sorted().map((row) => [row.name, row.usage])),
      }),
    });
  }

  add(...rows: readonly UnixctlCommand[]): void {
    for (const row of rows) {
      if (this.commands.has(row.name)) throw new Error(`The command "${row.name}" is there twice.`);
      this.commands.set(row.name, row);
    }
  }

  get(name: string): UnixctlCommand | undefined {
    const row = this.commands.get(name);
    return row?.available?.() === false ? undefined : row;
  }

  /** Checks the arguments and runs the handler.  Rejects with UnixctlError for what the user did wrong. */
  async call(name: string, args: readonly string[], context: CommandContext): Promise<CommandReply> {
    const row = this.get(name);
    if (row === undefined) {
      throw new UnixctlError(`"${name}" is not a valid command (use "list-commands" to see a list of valid commands)`, {
        command: name,
      });
    }
    if (args.length < row.minArgs) {
      throw new UnixctlError(`"${name}" command requires at least ${row.minArgs} arguments`, { command: name });
    }
    if (args.length > row.maxArgs) {
      throw new UnixctlError(`"${name}" command takes at most ${row.maxArgs} arguments`, { command: name });
    }
    return row.handler(args, context);
  }

  private sorted(): UnixctlCommand[] {
    return [...this.commands.values()]
      .filter((row) => row.available?.() !== false)
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  private list(): string {
    const lines = this.sorted().map((row) => `  ${row.name.padEnd(23)} ${row.usage}\n`);
    return `The available commands are:\n${lines.join("")}`;
  }
}

export interface UnixctlOptions {
  readonly path: string;
  readonly commands: CommandTable;
  readonly log?: Logger;
  readonly coverage?: Coverage;
  /** Runs before each command: lets a configuration that is under way become visible first. */
  readonly beforeCommand?: () => void | Promise<void>;
  /** Runs after a command and before its reply leaves. */
  readonly beforeReply?: () => void;
}

type JsonValue = unknown;

interface Request {
  readonly id: JsonValue;
  readonly method: string;
  readonly params: readonly JsonValue[];
}

/** A JSON-RPC 1.0 request and nothing else: whatever differs ends the connection, as in Open vSwitch. */
function asRequest(value: JsonValue): Request | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const { id, method, params, ...rest } = value as Record<string, JsonValue>;
  if (id === undefined || id === null || typeof method !== "string" || !Array.isArray(params)) return undefined;
  return Object.keys(rest).length === 0 ? { id, method, params } : undefined;
}

function withNewline(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}

/** One client: its requests are answered in their order, one after the other. */
class Connection {
  private readonly stream = new JsonStream(requestBytesMax);
  private readonly waiting: Request[] = [];
  private format: CommandContext["format"] = "text";
  private busy = false;
  private ended = false;

  constructor(
    private readonly socket: Socket,
    private readonly options: UnixctlOptions,
    private readonly log: Logger,
  ) {
    socket.on("data", (bytes) => this.receive(bytes));
    socket.on("end", () => {
      this.ended = true;
      if (!this.busy) socket.end();
    });
    socket.on("error", (error) => this.log.dbg(`connection broke (${error.message})`));
    socket.on("drain", () => void this.work());
  }

  close(): void {
    this.socket.destroy();
  }

  private receive(bytes: Uint8Array): void {
    let texts: string[];
    try {
      texts = this.stream.push(bytes);
      for (const text of texts) {
        const request = asRequest(JSON.parse(text));
        if (request === undefined) throw new SyntaxError("A message is a request with id, method and params.");
        this.options.coverage?.count("unixctl_received");
        this.waiting.push(request);
      }
    } catch (error) {
      this.log.warn(
        `bad message from a client, closing its connection (${error instanceof Error ? error.message : error})`,
      );
      this.waiting.length = 0;
      this.socket.destroy();
      return;
    }
    if (this.waiting.length > waitingMax) this.socket.pause();
    void this.work();
  }

  private async work(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    while (this.waiting.length > 0 && !this.socket.destroyed && this.socket.writableLength < unreadBytesMax) {
      const request = this.waiting.shift()!;
      const reply = await this.answer(request);
      this.options.beforeReply?.();
      if (!this.socket.destroyed) this.socket.write(reply);
      this.options.coverage?.count("unixctl_replied");
      if (this.waiting.length <= waitingMax / 2) this.socket.resume();
    }
    this.busy = false;
    if (this.ended && this.waiting.length === 0) this.socket.end();
  }

  private async answer(request: Request): Promise<string> {
    const { id, method, params } = request;
    try {
      if (!params.every((param): param is string => typeof param === "string")) {
        throw new UnixctlError(`"${method}" command has non-string argument`);
      }
      this.log.dbg(`received request ${method}${JSON.stringify(params)}, id=${JSON.stringify(id)}`);
      if (method === "set-options") return success(id, this.setOptions(params));
      await this.options.beforeCommand?.();
      const reply = await this.options.commands.call(method, params, { format: this.format });
      const text = withNewline(typeof reply === "string" ? reply : reply.text);
      this.log.dbg(`replying with success, id=${JSON.stringify(id)}: "${text}"`);
      if (this.format === "text") return success(id, text);
      return success(id, typeof reply === "string" ? { "reply-format": "plain", reply: text } : reply.json);
    } catch (error) {
      // Our own faults must not take the switch down either, but they are for the log to show.
      if (!(error instanceof UnixctlError)) {
        const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
        this.log.err(`"${method}" failed by an internal error: ${trace}`);
      }
      const text = withNewline(error instanceof Error ? error.message : String(error));
      this.log.dbg(`replying with error, id=${JSON.stringify(id)}: "${text}"`);
      return JSON.stringify({ id, error: text });
    }
  }

  /** Options of this connection: `--format json` or `--format text`. */
  private setOptions(params: readonly string[]): string {
    for (let at = 0; at < params.length; at++) {
      const [name, inline] = params[at]!.split("=", 2);
      if (name !== "--format") throw new UnixctlError(`"set-options": unrecognized option '${params[at]}'`);
      const value = inline ?? params[++at];
      if (value !== "json" && value !== "text") {
        throw new UnixctlError(`option '--format' has invalid value '${value ?? ""}'`);
      }
      this.format = value;
    }
    return "";
  }
}

function success(id: JsonValue, result: JsonValue): string {
  return JSON.stringify({ id, result, error: null });
}

/** The control socket that ovs-appctl talks to. */
export class UnixctlServer {
  private readonly connections = new Set<Connection>();
  private constructor(
    private readonly server: Server,
    private readonly path: string,
  ) {}

  /** Binds `options.path`, replacing a socket that was left behind.  Rejects with the system's error. */
  static async listen(options: UnixctlOptions): Promise<UnixctlServer> {
    const log = options.log ?? silentLogger;
    (options.coverage ?? uncounted).declare("unixctl_received", "unixctl_replied");
    const server = createServer({ allowHalfOpen: true });
    const unixctl = new UnixctlServer(server, options.path);
    server.on("connection", (socket) => {
      const connection = new Connection(socket, options, log);
      unixctl.connections.add(connection);
      socket.on("close", () => unixctl.connections.delete(connection));
    });
    try {
      unlinkSync(options.path);
    } catch {
      // Nothing was left behind, which is usual.
    }
    const address = openSocketPath(options.path);
    // The mask holds between bind and chmod, so that no stranger slips in.
    const mask = process.umask(0o077);
    const listening = new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(address.path, () => resolve());
    });
    process.umask(mask);
    try {
      await listening;
    } finally {
      address.close();
    }
    chmodSync(options.path, 0o770 & ~mask);
    return unixctl;
  }

  /** Takes no new clients; with `force` ends those that there are. */
  async close(force = true): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    if (force) for (const connection of this.connections) connection.close();
    try {
      unlinkSync(this.path);
    } catch {
      // Closing removes it already.
    }
    if (force) await closed;
  }
}
