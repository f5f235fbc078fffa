/** One transaction on a database in memory: changes take effect at once, and are taken back unless it commits. */
import type { Atom } from "./column-type.js";
import type { Datum } from "./datum.js";
import { datumText, equalDatums, filterDatum } from "./datum.js";
import { OvsdbError } from "./error.js";
import type { Column } from "./schema.js";
import { versionColumnIndex } from "./schema.js";
import type { Database, Row, Table } from "./table.js";
import { field, rowKey, uuidDatum, withFields } from "./table.js";
import type { Uuid, UuidSource } from "./uuid.js";
import { zeroUuid } from "./uuid.js";

/** What a transaction did to one row: inserted (no `before`), deleted (no `after`), or modified. */
export interface RowEffect {
  readonly table: Table;
  readonly before: Row | undefined;
  readonly after: Row | undefined;
}

/** Effects by table and row. */
export type Effects = ReadonlyMap<Table, ReadonlyMap<Uuid, RowEffect>>;

/** The uuids that a datum refers to, strongly or weakly, with the table they are in. */
function* references(datum: Datum, column: Column, weak: boolean): Generator<readonly [string, Uuid]> {
  const { key, value } = column.type;
  if (key.refTable !== undefined && key.weak === weak) {
    for (const uuid of datum.keys) {
      yield [key.refTable, uuid as Uuid];
    }
  }
  if (value?.refTable !== undefined && value.weak === weak) {
    for (const uuid of datum.values ?? []) {
      yield [value.refTable, uuid as Uuid];
    }
  }
}

export class Transaction {
  private readonly touched = new Map<Table, Map<Uuid, RowEffect>>();
  /** Changes of the number of strong references, found by `prepare`. */
  private readonly refDeltas = new Map<Table, Map<Uuid, number>>();

  constructor(
    private readonly database: Database,
    private readonly uuids: UuidSource,
  ) {}

  table(name: string): Table | undefined {
    return this.database.tables.get(name);
  }

  /** Whether this transaction inserted, changed or deleted the row. */
  touches(table: Table, uuid: Uuid): boolean {
    return this.touched.get(table)?.has(uuid) === true;
  }

  private put(table: Table, uuid: Uuid, after: Row | undefined): void {
    let effects = this.touched.get(table);
    if (effects === undefined) {
      effects = new Map();
      this.touched.set(table, effects);
    }
    const earlier = effects.get(uuid);
    const before = earlier === undefined ? table.rows.get(uuid) : earlier.before;
    if (before === undefined && after === undefined) {
      effects.delete(uuid);
    } else {
      effects.set(uuid, { table, before, after });
    }
    if (after === undefined) {
      table.rows.delete(uuid);
    } else {
      table.rows.set(uuid, after);
    }
  }

  insert(table: Table, row: Row): void {
    this.put(table, row.uuid, row);
  }

  replace(table: Table, row: Row): void {
    this.put(table, row.uuid, row);
  }

  delete(table: Table, uuid: Uuid): void {
    this.put(table, uuid, undefined);
  }

  /** Takes everything back. */
  abort(): void {
    for (const [table, effects] of this.touched) {
      for (const [uuid, effect] of effects) {
        if (effect.before === undefined) {
          table.rows.delete(uuid);
        } else {
          table.rows.set(uuid, effect.before);
        }
      }
    }
    this.touched.clear();
    this.refDeltas.clear();
  }

  private *effects(): Generator<RowEffect> {
    for (const effects of this.touched.values()) {
      yield* effects.values();
    }
  }

  /** Carries out what the schema implies (garbage collection, weak references), and checks what it demands.
   *  @throws OvsdbError when the transaction cannot commit; it is still to be aborted then
   *  @returns what the transaction did, empty when it changed nothing */
  prepare(): Effects {
    this.dropUnchanged();
    this.countReferences();
    this.checkDeleted();
    this.collectGarbage();
    this.checkRowCounts();
    this.dropDeadWeakReferences();
    this.dropUnchanged();
    this.checkIndexes();
    for (const effect of [...this.effects()]) {
      if (effect.after !== undefined) {
        const fields = [...effect.after.fields];
        fields[versionColumnIndex] = uuidDatum(this.uuids());
        this.put(effect.table, effect.after.uuid, { uuid: effect.after.uuid, fields });
      }
    }
    return this.touched;
  }

  private dropUnchanged(): void {
    for (const [table, effects] of this.touched) {
      for (const [uuid, { before, after }] of effects) {
        if (
          before !== undefined &&
          after !== undefined &&
          before.fields.every((datum, i) => equalDatums(datum, after.fields[i] as Datum))
        ) {
          table.rows.set(uuid, before);
          effects.delete(uuid);
        }
      }
      if (effects.size === 0) {
        this.touched.delete(table);
      }
    }
  }

