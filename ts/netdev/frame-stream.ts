import { createConnection, createServer, type Server, type Socket } from "node:net";

/** A test device's frames over a socket, as Open vSwitch's dummy devices carry them: each after its length in two bytes.
 *  Two devices, of two processes or of one, are joined by giving one `pstream` and the other `stream`. */

/** Pause before a connection is tried again.  Real time: a clock that is stopped for a test must not keep devices apart. */
const retryMs = 100;
const frameSizeMax = 65535;

type Address = { readonly path: string } | { readonly host: string; readonly port: number };

function addressOf(text: string): Address | undefined {
  const unix = /^p?unix:(.+)$/.exec(text);
  if (unix !== null) return { path: unix[1] as string };
  const passive = /^ptcp:(\d+)(?::(.+))?$/.exec(text);
  if (passive !== null) return { host: passive[2] ?? "0.0.0.0", port: Number(passive[1]) };
  const active = /^tcp:(.+):(\d+)$/.exec(text);
  return active === null ? undefined : { host: active[1] as string, port: Number(active[2]) };
}

export class FrameStream {
  readonly #receive: (frame: Uint8Array) => void;
  readonly #peers = new Set<Socket>();
  #server: Server | undefined;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  /** `target` is punix:, ptcp:, unix: or tcp: with an address; `receive` gets each whole frame. */
  constructor(
    readonly target: string,
    receive: (frame: Uint8Array) => void,
  ) {
    this.#receive = receive;
    const address = addressOf(target);
    if (address === undefined) throw new RangeError(`${target} is not the address of a stream`);
    if (target.startsWith("p")) this.#listen(address);
    else this.#connect(address);
  }

  get connected(): boolean {
    return this.#peers.size > 0;
  }

  send(frame: Uint8Array): void {
    if (frame.length > frameSizeMax) return;
    const bytes = new Uint8Array(2 + frame.length);
    new DataView(bytes.buffer).setUint16(0, frame.length);
    bytes.set(frame, 2);
    for (const peer of this.#peers) peer.write(bytes);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#server?.close();
    for (const peer of this.#peers) peer.destroy();
    this.#peers.clear();
  }

  #listen(address: Address): void {
    const server = createServer((socket) => this.#attach(socket));
    server.on("error", () => this.#again(() => this.#listen(address)));
    server.listen(address);
    this.#server = server;
  }

  #connect(address: Address): void {
    const socket = createConnection(address);
    socket.on("connect", () => this.#attach(socket));
    socket.on("error", () => undefined);
    socket.on("close", () => this.#again(() => this.#connect(address)));
  }

  #again(run: () => void): void {
    if (this.#closed) return;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(run, retryMs).unref();
  }

  #attach(socket: Socket): void {
    this.#peers.add(socket);
    let kept: Uint8Array = new Uint8Array(0);
    socket.on("data", (data: Uint8Array) => {
      let bytes = kept.length === 0 ? data : Buffer.concat([kept, data]);
      for (;;) {
        const size = bytes.length < 2 ? 0 : ((bytes[0] as number) << 8) | (bytes[1] as number);
        if (bytes.length < 2 + size || bytes.length < 2) break;
        if (size > 0) this.#receive(Uint8Array.from(bytes.subarray(2, 2 + size)));
        bytes = bytes.subarray(2 + size);
      }
      kept = bytes;
    });
    socket.on("error", () => undefined);
    socket.on("close", () => this.#peers.delete(socket));
  }
}
