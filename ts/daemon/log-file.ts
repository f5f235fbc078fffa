import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";

const bufferedBytesMax = 1 << 20;

/** The log file.  Lines of one turn of the event loop are written together when it ends: one system call into the page
 *  cache, never a wait for a disk, and nothing is in flight when the process ends or a reply leaves (`flush`). */
export class LogFile {
  private descriptor: number | undefined;
  private lines: string[] = [];
  private size = 0;
  private scheduled = false;
  /** Lines that could not be written. */
  lost = 0;

  constructor(readonly path: string) {}

  get isOpen(): boolean {
    return this.descriptor !== undefined;
  }

  /** Opens or creates it.  Throws the system's error. */
  open(): void {
    this.close();
    this.descriptor = openSync(this.path, "a", 0o640);
  }

  append(line: string): void {
    if (this.descriptor === undefined) return;
    this.lines.push(line, "\n");
    this.size += line.length + 1;
    if (this.size > bufferedBytesMax) this.flush();
    else if (!this.scheduled) {
      this.scheduled = true;
      setImmediate(() => this.flush());
    }
  }

  flush(): void {
    this.scheduled = false;
    if (this.lines.length === 0 || this.descriptor === undefined) return;
    const bytes = Buffer.from(this.lines.join(""));
    const count = this.lines.length / 2;
    this.lines = [];
    this.size = 0;
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.descriptor, bytes, at);
    } catch {
      // A full disk must not take the switch down; what was lost is counted.
      this.lost += count;
    }
  }

  close(sync = false): void {
    this.flush();
    if (this.descriptor === undefined) return;
    if (sync) fsyncSync(this.descriptor);
    closeSync(this.descriptor);
    this.descriptor = undefined;
  }
}