  private addReferences(row: Row, table: Table, delta: 1 | -1): void {
    for (const column of table.schema.strong) {
      for (const [tableName, uuid] of references(field(row, column), column, false)) {
        if (uuid === row.uuid) {
          continue; // A row cannot keep itself alive.
        }
        const target = this.table(tableName) as Table;
        if (delta > 0 && !target.rows.has(uuid) && !this.touches(target, uuid)) {
          throw new OvsdbError(
            "referential integrity violation",
            `Table ${table.schema.name} column ${column.name} row ${row.uuid} references nonexistent row ${uuid} in table ${tableName}.`,
          );
        }
        let deltas = this.refDeltas.get(target);
        if (deltas === undefined) {
          deltas = new Map();
          this.refDeltas.set(target, deltas);
        }
        deltas.set(uuid, (deltas.get(uuid) ?? 0) + delta);
      }
    }
  }

  private countReferences(): void {
    for (const effect of this.effects()) {
      if (effect.before !== undefined) {
        this.addReferences(effect.before, effect.table, -1);
      }
      if (effect.after !== undefined) {
        this.addReferences(effect.after, effect.table, 1);
      }
    }
  }

  private referenceCount(table: Table, uuid: Uuid): number {
    return (table.strongRefs.get(uuid) ?? 0) + (this.refDeltas.get(table)?.get(uuid) ?? 0);
  }

  private checkDeleted(): void {
    for (const { table, before, after } of this.effects()) {
      if (before !== undefined && after === undefined) {
        const count = this.referenceCount(table, before.uuid);
        if (count > 0) {
          throw new OvsdbError(
            "referential integrity violation",
            `cannot delete ${table.schema.name} row ${before.uuid} because of ${count} remaining reference(s)`,
          );
        }
      }
    }
  }

  private collectGarbage(): void {
    const candidates: (readonly [Table, Uuid])[] = [];
    for (const { table, after } of this.effects()) {
      if (after !== undefined) {
        candidates.push([table, after.uuid]);
      }
    }
    for (const [table, deltas] of this.refDeltas) {
      for (const [uuid, delta] of deltas) {
        if (delta < 0) {
          candidates.push([table, uuid]);
        }
      }
    }
    for (let next = candidates.pop(); next !== undefined; next = candidates.pop()) {
      const [table, uuid] = next;
      const row = table.rows.get(uuid);
      if (row === undefined || table.schema.isRoot || this.referenceCount(table, uuid) > 0) {
        continue;
      }
      this.addReferences(row, table, -1);
      this.delete(table, uuid);
      for (const column of table.schema.strong) {
        for (const [tableName, target] of references(field(row, column), column, false)) {
          candidates.push([this.table(tableName) as Table, target]);
        }
      }
    }
  }

  private checkRowCounts(): void {
    for (const { schema, rows } of this.touched.keys()) {
      if (rows.size > schema.maxRows) {
        throw new OvsdbError(
          "constraint violation",
          `transaction causes "${schema.name}" table to contain ${rows.size} rows, greater than the schema-defined limit of ${schema.maxRows} row(s)`,
        );
      }
    }
  }

  /** Rows whose weak references must be looked at: those changed, and those that refer to a row deleted. */
  private weakSources(): Map<Uuid, Table> {
    const sources = new Map<Uuid, Table>();
    for (const { table, before, after } of this.effects()) {
      if (after !== undefined) {
        if (table.schema.weak.length > 0) {
          sources.set(after.uuid, table);
        }
      } else if (before !== undefined) {
        for (const [uuid, source] of table.weakRefs.get(before.uuid) ?? []) {
          sources.set(uuid, source);
        }
      }
    }
    return sources;
  }

  private dropDeadWeakReferences(): void {
    for (const [uuid, table] of this.weakSources()) {
      const row = table.rows.get(uuid);
      if (row === undefined) {
        continue;
      }
      const changes: [Column, Datum][] = [];
      for (const column of table.schema.weak) {
        const live = this.withoutDead(table, row, column);
        if (live !== undefined) {
          changes.push([column, live]);
        }
      }
      if (changes.length > 0) {
        this.replace(table, withFields(row, changes));
      }
    }
  }

  private withoutDead(table: Table, row: Row, column: Column): Datum | undefined {
    const { key, value, min } = column.type;
    const exists = (tableName: string, uuid: Atom | undefined): boolean =>
      this.table(tableName)?.rows.has(uuid as Uuid) === true;
    let zero = false;
    const datum = field(row, column);
    const live = filterDatum(datum, (k, v) => {
      const dead =
        (key.weak === true && !exists(key.refTable as string, k)) ||
        (value?.weak === true && !exists(value.refTable as string, v));
      zero ||= dead && (key.weak === true ? k : v) === zeroUuid;
      return !dead;
    });
    if (live === datum) {
      return undefined;
    }
    if (live.keys.length < min) {
      throw this.tooFewWeakReferences(table, row, column, datum.keys.length - live.keys.length, zero);
    }
    return live;
  }

