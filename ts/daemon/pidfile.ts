import { existsSync, ftruncateSync, readFileSync, renameSync, statSync, unlinkSync, writeSync } from "node:fs";
import { constants } from "node:os";
import { errnoText } from "./errno.js";
import type { ProcessCalls } from "./process-calls.js";

/** The pidfile cannot be had: another daemon has it, or the system refuses. */
export class PidfileError extends Error {
  constructor(
    readonly code: "running" | "system",
    message: string,
    readonly details: Readonly<Record<string, string | number>> = {},
  ) {
    super(message);
    this.name = "PidfileError";
  }
}

/** The pid of the living daemon that holds `path`, or 0.  Never ask it for a pidfile of this process. */
export function pidfileHolder(path: string, calls: ProcessCalls): number {
  if (!existsSync(path)) return 0;
  const holder = calls.lockHolder(path);
  if (holder < 0) {
    if (-holder === constants.errno.ENOENT) return 0;
    throw new PidfileError("system", `${path}: open failed (${errnoText(holder)})`, { path, errno: -holder });
  }
  if (holder === 0) return 0;
  // In another pid namespace the lock's owner shows as 0 or -1; the contents are the next best.
  return holder > 0 ? holder : Number.parseInt(readFileSync(path, "utf8"), 10) || 0;
}

function refuseIfHeld(path: string, calls: ProcessCalls): void {
  const pid = pidfileHolder(path, calls);
  if (pid === 0) return;
  throw new PidfileError("running", `${path}: already running as pid ${pid}, aborting`, { path, pid });
}

/** A pidfile: it says the pid, it is locked by it, and it goes when the daemon goes. */
export class Pidfile {
  private constructor(
    readonly path: string,
    /** Stays open: closing any descriptor of the file would drop the lock. */
    private readonly descriptor: number,
    private readonly inode: number,
  ) {}

  /** Writes and locks it.  A stale one is replaced; a held one is an error unless `overwrite`. */
  static create(path: string, overwrite: boolean, calls: ProcessCalls): Pidfile {
    if (!overwrite) refuseIfHeld(path, calls);
    // It appears under its name complete and locked, or not at all.
    const temporary = `${path}.tmp`;
    const descriptor = calls.lockFile(temporary, 0o644);
    if (descriptor < 0) {
      const what = -descriptor === constants.errno.EAGAIN ? "fcntl(F_SETLK)" : "create";
      throw new PidfileError("system", `${temporary}: ${what} failed (${errnoText(descriptor)})`, { path });
    }
    try {
      // Two that start together: the one that comes here second sees the first.
      if (!overwrite) refuseIfHeld(path, calls);
      ftruncateSync(descriptor);
      writeSync(descriptor, `${process.pid}\n`);
      renameSync(temporary, path);
    } catch (error) {
      calls.unlockFile(descriptor);
      throw error;
    }
    return new Pidfile(path, descriptor, statSync(path).ino);
  }

  /** Removes it, unless another daemon has taken the name. */
  remove(calls: ProcessCalls): void {
    try {
      if (statSync(this.path).ino === this.inode) unlinkSync(this.path);
    } catch {
      // Somebody has removed it before us.
    }
    calls.unlockFile(this.descriptor);
  }
}
