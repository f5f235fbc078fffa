/** The commands of `sluice vsctl`, a row each: texts and results are ovs-vsctl's. */

import { atomText } from "../ovsdb/column-type.js";
import { type Datum, datumText, equalDatums, sortedDatum } from "../ovsdb/datum.js";
import { zeroUuid } from "../ovsdb/index.js";
import type { Column, TableSchema } from "../ovsdb/schema.js";
import type { DatabaseSession, Row } from "./database-session.js";
import { parseValue, withPair } from "./database-value.js";
import { Failure } from "./failure.js";

export interface VsctlCall {
  readonly database: DatabaseSession;
  readonly args: readonly string[];
  /** Options before the command, without their dashes. */
  readonly options: ReadonlyMap<string, string | undefined>;
  readonly json: boolean;
}

export interface VsctlRow {
  readonly name: string;
  readonly usage: string;
  readonly minArgs: number;
  readonly maxArgs: number;
  readonly options: readonly string[];
  /** What goes to standard output; a number is an exit status without any. */
  readonly run: (call: VsctlCall) => string | number;
}

const one = (text: string): Datum => sortedDatum([text], undefined);
const nameOf = (database: DatabaseSession, row: Row): string => String(database.get(row, "name").keys[0]);

function references(database: DatabaseSession, row: Row, column: string, table: string): Row[] {
  return database.get(row, column).keys.flatMap((uuid) => database.byUuid(table, String(uuid)) ?? []);
}

function addReference(database: DatabaseSession, row: Row, column: string, to: Row): void {
  // A column that must refer to something refers to nothing, by number zero, in a row that is being made.
  const keys = database.get(row, column).keys.filter((uuid) => uuid !== zeroUuid);
  database.set(row, column, sortedDatum([...keys, to.uuid], undefined));
}

function dropReference(database: DatabaseSession, row: Row, column: string, to: Row): void {
  const rest = database.get(row, column).keys.filter((uuid) => uuid !== to.uuid);
  database.set(row, column, sortedDatum(rest, undefined));
}

function bridges(database: DatabaseSession): Row[] {
  return references(database, database.root(), "bridges", "Bridge");
}

function findBridge(database: DatabaseSession, name: string): Row {
  const bridge = bridges(database).find((row) => nameOf(database, row) === name);
  if (bridge === undefined) throw new Failure(`no bridge named ${name}`);
  return bridge;
}

/** The port of a name and the bridge that has it. */
function findPort(database: DatabaseSession, name: string): { bridge: Row; port: Row } | undefined {
  for (const bridge of bridges(database)) {
    const port = references(database, bridge, "ports", "Port").find((row) => nameOf(database, row) === name);
    if (port !== undefined) return { bridge, port };
  }
  return undefined;
}

function makePort(database: DatabaseSession, bridge: Row, name: string): Row {
  const iface = database.insert("Interface");
  database.set(iface, "name", one(name));
  const port = database.insert("Port");
  database.set(port, "name", one(name));
  addReference(database, port, "interfaces", iface);
  addReference(database, bridge, "ports", port);
  return port;
}

function addBridge({ database, args: [name = ""], options }: VsctlCall): string {
  if (bridges(database).some((row) => nameOf(database, row) === name)) {
    if (options.has("may-exist")) return "";
    throw new Failure(`cannot create a bridge named ${name} because a bridge named ${name} already exists`);
  }
  const other = findPort(database, name);
  if (other !== undefined) {
    const on = nameOf(database, other.bridge);
    throw new Failure(
      `cannot create a bridge named ${name} because a port named ${name} already exists on bridge ${on}`,
    );
  }
  const bridge = database.insert("Bridge");
  database.set(bridge, "name", one(name));
  const port = makePort(database, bridge, name);
  for (const iface of references(database, port, "interfaces", "Interface"))
    database.set(iface, "type", one("internal"));
  addReference(database, database.root(), "bridges", bridge);
  return "";
}

function deleteBridge({ database, args: [name = ""], options }: VsctlCall): string {
  if (options.has("if-exists") && !bridges(database).some((row) => nameOf(database, row) === name)) return "";
  dropReference(database, database.root(), "bridges", findBridge(database, name));
  return "";
}

function addPort({ database, args, options }: VsctlCall): string {
  const [bridgeName = "", name = "", ...settings] = args;
  const other = findPort(database, name);
  if (other !== undefined) {
    const on = nameOf(database, other.bridge);
    if (options.has("may-exist") && on === bridgeName) return "";
    throw new Failure(`cannot create a port named ${name} because a port named ${name} already exists on bridge ${on}`);
  }
  const port = makePort(database, findBridge(database, bridgeName), name);
  for (const setting of settings) applySetting(database, port, setting);
  return "";
}

