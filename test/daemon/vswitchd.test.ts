import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { knownCommands } from "../../ts/appctl/index.js";
import { packageRoot } from "../../ts/daemon/process-calls.js";

/** The whole process, driven as scripts drive ovs-vswitchd: by its command line, its files and its socket. */
interface Context {
  directory: string;
  env: NodeJS.ProcessEnv;
}

const sluice = join(packageRoot(), "bin", "sluice");
const test = suite<Context>("vswitchd");

test.before.each((context) => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-vswitchd-"));
  context.directory = directory;
  context.env = {
    ...process.env,
    OVS_RUNDIR: directory,
    OVS_LOGDIR: directory,
    OVS_DBDIR: directory,
    OVS_SYSCONFDIR: directory,
  };
});

test.after.each(async ({ directory }) => {
  await stop(directory);
  rmSync(directory, { recursive: true, force: true });
});

function run(env: NodeJS.ProcessEnv, ...args: string[]) {
  const result = spawnSync(process.execPath, [sluice, ...args], { env, encoding: "utf8", timeout: 30_000 });
  return { status: result.status, out: result.stdout, error: result.stderr };
}

const daemon = (env: NodeJS.ProcessEnv, ...args: string[]) =>
  run(env, "vswitchd", "--pidfile", "--log-file", "--disable-system", "--enable-dummy", ...args);
const appctl = (env: NodeJS.ProcessEnv, ...args: string[]) => run(env, "appctl", ...args);

