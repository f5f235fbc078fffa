/** One transaction of a client: what it wants to write, as operations, and what became of it. */
import type { Atom, ColumnType } from "./column-type.js";
import type { Datum } from "./datum.js";
import { equalDatums, hasKey } from "./datum.js";
import type { IdlTransaction, Outcome, RowChange } from "./idl-types.js";
import type { Json, JsonObject } from "./json.js";
import { isArray, isObject } from "./json.js";
import type { Mutator } from "./mutation.js";
import type { Replica, ReplicaTable } from "./replica.js";
import type { Column } from "./schema.js";
import { valueDatum } from "./typed-value.js";
import type { Uuid } from "./uuid.js";
import { randomUuid } from "./uuid.js";

/** What a transaction needs of the client that it belongs to. */
export interface TransactionHost {
  readonly replica: Replica;
  /** Name of the lock that every transaction asserts. */
  readonly lockName: string | undefined;
  /** Whether the server knows a column; one that it lacks is left out. */
  serverHas(table: string, column: string): boolean;
  /** Sends it; resolves with the reply's results, or with why there are none. */
  submit(transaction: PendingWrites, operations: readonly Json[]): Promise<Submission>;
}

export type Submission =
  | { readonly kind: "reply"; readonly results: Json }
  | { readonly kind: "try_again" | "not_locked" | "aborted" }
  | { readonly kind: "error"; readonly error: Json };

/** Tells own changes from those of others while a transaction is under way. */
export interface PendingWrites {
  /** The change with the columns taken out of `outside` that this transaction wrote. */
  claim(change: RowChange): RowChange;
  /** Gives up waiting for the reply. */
  cancel: (() => void) | undefined;
}

interface RowWrites {
  readonly table: ReplicaTable;
  readonly uuid: Uuid;
  readonly kind: "insert" | "update";
  readonly columns: Map<Column, Datum>;
  readonly mutations: Json[];
  readonly mutated: Set<string>;
  readonly increments: Column[];
}

interface Verification {
  readonly table: ReplicaTable;
  readonly uuid: Uuid;
  readonly columns: readonly Column[];
}

type Tables = { [T in string]: { row: { readonly uuid: Uuid }; input: object } };

export class ClientTransaction implements IdlTransaction<Tables>, PendingWrites {
  cancel: (() => void) | undefined;
  private readonly writes = new Map<string, RowWrites>();
  private readonly deletions = new Map<Uuid, ReplicaTable>();
  private readonly verifications: Verification[] = [];
  private readonly comments: string[] = [];
  /** Increments in the order of the calls. */
  private readonly counted: RowWrites[] = [];
  /** Rows that may be garbage-collected because of what this transaction takes away. */
  private readonly released = new Set<Uuid>();
  /** Rows inserted that have not come back from the server yet, by table. */
  private readonly unclaimed = new Map<string, Set<RowWrites>>();
  private ended = false;

  constructor(private readonly host: TransactionHost) {}

  comment(text: string): void {
    this.comments.push(text);
  }

  insert(table: string, values: object): Uuid {
    const uuid = randomUuid();
    this.rowWrites(this.tableOf(table), uuid, "insert");
    this.set(table, uuid, values);
    return uuid;
  }

  set(table: string, uuid: Uuid, values: object): void {
    const replicaTable = this.tableOf(table);
    const existing = this.writes.get(`${table}/${uuid}`);
    for (const [name, value] of Object.entries(values)) {
      const column = this.columnOf(replicaTable, name);
      const datum = valueDatum(value, column.type);
      if (existing?.kind !== "insert" && this.equalsReplica(replicaTable, uuid, column, datum)) {
        existing?.columns.delete(column);
        continue;
      }
      if (this.host.serverHas(table, name)) {
        this.rowWrites(replicaTable, uuid, "update").columns.set(column, datum);
        this.noteReleased(replicaTable, uuid, column, datum);
      }
    }
  }

  delete(table: string, uuid: Uuid): void {
    const replicaTable = this.tableOf(table);
    const key = `${table}/${uuid}`;
    const inserted = this.writes.get(key)?.kind === "insert";
    this.writes.delete(key);
    if (!inserted) {
      this.deletions.set(uuid, replicaTable);
      this.releaseAll(replicaTable, uuid);
    }
  }

