import type { MessageSpan } from "../openflow/index.js";
import type { Version } from "../openflow/message.js";
import { FramingError, MessageFramer } from "./framer.js";
import { connectionReset, endOfFile, protocolError } from "./socket-error.js";
import type { Stream } from "./stream.js";
import { describe, disagreement, highest, negotiate, peerVersions } from "./version.js";

/** One OpenFlow connection over one stream: hellos, then whole messages in the agreed version.  Messages are pulled, so
 *  that the reader sets the pace; the stream is paused while some wait.  What is sent in one turn leaves in one write. */

const type = { hello: 0, error: 1, echoRequest: 2, echoReply: 3 } as const;
const badVersion = { type: 1, code: 0 } as const;
/** What waits to be written in one piece; more is written at once. */
const writeSizeMax = 256 * 1024;
/** Messages larger than this on the average are written one by one. */
const sharedSizeMax = 16 * 1024;

export interface VconnEvents {
  /** Both hellos agree. */
  ready(version: Version): void;
  /** A message waits: call `recv`. */
  readable(): void;
  /** Messages left for the kernel: `unsent` has fallen. */
  drained(): void;
  /** The connection is over.  `error`: text, "End of file" when the peer closed it in order. */
  closed(error: string): void;
  /** A remark about the peer's messages, for the log of that module. */
  remark(module: "vconn" | "vconn_stream", level: "err" | "warn", text: string): void;
  /** Whether `passed` and `seen` have to be called. */
  isWatched(): boolean;
  /** Every message that is sent or received after the hellos, for snoops. */
  seen(message: Uint8Array): void;
  /** Every message, hellos among them: `sent` says whether it is ours. */
  passed(message: Uint8Array, sent: boolean): void;
  /** The hellos agree: the sentence for the log. */
  agreed(sentence: () => string): void;
}

export class Vconn {
  readonly #stream: Stream;
  readonly #versions: number;
  readonly #events: VconnEvents;
  readonly #framer = new MessageFramer();
  #version: Version | undefined;
  #paused = false;
  #over = false;
  #queue: Uint8Array[] = [];
  #queuedSize = 0;
  #flushing = false;
  #unsent = 0;
  #unsentSize = 0;
  #queuedEver = 0;
  #sent = 0;
  #receivedCount = 0;

  /** Sends our hello at once.  `versions`: bitmap of what we speak. */
  constructor(stream: Stream, versions: number, xid: () => number, events: VconnEvents) {
    this.#stream = stream;
    this.#versions = versions;
    this.#events = events;
    this.#write(encodeHello(versions, xid()));
    this.flush();
  }

  get version(): Version | undefined {
    return this.#version;
  }

  /** Messages that the kernel has not taken yet, and their bytes. */
  get unsent(): number {
    return this.#unsent;
  }
  /** Bytes that were ever given to `send`. */
  get queuedSize(): number {
    return this.#queuedEver;
  }
  get unsentSize(): number {
    return this.#unsentSize;
  }
  get sentCount(): number {
    return this.#sent;
  }
  get receivedCount(): number {
    return this.#receivedCount;
  }
  get isOver(): boolean {
    return this.#over;
  }

