/** What a program that keeps a typed replica of a database sees: the same whether the server is in this process or not.
 *
 *  ```ts
 *  const idl = openIdl<VswitchTables>({
 *    schema: vswitchSchema,
 *    remote: "unix:/var/run/openvswitch/db.sock",   // or "tcp:a:6640,tcp:b:6640", "ssl:...", or a Server in this process
 *    lock: "ovs_vswitchd",
 *  });
 *  idl.onChange((change) => {
 *    if (!idl.hasLock) return;                       // another switch serves this database
 *    if (change.outside) reconfigure(idl);           // never true for what our own transactions wrote
 *  });
 *  const root = idl.table("Open_vSwitch").first();
 *  for (const bridge of root?.bridges ?? []) {
 *    const row = idl.table("Bridge").get(bridge);    // BridgeRow | undefined
 *  }
 *  const txn = idl.transaction();
 *  txn.comment("ovs-vswitchd");
 *  txn.set("Interface", iface.uuid, { ofport: 1, error: undefined });
 *  txn.set("Open_vSwitch", root.uuid, { cur_cfg: root.next_cfg });
 *  const outcome = await txn.commit();               // never rejects: { status: "success" | "unchanged" | ... }
 *  ```
 *
 *  Rows are immutable values: a change makes a new row object, and what did not change keeps its identity, so `===` on a row tells
 *  whether anything in it changed.  Unchanged columns share their sets and maps with the row before. */
import type { Json, JsonObject } from "./json.js";
import type { ReconnectState } from "./reconnect.js";
import type { Uuid } from "./uuid.js";

/** The tables of a database: for each, the row that is read and the values that may be written. */
export type DatabaseTables = { [T in string]: { row: { readonly uuid: Uuid }; input: object } };

export type RowOf<D, T extends keyof D> = D[T] extends { row: infer R } ? R : never;
export type InputOf<D, T extends keyof D> = D[T] extends { input: infer I } ? I : never;
export type ColumnOf<D, T extends keyof D> = keyof InputOf<D, T> & string;

export interface IdlTable<Row> {
  readonly size: number;
  get(uuid: Uuid): Row | undefined;
  /** The row of a table that holds at most one, such as Open_vSwitch. */
  first(): Row | undefined;
  /** The first row for which `test` holds. */
  find(test: (row: Row) => boolean): Row | undefined;
  values(): IterableIterator<Row>;
  [Symbol.iterator](): IterableIterator<Row>;
}

/** What happened to one row. */
export interface RowChange<D = unknown> {
  readonly table: keyof D & string;
  readonly uuid: Uuid;
  readonly kind: "insert" | "modify" | "delete";
  /** The row before; undefined for an insert.  Cast it to the table's row type. */
  readonly before: unknown;
  /** The row now; undefined for a delete. */
  readonly after: unknown;
  /** Columns whose value changed (for an insert, those that differ from the default). */
  readonly columns: ReadonlySet<string>;
  /** Of those, the columns that an own transaction, still being committed, did not write.  Empty when all of it is ours. */
  readonly outside: ReadonlySet<string>;
}

export interface IdlChange<D = unknown> {
  /** `snapshot`: contents after (re)connecting.  `lock`: `hasLock` changed.  `connection`: `connected` changed. */
  readonly reason: "snapshot" | "update" | "lock" | "connection";
  readonly seqno: number;
  readonly rows: readonly RowChange<D>[];
  /** Whether somebody else changed something; a snapshot counts as outside, our own writes do not. */
  readonly outside: boolean;
}

/** `try_again`: a verified column had changed, or the connection broke; look at the new contents and start over.
 *  `not_locked`: another client has the lock that this transaction needs. */
export type Outcome =
  | { readonly status: "success"; readonly uuids: ReadonlyMap<Uuid, Uuid>; readonly increments: readonly number[] }
  | { readonly status: "unchanged" }
  | { readonly status: "aborted" }
  | { readonly status: "try_again" }
  | { readonly status: "not_locked" }
  | { readonly status: "error"; readonly error: string; readonly details: string };

/** One transaction; nothing is sent before `commit`.  The replica shows the new values when the server has told them,
 *  which is before `commit` resolves. */
export interface IdlTransaction<D> {
  /** Text for the log of the database; several become lines. */
  comment(text: string): void;
  /** Adds a row.  The id returned stands for the row within this transaction; `outcome.uuids` maps it to the real one. */
  insert<T extends keyof D & string>(table: T, values: InputOf<D, T>): Uuid;
  /** Writes columns.  Those that already have the value are left out of the message. */
  set<T extends keyof D & string>(table: T, row: Uuid, values: InputOf<D, T>): void;
  delete<T extends keyof D & string>(table: T, row: Uuid): void;
  /** Adds elements to a set or pairs to a map, or takes away elements or keys, without replacing the rest. */
  mutate<T extends keyof D & string>(
    table: T,
    row: Uuid,
    column: ColumnOf<D, T>,
    mutator: "insert" | "delete" | "+=" | "-=" | "*=" | "/=" | "%=",
    value: Json | readonly Json[] | ReadonlySet<Json> | ReadonlyMap<Json, Json>,
  ): void;
  /** Makes the transaction fail with `try_again` unless these columns still have the value that the replica shows. */
  verify<T extends keyof D & string>(table: T, row: Uuid, ...columns: ColumnOf<D, T>[]): void;
  /** Adds 1 to an integer column, and reports the new value in `outcome.increments`, in the order of the calls. */
  increment<T extends keyof D & string>(table: T, row: Uuid, column: ColumnOf<D, T>): void;
  /** Sends it.  May be called once. */
  commit(options?: { readonly durable?: boolean; readonly dryRun?: boolean }): Promise<Outcome>;
  /** Gives up; a running commit resolves to `aborted`. */
  abort(): void;
}

export interface Idl<D> {
  /** Moves by one with each update of the contents; 0 until the first contents are there. */
  readonly seqno: number;
  /** Moves with each update in which somebody else changed something. */
  readonly outsideSeqno: number;
  /** Values that are kept: rows times columns, of all tables. */
  readonly cellCount: number;
  /** Whether the session to the server is up and the contents are complete. */
  readonly connected: boolean;
  /** State of the connection; an embedded server is always ACTIVE. */
  readonly state: ReconnectState["name"];
  /** Always true when no lock was asked for. */
  readonly hasLock: boolean;
  /** Whether another client has the lock that was asked for. */
  readonly lockContended: boolean;
  /** Schema of the database as its server has it. */
  readonly schema: JsonObject | undefined;
  table<T extends keyof D & string>(table: T): IdlTable<RowOf<D, T>>;
  transaction(): IdlTransaction<D>;
  /** Calls back after each update, and when the lock or the connection changes.  Returns what takes the listener away. */
  onChange(listener: (change: IdlChange<D>) => void): () => void;
  /** Asks for another lock, or with undefined gives it up. */
  setLock(name: string | undefined): void;
  /** Resolves when contents are there and, if a lock was asked for, it is known whether we have it. */
  ready(): Promise<void>;
  /** Drops the connection and tries again at once. */
  reconnectNow(): void;
  close(): Promise<void>;
}
