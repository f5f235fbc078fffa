/** The file of a standalone database: records of JSON that are only ever appended (ovsdb(5)). */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import type { JsonObject } from "./json.js";
import { isObject, parseJson, printJson } from "./json.js";

/** The file cannot be used: it is missing, damaged at the start, locked, or of another kind. */
export class LogFileError extends Error {
  constructor(
    readonly code: "missing" | "not-a-database" | "clustered" | "locked" | "write-failed",
    message: string,
    readonly details: Readonly<Record<string, string | number>> = {},
  ) {
    super(message);
    this.name = "LogFileError";
  }
}

/** Takes a POSIX write lock on a file, which it makes when needed, and holds it until the result is called.
 *  @throws Error when another process has it */
export type LockFile = (path: string) => () => void;

const headerPattern = /^OVSDB (JSON|CLUSTER) ([0-9]+) ([0-9a-f]{40})$/;
/** A first line is never longer than this. */
const headerBytesMax = 128;

export interface LogContents {
  /** The schema first, then transactions. */
  readonly records: readonly JsonObject[];
  /** Where the last good record ends. */
  readonly goodBytes: number;
  readonly totalBytes: number;
  /** What is wrong after `goodBytes`; undefined when the file ends there. */
  readonly damage: string | undefined;
}

function sha1(bytes: Uint8Array): string {
  return createHash("sha1").update(bytes).digest("hex");
}

interface RecordAt {
  readonly json: JsonObject;
  readonly end: number;
}

/** Reads the record at `offset`; a string says what is wrong with it. */
function readRecord(bytes: Buffer, offset: number): RecordAt | string {
  const newline = bytes.subarray(offset, offset + headerBytesMax).indexOf(0x0a);
  const header = newline < 0 ? null : headerPattern.exec(bytes.toString("latin1", offset, offset + newline));
  if (header === null) {
    return `parse error at offset ${offset} in header line`;
  }
  if (header[1] === "CLUSTER") {
    return "clustered";
  }
  const start = offset + newline + 1;
  const end = start + Number(header[2]);
  if (end > bytes.length) {
    return `unexpected end of file at offset ${bytes.length}, in a record that begins at offset ${offset}`;
  }
  const data = bytes.subarray(start, end);
  if (sha1(data) !== header[3]) {
    return `${data.length} bytes starting at offset ${start} have SHA-1 hash ${sha1(data)} but should have hash ${header[3]}`;
  }
  try {
    const json = parseJson(data.toString("utf8"));
    return isObject(json) ? { json, end } : `${data.length} bytes starting at offset ${start} are not a JSON object`;
  } catch (error) {
    return `${data.length} bytes starting at offset ${start} are not JSON: ${(error as Error).message}`;
  }
}

/** Splits the bytes of a file into records, up to the first that is damaged. */
export function parseLog(bytes: Buffer): LogContents {
  const records: JsonObject[] = [];
  let offset = 0;
  let damage: string | undefined;
  while (offset < bytes.length && damage === undefined) {
    const record = readRecord(bytes, offset);
    if (typeof record === "string") {
      damage = record;
    } else {
      records.push(record.json);
      offset = record.end;
    }
  }
  return { records, goodBytes: offset, totalBytes: bytes.length, damage };
}

/** One record as it stands in a file. */
export function formatRecord(record: JsonObject): Buffer {
  const data = Buffer.from(`${printJson(record)}\n`, "utf8");
  return Buffer.concat([Buffer.from(`OVSDB JSON ${data.length} ${sha1(data)}\n`, "latin1"), data]);
}

function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += fs.writeSync(fd, bytes, done, bytes.length - done, position + done);
  }
}

