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

/** What one TLS handshake uses. */
export interface TlsSecurity {
  readonly context: tls.SecureContextOptions;
  readonly verify: boolean;
  /** Peers are trusted this once: their CA is learnt, and the connection made again.  Undefined: no. */
  readonly learn: ((socket: tls.TLSSocket) => void) | undefined;
}

export interface TransportOptions {
  readonly tls?: TlsKeys;
  /** In place of `tls`: asked for each handshake of a connection that is made, and when listening begins.  Throws if TLS is
   *  not configured. */
  readonly security?: () => TlsSecurity;
  /** Marks what a socket sends, given its descriptor. */
  readonly mark?: (descriptor: number) => void;
  /** Silence after which a client on TCP or TLS is probed, in milliseconds; 5000 unless given, 0 for never. */
  readonly probeMs?: number;
  readonly backoffMsMax?: number;
  /** Largest message that is taken, in bytes. */
  readonly messageBytesMax?: number;
}

/** What of a remote can change while it is there. */
export type RemoteSettings = Pick<TransportOptions, "probeMs" | "backoffMsMax">;

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
  /** Since the last connection was made, and since the last one broke, if any was. */
  readonly connectedSeconds: number | undefined;
  readonly disconnectedSeconds: number | undefined;
  /** Of the one session of a connection that is made from here. */
  readonly locks: Session["locks"];
}

export interface Remote {
  readonly target: string;
  status(): RemoteStatus;
  /** Takes other settings, and for handshakes to come what `security` says now. */
  configure(settings: RemoteSettings): void;
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

const noLocks: Session["locks"] = { held: [], waiting: [], lost: [] };

/** As `keys`, which do not change. */
function fixedSecurity(keys: TlsKeys | undefined, target: string): TlsSecurity {
  return { context: tlsOptions(keys, target), verify: true, learn: undefined };
}

/** The descriptor of a socket, which Node has, but not in its types. */
function descriptorOf(socket: net.Socket): number {
  return (socket as unknown as { readonly _handle?: { readonly fd?: number } })._handle?.fd ?? -1;
}

function markSocket(socket: net.Socket, mark: TransportOptions["mark"]): void {
  const descriptor = descriptorOf(socket);
  if (descriptor >= 0) mark?.(descriptor);
}

/** Begins a connection.  `onConnected` is called when it is up; the stream emits `error` or `close` otherwise. */
export function connectStream(
  target: Target,
  security: TlsKeys | (() => TlsSecurity) | undefined,
  onConnected: () => void,
  mark?: TransportOptions["mark"],
): Duplex {
  switch (target.kind) {
    case "unix":
      return net.connect({ path: target.path }, onConnected);
    case "tcp": {
      const socket = net.connect({ host: target.host, port: target.port }, onConnected);
      socket.setNoDelay(true);
      socket.once("connect", () => markSocket(socket, mark));
      return socket;
    }
    case "ssl": {
      const name = `ssl:${target.host}`;
      const { context, verify, learn } = typeof security === "function" ? security() : fixedSecurity(security, name);
      const { host, port } = target;
      // One address only: Node, trying a second one, changes the socket below TLS, and crashes.
      const carrier = net.connect({ host, port, autoSelectFamily: false });
      carrier.once("connect", () => markSocket(carrier, mark));
      // Certificates of switches and controllers carry ids, not host names.
      const socket = tls.connect(
        {
          socket: carrier,
          ...context,
          ...(net.isIP(host) === 0 ? { servername: host } : {}),
          rejectUnauthorized: verify && learn === undefined,
          checkServerIdentity: () => undefined,
        },
        () => {
          if (learn === undefined) {
            onConnected();
            return;
          }
          learn(socket);
          socket.destroy(new Error("the peer's CA certificate was learnt; connecting again"));
        },
      );
      carrier.once("error", (error) => socket.destroy(error));
      return socket;
    }
    default:
      throw new Error(`Cannot connect to a ${target.kind}: method, which waits for connections.`);
  }
}

function peerName(socket: net.Socket, kind: string): string {
  return kind === "punix" ? "unix" : `${kind.slice(1)}:${socket.remoteAddress ?? ""}:${socket.remotePort ?? ""}`;
}

const defaultProbeMs = 5000;
const defaultBackoffMs = 8000;
const endOfFile = "End of file";

/** Clients of a listener that learns are trusted, told from, and have to come again. */
function secureListener(method: string, options: TransportOptions, accept: (socket: net.Socket) => void): net.Server {
  const { context, verify, learn } = options.security?.() ?? fixedSecurity(options.tls, method);
  const trusts = !verify || learn !== undefined;
  return tls.createServer({ ...context, requestCert: verify, rejectUnauthorized: !trusts }, (socket) => {
    if (learn === undefined) {
      accept(socket);
      return;
    }
    learn(socket);
    socket.destroy();
  });
}

/** Waits for clients.  Rejects when the address cannot be used. */
export async function listen(server: Server, method: string, options: TransportOptions = {}): Promise<Remote> {
  const target = parseTarget(method);
  const sessions = new Set<Session>();
  let probeMs = options.probeMs ?? (target.kind === "punix" ? 0 : defaultProbeMs);
  const since = server.clock.now();
  const accept = (socket: net.Socket): void => {
    socket.setNoDelay(true);
    markSocket(socket, options.mark);
    const channel = streamChannel(socket, peerName(socket, target.kind), options.messageBytesMax);
    const session = server.accept(channel, probeMs, () => sessions.delete(session));
    sessions.add(session);
  };
  const listener = target.kind === "pssl" ? secureListener(method, options, accept) : net.createServer(accept);
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
      // As Open vSwitch says it, which does not ask each client.
      connectedSeconds: 0,
      disconnectedSeconds: 0,
      locks: noLocks,
    }),
    configure: (settings) => {
      probeMs = settings.probeMs ?? (target.kind === "punix" ? 0 : defaultProbeMs);
      for (const session of sessions) session.setProbe(probeMs);
      if (listener instanceof tls.Server && options.security !== undefined)
        listener.setSecureContext(options.security().context);
    },
    close: () =>
      new Promise<void>((resolve) => {
        listener.close(() => resolve());
        for (const session of sessions) {
          session.close();
        }
      }),
  };
}

