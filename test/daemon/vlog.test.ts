import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { virtualClock } from "../../ts/clock/index.js";
import { Vlog } from "../../ts/daemon/vlog.js";
import { compilePattern, formatDate, type LogOrigin } from "../../ts/daemon/vlog-pattern.js";
import { modules } from "../../ts/log/index.js";

/** 2026-07-03 09:05:01.042 UTC, a Friday. */
const wallMs = Date.UTC(2026, 6, 3, 9, 5, 1, 42);
const origin: LogOrigin = {
  program: "ovs-vswitchd",
  hostname: "host",
  pid: 42,
  startedMs: wallMs - 1500,
  priority: () => 30,
};
const record = { wallMs, sequence: 7, module: "bridge", level: "INFO", text: "added port" };
const format = (pattern: string): string => compilePattern(pattern)(record, origin);

function makeVlog() {
  const clock = virtualClock(0, wallMs);
  const lines: string[] = [];
  const vlog = new Vlog({
    program: "ovs-vswitchd",
    hostname: "host",
    pid: 42,
    clock,
    writeConsole: (line) => lines.push(line),
    defaultLogFile: "/nonexistent/ovs-vswitchd.log",
  });
  return { vlog, clock, lines };
}

test("the default patterns print Open vSwitch's lines", () => {
  assert.is(
    format("%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m"),
    "2026-07-03T09:05:01.042Z|00007|bridge|INFO|added port",
  );
  assert.is(format("<%B> %D{%h %e %T} %E %A:"), "<30> Jul  3 09:05:01 host ovs-vswitchd:");
});

test("every conversion of a pattern is understood", () => {
  assert.is(format("%A %B %c %E %m %N %p %P %r%n%%"), "ovs-vswitchd 30 bridge host added port 7 INFO 42 1500\n%");
  assert.is(format("[%8p][%-8p][%08N][%t][%T]"), "[    INFO][INFO    ][00000007][][]");
  assert.is(format("%q 100%"), "q 100%");
  assert.is(formatDate("%a %A %b %B %d %e %y %j", wallMs, true), "Fri Friday Jul July 03  3 26 %j");
});

test("vlog/set takes modules, destinations and levels in any order", () => {
  const { vlog } = makeVlog();
  assert.is(vlog.set("dbg:bridge:file"), undefined);
  assert.is(vlog.set("ANY,console,OFF"), undefined);
  assert.is(vlog.set("unixctl"), undefined);
  const table = vlog.levelTable();
  assert.equal(table.bridge, { console: "off", syslog: "info", file: "dbg" });
  assert.equal(table.unixctl, { console: "dbg", syslog: "dbg", file: "dbg" });
  assert.equal(table.vconn, { console: "off", syslog: "info", file: "info" });
});

test("vlog/set says what is wrong in Open vSwitch's words", () => {
  const { vlog } = makeVlog();
  const cases = [
    ["foo", 'no destination, level, or module "foo"'],
    ["bridge:file:dbg:x", 'no destination, level, or module "x"'],
    ["bridge:ofproto", "cannot specify multiple modules"],
    ["file:console", "cannot specify multiple destinations"],
    ["dbg:info", "cannot specify multiple levels"],
    ["PATTERN:foo:bar", 'unknown destination "foo"'],
    ["PATTERN", "missing destination"],
    ["FACILITY:xx", "invalid facility"],
  ] as const;
  for (const [spec, error] of cases) assert.is(vlog.set(spec), error, spec);
  assert.is(vlog.setRateLimits(["nosuch"], false), "nosuch");
});

test("vlog/list prints a sorted line for each module", () => {
  const { vlog } = makeVlog();
  vlog.setRateLimits(["bfd"], false);
  const lines = vlog.list().split("\n");
  assert.is(lines[0], "                 console    syslog    file");
  assert.is(lines[2], "backtrace         INFO       INFO       INFO");
  assert.is(lines[3], "bfd               INFO       INFO       INFO    (rate limiting disabled)");
  assert.is(lines.length, modules.length + 3);
});

test("vlog/list-pattern shows the patterns that are set", () => {
  const { vlog } = makeVlog();
  vlog.set("PATTERN:console:%m %q");
  vlog.set("PATTERN:file");
  const lines = vlog.listPatterns().split("\n");
  assert.is(lines[2], "SYSLOG   <%B> %D{%h %e %T} %E %A:          ovs|%05N|%c%T|%p|%m");
  assert.is(lines[3], "CONSOLE  none                              %m %q");
  assert.is(lines[4], "FILE     none                              ");
});

test("a message goes where its level is wanted, and nowhere else", () => {
  const { vlog, lines } = makeVlog();
  vlog.set("PATTERN:console:%c %p %m");
  const log = vlog.source("bridge");
  assert.not(log.enabled("dbg"));
  log.dbg("no");
  log.info("yes");
  vlog.set("bridge:console:dbg");
  assert.ok(log.enabled("dbg"));
  log.dbg("now");
  vlog.set("any:console:off");
  log.emer("never");
  assert.equal(lines, ["bridge INFO yes", "bridge DBG now"]);
});

test("a rate limit drops at the source and tells how many", () => {
  const { vlog, lines, clock } = makeVlog();
  vlog.set("PATTERN:console:%m");
  const log = vlog.source("vconn").limited(60, 2);
  for (let i = 0; i < 5; i++) log.warn(`m${i}`);
  clock.advance(2000);
  log.warn("later");
  assert.equal(lines, [
    "m0",
    "m1",
    "Dropped 3 log messages in last 2 seconds (most recently, 2 seconds ago) due to excessive rate",
    "later",
  ]);
  vlog.setRateLimits([], false);
  for (let i = 0; i < 5; i++) log.warn("x");
  assert.is(lines.length, 9);
});

test("the log file is written before it is asked for, and opened again under its name", () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-vlog-"));
  try {
    const { vlog } = makeVlog();
    vlog.set("any:console:off");
    assert.is(vlog.reopen(), "Logging to file not configured");
    const path = join(directory, "log");
    assert.is(vlog.openFile(path), undefined);
    vlog.source("bridge").info("first");
    vlog.flush();
    assert.match(
      readFileSync(path, "utf8"),
      /\|00001\|vlog\|INFO\|opened log file .*\n.*\|00002\|bridge\|INFO\|first\n$/,
    );
    renameSync(path, `${path}.1`);
    assert.is(vlog.reopen(), undefined);
    vlog.source("bridge").info("second");
    vlog.close();
    assert.not.match(readFileSync(`${path}.1`, "utf8"), /second/);
    assert.match(readFileSync(path, "utf8"), /second\n$/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a log file that cannot be opened is a warning, not the end", () => {
  const { vlog, lines } = makeVlog();
  vlog.set("PATTERN:console:%c|%p|%m");
  assert.ok(vlog.openFile("/nonexistent/x"));
  assert.equal(lines, ["vlog|WARN|failed to open /nonexistent/x for logging: No such file or directory"]);
});

test.run();
