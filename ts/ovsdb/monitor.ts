/** Monitors: what a client is told of changes (RFC 7047 section 4.1.5, and the conditional forms of Open vSwitch). */
import type { Clause } from "./condition.js";
import { clauseHolds, parseCondition } from "./condition.js";
import { datumJson, difference, equalDatums } from "./datum.js";
import { OvsdbError, syntaxError } from "./error.js";
import type { Json, JsonObject } from "./json.js";
import { isArray } from "./json.js";
import { ObjectParser } from "./parser.js";
import type { Column, TableSchema } from "./schema.js";
import { parseColumnSet } from "./schema.js";
import type { Row, Table } from "./table.js";
import { field } from "./table.js";
import type { Effects } from "./transaction.js";
import type { Uuid } from "./uuid.js";
import { zeroUuid } from "./uuid.js";

/** 1: `monitor`, whole rows.  2: `monitor_cond`, differences.  3: `monitor_cond_since`, with transaction ids. */
export type MonitorVersion = 1 | 2 | 3;

type Kind = "initial" | "insert" | "delete" | "modify";
const kinds: readonly Kind[] = ["initial", "insert", "delete", "modify"];

interface MonitoredColumn {
  readonly column: Column;
  readonly select: ReadonlySet<Kind>;
}

interface MonitoredTable {
  readonly table: Table;
  readonly columns: readonly MonitoredColumn[];
  /** Kinds that any of its columns is told of. */
  readonly select: ReadonlySet<Kind>;
  /** Rows for which any clause holds are seen; an empty condition sees all. */
  condition: readonly Clause[];
}

interface PendingRow {
  readonly before: Row | undefined;
  readonly after: Row | undefined;
}

function parseSelect(json: JsonObject | undefined, tableName: string): ReadonlySet<Kind> {
  if (json === undefined) {
    return new Set(kinds);
  }
  const parser = new ObjectParser(json, `table ${tableName} select`);
  const chosen = kinds.filter((kind) => parser.optional(kind, "boolean") ?? true);
  parser.finish();
  return new Set(chosen);
}

function parseTableRequests(table: Table, json: Json, version: MonitorVersion): MonitoredTable {
  const schema = table.schema;
  const columns: MonitoredColumn[] = [];
  const condition: Clause[] = [];
  const select = new Set<Kind>();
  for (const request of isArray(json) ? json : [json]) {
    const parser = new ObjectParser(request, `table ${schema.name}`);
    const where = version === 1 ? undefined : parser.optional("where", "array", "boolean");
    const columnsJson = parser.optional("columns", "array");
    const selectJson = parser.optional("select", "object");
    parser.finish();
    condition.push(...parseWhere(where, schema));
    const chosen = parseSelect(selectJson, schema.name);
    for (const kind of chosen) {
      select.add(kind);
    }
    const named = parseColumnSet(columnsJson, schema);
    for (const column of columnsJson === undefined ? named.filter((c) => c.name !== "_uuid") : named) {
      if (columns.some((other) => other.column === column)) {
        throw syntaxError(columnsJson ?? null, `column ${column.name} mentioned more than once`);
      }
      columns.push({ column, select: chosen });
    }
  }
  return { table, columns, select, condition };
}

function parseWhere(where: readonly Json[] | boolean | undefined, schema: TableSchema): readonly Clause[] {
  return where === undefined ? [] : parseCondition(typeof where === "boolean" ? [where] : where, schema);
}

function sees(condition: readonly Clause[], row: Row | undefined): boolean {
  return row !== undefined && (condition.length === 0 || condition.some((clause) => clauseHolds(clause, row)));
}

export class Monitor {
  private readonly tables = new Map<string, MonitoredTable>();
  /** Changes not yet told of, by table and row.  Several changes of a row become one, so that a client which does not
   *  read costs no more than the contents of the database. */
  private pending = new Map<MonitoredTable, Map<Uuid, PendingRow>>();

