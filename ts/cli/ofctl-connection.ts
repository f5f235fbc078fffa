/** One OpenFlow connection of `sluice ofctl`: hellos, then requests and their replies, one after the other. */
import { existsSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { isAbsolute, join, resolve } from "node:path";
import { FramingError, MessageFramer } from "../connmgr/framer.js";
import { parseTarget } from "../connmgr/index.js";
import { endOfFile, errorWords, protocolError } from "../connmgr/socket-error.js";
import { describe, negotiate } from "../connmgr/version.js";
import { directories, openSocketPath } from "../daemon/index.js";
import {
  appendMessage,
  ByteWriter,
  bundleAct,
  bundleFlags,
  decodeMessage,
  encodeMessage,
  type Message,
  type MessageBody,
  OpenFlowError,
  swapTlvMap,
  TlvMap,
  type TlvMapping,
  tlvCommand,
} from "../openflow/index.js";
import { Failure } from "./failure.js";

/** What the connections of one run share. */
export interface OfctlRun {
  /** Bitmap of the OpenFlow versions that may be spoken. */
  readonly versions: number;
  /** Transaction identifiers go on from one connection to the next. */
  xid: number;
  /** Writes a line about what was met on the way to standard error. */
  remark(module: string, level: "WARN" | "INFO", text: string): void;
}

interface Place {
  /** How the place is called in the switch's and our remarks. */
  readonly name: string;
  readonly connect: () => Socket;
  /** The sentence when nobody is there. */
  readonly absent: (words: string) => string;
}

function unixSocket(path: string): Socket {
  const address = openSocketPath(path);
  return createConnection({ path: address.path }).once("connect", address.close).once("error", address.close);
}

/** A switch is a connection method, the path of a socket, or a bridge's name. */
function placeOf(name: string): Place {
  const { run } = directories(process.env);
  if (name.includes(":")) {
    const absent = (words: string): string => `connecting to ${name} (${words})`;
    const target = parseTarget(name, run);
    if (target === undefined || target.passive || target.kind === "ssl")
      throw new Failure(absent("Address family not supported by protocol"));
    return {
      name,
      absent,
      connect: () =>
        target.kind === "unix" ? unixSocket(target.path) : createConnection({ host: target.host, port: target.port }),
    };
  }
  const path = [isAbsolute(name) ? name : resolve(name), join(run, `${name}.mgmt`)].find((one) => existsSync(one));
  if (path === undefined) throw new Failure(`${name} is not a bridge or a socket`);
  return {
    name: `unix:${path}`,
    connect: () => unixSocket(path),
    absent: (words) => `${path}: failed to open socket (${words})`,
  };
}

/** Flows that match tunnel options are read and written by the map of their bridge. */
export function mapOf(options: readonly TlvMapping[]): TlvMap {
  return TlvMap.empty.changed({ type: "nxt_tlv_table_mod", command: tlvCommand.add, mappings: options });
}

/** Takes the switch's map of options for flows that are read and printed from now on.  One that has none leaves it as it
 *  is.  Transaction identifiers go on as if nothing had been asked. */
export async function learnOptions(run: OfctlRun, name: string): Promise<void> {
  const next = run.xid;
  const connection = await OfctlConnection.open(run, name);
  try {
    const reply = await connection.ask({ type: "nxt_tlv_table_request" });
    if (reply.type === "nxt_tlv_table_reply" && reply.mappings.length > 0) swapTlvMap(mapOf(reply.mappings));
  } finally {
    connection.close();
    run.xid = next;
  }
}

export class OfctlConnection {
  readonly #run: OfctlRun;
  readonly #name: string;
  readonly #place: Place;
  readonly #socket: Socket;
  readonly #framer = new MessageFramer();
  #version = 0;
  #isConnected = false;
  #over: string | undefined;
  #wake: (() => void) | undefined;

  private constructor(run: OfctlRun, name: string) {
    this.#run = run;
    this.#name = name;
    this.#place = placeOf(name);
    this.#socket = this.#place.connect();
    this.#socket.once("connect", () => {
      this.#isConnected = true;
    });
    this.#socket.on("data", (chunk: Uint8Array) => {
      this.#framer.push(chunk);
      this.#socket.pause();
      this.#wake?.();
    });
    const end = (words: string): void => {
      this.#over ??= words;
      this.#wake?.();
    };
    this.#socket.on("error", (error) => end(errorWords(error)));
    this.#socket.on("close", () => end(endOfFile));
  }

  /** Connects and agrees on a version; throws Failure. */
  static async open(run: OfctlRun, name: string): Promise<OfctlConnection> {
    const connection = new OfctlConnection(run, name);
    try {
      await connection.#greet();
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  get version(): number {
    return this.#version;
  }

  /** Sends the message and returns its xid. */
  send(body: MessageBody): number {
    const xid = this.#run.xid++;
    let bytes: Uint8Array;
    try {
      bytes = encodeMessage(this.#version, xid, body);
    } catch (error) {
      throw new Failure(error instanceof Error ? error.message : String(error));
    }
    this.#socket.write(bytes);
    return xid;
  }

  /** The next reply to the request: echo requests are answered, and what others asked for is passed over. */
  async receive(xid: number): Promise<Message> {
    for (;;) {
      const message = await this.#understand(await this.#next());
      if (message.type === "echo_request") {
        const reply = encodeMessage(this.#version, message.xid, { type: "echo_reply", data: message.data });
        this.#socket.write(reply);
      } else if (message.xid === xid) return message;
    }
  }

  /** Sends a request and gives its reply, or the error that answers it. */
  async ask(body: MessageBody): Promise<Message> {
    return this.receive(this.send(body));
  }

  /** Every part of the reply to a request; an error is the only part. */
  async *askAll(body: MessageBody): AsyncGenerator<Message> {
    const xid = this.send(body);
    for (;;) {
      const message = await this.receive(xid);
      yield message;
      if (!("more" in message) || !message.more) return;
    }
  }

  /** Sends what is answered only when it fails, and a barrier.  Resolves to the error, if one came. */
  async order(body: MessageBody): Promise<Message | undefined> {
    const xid = this.send(body);
    const barrier = this.send({ type: "barrier_request" });
    let error: Message | undefined;
    for (;;) {
      const message = this.#decode(await this.#next());
      if (message.type === "error" && (message.xid === xid || message.xid === barrier)) error ??= message;
      if (message.xid === barrier) return error;
    }
  }

  /** Sends requests that are answered only when they fail, one after the other, and a barrier.  Resolves to the first
   *  error, if one came. */
  async orderAll(bodies: Iterable<MessageBody>): Promise<Message | undefined> {
    const first = this.#run.xid;
    this.#socket.cork();
    for (const body of bodies) this.send(body);
    return this.#barrier(first);
  }

  /** Sends what `encodeBundle` made, and a barrier.  Resolves to the first error, if one came. */
  async orderBundle({ bytes, count }: EncodedBundle): Promise<Message | undefined> {
    this.#socket.cork();
    this.#socket.write(bytes);
    this.#run.xid = Math.max(this.#run.xid, count + 1);
    return this.#barrier(1);
  }

  async #barrier(first: number): Promise<Message | undefined> {
    const barrier = this.send({ type: "barrier_request" });
    this.#socket.uncork();
    let error: Message | undefined;
    for (;;) {
      const message = this.#decode(await this.#next());
      if (message.type === "error" && message.xid >= first) error ??= message;
      if (message.xid === barrier) return error;
    }
  }

  close(): void {
    this.#over ??= endOfFile;
    this.#socket.destroy();
  }

  async #greet(): Promise<void> {
    const { versions } = this.#run;
    const top = 31 - Math.clz32(versions);
    this.#socket.write(encodeMessage(top, this.#run.xid++, { type: "hello", versions }));
    const fail = (words: string): Failure =>
      new Failure(
        this.#isConnected ? `${this.#name}: failed to connect to socket (${words})` : this.#place.absent(words),
      );
    let bytes: Uint8Array;
    try {
      bytes = await this.#next();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      throw fail(this.#over === undefined || this.#over === endOfFile ? "Connection reset by peer" : this.#over);
    }
    const hello = this.#decode(bytes);
    if (hello.type !== "hello") throw fail(protocolError);
    const version = negotiate(versions, hello.versions);
    if (version === undefined) {
      const both = `we support ${describe(versions)}, peer supports ${describe(hello.versions)}`;
      this.#run.remark("vconn", "WARN", `${this.#place.name}: version negotiation failed (${both})`);
      throw fail(protocolError);
    }
    this.#version = version;
  }

  /** A message about tunnel options that are not known here is read by the switch's own map of them. */
  async #understand(bytes: Uint8Array): Promise<Message> {
    try {
      return decodeMessage(bytes);
    } catch (error) {
      if (!(error instanceof OpenFlowError) || error.code !== "NXFMFC_INVALID_TLV_FIELD") return this.#decode(bytes);
    }
    await learnOptions(this.#run, this.#name);
    return this.#decode(bytes);
  }

  #decode(bytes: Uint8Array): Message {
    try {
      return decodeMessage(bytes);
    } catch (error) {
      if (!(error instanceof OpenFlowError)) throw error;
      throw new Failure(`received bad reply: ***decode error: ${error.code}*** (${error.message})`);
    }
  }

  async #next(): Promise<Uint8Array> {
    for (;;) {
      try {
        const message = this.#framer.next();
        if (message !== undefined) return message;
      } catch (error) {
        if (!(error instanceof FramingError)) throw error;
        throw new Failure(error.message);
      }
      if (this.#over !== undefined) throw new Failure(`${this.#place.name}: connection closed (${this.#over})`);
      this.#socket.resume();
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
      this.#wake = undefined;
    }
  }
}

/** Messages that open a bundle, fill it and commit it. */
export interface EncodedBundle {
  readonly bytes: Uint8Array;
  /** Of messages; their transaction ids are the numbers from 1 on. */
  readonly count: number;
}

/** One bundle of requests: all of them take effect, or none.  Made beforehand, it costs nothing when it is sent. */
export function encodeBundle(version: number, bodies: Iterable<MessageBody>): EncodedBundle {
  const out = new ByteWriter(1 << 16);
  const bundle = { id: 1, flags: bundleFlags.atomic | bundleFlags.ordered };
  let xid = 1;
  appendMessage(out, version, xid++, { type: "bundle_control", act: bundleAct.open, ...bundle });
  for (const body of bodies) {
    const message = encodeMessage(version, xid, body);
    appendMessage(out, version, xid++, { type: "bundle_add_message", message, ...bundle });
  }
  appendMessage(out, version, xid, { type: "bundle_control", act: bundleAct.commit, ...bundle });
  return { bytes: out.finish(), count: xid };
}
