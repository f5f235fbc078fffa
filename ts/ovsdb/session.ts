/** One client of a server: its requests, monitors and locks. */
import type { Channel } from "./channel.js";
import { OvsdbError, syntaxError } from "./error.js";
import type { Host } from "./host.js";
import type { Json, JsonObject } from "./json.js";
import { isArray, isObject, printJson } from "./json.js";
import type { LockWaiter } from "./lock.js";
import type { MonitorVersion } from "./monitor.js";
import { Monitor } from "./monitor.js";
import { isId } from "./parser.js";
import { parseSchema } from "./schema.js";
import type { Store } from "./store.js";
import { checkName } from "./store.js";
import type { Effects } from "./transaction.js";

/** What a client may leave unread before its own requests wait. */
const backlogBytesMax = 1024 * 1024;
/** Transactions of one client that may wait at once. */
const waitingMax = 1000;

interface Waiting {
  readonly id: Json;
  readonly key: string;
  readonly store: Store;
  readonly params: readonly Json[];
  readonly since: number;
  cancelTimer: (() => void) | undefined;
}

/** What an `Session` thinks of a request: a result, an error, or that the reply comes later. */
class ReplyLater {}
const later = new ReplyLater();

const monitorVersions: Readonly<Record<string, MonitorVersion>> = {
  monitor: 1,
  monitor_cond: 2,
  monitor_cond_since: 3,
};

export class Session implements LockWaiter {
  private readonly monitors = new Map<string, { readonly monitor: Monitor; readonly store: Store }>();
  private readonly waiting = new Map<string, Waiting>();
  private readonly lockNames = new Set<string>();
  /** Those of them that were not asked for, but stolen. */
  private readonly stolenNames = new Set<string>();
  private changeAware = false;
  private open = true;
  /** Monotonic time of the last message, and of the probe that it has not answered. */
  private lastActivity: number;
  private probed = false;
  private cancelProbe: (() => void) | undefined;

  /** @param probeMs silence after which the client is probed, and after as much again dropped; 0 for never */
  constructor(
    private readonly host: Host<Session>,
    private readonly channel: Channel,
    private probeMs: number,
    private readonly onClosed: (reason: string) => void,
  ) {
    this.lastActivity = host.clock.now();
    channel.start({
      message: (message) => this.message(message),
      drained: () => this.drained(),
      closed: (reason) => this.ended(reason),
    });
    this.scheduleProbe();
  }

  get peer(): string {
    return this.channel.peer;
  }

  /** Takes another time of silence, as of now. */
  setProbe(probeMs: number): void {
    if (probeMs === this.probeMs) return;
    this.probeMs = probeMs;
    this.cancelProbe?.();
    this.scheduleProbe();
  }

  /** Names of locks that the client holds, waits for, or had stolen and lost again. */
  get locks(): {
    readonly held: readonly string[];
    readonly waiting: readonly string[];
    readonly lost: readonly string[];
  } {
    const names = [...this.lockNames].sort();
    const owns = (name: string): boolean => this.host.locks.isOwner(name, this);
    return {
      held: names.filter(owns),
      waiting: names.filter((name) => !owns(name) && !this.stolenNames.has(name)),
      lost: names.filter((name) => !owns(name) && this.stolenNames.has(name)),
    };
  }

  close(reason = ""): void {
    this.channel.close(reason);
  }

  private ended(reason: string): void {
    this.open = false;
    this.cancelProbe?.();
    for (const waiting of this.waiting.values()) {
      waiting.cancelTimer?.();
    }
    this.waiting.clear();
    this.monitors.clear();
    for (const name of this.lockNames) {
      this.host.locks.release(name, this);
    }
    this.onClosed(reason);
  }

  private scheduleProbe(): void {
    if (this.probeMs > 0 && this.open) {
      const at = this.lastActivity + this.probeMs * (this.probed ? 2 : 1);
      this.cancelProbe = this.host.clock.after(at - this.host.clock.now(), () => this.probe());
    }
  }

  private probe(): void {
    const silence = this.host.clock.now() - this.lastActivity;
    if (silence >= 2 * this.probeMs && this.probed) {
      this.close("no response to inactivity probe");
      return;
    }
    if (silence >= this.probeMs && !this.probed) {
      this.probed = true;
      this.send({ id: "echo", method: "echo", params: [] });
    }
    this.scheduleProbe();
  }

  private send(message: JsonObject): void {
    this.channel.send(message);
    if (this.channel.backlogBytes > backlogBytesMax) {
      this.channel.pause();
    }
  }

  private drained(): void {
    this.flush();
    if (this.channel.backlogBytes <= backlogBytesMax) {
      this.channel.resume();
    }
  }

