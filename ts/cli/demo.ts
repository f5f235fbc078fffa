/** `sluice demo`, which `npm start` runs: a switch with three hosts, a flow table, and what to try next. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { DemoError, DemoHosts } from "./demo-hosts.js";
import { runDemoInMemory } from "./demo-memory.js";

const launcher = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "bin", "sluice");
const bridge = "sluice-br0";

const flows = [
  "table=0,priority=200,icmp,in_port=1,nw_dst=10.77.1.3,actions=drop",
  "table=0,priority=100,tcp,tp_dst=23,actions=drop",
  "table=0,priority=0,actions=resubmit(,1)",
  "table=1,priority=0,actions=normal",
];

/** How much time a started switch has to answer. */
const startMsMax = 15_000;

function have(tool: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${tool}`]).status === 0;
}

const say = (text = ""): void => {
  process.stdout.write(`${text}\n`);
};

class Tools {
  readonly env: NodeJS.ProcessEnv;

  constructor(readonly directory: string) {
    this.env = {
      ...process.env,
      OVS_RUNDIR: directory,
      OVS_LOGDIR: directory,
      OVS_DBDIR: directory,
      OVS_SYSCONFDIR: directory,
    };
  }

  run(...args: string[]): { ok: boolean; text: string } {
    const result = spawnSync(process.execPath, [launcher, ...args], {
      env: this.env,
      encoding: "utf8",
      timeout: 30_000,
    });
    return { ok: result.status === 0, text: `${result.stdout ?? ""}${result.stderr ?? ""}` };
  }

  must(...args: string[]): string {
    const { ok, text } = this.run(...args);
    if (!ok) throw new DemoError(`\`sluice ${args.join(" ")}\` failed: ${text.trim()}`);
    return text;
  }

  /** Ends a switch that an earlier, killed demonstration left running. */
  stopLeftover(): void {
    if (existsSync(join(this.directory, "ovs-vswitchd.pid"))) this.run("appctl", "exit", "--cleanup");
  }

  async startSwitch(): Promise<ChildProcess> {
    const log = openSync(join(this.directory, "console.log"), "w");
    const child = spawn(process.execPath, [launcher, "vswitchd", "--pidfile", "--overwrite-pidfile", "--log-file"], {
      env: this.env,
      stdio: ["ignore", log, log],
      detached: true,
    });
    const end = Date.now() + startMsMax;
    while (!this.run("appctl", "version").ok) {
      if (child.exitCode !== null || Date.now() > end) {
        throw new DemoError(
          `the switch did not start: ${readFileSync(join(this.directory, "console.log"), "utf8").trim() || "no output"}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return child;
  }
}

function pingAll(hosts: DemoHosts): void {
  for (const from of hosts.hosts) {
    const words = hosts.hosts
      .filter((to) => to !== from)
      .map((to) => `${to.namespace} ${hosts.ping(from, to) ? "ok" : "no answer"}`);
    say(`    ${from.namespace} -> ${words.join(", ")}`);
  }
}

function nextSteps(directory: string): void {
  const [vsctl, ofctl, appctl] = have("ovs-vsctl")
    ? ["ovs-vsctl", "ovs-ofctl", "ovs-appctl"]
    : [`${launcher} vsctl`, `${launcher} ofctl`, `${launcher} appctl`];
  say("The switch stays up. In another terminal, try:");
  say();
  say(`    export OVS_RUNDIR=${directory}`);
  say(`    ${vsctl} show`);
  say(`    ${ofctl} dump-flows ${bridge}`);
  say(`    ${appctl} ofproto/trace ${bridge} in_port=1,icmp,nw_dst=10.77.1.3`);
  say(`    ${ofctl} del-flows ${bridge} icmp`);
  say("    ip netns exec sluice-h1 ping 10.77.1.3");
  say();
  say("Ctrl-C stops the switch and removes the hosts.");
}

async function runWithHosts(directory: string): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const tools = new Tools(directory);
  const hosts = new DemoHosts(directory);
  tools.stopLeftover();
  if (hosts.recover()) say("Removed what an earlier demonstration had left.");
  let child: ChildProcess | undefined;
  let stopping = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    tools.run("appctl", "exit", "--cleanup");
    hosts.removeAll();
  };
  const interrupted = new Promise<void>((resolve) => {
    // Ctrl-C under npm arrives twice, from the terminal and from npm: the second must not cut the clean-up short.
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, resolve);
  });
  try {
    say("Sluice: a switch, three hosts, one flow table");
    say();
    child = await tools.startSwitch();
    const made = hosts.make(3);
    const words = ["add-br", bridge];
    made.forEach((host, index) => {
      words.push(
        "--",
        "add-port",
        bridge,
        host.port,
        "--",
        "set",
        "Interface",
        host.port,
        `ofport_request=${index + 1}`,
      );
    });
    tools.must("vsctl", "--if-exists", "del-br", bridge);
    tools.must("vsctl", ...words);
    for (const host of made) say(`    ${host.namespace} ${host.address} --- ${host.port} --- ${bridge}`);
    say();
    say("Every host pings every other, through MAC learning:");
    pingAll(hosts);
    say();
    say("A flow table: host 1 may not ping host 3, nobody may telnet:");
    tools.must("ofctl", "del-flows", bridge);
    for (const flow of flows) tools.must("ofctl", "add-flow", bridge, flow);
    pingAll(hosts);
    say();
    say("The flows and what they counted:");
    say(tools.must("ofctl", "dump-flows", bridge).trimEnd());
    say();
    nextSteps(directory);
    child.once("exit", () => {
      if (!stopping) say("The switch has ended.");
    });
    await Promise.race([
      interrupted,
      new Promise<void>((resolve) =>
        child?.once("exit", () => {
          resolve();
        }),
      ),
    ]);
    say();
    say("Stopping, and removing what was made.");
  } finally {
    stop();
    child?.unref();
  }
}

/** Runs the demonstration until it is interrupted; returns the process's exit status. */
export async function runDemo(): Promise<number> {
  try {
    const memory = process.env.SLUICE_DEMO_MEMORY === "1";
    if (!memory && process.getuid?.() === 0 && have("ip") && have("ping")) await runWithHosts("/run/sluice-demo");
    else
      await runDemoInMemory(
        join(process.env.XDG_RUNTIME_DIR ?? tmpdir(), `sluice-demo-${process.getuid?.() ?? 0}`),
        flows,
      );
    return 0;
  } catch (error) {
    if (!(error instanceof DemoError)) throw error;
    process.stderr.write(`sluice demo: ${error.message}\n`);
    return 1;
  }
}