  mutate(table: string, uuid: Uuid, columnName: string, mutator: Mutator, value: unknown): void {
    const replicaTable = this.tableOf(table);
    const column = this.columnOf(replicaTable, columnName);
    if (!this.host.serverHas(table, columnName)) {
      return;
    }
    const keysOnly = mutator === "delete" && !(value instanceof Map);
    const arithmetic = mutator !== "insert" && mutator !== "delete";
    const type: ColumnType = {
      key: column.type.key,
      value: keysOnly || arithmetic ? undefined : column.type.value,
      min: 0,
      max: arithmetic ? 1 : Infinity,
    };
    const argument = valueDatum(value, type);
    const writes = this.rowWrites(replicaTable, uuid, "update");
    writes.mutations.push([columnName, mutator, this.datumJson(argument, type)]);
    writes.mutated.add(columnName);
    if (mutator === "delete") {
      for (const key of argument.keys) {
        this.released.add(String(key));
      }
    }
  }

  verify(table: string, uuid: Uuid, ...columns: readonly string[]): void {
    const replicaTable = this.tableOf(table);
    this.verifications.push({
      table: replicaTable,
      uuid,
      columns: columns
        .filter((name) => this.host.serverHas(table, name))
        .map((name) => this.columnOf(replicaTable, name)),
    });
  }

  increment(table: string, uuid: Uuid, columnName: string): void {
    const replicaTable = this.tableOf(table);
    const writes = this.rowWrites(replicaTable, uuid, "update");
    writes.mutations.push([columnName, "+=", 1]);
    writes.mutated.add(columnName);
    writes.increments.push(this.columnOf(replicaTable, columnName));
    this.counted.push(writes);
  }

  async commit(options: { readonly durable?: boolean; readonly dryRun?: boolean } = {}): Promise<Outcome> {
    if (this.ended) {
      return { status: "aborted" };
    }
    this.ended = true;
    const { operations, expect } = this.operations(options);
    if (expect.length === 0 && this.deletions.size === 0) {
      return { status: "unchanged" };
    }
    const submission = await this.host.submit(this, operations);
    switch (submission.kind) {
      case "reply":
        return this.outcome(submission.results, expect, options.dryRun === true);
      case "error":
        return errorOutcome(submission.error);
      default:
        return { status: submission.kind };
    }
  }

  abort(): void {
    this.ended = true;
    this.cancel?.();
  }

  // Operations.

  private tableOf(name: string): ReplicaTable {
    const table = this.host.replica.tables.get(name);
    if (table === undefined) {
      throw new TypeError(`There is no table ${name} in the schema.`);
    }
    return table;
  }

  private columnOf(table: ReplicaTable, name: string): Column {
    const column = table.schema.columns.get(name);
    if (column === undefined) {
      throw new TypeError(`There is no column ${name} in table ${table.schema.name}.`);
    }
    return column;
  }

  private rowWrites(table: ReplicaTable, uuid: Uuid, kind: RowWrites["kind"]): RowWrites {
    const key = `${table.schema.name}/${uuid}`;
    let writes = this.writes.get(key);
    if (writes === undefined) {
      writes = { table, uuid, kind, columns: new Map(), mutations: [], mutated: new Set(), increments: [] };
      this.writes.set(key, writes);
    }
    return writes;
  }

  private equalsReplica(table: ReplicaTable, uuid: Uuid, column: Column, datum: Datum): boolean {
    const current = table.datum(uuid, column);
    return current !== undefined && equalDatums(current, datum);
  }

  private isInserted(uuid: Atom, table: string | undefined): boolean {
    return table !== undefined && this.writes.get(`${table}/${String(uuid)}`)?.kind === "insert";
  }

  private atomJson(atom: Atom, base: ColumnType["key"]): Json {
    if (base.type !== "uuid") {
      return atom;
    }
    return this.isInserted(atom, base.refTable) ? ["named-uuid", rowName(atom as Uuid)] : ["uuid", atom];
  }

  private datumJson(datum: Datum, type: ColumnType): Json {
    const valueType = type.value;
    if (valueType !== undefined) {
      const value = (i: number): Json => this.atomJson(datum.values?.[i] as Atom, valueType);
      return ["map", datum.keys.map((key, i) => [this.atomJson(key, type.key), value(i)])];
    }
    const atoms = datum.keys.map((key) => this.atomJson(key, type.key));
    return atoms.length === 1 ? (atoms[0] as Json) : ["set", atoms];
  }

