import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { packageRoot } from "../../ts/daemon/index.js";

/** `sluice vsctl` and `sluice appctl` against a running daemon, and beside the real ovs-vsctl where it is installed. */
interface Context {
  directory: string;
  env: NodeJS.ProcessEnv;
}

const test = suite<Context>("cli");
const sluice = join(packageRoot(), "bin", "sluice");

function run(env: NodeJS.ProcessEnv, command: string, args: readonly string[]) {
  const result = spawnSync(command, args, { env, encoding: "utf8", timeout: 20_000 });
  return { status: result.status, out: result.stdout, error: result.stderr };
}

const own = (env: NodeJS.ProcessEnv, ...args: string[]) => run(env, process.execPath, [sluice, ...args]);
const vsctl = (env: NodeJS.ProcessEnv, ...args: string[]) => own(env, "vsctl", "--timeout=10", ...args);

test.before((context) => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-cli-"));
  context.directory = directory;
  context.env = { ...process.env, OVS_RUNDIR: directory, OVS_LOGDIR: directory, OVS_DBDIR: directory };
  const started = own(context.env, "vswitchd", "--pidfile", "--detach", "--enable-dummy", "--disable-system");
  assert.equal(started, { status: 0, out: "", error: "" });
});

test.after(({ directory, env }) => {
  const pid = Number.parseInt(readFileSync(join(directory, "ovs-vswitchd.pid"), "utf8"), 10);
  if (own(env, "appctl", "exit", "--cleanup").status !== 0) process.kill(pid, "SIGKILL");
  rmSync(directory, { recursive: true, force: true });
});

test("commands of one line are one transaction, and the switch has taken it when they return", ({ env }) => {
  const made = vsctl(
    env,
    ...["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy"],
    ...["--", "add-port", "br0", "p1", "tag=7", "--", "set", "interface", "p1", "type=dummy"],
  );
  assert.equal(made, { status: 0, out: "", error: "" });
  assert.is(vsctl(env, "list-br").out, "br0\n");
  assert.is(vsctl(env, "list-ports", "br0").out, "p1\n");
  assert.match(vsctl(env, "get", "interface", "p1", "ofport", "type").out, /^\d+\ndummy\n$/);
  assert.match(vsctl(env, "show").out, /^[0-9a-f-]{36}\n {4}Bridge br0\n {8}datapath_type: dummy\n/);
});

test("a port that cannot be is told of", ({ env }) => {
  const result = vsctl(env, "add-port", "br0", "nosuchdev");
  assert.is(result.status, 0);
  assert.match(result.error, /^sluice vsctl: Error detected while setting up 'nosuchdev': .*No such device/);
  assert.is(vsctl(env, "del-port", "nosuchdev").status, 0);
});

test("output and errors are those of the real ovs-vsctl", ({ env }) => {
  if (run(env, "ovs-vsctl", ["--version"]).status !== 0) {
    console.log("skip: ovs-vsctl is not installed");
    return;
  }
  const cases = [
    "show",
    "list bridge",
    "list interface p1",
    "--columns=name,tag list port p1",
    "get bridge br0 _uuid name ports stp-enable",
    "get foo x y",
    "get bridge br0 foo",
    "get bridge x name",
    "get interface p1 options:zz",
    "--if-exists get interface p1 options:zz",
    "add-br br0",
    "--may-exist add-br br0",
    "del-br x",
    "--if-exists del-br x",
    "add-port br0 p1",
    "add-port brx p9",
    "list-ports x",
    "port-to-br p1",
    "del-port x",
    "del-port br0 x",
    "br-exists br0",
    "br-exists x",
    "set bridge br0 fail_mode=foo",
    "set bridge br0 foo=1",
    "set bridge br0 name",
    "set bridge br0 name=x",
    "set port p1 tag=5000",
    "set port p1 trunks=[3,1,2]",
    "get port p1 trunks",
    "set bridge br0 other_config:hwaddr=00:11:22:33:44:55 external-ids={a=b,c=d}",
    "get bridge br0 other_config external_ids:a",
    "list c",
    "foo",
    "add-br",
    "--foo add-br x",
    "",
  ];
  for (const text of cases) {
    const args = text.split(" ").filter((word) => word !== "");
    const real = run(env, "ovs-vsctl", ["--timeout=10", ...args]);
    const ours = vsctl(env, ...args);
    assert.equal({ ...ours, error: ours.error.replace(/^sluice /, "ovs-") }, real, text);
  }
});

test("--json lists records for machines", ({ env }) => {
  const records = JSON.parse(vsctl(env, "--json", "--columns=name,tag", "list", "port", "p1").out) as unknown;
  assert.equal(records, [{ name: "p1", tag: "7" }]);
});

test("appctl exits 1 when nobody answers and 2 when it is refused", ({ env, directory }) => {
  assert.is(own(env, "appctl", "version").status, 0);
  const refused = own(env, "appctl", "nosuch");
  assert.is(refused.status, 2);
  assert.match(refused.error, /^"nosuch" is not a valid command/);
  assert.is(own(env, "appctl", "-t", join(directory, "nosuch.ctl"), "version").status, 1);
  const counts = JSON.parse(own(env, "appctl", "-f", "json", "memory/show").out) as Record<string, number>;
  assert.ok(Object.values(counts).every((count) => count > 0));
});

test("--help says what there is, with examples", ({ env }) => {
  assert.match(own(env, "--help").out, /vswitchd[\s\S]*Examples:/);
  assert.match(own(env, "vsctl", "--help").out, /add-port[\s\S]*Examples:/);
  assert.match(own(env, "appctl", "--help").out, /--target[\s\S]*Examples:/);
  assert.is(own(env, "nosuch").status, 1);
});

test.run();
