import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");

/** Rooms and what each may import besides itself.  The order is the direction: never upward, so no circle can be. */
const leaves = ["log", "clock", "appctl"];
const rooms: ReadonlyMap<string, readonly string[]> = new Map([
  ["log", []],
  ["clock", []],
  ["appctl", []],
  ["datapath/tables", []],
  ["openflow/tables", ["datapath/tables"]],
  ["openflow", ["openflow/tables", "datapath/tables", "datapath/generated"]],
  ["datapath/generated", []],
  ["datapath", ["openflow", "openflow/tables", "datapath/tables", "datapath/generated", ...leaves]],
  ["ovsdb", leaves],
  ["pmd", ["datapath", "datapath/generated", ...leaves]],
  ["netdev", ["datapath", "datapath/generated", "openflow", ...leaves]],
  ["ofproto", ["openflow", "openflow/tables", "datapath", "datapath/generated", ...leaves]],
  ["connmgr", ["ofproto", "openflow", "openflow/tables", "datapath", "datapath/generated", ...leaves]],
  ["protocols", leaves],
  ["export", leaves],
  [
    "bridge",
    [
      "ovsdb",
      "connmgr",
      "ofproto",
      "netdev",
      "pmd",
      "protocols",
      "export",
      "openflow",
      "openflow/tables",
      "datapath",
      "datapath/generated",
      ...leaves,
    ],
  ],
  [
    "daemon",
    [
      "bridge",
      "ovsdb",
      "connmgr",
      "ofproto",
      "netdev",
      "pmd",
      "openflow",
      "openflow/tables",
      "datapath",
      "datapath/generated",
      ...leaves,
    ],
  ],
  [
    "cli",
    [
      "daemon",
      "bridge",
      "ovsdb",
      "connmgr",
      "ofproto",
      "netdev",
      "openflow",
      "openflow/tables",
      "datapath",
      ...leaves,
      "",
    ],
  ],
  [
    "",
    [
      "bridge",
      "ovsdb",
      "connmgr",
      "ofproto",
      "netdev",
      "openflow",
      "openflow/tables",
      "datapath",
      "datapath/generated",
      ...leaves,
    ],
  ],
]);

/** Rooms that must run in a browser: nothing of Node in them. */
const pure = ["openflow", "openflow/tables", "datapath/tables"];

interface Source {
  readonly path: string;
  readonly room: string;
  readonly text: string;
  readonly imports: readonly string[];
}

function walk(directory: string, extension: RegExp): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return walk(path, extension);
    return extension.test(entry.name) ? [path] : [];
  });
}

function roomOf(path: string): string {
  const folders = relative(join(root, "ts"), dirname(path)).split("/");
  const two = folders.slice(0, 2).join("/");
  return rooms.has(two) ? two : (folders[0] ?? "");
}

const sources: readonly Source[] = walk(join(root, "ts"), /\.ts$/).map((path) => {
  const text = readFileSync(path, "utf8");
  const imports = [...text.matchAll(/(?:from|import)\s+"([^"]+)"/g)].map((match) => match[1] ?? "");
  return { path, room: roomOf(path), text, imports };
});

test("every folder of ts/ is a room with stated directions", () => {
  const unknown = sources.filter((source) => !rooms.has(source.room)).map((source) => relative(root, source.path));
  assert.equal(unknown, []);
});

test("imports point one way", () => {
  const wrong = sources.flatMap((source) =>
    source.imports
      .filter((name) => name.startsWith("."))
      .map((name) => roomOf(join(dirname(source.path), name)))
      .filter((room) => room !== source.room && !(rooms.get(source.room) ?? []).includes(room))
      .map((room) => `${relative(root, source.path)} imports ${room === "" ? "the library" : room}`),
  );
  assert.equal([...new Set(wrong)], []);
});

test("no file imports itself through others", () => {
  const edges = new Map(
    sources.map((source) => [
      source.path.replace(/\.ts$/, ""),
      source.imports
        .filter((name) => name.startsWith("."))
        .map((name) => join(dirname(source.path), name).replace(/\.js$/, "")),
    ]),
  );
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (node: string, trail: readonly string[]): void => {
    if (done.has(node)) return;
    if (trail.includes(node)) {
      circles.push([...trail.slice(trail.indexOf(node)), node].map((path) => relative(root, path)).join(" -> "));
      return;
    }
    for (const next of edges.get(node) ?? []) visit(next, [...trail, node]);
    done.add(node);
  };
  for (const node of edges.keys()) visit(node, []);
  assert.equal(circles, []);
});

test("pure rooms import nothing of Node", () => {
  const wrong = sources.filter(
    (source) => pure.includes(source.room) && source.imports.some((name) => name.startsWith("node:")),
  );
  assert.equal(
    wrong.map((source) => relative(root, source.path)),
    [],
  );
});

test("the native rooms include only downward", () => {
  const order = [
    "packet",
    "tunnel",
    "actions",
    "meter",
    "keepalive",
    "classifier",
    "pipeline",
    "port",
    "dpdk",
    "worker",
    "addon",
  ];
  const allowed: Readonly<Record<string, readonly string[]>> = {
    packet: [],
    tunnel: ["packet"],
    actions: ["packet", "tunnel"],
    meter: [],
    keepalive: [],
    classifier: ["packet", "actions"],
    pipeline: ["packet", "tunnel", "actions", "meter", "classifier"],
    port: ["packet"],
    dpdk: ["packet", "port"],
    worker: ["packet", "tunnel", "actions", "meter", "keepalive", "classifier", "pipeline", "port"],
    addon: [],
  };
  const wrong = walk(join(root, "native"), /\.(c|h|cc)$/).flatMap((path) => {
    const parts = relative(join(root, "native"), path).split("/");
    const room = parts[0] ?? "";
    if (!order.includes(room) || parts.includes("test") || parts.includes("fuzz") || parts.includes("bench")) return [];
    return [...readFileSync(path, "utf8").matchAll(/#include "([a-z_]+)\//g)]
      .map((match) => match[1] ?? "")
      .filter((target) => order.includes(target) && target !== room && !(allowed[room] ?? []).includes(target))
      .map((target) => `${relative(root, path)} includes ${target}`);
  });
  assert.equal(wrong, []);
});

test.run();