  /** The stream's bytes go here. */
  take(chunk: Uint8Array): void {
    if (this.#over) return;
    this.#framer.push(chunk);
    if (this.#version === undefined) this.#negotiate();
    if (this.#over || this.#version === undefined || !this.#framer.ready) return;
    this.#pause();
    this.#events.readable();
  }

  /** The stream has ended. */
  streamClosed(error: string): void {
    if (this.#over) return;
    this.#over = true;
    if (error === endOfFile && this.#framer.size > 0 && !this.#framer.ready) {
      this.#events.remark("vconn_stream", "err", "connection dropped mid-packet");
      this.#events.closed(protocolError);
    } else {
      // Before the hellos agree, even an orderly end breaks something off.
      this.#events.closed(error === endOfFile && this.#version === undefined ? connectionReset : error);
    }
  }

  /** The next message for the caller, or undefined when none waits; it is another one after the next call, but its bytes
   *  stay.  Messages of a wrong version are answered here. */
  recvInPlace(): MessageSpan | undefined {
    const framer = this.#framer;
    while (!this.#over) {
      if (!this.#advance()) {
        if (!this.#over) this.#resume();
        return undefined;
      }
      this.#receivedCount++;
      if (this.#events.isWatched()) this.#tell(framer.bytes.subarray(framer.start, framer.end), false);
      const isGeneric = (framer.bytes[framer.start + 1] as number) <= type.echoReply;
      if (framer.bytes[framer.start] === this.#version || isGeneric) return framer;
      this.#refuseVersion(framer.bytes.subarray(framer.start, framer.end));
    }
    return undefined;
  }

  /** The same as an array of its own. */
  recv(): Uint8Array | undefined {
    const span = this.recvInPlace();
    return span?.bytes.subarray(span.start, span.end);
  }

  /** Whether `recv` wants to be called: a message waits, or the stream is held until nothing waits. */
  get readable(): boolean {
    return !this.#over && this.#version !== undefined && (this.#paused || this.#framer.ready);
  }

  /** Queues a whole message.  It leaves with the next `flush`, or by itself after the present turn. */
  send(message: Uint8Array): void {
    if (this.#over) return;
    this.#write(message);
    if (this.#queuedSize >= writeSizeMax) this.flush();
    else if (!this.#flushing) {
      this.#flushing = true;
      queueMicrotask(() => this.flush());
    }
  }

  /** Writes what is queued. */
  flush(): void {
    this.#flushing = false;
    if (this.#over || this.#queue.length === 0) return;
    const queue = this.#queue;
    const size = this.#queuedSize;
    this.#queue = [];
    this.#queuedSize = 0;
    // Small messages share a write; large ones are not worth the copy.
    if (queue.length > 1 && size / queue.length < sharedSizeMax) this.#put(Buffer.concat(queue, size), queue.length);
    else for (const message of queue) this.#put(message, 1);
  }

  #put(bytes: Uint8Array, messages: number): void {
    this.#stream.write(bytes, () => {
      this.#unsent -= messages;
      this.#unsentSize -= bytes.length;
      if (!this.#over) this.#events.drained();
    });
  }

  /** Ends the connection in order, without `closed`. */
  close(): void {
    if (this.#over) return;
    this.flush();
    this.#over = true;
    this.#stream.end();
  }

  /** Drops the connection, without `closed`. */
  destroy(): void {
    this.#over = true;
    this.#stream.destroy();
  }

  #write(message: Uint8Array): void {
    this.#queue.push(message);
    this.#queuedSize += message.length;
    this.#unsent++;
    this.#unsentSize += message.length;
    this.#queuedEver += message.length;
    this.#sent++;
    if (this.#events.isWatched()) this.#tell(message, true);
  }

  #tell(message: Uint8Array, sent: boolean): void {
    this.#events.passed(message, sent);
    if (this.#version !== undefined) this.#events.seen(message);
  }

  #advance(): boolean {
    try {
      return this.#framer.advance();
    } catch (error) {
      if (!(error instanceof FramingError)) throw error;
      this.#events.remark("vconn_stream", "err", error.message);
      this.#fail(protocolError);
      return false;
    }
  }

  /** Ends the connection because of what the peer did: what is queued still goes out. */
  #fail(error: string): void {
    if (this.#over) return;
    this.flush();
    this.#over = true;
    this.#stream.end();
    this.#events.closed(error);
  }

  #negotiate(): void {
    if (!this.#advance()) return;
    const hello = this.#framer.bytes.subarray(this.#framer.start, this.#framer.end);
    this.#receivedCount++;
    this.#events.passed(hello, false);
    if (hello[1] !== type.hello) {
      const text = `type ${hello[1]}, version 0x${(hello[0] ?? 0).toString(16).padStart(2, "0")}`;
      this.#events.remark("vconn", "warn", `received message while expecting hello: ${text}`);
      this.#fail(protocolError);
      return;
    }
    const theirs = peerVersions(hello[0] ?? 0, helloBitmap(hello));
    this.#version = negotiate(this.#versions, theirs);
    if (this.#version === undefined) {
      const text = disagreement(this.#versions, theirs);
      const ours = describe(this.#versions);
      const sentence = `version negotiation failed (we support ${ours}, peer supports ${describe(theirs)})`;
      this.#events.remark("vconn", "warn", sentence);
      const top = highest(theirs);
      this.#write(encodeError(top >= 1 && top <= 6 ? top : 1, 0, 0, 0, new TextEncoder().encode(text)));
      this.#fail(protocolError);
      return;
    }
    this.#events.agreed(() => {
      const version = (this.#version ?? 0).toString(16).padStart(2, "0");
      const both = `we support ${describe(this.#versions)}, peer supports ${describe(theirs)}`;
      return `negotiated OpenFlow version 0x${version} (${both})`;
    });
    this.#events.ready(this.#version);
  }

  #refuseVersion(message: Uint8Array): void {
    const version = message[0] ?? 0;
    const hex = (value: number): string => value.toString(16).padStart(2, "0");
    const sentence = `received OpenFlow version 0x${hex(version)} != expected ${hex(this.#version ?? 0)}`;
    this.#events.remark("vconn", "err", sentence);
    const xid = new DataView(message.buffer, message.byteOffset).getUint32(4);
    this.send(
      encodeError(
        version >= 1 && version <= 6 ? version : 1,
        xid,
        badVersion.type,
        badVersion.code,
        message.subarray(0, 64),
      ),
    );
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#stream.pause();
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#stream.resume();
  }
}

/** The version bitmap element of a hello, if it has one.  Elements that are too short end the search. */
function helloBitmap(hello: Uint8Array): number | undefined {
  const view = new DataView(hello.buffer, hello.byteOffset, hello.length);
  let at = 8;
  while (at + 4 <= hello.length) {
    const length = view.getUint16(at + 2);
    if (length < 4 || at + length > hello.length) return undefined;
    if (view.getUint16(at) === 1 && length >= 8) return view.getUint32(at + 4);
    at += (length + 7) & ~7;
  }
  return undefined;
}

/** A hello in the highest version; the bitmap is left out when it says no more than that. */
function encodeHello(versions: number, xid: number): Uint8Array {
  const top = highest(versions);
  const contiguous = versions === ((2 ** (top + 1) - 1) & ~1);
  const bytes = new Uint8Array(contiguous ? 8 : 16);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, top);
  view.setUint16(2, bytes.length);
  view.setUint32(4, xid);
  if (!contiguous) {
    view.setUint16(8, 1);
    view.setUint16(10, 8);
    view.setUint32(12, versions);
  }
  return bytes;
}

function encodeError(version: number, xid: number, errorType: number, code: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, version);
  view.setUint8(1, type.error);
  view.setUint16(2, bytes.length);
  view.setUint32(4, xid);
  view.setUint16(8, errorType);
  view.setUint16(10, code);
  bytes.set(data, 12);
  return bytes;
}
