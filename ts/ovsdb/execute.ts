/** The operations of a `transact` request (RFC 7047 section 5.2), carried out on a database in memory. */
import { compareRows, matchingRows, parseCondition } from "./condition.js";
import type { Datum, SymbolTable } from "./datum.js";
import { checkAtom, parseDatum } from "./datum.js";
import { OvsdbError, syntaxError } from "./error.js";
import type { Json, JsonObject } from "./json.js";
import { isArray, isObject } from "./json.js";
import { mutate, parseMutations } from "./mutation.js";
import { ObjectParser } from "./parser.js";
import type { Column, TableSchema } from "./schema.js";
import { parseColumnSet } from "./schema.js";
import type { Database, Row, Table } from "./table.js";
import { defaultRow, field, rowJson, rowKey, withFields } from "./table.js";
import type { Effects } from "./transaction.js";
import { Transaction } from "./transaction.js";
import type { Uuid, UuidSource } from "./uuid.js";
import { isUuid, zeroUuid } from "./uuid.js";

/** What the operations need to know of who asks. */
export interface ExecuteContext {
  readonly uuids: UuidSource;
  readonly hasLock: (name: string) => boolean;
  /** Milliseconds since the request came, which `wait` compares with its timeout. */
  readonly elapsedMs: number;
  /** Refuses every change, for the database that describes the server. */
  readonly readOnly?: boolean;
}

export type Execution =
  /** A `wait` does not hold yet; nothing has been done.  `timeoutMs` counts from the request, Infinity for ever. */
  | { readonly kind: "blocked"; readonly timeoutMs: number }
  | { readonly kind: "failed"; readonly results: readonly Json[] }
  /** Everything succeeded; the caller commits or aborts `transaction`. */
  | {
      readonly kind: "prepared";
      readonly results: readonly Json[];
      readonly transaction: Transaction;
      readonly effects: Effects;
      readonly durable: boolean;
      readonly comment: string;
    };

/** Thrown inside to say that a `wait` must be tried again later. */
class Blocked extends Error {}

interface State {
  readonly context: ExecuteContext;
  readonly database: Database;
  readonly transaction: Transaction;
  readonly symbols: Map<string, { readonly uuid: Uuid; created: boolean }>;
  readonly resolve: SymbolTable;
  readonly comments: string[];
  durable: boolean;
  timeoutMs: number;
}

function parseTable(state: State, parser: ObjectParser): Table {
  const name = parser.required("table", "id");
  const table = state.transaction.table(name);
  if (table === undefined) {
    parser.fail(`No table named ${name}.`);
  }
  return table;
}

function parseRow(json: JsonObject, table: TableSchema, symbols: SymbolTable): readonly (readonly [Column, Datum])[] {
  return Object.entries(json).map(([name, value]) => {
    const column = table.columns.get(name);
    if (column === undefined) {
      throw syntaxError(json, `No column ${name} in table ${table.name}.`, "unknown column");
    }
    return [column, parseDatum(value, column.type, symbols)] as const;
  });
}

/** A row's own id and version are not for clients to choose. */
function ownColumns([column]: readonly [Column, Datum]): boolean {
  return !column.name.startsWith("_");
}

function checkDefaults(table: Table, given: ReadonlySet<Column>): void {
  for (const column of table.schema.columnList) {
    if (column.type.min === 1 && !given.has(column)) {
      const { keys, values } = column.default;
      checkAtom(keys[0] as string, column.type.key);
      if (column.type.value !== undefined) {
        checkAtom(values?.[0] as string, column.type.value);
      }
    }
  }
}

function insertedUuid(state: State, table: Table, given: string | undefined, name: string | undefined): Uuid {
  let uuid = state.context.uuids();
  if (given !== undefined) {
    if (!isUuid(given)) {
      throw syntaxError(given, "bad uuid");
    }
    uuid = given.toLowerCase();
    if (table.rows.has(uuid) || state.transaction.touches(table, uuid)) {
      const text =
        "This UUID would duplicate a UUID already present within the table or deleted within the same transaction.";
      throw syntaxError(given, text, "duplicate uuid");
    }
  }
  if (name === undefined) {
    return uuid;
  }
  const symbol = state.symbols.get(name);
  if (symbol?.created === true) {
    const text = 'This "uuid-name" appeared on an earlier "insert" operation.';
    throw syntaxError(name, text, "duplicate uuid-name");
  }
  if (symbol === undefined) {
    state.symbols.set(name, { uuid, created: true });
    return uuid;
  }
  symbol.created = true;
  return symbol.uuid;
}

