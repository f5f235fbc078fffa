/** Which database the switch uses: the one that it is told of, one that serves the default socket, or its own. */
import { mkdirSync, readFileSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import type { AdjustableClock } from "../clock/index.js";
import type { LogSource } from "../log/index.js";
import {
  type Clock as DatabaseClock,
  type Idl,
  listen,
  openIdl,
  type Remote,
  Server,
  Store,
  type TlsKeys,
  type VswitchTables,
  vswitchSchema,
} from "../ovsdb/index.js";
import { errnoText } from "./errno.js";
import { Managers } from "./managers.js";
import type { DaemonOptions, TlsFiles } from "./options.js";
import { below } from "./paths.js";
import type { ProcessCalls } from "./process-calls.js";
import { openSocketPath } from "./socket-path.js";

const lockName = "ovs_vswitchd";

/** Whoever serves the database writes these, every few seconds, and the switch has no use for them. */
const statusOfManagers = { Manager: ["is_connected", "status"] };

export interface Database {
  readonly idl: Idl<VswitchTables>;
  /** Path of the file when the database is served from here. */
  readonly embedded: string | undefined;
  close(): Promise<void>;
}

/** Whether somebody accepts connections on a Unix socket. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    let address: ReturnType<typeof openSocketPath>;
    try {
      address = openSocketPath(path);
    } catch {
      resolve(false);
      return;
    }
    const socket = connect({ path: address.path });
    const done = (answer: boolean): void => {
      address.close();
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => done(true));
    socket.once("error", () => done(false));
  });
}

/** `unix:NAME` is below the run directory unless it is absolute; the rest is as it was given. */
export function absoluteRemotes(remotes: string, runDirectory: string): string {
  return remotes
    .split(",")
    .map((remote) => (remote.startsWith("unix:") ? `unix:${below(runDirectory, remote.slice(5))}` : remote))
    .join(",");
}

function readKeys(tls: TlsFiles): TlsKeys | undefined {
  const ca = tls.caCert ?? tls.bootstrapCaCert;
  if (tls.privateKey === undefined || tls.certificate === undefined || ca === undefined) return undefined;
  return { key: readFileSync(tls.privateKey), cert: readFileSync(tls.certificate), ca: readFileSync(ca) };
}

/** The database room's clock, on ours. */
function databaseClock(clock: AdjustableClock): DatabaseClock {
  return {
    now: () => clock.monotonic(),
    wall: () => clock.wall(),
    after: (ms, callback) => {
      const timer = clock.after(ms, callback);
      return () => timer.cancel();
    },
  };
}

export interface DatabaseSurroundings {
  readonly options: DaemonOptions;
  readonly clock: AdjustableClock;
  readonly log: LogSource;
  readonly calls: ProcessCalls;
}

/** Opens the database.  Throws what the ovsdb room throws when the own file cannot be used. */
export async function openDatabase(around: DatabaseSurroundings): Promise<Database> {
  const { options } = around;
  const { directories } = options;
  const clock = databaseClock(around.clock);
  const reconnectLog = around.log("reconnect");
  const open = (remote: string | Server): Idl<VswitchTables> => {
    const tls = readKeys(options.tls);
    return openIdl<VswitchTables>({
      schema: vswitchSchema,
      remote,
      lock: lockName,
      clock,
      omit: statusOfManagers,
      log: (level, text) => reconnectLog[level](text),
      ...(tls === undefined ? {} : { tls }),
    });
  };

  const socket = join(directories.run, "db.sock");
  const external = options.database !== undefined || (await answers(socket));
  if (external) {
    const idl = open(absoluteRemotes(options.database ?? `unix:${socket}`, directories.run));
    return { idl, embedded: undefined, close: () => idl.close() };
  }

  const file = join(directories.db, "conf.db");
  const serverLog = around.log("ovsdb_server");
  mkdirSync(directories.db, { recursive: true });
  const store = Store.open(file, vswitchSchema, {
    clock,
    lockFile: (path) => lock(path, around.calls),
    log: (level, text) => serverLog[level](text),
  });
  const server = new Server({ clock, log: (level, text) => serverLog[level](text) });
  server.add(store);
  const remote: Remote = await listen(server, `punix:${socket}`);
  serverLog.info(`serving the database ${file} on ${socket}`);
  const idl = open(server);
  const { tls } = options;
  const managers = new Managers({
    server,
    store,
    idl,
    clock: around.clock,
    log: around.log,
    calls: around.calls,
    runDirectory: directories.run,
    tls: {
      privateKey: tls.privateKey,
      certificate: tls.certificate,
      caCert: tls.caCert ?? tls.bootstrapCaCert,
      bootstrap: tls.bootstrapCaCert !== undefined,
    },
  });
  return {
    idl,
    embedded: file,
    close: async () => {
      await managers.close();
      await idl.close();
      await remote.close();
      server.close();
      try {
        unlinkSync(socket);
      } catch {
        // Closing has removed it.
      }
    },
  };
}

function lock(path: string, calls: ProcessCalls): () => void {
  mkdirSync(dirname(path), { recursive: true });
  const descriptor = calls.lockFile(path, 0o600);
  if (descriptor < 0) {
    const holder = calls.lockHolder(path);
    const why = holder > 0 ? `it is already locked by pid ${holder}` : errnoText(descriptor);
    throw new Error(`${path}: cannot lock file because ${why}`);
  }
  return () => void calls.unlockFile(descriptor);
}