function pidIn(directory: string): number {
  try {
    return Number.parseInt(readFileSync(join(directory, "ovs-vswitchd.pid"), "utf8"), 10);
  } catch {
    return 0;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

async function until(what: string, holds: () => boolean, ms = 15_000): Promise<void> {
  for (const end = Date.now() + ms; !holds(); ) {
    if (Date.now() > end) throw new Error(`It took too long until ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function stop(directory: string): Promise<void> {
  const pid = pidIn(directory);
  if (pid === 0 || !isAlive(pid)) return;
  process.kill(pid, "SIGKILL");
  await until("a killed daemon is gone", () => !isAlive(pid));
}

const logOf = (directory: string): string => readFileSync(join(directory, "ovs-vswitchd.log"), "utf8");

test("--detach returns, in silence, when everything is there", ({ directory, env }) => {
  assert.equal(daemon(env, "--detach"), { status: 0, out: "", error: "" });
  const pid = pidIn(directory);
  assert.ok(isAlive(pid));
  assert.ok(existsSync(join(directory, `ovs-vswitchd.${pid}.ctl`)));
  assert.ok(existsSync(join(directory, "db.sock")));
  assert.ok(existsSync(join(directory, "conf.db")));
  assert.match(appctl(env, "version").out, /^ovs-vswitchd \(Open vSwitch\) \d+\.\d+\.\d+\nSluice /);
});

test("exit is answered, then process, pidfile and sockets are gone", async ({ directory, env }) => {
  daemon(env, "--detach");
  const pid = pidIn(directory);
  assert.is(appctl(env, "exit", "--cleanup").status, 0);
  await until("the daemon is gone", () => !isAlive(pid), 5000);
  assert.equal(
    readdirSync(directory)
      .filter((name) => !name.startsWith("."))
      .sort(),
    ["conf.db", "ovs-vswitchd.log"],
  );
});

test("a second daemon is refused by the pidfile, before and after detaching", ({ directory, env }) => {
  daemon(env, "--detach");
  const pid = pidIn(directory);
  const text = `ovs-vswitchd: ${join(directory, "ovs-vswitchd.pid")}: already running as pid ${pid}, aborting\n`;
  assert.equal(daemon(env, "--detach"), { status: 1, out: "", error: text });
  assert.is(daemon(env, "-vconsole:off").error, text);
  assert.is(pidIn(directory), pid);
  assert.is(appctl(env, "version").status, 0);
});

test("what a killed daemon left behind does not keep the next from starting", async ({ directory, env }) => {
  daemon(env, "--detach");
  await stop(directory);
  assert.ok(existsSync(join(directory, "db.sock")));
  assert.is(daemon(env, "--detach").status, 0);
  assert.is(appctl(env, "version").status, 0);
});

test("a signal ends it cleanly and is what its parent sees", async ({ directory, env }) => {
  const child = spawn(process.execPath, [sluice, "vswitchd", "--pidfile", "--log-file", "-vconsole:off"], {
    env,
    stdio: "ignore",
  });
  const ended = new Promise<NodeJS.Signals | null>((resolve) => child.once("exit", (_, signal) => resolve(signal)));
  await until("it serves its database", () => existsSync(join(directory, "db.sock")));
  await until("it is ready", () => /\|bridge\|INFO\|ovs-vswitchd/.test(logOf(directory)));
  child.kill("SIGTERM");
  assert.is(await ended, "SIGTERM");
  assert.match(logOf(directory), /\|fatal_signal\|WARN\|terminating with signal 15 \(Terminated\)\n$/);
  assert.not(existsSync(join(directory, "ovs-vswitchd.pid")));
  assert.not(existsSync(join(directory, "db.sock")));
});

test("a second daemon on the same database waits, tells once, and takes over", async ({ directory, env }) => {
  daemon(env, "--detach", "--unixctl=first.ctl");
  const pid = pidIn(directory);
  const log = join(directory, "second.log");
  const args = ["vswitchd", "--disable-system", `--log-file=${log}`, "--unixctl=second.ctl", "-vconsole:off"];
  const server = spawnServer(directory, env);
  if (server === undefined) {
    console.log("skip: a database that outlives the first daemon needs ovsdb-server, which is not installed");
    return;
  }
  appctl(env, "-t", join(directory, "first.ctl"), "exit");
  await until("the first daemon is gone", () => !isAlive(pid));
  const remote = `unix:${join(directory, "real.sock")}`;
  await until("ovsdb-server serves", () => existsSync(join(directory, "real.sock")));
  const children: ChildProcess[] = [server];
  try {
    assert.is(daemon(env, "--detach", "--unixctl=first.ctl", remote).status, 0);
    children.push(spawn(process.execPath, [sluice, ...args, remote], { env, stdio: "ignore" }));
    const text =
      /\|bridge\|ERR\|another ovs-vswitchd process is running, disabling this process \(pid \d+\) until it goes away\n/g;
    const second = (): string => (existsSync(log) ? readFileSync(log, "utf8") : "");
    await until("the second daemon tells of the first", () => /another ovs-vswitchd/.test(second()));
    appctl(env, "-t", join(directory, "first.ctl"), "exit");
    await until("the second daemon takes over", () => /\|bridge\|INFO\|ovs-vswitchd/.test(second()));
    assert.is(second().match(text)?.length, 1);
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }
});

/** The real ovsdb-server on a database of its own. */
function spawnServer(directory: string, env: NodeJS.ProcessEnv): ChildProcess | undefined {
  const schema = "/usr/share/openvswitch/vswitch.ovsschema";
  const file = join(directory, "real.db");
  if (spawnSync("ovsdb-tool", ["create", file, schema], { env }).status !== 0) return undefined;
  const args = [`--remote=punix:${join(directory, "real.sock")}`, "--unixctl=none", "-vconsole:off", file];
  return spawn("ovsdb-server", args, { env, stdio: "ignore" });
}

test("--monitor starts it again after a crash, and ends when it ends", async ({ directory, env }) => {
  assert.is(daemon(env, "--detach", "--monitor").status, 0);
  const first = pidIn(directory);
  process.kill(first, "SIGSEGV");
  await until("the crash is noticed", () =>
    /1 crashes: pid \d+ died, killed \(Segmentation fault\), restarting/.test(logOf(directory)),
  );
  await until("another has taken its place", () => pidIn(directory) !== first && isAlive(pidIn(directory)));
  await until("the other answers", () => appctl(env, "version").status === 0);
  const second = pidIn(directory);
  assert.is(appctl(env, "exit").status, 0);
  await until("the monitor ends", () => logOf(directory).includes(`pid ${second} died, exit status 0, exiting`));
});

test("a daemon that cannot start says why and leaves nothing", ({ directory, env }) => {
  const result = daemon(env, "--detach", "--unixctl=/nonexistent/dir/x");
  assert.is(result.status, 1);
  assert.match(
    result.error,
    /ovs-vswitchd: \/nonexistent\/dir\/x: could not initialize control socket \(No such file or directory\)\n$/,
  );
  assert.not(existsSync(join(directory, "ovs-vswitchd.pid")));
  const unwritable = run({ ...env, OVS_DBDIR: sluice }, "vswitchd", "--pidfile", "-vconsole:off");
  assert.is(unwritable.status, 1);
  assert.match(unwritable.error, /^ovs-vswitchd: .*(not a directory|file already exists|EEXIST|ENOTDIR)/i);
  assert.not(existsSync(join(directory, "ovs-vswitchd.pid")));
});

test("an idle daemon sleeps", async ({ directory, env }) => {
  daemon(env, "--detach");
  const switches = (): number => {
    const pid = pidIn(directory);
    return Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  };
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const before = switches();
  await new Promise((resolve) => setTimeout(resolve, 3000));
  assert.ok(switches() - before < 15, `${switches() - before} wake-ups in 3 s`);
});

test("every command that is listed has a row, and every row that says so has its command", ({ env }) => {
  assert.is(daemon(env, "--detach").status, 0);
  const heading = 1;
  const listed = appctl(env, "list-commands")
    .out.split("\n")
    .slice(heading)
    .map((line) => line.trim().split(/\s+/)[0] ?? "")
    .filter((name) => name !== "" && !name.startsWith("sluice/test-"));
  const have = knownCommands.filter(({ status }) => status === "have").map(({ name }) => name);
  assert.equal(listed, have);
  const names = knownCommands.map(({ name }) => name);
  assert.equal(names, [...new Set(names)].sort());
});

test("the real ovs-appctl finds it without a flag and is answered", ({ env }) => {
  const ovs = (...args: string[]) => spawnSync("ovs-appctl", args, { env, encoding: "utf8", timeout: 10_000 });
  if (ovs("--version").status !== 0) {
    console.log("skip: ovs-appctl is not installed");
    return;
  }
  daemon(env, "--detach");
  assert.match(ovs("version").stdout, /^ovs-vswitchd \(Open vSwitch\)/);
  assert.is(ovs("vlog/set", "bridge:file:dbg").status, 0);
  assert.match(ovs("vlog/list").stdout, /^bridge +OFF +INFO +DBG$/m);
  assert.is(ovs("time/stop").status, 0);
  assert.is(ovs("time/warp", "1000", "100").stdout, "warped\n");
  assert.is(ovs("coverage/read-counter", "bridge_reconfigure").stdout.trim() === "", false);
  const bad = ovs("nosuch");
  assert.is(bad.status, 2);
  assert.match(bad.stderr, /"nosuch" is not a valid command/);
});

test.run();
