import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Pidfile, pidfileHolder } from "../../ts/daemon/pidfile.js";
import { loadProcessCalls } from "../../ts/daemon/process-calls.js";

const calls = loadProcessCalls();
const test = suite<{ directory: string; path: string }>("pidfile");

test.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), "sluice-pidfile-"));
  context.path = join(context.directory, "x.pid");
});
test.after.each(({ directory }) => rmSync(directory, { recursive: true }));

/** A process that holds the pidfile until it is killed. */
async function holder(path: string) {
  const module = new URL("../../ts/daemon/pidfile.js", import.meta.url).href;
  const native = new URL("../../ts/daemon/process-calls.js", import.meta.url).href;
  const script = `
    const { Pidfile } = await import(${JSON.stringify(module)});
    const { loadProcessCalls } = await import(${JSON.stringify(native)});
    Pidfile.create(${JSON.stringify(path)}, false, loadProcessCalls());
    process.stdout.write("held");
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  return child;
}

test("it holds the pid and a lock that other processes see", async ({ path }) => {
  const child = await holder(path);
  try {
    assert.is(readFileSync(path, "utf8"), `${child.pid}\n`);
    assert.is(pidfileHolder(path, calls), child.pid);
    assert.not(existsSync(`${path}.tmp`));
    assert.throws(
      () => Pidfile.create(path, false, calls),
      (error: Error) => error.message === `${path}: already running as pid ${child.pid}, aborting`,
    );
    const own = Pidfile.create(path, true, calls);
    assert.is(readFileSync(path, "utf8"), `${process.pid}\n`);
    own.remove(calls);
  } finally {
    child.kill("SIGKILL");
  }
});

test("one that a killed daemon left behind is replaced", async ({ path }) => {
  const child = await holder(path);
  child.kill("SIGKILL");
  await new Promise((resolve) => child.once("exit", resolve));
  assert.ok(existsSync(path));
  assert.is(pidfileHolder(path, calls), 0);
  const own = Pidfile.create(path, false, calls);
  own.remove(calls);
  assert.not(existsSync(path));
});

test("one that another daemon has taken over is left to it", ({ path }) => {
  const own = Pidfile.create(path, false, calls);
  rmSync(path);
  writeFileSync(path, "1\n");
  own.remove(calls);
  assert.is(readFileSync(path, "utf8"), "1\n");
});

test("a directory that is not there is told as Open vSwitch tells it", () => {
  assert.throws(
    () => Pidfile.create("/nonexistent/y", false, calls),
    (error: Error) => error.message === "/nonexistent/y.tmp: create failed (No such file or directory)",
  );
});

test("the system calls answer errors by number", ({ path }) => {
  assert.is(calls.lockHolder(path), -constants.errno.ENOENT);
  assert.is(calls.sendDatagram(path, new Uint8Array(1)), -constants.errno.ENOENT);
  assert.is(calls.sendDatagram("x".repeat(200), new Uint8Array(1)), -constants.errno.ENAMETOOLONG);
  assert.is(calls.unlockFile(12345), -constants.errno.EBADF);
  assert.throws(() => (calls.lockFile as (path: string) => number)(path), /takes a path and a mode/);
});

test("dropping root keeps the capabilities of a switch in this thread", () => {
  if (process.geteuid?.() !== 0) {
    console.log("skip: only root can drop root");
    return;
  }
  const native = new URL("../../ts/daemon/process-calls.js", import.meta.url).href;
  const user = new URL("../../ts/daemon/user.js", import.meta.url).href;
  const script = `
    const { loadProcessCalls } = await import(${JSON.stringify(native)});
    const { changeUser } = await import(${JSON.stringify(user)});
    const { readFileSync } = await import("node:fs");
    console.log(changeUser("nosuch", loadProcessCalls()));
    console.log(changeUser("nobody", loadProcessCalls()));
    console.log(process.getuid() !== 0, /CapEff:\\s+0*7c00/.test(readFileSync("/proc/thread-self/status", "utf8")));`;
  const result = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  assert.is(result.stdout, "user nosuch not found, aborting.\nundefined\ntrue true\n", result.stderr);
});

test.run();
