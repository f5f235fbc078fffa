/** One conversation with an OVSDB server: read all, change a copy, commit the difference. */
import { randomUUID } from "node:crypto";
import { connect, type Socket } from "node:net";
import { JsonStream, openSocketPath, systemErrorText } from "../daemon/index.js";
import { type Datum, datumJson, defaultDatum, equalDatums, parseDatum } from "../ovsdb/datum.js";
import { type Json, parseSchema, type Schema, vswitchSchema } from "../ovsdb/index.js";
import type { Column } from "../ovsdb/schema.js";
import { Failure } from "./failure.js";

export interface Row {
  readonly table: string;
  readonly uuid: string;
  readonly isNew: boolean;
  readonly columns: Map<string, Datum>;
}

interface Answer {
  readonly id: unknown;
  readonly result?: Json;
  readonly error?: Json;
}

/** A client of one server over a stream socket. */
class RpcClient {
  private readonly stream = new JsonStream(1 << 28);
  private readonly waiting = new Map<number, (answer: Answer) => void>();
  private nextId = 0;
  private broken: ((error: Failure) => void) | undefined;
  readonly failed: Promise<never>;

  constructor(
    private readonly socket: Socket,
    private readonly name: string,
  ) {
    this.failed = new Promise((_, reject) => {
      this.broken = reject;
    });
    this.failed.catch(() => {});
    socket.on("data", (bytes) => {
      for (const text of this.stream.push(bytes)) this.take(JSON.parse(text) as Answer & { method?: string });
    });
    socket.on("close", () => this.broken?.(new Failure(`${this.name}: database connection failed (End of file)`)));
  }

  /** Whoever says nothing for longer than `silenceMsMax` is not waited for. */
  static open(remote: string, silenceMsMax?: number): Promise<RpcClient> {
    return new Promise((resolve, reject) => {
      const unix = /^unix:(.*)$/.exec(remote);
      const tcp = /^tcp:\[?([^\]]*?)\]?(?::(\d+))?$/.exec(remote);
      if (unix === null && tcp === null) {
        reject(new Failure(`${remote}: use unix:FILE or tcp:HOST:PORT`));
        return;
      }
      const address = unix === null ? undefined : openSocketPath(unix[1]!);
      const socket =
        address === undefined
          ? connect({ host: tcp![1]!, port: Number(tcp![2] ?? "6640") })
          : connect({ path: address.path });
      let client: RpcClient | undefined;
      socket.once("connect", () => {
        address?.close();
        client = new RpcClient(socket, remote);
        resolve(client);
      });
      if (silenceMsMax !== undefined)
        socket.setTimeout(silenceMsMax, () => {
          const silent = new Failure(`${remote}: the database does not answer`);
          client?.broken?.(silent);
          reject(silent);
          socket.destroy();
        });
      socket.once("error", (error) =>
        reject(new Failure(`${remote}: database connection failed (${systemErrorText(error)})`)),
      );
    });
  }

  async call(method: string, params: Json): Promise<Json> {
    const id = this.nextId++;
    const reply = new Promise<Answer>((resolve) => this.waiting.set(id, resolve));
    this.socket.write(JSON.stringify({ id, method, params }));
    const answer = await Promise.race([reply, this.failed]);
    if (answer.error !== undefined && answer.error !== null) throw new Failure(JSON.stringify(answer.error));
    return answer.result ?? null;
  }

  close(): void {
    this.socket.destroy();
  }

  private take(message: Answer & { method?: string }): void {
    if (message.method === "echo") {
      this.socket.write(JSON.stringify({ id: message.id, result: [], error: null }));
      return;
    }
    const resolve = this.waiting.get(message.id as number);
    this.waiting.delete(message.id as number);
    resolve?.(message);
  }
}

type ServerRow = Readonly<Record<string, Json>>;
interface OperationResult {
  readonly rows?: readonly ServerRow[];
  readonly error?: string;
  readonly details?: string;
}

/** A copy of the database that commands change, and the way to make the changes real. */
export class DatabaseSession {
  readonly schema: Schema = parseSchema(vswitchSchema);
  private readonly rows = new Map<string, Map<string, Row>>();
  private readonly before = new Map<Row, ReadonlyMap<string, Datum>>();

  private constructor(private readonly client: RpcClient) {}

  static async open(remote: string, silenceMsMax?: number): Promise<DatabaseSession> {
    const session = new DatabaseSession(await RpcClient.open(remote, silenceMsMax));
    await session.load();
    return session;
  }

  close(): void {
    this.client.close();
  }

  table(name: string): Row[] {
    return [...(this.rows.get(name)?.values() ?? [])];
  }

  byUuid(table: string, uuid: string): Row | undefined {
    return this.rows.get(table)?.get(uuid);
  }

  column(table: string, name: string): Column {
    return this.schema.tables.get(table)!.columns.get(name)!;
  }

