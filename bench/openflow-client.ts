/** A raw OpenFlow 1.3 client: bytes out as fast as the socket takes them, message headers and counts in.
 *
 *  It decodes nothing that it does not need, so that the same client measures any switch without being the slow part. */
import { once } from "node:events";
import type { Socket } from "node:net";
import { connectTo } from "./process.js";

const version = 4;
const headerSize = 8;
/** Bytes handed to the socket at once. */
const chunkSize = 64 * 1024;

/** Message types of OpenFlow 1.3. */
export const messageType = {
  hello: 0,
  error: 1,
  echoRequest: 2,
  echoReply: 3,
  experimenter: 4,
  setConfig: 9,
  packetIn: 10,
  packetOut: 13,
  flowMod: 14,
  multipartRequest: 18,
  multipartReply: 19,
  barrierRequest: 20,
  barrierReply: 21,
} as const;

const multipartFlow = 1;
const moreFollows = 1;
const anyPort = 0xffffffff;

export function message(type: number, xid: number, body: Uint8Array = new Uint8Array(0)): Uint8Array {
  const bytes = new Uint8Array(headerSize + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, version);
  view.setUint8(1, type);
  view.setUint16(2, bytes.length);
  view.setUint32(4, xid);
  bytes.set(body, headerSize);
  return bytes;
}

/** What a flow dump answered. */
export interface Dump {
  readonly flows: number;
  readonly bytes: number;
}

export class OpenFlowClient {
  readonly #socket: Socket;
  readonly #counts = new Map<number, number>();
  /** Who waits for the reply with a transaction id. */
  readonly #waiting = new Map<number, () => void>();
  #rest: Uint8Array = new Uint8Array(0);
  #xid = 1;
  #error: Error | undefined;
  #dump = { flows: 0, bytes: 0 };

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => {
      this.#take(chunk);
    });
    socket.on("error", (error) => {
      this.#fail(error);
    });
    socket.on("close", () => {
      this.#fail(new Error("the switch closed the OpenFlow connection"));
    });
  }

  /** Connects to a unix socket and waits for the switch's hello. */
  static async open(path: string): Promise<OpenFlowClient> {
    const socket = await connectTo(path);
    const client = new OpenFlowClient(socket);
    socket.write(message(messageType.hello, 0));
    await client.barrier();
    return client;
  }

  /** Messages of a type that came so far. */
  count(type: number): number {
    return this.#counts.get(type) ?? 0;
  }

  /** Asks for whole packets in packet-ins, which also makes a service connection get them. */
  async wantPacketIns(): Promise<void> {
    this.#socket.write(message(messageType.setConfig, this.#next(), Uint8Array.of(0, 0, 0xff, 0xff)));
    await this.barrier();
  }

  /** Writes messages without a pause other than the socket's own. */
  async pipeline(messages: Uint8Array): Promise<void> {
    for (let at = 0; at < messages.length; at += chunkSize) {
      if (this.#error !== undefined) throw this.#error;
      if (!this.#socket.write(messages.subarray(at, at + chunkSize))) await once(this.#socket, "drain");
    }
  }

  /** Returns when the switch has done everything that was sent before; throws if it answered with an error. */
  async barrier(): Promise<void> {
    await this.#ask(messageType.barrierRequest);
    if (this.count(messageType.error) > 0) throw this.#error ?? new Error("the switch answered with an error");
  }

  /** Returns when the switch has answered an echo. */
  async echo(): Promise<void> {
    await this.#ask(messageType.echoRequest);
  }

  /** Asks for all flows; counts them and keeps none. */
  async dumpFlows(): Promise<Dump> {
    const body = new Uint8Array(8 + 32 + 8);
    const view = new DataView(body.buffer);
    view.setUint16(0, multipartFlow);
    view.setUint8(8, 0xff);
    view.setUint32(12, anyPort);
    view.setUint32(16, anyPort);
    view.setUint16(40, 1);
    view.setUint16(42, 4);
    this.#dump = { flows: 0, bytes: 0 };
    await this.#ask(messageType.multipartRequest, body);
    return this.#dump;
  }

  close(): void {
    this.#socket.removeAllListeners("close");
    this.#socket.destroy();
  }

  #next(): number {
    return (this.#xid = (this.#xid + 1) >>> 0);
  }

  async #ask(type: number, body?: Uint8Array): Promise<void> {
    if (this.#error !== undefined) throw this.#error;
    const xid = this.#next();
    const done = new Promise<void>((resolve) => this.#waiting.set(xid, resolve));
    this.#socket.write(message(type, xid, body));
    await done;
    if (this.#error !== undefined) throw this.#error;
  }

  #fail(error: Error): void {
    this.#error ??= error;
    for (const resolve of this.#waiting.values()) resolve();
    this.#waiting.clear();
  }

  #take(chunk: Uint8Array): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = 0;
    while (at + headerSize <= bytes.length) {
      const length = view.getUint16(at + 2);
      if (length < headerSize) {
        this.#fail(new Error(`the switch sent a message of ${length} bytes`));
        return;
      }
      if (at + length > bytes.length) break;
      this.#handle(view, at, length);
      at += length;
    }
    this.#rest = at === bytes.length ? new Uint8Array(0) : bytes.slice(at);
  }

  #handle(view: DataView, at: number, length: number): void {
    const type = view.getUint8(at + 1);
    const xid = view.getUint32(at + 4);
    this.#counts.set(type, (this.#counts.get(type) ?? 0) + 1);
    if (type === messageType.echoRequest) {
      this.#socket.write(message(messageType.echoReply, xid));
    } else if (type === messageType.error) {
      this.#fail(new Error(`the switch answered with error ${view.getUint16(at + 8)}/${view.getUint16(at + 10)}`));
    } else if (type === messageType.barrierReply || type === messageType.echoReply) {
      this.#finish(xid);
    } else if (type === messageType.multipartReply) {
      this.#countFlows(view, at + 16, at + length);
      if ((view.getUint16(at + 10) & moreFollows) === 0) this.#finish(xid);
    }
  }

  #countFlows(view: DataView, start: number, end: number): void {
    let { flows, bytes } = this.#dump;
    for (let at = start; at < end; ) {
      const size = view.getUint16(at);
      if (size === 0) break;
      flows++;
      bytes += size;
      at += size;
    }
    this.#dump = { flows, bytes };
  }

  #finish(xid: number): void {
    this.#waiting.get(xid)?.();
    this.#waiting.delete(xid);
  }
}