  private message(message: JsonObject): void {
    this.lastActivity = this.host.clock.now();
    this.probed = false;
    const { method, params, id } = message;
    if (method === undefined) {
      // The one thing a server ever asks is an echo.
      if (message["id"] !== "echo" || !("result" in message)) {
        this.close(`bad message: ${printJson(message).slice(0, 100)}`);
      }
      return;
    }
    if (typeof method !== "string" || !isArray(params) || id === undefined) {
      this.close(`bad message: ${printJson(message).slice(0, 100)}`);
      return;
    }
    if (id === null) {
      this.notification(method, params);
      return;
    }
    try {
      const result = this.request(method, params, id);
      if (!(result instanceof ReplyLater)) {
        this.send({ id, result, error: null });
      }
    } catch (error) {
      if (!(error instanceof OvsdbError)) {
        throw error;
      }
      this.send({ id, error: error.toJson() });
    }
  }

  private notification(method: string, params: readonly Json[]): void {
    if (method === "cancel" && params.length === 1) {
      const waiting = this.waiting.get(printJson(params[0] as Json));
      if (waiting !== undefined) {
        this.cancel(waiting);
      }
    }
  }

  private cancel(waiting: Waiting): void {
    this.forget(waiting);
    this.send({ id: waiting.id, error: "canceled" });
  }

  private request(method: string, params: readonly Json[], id: Json): Json | ReplyLater {
    switch (method) {
      case "echo":
        return params;
      case "list_dbs":
        return [...this.host.stores.keys()].sort();
      case "get_schema":
        return this.database(method, params).schemaJson;
      case "get_server_id":
        return this.host.serverId;
      case "transact":
        return this.transact(params, id);
      case "monitor":
      case "monitor_cond":
      case "monitor_cond_since":
        return this.monitor(method, params);
      case "monitor_cond_change":
        return this.changeMonitor(params);
      case "monitor_cancel":
        return this.cancelMonitor(params, id);
      case "lock":
      case "steal":
        return this.lock(params, method);
      case "unlock":
        return this.unlock(params);
      case "set_db_change_aware":
        return this.setChangeAware(params);
      case "convert":
        return this.convert(params);
      default:
        this.send({ id, error: "unknown method" });
        return later;
    }
  }

  private database(method: string, params: readonly Json[]): Store {
    const name = params[0];
    if (typeof name !== "string") {
      throw syntaxError(params, `${method} request params must begin with <db-name>`);
    }
    const store = this.host.stores.get(name);
    if (store === undefined) {
      throw syntaxError(params, `${method} request specifies unknown database ${name}`, "unknown database");
    }
    return store;
  }

  // Transactions.

  private transact(params: readonly Json[], id: Json): ReplyLater {
    const key = printJson(id);
    if (this.waiting.has(key)) {
      throw syntaxError(params, "transact: duplicate request ID");
    }
    const store = this.database("transact", params);
    const since = this.host.clock.now();
    if (!this.attempt({ id, key, store, params, since, cancelTimer: undefined })) {
      if (this.waiting.size > waitingMax) {
        this.cancel(this.waiting.get(key) as Waiting);
      }
    }
    return later;
  }

  /** Tries a transaction.  Returns false when it must wait. */
  private attempt(waiting: Waiting): boolean {
    const { store, params, since, id, key } = waiting;
    const elapsedMs = this.host.clock.now() - since;
    waiting.cancelTimer?.();
    const result = store.transact(params, {
      elapsedMs,
      hasLock: (name) => this.host.locks.isOwner(name, this),
      readOnly: store === this.host.serverStore,
    });
    if (result.kind === "blocked") {
      this.waiting.set(key, waiting);
      waiting.cancelTimer =
        result.timeoutMs === Infinity
          ? undefined
          : this.host.clock.after(result.timeoutMs - elapsedMs, () => this.attempt(waiting));
      return false;
    }
    this.forget(waiting);
    if (result.durable === undefined) {
      this.send({ id, result: result.results, error: null });
    } else {
      result.durable.then(
        () => this.send({ id, result: result.results, error: null }),
        (error: Error) => this.send({ id, error: { details: error.message, error: "I/O error" } }),
      );
    }
    return true;
  }

  private forget(waiting: Waiting): void {
    waiting.cancelTimer?.();
    this.waiting.delete(waiting.key);
  }

  /** Tells this client's monitors of a committed transaction. */
  changed(store: Store, effects: Effects): void {
    for (const entry of this.monitors.values()) {
      if (entry.store === store) {
        entry.monitor.record(effects);
      }
    }
    this.flush();
  }

  /** Tries the transactions that wait; called after a change. */
  retry(store: Store): void {
    for (const waiting of [...this.waiting.values()]) {
      if (waiting.store === store && this.waiting.get(waiting.key) === waiting) {
        this.attempt(waiting);
      }
    }
  }

