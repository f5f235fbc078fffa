/** A database that is served: contents in memory, its file if it has one, and those who watch it. */
import * as fs from "node:fs";
import type { Clock } from "./clock.js";
import { systemClock } from "./clock.js";
import { datumJson, parseDatum } from "./datum.js";
import { OvsdbError } from "./error.js";
import type { ExecuteContext, Execution } from "./execute.js";
import { executeTransaction } from "./execute.js";
import type { Json, JsonObject } from "./json.js";
import { printSorted } from "./json.js";
import type { LockFile } from "./log-file.js";
import { LogFile, LogFileError } from "./log-file.js";
import { Replay, snapshotRecord, transactionRecord } from "./log-record.js";
import type { Column, Schema } from "./schema.js";
import { parseSchema, printSchema } from "./schema.js";
import type { Database, Row, Table } from "./table.js";
import { defaultRow, field, makeDatabase, withFields } from "./table.js";
import type { Effects } from "./transaction.js";
import { Transaction } from "./transaction.js";
import type { UuidSource } from "./uuid.js";
import { randomUuid } from "./uuid.js";

export interface StoreOptions {
  readonly uuids?: UuidSource;
  readonly clock?: Clock;
  /** Takes the lock of the file; without it, nothing keeps two programs from writing the same file. */
  readonly lockFile?: LockFile;
  readonly log?: (level: "warn" | "info", text: string) => void;
}

/** When a file is compacted on its own accord, as ovsdb-server does it. */
const compactBytesMin = 10 * 1024 * 1024;
const compactTransactionsMin = 100;
const compactMsMin = 10 * 60 * 1000;
const compactMsMax = 24 * 60 * 60 * 1000;

export type TransactResult =
  | { readonly kind: "blocked"; readonly timeoutMs: number }
  /** `durable` resolves when the transaction is on the disk; undefined when nobody asked for that. */
  | { readonly kind: "done"; readonly results: readonly Json[]; readonly durable: Promise<void> | undefined };

export class Store {
  private readonly watchers = new Set<(effects: Effects) => void>();
  private readonly uuids: UuidSource;
  private readonly clock: Clock;
  private readonly options: StoreOptions;
  private compactedAt: number;

  private constructor(
    private readonly database: Database,
    private file: LogFile | undefined,
    options: StoreOptions,
  ) {
    this.options = options;
    this.uuids = options.uuids ?? randomUuid;
    this.clock = options.clock ?? systemClock;
    this.compactedAt = this.clock.now();
  }

  /** A database that is gone when the process ends. */
  static memory(schema: JsonObject, options: StoreOptions = {}): Store {
    return new Store(makeDatabase(parseSchema(schema)), undefined, options);
  }

  /** Opens a database file, or makes it when it is missing.  A file with an older schema is converted, and a copy of it
   *  is kept beside it; one with a newer schema is served as it is.
   *  @throws LogFileError when the file cannot be used
   *  @throws OvsdbError when its contents violate the schema */
  static open(path: string, schema: JsonObject, options: StoreOptions = {}): Store {
    if (!fs.existsSync(path)) {
      return new Store(makeDatabase(parseSchema(schema)), LogFile.create(path, [schema], options.lockFile), options);
    }
    const { log, contents } = LogFile.open(path, options.lockFile);
    try {
      if (contents.damage !== undefined) {
        const lost = contents.totalBytes - contents.goodBytes;
        options.log?.(
          "warn",
          `${path}: ${contents.damage}; cut off the last ${lost} bytes, which no client was told of`,
        );
      }
      const database = replayed(contents.records, options.uuids ?? randomUuid);
      const store = new Store(database, log, options);
      store.upgrade(path, schema);
      return store;
    } catch (error) {
      log.close();
      throw error;
    }
  }

  private upgrade(path: string, schema: JsonObject): void {
    const wanted = parseSchema(schema);
    const found = this.database.schema;
    if (found.name !== wanted.name) {
      throw new LogFileError(
        "not-a-database",
        `${path} holds the database ${found.name}, not ${wanted.name}; give another file.`,
      );
    }
    if (olderVersion(found.version, wanted.version)) {
      const backup = `${path}.backup${found.version}-${found.cksum.split(" ")[0]}`;
      fs.copyFileSync(path, backup);
      this.options.log?.(
        "info",
        `${path}: converting schema ${found.version} to ${wanted.version}; backup in ${backup}`,
      );
      this.convert(wanted);
    }
  }

  get name(): string {
    return this.database.schema.name;
  }

  get schema(): Schema {
    return this.database.schema;
  }

  get schemaJson(): JsonObject {
    return printSchema(this.database.schema);
  }

  get tables(): ReadonlyMap<string, Table> {
    return this.database.tables;
  }

  /** Bytes in the file; 0 without one. */
  get fileBytes(): number {
    return this.file?.bytes ?? 0;
  }

