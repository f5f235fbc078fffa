/** Finds where each JSON-RPC message ends in a stream that has neither lengths nor separators. */
import type { JsonObject } from "./json.js";
import { depthMax, parseJson } from "./json.js";

/** The stream is not one of JSON objects; the connection is to be closed. */
export class StreamError extends Error {
  readonly code = "bad-stream";
}

/** Largest message that is taken unless told otherwise, in bytes. */
export const messageBytesMax = 64 * 1024 * 1024;

const quote = 0x22;
const backslash = 0x5c;

export class Splitter {
  private chunks: Uint8Array[] = [];
  private heldBytes = 0;
  private depth = 0;
  private inString = false;
  private escaped = false;
  private readonly decoder = new TextDecoder("utf-8", { fatal: true });

  constructor(private readonly bytesMax: number = messageBytesMax) {}

  /** Bytes held of a message that is not complete. */
  get pendingBytes(): number {
    return this.heldBytes;
  }

  /** Takes the next bytes of the stream, which are kept until their message is complete.
   *  @returns the messages that they complete
   *  @throws StreamError when what comes cannot be a message; nothing more may be pushed then */
  push(chunk: Uint8Array): JsonObject[] {
    const messages: JsonObject[] = [];
    let start = 0;
    for (let i = 0; i < chunk.length; i++) {
      const c = chunk[i] as number;
      if (this.inString) {
        if (this.escaped) {
          this.escaped = false;
        } else if (c === backslash) {
          this.escaped = true;
        } else if (c === quote) {
          this.inString = false;
        }
      } else if (c === quote) {
        this.outsideMessage(c);
        this.inString = true;
      } else if (c === 0x7b || c === 0x5b) {
        if (this.depth === 0) {
          this.begin(c);
          start = i;
        }
        if (++this.depth > depthMax) {
          throw new StreamError("A message is nested too deeply.");
        }
      } else if (c === 0x7d || c === 0x5d) {
        this.outsideMessage(c);
        if (--this.depth === 0) {
          messages.push(this.complete(chunk.subarray(start, i + 1)));
          start = i + 1;
        }
      } else if (this.depth === 0 && c !== 0x20 && (c < 0x09 || c > 0x0d)) {
        this.outsideMessage(c);
      }
    }
    if (this.depth > 0) {
      this.hold(chunk.subarray(start));
    }
    return messages;
  }

  private outsideMessage(c: number): void {
    if (this.depth === 0) {
      throw new StreamError(`A message must be an object, but the byte 0x${c.toString(16).padStart(2, "0")} came.`);
    }
  }

  private begin(c: number): void {
    if (c !== 0x7b) {
      throw new StreamError("A message must be an object, but an array came.");
    }
  }

  private hold(part: Uint8Array): void {
    this.heldBytes += part.length;
    if (this.heldBytes > this.bytesMax) {
      throw new StreamError(`A message is longer than ${this.bytesMax} bytes.`);
    }
    // A slice of a large read would keep all of it alive.
    this.chunks.push(part.slice());
  }

  private complete(last: Uint8Array): JsonObject {
    if (this.heldBytes + last.length > this.bytesMax) {
      throw new StreamError(`A message is longer than ${this.bytesMax} bytes.`);
    }
    const bytes = this.chunks.length === 0 ? last : Buffer.concat([...this.chunks, last]);
    this.chunks = [];
    this.heldBytes = 0;
    try {
      return parseJson(this.decoder.decode(bytes)) as JsonObject;
    } catch (error) {
      throw new StreamError(`A message is not JSON: ${(error as Error).message}`);
    }
  }
}
