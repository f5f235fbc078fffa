/** The managers of the database that this process serves: `ovs-vsctl set-manager` says where it is offered, and the rows tell
 *  how that goes.  With a database of another process all that is that process's. */
import type { AdjustableClock, Timer } from "../clock/index.js";
import { errorWords, type TlsFileNames, type TlsSession, TlsStore } from "../connmgr/index.js";
import type { Logger, LogSource } from "../log/index.js";
import {
  type Idl,
  isPassive,
  isPassiveTarget,
  type Json,
  type ManagerRow,
  parseTarget,
  type Remote,
  type RemoteSettings,
  type Server,
  type Store,
  serveRemote,
  type TlsSecurity,
  type VswitchTables,
} from "../ovsdb/index.js";
import { below } from "./paths.js";
import type { ProcessCalls } from "./process-calls.js";

/** How often rows tell how it goes, and what could not be opened is tried again. */
const statusMs = 2500;
const dscpDefault = 48;

export interface ManagersOptions {
  readonly server: Server;
  readonly store: Store;
  readonly idl: Idl<VswitchTables>;
  readonly clock: AdjustableClock;
  readonly log: LogSource;
  readonly calls: Pick<ProcessCalls, "setDscp">;
  readonly runDirectory: string;
  /** Of the command line; the database's SSL row comes before them. */
  readonly tls: TlsFileNames;
}

interface Manager {
  readonly dscp: number;
  settings: RemoteSettings;
  /** Undefined while it is opened, or when it could not be. */
  remote: Remote | undefined;
  isOpening: boolean;
  isClosed: boolean;
  /** Why it could not be opened, as was logged. */
  failure: string;
}

export class Managers {
  readonly #options: ManagersOptions;
  readonly #log: Logger;
  readonly #tls: TlsStore;
  readonly #managers = new Map<string, Manager>();
  /** While there are any. */
  #timer: Timer | undefined;
  readonly #unwatch: () => void;
  #sslText = "";
  /** What those who wait for clients were last told to use. */
  #tlsSession: TlsSession | undefined;

  constructor(options: ManagersOptions) {
    this.#options = options;
    this.#log = options.log("ovsdb_jsonrpc_server").limited(1, 5);
    this.#tls = new TlsStore(options.log("stream_ssl").limited(1, 5), options.tls);
    this.#unwatch = options.idl.onChange(() => this.#configure());
    this.#configure();
  }

  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#unwatch();
    await Promise.all([...this.#managers.values()].map(close));
    this.#managers.clear();
  }

  #rows(): ManagerRow[] {
    const { idl } = this.#options;
    const rows = [...(idl.table("Open_vSwitch").first()?.manager_options ?? [])].map((id) =>
      idl.table("Manager").get(id),
    );
    return rows.filter((row) => row !== undefined);
  }

  #configure(): void {
    this.#configureTls();
    const rows = new Map(this.#rows().map((row) => [row.target, row]));
    for (const [target, manager] of this.#managers) {
      const row = rows.get(target);
      if (row !== undefined && dscpOf(row) === manager.dscp) continue;
      if (row === undefined) this.#log.info(`${target}: remote deconfigured`, { target });
      void close(manager);
      this.#managers.delete(target);
    }
    for (const [target, row] of rows) {
      const settings = settingsOf(row);
      let manager = this.#managers.get(target);
      if (manager === undefined) {
        manager = { dscp: dscpOf(row), settings, remote: undefined, isOpening: false, isClosed: false, failure: "" };
        this.#managers.set(target, manager);
      } else if (JSON.stringify(settings) !== JSON.stringify(manager.settings)) {
        manager.settings = settings;
        manager.remote?.configure(settings);
      }
      if (manager.remote === undefined && !manager.isOpening) void this.#open(target, manager);
    }
    this.#watch();
  }