  /** Calls back after each transaction that changed something.  Returns what takes the watcher away. */
  watch(watcher: (effects: Effects) => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  /** Carries out a `transact` request.
   *  @param params the database name, then operations */
  transact(params: readonly Json[], context: Partial<ExecuteContext> = {}): TransactResult {
    const execution = executeTransaction(this.database, params, {
      uuids: this.uuids,
      hasLock: () => false,
      elapsedMs: Infinity,
      ...context,
    });
    if (execution.kind === "blocked") {
      return execution;
    }
    if (execution.kind === "failed") {
      return { kind: "done", results: execution.results, durable: undefined };
    }
    return this.finish(execution);
  }

  private finish(execution: Extract<Execution, { kind: "prepared" }>): TransactResult {
    const { transaction, effects, results, comment } = execution;
    if (effects.size > 0) {
      try {
        const record = this.file && transactionRecord(effects, this.clock.wall(), comment);
        if (record !== undefined) {
          this.file?.append(record);
        }
      } catch (error) {
        transaction.abort();
        return { kind: "done", results: [...results, ioError(error)], durable: undefined };
      }
      transaction.commit();
      this.compactIfGrown();
      for (const watcher of this.watchers) {
        watcher(effects);
      }
    }
    const durable = execution.durable && this.file !== undefined ? this.file.sync() : undefined;
    return { kind: "done", results, durable };
  }

  private compactIfGrown(): void {
    const file = this.file;
    if (file === undefined || file.transactions < compactTransactionsMin) {
      return;
    }
    const age = this.clock.now() - this.compactedAt;
    const grown = file.bytes >= compactBytesMin && file.bytes >= 2 * file.baseBytes;
    if ((grown && age >= compactMsMin) || age >= compactMsMax) {
      try {
        this.compact();
      } catch (error) {
        this.compactedAt = this.clock.now();
        this.options.log?.("warn", `${file.path}: compacting failed: ${(error as Error).message}`);
      }
    }
  }

  /** Writes the file anew with nothing but the present contents.
   *  @throws LogFileError */
  compact(): void {
    this.compactedAt = this.clock.now();
    this.file?.replace([this.schemaJson, ...this.snapshot("compacting database online")]);
  }

  private snapshot(comment: string): JsonObject[] {
    const empty = [...this.database.tables.values()].every((table) => table.rows.size === 0);
    return empty ? [] : [snapshotRecord(this.database, this.clock.wall(), comment)];
  }

  /** Changes the schema.  Tables and columns that the new one lacks are dropped, those that it adds get defaults.
   *  @throws OvsdbError when the contents violate the new schema; nothing has changed then */
  convert(schema: Schema): void {
    const converted = convertedDatabase(this.database, schema, this.uuids);
    const before = { schema: this.database.schema, tables: this.database.tables };
    this.database.schema = converted.schema;
    this.database.tables = converted.tables;
    try {
      this.file?.replace([this.schemaJson, ...this.snapshot("converted by ovsdb-server")]);
    } catch (error) {
      this.database.schema = before.schema;
      this.database.tables = before.tables;
      throw error;
    }
  }

  /** Resolves when everything committed so far is on the disk. */
  async sync(): Promise<void> {
    await this.file?.sync();
  }

  close(): void {
    this.file?.close();
    this.file = undefined;
  }
}

function ioError(error: unknown): JsonObject {
  const code = error instanceof LogFileError ? error.details["errno"] : undefined;
  const json: JsonObject = { details: (error as Error).message, error: "I/O error" };
  return code === undefined ? json : { ...json, "io-error": ioErrorText[String(code)] ?? String(code) };
}

/** What the C library says of errors that writing meets. */
const ioErrorText: Readonly<Record<string, string>> = {
  EIO: "Input/output error",
  EBADF: "Bad file descriptor",
  EFBIG: "File too large",
  ENOSPC: "No space left on device",
  EROFS: "Read-only file system",
  EDQUOT: "Disk quota exceeded",
};

function replayed(records: readonly JsonObject[], uuids: UuidSource): Database {
  const [schema, ...transactions] = records;
  const database = makeDatabase(parseSchema(schema as JsonObject));
  const replay = new Replay(database);
  for (const record of transactions) {
    replay.apply(record);
  }
  replay.finish(uuids);
  return database;
}

/** Whether version `a` comes before `b`; a missing version comes first. */
export function olderVersion(a: string, b: string): boolean {
  const numbers = (version: string): number[] => version.split(".").map((part) => Number(part) || 0);
  const [x, y] = [numbers(a), numbers(b)];
  for (let i = 0; i < 3; i++) {
    if ((x[i] ?? 0) !== (y[i] ?? 0)) {
      return (x[i] ?? 0) < (y[i] ?? 0);
    }
  }
  return false;
}

function convertedRow(row: Row, from: Table, to: Table): Row {
  const changes: [Column, ReturnType<typeof parseDatum>][] = [];
  for (const column of to.schema.columnList) {
    const old = from.schema.columns.get(column.name);
    if (old !== undefined && column.name !== "_version") {
      changes.push([column, parseDatum(datumJson(field(row, old), old.type), column.type)]);
    }
  }
  return withFields(defaultRow(to.schema, row.uuid), changes);
}

function convertedDatabase(database: Database, schema: Schema, uuids: UuidSource): Database {
  const converted = makeDatabase(schema);
  const transaction = new Transaction(converted, uuids);
  for (const [name, to] of converted.tables) {
    const from = database.tables.get(name);
    for (const row of from?.rows.values() ?? []) {
      transaction.insert(to, convertedRow(row, from as Table, to));
    }
  }
  transaction.prepare();
  transaction.commit();
  return converted;
}

/** Whether two schemas are the same but for spelling. */
export function sameSchema(a: Schema, b: Schema): boolean {
  return printSorted(printSchema(a)) === printSorted(printSchema(b));
}

/** @throws OvsdbError when a request names another database than the one it is for */
export function checkName(store: Store, schema: Schema): void {
  if (schema.name !== store.name) {
    throw new OvsdbError(
      "invalid parameters",
      `new schema name (${schema.name}) does not match database name (${store.name})`,
    );
  }
}
