/** A conversation in JSON messages, over a socket or within this process. */
import type { Duplex } from "node:stream";
import type { JsonObject } from "./json.js";
import { printJson } from "./json.js";
import { Splitter } from "./splitter.js";

export interface ChannelHandler {
  message(message: JsonObject): void;
  /** What had been waiting to be sent is sent. */
  drained(): void;
  /** Called once; nothing comes after it.  `reason` is empty when either side simply closed. */
  closed(reason: string): void;
}

export interface Channel {
  /** What is on the other side, for logs. */
  readonly peer: string;
  /** Bytes waiting to be sent; always 0 within a process. */
  readonly backlogBytes: number;
  /** To be called once, before anything comes. */
  start(handler: ChannelHandler): void;
  /** Does nothing when the channel is closed. */
  send(message: JsonObject): void;
  /** No messages come until `resume`. */
  pause(): void;
  resume(): void;
  /** Closes it; `reason` is passed to the own handler. */
  close(reason?: string): void;
}

/** A channel over a connected stream, which it owns. */
export function streamChannel(stream: Duplex, peer: string, bytesMax?: number): Channel {
  return new StreamChannel(stream, peer, new Splitter(bytesMax));
}

class StreamChannel implements Channel {
  private handler: ChannelHandler | undefined;
  private queue: JsonObject[] = [];
  private paused = false;
  private open = true;
  private broken: string | undefined;

  constructor(
    private readonly stream: Duplex,
    readonly peer: string,
    private readonly splitter: Splitter,
  ) {}

  get backlogBytes(): number {
    return this.stream.writableLength;
  }

  start(handler: ChannelHandler): void {
    this.handler = handler;
    this.stream.on("data", (chunk: Uint8Array) => this.receive(chunk));
    this.stream.on("drain", () => this.open && handler.drained());
    this.stream.on("error", (error) => this.end(error.message));
    this.stream.on("end", () => this.end(""));
    this.stream.on("close", () => this.end(""));
  }

  private receive(chunk: Uint8Array): void {
    if (this.broken !== undefined || !this.open) {
      return;
    }
    try {
      for (const message of this.splitter.push(chunk)) {
        this.queue.push(message);
      }
    } catch (error) {
      this.broken = (error as Error).message;
    }
    this.deliver();
  }

  private deliver(): void {
    const queue = this.queue;
    let i = 0;
    while (this.open && !this.paused && i < queue.length) {
      this.handler?.message(queue[i++] as JsonObject);
    }
    this.queue = queue.slice(i);
    if (this.open && this.queue.length === 0 && this.broken !== undefined) {
      this.close(this.broken);
    }
  }

  send(message: JsonObject): void {
    if (this.open) {
      this.stream.write(printJson(message));
    }
  }

  pause(): void {
    this.paused = true;
    this.stream.pause();
  }

  resume(): void {
    if (this.paused) {
      this.paused = false;
      this.deliver();
      if (!this.paused) {
        this.stream.resume();
      }
    }
  }

  private end(reason: string): void {
    if (this.open) {
      this.open = false;
      this.queue = [];
      this.stream.destroy();
      this.handler?.closed(reason);
    }
  }

  close(reason = ""): void {
    if (this.open) {
      // What was sent before still goes out, as far as the peer takes it.
      const stream = this.stream;
      this.open = false;
      this.queue = [];
      if (stream.writableLength === 0) {
        stream.destroy();
      } else {
        stream.end();
        setTimeout(() => stream.destroy(), 1000).unref();
      }
      this.handler?.closed(reason);
    }
  }
}

class LocalChannel implements Channel {
  private handler: ChannelHandler | undefined;
  private inbox: JsonObject[] = [];
  private scheduled = false;
  private paused = false;
  private open = true;
  other: LocalChannel | undefined;

  constructor(readonly peer: string) {}

  readonly backlogBytes = 0;

  start(handler: ChannelHandler): void {
    this.handler = handler;
    this.schedule();
  }

  send(message: JsonObject): void {
    if (this.open) {
      this.other?.inbox.push(message);
      this.other?.schedule();
    }
  }

  private schedule(): void {
    if (!this.scheduled && this.handler !== undefined && !this.paused && this.inbox.length > 0) {
      this.scheduled = true;
      queueMicrotask(() => this.deliver());
    }
  }

  private deliver(): void {
    this.scheduled = false;
    const inbox = this.inbox;
    this.inbox = [];
    let i = 0;
    while (this.open && !this.paused && i < inbox.length) {
      this.handler?.message(inbox[i++] as JsonObject);
    }
    if (i < inbox.length) {
      this.inbox = [...inbox.slice(i), ...this.inbox];
    }
    this.schedule();
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    this.schedule();
  }

  close(reason = ""): void {
    if (this.open) {
      this.open = false;
      this.inbox = [];
      this.handler?.closed(reason);
      const other = this.other;
      queueMicrotask(() => other?.close());
    }
  }
}

/** Two ends of a conversation within this process.  Values are passed, not copied: neither side may change them. */
export function localChannels(name: string): readonly [Channel, Channel] {
  const a = new LocalChannel(name);
  const b = new LocalChannel(name);
  a.other = b;
  b.other = a;
  return [a, b];
}
