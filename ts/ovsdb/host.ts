/** What a session needs of the server that it belongs to. */
import type { Clock } from "./clock.js";
import type { LockTable, LockWaiter } from "./lock.js";
import type { Schema } from "./schema.js";
import type { Store } from "./store.js";
import type { Uuid } from "./uuid.js";

export interface Host<S extends LockWaiter> {
  readonly clock: Clock;
  readonly serverId: Uuid;
  readonly stores: ReadonlyMap<string, Store>;
  /** The `_Server` database, which clients may only read. */
  readonly serverStore: Store;
  readonly locks: LockTable<S>;
  /** Changes the schema of a database, and lets every session know. */
  convert(store: Store, schema: Schema): void;
}
