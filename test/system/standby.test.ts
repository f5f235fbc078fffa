/** Several daemons on one ovsdb-server: one has the bridges, the others stand by, and one of them takes over when it ends or
 *  dies; as with Open vSwitch, which the same is done to. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { noOvs } from "./pair.js";
import { sluice, until } from "./switch.js";

const kinds = {
  sluice: [process.execPath, sluice, "vswitchd"],
  ovs: ["ovs-vswitchd", "--no-chdir"],
} as const;

interface Daemon {
  readonly child: ChildProcess;
  log(): string;
  appctl(...args: string[]): string;
}

/** A database of its own, and daemons of one kind on it, each with a run directory of its own. */
class Site {
  readonly directory = mkdtempSync(join(tmpdir(), "standby-"));
  readonly #remote = `unix:${join(this.directory, "db.sock")}`;
  readonly #children: ChildProcess[] = [];

  constructor(readonly kind: keyof typeof kinds) {}

  async serve(): Promise<void> {
    const file = join(this.directory, "conf.db");
    spawnSync("ovsdb-tool", ["create", file, "/usr/share/openvswitch/vswitch.ovsschema"]);
    this.#spawn(["ovsdb-server", `--remote=p${this.#remote}`, "--unixctl=none", "-vconsole:off", file], process.env);
    await until("the database is served", 10, () => existsSync(join(this.directory, "db.sock")));
    this.vsctl("--no-wait", "init");
  }

  start(name: string): Daemon {
    const directory = join(this.directory, name);
    mkdirSync(directory);
    const env = { ...process.env, OVS_RUNDIR: directory, OVS_LOGDIR: directory, OVS_DBDIR: directory };
    const words = ["--pidfile", "--log-file", "-vconsole:off", "--enable-dummy", "--disable-system", "--unixctl=ctl"];
    const child = this.#spawn([...kinds[this.kind], ...words, this.#remote], env);
    const log = join(directory, "ovs-vswitchd.log");
    return {
      child,
      log: () => (existsSync(log) ? readFileSync(log, "utf8") : ""),
      appctl: (...args) => {
        const { stdout, stderr } = spawnSync("ovs-appctl", ["-t", join(directory, "ctl"), ...args], {
          encoding: "utf8",
        });
        return stdout + stderr;
      },
    };
  }

  vsctl(...words: string[]): string {
    const { status, stdout, stderr } = spawnSync("ovs-vsctl", [`--db=${this.#remote}`, "-t", "20", ...words], {
      encoding: "utf8",
    });
    assert.is(status, 0, stderr);
    return stdout;
  }

  close(): void {
    for (const child of this.#children) child.kill("SIGKILL");
    rmSync(this.directory, { recursive: true, force: true });
  }

  #spawn([command = "", ...args]: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
    const child = spawn(command, args, { env, stdio: "ignore" });
    this.#children.push(child);
    return child;
  }
}

const standsBy =
  /\|bridge\|ERR\|another ovs-vswitchd process is running, disabling this process \(pid \d+\) until it goes away$/m;
const begins = /\|bridge\|INFO\|ovs-vswitchd \(Open vSwitch\)/;
const port = (name: string): string[] => ["add-port", "br0", name, "--", "set", "interface", name, "type=dummy"];

/** What the tools show of who has the bridges. */
function seen(site: Site, daemon: Daemon): string[] {
  const numbers = site.vsctl("-f", "csv", "--no-headings", "--columns=name,ofport,error", "list", "interface");
  const isBridge = daemon.appctl("bridge/dump-flows", "br0");
  return [
    numbers.split("\n").sort().join("\n"),
    isBridge.startsWith("Unknown bridge") ? "no bridge" : "a bridge",
    daemon
      .appctl("dpif/show")
      .replace(/^ovs-appctl:.*|^"dpif\/show" is not.*/gm, "")
      .trim(),
    daemon
      .appctl("memory/show")
      .replace(/idl-cells-Open_vSwitch:\d+/, "cells")
      .trim(),
    ...daemon
      .log()
      .split("\n")
      .flatMap((line) => standsBy.exec(line)?.[0].replace(/pid \d+/, "pid") ?? []),
  ];
}

async function live(kind: keyof typeof kinds): Promise<string[]> {
  const site = new Site(kind);
  const told: string[] = [];
  const tell = (what: string, daemon: Daemon): void => void told.push(what, ...seen(site, daemon));
  try {
    await site.serve();
    const first = site.start("first");
    await until(`${kind} begins`, 20, () => begins.test(first.log()));
    const columns = ["datapath_type=dummy", "other_config:hwaddr=50:54:00:00:01:00"];
    site.vsctl("add-br", "br0", "--", "set", "bridge", "br0", ...columns, "--", ...port("p1"), "ofport_request=3");
    const second = site.start("second");
    await until(`a second ${kind} stands by`, 20, () => standsBy.test(second.log()));
    tell("second stands by", second);
    // The first one goes on with what changes, and the second does not meddle.
    site.vsctl(...port("p2"));
    tell("second sees a change", second);
    tell("first has it", first);
    assert.not.match(second.log(), begins);
    first.child.kill("SIGKILL");
    await until(`the second ${kind} takes over`, 20, () => begins.test(second.log()));
    site.vsctl(...port("p4"));
    tell("second has it", second);
    const third = site.start("third");
    await until(`a third ${kind} stands by`, 20, () => standsBy.test(third.log()));
    second.appctl("exit");
    await until(`the third ${kind} takes over`, 20, () => begins.test(third.log()));
    site.vsctl(...port("p5"));
    tell("third has it", third);
    return told.map((text) => text.replaceAll(site.directory, "DIR"));
  } finally {
    site.close();
  }
}

if (noOvs !== undefined) console.log(`skip: daemons that stand by: ${noOvs}`);
(noOvs === undefined ? test : test.skip)(
  "daemons that stand by show nothing, and take over with all that there is",
  async () => {
    const [ours, theirs] = [await live("sluice"), await live("ovs")];
    assert.equal(ours, theirs);
    assert.ok(ours.filter((line) => line === "no bridge").length === 2);
  },
);

test.run();
