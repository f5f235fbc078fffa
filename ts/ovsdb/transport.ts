/** Sockets: listening for clients, connecting to servers. */
import * as fs from "node:fs";
import * as net from "node:net";
import type { Duplex } from "node:stream";
import * as tls from "node:tls";
import { streamChannel } from "./channel.js";
import type { ReconnectState, ReconnectTiming } from "./reconnect.js";
import * as reconnect from "./reconnect.js";
import type { Server } from "./server.js";
import type { Session } from "./session.js";
import type { Target } from "./target.js";
import { isPassive, parseTarget } from "./target.js";

/** Contents of PEM files. */
export interface TlsKeys {
  readonly key: string | Uint8Array;
  readonly cert: string | Uint8Array;
  readonly ca: string | Uint8Array;
}

export interface TransportOptions {
  readonly tls?: TlsKeys;
  /** Silence after which a client on TCP or TLS is probed, in milliseconds; 5000 unless given, 0 for never. */
  readonly probeMs?: number;
  readonly backoffMsMax?: number;
  /** Largest message that is taken, in bytes. */
  readonly messageBytesMax?: number;
}

/** How a remote stands, in the words of the Manager table. */
export interface RemoteStatus {
  readonly connected: boolean;
  readonly connections: number;
  readonly state: ReconnectState["name"];
  /** Seconds in that state. */
  readonly stateSeconds: number;
  readonly lastError: string | undefined;
  /** Port on which it listens. */
  readonly boundPort: number | undefined;
}

export interface Remote {
  readonly target: string;
  status(): RemoteStatus;
  /** Ends its sessions too. */
  close(): Promise<void>;
}

function tlsOptions(keys: TlsKeys | undefined, target: string): tls.SecureContextOptions {
  if (keys === undefined) {
    throw new Error(
      `${target} needs a private key, a certificate and a CA certificate; set them (ovs-vsctl set-ssl) first.`,
    );
  }
  return { key: Buffer.from(keys.key), cert: Buffer.from(keys.cert), ca: Buffer.from(keys.ca) };
}

/** Begins a connection.  `onConnected` is called when it is up; the stream emits `error` or `close` otherwise. */
export function connectStream(target: Target, keys: TlsKeys | undefined, onConnected: () => void): Duplex {
  switch (target.kind) {
    case "unix":
      return net.connect({ path: target.path }, onConnected);
    case "tcp": {
      const socket = net.connect({ host: target.host, port: target.port }, onConnected);
      socket.setNoDelay(true);
      return socket;
    }
    case "ssl": {
      const context = tlsOptions(keys, `ssl:${target.host}`);
      // Certificates of switches and controllers carry ids, not host names.
      return tls.connect(
        { host: target.host, port: target.port, ...context, checkServerIdentity: () => undefined },
        onConnected,
      );
    }
    default:
      throw new Error(`Cannot connect to a ${target.kind}: method, which waits for connections.`);
  }
}

function peerName(socket: net.Socket, kind: string): string {
  return kind === "punix" ? "unix" : `${kind.slice(1)}:${socket.remoteAddress ?? ""}:${socket.remotePort ?? ""}`;
}