function insert(state: State, parser: ObjectParser): JsonObject {
  const table = parseTable(state, parser);
  const name = parser.optional("uuid-name", "id");
  const given = parser.optional("uuid", "string");
  const json = parser.required("row", "object");
  parser.finish();
  const uuid = insertedUuid(state, table, given, name);
  const values = parseRow(json, table.schema, state.resolve);
  checkDefaults(table, new Set(values.map(([column]) => column)));
  state.transaction.insert(table, withFields(defaultRow(table.schema, uuid), values.filter(ownColumns)));
  return { uuid: ["uuid", uuid] };
}

function select(state: State, parser: ObjectParser): JsonObject {
  const table = parseTable(state, parser);
  const where = parser.required("where", "array");
  const columnsJson = parser.optional("columns", "array");
  const sortJson = parser.optional("sort", "array");
  parser.finish();
  const condition = parseCondition(where, table.schema, state.resolve);
  const columns = parseColumnSet(columnsJson, table.schema);
  const sort = sortJson === undefined ? columns : parseColumnSet(sortJson, table.schema);
  const distinct = new Map<string, Row>();
  for (const row of matchingRows(table, condition)) {
    distinct.set(rowKey(row, columns), row);
  }
  const rows = [...distinct.values()].sort((a, b) => compareRows(a, b, sort));
  return { rows: rows.map((row) => rowJson(row, columns)) };
}

function update(state: State, parser: ObjectParser, operation: Json): JsonObject {
  const table = parseTable(state, parser);
  const where = parser.required("where", "array");
  const json = parser.required("row", "object");
  parser.finish();
  const values = parseRow(json, table.schema, state.resolve);
  for (const [column] of values) {
    if (!column.mutable) {
      const text = `Cannot update immutable column ${column.name} in table ${table.schema.name}.`;
      throw syntaxError(operation, text, "constraint violation");
    }
  }
  const rows = matchingRows(table, parseCondition(where, table.schema, state.resolve));
  for (const row of rows) {
    state.transaction.replace(table, withFields(row, values));
  }
  return { count: rows.length };
}

function mutateRows(state: State, parser: ObjectParser): JsonObject {
  const table = parseTable(state, parser);
  const where = parser.required("where", "array");
  const json = parser.required("mutations", "array");
  parser.finish();
  const mutations = parseMutations(json, table.schema, state.resolve);
  const rows = matchingRows(table, parseCondition(where, table.schema, state.resolve));
  for (const row of rows) {
    let mutated = row;
    for (const mutation of mutations) {
      mutated = withFields(mutated, [[mutation.column, mutate(mutation, field(mutated, mutation.column))]]);
    }
    state.transaction.replace(table, mutated);
  }
  return { count: rows.length };
}

function deleteRows(state: State, parser: ObjectParser): JsonObject {
  const table = parseTable(state, parser);
  const where = parser.required("where", "array");
  parser.finish();
  const rows = matchingRows(table, parseCondition(where, table.schema, state.resolve));
  for (const row of rows) {
    state.transaction.delete(table, row.uuid);
  }
  return { count: rows.length };
}