  private rowJson(columns: ReadonlyMap<Column, Datum>): JsonObject {
    const json: Record<string, Json> = {};
    for (const [column, datum] of columns) {
      json[column.name] = this.datumJson(datum, column.type);
    }
    return json;
  }

  private waitOperation({ table, uuid, columns }: Verification): JsonObject {
    const row: Record<string, Json> = {};
    for (const column of columns) {
      row[column.name] = this.datumJson(table.datum(uuid, column) ?? column.default, column.type);
    }
    return {
      op: "wait",
      table: table.schema.name,
      timeout: 0,
      where: whereUuid(uuid),
      columns: columns.map((column) => column.name),
      until: "==",
      rows: table.get(uuid) === undefined ? [] : [row],
    };
  }

  /** The operations, and for each row written where its results are. */
  private operations(options: { readonly durable?: boolean; readonly dryRun?: boolean }): {
    readonly operations: readonly Json[];
    readonly expect: readonly { readonly writes: RowWrites; readonly at: number }[];
  } {
    const operations: Json[] = [];
    const expect: { readonly writes: RowWrites; readonly at: number }[] = [];
    if (this.host.lockName !== undefined) {
      operations.push({ op: "assert", lock: this.host.lockName });
    }
    for (const verification of this.verifications) {
      operations.push(this.waitOperation(verification));
    }
    for (const [uuid, table] of this.deletions) {
      operations.push({ op: "delete", table: table.schema.name, where: whereUuid(uuid) });
    }
    for (const writes of this.writes.values()) {
      const at = operations.length;
      this.rowOperations(writes, operations);
      if (operations.length > at) {
        expect.push({ writes, at });
      }
    }
    if (this.comments.length > 0) {
      operations.push({ op: "comment", comment: this.comments.join("\n") });
    }
    if (options.durable === true) {
      operations.push({ op: "commit", durable: true });
    }
    if (options.dryRun === true) {
      operations.push({ op: "abort" });
    }
    return { operations, expect };
  }

  private rowOperations(writes: RowWrites, operations: Json[]): void {
    const table = writes.table.schema.name;
    const where = whereUuid(writes.uuid);
    if (writes.kind === "insert") {
      operations.push({ op: "insert", table, "uuid-name": rowName(writes.uuid), row: this.rowJson(writes.columns) });
    } else if (writes.columns.size > 0) {
      operations.push({ op: "update", table, where, row: this.rowJson(writes.columns) });
    }
    const target = writes.kind === "insert" ? [["_uuid", "==", ["named-uuid", rowName(writes.uuid)]]] : where;
    if (writes.mutations.length > 0) {
      operations.push({ op: "mutate", table, where: target, mutations: writes.mutations });
    }
    if (writes.increments.length > 0) {
      const columns = [...new Set(writes.increments.map((column) => column.name))];
      operations.push({ op: "select", table, where: target, columns });
    }
  }

  // Results.

  private outcome(
    results: Json,
    expect: readonly { readonly writes: RowWrites; readonly at: number }[],
    dryRun: boolean,
  ): Outcome {
    if (!isArray(results)) {
      return errorOutcome(results);
    }
    const failure = results.find((result) => isObject(result) && "error" in result && result["error"] !== null);
    if (failure !== undefined) {
      return dryRun && isObject(failure) && failure["error"] === "aborted"
        ? { status: "success", uuids: new Map(), increments: [] }
        : errorOutcome(failure);
    }
    const uuids = new Map<Uuid, Uuid>();
    const counters = new Map<RowWrites, number[]>();
    for (const { writes, at } of expect) {
      const first = results[at];
      if (writes.kind === "insert" && isObject(first) && isArray(first["uuid"])) {
        uuids.set(writes.uuid, first["uuid"][1] as Uuid);
      }
      if (writes.increments.length > 0) {
        const selected = results[at + (writes.kind === "insert" || writes.columns.size > 0 ? 2 : 1)];
        counters.set(writes, incremented(selected, writes.increments));
      }
    }
    const increments = this.counted.map((writes) => counters.get(writes)?.shift() ?? Number.NaN);
    return { status: "success", uuids, increments };
  }

  // Own changes.

  private noteReleased(table: ReplicaTable, uuid: Uuid, column: Column, datum: Datum): void {
    for (const key of referenced(table.datum(uuid, column), column)) {
      if (!hasKey(datum, key) && datum.values?.includes(key) !== true) {
        this.released.add(String(key));
      }
    }
  }

