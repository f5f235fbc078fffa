/** A running switch for system tests: Sluice, or the real Open vSwitch beside it, each in a run directory of its own. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");
export const sluice = join(root, "bin", "sluice");

export function have(tool: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${tool}`]).status === 0;
}

/** Why a test cannot run here, or undefined.  Printed, so that a skipped test is seen. */
export function missing(needs: { root?: boolean; tools?: readonly string[] }): string | undefined {
  if (needs.root === true && process.getuid?.() !== 0) return "not root";
  const tool = (needs.tools ?? []).find((name) => !have(name));
  return tool === undefined ? undefined : `${tool} is not installed`;
}

/** A TCP port of loopback that nobody listens on. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
      .once("error", reject)
      .listen(0, "127.0.0.1", () => {
        const address = server.address();
        server.close(() => {
          resolve(typeof address === "object" && address !== null ? address.port : 0);
        });
      });
  });
}

export interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Switch {
  readonly kind: "sluice" | "ovs";
  readonly directory: string;
  readonly env: NodeJS.ProcessEnv;
  readonly pid: number;
  /** Runs a tool against this switch; never throws. */
  run(tool: string, ...args: string[]): Ran;
  /** Standard output of a tool that must succeed. */
  ok(tool: string, ...args: string[]): string;
  log(): string;
  alive(): boolean;
  /** Resident memory in KiB. */
  residentKiB(): number;
  stop(): Promise<void>;
}

export interface SwitchOptions {
  readonly dummy?: boolean;
  readonly env?: NodeJS.ProcessEnv;
  readonly directory?: string;
  readonly args?: readonly string[];
  /** Of the database of Open vSwitch; Sluice's may be made beforehand. */
  readonly schema?: string;
  /** A command that starts Sluice's with what it takes from it, such as capabilities; it must exec. */
  readonly under?: readonly string[];
}

function environment(directory: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    OVS_RUNDIR: directory,
    OVS_LOGDIR: directory,
    OVS_DBDIR: directory,
    OVS_SYSCONFDIR: directory,
  };
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `test` holds; fails with the sentence after `seconds`. */
export async function until(what: string, seconds: number, test: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 1000 * seconds;
  while (!(await test())) {
    if (Date.now() > end) throw new Error(`waited ${seconds} s in vain until ${what}`);
    await sleep(50);
  }
}

function makeSwitch(
  kind: "sluice" | "ovs",
  directory: string,
  env: NodeJS.ProcessEnv,
  stopAll: () => Promise<void>,
): Switch {
  const pid = Number(readFileSync(join(directory, "ovs-vswitchd.pid"), "utf8"));
  const run = (tool: string, ...args: string[]): Ran => {
    const result = spawnSync(tool, args, { env, encoding: "utf8", timeout: 60_000, maxBuffer: 1 << 28 });
    return { status: result.status ?? -1, stdout: result.stdout ?? "", stderr: result.stderr ?? "" };
  };
  return {
    kind,
    directory,
    env,
    pid,
    run,
    ok(tool, ...args) {
      const result = run(tool, ...args);
      if (result.status !== 0)
        throw new Error(`${tool} ${args.join(" ")} exited ${result.status}: ${result.stderr}${result.stdout}`);
      return result.stdout;
    },
    log: () => readFileSync(join(directory, "ovs-vswitchd.log"), "utf8"),
    alive: () => existsSync(`/proc/${pid}`),
    residentKiB: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0),
    stop: stopAll,
  };
}

async function waitGone(pid: number): Promise<void> {
  const end = Date.now() + 10_000;
  while (existsSync(`/proc/${pid}`) && Date.now() < end) await sleep(20);
  if (existsSync(`/proc/${pid}`)) process.kill(pid, "SIGKILL");
}