function syncDirectory(directory: string): void {
  const fd = fs.openSync(directory, "r");
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** A database's path with symbolic links followed, so that replacing the file keeps the link. */
function realPath(file: string): string {
  try {
    return fs.realpathSync(file);
  } catch {
    return path.resolve(file);
  }
}

/** An open file that grows.  Its owner is the only one who writes, which the lock sees to. */
export class LogFile {
  private syncing: Promise<void> | undefined;
  private dirty = false;
  private failed: string | undefined;

  private constructor(
    readonly path: string,
    private fd: number,
    private readonly unlock: () => void,
    /** Bytes in the file. */
    private size: number,
    /** Bytes that the file had when it was last written as a whole. */
    private baseSize: number,
    /** Transactions since then. */
    private appended: number,
  ) {}

  /** Opens a file and reads it.  A damaged tail, as a crash leaves it, is cut off; `contents.damage` tells of it.
   *  @throws LogFileError */
  static open(file: string, lock?: LockFile): { readonly log: LogFile; readonly contents: LogContents } {
    const target = realPath(file);
    const unlock = takeLock(target, lock);
    try {
      const bytes = readWhole(target);
      const contents = parseLog(bytes);
      if (contents.records.length === 0) {
        throw contents.damage === "clustered"
          ? new LogFileError("clustered", `${target} is a clustered database, which only ovsdb-server can serve.`)
          : new LogFileError(
              "not-a-database",
              `${target} does not begin with a schema: ${contents.damage ?? "it is empty"}.`,
            );
      }
      const fd = fs.openSync(target, "r+");
      if (contents.goodBytes < bytes.length) {
        fs.ftruncateSync(fd, contents.goodBytes);
      }
      const baseSize = contents.records.length > 2 ? 0 : contents.goodBytes;
      const log = new LogFile(target, fd, unlock, contents.goodBytes, baseSize, contents.records.length - 1);
      return { log, contents };
    } catch (error) {
      unlock();
      throw error;
    }
  }

  /** Makes a file of these records, which must not exist.
   *  @throws LogFileError */
  static create(file: string, records: readonly JsonObject[], lock?: LockFile): LogFile {
    const target = realPath(file);
    const unlock = takeLock(target, lock);
    try {
      const { fd, size } = replaceFile(target, records);
      return new LogFile(target, fd, unlock, size, size, 0);
    } catch (error) {
      unlock();
      throw error;
    }
  }

  get bytes(): number {
    return this.size;
  }

  get baseBytes(): number {
    return this.baseSize;
  }

  get transactions(): number {
    return this.appended;
  }

  /** Appends a record.  It survives the end of this process at once, and of the system after `sync`.
   *  @throws LogFileError when it could not be written; the file then is as it was before */
  append(record: JsonObject): void {
    if (this.failed !== undefined) {
      throw new LogFileError("write-failed", `${this.path} cannot be written since an earlier error: ${this.failed}.`);
    }
    const bytes = formatRecord(record);
    try {
      writeAll(this.fd, bytes, this.size);
    } catch (error) {
      const message = (error as Error).message;
      try {
        fs.ftruncateSync(this.fd, this.size);
      } catch {
        this.failed = message;
      }
      throw new LogFileError("write-failed", `${this.path} could not be written: ${message}.`, {
        errno: (error as NodeJS.ErrnoException).code ?? "",
      });
    }
    this.size += bytes.length;
    this.appended++;
    this.dirty = true;
  }

  /** Resolves when everything appended so far is on the disk.  Calls that come together share one fsync. */
  async sync(): Promise<void> {
    while (this.syncing !== undefined) {
      await this.syncing;
    }
    if (this.dirty) {
      this.dirty = false;
      const fd = this.fd;
      this.syncing = new Promise<void>((resolve, reject) => {
        fs.fdatasync(fd, (error) => (error === null || error.code === "EBADF" ? resolve() : reject(error)));
      }).finally(() => {
        this.syncing = undefined;
      });
      await this.syncing;
    }
  }

  /** Writes the whole file anew; a crash leaves either the old contents or the new.
   *  @throws LogFileError when it could not; the old file stays in use */
  replace(records: readonly JsonObject[]): void {
    const { fd, size } = replaceFile(this.path, records);
    fs.closeSync(this.fd);
    this.fd = fd;
    this.size = size;
    this.baseSize = size;
    this.appended = 0;
    this.dirty = false;
    this.failed = undefined;
  }

  close(): void {
    if (this.fd >= 0) {
      try {
        if (this.dirty) {
          fs.fdatasyncSync(this.fd);
        }
      } finally {
        fs.closeSync(this.fd);
        this.fd = -1;
        this.unlock();
      }
    }
  }
}

function takeLock(target: string, lock: LockFile | undefined): () => void {
  if (lock === undefined) {
    return () => undefined;
  }
  const file = path.join(path.dirname(target), `.${path.basename(target)}.~lock~`);
  try {
    return lock(file);
  } catch (error) {
    throw new LogFileError(
      "locked",
      `${target} is in use by another process (${file}: ${(error as Error).message}); stop that one first.`,
    );
  }
}

function readWhole(target: string): Buffer {
  try {
    return fs.readFileSync(target);
  } catch (error) {
    throw new LogFileError("missing", `${target} could not be read: ${(error as Error).message}.`, {
      errno: (error as NodeJS.ErrnoException).code ?? "",
    });
  }
}

function replaceFile(target: string, records: readonly JsonObject[]): { readonly fd: number; readonly size: number } {
  const temporary = `${target}.tmp`;
  const mode = fs.existsSync(target) ? fs.statSync(target).mode & 0o777 : 0o640;
  let fd = -1;
  try {
    fs.rmSync(temporary, { force: true });
    fd = fs.openSync(temporary, "wx+", mode);
    let size = 0;
    for (const record of records) {
      const bytes = formatRecord(record);
      writeAll(fd, bytes, size);
      size += bytes.length;
    }
    fs.fsyncSync(fd);
    fs.renameSync(temporary, target);
    syncDirectory(path.dirname(target));
    return { fd, size };
  } catch (error) {
    if (fd >= 0) {
      fs.closeSync(fd);
    }
    fs.rmSync(temporary, { force: true });
    throw new LogFileError("write-failed", `${target} could not be written: ${(error as Error).message}.`, {
      errno: (error as NodeJS.ErrnoException).code ?? "",
    });
  }
}