  /** @param requests the `<monitor-requests>` object
   *  @throws OvsdbError */
  constructor(
    public id: Json,
    readonly version: MonitorVersion,
    tables: ReadonlyMap<string, Table>,
    requests: JsonObject,
  ) {
    for (const [name, json] of Object.entries(requests)) {
      const table = tables.get(name);
      if (table === undefined) {
        throw new OvsdbError("syntax error", `no table named ${name}`);
      }
      this.tables.set(name, parseTableRequests(table, json, version));
    }
  }

  /** The present contents, as the reply to the request that makes a monitor. */
  initial(): Json {
    const updates: Record<string, JsonObject> = {};
    for (const [name, monitored] of this.tables) {
      if (monitored.select.has("initial")) {
        const rows: [Uuid, JsonObject][] = [];
        for (const row of monitored.table.rows.values()) {
          if (sees(monitored.condition, row)) {
            rows.push([row.uuid, this.rowUpdate(monitored, "initial", undefined, row) as JsonObject]);
          }
        }
        if (rows.length > 0) {
          updates[name] = Object.fromEntries(rows);
        }
      }
    }
    // A standalone database keeps no history, so there is never a point to go on from.
    return this.version === 3 ? [false, zeroUuid, updates] : updates;
  }

  /** Takes note of what a transaction did. */
  record(effects: Effects): void {
    for (const monitored of this.tables.values()) {
      const rows = effects.get(monitored.table);
      if (rows === undefined) {
        continue;
      }
      let pending = this.pending.get(monitored);
      if (pending === undefined) {
        pending = new Map();
        this.pending.set(monitored, pending);
      }
      for (const [uuid, effect] of rows) {
        const earlier = pending.get(uuid);
        const before = earlier === undefined ? effect.before : earlier.before;
        if (before === undefined && effect.after === undefined) {
          pending.delete(uuid);
        } else {
          pending.set(uuid, { before, after: effect.after });
        }
      }
    }
  }

  /** What is to be told now, and is considered told then; undefined when nothing is. */
  takeUpdate(): JsonObject | undefined {
    const updates: Record<string, JsonObject> = {};
    for (const [monitored, rows] of this.pending) {
      const json: [Uuid, Json][] = [];
      for (const [uuid, { before, after }] of rows) {
        const old = sees(monitored.condition, before) ? before : undefined;
        const now = sees(monitored.condition, after) ? after : undefined;
        this.addUpdate(json, monitored, uuid, old, now);
      }
      if (json.length > 0) {
        updates[monitored.table.schema.name] = Object.fromEntries(json);
      }
    }
    this.pending = new Map();
    return this.notification(updates);
  }

  private addUpdate(
    json: [Uuid, Json][],
    monitored: MonitoredTable,
    uuid: Uuid,
    old: Row | undefined,
    now: Row | undefined,
  ): void {
    const kind: Kind | undefined =
      old === undefined ? (now === undefined ? undefined : "insert") : now === undefined ? "delete" : "modify";
    if (kind !== undefined && monitored.select.has(kind)) {
      const update = this.rowUpdate(monitored, kind, old, now);
      if (update !== undefined) {
        json.push([uuid, update]);
      }
    }
  }

  private notification(updates: Record<string, JsonObject>): JsonObject | undefined {
    if (Object.keys(updates).length === 0) {
      return undefined;
    }
    switch (this.version) {
      case 1:
        return { id: null, method: "update", params: [this.id, updates] };
      case 2:
        return { id: null, method: "update2", params: [this.id, updates] };
      case 3:
        return { id: null, method: "update3", params: [this.id, zeroUuid, updates] };
    }
  }

  private rowUpdate(
    monitored: MonitoredTable,
    kind: Kind,
    old: Row | undefined,
    now: Row | undefined,
  ): JsonObject | undefined {
    return this.version === 1 ? wholeRowUpdate(monitored, kind, old, now) : differenceUpdate(monitored, kind, old, now);
  }

