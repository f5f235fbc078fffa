/** Processes that the bench starts, and their unix sockets. */
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function until(what: string, seconds: number, test: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 1000 * seconds;
  while (!(await test())) {
    if (performance.now() > end) throw new Error(`waited ${seconds} s in vain until ${what}`);
    await sleep(20);
  }
}

export function runDirectory(kind: string): string {
  return mkdtempSync(join(tmpdir(), `bench-${kind}-`));
}

/** Where the ovs-* tools and both daemons look for files. */
export function directoryEnv(directory: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    OVS_RUNDIR: directory,
    OVS_LOGDIR: directory,
    OVS_DBDIR: directory,
    OVS_SYSCONFDIR: directory,
  };
}

export function readPid(directory: string, daemon: string): number {
  return Number(readFileSync(join(directory, `${daemon}.pid`), "utf8"));
}

export async function waitGone(pid: number): Promise<void> {
  const end = performance.now() + 10_000;
  while (existsSync(`/proc/${pid}`) && performance.now() < end) await sleep(20);
  if (existsSync(`/proc/${pid}`)) process.kill(pid, "SIGKILL");
}

/** Resident memory in bytes. */
export function residentOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return 1024 * Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
}

/** A connection to a unix socket, as soon as its server takes one: its file is there before it listens. */
export async function connectTo(path: string): Promise<Socket> {
  const end = performance.now() + 20_000;
  for (;;) {
    const socket = connect({ path });
    try {
      await once(socket, "connect");
      return socket;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if ((code !== "ECONNREFUSED" && code !== "ENOENT") || performance.now() > end) throw error;
    }
    await sleep(5);
  }
}

/** One JSON-RPC call on a unix socket: an OVSDB transaction, or an appctl command. */
export async function call(path: string, method: string, params: readonly unknown[]): Promise<unknown> {
  const socket = await connectTo(path);
  try {
    socket.write(JSON.stringify({ id: 1, method, params }));
    let text = "";
    for await (const chunk of socket) {
      text += String(chunk);
      const reply = parseWhole(text);
      if (reply === undefined) continue;
      if (reply.error !== null && reply.error !== undefined) throw new Error(JSON.stringify(reply.error));
      return reply.result;
    }
    throw new Error(`${path} closed the connection without an answer to ${method}`);
  } finally {
    socket.destroy();
  }
}

function parseWhole(text: string): { readonly error?: unknown; readonly result?: unknown } | undefined {
  try {
    return JSON.parse(text) as { readonly error?: unknown; readonly result?: unknown };
  } catch {
    return undefined;
  }
}

/** Makes bridge br0 on the dummy datapath with a dummy port 1, by a transaction that both databases take. */
export async function makeDummyBridge(database: string): Promise<void> {
  const iface = (name: string, type: string): object => ({
    op: "insert",
    table: "Interface",
    row: { name, type, ...(type === "dummy" ? { ofport_request: 1 } : {}) },
    "uuid-name": `i_${name}`,
  });
  const port = (name: string): object => ({
    op: "insert",
    table: "Port",
    row: { name, interfaces: ["named-uuid", `i_${name}`] },
    "uuid-name": `p_${name}`,
  });
  const ports = [
    ["named-uuid", "p_br0"],
    ["named-uuid", "p_p1"],
  ];
  const bridge = { name: "br0", datapath_type: "dummy", fail_mode: "secure", ports: ["set", ports] };
  const [found] = (await call(database, "transact", [
    "Open_vSwitch",
    { op: "select", table: "Open_vSwitch", where: [] },
  ])) as [{ rows: unknown[] }];
  const result = await call(database, "transact", [
    "Open_vSwitch",
    // A new database is empty, as after ovsdb-tool create; the first user of it makes the root row.
    ...(found.rows.length === 0 ? [{ op: "insert", table: "Open_vSwitch", row: {} }] : []),
    iface("br0", "internal"),
    iface("p1", "dummy"),
    port("br0"),
    port("p1"),
    { op: "insert", table: "Bridge", row: bridge, "uuid-name": "b" },
    {
      op: "mutate",
      table: "Open_vSwitch",
      where: [],
      mutations: [
        ["bridges", "insert", ["named-uuid", "b"]],
        ["next_cfg", "+=", 1],
      ],
    },
  ]);
  const failed = (result as readonly ({ error?: string; details?: string } | null)[]).find((one) => one?.error);
  if (failed !== undefined) throw new Error(`the database refused the bridge: ${JSON.stringify(failed)}`);
}