  #watch(): void {
    if (this.#managers.size === 0) {
      this.#timer?.cancel();
      this.#timer = undefined;
    } else {
      this.#timer ??= this.#options.clock.every(statusMs, () => {
        this.#configure();
        this.#renew();
        this.#report();
      });
    }
  }

  #configureTls(): void {
    const row = this.#options.idl.table("SSL").first();
    const names: TlsFileNames =
      row === undefined
        ? this.#options.tls
        : {
            privateKey: row.private_key,
            certificate: row.certificate,
            caCert: row.ca_cert,
            bootstrap: row.bootstrap_ca_cert,
          };
    const text = JSON.stringify(names);
    if (text === this.#sslText) return;
    this.#sslText = text;
    this.#tls.setNames(names);
    // Those that wait for clients took their certificates when they began to.
    for (const [target, manager] of this.#managers) {
      if (!target.startsWith("pssl:")) continue;
      void close(manager);
      this.#managers.delete(target);
    }
  }

  /** Certificates are renewed by writing their files: those who wait for clients take them at the next look. */
  #renew(): void {
    const listening = [...this.#managers].filter(([target]) => target.startsWith("pssl:"));
    const remotes = listening.filter(([, { remote }]) => remote !== undefined);
    if (remotes.length === 0) return;
    const session = this.#tls.session();
    if (session === this.#tlsSession) return;
    this.#tlsSession = session;
    for (const [, { remote, settings }] of remotes) remote?.configure(settings);
  }

  async #open(target: string, manager: Manager): Promise<void> {
    const { server, calls, runDirectory } = this.#options;
    const method = target.replace(
      /^(p?unix:)(.+)$/,
      (_, kind: string, path: string) => kind + below(runDirectory, path),
    );
    manager.isOpening = true;
    try {
      const remote = await serveRemote(server, method, {
        ...manager.settings,
        security: () => this.#security(target),
        mark: (descriptor) => {
          calls.setDscp(descriptor, manager.dscp);
        },
      });
      if (manager.isClosed) await remote.close();
      else {
        manager.remote = remote;
        remote.configure(manager.settings);
      }
    } catch (error) {
      const failure = errorWords(error);
      if (failure !== manager.failure) this.#log.err(`${target}: listen failed: ${failure}`, { target });
      manager.failure = failure;
    }
    manager.isOpening = false;
  }

  #security(target: string): TlsSecurity {
    const { options, verify, bootstrap } = this.#tls.session();
    const learn: TlsSecurity["learn"] = (socket) => {
      if (!this.#tls.learn(socket) || !isPassiveTarget(target)) return;
      // It goes on listening with what was learnt.
      const manager = this.#managers.get(target);
      if (manager !== undefined) void close(manager);
      this.#managers.delete(target);
      this.#configure();
    };
    return { context: options, verify, learn: bootstrap ? learn : undefined };
  }

  #report(): void {
    const operations = this.#rows().map((row): Json => {
      const remote = this.#managers.get(row.target)?.remote;
      const status = Object.entries(statusOf(row.target, remote)).map(([key, value]): Json => [key, value]);
      return {
        op: "update",
        table: "Manager",
        where: [["_uuid", "==", ["uuid", row.uuid]]],
        row: { is_connected: remote?.status().connected ?? false, status: ["map", status] },
      };
    });
    if (operations.length > 0) this.#options.store.transact(["Open_vSwitch", ...operations]);
  }
}

async function close(manager: Manager): Promise<void> {
  manager.isClosed = true;
  await manager.remote?.close();
}

function dscpOf(row: ManagerRow): number {
  const text = row.other_config.get("dscp");
  const dscp = text === undefined ? dscpDefault : Number.parseInt(text, 10) || 0;
  return dscp >= 0 && dscp <= 63 ? dscp : dscpDefault;
}

function settingsOf(row: ManagerRow): RemoteSettings {
  const { inactivity_probe: probeMs, max_backoff: backoffMsMax } = row;
  return {
    ...(probeMs === undefined ? {} : { probeMs }),
    ...(backoffMsMax === undefined ? {} : { backoffMsMax }),
  };
}

/** Whether the method is one to wait for clients by.  What is none at all is a peer that never answers, as in Open vSwitch. */
function canListen(target: string): boolean {
  try {
    return isPassive(parseTarget(target));
  } catch {
    return false;
  }
}

/** The status column. */
export function statusOf(target: string, remote: Remote | undefined): Record<string, string> {
  if (remote === undefined)
    return canListen(target) ? { sec_since_connect: "0", sec_since_disconnect: "0" } : { state: "BACKOFF" };
  const status = remote.status();
  const { locks, boundPort, connections } = status;
  const waits = isPassiveTarget(remote.target);
  const texts: Record<string, string | undefined> = {
    state: waits ? undefined : status.state,
    sec_since_connect: status.connectedSeconds?.toString(),
    sec_since_disconnect: status.disconnectedSeconds?.toString(),
    last_error: status.lastError,
    locks_held: locks.held.join(" ") || undefined,
    locks_waiting: locks.waiting.join(" ") || undefined,
    locks_lost: locks.lost.join(" ") || undefined,
    n_connections: waits && connections > 1 ? String(connections) : undefined,
    bound_port: boundPort?.toString(),
  };
  const known = Object.entries(texts).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(known);
}
