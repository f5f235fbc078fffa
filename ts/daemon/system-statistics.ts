/** Open_vSwitch.statistics: the host, as Open vSwitch tells of it when `other_config:enable-statistics` asks. */
import { readdirSync, readFileSync, statfsSync, statSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { join } from "node:path";

/** What is asked of the host; injected in tests. */
export interface HostFiles {
  readonly read: (path: string) => string;
  readonly list: (directory: string) => readonly string[];
  readonly space: (mount: string) => { readonly bsize: number; readonly blocks: number; readonly bfree: number };
  /** Tells files apart, by whatever path they are found. */
  readonly inode: (path: string) => string;
}

/** This process, as its own statistics need it. */
export interface OwnProcess {
  readonly pid: number;
  /** May not be opened: to close any descriptor of it gives up the lock. */
  readonly pidfile: string | undefined;
  /** How often one before it has crashed since the monitor started. */
  readonly crashes: number;
}

const hostFiles: HostFiles = {
  read: (path) => readFileSync(path, "utf8"),
  list: (directory) => readdirSync(directory),
  space: (mount) => statfsSync(mount),
  inode: (path) => {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  },
};

const kib = 1024;
/** USER_HZ, which Linux shows to programs whatever it uses inside. */
const ticksPerSecond = 100;

/** What cannot be read is left out. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** KiB: all, used, cached, swap, swap used. */
function memory(files: HostFiles): string {
  const meminfo = files.read("/proc/meminfo");
  const of = (key: string): number => Number(new RegExp(`^${key}:\\s*(\\d+)`, "m").exec(meminfo)?.[1] ?? 0);
  const [total, swap] = [of("MemTotal"), of("SwapTotal")];
  return [total, total - of("MemFree"), of("Buffers") + of("Cached"), swap, swap - of("SwapFree")].join(",");
}

interface Process {
  readonly name: string;
  readonly parent: number;
  readonly cpuMs: number;
  readonly upMs: number;
  readonly virtualKib: number;
  readonly residentKib: number;
  readonly core: number;
}

function processOf(files: HostFiles, pid: number): Process {
  const stat = files.read(`/proc/${pid}/stat`);
  const end = stat.lastIndexOf(")");
  // The first of these is the state, which is field 3.
  const fields = stat.slice(end + 2).split(" ");
  const field = (number: number): number => Number(fields[number - 3]);
  const sinceBootS = Number(files.read("/proc/uptime").split(" ")[0]);
  return {
    name: stat.slice(stat.indexOf("(") + 1, end),
    parent: field(4),
    cpuMs: ((field(14) + field(15)) * 1000) / ticksPerSecond,
    upMs: Math.max(0, Math.round(1000 * (sinceBootS - field(22) / ticksPerSecond))),
    virtualKib: Math.round(field(23) / kib),
    residentKib: Number(/^VmRSS:\s*(\d+)/m.exec(files.read(`/proc/${pid}/status`))?.[1] ?? 0),
    core: field(39),
  };
}

/** KiB of address space and in memory, CPU time, crashes, time since the first start and since the last one, CPU. */
function processText(files: HostFiles, pid: number, own: OwnProcess): string {
  const { name, parent, virtualKib, residentKib, cpuMs, upMs, core } = processOf(files, pid);
  const monitor = parent === 0 ? undefined : processOf(files, parent);
  const isWatched = monitor?.name === name;
  // Open vSwitch's monitors tell it in their command lines.
  const told = isWatched ? /\((\d+) crashes/.exec(files.read(`/proc/${parent}/cmdline`))?.[1] : undefined;
  const crashes = pid === own.pid ? own.crashes : (told ?? 0);
  return [virtualKib, residentKib, cpuMs, crashes, isWatched ? monitor.upMs : upMs, upMs, core].join(",");
}

/** Local file systems that can be written to, each with its KiB and how many are used. */
function fileSystems(files: HostFiles): string | undefined {
  const found: string[] = [];
  for (const line of files.read("/etc/mtab").split("\n")) {
    const [device = "", mount = "", , options = ""] = line.split(" ");
    if (!device.startsWith("/dev") || !options.includes("rw")) continue;
    const path = mount.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    const text = attempt(() => {
      const { bsize, blocks, bfree } = files.space(path);
      const size = (count: number): number => Math.floor((bsize * count) / kib);
      return `${path.replace(/[ ,]/g, "_")},${size(blocks)},${size(blocks) - size(bfree)}`;
    });
    if (text !== undefined) found.push(text);
  }
  return found.length === 0 ? undefined : found.join(" ");
}

/** The pid that a pidfile says. */
function pidOf(files: HostFiles, path: string, own: OwnProcess): number | undefined {
  if (own.pidfile !== undefined && files.inode(path) === files.inode(own.pidfile)) return own.pid;
  const text = files.read(path);
  return /^\d+\s*$/.test(text) ? Number(text) : undefined;
}

/** `runDirectory`: daemons whose pidfiles are there are told of. */
export function systemStatistics(
  runDirectory: string,
  own: OwnProcess,
  files: HostFiles = hostFiles,
): Map<string, string> {
  const found = new Map<string, string>();
  const put = (key: string, read: () => string | undefined): void => {
    const value = attempt(read);
    if (value !== undefined) found.set(key, value);
  };
  put("cpu", () => String(availableParallelism()));
  put("load_average", () =>
    loadavg()
      .map((load) => load.toFixed(2))
      .join(","),
  );
  put("memory", () => memory(files));
  const pidfiles = attempt(() => files.list(runDirectory)) ?? [];
  for (const name of pidfiles) {
    const daemon = /^(.+)\.pid$/.exec(name)?.[1];
    if (daemon === undefined) continue;
    put(`process_${daemon}`, () => {
      const pid = pidOf(files, join(runDirectory, name), own);
      return pid === undefined ? undefined : processText(files, pid, own);
    });
  }
  put("file_systems", () => fileSystems(files));
  return found;
}
