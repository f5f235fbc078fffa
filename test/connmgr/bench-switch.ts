import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../ts/clock/index.js";
import { Connmgr } from "../../ts/connmgr/index.js";
import { type LogSource, silentLogger } from "../../ts/log/index.js";
import { localPort10, noFeatures, type Ofproto, Ofprotos, type PortDevice } from "../../ts/ofproto/index.js";
import { decodeMessage, encodeMessage, type Message, type MessageBody, type Version } from "../../ts/openflow/index.js";
import { FakeDatapath } from "../ofproto/fake-datapath.js";

/** A bridge br0 with ports p1 and p2 and its OpenFlow sockets in a directory of its own. */
export interface BenchSwitch {
  readonly directory: string;
  readonly datapath: FakeDatapath;
  readonly all: Ofprotos;
  readonly ofproto: Ofproto;
  readonly connmgr: Connmgr;
  readonly log: string[];
  readonly management: string;
  close(): void;
}

export function device(last: number, more: Partial<PortDevice> = {}): PortDevice {
  return {
    hwAddr: Uint8Array.of(0xaa, 0x55, 0xaa, 0x55, 0, last),
    mtu: 1500,
    up: true,
    carrier: true,
    features: noFeatures,
    ...more,
  };
}

export function benchSwitch(): BenchSwitch {
  const directory = mkdtempSync(join(tmpdir(), "sluice-connmgr-"));
  const lines: string[] = [];
  const log: LogSource = (module) => {
    const put =
      (level: string) =>
      (text: string): void => {
        lines.push(`${module}|${level}|${text}`);
      };
    const logger = {
      ...silentLogger,
      emer: put("EMER"),
      err: put("ERR"),
      warn: put("WARN"),
      info: put("INFO"),
      limited: () => logger,
    };
    return logger;
  };
  const clock = systemClock();
  const datapath = new FakeDatapath();
  const all = new Ofprotos({ datapath, clock, log });
  const ofproto = all.create({ name: "br0", datapathId: 0x0000aa55aa550000n });
  ofproto.addPort({ name: "br0", dpPort: 100, requestedNumber: localPort10, shownAs: "internal", ...device(0) });
  for (const number of [1, 2])
    ofproto.addPort({ name: `p${number}`, dpPort: number, shownAs: "dummy", ...device(number) });
  const connmgr = new Connmgr({ ofproto, runDirectory: directory, clock, log });
  connmgr.openManagement();
  connmgr.setFailMode("standalone");
  return {
    directory,
    datapath,
    all,
    ofproto,
    connmgr,
    log: lines,
    management: join(directory, "br0.mgmt"),
    close: () => {
      connmgr.close();
      all.remove(ofproto);
      clock.dispose();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A controller's end of a connection, for tests. */
export class Peer {
  readonly socket: Socket;
  readonly version: Version;
  #bytes: Uint8Array = new Uint8Array(0);
  readonly #messages: Message[] = [];
  readonly #waiting: ((message: Message | undefined) => void)[] = [];
  #closed = false;
  #xid = 100;

  constructor(socket: Socket, version: Version) {
    this.socket = socket;
    this.version = version;
    socket.on("data", (chunk) => this.#take(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#closed = true;
      for (const wait of this.#waiting.splice(0)) wait(undefined);
    });
  }

  /** Says hello and waits for the other one. */
  static async open(path: string, version: Version): Promise<Peer> {
    const peer = new Peer(connect({ path }), version);
    peer.raw(hello(version));
    const first = await peer.next();
    if (first?.type !== "hello") throw new Error(`expected a hello, got ${first?.type}`);
    return peer;
  }

  raw(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  send(body: MessageBody): number {
    const xid = this.#xid++;
    this.raw(encodeMessage(this.version, xid, body));
    return xid;
  }

  /** The next message, or undefined when the connection has ended. */
  next(): Promise<Message | undefined> {
    const message = this.#messages.shift();
    if (message !== undefined || this.#closed) return Promise.resolve(message);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Sends a barrier; everything that comes before its reply. */
  async barrier(): Promise<Message[]> {
    this.send({ type: "barrier_request" });
    const seen: Message[] = [];
    for (;;) {
      const message = await this.next();
      if (message === undefined) throw new Error("the connection ended");
      if (message.type === "barrier_reply") return seen;
      seen.push(message);
    }
  }

  close(): void {
    this.socket.destroy();
  }

  #take(chunk: Uint8Array): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    for (;;) {
      const length = ((this.#bytes[2] ?? 0) << 8) | (this.#bytes[3] ?? 0);
      if (this.#bytes.length < 8 || this.#bytes.length < length) return;
      const message = decodeMessage(this.#bytes.slice(0, length));
      this.#bytes = this.#bytes.slice(length);
      const wait = this.#waiting.shift();
      if (wait === undefined) this.#messages.push(message);
      else wait(message);
    }
  }
}

export function hello(version: number, bitmap?: number): Uint8Array {
  const bytes = new Uint8Array(bitmap === undefined ? 8 : 16);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, version);
  view.setUint16(2, bytes.length);
  if (bitmap !== undefined) {
    view.setUint16(8, 1);
    view.setUint16(10, 8);
    view.setUint32(12, bitmap);
  }
  return bytes;
}

export function flowAdd(priority: number, more: Partial<Extract<MessageBody, { type: "flow_mod" }>> = {}): MessageBody {
  return {
    type: "flow_mod",
    standard: true,
    command: 0,
    tableId: 0,
    priority,
    cookie: 0n,
    cookieMask: 0n,
    newCookie: 0n,
    modifyCookie: false,
    idleTimeout: 0,
    hardTimeout: 0,
    bufferId: 0xffffffff,
    outPort: 0xffffffff,
    outGroup: 0xffffffff,
    importance: 0,
    flags: 0,
    match: new Uint8Array(0),
    actions: new Uint8Array(0),
    ...more,
  };
}
