/** Keeps a typed replica of a database in step with its server.  Usage: see idl-types.ts. */
import type { Duplex } from "node:stream";
import type { Channel } from "./channel.js";
import { streamChannel } from "./channel.js";
import type { Clock } from "./clock.js";
import { systemClock } from "./clock.js";
import type { PendingWrites, Submission, TransactionHost } from "./idl-transaction.js";
import { ClientTransaction } from "./idl-transaction.js";
import type { DatabaseTables, Idl, IdlChange, IdlTable, IdlTransaction, RowChange, RowOf } from "./idl-types.js";
import type { Json, JsonObject } from "./json.js";
import { isArray, isObject } from "./json.js";
import type { ReconnectState, ReconnectTiming } from "./reconnect.js";
import * as reconnect from "./reconnect.js";
import type { UpdateForm } from "./replica.js";
import { Replica } from "./replica.js";
import type { Schema } from "./schema.js";
import { parseSchema } from "./schema.js";
import { Server } from "./server.js";
import { parseTarget, splitRemotes } from "./target.js";
import type { TlsKeys } from "./transport.js";
import { connectStream } from "./transport.js";
import type { Uuid } from "./uuid.js";
import { zeroUuid } from "./uuid.js";

export interface IdlOptions {
  /** Schema that the program is written for; what the server's lacks reads as default and is not written. */
  readonly schema: JsonObject;
  /** Connection methods with commas between them, or a server in this process. */
  readonly remote: string | Server;
  /** Name of a lock to ask for; transactions then need it. */
  readonly lock?: string;
  /** Columns whose changes are not followed at all, by table; they read as default. */
  readonly omit?: Readonly<Record<string, readonly string[]>>;
  readonly tls?: TlsKeys;
  readonly timing?: Partial<ReconnectTiming>;
  readonly clock?: Clock;
  readonly log?: (level: "warn" | "info", text: string) => void;
}

type Reply = { readonly result: Json } | { readonly error: Json } | "closed";

const monitorId = "sluice";
const serverMonitorId = "server";

/** Opens a client, which connects and reconnects by itself until it is closed. */
export function openIdl<D>(options: IdlOptions): Idl<D> {
  return new IdlClient(options) as unknown as Idl<D>;
}

/** A connection to a server, from being up until it breaks. */
interface Connection {
  readonly channel: Channel;
  readonly replies: Map<number, (reply: Reply) => void>;
  /** How updates to this connection's monitor are written. */
  form: UpdateForm;
  live: boolean;
}

class IdlClient implements Idl<DatabaseTables>, TransactionHost {
  readonly replica: Replica;
  private readonly ourSchema: Schema;
  private readonly clock: Clock;
  private readonly timing: ReconnectTiming;
  private readonly remotes: readonly string[];
  private readonly listeners = new Set<(change: IdlChange<DatabaseTables>) => void>();
  private readonly pending = new Set<PendingWrites>();
  private readonly readyWaiters: (() => void)[] = [];
  private readonly columns = new Map<string, Set<string>>();
  private fsm: ReconnectState = reconnect.voidState;
  private connection: Connection | undefined;
  private connecting: Duplex | undefined;
  private cancelTimer: (() => void) | undefined;
  private nextId = 1;
  private remoteIndex = 0;
  private freeTries: number;
  private lastTransactionId: Uuid = zeroUuid;
  private closed = false;
  private lock: string | undefined;
  private lockKnown = false;
  private owner = false;
  seqno = 0;
  outsideSeqno = 0;
  schema: JsonObject | undefined;

  constructor(private readonly options: IdlOptions) {
    this.ourSchema = parseSchema(options.schema);
    this.replica = new Replica(this.ourSchema);
    this.clock = options.clock ?? systemClock;
    this.timing = { ...reconnect.defaultTiming, ...options.timing };
    this.remotes = typeof options.remote === "string" ? splitRemotes(options.remote) : [];
    this.freeTries = Math.max(this.remotes.length - 1, 0);
    this.lock = options.lock;
    this.lockKnown = options.lock === undefined;
    for (const remote of this.remotes) {
      parseTarget(remote);
    }
    this.fsm = reconnect.enable(this.fsm, this.clock.now());
    this.run();
  }

