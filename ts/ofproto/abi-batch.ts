import { abi, batchFlag, batchSize, command, recordOffsets, resultSize } from "../datapath/generated/records.js";
import { ByteWriter } from "../openflow/index.js";

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

/** Collects commands in one growing buffer that is used again for the next batch. */
export class CommandBatch {
  readonly #out: ByteWriter;
  #results = new Uint8Array(64 * resultSize);
  #count = 0;

  constructor(capacity = 64 * 1024) {
    this.#out = new ByteWriter(capacity);
    this.#out.zeros(batchSize);
  }

  get count(): number {
    return this.#count;
  }
  /** Where the next command begins. */
  get size(): number {
    return this.#out.position;
  }
  /** Bytes that it can hold without growing. */
  get capacity(): number {
    return this.#out.bytes.length;
  }
  get view(): DataView {
    return this.#out.view;
  }

  /** Appends a command that `write` puts whole, header and all, of `source`.  When it throws, nothing is appended. */
  append<Source>(source: Source, write: (out: ByteWriter, source: Source) => void): void {
    const begin = this.#out.position;
    try {
      write(this.#out, source);
    } catch (error) {
      this.#out.position = begin;
      throw error;
    }
    this.#count++;
  }

  /** Appends a command: the fixed part is written by `write`, and `tails` follow, each padded to 8 bytes. */
  add(fixed: number, write: (view: DataView, at: number) => void, ...tails: readonly Uint8Array[]): void {
    const out = this.#out;
    const at = out.position;
    out.zeros(fixed);
    write(out.view, at);
    for (const tail of tails) {
      out.put(tail);
      out.align(8);
    }
    out.view.setUint32(at + recordOffsets.size, out.position - at, true);
    this.#count++;
  }

  /** Submits and empties the batch; returns the results, valid until the next submit.  `independent`: a failed command
   *  leaves the others. */
  submit(datapath: FlowDatapath, independent: boolean): BatchResults {
    const count = this.#count;
    const { view, position } = this.#out;
    view.setUint32(0, position, true);
    view.setUint16(4, abi.version, true);
    view.setUint16(6, independent ? batchFlag.independent : 0, true);
    view.setUint32(8, count, true);
    view.setUint32(12, 0, true);
    if (this.#results.length < count * resultSize) this.#results = new Uint8Array(2 * count * resultSize);
    const bytes = this.#out.bytes.subarray(0, position);
    this.clear();
    if (count === 0) return new BatchResults(this.#results, 0);
    const error = datapath.submit(bytes, this.#results);
    if (error !== 0) {
      throw new DatapathError(`the datapath refused a batch of ${count} commands (errno ${error})`, { errno: error });
    }
    return new BatchResults(this.#results, count);
  }

  clear(): void {
    this.#out.position = batchSize;
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