function wait(state: State, parser: ObjectParser): JsonObject {
  const table = parseTable(state, parser);
  const timeout = parser.optional("timeout", "number");
  const where = parser.required("where", "array");
  const columnsJson = parser.optional("columns", "array");
  const until = parser.required("until", "string");
  const rowsJson = parser.required("rows", "array");
  parser.finish();
  const condition = parseCondition(where, table.schema, state.resolve);
  const columns = parseColumnSet(columnsJson, table.schema);
  if (timeout !== undefined && timeout < 0) {
    throw syntaxError(timeout, "timeout must be nonnegative");
  }
  if (until !== "==" && until !== "!=") {
    throw syntaxError(until, '"until" must be "==" or "!="');
  }
  const compared = columnsJson === undefined ? columns.filter((column) => !column.name.startsWith("_")) : columns;
  const expected = new Set<string>();
  for (const json of rowsJson) {
    if (!isObject(json)) {
      throw syntaxError(json, "row must be JSON object");
    }
    const row = withFields(defaultRow(table.schema, zeroUuid), parseRow(json, table.schema, state.resolve));
    expected.add(rowKey(row, compared));
  }
  const actual = new Set(matchingRows(table, condition).map((row) => rowKey(row, compared)));
  const equal = expected.size === actual.size && [...expected].every((key) => actual.has(key));
  if (equal === (until === "==")) {
    return {};
  }
  const timeoutMs = timeout === undefined ? Infinity : Math.trunc(Number(timeout));
  const elapsed = state.context.elapsedMs;
  if (elapsed < timeoutMs) {
    state.timeoutMs = Math.min(state.timeoutMs, timeoutMs);
    throw new Blocked();
  }
  throw new OvsdbError(
    "timed out",
    elapsed > 0 && timeoutMs > 0 ? `"wait" timed out after ${Math.trunc(elapsed)} ms` : '"where" clause test failed',
  );
}

function commit(state: State, parser: ObjectParser): JsonObject {
  const durable = parser.required("durable", "boolean");
  parser.finish();
  state.durable ||= durable;
  return {};
}

function comment(state: State, parser: ObjectParser): JsonObject {
  const text = parser.required("comment", "string");
  parser.finish();
  state.comments.push(text);
  return {};
}

function assertLock(state: State, parser: ObjectParser): JsonObject {
  const name = parser.required("lock", "id");
  parser.finish();
  if (!state.context.hasLock(name)) {
    throw new OvsdbError("not owner", `Asserted lock ${name} not held.`);
  }
  return {};
}

const changing = new Set(["insert", "update", "mutate", "delete"]);

function execute(state: State, operation: Json, name: string): JsonObject {
  const parser = new ObjectParser(operation, name);
  const op = parser.required("op", "id");
  if (state.context.readOnly === true && changing.has(op)) {
    throw new OvsdbError(
      "not allowed",
      `${op} operation not allowed on table in reserved database ${state.database.schema.name}`,
    );
  }
  switch (op) {
    case "insert":
      return insert(state, parser);
    case "select":
      return select(state, parser);
    case "update":
      return update(state, parser, operation);
    case "mutate":
      return mutateRows(state, parser);
    case "delete":
      return deleteRows(state, parser);
    case "wait":
      return wait(state, parser);
    case "commit":
      return commit(state, parser);
    case "abort":
      parser.finish();
      throw new OvsdbError("aborted", "aborted by request");
    case "comment":
      return comment(state, parser);
    case "assert":
      return assertLock(state, parser);
    default:
      return parser.fail(`No operation "${op}"`);
  }
}

function makeState(database: Database, context: ExecuteContext): State {
  const symbols: State["symbols"] = new Map();
  return {
    context,
    database,
    transaction: new Transaction(database, context.uuids),
    symbols,
    resolve: (name) => {
      const symbol = symbols.get(name) ?? { uuid: context.uuids(), created: false };
      symbols.set(name, symbol);
      return symbol.uuid;
    },
    comments: [],
    durable: false,
    timeoutMs: Infinity,
  };
}

/** Carries out the operations of a `transact` request.
 *  @param params the request's params: the database name, then operations */
export function executeTransaction(database: Database, params: readonly Json[], context: ExecuteContext): Execution {
  const state = makeState(database, context);
  const operations = params.slice(1);
  const results: Json[] = [];
  try {
    operations.forEach((operation, i) => {
      results.push(execute(state, operation, `ovsdb operation ${i + 1} of ${operations.length}`));
    });
    const effects = state.transaction.prepare();
    const { transaction, durable } = state;
    return { kind: "prepared", results, transaction, effects, durable, comment: state.comments.join("\n") };
  } catch (error) {
    state.transaction.abort();
    if (error instanceof Blocked) {
      return { kind: "blocked", timeoutMs: state.timeoutMs };
    }
    if (!(error instanceof OvsdbError)) {
      throw error;
    }
    results.push(error.toJson());
    while (results.length < operations.length) {
      results.push(null);
    }
    return { kind: "failed", results };
  }
}

/** Whether the params of a `transact` request begin with a database name. */
export function namesDatabase(params: Json): params is readonly [string, ...Json[]] {
  return isArray(params) && typeof params[0] === "string";
}