  // What is seen from outside.

  get connected(): boolean {
    return this.connection?.live === true;
  }

  get state(): ReconnectState["name"] {
    return this.fsm.name;
  }

  get hasLock(): boolean {
    return this.lock === undefined || this.owner;
  }

  get lockContended(): boolean {
    return this.lock !== undefined && this.lockKnown && !this.owner;
  }

  get lockName(): string | undefined {
    return this.lock;
  }

  table<T extends string>(name: T): IdlTable<RowOf<DatabaseTables, T>> {
    const table = this.replica.tables.get(name);
    if (table === undefined) {
      throw new TypeError(`There is no table ${name} in the schema.`);
    }
    return table;
  }

  get cellCount(): number {
    let cells = 0;
    for (const [name, table] of this.replica.tables)
      cells += table.size * (this.ourSchema.tables.get(name)?.columnList.length ?? 0);
    return cells;
  }

  transaction(): IdlTransaction<DatabaseTables> {
    return new ClientTransaction(this);
  }

  onChange(listener: (change: IdlChange<DatabaseTables>) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  ready(): Promise<void> {
    return new Promise((resolve) => {
      this.readyWaiters.push(resolve);
      this.checkReady();
    });
  }

  private checkReady(): void {
    if (this.seqno > 0 && this.connected && this.lockKnown) {
      for (const resolve of this.readyWaiters.splice(0)) {
        resolve();
      }
    }
  }

  reconnectNow(): void {
    this.fsm = reconnect.force(this.fsm, this.clock.now());
    this.drop("reconnecting on request");
    this.run();
  }

  async close(): Promise<void> {
    this.closed = true;
    this.fsm = reconnect.voidState;
    this.cancelTimer?.();
    this.drop("");
    this.listeners.clear();
  }

  private emit(reason: IdlChange["reason"], rows: readonly RowChange[], outside: boolean): void {
    const change = { reason, seqno: this.seqno, rows: rows as readonly RowChange<DatabaseTables>[], outside };
    for (const listener of this.listeners) {
      listener(change);
    }
  }

  // Connecting.

  private run(): void {
    if (this.closed) {
      return;
    }
    const now = this.clock.now();
    const action = reconnect.due(this.fsm, now, this.timing);
    if (action === "connect") {
      this.connect(now);
    } else if (action === "probe") {
      this.fsm = reconnect.probed(this.fsm, now);
      this.connection?.channel.send({ id: "echo", method: "echo", params: [] });
    } else if (action === "disconnect") {
      this.drop(this.fsm.name === "IDLE" ? "no response to inactivity probe" : "connection timed out");
      return;
    }
    this.schedule();
  }

  private schedule(): void {
    this.cancelTimer?.();
    const at = this.closed ? undefined : reconnect.deadline(this.fsm, this.probing());
    this.cancelTimer = at === undefined ? undefined : this.clock.after(at - this.clock.now(), () => this.run());
  }

  /** A unix socket or a server in this process cannot fail silently, and is not probed. */
  private probing(): ReconnectTiming {
    const remote = this.remotes[this.remoteIndex];
    return remote === undefined || remote.startsWith("unix:") ? { ...this.timing, probeMs: 0 } : this.timing;
  }

  private connect(now: number): void {
    this.fsm = reconnect.connecting(this.fsm, now);
    const { remote } = this.options;
    if (remote instanceof Server) {
      this.established(remote.connect("idl"));
      return;
    }
    const method = this.remotes[this.remoteIndex] ?? "";
    try {
      const stream = connectStream(parseTarget(method), this.options.tls, () => {
        this.connecting = undefined;
        stream.off("error", failed);
        this.established(streamChannel(stream, method));
      });
      const failed = (error: Error): void => {
        if (this.connecting === stream) {
          this.drop(error.message);
        }
      };
      this.connecting = stream;
      stream.on("error", failed);
    } catch (error) {
      this.drop((error as Error).message);
    }
  }

  /** Ends the connection, or the attempt to make one, and tries again when it is time to. */
  private drop(reason: string): void {
    const connection = this.connection;
    this.connection = undefined;
    const attempt = this.connecting;
    this.connecting = undefined;
    attempt?.on("error", () => undefined);
    attempt?.destroy();
    const wasLive = connection?.live === true;
    if (connection !== undefined) {
      connection.live = false;
      connection.channel.close();
      for (const resolve of [...connection.replies.values()]) {
        resolve("closed");
      }
      connection.replies.clear();
    }
    this.lockKnown = this.lock === undefined;
    this.owner = false;
    if (this.closed) {
      return;
    }
    const method = this.remotes[this.remoteIndex] ?? "embedded";
    this.options.log?.("info", `${method}: disconnected${reason === "" ? "" : ` (${reason})`}`);
    this.nextRemote();
    if (wasLive) {
      this.emit("connection", [], false);
    }
    this.schedule();
  }

  /** With several servers, each is tried once before there is any waiting. */
  private nextRemote(): void {
    const now = this.clock.now();
    if (this.remotes.length > 0) {
      this.remoteIndex = (this.remoteIndex + 1) % this.remotes.length;
    }
    if (this.freeTries > 0 && this.fsm.name !== "BACKOFF") {
      this.freeTries--;
      this.fsm = reconnect.force(this.fsm, now);
    } else {
      this.fsm = reconnect.disconnected(this.fsm, now, this.timing);
    }
  }

  private established(channel: Channel): void {
    this.fsm = reconnect.connected(this.fsm, this.clock.now());
    const connection: Connection = { channel, replies: new Map(), form: "update2", live: false };
    this.connection = connection;
    channel.start({
      message: (message) => this.connection === connection && this.message(connection, message),
      drained: () => undefined,
      closed: (reason) => this.connection === connection && this.drop(reason),
    });
    this.schedule();
    this.begin(connection).catch((error: Error) => {
      if (this.connection === connection) {
        this.drop(error.message);
      }
    });
  }

  // Messages.

  /** Sends a request.
   *  @param atOnce called with the reply before the next message is looked at, which a promise cannot promise */
  private call(
    connection: Connection,
    method: string,
    params: readonly Json[],
    atOnce?: (reply: Reply) => void,
  ): Promise<Reply> {
    const id = this.nextId++;
    return new Promise((resolve) => {
      connection.replies.set(id, (reply) => {
        atOnce?.(reply);
        resolve(reply);
      });
      connection.channel.send({ id, method, params });
    });
  }

  private message(connection: Connection, message: JsonObject): void {
    this.fsm = reconnect.activity(this.fsm, this.clock.now());
    this.schedule();
    const { id, method, params } = message;
    if (typeof method === "string") {
      if (method === "echo" && id !== null && id !== undefined) {
        connection.channel.send({ id, result: params ?? [], error: null });
      } else if (isArray(params)) {
        this.notified(connection, method, params);
      }
      return;
    }
    const resolve = typeof id === "number" ? connection.replies.get(id) : undefined;
    if (resolve !== undefined) {
      connection.replies.delete(id as number);
      const error = message["error"];
      resolve(error === null || error === undefined ? { result: message["result"] ?? null } : { error });
    }
  }

  private notified(connection: Connection, method: string, params: readonly Json[]): void {
    switch (method) {
      case "update":
      case "update2":
      case "update3":
        this.updated(connection, method, params);
        break;
      case "locked":
      case "stolen":
        if (params[0] === this.lock) {
          this.setOwner(method === "locked");
        }
        break;
      case "monitor_canceled":
        this.drop("the database changed its schema or went away");
        break;
    }
  }

  private updated(connection: Connection, method: string, params: readonly Json[]): void {
    const updates = params[params.length - 1];
    if (!isObject(updates)) {
      return;
    }
    if (params[0] === serverMonitorId) {
      // Something about the server changed; whether it still is the one to use is asked anew.
      void this.checkServer(connection).then(
        (usable) => usable || this.connection !== connection || this.drop("not the leader"),
      );
      return;
    }
    if (params[0] !== monitorId || !connection.live) {
      return;
    }
    if (method === "update3") {
      this.lastTransactionId = params[1] as Uuid;
    }
    this.changed("update", this.replica.apply(updates, connection.form));
  }

  private changed(reason: "snapshot" | "update", changes: readonly RowChange[]): void {
    let rows = changes;
    if (reason === "update") {
      for (const writes of this.pending) {
        rows = rows.map((change) =>
          change.outside.size > 0 || change.kind !== "modify" ? writes.claim(change) : change,
        );
      }
    }
    const outside = reason === "snapshot" || rows.some((change) => change.outside.size > 0 || this.isForeign(change));
    this.seqno++;
    if (outside) {
      this.outsideSeqno++;
    }
    this.emit(reason, rows, outside);
  }

  /** A row of nothing but defaults has no column that could tell whose it is. */
  private isForeign(change: RowChange): boolean {
    return change.kind === "insert" && change.columns.size === 0 && this.pending.size === 0;
  }

  // The beginning of a session.

  private async begin(connection: Connection): Promise<void> {
    if (!(await this.checkServer(connection))) {
      if (this.connection === connection) {
        this.drop("not the leader, or the database is not there");
      }
      return;
    }
    const { name } = this.ourSchema;
    const schemaReply = await this.call(connection, "get_schema", [name]);
    if (this.connection !== connection || schemaReply === "closed") {
      return;
    }
    if ("error" in schemaReply) {
      throw new Error(`the server has no database ${name}`);
    }
    this.learnSchema(schemaReply.result as JsonObject);
    const lockReply = this.requestLock(connection);
    await this.startMonitor(connection);
    await lockReply;
    this.checkReady();
  }

  /** Whether this server is one to use: any standalone one, and of several in a cluster the leader. */
  private async checkServer(connection: Connection): Promise<boolean> {
    if (this.options.remote instanceof Server) {
      return true;
    }
    const where = [["name", "==", this.ourSchema.name]];
    const first = !connection.live && connection.replies.size === 0;
    const columns = ["model", "connected", "leader"];
    const reply = await this.call(connection, "transact", [
      "_Server",
      { op: "select", table: "Database", where, columns },
    ]);
    if (reply === "closed" || "error" in reply || !isArray(reply.result)) {
      return reply !== "closed"; // A server from before _Server serves only standalone databases.
    }
    if (first) {
      void this.call(connection, "monitor_cond", [
        "_Server",
        serverMonitorId,
        { Database: { columns: ["leader", "connected"], select: { initial: false } } },
      ]);
    }
    const result = reply.result[0];
    const rows = isObject(result) ? result["rows"] : undefined;
    const row = isArray(rows) ? rows[0] : undefined;
    if (!isObject(row)) {
      return false;
    }
    return (
      row["model"] === "standalone" ||
      (row["connected"] === true && (row["leader"] === true || this.remotes.length < 2))
    );
  }

  private learnSchema(json: JsonObject): void {
    this.schema = json;
    const theirs = parseSchema(json);
    this.columns.clear();
    for (const [name, table] of this.ourSchema.tables) {
      const columns = theirs.tables.get(name)?.columns;
      if (columns !== undefined) {
        const known = table.columnList.filter((column) => !column.name.startsWith("_") && columns.has(column.name));
        this.columns.set(name, new Set(known.map((column) => column.name)));
      }
    }
  }

  serverHas(table: string, column: string): boolean {
    return this.columns.get(table)?.has(column) !== false;
  }

  private monitorRequests(array: boolean): JsonObject {
    const requests: Record<string, Json> = {};
    for (const [table, columns] of this.columns) {
      const omitted = this.options.omit?.[table] ?? [];
      const request = { columns: [...columns].filter((column) => !omitted.includes(column)) };
      requests[table] = array ? [request] : request;
    }
    return requests;
  }

  /** Asks for the contents in the newest way that the server knows. */
  private async startMonitor(connection: Connection): Promise<void> {
    const { name } = this.ourSchema;
    const attempts: readonly (readonly [string, readonly Json[], UpdateForm])[] = [
      ["monitor_cond_since", [name, monitorId, this.monitorRequests(true), this.lastTransactionId], "update2"],
      ["monitor_cond", [name, monitorId, this.monitorRequests(true)], "update2"],
      ["monitor", [name, monitorId, this.monitorRequests(false)], "update"],
    ];
    for (const [method, params, form] of attempts) {
      connection.form = form;
      const reply = await this.call(connection, method, params, (r) => this.monitored(connection, method, r));
      if (this.connection !== connection || reply === "closed" || "result" in reply) {
        return;
      }
      if (reply.error !== "unknown method") {
        throw new Error(`${method} was refused: ${JSON.stringify(reply.error)}`);
      }
    }
    throw new Error("the server knows no way to monitor a database");
  }

  private monitored(connection: Connection, method: string, reply: Reply): void {
    if (this.connection === connection && reply !== "closed" && "result" in reply) {
      try {
        this.contents(connection, method, reply.result);
      } catch (error) {
        this.drop((error as Error).message);
      }
    }
  }

  private contents(connection: Connection, method: string, result: Json): void {
    const [found, id, updates] =
      method === "monitor_cond_since" && isArray(result) ? result : [false, zeroUuid, result];
    if (!isObject(updates)) {
      throw new Error(`the reply to ${method} is not understood`);
    }
    this.lastTransactionId = id as Uuid;
    connection.live = true;
    this.freeTries = Math.max(this.remotes.length - 1, 0);
    this.options.log?.("info", `${connection.channel.peer}: connected`);
    const changes =
      found === true ? this.replica.apply(updates, connection.form) : this.replica.replace(updates, connection.form);
    this.changed("snapshot", changes);
    this.checkReady();
  }

  // The lock.

  setLock(name: string | undefined): void {
    const connection = this.connection;
    if (this.lock !== undefined && this.lock !== name && connection !== undefined) {
      void this.call(connection, "unlock", [this.lock]);
    }
    if (this.lock !== name) {
      this.lock = name;
      this.owner = false;
      this.lockKnown = name === undefined;
      if (connection?.live === true) {
        void this.requestLock(connection);
      }
    }
  }

  private async requestLock(connection: Connection): Promise<void> {
    const name = this.lock;
    if (name === undefined) {
      return;
    }
    await this.call(connection, "lock", [name], (reply) => {
      if (reply !== "closed" && "result" in reply && this.connection === connection && this.lock === name) {
        this.setOwner(isObject(reply.result) && reply.result["locked"] === true);
      }
    });
  }

  private setOwner(owner: boolean): void {
    const news = !this.lockKnown || owner !== this.owner;
    this.lockKnown = true;
    this.owner = owner;
    this.checkReady();
    if (news) {
      this.emit("lock", [], false);
    }
  }

  // Transactions.

  async submit(transaction: PendingWrites, operations: readonly Json[]): Promise<Submission> {
    const connection = this.connection;
    if (connection?.live !== true) {
      return { kind: "try_again" };
    }
    if (this.lock !== undefined && !this.owner) {
      return { kind: "not_locked" };
    }
    const id = this.nextId;
    this.pending.add(transaction);
    const canceled = new Promise<"canceled">((resolve) => {
      transaction.cancel = () => {
        connection.channel.send({ id: null, method: "cancel", params: [id] });
        resolve("canceled");
      };
    });
    const params = [this.ourSchema.name, ...operations];
    const replied = this.call(connection, "transact", params, () => this.pending.delete(transaction));
    const reply = await Promise.race([replied, canceled]);
    this.pending.delete(transaction);
    transaction.cancel = undefined;
    if (reply === "canceled") {
      return { kind: "aborted" };
    }
    if (reply === "closed") {
      return { kind: "try_again" };
    }
    return "error" in reply ? { kind: "error", error: reply.error } : { kind: "reply", results: reply.result };
  }
}
