/** The real ovsdb-server, run privately, and a plain client for either server. */
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import type { Channel, Json, JsonObject } from "../../ts/ovsdb/index.js";
import { streamChannel } from "../../ts/ovsdb/index.js";

/** Why the real tools cannot be asked; undefined when they can. */
export function missingOracle(): string | undefined {
  const found = spawnSync("ovsdb-server", ["--version"], { encoding: "utf8" });
  return found.status === 0 ? undefined : "ovsdb-server is not installed (Debian: apt-get install openvswitch-switch)";
}

export function temporaryDirectory(): string {
  return fs.mkdtempSync(path.join(os.tmpdir(), "sluice-ovsdb-"));
}

/** A schema with columns of every type and constraint. */
export function allTypesSchema(): JsonObject {
  const file = new URL("../../../test/ovsdb/all-types.ovsschema", import.meta.url);
  return JSON.parse(fs.readFileSync(file, "utf8")) as JsonObject;
}

/** A client that sends requests and keeps what comes besides replies. */
export class PlainClient {
  readonly notifications: JsonObject[] = [];
  closed = false;
  private readonly replies = new Map<string, (message: JsonObject) => void>();
  private next = 1;

  constructor(readonly channel: Channel) {
    channel.start({
      message: (message) => {
        const resolve = this.replies.get(JSON.stringify(message["id"]));
        if (resolve === undefined || message["method"] !== undefined) {
          this.notifications.push(message);
        } else {
          this.replies.delete(JSON.stringify(message["id"]));
          resolve(message);
        }
      },
      drained: () => undefined,
      closed: () => {
        this.closed = true;
        for (const resolve of this.replies.values()) {
          resolve({ closed: true });
        }
      },
    });
  }

  request(method: string, params: readonly Json[]): Promise<JsonObject> {
    const id = this.next++;
    return new Promise((resolve) => {
      this.replies.set(String(id), resolve);
      this.channel.send({ id, method, params });
    });
  }

  async transact(...params: readonly Json[]): Promise<Json> {
    const reply = await this.request("transact", params);
    return reply["result"] ?? (reply as Json);
  }
}

export async function connectTo(socketPath: string): Promise<PlainClient> {
  const socket = net.connect({ path: socketPath });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  return new PlainClient(streamChannel(socket, socketPath));
}

export async function eventually(test: () => boolean, ms = 5000): Promise<void> {
  const end = performance.now() + ms;
  while (!test()) {
    if (performance.now() > end) {
      throw new Error(`Waited ${ms} ms in vain for: ${test.toString()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export interface RealServer {
  readonly socket: string;
  readonly file: string;
  stop(): Promise<void>;
}

/** Starts the real ovsdb-server on a file, which is made from `schema` when it is missing. */
export async function startReal(
  directory: string,
  schema: JsonObject,
  file = path.join(directory, "real.db"),
): Promise<RealServer> {
  const env = {
    ...process.env,
    OVS_RUNDIR: directory,
    OVS_LOGDIR: directory,
    OVS_DBDIR: directory,
    OVS_SYSCONFDIR: directory,
  };
  if (!fs.existsSync(file)) {
    const schemaFile = path.join(directory, "schema.json");
    fs.writeFileSync(schemaFile, JSON.stringify(schema));
    const made = spawnSync("ovsdb-tool", ["create", file, schemaFile], { env, encoding: "utf8" });
    if (made.status !== 0) {
      throw new Error(made.stderr);
    }
  }
  const socket = path.join(directory, "real.sock");
  const child = spawn(
    "ovsdb-server",
    [`--remote=punix:${socket}`, `--unixctl=${path.join(directory, "real.ctl")}`, "-vconsole:off", file],
    {
      env,
      stdio: "ignore",
    },
  );
  await eventually(() => fs.existsSync(socket));
  return {
    socket,
    file,
    stop: () =>
      new Promise((resolve) => {
        child.once("exit", () => {
          fs.rmSync(socket, { force: true });
          resolve();
        });
        child.kill("SIGTERM");
      }),
  };
}

/** Runs a tool of Open vSwitch.  Returns what it printed. */
export function tool(
  command: string,
  ...args: readonly string[]
): { readonly status: number | null; readonly out: string } {
  const run = spawnSync(command, args, { encoding: "utf8", timeout: 20000 });
  return { status: run.status, out: run.stdout + run.stderr };
}