function deletePort({ database, args, options }: VsctlCall): string {
  const name = args[args.length - 1] ?? "";
  const bridge = args.length > 1 ? findBridge(database, args[0]!) : undefined;
  const found = findPort(database, name);
  if (found === undefined) {
    if (options.has("if-exists")) return "";
    throw new Failure(`no port named ${name}`);
  }
  if (bridge !== undefined && found.bridge !== bridge) {
    const on = nameOf(database, found.bridge);
    throw new Failure(`bridge ${args[0]} does not have a port ${name} (although its parent bridge ${on} does)`);
  }
  if (nameOf(database, found.bridge) === name)
    throw new Failure(
      `cannot delete port ${name} because it is the local port for bridge ${name} (deleting this port requires deleting the entire bridge)`,
    );
  dropReference(database, found.bridge, "ports", found.port);
  return "";
}

/** The thing of a name, or what begins with it when only one does; case and `-` for `_` do not matter. */
function match<T>(things: ReadonlyMap<string, T>, name: string): T | "ambiguous" | undefined {
  const plain = (text: string): string => text.toLowerCase().replaceAll("-", "_");
  const exact = [...things].find(([key]) => plain(key) === plain(name));
  if (exact !== undefined) return exact[1];
  const candidates = [...things].filter(([key]) => plain(key).startsWith(plain(name)));
  return candidates.length > 1 ? "ambiguous" : candidates[0]?.[1];
}

function findTable(database: DatabaseSession, name: string): TableSchema {
  const table = match(database.schema.tables, name);
  if (table === undefined) throw new Failure(`unknown table "${name}"`);
  if (table === "ambiguous") {
    const begin = name.toLowerCase();
    const names = [...database.schema.tables.keys()].filter((key) => key.toLowerCase().startsWith(begin)).sort();
    throw new Failure(`"${name}" matches multiple table names: ${names.join(", ")}`);
  }
  return table;
}

function findColumn(table: TableSchema, name: string): Column {
  const column = match(table.columns, name);
  if (column === undefined) throw new Failure(`${table.name} does not contain a column whose name matches "${name}"`);
  if (column === "ambiguous")
    throw new Failure(`${table.name} contains more than one column whose name matches "${name}"`);
  return column;
}

function findRow(database: DatabaseSession, table: TableSchema, id: string): Row {
  const rows = database.table(table.name);
  const bridgeOf =
    table.name === "Controller" ? bridges(database).find((row) => nameOf(database, row) === id) : undefined;
  const row =
    rows.find((candidate) => candidate.uuid === id.toLowerCase()) ??
    (table.columns.has("name") ? rows.find((candidate) => nameOf(database, candidate) === id) : undefined) ??
    (bridgeOf === undefined ? undefined : references(database, bridgeOf, "controller", "Controller")[0]) ??
    (table.name === "Open_vSwitch" && id === "." ? database.root() : undefined);
  if (row === undefined) throw new Failure(`no row "${id}" in table ${table.name}`);
  return row;
}

function applySetting(database: DatabaseSession, row: Row, setting: string): void {
  const table = database.schema.tables.get(row.table)!;
  const parts = /^([A-Za-z_-][\w-]*)(?::("(?:[^"\\]|\\.)*"|[^=]+))?=([\s\S]*)$/.exec(setting);
  if (parts === null) throw new Failure(`${setting}: argument does not end in "=" followed by a value.`);
  const [, name = "", key, value = ""] = parts;
  const column = findColumn(table, name);
  if (!column.mutable && !row.isNew)
    throw new Failure(`cannot modify read-only column ${column.name} in table ${table.name}`);
  const bare = key?.startsWith('"') === true ? (JSON.parse(key) as string) : key;
  const next =
    bare === undefined
      ? parseValue(value, column.type)
      : withPair(database.get(row, column.name), bare, value, column.type);
  database.set(row, column.name, next);
}

function set({ database, args: [tableName = "", id = "", ...settings] }: VsctlCall): string {
  const row = findRow(database, findTable(database, tableName), id);
  for (const setting of settings) applySetting(database, row, setting);
  return "";
}

function get({ database, args: [tableName = "", id = "", ...names], options }: VsctlCall): string {
  const table = findTable(database, tableName);
  const row = findRow(database, table, id);
  const lines = names.map((text) => {
    const [, name = "", key] = /^([^:]+)(?::(.*))?$/s.exec(text) ?? [];
    const column = findColumn(table, name);
    if (column.name === "_uuid") return row.uuid;
    const datum = database.get(row, column.name);
    if (key === undefined) return datumText(datum, column.type);
    const bare = key.startsWith('"') ? (JSON.parse(key) as string) : key;
    const at = datum.keys.findIndex((candidate) => String(candidate) === bare);
    const { value } = column.type;
    if (value === undefined) throw new Failure(`cannot specify key to get for non-map column ${column.name}`);
    if (at >= 0) return atomText(datum.values![at]!, value.type);
    if (options.has("if-exists")) return "";
    throw new Failure(`no key "${bare}" in ${table.name} record "${id}" column ${column.name}`);
  });
  return lines.map((line) => `${line}\n`).join("");
}

