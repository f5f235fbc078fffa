/** Open_vSwitch.statistics: the host, as Open vSwitch tells of it when `other_config:enable-statistics` asks. */
import { readdirSync, readFileSync, statfsSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";

/** What is asked of the host; injected in tests. */
export interface HostFiles {
  readonly read: (path: string) => string;
  readonly list: (directory: string) => readonly string[];
  readonly space: (mount: string) => { readonly bsize: number; readonly blocks: number; readonly bfree: number };
}

const hostFiles: HostFiles = {
  read: (path) => readFileSync(path, "utf8"),
  list: (directory) => readdirSync(directory),
  space: (mount) => statfsSync(mount),
};

const kib = 1024;
/** USER_HZ, which Linux shows to programs whatever it uses inside. */
const ticksPerSecond = 100;

/** What cannot be read is left out. */
function attempt(read: () => string | undefined): string | undefined {
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
function processText(files: HostFiles, pid: number): string {
  const { name, parent, virtualKib, residentKib, cpuMs, upMs, core } = processOf(files, pid);
  const monitor = parent === 0 ? undefined : processOf(files, parent);
  const isWatched = monitor?.name === name;
  const crashes = isWatched ? (/\((\d+) crashes/.exec(files.read(`/proc/${parent}/cmdline`))?.[1] ?? 0) : 0;
  return [virtualKib, residentKib, cpuMs, crashes, isWatched ? monitor.upMs : upMs, upMs, core].join(",");
}

/** Local file systems that can be written to, each with its KiB and how many are used. */
function fileSystems(files: HostFiles): string | undefined {
  const found: string[] = [];
  for (const line of files.read("/etc/mtab").split("\n")) {
    const [device = "", mount = "", , options = ""] = line.split(" ");
    if (!device.startsWith("/dev") || !options.includes("rw")) continue;
    const path = mount.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    const { bsize, blocks, bfree } = files.space(path);
    const size = (count: number): number => Math.floor((bsize * count) / kib);
    found.push(`${path.replace(/[ ,]/g, "_")},${size(blocks)},${size(blocks) - size(bfree)}`);
  }
  return found.length === 0 ? undefined : found.join(" ");
}

/** `runDirectory`: daemons whose pidfiles are there are told of.  `ownPidfile` is this process's, which it may not open:
 *  to close any descriptor of it gives up the lock. */
export function systemStatistics(
  runDirectory: string,
  ownPidfile: string | undefined,
  files: HostFiles = hostFiles,
): Map<string, string> {
  const found = new Map<string, string>();
  const put = (key: string, value: string | undefined): void => void (value === undefined || found.set(key, value));
  put("cpu", String(cpus().length));
  put(
    "load_average",
    loadavg()
      .map((load) => load.toFixed(2))
      .join(","),
  );
  put(
    "memory",
    attempt(() => memory(files)),
  );
  for (const name of files.list(runDirectory)) {
    const daemon = /^(.+)\.pid$/.exec(name)?.[1];
    if (daemon === undefined) continue;
    const path = join(runDirectory, name);
    const pid = path === ownPidfile ? String(process.pid) : attempt(() => files.read(path));
    if (pid !== undefined && /^\d+\s*$/.test(pid))
      put(
        `process_${daemon}`,
        attempt(() => processText(files, Number(pid))),
      );
  }
  put(
    "file_systems",
    attempt(() => fileSystems(files)),
  );
  return found;
}
