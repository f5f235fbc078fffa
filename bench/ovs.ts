/** The installed Open vSwitch as a side of the bench: OVS-DPDK where packets are forwarded, ovs-vswitchd with dummy
 *  devices where only rules and connections matter. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { dpdkSink, dpdkSource, runBareLoop } from "./dpdk-devices.js";
import type { Source } from "./frames.js";
import { OpenFlowClient } from "./openflow-client.js";
import {
  call,
  directoryEnv,
  makeDummyBridge,
  readPid,
  residentOf,
  runDirectory,
  sleep,
  until,
  waitGone,
} from "./process.js";
import type { Counters, Daemon, Forwarder, ForwarderOptions, Forwarding, Side, SystemDaemon } from "./side.js";

const schema = "/usr/share/openvswitch/vswitch.ovsschema";
const dpdkDaemon = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk";
/** OVS keeps at most this many buffers, and DPDK's pcap source needs one for each frame that it repeats. */
export const sourceFlowsMax = 250_000;

const have = (tool: string): boolean => spawnSync("sh", ["-c", `command -v ${tool}`]).status === 0;

function run(env: NodeJS.ProcessEnv, tool: string, ...args: string[]): string {
  return execFileSync(tool, args, { env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Version of the installed Open vSwitch, or undefined. */
export function ovsVersion(): string | undefined {
  if (!have("ovs-vswitchd")) return undefined;
  return /\d+\.\d+(\.\d+)?/.exec(run(process.env, "ovs-vswitchd", "--version"))?.[0];
}

function daemonMissing(): string | undefined {
  return ["ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-vsctl"].every(have) && existsSync(schema)
    ? undefined
    : "Open vSwitch is not installed";
}

function forwarderMissing(): string | undefined {
  if (daemonMissing() !== undefined) return daemonMissing();
  if (process.getuid?.() !== 0) return "OVS-DPDK needs root";
  if (!existsSync(dpdkDaemon)) return "OVS-DPDK is not installed";
  return have("ip") ? undefined : "ip is not installed";
}

/** An ovsdb-server in `directory`; the returned function ends it. */
function startDatabase(directory: string, env: NodeJS.ProcessEnv): () => Promise<void> {
  run(env, "ovsdb-tool", "create", join(directory, "conf.db"), schema);
  const options = ["--detach", "--no-chdir", "--pidfile", "--log-file", "-vconsole:off", "--remote=punix:db.sock"];
  run(env, "ovsdb-server", ...options, join(directory, "conf.db"));
  run(env, "ovs-vsctl", "--no-wait", "init");
  const pid = readPid(directory, "ovsdb-server");
  return async () => {
    process.kill(pid, "SIGTERM");
    await waitGone(pid);
  };
}

async function startDaemon(): Promise<Daemon> {
  const directory = runDirectory("ovs");
  const env = directoryEnv(directory);
  const stopDatabase = startDatabase(directory, env);
  const options = ["--detach", "--no-chdir", "--pidfile", "--log-file", "-vconsole:off"];
  run(env, "ovs-vswitchd", ...options, "--enable-dummy", "--disable-system");
  await makeDummyBridge(join(directory, "db.sock"));
  await until("the bridge of ovs-vswitchd is there", 20, () => existsSync(join(directory, "br0.mgmt")));
  const openClient = (): Promise<OpenFlowClient> => OpenFlowClient.open(join(directory, "br0.mgmt"));
  const client = await openClient();
  const pid = readPid(directory, "ovs-vswitchd");
  return {
    client,
    openClient,
    env,
    resident: () => residentOf(pid),
    stop: async () => {
      client.close();
      process.kill(pid, "SIGTERM");
      await waitGone(pid);
      await stopDatabase();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function startSystemDaemon(under: readonly string[], config: readonly string[]): Promise<SystemDaemon> {
  const directory = runDirectory("ovs");
  const env = directoryEnv(directory);
  const stopDatabase = startDatabase(directory, env);
  const settings = config.map((setting) => `other_config:${setting}`);
  run(env, "ovs-vsctl", "--no-wait", "set", "Open_vSwitch", ".", ...settings);
  const [command = "", ...args] = [...under, "ovs-vswitchd"];
  run(env, command, ...args, "--detach", "--no-chdir", "--pidfile", "--log-file", "-vconsole:off");
  return {
    env,
    stop: async () => {
      const pid = readPid(directory, "ovs-vswitchd");
      // Devices are given back, which is not done at the end alone.
      spawnSync("ovs-appctl", ["exit", "--cleanup"], { env });
      await waitGone(pid);
      await stopDatabase();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** What pmd-stats-show tells of polling threads together. */
interface PmdStats {
  readonly packets: number;
  readonly misses: number;
  readonly busyCycles: number;
}

function parsePmdStats(text: string): PmdStats {
  const pmd = text.slice(text.indexOf("pmd thread"));
  const number = (pattern: RegExp): number => Number(pattern.exec(pmd)?.[1] ?? 0);
  return {
    packets: number(/packets received: (\d+)/),
    misses: number(/miss with success upcall: (\d+)/) + number(/miss with failed upcall: (\d+)/),
    busyCycles: number(/processing cycles: (\d+)/),
  };
}

class OvsForwarder implements Forwarder {
  readonly client: OpenFlowClient;
  readonly #directory: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #pid: number;
  readonly #stop: () => Promise<void>;

  constructor(
    client: OpenFlowClient,
    directory: string,
    env: NodeJS.ProcessEnv,
    pid: number,
    stop: () => Promise<void>,
  ) {
    this.client = client;
    this.#directory = directory;
    this.#env = env;
    this.#pid = pid;
    this.#stop = stop;
  }

  async start(source: Source): Promise<void> {
    this.#startOn(1, source);
  }

  async startAttack(source: Source): Promise<void> {
    this.#startOn(3, source);
  }

  #startOn(number: number, source: Source): void {
    const name = `p${number}`;
    const port = ["add-port", "br0", name, "--", "set", "interface", name, "type=dpdk", `ofport_request=${number}`];
    const devargs = dpdkSource(this.#directory, source, number);
    run(this.#env, "ovs-vsctl", ...port, `options:dpdk-devargs=${devargs}`);
    const failed = run(this.#env, "ovs-vsctl", "get", "interface", name, "error").trim();
    if (failed !== "[]") throw new Error(`OVS-DPDK did not open its source: ${failed}`);
  }

  async delivered(seconds: number): Promise<number> {
    const count = (): number => {
      const text = run(this.#env, "ovs-ofctl", "dump-ports", "br0", "2");
      return Number(/tx pkts=(\d+)/.exec(text)?.[1] ?? Number.NaN);
    };
    const began = performance.now();
    const before = count();
    await sleep(1000 * seconds);
    const after = count();
    return (after - before) / ((performance.now() - began) / 1000);
  }

  async forward(source: Source, warmSeconds: number, seconds: number): Promise<Forwarding> {
    await this.start(source);
    await sleep(1000 * warmSeconds);
    return this.watch(seconds);
  }

  async counters(): Promise<Counters> {
    const stats = parsePmdStats(await this.#appctl("dpif-netdev/pmd-stats-show"));
    return { packets: stats.packets, megaflows: await this.#megaflows(), resident: residentOf(this.#pid) };
  }

  async #megaflows(): Promise<number> {
    return Number(/current (\d+)/.exec(await this.#appctl("upcall/show"))?.[1] ?? 0);
  }

  async watch(seconds: number): Promise<Forwarding> {
    await this.#appctl("dpif-netdev/pmd-stats-clear");
    const started = performance.now();
    await sleep(1000 * seconds);
    const stats = parsePmdStats(await this.#appctl("dpif-netdev/pmd-stats-show"));
    const elapsed = (performance.now() - started) / 1000;
    return {
      packetsPerSecond: stats.packets / elapsed,
      missesPerSecond: stats.misses / elapsed,
      cyclesPerPacket: stats.busyCycles / stats.packets,
      megaflows: await this.#megaflows(),
    };
  }

  async stop(): Promise<void> {
    this.client.close();
    await this.#stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #appctl(command: string): Promise<string> {
    return String(await call(join(this.#directory, `ovs-vswitchd-dpdk.${this.#pid}.ctl`), command, []));
  }
}

async function startForwarder(options: ForwarderOptions = {}): Promise<Forwarder> {
  const directory = runDirectory("dpdk");
  const env = directoryEnv(directory);
  const stopDatabase = startDatabase(directory, env);
  // Its tap device ovs-netdev must not meet another one of that name.
  const namespace = `slbench-${process.pid}`;
  run(env, "ip", "netns", "add", namespace);
  let pid = 0;
  const stop = async (): Promise<void> => {
    if (pid !== 0) {
      process.kill(pid, "SIGTERM");
      await waitGone(pid);
    }
    run(env, "ip", "netns", "del", namespace);
    rmSync(join("/var/run/dpdk", namespace), { recursive: true, force: true });
    await stopDatabase();
  };
  try {
    const settings = [
      "other_config:dpdk-init=true",
      `other_config:dpdk-extra="--no-huge --legacy-mem -m 1024 --no-pci --no-telemetry --file-prefix=${namespace}"`,
      "other_config:pmd-cpu-mask=0x2",
      ...(options.uncached === true ? ["other_config:flow-limit=0"] : []),
    ];
    run(env, "ovs-vsctl", "--no-wait", "set", "Open_vSwitch", ".", ...settings);
    const daemon = ["--detach", "--no-chdir", "--pidfile", "--log-file", "-vconsole:off"];
    run(env, "ip", "netns", "exec", namespace, dpdkDaemon, ...daemon);
    pid = readPid(directory, "ovs-vswitchd-dpdk");
    const bridge = ["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "fail_mode=secure"];
    const sink = ["add-port", "br0", "p2", "--", "set", "interface", "p2", "type=dpdk", "ofport_request=2"];
    run(env, "ovs-vsctl", ...bridge, "--", ...sink, `options:dpdk-devargs=${dpdkSink}`);
    // What NORMAL floods goes to the sink alone, as in Sluice's bridge, which has no local port.
    run(env, "ovs-ofctl", "mod-port", "br0", "br0", "no-flood");
    const client = await OpenFlowClient.open(join(directory, "br0.mgmt"));
    return new OvsForwarder(client, directory, env, pid, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

export const ovs: Side = {
  name: "ovs",
  forwarderMissing,
  daemonMissing,
  startForwarder,
  bareLoop: (seconds) => runBareLoop("pages", seconds),
  startDaemon,
  startSystemDaemon,
};
