/** Requests and what kind of message they were.  A million of them may wait, so there is no object for each: the collector
 *  would go through them again and again. */
export class RequestLog<Kind extends string> {
  readonly #buffers: Uint8Array[] = [];
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #kinds: Kind[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** The message in [start, end) of bytes that nobody writes any more. */
  add(bytes: Uint8Array, start: number, end: number, kind: Kind): void {
    const index = this.#count++;
    this.#buffers[index] = bytes;
    this.#starts[index] = start;
    this.#ends[index] = end;
    this.#kinds[index] = kind;
  }

  kind(index: number): Kind | undefined {
    return index < this.#count ? this.#kinds[index] : undefined;
  }

  bytes(index: number): Uint8Array | undefined {
    if (index >= this.#count) return undefined;
    return this.#buffers[index]?.subarray(this.#starts[index], this.#ends[index]);
  }

  /** Empties the log, for as many requests again without new memory. */
  clear(): void {
    this.#count = 0;
  }
}
