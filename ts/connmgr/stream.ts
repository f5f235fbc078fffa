import { lstatSync, unlinkSync } from "node:fs";
import { createServer, isIP, connect as netConnect, type Server, Socket } from "node:net";
import { type Server as TlsServer, connect as tlsConnect, createServer as tlsServer } from "node:tls";
import type { Logger } from "../log/index.js";
import { endOfFile, errorWords, protocolError } from "./socket-error.js";
import type { Target } from "./target.js";
import { TlsNotConfigured, type TlsSession, type TlsStore } from "./tls.js";

/** A byte stream to a peer.  Exactly one `closed` follows, whoever ends it, unless `destroy` was called first. */
export interface Stream {
  /** The transport's connection was made, whether or not a TLS handshake followed. */
  readonly opened: boolean;
  /** Takes bytes; `flushed` is called when the kernel has them, which may be before `write` returns. */
  write(bytes: Uint8Array, flushed: () => void): void;
  /** Stops and restarts `data`. */
  pause(): void;
  resume(): void;
  /** Sends what was written, then closes. */
  end(): void;
  /** Drops the connection at once; no callback follows. */
  destroy(): void;
}

export interface StreamEvents {
  connected(): void;
  data(chunk: Uint8Array): void;
  /** `error`: text, "End of file" when the peer closed in order. */
  closed(error: string): void;
}

/** What streams need beside their target. */
export interface StreamOptions {
  /** Differentiated services code point of what is sent, 0 to 63. */
  readonly dscp: number;
  /** Sets it on a socket: a call of the operating system that Node lacks.  Undefined: not set. */
  readonly setDscp?: ((descriptor: number, dscp: number) => void) | undefined;
  readonly tls?: TlsStore | undefined;
  /** Of module stream_ssl. */
  readonly tlsLog?: Logger | undefined;
}

const notConfigured = "Protocol not available";

/** Opens an active target. */
export function openStream(target: Target, events: StreamEvents, options: StreamOptions): Stream {
  if (target.passive) throw new Error("a passive target cannot be opened; listen on it");
  if (target.kind === "unix") return wrap(netConnect({ path: target.path }), "connect", events);
  const socket = new Socket();
  if (target.kind === "tcp") {
    const stream = wrap(socket, "connect", events);
    connectInet(socket, target, true, options);
    return stream;
  }
  let session: TlsSession;
  try {
    if (options.tls === undefined) throw new TlsNotConfigured("no TLS");
    session = options.tls.session();
  } catch (error) {
    if (!(error instanceof TlsNotConfigured)) throw error;
    return refused(events, notConfigured);
  }
  // One address only: Node, trying a second one, changes the socket below TLS, and crashes.
  connectInet(socket, target, false, options);
  const secure = tlsConnect({
    ...session.options,
    socket,
    rejectUnauthorized: session.verify && !session.bootstrap,
    checkServerIdentity: () => undefined,
    ...(isIP(target.host) === 0 ? { servername: target.host } : {}),
  });
  const { bootstrap } = session;
  return wrap(secure, "secureConnect", events, {
    carrier: socket,
    log: options.tlsLog,
    accepts: () => {
      if (bootstrap) options.tls?.learn(secure);
      return !bootstrap;
    },
  });
}

/** Handles of sockets, of which Node shows only the descriptor, and that not in its types. */
interface Handle {
  readonly fd?: number;
  bind?(address: string, port: number): number;
  bind6?(address: string, port: number, flags: number): number;
}

function connectInet(
  socket: Socket,
  { host, port }: { readonly host: string; readonly port: number },
  autoSelectFamily: boolean,
  options: StreamOptions,
): void {
  socket.connect({ host, port, noDelay: true, autoSelectFamily });
  // Bound now, the socket exists before its first segment leaves, and that one is marked, too.
  const handle = (socket as unknown as { readonly _handle?: Handle })._handle;
  const family = isIP(host);
  if (options.setDscp === undefined) return;
  if (family === 4) handle?.bind?.("0.0.0.0", 0);
  else if (family === 6) handle?.bind6?.("::", 0, 0);
  if (family !== 0) markSocket(socket, options);
  else socket.once("connect", () => markSocket(socket, options));
}

function markSocket(socket: Socket | Server, { dscp, setDscp }: StreamOptions): void {
  const fd = (socket as unknown as { readonly _handle?: Handle })._handle?.fd;
  if (fd !== undefined && fd >= 0) setDscp?.(fd, dscp);
}

/** A stream that cannot be opened, which its owner is told later, as of any other. */
function refused(events: StreamEvents, error: string): Stream {
  let over = false;
  setImmediate(() => over || events.closed(error));
  const nothing = (): void => undefined;
  return {
    opened: false,
    write: nothing,
    pause: nothing,
    resume: nothing,
    end: nothing,
    destroy: () => {
      over = true;
    },
  };
}

interface Security {
  /** The TCP socket below. */
  readonly carrier?: Socket;
  readonly log?: Logger | undefined;
  /** Last word after the handshake. */
  readonly accepts?: () => boolean;
}