  private releaseAll(table: ReplicaTable, uuid: Uuid): void {
    for (const column of table.schema.strong) {
      for (const key of referenced(table.datum(uuid, column), column)) {
        this.released.add(String(key));
      }
    }
  }

  claim(change: RowChange): RowChange {
    switch (change.kind) {
      case "insert":
        return this.claimInsert(change);
      case "delete":
        return this.claimDelete(change);
      case "modify":
        return this.claimColumns(change, this.writes.get(`${change.table}/${change.uuid}`));
    }
  }

  private claimColumns(change: RowChange, writes: RowWrites | undefined): RowChange {
    if (writes === undefined) {
      return change;
    }
    const outside = new Set(change.outside);
    for (const name of change.outside) {
      const column = writes.table.schema.columns.get(name) as Column;
      const written = writes.columns.get(column);
      if (
        writes.mutated.has(name) ||
        (written !== undefined && this.matches(writes.table, change.uuid, column, written))
      ) {
        outside.delete(name);
      }
    }
    return { ...change, outside };
  }

  /** Whether a column now has what was written, references to inserted rows counting as equal. */
  private matches(table: ReplicaTable, uuid: Uuid, column: Column, written: Datum): boolean {
    const now = table.datum(uuid, column);
    if (now === undefined || column.type.key.refTable !== undefined || column.type.value?.refTable !== undefined) {
      return now !== undefined && (equalDatums(now, written) || now.keys.length === written.keys.length);
    }
    return equalDatums(now, written);
  }

  private claimInsert(change: RowChange): RowChange {
    // Rows mostly come back in the order in which they were inserted, so the first one left is tried first.
    const candidates = this.unclaimed.get(change.table) ?? this.insertsOf(change.table);
    for (const writes of candidates) {
      const claimed = this.claimColumns(change, writes);
      if (claimed.outside.size === 0) {
        candidates.delete(writes);
        return claimed;
      }
    }
    return change;
  }

  private insertsOf(table: string): Set<RowWrites> {
    const inserts = [...this.writes.values()].filter(
      (writes) => writes.kind === "insert" && writes.table.schema.name === table,
    );
    const candidates = new Set(inserts);
    this.unclaimed.set(table, candidates);
    return candidates;
  }

  private claimDelete(change: RowChange): RowChange {
    const table = this.host.replica.tables.get(change.table) as ReplicaTable;
    const ours = this.deletions.has(change.uuid) || (!table.schema.isRoot && this.released.has(change.uuid));
    if (!ours) {
      return change;
    }
    for (const column of table.schema.strong) {
      const value = (change.before as Record<string, unknown>)[column.name];
      const keys = value instanceof Map ? [...value.keys(), ...value.values()] : [value].flat();
      for (const key of keys) {
        this.released.add(String(key));
      }
    }
    return { ...change, outside: new Set() };
  }
}

function referenced(datum: Datum | undefined, column: Column): readonly Atom[] {
  if (datum === undefined) {
    return [];
  }
  return [
    ...(column.type.key.refTable === undefined ? [] : datum.keys),
    ...(column.type.value?.refTable === undefined ? [] : (datum.values ?? [])),
  ];
}

function whereUuid(uuid: Uuid): Json {
  return [["_uuid", "==", ["uuid", uuid]]];
}

function rowName(uuid: Uuid): string {
  return `row${uuid.replaceAll("-", "_")}`;
}

/** Values of the calls to `increment` on one row, which end at the value selected. */
function incremented(selected: Json | undefined, columns: readonly Column[]): number[] {
  const rows = isObject(selected) ? selected["rows"] : undefined;
  const row = isArray(rows) && isObject(rows[0]) ? rows[0] : {};
  return columns.map(
    (column, i) => Number(row[column.name]) - columns.slice(i + 1).filter((other) => other === column).length,
  );
}

function errorOutcome(error: Json): Outcome {
  const tag = isObject(error) ? String(error["error"]) : String(error);
  if (tag === "timed out") {
    return { status: "try_again" };
  }
  if (tag === "not owner") {
    return { status: "not_locked" };
  }
  if (tag === "aborted") {
    return { status: "aborted" };
  }
  return { status: "error", error: tag, details: isObject(error) ? String(error["details"] ?? "") : "" };
}
