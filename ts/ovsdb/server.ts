/** The OVSDB server: databases, and the clients that use them. */
import type { Channel } from "./channel.js";
import { localChannels } from "./channel.js";
import type { Clock } from "./clock.js";
import { systemClock } from "./clock.js";
import type { Host } from "./host.js";
import { printSorted } from "./json.js";
import { LockTable } from "./lock.js";
import type { Schema } from "./schema.js";
import { serverSchema } from "./schema-json.js";
import { Session } from "./session.js";
import { Store } from "./store.js";
import type { Effects } from "./transaction.js";
import type { Uuid, UuidSource } from "./uuid.js";
import { randomUuid } from "./uuid.js";

export interface ServerOptions {
  readonly uuids?: UuidSource;
  readonly clock?: Clock;
  readonly log?: (level: "warn" | "info", text: string) => void;
}

/** Holds databases and serves sessions; it neither opens files nor listens, which `Store` and `listen` do. */
export class Server implements Host<Session> {
  readonly clock: Clock;
  readonly serverId: Uuid;
  readonly locks = new LockTable<Session>();
  readonly serverStore: Store;
  private readonly databases = new Map<string, Store>();
  private readonly sessions = new Set<Session>();
  private readonly unwatch = new Map<Store, () => void>();
  /** Stores whose waiting transactions are to be tried again, while that is being done. */
  private retrying: Set<Store> | undefined;

  constructor(private readonly options: ServerOptions = {}) {
    this.clock = options.clock ?? systemClock;
    this.serverId = (options.uuids ?? randomUuid)();
    this.serverStore = Store.memory(serverSchema, options);
    this.add(this.serverStore);
  }

  get stores(): ReadonlyMap<string, Store> {
    return this.databases;
  }

  get sessionCount(): number {
    return this.sessions.size;
  }

  /** Serves a database, which is closed with the server. */
  add(store: Store): void {
    this.databases.set(store.name, store);
    this.unwatch.set(
      store,
      store.watch((effects) => this.changed(store, effects)),
    );
    const text = printSorted(store.schemaJson);
    const row = { name: store.name, model: "standalone", connected: true, leader: true, schema: text };
    this.serverStore.transact(["_Server", { op: "insert", table: "Database", row }]);
  }

  /** Stops serving a database and closes it. */
  remove(store: Store): void {
    for (const session of this.sessions) {
      session.databaseChanged(store);
    }
    this.databases.delete(store.name);
    this.unwatch.get(store)?.();
    this.unwatch.delete(store);
    this.serverStore.transact(["_Server", { op: "delete", table: "Database", where: [["name", "==", store.name]] }]);
    store.close();
  }

  /** Begins a session.
   *  @param probeMs silence after which the client is probed; 0, the default, for never
   *  @param onClosed called once, when the session has ended */
  accept(channel: Channel, probeMs = 0, onClosed?: (reason: string) => void): Session {
    const session: Session = new Session(this, channel, probeMs, (reason) => {
      this.sessions.delete(session);
      if (reason !== "") {
        this.options.log?.("warn", `${channel.peer}: ${reason}`);
      }
      onClosed?.(reason);
    });
    this.sessions.add(session);
    return session;
  }

  /** Begins a session for a client in this process. */
  connect(name = "embedded"): Channel {
    const [client, server] = localChannels(name);
    this.accept(server);
    return client;
  }

  convert(store: Store, schema: Schema): void {
    store.convert(schema);
    for (const session of this.sessions) {
      session.databaseChanged(store);
    }
    const row = { schema: printSorted(store.schemaJson) };
    this.serverStore.transact([
      "_Server",
      { op: "update", table: "Database", where: [["name", "==", store.name]], row },
    ]);
  }

  private changed(store: Store, effects: Effects): void {
    for (const session of this.sessions) {
      session.changed(store, effects);
    }
    if (this.retrying !== undefined) {
      this.retrying.add(store);
      return;
    }
    // A transaction that had waited may set off others; each round needs a change, so this ends.
    this.retrying = new Set([store]);
    for (const next of this.retrying) {
      this.retrying.delete(next);
      for (const session of [...this.sessions]) {
        session.retry(next);
      }
    }
    this.retrying = undefined;
  }

  /** Ends all sessions and closes all databases. */
  close(): void {
    for (const session of [...this.sessions]) {
      session.close();
    }
    for (const [store, unwatch] of this.unwatch) {
      unwatch();
      store.close();
    }
    this.unwatch.clear();
    this.databases.clear();
  }
}