/** Turns a socket that somebody opened into a stream. */
function wrap(
  socket: Socket,
  readyEvent: "connect" | "secureConnect" | undefined,
  events: StreamEvents,
  security: Security = {},
): Stream {
  let over = false;
  let opened = readyEvent === undefined;
  let secured = readyEvent !== "secureConnect";
  let failure: string | undefined;
  const finish = (): void => {
    if (over) return;
    over = true;
    // A peer that leaves within the handshake has broken it.
    events.closed(failure ?? (secured || !opened ? endOfFile : protocolError));
  };
  (security.carrier ?? socket).once("connect", () => {
    opened = true;
  });
  if (readyEvent !== undefined) {
    socket.once(readyEvent, () => {
      secured = true;
      if (over) return;
      if (security.accepts?.() === false) {
        failure = protocolError;
        socket.destroy();
      } else events.connected();
    });
  }
  socket.on("data", (chunk: Uint8Array) => over || events.data(chunk));
  socket.on("error", (error) => {
    failure ??= secured || !opened ? errorWords(error) : protocolError;
    if (!secured && opened) security.log?.warn(`SSL_connect: ${tlsWords(error)}`);
  });
  socket.on("end", () => socket.end());
  socket.on("close", finish);
  return {
    get opened() {
      return opened;
    },
    write: (bytes, flushed) => {
      let told = false;
      const tell = (): void => {
        if (told) return;
        told = true;
        flushed();
      };
      socket.write(bytes, tell);
      // The callback comes a tick later even when the kernel took all at once, and senders pace themselves by it.
      if (socket.writableLength === 0) tell();
    },
    pause: () => {
      socket.pause();
    },
    resume: () => {
      socket.resume();
    },
    end: () => {
      socket.end();
    },
    destroy: () => {
      over = true;
      socket.destroy();
      security.carrier?.destroy();
    },
  };
}

/** What the TLS library says, in the form that its own tools print. */
function tlsWords(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const own = /error:([0-9A-F]{8}):SSL routines:[^:]*:([^:\n]+)/.exec(message);
  if (own !== null) return `error:${own[1]}:SSL routines::${own[2]}`;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  // Node verifies after the handshake, and reports by the name of the failed check.
  if (/CERT|SIGNATURE|ISSUER|CRL|DEPTH/.test(code)) return `error:0A000086:SSL routines::certificate verify failed`;
  return message;
}

export interface Listener {
  /** Stops listening; streams that were accepted live on.  A socket file is removed. */
  close(): void;
  /** The TCP port that is listened on. */
  port(): number | undefined;
}

export interface ListenerEvents {
  /** Called for each peer; gives the events for its stream. */
  accepted(stream: Stream, peer: string): StreamEvents;
  failed(error: string): void;
  /** One peer could not be accepted. */
  acceptFailed(error: string): void;
  listening(): void;
}

let unixPeers = 0;

/** Listens on a passive target.  A socket file that nobody listens on any more is replaced. */
export function listen(target: Target, events: ListenerEvents, options: StreamOptions): Listener {
  if (!target.passive) throw new Error("an active target cannot be listened on; open it");
  const accept = (socket: Socket, peer: string): void => {
    let handlers: StreamEvents | undefined;
    const stream = wrap(socket, undefined, {
      connected: () => undefined,
      data: (chunk) => handlers?.data(chunk),
      closed: (error) => handlers?.closed(error),
    });
    handlers = events.accepted(stream, peer);
  };
  const secure = target.kind === "ssl" ? secureAccept(target, options, events, accept) : undefined;
  const server = createServer((socket) => {
    if (secure !== undefined) secure(socket);
    else accept(socket, peerName(target, socket));
  });
  server.on("error", (error) => events.failed(errorWords(error)));
  server.on("listening", () => {
    // What is accepted is marked as what accepts.
    if (target.kind !== "unix") markSocket(server, options);
    events.listening();
  });
  if (target.kind === "unix") {
    removeSocket(target.path);
    server.listen({ path: target.path });
  } else {
    server.listen({ port: target.port, ...(target.host === undefined ? {} : { host: target.host }) });
  }
  return { close: () => server.close(), port: () => boundPort(server) };
}

/** Makes TLS of what is accepted, with the keys and certificates of that moment. */
function secureAccept(
  target: Target,
  options: StreamOptions,
  events: ListenerEvents,
  accept: (socket: Socket, peer: string) => void,
): (socket: Socket) => void {
  let current: { readonly session: TlsSession; readonly server: TlsServer } | undefined;
  return (socket) => {
    let session: TlsSession;
    try {
      if (options.tls === undefined) throw new TlsNotConfigured("no TLS");
      session = options.tls.session();
    } catch (error) {
      if (!(error instanceof TlsNotConfigured)) throw error;
      events.acceptFailed(notConfigured);
      socket.destroy();
      return;
    }
    if (session.bootstrap) {
      options.tlsLog?.info("rejecting SSL connection during bootstrap race window");
      socket.destroy();
      return;
    }
    if (current?.session !== session) {
      const { verify } = session;
      const server = tlsServer({ ...session.options, requestCert: verify, rejectUnauthorized: verify }, (secured) =>
        accept(secured, peerName(target, secured)),
      );
      server.on("tlsClientError", (error) => options.tlsLog?.warn(`SSL_accept: ${tlsWords(error)}`));
      current = { session, server };
    }
    // It never listens: it makes TLS of the connections that it is given.
    current.server.emit("connection", socket);
  };
}

function boundPort(server: Server): number | undefined {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : undefined;
}

/** Removes a left-over socket; anything else that lies there makes listening fail, as it should. */
function removeSocket(path: string): void {
  try {
    if (lstatSync(path).isSocket()) unlinkSync(path);
  } catch {
    // Nothing lies there, or it may not be touched: then listening reports it.
  }
}

function peerName(target: Target, socket: Socket): string {
  if (target.kind === "unix") return `unix#${unixPeers++}`;
  return `${target.kind}:${socket.remoteAddress?.replace(/^::ffff:/, "") ?? "?"}:${socket.remotePort ?? 0}`;
}
