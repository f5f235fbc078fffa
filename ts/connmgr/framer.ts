/** Cuts a byte stream into OpenFlow messages.  Holds at most one unfinished message (65535 bytes) besides what the last
 *  `push` brought, and copies only the message that two pushes share. */

export const headerSize = 8;
export const messageSizeMax = 0xffff;

export class FramingError extends Error {
  readonly code = "MESSAGE_TOO_SHORT";
  constructor(readonly length: number) {
    super(`received too-short ofp_header (${length} bytes)`);
    this.name = "FramingError";
  }
}

const nothing = new Uint8Array(0);

export class MessageFramer {
  /** The message that `advance` came to: `bytes` from `start` to `end`.  There are hundreds of thousands a second, so
   *  there is no object for each. */
  bytes: Uint8Array = nothing;
  start = 0;
  end = 0;
  /** What is not cut yet: a whole message that two chunks shared, if there is one, then the chunk from `#at`. */
  #head: Uint8Array = nothing;
  #chunk: Uint8Array = nothing;
  #at = 0;

  /** Takes what was read, which nobody writes any more; messages stay what they are after later pushes. */
  push(chunk: Uint8Array): void {
    // One class of arrays: code that is compiled for one is thrown away when it meets another.
    const plain = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
    if (this.#at === this.#chunk.length) {
      this.#chunk = plain;
      this.#at = 0;
      return;
    }
    const rest = this.#chunk.subarray(this.#at);
    const missing = (sizeAt(rest, 0) ?? 0) - rest.length;
    // As a rule one message is cut between two chunks, and no other is copied.
    if (this.#head.length === 0 && missing > 0 && missing <= plain.length) {
      this.#head = joined(rest, plain.subarray(0, missing));
      this.#chunk = plain;
      this.#at = missing;
    } else {
      this.#chunk = joined(rest, plain);
      this.#at = 0;
    }
  }

  /** Moves on to the next whole message; false until more bytes come.  Throws FramingError; then the stream is lost. */
  advance(): boolean {
    if (this.#head.length > 0) {
      this.bytes = this.#head;
      this.start = 0;
      this.end = this.#head.length;
      this.#head = nothing;
      return true;
    }
    const length = sizeAt(this.#chunk, this.#at);
    if (length === undefined) return false;
    if (length < headerSize) throw new FramingError(length);
    const end = this.#at + length;
    if (end > this.#chunk.length) return false;
    this.bytes = this.#chunk;
    this.start = this.#at;
    this.end = end;
    this.#at = end;
    return true;
  }

  /** The next whole message, or undefined until more bytes come.  Throws FramingError. */
  next(): Uint8Array | undefined {
    return this.advance() ? this.bytes.subarray(this.start, this.end) : undefined;
  }

  /** Whether a whole message (or a framing error) waits. */
  get ready(): boolean {
    if (this.#head.length > 0) return true;
    const length = sizeAt(this.#chunk, this.#at);
    return length !== undefined && (length < headerSize || this.#at + length <= this.#chunk.length);
  }

  /** Bytes held. */
  get size(): number {
    return this.#head.length + this.#chunk.length - this.#at;
  }
}

/** Length of the message at `at`, or undefined when its header is cut. */
function sizeAt(bytes: Uint8Array, at: number): number | undefined {
  if (bytes.length - at < 4) return undefined;
  return ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}
