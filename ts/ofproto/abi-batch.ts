import { abi, batchFlag, batchSize, command, recordOffsets, resultSize } from "../datapath/generated/records.js";

/** What a switch needs of the datapath: batches in, queries answered.  Both are bytes of the ABI. */
export interface FlowDatapath {
  /** Applies a batch; `results` gets 16 bytes for each command.  Returns 0 or an errno value. */
  submit(batch: Uint8Array, results: Uint8Array): number;
  /** Answers a query into `reply`.  Returns the bytes used, or a negated errno value. */
  query(query: Uint8Array, reply: Uint8Array): number;
}

export interface CommandResult {
  readonly error: number;
  readonly systemError: number;
  readonly value: bigint;
}

/** The datapath refused a batch as a whole, or a query: always our own fault or a closed datapath. */
export class DatapathError extends Error {
  readonly code = "DATAPATH";
  readonly details: Readonly<Record<string, unknown>>;
  constructor(sentence: string, details: Readonly<Record<string, unknown>>) {
    super(sentence);
    this.name = "DatapathError";
    this.details = details;
  }
}

export const pad8 = (size: number): number => (size + 7) & ~7;

/** Collects commands in one growing buffer that is used again for the next batch. */
export class CommandBatch {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #results = new Uint8Array(64 * resultSize);
  #at = batchSize;
  #count = 0;

  constructor(capacity = 64 * 1024) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get count(): number {
    return this.#count;
  }
  get size(): number {
    return this.#at;
  }
  get bytes(): Uint8Array {
    return this.#bytes;
  }
  get view(): DataView {
    return this.#view;
  }

  /** Makes room for `size` bytes at the returned offset; `commit` takes them in. */
  reserve(size: number): number {
    const need = this.#at + pad8(size);
    if (need > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(need, 2 * this.#bytes.length));
      grown.set(this.#bytes.subarray(0, this.#at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return this.#at;
  }

  /** Ends a command of `size` bytes that begins at the offset `reserve` gave. */
  commit(size: number): void {
    const padded = pad8(size);
    this.#bytes.fill(0, this.#at + size, this.#at + padded);
    this.#view.setUint32(this.#at + recordOffsets.size, padded, true);
    this.#at += padded;
    this.#count++;
  }

  /** Appends a command: the fixed part is written by `write`, and `tails` follow, each padded to 8 bytes. */
  add(fixed: number, write: (view: DataView, at: number) => void, ...tails: readonly Uint8Array[]): void {
    const size = tails.reduce((sum, tail) => sum + pad8(tail.length), fixed);
    const at = this.reserve(size);
    write(this.#view, at);
    let position = at + fixed;
    for (const tail of tails) {
      this.#bytes.set(tail, position);
      this.#bytes.fill(0, position + tail.length, position + pad8(tail.length));
      position += pad8(tail.length);
    }
    this.commit(size);
  }

  /** Submits and empties the batch; returns the results, valid until the next submit.  `independent`: a failed command
   *  leaves the others. */
  submit(datapath: FlowDatapath, independent: boolean): BatchResults {
    const count = this.#count;
    this.#view.setUint32(0, this.#at, true);
    this.#view.setUint16(4, abi.version, true);
    this.#view.setUint16(6, independent ? batchFlag.independent : 0, true);
    this.#view.setUint32(8, count, true);
    this.#view.setUint32(12, 0, true);
    if (this.#results.length < count * resultSize) this.#results = new Uint8Array(2 * count * resultSize);
    const bytes = this.#bytes.subarray(0, this.#at);
    this.clear();
    if (count === 0) return new BatchResults(this.#results, 0);
    const error = datapath.submit(bytes, this.#results);
    if (error !== 0) {
      throw new DatapathError(`the datapath refused a batch of ${count} commands (errno ${error})`, { errno: error });
    }
    return new BatchResults(this.#results, count);
  }

  clear(): void {
    this.#at = batchSize;
    this.#count = 0;
  }
}

/** Outcomes of a batch's commands, in order. */
export class BatchResults {
  readonly count: number;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, count: number) {
    this.count = count;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset);
  }

  error(index: number): number {
    return this.#view.getUint32(index * resultSize, true);
  }

  /** Number of rules that the command touched, or what else the command tells. */
  value(index: number): number {
    return Number(this.#view.getBigUint64(index * resultSize + 8, true));
  }

  systemError(index: number): number {
    return this.#view.getUint32(index * resultSize + 4, true);
  }
}

/** Name of a command by number, for sentences about failures. */
export function commandName(type: number): string {
  return Object.entries(command).find(([, value]) => value === type)?.[0] ?? `command ${type}`;
}