/** Starts `sluice vswitchd` with its embedded database; it is ready when this resolves. */
export async function startSluice(options: SwitchOptions = {}): Promise<Switch> {
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), "sluice-test-"));
  const env = { ...environment(directory), ...options.env };
  const dummy = options.dummy === true ? ["--enable-dummy", "--disable-system"] : [];
  const [command = process.execPath, ...args] = [
    ...(options.under ?? []),
    ...[process.execPath, sluice, "vswitchd", "--pidfile", "--log-file", "-vconsole:off", ...dummy],
    ...(options.args ?? []),
  ];
  const child: ChildProcess = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout?.on("data", (data: Buffer) => {
    output += data.toString();
  });
  child.stderr?.on("data", (data: Buffer) => {
    output += data.toString();
  });
  await until("sluice vswitchd answers on its control socket", 20, () => {
    if (child.exitCode !== null) throw new Error(`sluice vswitchd exited ${child.exitCode}: ${output}`);
    // A killed daemon leaves its pidfile and sockets: only this one's count.
    const pidfile = join(directory, "ovs-vswitchd.pid");
    return (
      existsSync(pidfile) &&
      Number(readFileSync(pidfile, "utf8")) === child.pid &&
      existsSync(join(directory, "db.sock"))
    );
  });
  const made = makeSwitch("sluice", directory, env, async () => {
    if (made.alive()) made.run("ovs-appctl", "exit", "--cleanup");
    if (made.alive() && child.exitCode === null)
      await Promise.race([new Promise((resolve) => child.once("exit", resolve)), sleep(5000)]);
    await waitGone(made.pid);
    if (options.directory === undefined) rmSync(directory, { recursive: true, force: true });
  });
  await until("ovs-appctl is answered", 20, () => made.run(process.execPath, sluice, "appctl", "version").status === 0);
  await until("the database is served", 20, () => isServed(join(directory, "db.sock")));
  return made;
}

/** Whether somebody listens on a socket: a daemon that was killed leaves its file. */
function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
      .once("error", () => {
        resolve(false);
      })
      .once("connect", () => {
        socket.destroy();
        resolve(true);
      });
  });
}

/** Starts the real ovsdb-server and ovs-vswitchd. */
export async function startOvs(options: SwitchOptions = {}): Promise<Switch> {
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), "ovs-test-"));
  const env = { ...environment(directory), ...options.env };
  const exec = (tool: string, ...args: string[]): void => {
    execFileSync(tool, args, { env, stdio: ["ignore", "ignore", "pipe"] });
  };
  const schema = options.schema ?? "/usr/share/openvswitch/vswitch.ovsschema";
  exec("ovsdb-tool", "create", join(directory, "conf.db"), schema);
  exec(
    "ovsdb-server",
    "--detach",
    "--no-chdir",
    "--pidfile",
    "--log-file",
    "-vconsole:off",
    "--remote=punix:db.sock",
    join(directory, "conf.db"),
  );
  exec("ovs-vsctl", "--no-wait", "init");
  const dummy = options.dummy === true ? ["--enable-dummy", "--disable-system"] : [];
  exec(
    "ovs-vswitchd",
    "--detach",
    "--no-chdir",
    "--pidfile",
    "--log-file",
    "-vconsole:off",
    ...dummy,
    ...(options.args ?? []),
  );
  const database = Number(readFileSync(join(directory, "ovsdb-server.pid"), "utf8"));
  const made = makeSwitch("ovs", directory, env, async () => {
    made.run("ovs-appctl", "exit", "--cleanup");
    await waitGone(made.pid);
    made.run("ovs-appctl", "-t", "ovsdb-server", "exit");
    await waitGone(database);
    if (options.directory === undefined) rmSync(directory, { recursive: true, force: true });
  });
  return made;
}

/** A bridge br0 with dummy ports p1 to p`count`, numbered so.  `bridge` and what `port` gives are more columns of them. */
export function addDummyBridge(
  under: Switch,
  count: number,
  more: { readonly bridge?: readonly string[]; readonly port?: (number: number) => readonly string[] } = {},
): void {
  const columns = ["datapath_type=dummy", "fail_mode=secure", "other_config:hwaddr=50:54:00:00:01:00"];
  const args = ["add-br", "br0", "--", "set", "bridge", "br0", ...columns, ...(more.bridge ?? [])];
  for (let port = 1; port <= count; port++) {
    args.push("--", "add-port", "br0", `p${port}`, "--", "set", "interface", `p${port}`);
    args.push("type=dummy", `ofport_request=${port}`, ...(more.port?.(port) ?? []));
  }
  under.ok("ovs-vsctl", "-t", "20", ...args);
}