/** The session probes by itself. */
function timingOf({ backoffMsMax = defaultBackoffMs }: TransportOptions): ReconnectTiming {
  return { ...reconnect.defaultTiming, backoffMsMax, probeMs: 0 };
}

/** Keeps a connection to a peer that wants to use this server's databases. */
class ActiveRemote implements Remote {
  private state: ReconnectState = reconnect.voidState;
  private timing: ReconnectTiming;
  private connectedAt: number | undefined;
  private disconnectedAt: number | undefined;
  private cancelTimer: (() => void) | undefined;
  private stream: Duplex | undefined;
  private session: Session | undefined;
  private lastError: string | undefined;

  constructor(
    private readonly server: Server,
    readonly target: string,
    private options: TransportOptions,
  ) {
    this.timing = timingOf(options);
    this.state = reconnect.enable(this.state, server.clock.now());
    this.run();
  }

  private run(): void {
    const now = this.server.clock.now();
    const action = reconnect.due(this.state, now, this.timing);
    if (action === "connect") {
      this.connect(now);
    } else if (action === "disconnect") {
      this.failed();
      return;
    }
    this.cancelTimer?.();
    const at = reconnect.deadline(this.state, this.timing);
    this.cancelTimer = at === undefined ? undefined : this.server.clock.after(at - now, () => this.run());
  }

  private connect(now: number): void {
    this.state = reconnect.connecting(this.state, now);
    try {
      const { tls, security, mark } = this.options;
      const target = parseTarget(this.target);
      const stream = connectStream(target, security ?? tls, () => this.connected(stream), mark);
      this.stream = stream;
      stream.once("error", () => this.stream === stream && this.session === undefined && this.failed());
    } catch {
      this.failed();
    }
  }

  private connected(stream: Duplex): void {
    this.state = reconnect.connected(this.state, this.server.clock.now());
    this.connectedAt = this.server.clock.now();
    this.lastError = undefined;
    const channel = streamChannel(stream, this.target, this.options.messageBytesMax);
    this.session = this.server.accept(channel, this.options.probeMs ?? defaultProbeMs, (reason) => {
      this.session = undefined;
      this.disconnectedAt = this.server.clock.now();
      // Only a connection that there was can have failed; as Open vSwitch has it.
      this.lastError = reason === "" ? endOfFile : reason;
      this.failed();
    });
    this.run();
  }

  private failed(): void {
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
      connectedSeconds: this.secondsSince(this.connectedAt),
      disconnectedSeconds: this.secondsSince(this.disconnectedAt),
      locks: this.session?.locks ?? noLocks,
    };
  }

  private secondsSince(at: number | undefined): number | undefined {
    return at === undefined ? undefined : Math.trunc((this.server.clock.now() - at) / 1000);
  }

  configure(settings: RemoteSettings): void {
    // What is set no more has its default again.
    const { probeMs: _, backoffMsMax: __, ...rest } = this.options;
    this.options = { ...rest, ...settings };
    this.timing = timingOf(this.options);
    this.session?.setProbe(this.options.probeMs ?? defaultProbeMs);
    this.run();
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