function list({ database, args: [tableName = "", ...ids], options, json }: VsctlCall): string {
  const table = findTable(database, tableName);
  const rows = ids.length === 0 ? database.table(table.name) : ids.map((id) => findRow(database, table, id));
  const wanted = options.get("columns");
  const columns =
    wanted === undefined
      ? [...table.columns.values()]
          .filter((column) => column.name !== "_version")
          .sort((a, b) => (a.name < b.name ? -1 : 1))
      : wanted.split(",").map((name) => findColumn(table, name));
  const text = (row: Row, column: Column): string =>
    column.name === "_uuid" ? row.uuid : datumText(database.get(row, column.name), column.type);
  if (json) {
    const records = rows.map((row) => Object.fromEntries(columns.map((column) => [column.name, text(row, column)])));
    return `${JSON.stringify(records)}\n`;
  }
  return rows
    .map((row) => columns.map((column) => `${column.name.padEnd(20)}: ${text(row, column)}\n`).join(""))
    .join("\n");
}

/** What `show` prints of each table: the name, then columns; those that refer to rows are shown as rows. */
const shown: Readonly<Record<string, { readonly name?: string; readonly columns: readonly string[] }>> = {
  Open_vSwitch: { columns: ["manager_options", "bridges", "ovs_version"] },
  Bridge: { name: "name", columns: ["controller", "fail_mode", "datapath_type", "ports"] },
  Port: { name: "name", columns: ["tag", "trunks", "interfaces"] },
  Interface: { name: "name", columns: ["type", "options", "error"] },
  Controller: { name: "target", columns: ["is_connected"] },
  Manager: { name: "target", columns: ["is_connected"] },
};

function showRow(database: DatabaseSession, row: Row, depth: number): string {
  const what = shown[row.table]!;
  const indent = "    ".repeat(depth);
  const title =
    what.name === undefined
      ? row.uuid
      : `${row.table} ${datumText(database.get(row, what.name), database.column(row.table, what.name).type)}`;
  let text = `${indent}${title}\n`;
  for (const name of what.columns) {
    const column = database.column(row.table, name);
    const datum = database.get(row, name);
    const target = column.type.key.refTable;
    if (target !== undefined) {
      for (const child of references(database, row, name, target)) text += showRow(database, child, depth + 1);
    } else if (!equalDatums(datum, column.default)) {
      text += `${indent}    ${name}: ${datumText(datum, column.type)}\n`;
    }
  }
  return text;
}

const lines = (names: readonly string[]): string =>
  [...names]
    .sort()
    .map((name) => `${name}\n`)
    .join("");
const any = Number.POSITIVE_INFINITY;

export const vsctlRows: readonly VsctlRow[] = [
  {
    name: "init",
    usage: "",
    minArgs: 0,
    maxArgs: 0,
    options: [],
    run: ({ database }) => {
      database.root();
      return "";
    },
  },
  {
    name: "show",
    usage: "",
    minArgs: 0,
    maxArgs: 0,
    options: [],
    run: ({ database }) => showRow(database, database.root(), 0),
  },
  { name: "add-br", usage: "BRIDGE", minArgs: 1, maxArgs: 1, options: ["may-exist"], run: addBridge },
  { name: "del-br", usage: "BRIDGE", minArgs: 1, maxArgs: 1, options: ["if-exists"], run: deleteBridge },
  {
    name: "list-br",
    usage: "",
    minArgs: 0,
    maxArgs: 0,
    options: [],
    run: ({ database }) => lines(bridges(database).map((row) => nameOf(database, row))),
  },
  {
    name: "br-exists",
    usage: "BRIDGE",
    minArgs: 1,
    maxArgs: 1,
    options: [],
    run: ({ database, args }) => (bridges(database).some((row) => nameOf(database, row) === args[0]) ? "" : 2),
  },
  {
    name: "add-port",
    usage: "BRIDGE PORT [COLUMN[:KEY]=VALUE]...",
    minArgs: 2,
    maxArgs: any,
    options: ["may-exist"],
    run: addPort,
  },
  { name: "del-port", usage: "[BRIDGE] PORT", minArgs: 1, maxArgs: 2, options: ["if-exists"], run: deletePort },
  {
    name: "list-ports",
    usage: "BRIDGE",
    minArgs: 1,
    maxArgs: 1,
    options: [],
    run: ({ database, args: [bridge = ""] }) => {
      const names = references(database, findBridge(database, bridge), "ports", "Port").map((row) =>
        nameOf(database, row),
      );
      return lines(names.filter((name) => name !== bridge));
    },
  },
  {
    name: "port-to-br",
    usage: "PORT",
    minArgs: 1,
    maxArgs: 1,
    options: [],
    run: ({ database, args: [port = ""] }) => {
      const found = findPort(database, port);
      if (found === undefined) throw new Failure(`no port named ${port}`);
      return `${nameOf(database, found.bridge)}\n`;
    },
  },
  { name: "set", usage: "TABLE RECORD COLUMN[:KEY]=VALUE...", minArgs: 3, maxArgs: any, options: [], run: set },
  { name: "get", usage: "TABLE RECORD [COLUMN[:KEY]]...", minArgs: 2, maxArgs: any, options: ["if-exists"], run: get },
  { name: "list", usage: "TABLE [RECORD]...", minArgs: 1, maxArgs: any, options: ["columns"], run: list },
];