/** Waits for clients.  Rejects when the address cannot be used. */
export async function listen(server: Server, method: string, options: TransportOptions = {}): Promise<Remote> {
  const target = parseTarget(method);
  const sessions = new Set<Session>();
  const probeMs = target.kind === "punix" ? 0 : (options.probeMs ?? 5000);
  const since = server.clock.now();
  const accept = (socket: net.Socket): void => {
    socket.setNoDelay(true);
    const channel = streamChannel(socket, peerName(socket, target.kind), options.messageBytesMax);
    const session = server.accept(channel, probeMs, () => sessions.delete(session));
    sessions.add(session);
  };
  const listener =
    target.kind === "pssl"
      ? tls.createServer({ ...tlsOptions(options.tls, method), requestCert: true, rejectUnauthorized: true }, accept)
      : net.createServer(accept);
  if (target.kind === "punix") {
    fs.rmSync(target.path, { force: true });
  }
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject);
    if (target.kind === "punix") {
      listener.listen(target.path, resolve);
    } else if (target.kind === "ptcp" || target.kind === "pssl") {
      listener.listen({ port: target.port, ...(target.host === "" ? {} : { host: target.host }) }, resolve);
    } else {
      reject(new Error(`Cannot listen with the method ${method}; use punix:, ptcp: or pssl:.`));
    }
  });
  if (target.kind === "punix") {
    fs.chmodSync(target.path, 0o770);
  }
  const address = listener.address();
  const boundPort = typeof address === "object" && address !== null ? address.port : undefined;
  return {
    target: method,
    status: () => ({
      connected: sessions.size > 0,
      connections: sessions.size,
      state: "ACTIVE",
      stateSeconds: Math.trunc((server.clock.now() - since) / 1000),
      lastError: undefined,
      boundPort,
    }),
    close: () =>
      new Promise<void>((resolve) => {
        listener.close(() => resolve());
        for (const session of sessions) {
          session.close();
        }
      }),
  };
}

/** Keeps a connection to a peer that wants to use this server's databases. */
class ActiveRemote implements Remote {
  private state: ReconnectState = reconnect.voidState;
  private readonly timing: ReconnectTiming;
  private cancelTimer: (() => void) | undefined;
  private stream: Duplex | undefined;
  private session: Session | undefined;
  private lastError: string | undefined;

  constructor(
    private readonly server: Server,
    readonly target: string,
    private readonly options: TransportOptions,
  ) {
    // The session probes by itself.
    this.timing = { ...reconnect.defaultTiming, backoffMsMax: options.backoffMsMax ?? 8000, probeMs: 0 };
    this.state = reconnect.enable(this.state, server.clock.now());
    this.run();
  }

  private run(): void {
    const now = this.server.clock.now();
    const action = reconnect.due(this.state, now, this.timing);
    if (action === "connect") {
      this.connect(now);
    } else if (action === "disconnect") {
      this.failed("connection timed out");
      return;
    }
    this.cancelTimer?.();
    const at = reconnect.deadline(this.state, this.timing);
    this.cancelTimer = at === undefined ? undefined : this.server.clock.after(at - now, () => this.run());
  }

  private connect(now: number): void {
    this.state = reconnect.connecting(this.state, now);
    try {
      const stream = connectStream(parseTarget(this.target), this.options.tls, () => this.connected(stream));
      this.stream = stream;
      stream.once(
        "error",
        (error) => this.stream === stream && this.session === undefined && this.failed(error.message),
      );
    } catch (error) {
      this.failed((error as Error).message);
    }
  }

  private connected(stream: Duplex): void {
    this.state = reconnect.connected(this.state, this.server.clock.now());
    const channel = streamChannel(stream, this.target, this.options.messageBytesMax);
    this.session = this.server.accept(channel, this.options.probeMs ?? 5000, (reason) => {
      this.session = undefined;
      this.failed(reason);
    });
    this.run();
  }

  private failed(reason: string): void {
    this.lastError = reason === "" ? this.lastError : reason;
    this.stream?.destroy();
    this.stream = undefined;
    if (this.state.name !== "VOID") {
      this.state = reconnect.disconnected(this.state, this.server.clock.now(), this.timing);
      this.run();
    }
  }

  status(): RemoteStatus {
    const state = this.state;
    return {
      connected: this.session !== undefined,
      connections: this.session === undefined ? 0 : 1,
      state: state.name,
      stateSeconds: state.name === "VOID" ? 0 : Math.trunc((this.server.clock.now() - state.since) / 1000),
      lastError: this.lastError,
      boundPort: undefined,
    };
  }

  async close(): Promise<void> {
    this.state = reconnect.voidState;
    this.cancelTimer?.();
    this.session?.close();
    this.stream?.destroy();
  }
}

/** Offers a server's databases over a connection method, active or passive, as the Manager table asks for. */
export async function serveRemote(server: Server, method: string, options: TransportOptions = {}): Promise<Remote> {
  return isPassive(parseTarget(method)) ? listen(server, method, options) : new ActiveRemote(server, method, options);
}
