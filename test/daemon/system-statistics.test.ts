import { test } from "uvu";
import * as assert from "uvu/assert";
import { type HostFiles, systemStatistics } from "../../ts/daemon/system-statistics.js";

/** /proc/PID/stat of a process: its parent, clock ticks of its own and the kernel's, its start, its address space, its CPU. */
function stat(name: string, parent: number, [user, system]: [number, number], started: number, bytes: number): string {
  const rest = Array.from({ length: 50 }, () => "0");
  const put = (field: number, value: number): void => void (rest[field - 3] = String(value));
  put(4, parent);
  put(14, user);
  put(15, system);
  put(22, started);
  put(23, bytes);
  put(39, 1);
  return `1 (${name}) ${rest.join(" ")}`;
}

const texts: Readonly<Record<string, string>> = {
  "/proc/meminfo":
    "MemTotal: 1000 kB\nMemFree: 600 kB\nBuffers: 10 kB\nCached: 20 kB\nSwapTotal: 50 kB\nSwapFree: 40 kB\n",
  "/proc/uptime": "100.00 7.00\n",
  "/proc/1/stat": stat("init", 0, [1, 1], 0, 0),
  "/proc/1/status": "VmRSS: 1 kB\n",
  "/proc/7/stat": stat("a (b) c", 6, [150, 50], 4000, 4096 * 1024),
  "/proc/7/status": "VmRSS:\t 300 kB\n",
  "/proc/6/stat": stat("a (b) c", 1, [1, 1], 1000, 0),
  "/proc/6/status": "VmRSS: 1 kB\n",
  "/proc/6/cmdline": "ovsdb-server: monitoring pid 7 (2 crashes: pid 5 died)\0",
  "/proc/9/stat": stat("node", 1, [0, 0], 9000, 2048),
  "/proc/9/status": "VmRSS: 5 kB\n",
  "/run/x/ovsdb-server.pid": "7\n",
  "/run/x/broken.pid": "what\n",
  "/etc/mtab":
    "/dev/a / ext4 rw,noatime 0 0\n/dev/b /mnt/a\\040b ext4 rw 0 0\n/dev/c /gone ext4 rw 0 0\n/dev/d /ro ext4 ro 0 0\nproc /proc proc rw 0 0\n",
};
const opened: string[] = [];

const files: HostFiles = {
  read: (path) => {
    opened.push(path);
    const text = texts[path];
    if (text === undefined) throw new Error(`no ${path}`);
    return text;
  },
  list: () => ["ovsdb-server.pid", "ovs-vswitchd.pid", "broken.pid", "db.sock"],
  space: (mount) => {
    if (mount === "/gone") throw new Error("gone");
    return { bsize: 1024, blocks: 100, bfree: 25 };
  },
  inode: (path) => (path.endsWith("/ovs-vswitchd.pid") ? "own" : path),
};

test("memory, processes and file systems are told, and what cannot be read is left out", () => {
  const told = systemStatistics("/run/x", { pid: 9, pidfile: "/var/run/x/ovs-vswitchd.pid", crashes: 3 }, files);
  assert.is(told.get("memory"), "1000,400,30,50,10");
  assert.is(told.get("process_ovsdb-server"), "4096,300,2000,2,90000,60000,1");
  assert.is(told.get("file_systems"), "/,100,75 /mnt/a_b,100,75");
  assert.equal([told.has("process_broken"), told.has("process_db")], [false, false]);
});

test("the own pidfile is never opened, whatever it is called", () => {
  opened.length = 0;
  const told = systemStatistics("/run/x", { pid: 9, pidfile: "/var/run/x/ovs-vswitchd.pid", crashes: 3 }, files);
  assert.is(told.get("process_ovs-vswitchd"), "2,5,0,3,10000,10000,1");
  assert.not.ok(opened.some((path) => path.endsWith("ovs-vswitchd.pid")));
});

test("a directory that is gone costs the rest nothing", () => {
  const broken: HostFiles = {
    ...files,
    list: () => {
      throw new Error("gone");
    },
  };
  assert.is(
    systemStatistics("/run/x", { pid: 9, pidfile: undefined, crashes: 0 }, broken).get("memory"),
    "1000,400,30,50,10",
  );
});

test.run();
