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

export class MessageFramer {
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;

  /** Takes what was read; messages returned earlier may point into earlier chunks, never into this object's own. */
  push(chunk: Uint8Array): void {
    if (this.#at === this.#chunk.length) {
      this.#chunk = chunk;
    } else {
      const rest = this.#chunk.subarray(this.#at);
      const joined = new Uint8Array(rest.length + chunk.length);
      joined.set(rest);
      joined.set(chunk, rest.length);
      this.#chunk = joined;
    }
    this.#at = 0;
  }

  /** The next whole message, or undefined until more bytes come.  Throws FramingError; then the stream is lost. */
  next(): Uint8Array | undefined {
    const available = this.#chunk.length - this.#at;
    if (available < 4) return undefined;
    const length = ((this.#chunk[this.#at + 2] ?? 0) << 8) | (this.#chunk[this.#at + 3] ?? 0);
    if (length < headerSize) throw new FramingError(length);
    if (available < length) return undefined;
    const message = this.#chunk.subarray(this.#at, this.#at + length);
    this.#at += length;
    return message;
  }

  /** Whether a whole message (or a framing error) waits. */
  get ready(): boolean {
    const available = this.#chunk.length - this.#at;
    if (available < 4) return false;
    const length = ((this.#chunk[this.#at + 2] ?? 0) << 8) | (this.#chunk[this.#at + 3] ?? 0);
    return length < headerSize || available >= length;
  }

  /** Bytes held. */
  get size(): number {
    return this.#chunk.length - this.#at;
  }
}