  get(row: Row, column: string): Datum {
    return row.columns.get(column) ?? this.column(row.table, column).default;
  }

  set(row: Row, column: string, value: Datum): void {
    row.columns.set(column, value);
  }

  insert(table: string): Row {
    const row: Row = { table, uuid: randomUUID(), isNew: true, columns: new Map() };
    this.rows.get(table)!.set(row.uuid, row);
    return row;
  }

  /** The row of Open_vSwitch, made when there is none yet. */
  root(): Row {
    return this.table("Open_vSwitch")[0] ?? this.insert("Open_vSwitch");
  }

  /** Commits what was changed, with next_cfg moved.  Resolves to next_cfg's new value; undefined: nothing was changed. */
  async commit(comment: string): Promise<number | undefined> {
    const operations = this.operations();
    if (operations.length === 0) return undefined;
    const root = this.root();
    const where = root.isNew ? [] : [["_uuid", "==", ["uuid", root.uuid]]];
    const results = (await this.client.call("transact", [
      "Open_vSwitch",
      { op: "comment", comment },
      ...operations,
      { op: "mutate", table: "Open_vSwitch", where, mutations: [["next_cfg", "+=", 1]] },
      { op: "select", table: "Open_vSwitch", where, columns: ["next_cfg"] },
    ])) as readonly (OperationResult | null)[];
    const failed = results.find((result) => result?.error !== undefined);
    if (failed !== undefined && failed !== null) {
      throw new Failure(
        `transaction error: {"details":${JSON.stringify(failed.details ?? "")},"error":"${failed.error}"}`,
      );
    }
    return results[results.length - 1]?.rows?.[0]?.next_cfg as number;
  }

  /** Waits until the switch has seen `nextCfg`, then reads the database again. */
  async settle(nextCfg: number): Promise<void> {
    for (;;) {
      await this.load();
      const seen = this.get(this.root(), "cur_cfg").keys[0];
      if (typeof seen === "number" && seen >= nextCfg) return;
      // Sleeps in the server until cur_cfg has another value.
      const until = { op: "wait", table: "Open_vSwitch", where: [], columns: ["cur_cfg"], until: "!=" };
      await this.client.call("transact", [
        "Open_vSwitch",
        { ...until, rows: [{ cur_cfg: Number(seen) }], timeout: 60_000 },
      ]);
    }
  }

  private async load(): Promise<void> {
    const names = [...this.schema.tables.keys()];
    const reads = names.map((table) => ({ op: "select", table, where: [] }));
    const results = (await this.client.call("transact", ["Open_vSwitch", ...reads])) as readonly OperationResult[];
    this.before.clear();
    for (const [at, table] of names.entries()) {
      const rows = new Map<string, Row>();
      for (const served of results[at]?.rows ?? []) {
        const uuid = (served._uuid as readonly [string, string])[1];
        const columns = new Map<string, Datum>();
        for (const column of this.schema.tables.get(table)!.columnList) {
          const json = served[column.name];
          columns.set(column.name, json === undefined ? defaultDatum(column.type) : parseDatum(json, column.type));
        }
        const row: Row = { table, uuid, isNew: false, columns };
        rows.set(uuid, row);
        this.before.set(row, new Map(columns));
      }
      this.rows.set(table, rows);
    }
  }

  private operations(): Json[] {
    const fresh = new Set(
      [...this.rows.values()].flatMap((rows) => [...rows.values()].filter((row) => row.isNew).map((row) => row.uuid)),
    );
    const operations: Json[] = [];
    for (const row of [...this.rows.values()].flatMap((rows) => [...rows.values()])) {
      const before = this.before.get(row);
      const changed = [...row.columns].filter(([name, value]) => {
        const old = before?.get(name) ?? this.column(row.table, name).default;
        return !equalDatums(old, value);
      });
      const values = Object.fromEntries(
        changed.map(([name, value]) => [name, named(datumJson(value, this.column(row.table, name).type), fresh)]),
      );
      if (row.isNew) operations.push({ op: "insert", table: row.table, "uuid-name": nameOf(row.uuid), row: values });
      else if (changed.length > 0) {
        operations.push({ op: "update", table: row.table, where: [["_uuid", "==", ["uuid", row.uuid]]], row: values });
      }
    }
    return operations;
  }
}

function nameOf(uuid: string): string {
  return `row${uuid.replaceAll("-", "_")}`;
}

/** References to rows of this transaction go by name. */
function named(json: Json, fresh: ReadonlySet<string>): Json {
  if (!Array.isArray(json)) return json;
  const [kind, value] = json as readonly Json[];
  if (kind === "uuid" && typeof value === "string") return fresh.has(value) ? ["named-uuid", nameOf(value)] : json;
  return (json as readonly Json[]).map((element) => named(element, fresh));
}