  private tooFewWeakReferences(table: Table, row: Row, column: Column, dead: number, zero: boolean): OvsdbError {
    const inserted = this.touched.get(table)?.get(row.uuid)?.before === undefined && this.touches(table, row.uuid);
    const modified = !inserted && this.touches(table, row.uuid);
    const origin = inserted
      ? " (inserted within this transaction)"
      : modified
        ? " (modified within this transaction)"
        : "";
    const where = `column "${column.name}" in "${table.schema.name}" row ${row.uuid}${origin}`;
    // The misspelling is what clients have always been told.
    return new OvsdbError(
      "constraint violation",
      zero
        ? `Weak reference ${where} contained all-zeros UUID (probably as the default value for this column) but deleting this value caused a constraint volation because this column is not allowed to be empty.`
        : `Deletion of ${dead} weak reference(s) to deleted (or never-existing) rows from ${where} caused this column to become empty, but constraints on this column disallow an empty column.`,
    );
  }

  private checkIndexes(): void {
    for (const [table, effects] of this.touched) {
      const seen = table.schema.indexes.map(() => new Map<string, Row>());
      for (const { after } of effects.values()) {
        table.schema.indexes.forEach((columns, i) => {
          if (after !== undefined) {
            this.checkKey(table, columns, i, after, seen[i] as Map<string, Row>);
          }
        });
      }
    }
  }

  private checkKey(table: Table, columns: readonly Column[], i: number, row: Row, seen: Map<string, Row>): void {
    const key = rowKey(row, columns);
    const stored = table.indexes[i]?.get(key);
    const untouched = stored !== undefined && !this.touches(table, stored) ? table.rows.get(stored) : undefined;
    const other = seen.get(key) ?? untouched;
    if (other !== undefined) {
      throw this.duplicateKey(table, columns, other, row);
    }
    seen.set(key, row);
  }

  private duplicateKey(table: Table, columns: readonly Column[], first: Row, second: Row): OvsdbError {
    const values = (row: Row): string =>
      columns.map((column) => datumText(field(row, column), column.type)).join(" and ");
    const origin = (row: Row): string => {
      const effect = this.touched.get(table)?.get(row.uuid);
      if (effect === undefined) {
        return "existed in the database before this transaction and was not modified by the transaction";
      }
      const before = effect.before;
      if (before === undefined) {
        return "was inserted by this transaction";
      }
      return columns.every((column) => equalDatums(field(before, column), field(row, column)))
        ? "existed in the database before this transaction, which modified some of the row's columns but not any columns in this index"
        : `had the following index values before the transaction: ${values(before)}`;
    };
    const names = columns.map((column) => `"${column.name}"`);
    const last = names.pop() as string;
    const list = names.length === 0 ? last : `${names.join(", ")}${names.length > 1 ? "," : ""} and ${last}`;
    return new OvsdbError(
      "constraint violation",
      `Transaction causes multiple rows in "${table.schema.name}" table to have identical values (${values(first)}) for index on column${names.length === 0 ? "" : "s"} ${list}.  ` +
        `First row, with UUID ${first.uuid}, ${origin(first)}.  Second row, with UUID ${second.uuid}, ${origin(second)}.`,
    );
  }

  /** Makes it final, after `prepare` succeeded. */
  commit(): void {
    for (const [table, deltas] of this.refDeltas) {
      for (const [uuid, delta] of deltas) {
        const count = (table.strongRefs.get(uuid) ?? 0) + delta;
        if (count > 0) {
          table.strongRefs.set(uuid, count);
        } else {
          table.strongRefs.delete(uuid);
        }
      }
    }
    // Keys that a row gave up may have been taken by another, so all go before any comes.
    for (const effect of this.effects()) {
      this.forget(effect);
    }
    for (const effect of this.effects()) {
      this.remember(effect);
    }
  }

  private forget({ table, before }: RowEffect): void {
    if (before === undefined) {
      return;
    }
    for (const [i, columns] of table.schema.indexes.entries()) {
      table.indexes[i]?.delete(rowKey(before, columns));
    }
    for (const column of table.schema.weak) {
      for (const [tableName, uuid] of references(field(before, column), column, true)) {
        const target = this.table(tableName) as Table;
        const sources = target.weakRefs.get(uuid);
        sources?.delete(before.uuid);
        if (sources?.size === 0) {
          target.weakRefs.delete(uuid);
        }
      }
    }
  }

  private remember({ table, after }: RowEffect): void {
    if (after === undefined) {
      return;
    }
    for (const [i, columns] of table.schema.indexes.entries()) {
      table.indexes[i]?.set(rowKey(after, columns), after.uuid);
    }
    for (const column of table.schema.weak) {
      for (const [tableName, uuid] of references(field(after, column), column, true)) {
        const target = this.table(tableName) as Table;
        const sources = target.weakRefs.get(uuid) ?? new Map<Uuid, Table>();
        sources.set(after.uuid, table);
        target.weakRefs.set(uuid, sources);
      }
    }
  }
}
