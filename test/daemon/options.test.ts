import { test } from "uvu";
import * as assert from "uvu/assert";
import { type DaemonOptions, parseOptions } from "../../ts/daemon/options.js";
import { directories } from "../../ts/daemon/paths.js";

const specs: string[] = [];
function parse(...args: string[]) {
  specs.length = 0;
  return parseOptions(args, {
    directories: directories({ OVS_RUNDIR: "/run/x", OVS_LOGDIR: "/log/x" }),
    workingDirectory: "/work",
    versionText: "ovs-vswitchd (Open vSwitch) 3.1.0\n",
    setVerbosity: (spec) => {
      specs.push(spec);
      return spec === "foo" ? 'no destination, level, or module "foo"' : undefined;
    },
  });
}

function options(...args: string[]): DaemonOptions {
  const parsed = parse(...args);
  if (parsed.kind !== "run") throw new Error(parsed.stderr);
  return parsed.options;
}

test("names given to options are below the directory that Open vSwitch puts them in", () => {
  const got = options("--pidfile=a.pid", "--unixctl", "b.ctl", "--log-file=c.log", "unix:db.sock");
  assert.is(got.pidfile, "/run/x/a.pid");
  assert.is(got.unixctl, "/run/x/b.ctl");
  assert.is(got.logFile, "/work/c.log");
  assert.is(got.database, "unix:db.sock");
  const plain = options("--pidfile", "--log-file");
  assert.is(plain.pidfile, "/run/x/ovs-vswitchd.pid");
  assert.is(plain.logFile, "/log/x/ovs-vswitchd.log");
  assert.is(options().pidfile, undefined);
});

test("directories follow their variables", () => {
  const own = directories({ OVS_SYSCONFDIR: "/s" });
  assert.is(own.db, "/s/openvswitch");
  assert.is(own.run, "/var/run/openvswitch");
  assert.is(directories({}).db, "/etc/openvswitch");
  assert.is(directories({ OVS_DBDIR: "/d" }).db, "/d");
});

test("options may be abbreviated, clustered and mixed with words", () => {
  const got = options(
    "--enable-dummy=override",
    "db",
    "--disable-system",
    "--over",
    "-vbridge:dbg",
    "-v",
    "--verbose=file",
  );
  assert.is(got.dummy, "override");
  assert.ok(got.disableSystem);
  assert.not(got.disableSystemRoute);
  assert.ok(got.overwritePidfile);
  assert.is(got.database, "db");
  assert.equal(specs, ["bridge:dbg", "", "file"]);
  assert.equal(options("--dummy-numa=0,1").dummyNuma, [0, 1]);
  assert.is(options("-p", "key", "-ccert").tls.privateKey, "/work/key");
});

test("what is wrong is said in getopt's and Open vSwitch's words, and exits 1", () => {
  const cases = [
    [["--foo"], "unrecognized option '--foo'"],
    [["-x"], "invalid option -- 'x'"],
    [["--p"], "option '--p' is ambiguous; possibilities: '--pidfile' '--private-key' '--peer-ca-cert'"],
    [["--unixctl"], "option '--unixctl' requires an argument"],
    [["--version=x"], "option '--version' doesn't allow an argument"],
    [["-vfoo"], 'processing "foo": no destination, level, or module "foo"'],
    [["a", "b"], "at most one non-option argument accepted; use --help for usage"],
    [["--dpdk"], "Using --dpdk to configure DPDK is not supported."],
    [["--enable-dummy=foo"], "foo: unknown dummy level"],
  ] as const;
  for (const [args, text] of cases) {
    const parsed = parse(...args);
    assert.equal(parsed, { kind: "exit", status: 1, stdout: "", stderr: `ovs-vswitchd: ${text}\n` });
  }
});

test("--version and --help print and exit 0, whatever follows", () => {
  const version = parse("--pid", "--vers", "--nosuch");
  assert.equal(version, { kind: "exit", status: 0, stdout: "ovs-vswitchd (Open vSwitch) 3.1.0\n", stderr: "" });
  const help = parse("-h");
  assert.match(help.kind === "exit" ? help.stdout : "", /^ovs-vswitchd: Open vSwitch daemon\nusage: ovs-vswitchd/);
});

test.run();
