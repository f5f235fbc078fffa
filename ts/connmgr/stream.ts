import { lstatSync, unlinkSync } from "node:fs";
import { createServer, connect as netConnect, type Server, type Socket } from "node:net";
import { type TlsOptions, connect as tlsConnect, createServer as tlsServer } from "node:tls";
import { endOfFile, errorWords } from "./socket-error.js";
import type { Target } from "./target.js";

/** A byte stream to a peer.  Exactly one `closed` follows, whoever ends it, unless `destroy` was called first. */
export interface Stream {
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

/** Keys and certificates as PEM text; the caller reads the files. */
export interface TlsMaterial {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

/** Opens an active target. */
export function openStream(target: Target, events: StreamEvents, tls: TlsMaterial | undefined): Stream {
  if (target.passive) throw new Error("a passive target cannot be opened; listen on it");
  if (target.kind === "unix") return wrap(netConnect({ path: target.path }), "connect", events);
  const where = { host: target.host, port: target.port };
  if (target.kind === "ssl") {
    const material = tls === undefined ? {} : { key: tls.key, cert: tls.cert, ca: tls.ca };
    return wrap(tlsConnect({ ...where, ...material, checkServerIdentity: () => undefined }), "secureConnect", events);
  }
  return wrap(netConnect({ ...where, noDelay: true }), "connect", events);
}

/** Turns a socket that somebody opened into a stream. */
function wrap(socket: Socket, readyEvent: "connect" | "secureConnect" | undefined, events: StreamEvents): Stream {
  let over = false;
  let failure: string | undefined;
  const finish = (): void => {
    if (over) return;
    over = true;
    events.closed(failure ?? endOfFile);
  };
  if (readyEvent !== undefined) socket.once(readyEvent, () => over || events.connected());
  socket.on("data", (chunk: Uint8Array) => over || events.data(chunk));
  socket.on("error", (error) => {
    failure = errorWords(error);
  });
  socket.on("end", () => socket.end());
  socket.on("close", finish);
  return {
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
    },
  };
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
  listening(): void;
}

let unixPeers = 0;

/** Listens on a passive target.  A socket file that nobody listens on any more is replaced. */
export function listen(target: Target, events: ListenerEvents, tls: TlsMaterial | undefined): Listener {
  if (!target.passive) throw new Error("an active target cannot be listened on; open it");
  const accept = (socket: Socket): void => {
    let handlers: StreamEvents | undefined;
    const stream = wrap(socket, undefined, {
      connected: () => undefined,
      data: (chunk) => handlers?.data(chunk),
      closed: (error) => handlers?.closed(error),
    });
    handlers = events.accepted(stream, peerName(target, socket));
  };
  const server = target.kind === "ssl" ? tlsServer(tlsOptions(tls), accept) : createServer(accept);
  server.on("error", (error) => events.failed(errorWords(error)));
  server.on("listening", () => events.listening());
  server.on("tlsClientError", () => undefined);
  if (target.kind === "unix") {
    removeSocket(target.path);
    server.listen({ path: target.path });
  } else {
    server.listen({ port: target.port, ...(target.host === undefined ? {} : { host: target.host }) });
  }
  return { close: () => closeServer(server), port: () => boundPort(server) };
}

function tlsOptions(tls: TlsMaterial | undefined): TlsOptions {
  return tls === undefined ? {} : { key: tls.key, cert: tls.cert, ca: tls.ca, requestCert: true };
}

function closeServer(server: Server): void {
  server.close();
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