  /** Changes conditions and the id.
   *  @param requests by table, arrays of `{"where": [...]}`
   *  @returns the notification that shows what came into and went out of sight
   *  @throws OvsdbError when `requests` is wrong; nothing has changed then */
  changeConditions(id: Json, requests: JsonObject): JsonObject | undefined {
    const conditions: [MonitoredTable, readonly Clause[]][] = [];
    for (const [name, json] of Object.entries(requests)) {
      conditions.push([this.monitoredTable(name), this.parseChange(name, json)]);
    }
    this.id = id;
    const updates: Record<string, JsonObject> = {};
    for (const [monitored, condition] of conditions) {
      const json: [Uuid, Json][] = [];
      for (const row of monitored.table.rows.values()) {
        const old = sees(monitored.condition, row) ? row : undefined;
        const now = sees(condition, row) ? row : undefined;
        if (old !== now) {
          this.addUpdate(json, monitored, row.uuid, old, now);
        }
      }
      monitored.condition = condition;
      if (json.length > 0) {
        updates[monitored.table.schema.name] = Object.fromEntries(json);
      }
    }
    return this.notification(updates);
  }

  private monitoredTable(name: string): MonitoredTable {
    const monitored = this.tables.get(name);
    if (monitored === undefined) {
      throw new OvsdbError("syntax error", `no table named ${name}`);
    }
    return monitored;
  }

  private parseChange(name: string, json: Json): readonly Clause[] {
    if (!isArray(json)) {
      throw new OvsdbError("syntax error", `table ${name} no monitor-cond-change JSON array`);
    }
    return json.flatMap((request) => {
      const parser = new ObjectParser(request, `table ${name}`);
      const where = parser.optional("where", "array", "boolean");
      parser.optional("columns", "array");
      parser.finish();
      return parseWhere(where, this.monitoredTable(name).table.schema);
    });
  }
}

/** Whether any monitored column changed.  One whose modifications are not selected counts too, as with ovsdb-server. */
function changesMonitored({ columns }: MonitoredTable, before: Row, after: Row): boolean {
  return columns.some(({ column }) => !equalDatums(field(before, column), field(after, column)));
}

/** RFC 7047 `<row-update>`: `old` and `new` rows. */
function wholeRowUpdate(
  monitored: MonitoredTable,
  kind: Kind,
  before: Row | undefined,
  after: Row | undefined,
): JsonObject | undefined {
  const old: Record<string, Json> = {};
  const now: Record<string, Json> = {};
  if (kind === "modify" && !changesMonitored(monitored, before as Row, after as Row)) {
    return undefined;
  }
  for (const { column, select } of monitored.columns) {
    if (!select.has(kind)) {
      continue;
    }
    const was = before && field(before, column);
    const is = after && field(after, column);
    if (was !== undefined && (is === undefined || !equalDatums(was, is))) {
      old[column.name] = datumJson(was, column.type);
    }
    if (is !== undefined) {
      now[column.name] = datumJson(is, column.type);
    }
  }
  return {
    ...(kind === "modify" || kind === "delete" ? { old } : {}),
    ...(kind === "delete" ? {} : { new: now }),
  };
}

/** The `<row-update2>` of Open vSwitch: defaults are left out of rows, and modifications are differences. */
function differenceUpdate(
  monitored: MonitoredTable,
  kind: Kind,
  before: Row | undefined,
  after: Row | undefined,
): JsonObject | undefined {
  if (kind === "delete") {
    return { delete: null };
  }
  if (kind === "modify" && !changesMonitored(monitored, before as Row, after as Row)) {
    return undefined;
  }
  const row: Record<string, Json> = {};
  for (const { column, select } of monitored.columns) {
    if (!select.has(kind)) {
      continue;
    }
    const is = field(after as Row, column);
    const was = kind === "modify" ? field(before as Row, column) : column.default;
    if (!equalDatums(was, is)) {
      row[column.name] = datumJson(kind === "modify" ? difference(was, is, column.type) : is, column.type);
    }
  }
  return { [kind]: row };
}