  /** Sends what the monitors have to tell, unless the client is behind with reading. */
  private flush(): void {
    for (const { monitor } of this.monitors.values()) {
      if (!this.open || this.channel.backlogBytes > backlogBytesMax) {
        return;
      }
      const update = monitor.takeUpdate();
      if (update !== undefined) {
        this.send(update);
      }
    }
  }

  // Monitors.

  private monitor(method: string, params: readonly Json[]): Json {
    const store = this.database(method, params);
    const [, id, requests] = params;
    if (id === undefined || !isObject(requests) || params.length > (method === "monitor_cond_since" ? 4 : 3)) {
      throw syntaxError(params, "invalid parameters");
    }
    const key = printJson(id);
    if (this.monitors.has(key)) {
      throw syntaxError(id, "duplicate monitor ID");
    }
    const monitor = new Monitor(id, monitorVersions[method] as MonitorVersion, store.tables, requests);
    this.monitors.set(key, { monitor, store });
    return monitor.initial();
  }

  private changeMonitor(params: readonly Json[]): Json {
    const [id, newId, requests] = params;
    if (params.length !== 3 || !isObject(requests)) {
      throw syntaxError(params, "invalid parameters");
    }
    const [key, newKey] = [printJson(id as Json), printJson(newId as Json)];
    const entry = this.monitors.get(key);
    if (entry === undefined) {
      throw syntaxError(id as Json, "unknown monitor session");
    }
    if (newKey !== key && this.monitors.has(newKey)) {
      throw syntaxError(newId as Json, "duplicate monitor ID");
    }
    const earlier = entry.monitor.takeUpdate();
    if (earlier !== undefined) {
      this.send(earlier);
    }
    const update = entry.monitor.changeConditions(newId as Json, requests);
    this.monitors.delete(key);
    this.monitors.set(newKey, entry);
    if (update !== undefined) {
      this.send(update);
    }
    return {};
  }

  private cancelMonitor(params: readonly Json[], id: Json): Json | ReplyLater {
    if (params.length !== 1) {
      throw new OvsdbError("syntax error", "invalid parameters");
    }
    if (!this.monitors.delete(printJson(params[0] as Json))) {
      this.send({ id, error: "unknown monitor" });
      return later;
    }
    return {};
  }

  // Locks.

  private lockName(params: readonly Json[], method: string): string {
    const name = params[0];
    if (params.length !== 1 || typeof name !== "string" || !isId(name)) {
      throw syntaxError(params, `${method} request params must be <id>`);
    }
    return name;
  }

  private lock(params: readonly Json[], method: string): Json {
    const name = this.lockName(params, method);
    if (this.host.locks.isWaiting(name, this)) {
      throw syntaxError(params, `must issue "unlock" before new "${method}"`);
    }
    this.lockNames.add(name);
    if (method === "steal") this.stolenNames.add(name);
    return { locked: this.host.locks.request(name, this, method === "steal") };
  }

  private unlock(params: readonly Json[]): Json {
    const name = this.lockName(params, "unlock");
    if (!this.host.locks.isWaiting(name, this)) {
      throw syntaxError(params, 'unlock: "unlock" without "lock" or "steal"');
    }
    this.lockNames.delete(name);
    this.stolenNames.delete(name);
    this.host.locks.release(name, this);
    return {};
  }

  locked(name: string): void {
    this.send({ id: null, method: "locked", params: [name] });
  }

  stolen(name: string): void {
    this.send({ id: null, method: "stolen", params: [name] });
  }

  // Change of databases.

  private setChangeAware(params: readonly Json[]): Json {
    if (params.length !== 1 || typeof params[0] !== "boolean") {
      throw syntaxError(params, "set_db_change_aware: true or false parameter expected");
    }
    this.changeAware = params[0];
    return {};
  }

  private convert(params: readonly Json[]): Json {
    const store = this.database("convert", params);
    if (store === this.host.serverStore) {
      throw new OvsdbError("not allowed", `convert not allowed on reserved database ${store.name}`);
    }
    if (params.length !== 2) {
      throw syntaxError(params, "invalid parameters");
    }
    const schema = parseSchema(params[1] as Json);
    checkName(store, schema);
    this.host.convert(store, schema);
    return {};
  }

  /** A database is about to change its schema or to go away: its monitors and waiting transactions end.  A client that does
   *  not know of such changes is disconnected, so that it notices, once it has been answered. */
  databaseChanged(store: Store): void {
    for (const waiting of [...this.waiting.values()]) {
      if (waiting.store === store) {
        this.cancel(waiting);
      }
    }
    for (const [key, { monitor, store: other }] of [...this.monitors]) {
      if (other === store) {
        this.monitors.delete(key);
        if (this.changeAware) {
          this.send({ id: null, method: "monitor_canceled", params: [monitor.id] });
        }
      }
    }
    if (!this.changeAware) {
      queueMicrotask(() => this.close("database schema changed"));
    }
  }
}
