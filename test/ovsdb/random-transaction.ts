/** Random transactions on the schema all-types.ovsschema, some of them wrong. */
import type { Json, JsonObject } from "../../ts/ovsdb/index.js";

/** A small generator with a seed (mulberry32): numbers from 0 up to, not including, 1. */
export function randomSource(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

interface BaseJson {
  readonly type: string;
  readonly enum?: readonly [string, readonly Json[]];
  readonly refTable?: string;
}

type TypeJson =
  | string
  | {
      readonly key: string | BaseJson;
      readonly value?: string | BaseJson;
      readonly min?: number;
      readonly max?: number | string;
    };

export class TransactionSource {
  private count = 0;
  /** Ids that have been given to rows, by table. */
  private readonly uuids = new Map<string, string[]>();

  constructor(
    private readonly random: () => number,
    private readonly schema: JsonObject,
  ) {}

  private below(n: number): number {
    return Math.floor(this.random() * n);
  }

  private pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }

  private chance(p: number): boolean {
    return this.random() < p;
  }

  private tables(): Record<
    string,
    { readonly columns: Record<string, { readonly type: TypeJson; readonly mutable?: boolean }> }
  > {
    return this.schema["tables"] as never;
  }

  private newUuid(table: string): string {
    const uuid = `20000000-0000-4000-8000-${(++this.count).toString(16).padStart(12, "0")}`;
    this.uuids.set(table, [...(this.uuids.get(table) ?? []), uuid]);
    return uuid;
  }

  private atom(base: string | BaseJson): Json {
    const spec = typeof base === "string" ? { type: base } : base;
    if (spec.enum !== undefined && this.chance(0.95)) {
      return this.pick(spec.enum[1]);
    }
    switch (spec.type) {
      case "integer":
        return this.pick([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, -3, 4611686018427387]);
      case "real":
        return this.pick([0, 0.5, 1, 1.5, 2.5, -1.25, 1e10]);
      case "boolean":
        return this.chance(0.5);
      case "string":
        return this.pick(["", "a", "bb", "ccc", "dddd", "a b", "é", "red", 'x"y', "[]"]);
      default:
        return this.reference(spec.refTable);
    }
  }

  private reference(table: string | undefined): Json {
    const known = this.uuids.get(table ?? "T") ?? [];
    if (known.length === 0 || this.chance(0.05)) {
      return ["uuid", "30000000-0000-4000-8000-000000000001"];
    }
    return [
      "uuid",
      this.chance(0.7) ? (known[known.length - 1 - this.below(Math.min(5, known.length))] as string) : this.pick(known),
    ];
  }

  value(type: TypeJson): Json {
    if (typeof type === "string") {
      return this.atom(type);
    }
    const max = type.max === "unlimited" ? 4 : ((type.max as number | undefined) ?? 1);
    const min = type.min ?? 1;
    const n = min + this.below(max - min + 1);
    const seen = new Set<string>();
    const elements: Json[] = [];
    for (let i = 0; i < n; i++) {
      const key = this.atom(type.key);
      if (!seen.has(JSON.stringify(key)) || this.chance(0.02)) {
        seen.add(JSON.stringify(key));
        elements.push(type.value === undefined ? key : [key, this.atom(type.value)]);
      }
    }
    return type.value === undefined
      ? elements.length === 1 && this.chance(0.5)
        ? (elements[0] as Json)
        : ["set", elements]
      : ["map", elements];
  }

  private row(table: string, some: number): JsonObject {
    const row: Record<string, Json> = {};
    const columns = Object.entries(this.tables()[table]?.columns ?? {});
    // A few columns only: of several that are wrong, which one is named first is not defined.
    for (let i = 0; i < some; i++) {
      const [name, column] = this.pick(columns);
      row[name] = this.value(column.type);
    }
    if (table === "T" && !("is3" in row)) {
      row["is3"] = 1;
    }
    return row;
  }

  private where(table: string): Json {
    if (this.chance(0.3)) {
      return [["_uuid", "==", this.reference(table)]];
    }
    const [name, column] = this.pick(Object.entries(this.tables()[table]?.columns ?? {}));
    const relation = this.pick(["==", "!=", "<", "<=", ">", ">=", "includes", "excludes", "==", "includes"]);
    return this.chance(0.15) ? [] : [[name, relation, this.value(column.type)]];
  }

  private mutation(table: string): Json {
    const [name, column] = this.pick(Object.entries(this.tables()[table]?.columns ?? {}));
    const mutator = this.pick(["+=", "-=", "*=", "/=", "%=", "insert", "delete", "insert", "delete"]);
    const number = mutator.endsWith("=");
    return [name, mutator, number ? this.pick([1, 2, 3, 0, 0.5, -1]) : this.value(column.type)];
  }

  private operation(): JsonObject {
    const table = this.pick(["T", "T", "T", "C", "C", "W", "I", "I", "L"]);
    switch (
      this.pick([
        "insert",
        "insert",
        "insert",
        "update",
        "mutate",
        "mutate",
        "delete",
        "select",
        "wait",
        "insert-child",
      ])
    ) {
      case "insert":
        return {
          op: "insert",
          table,
          uuid: this.newUuid(table),
          row: this.row(table, this.below(table === "T" ? 2 : 4)),
        };
      case "insert-child":
        return {
          op: "insert",
          table: "C",
          uuid: this.newUuid("C"),
          row: { name: `n${this.below(40)}`, n: this.below(9) },
        };
      case "update":
        return { op: "update", table, where: this.where(table), row: this.updateRow(table) };
      case "mutate":
        return { op: "mutate", table, where: this.where(table), mutations: [this.mutation(table)] };
      case "delete":
        return { op: "delete", table, where: this.where(table) };
      case "wait":
        return {
          op: "wait",
          table,
          timeout: 0,
          where: this.where(table),
          columns: this.columns(table),
          until: this.pick(["==", "!="]),
          rows: [],
        };
      default:
        return { op: "select", table, where: this.where(table), columns: this.columns(table) };
    }
  }

  private updateRow(table: string): JsonObject {
    const [name, column] = this.pick(Object.entries(this.tables()[table]?.columns ?? {}));
    return { [name]: this.value(column.type) };
  }

  columns(table: string): readonly string[] {
    return [...Object.keys(this.tables()[table]?.columns ?? {}), "_uuid"];
  }

  transaction(): Json[] {
    return Array.from({ length: 1 + this.below(4) }, () => this.operation());
  }
}
