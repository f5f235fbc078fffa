/** Sluice as a side of the bench. */
import { type ChildProcess, execFileSync, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { dpdkSink, dpdkSource, runBareLoop } from "./dpdk-devices.js";
import { type Source, writePcap } from "./frames.js";
import { OpenFlowClient } from "./openflow-client.js";
import { directoryEnv, makeDummyBridge, readPid, residentOf, runDirectory, sleep, until, waitGone } from "./process.js";
import type { Counters, Daemon, Forwarder, ForwarderOptions, Forwarding, Side, SystemDaemon } from "./side.js";
import type { SubjectReply, SubjectRequest } from "./sluice-messages.js";

const here = dirname(fileURLToPath(import.meta.url));
export const root = join(here, "..", "..");

class SluiceForwarder implements Forwarder {
  readonly client: OpenFlowClient;
  readonly #child: ChildProcess;
  readonly #directory: string;
  readonly #dpdk: boolean;

  constructor(child: ChildProcess, client: OpenFlowClient, directory: string, dpdk: boolean) {
    this.#child = child;
    this.client = client;
    this.#directory = directory;
    this.#dpdk = dpdk;
  }

  start(source: Source): Promise<void> {
    return this.#startOn(1, source);
  }

  startAttack(source: Source): Promise<void> {
    return this.#startOn(3, source);
  }

  async #startOn(port: number, source: Source): Promise<void> {
    if (this.#dpdk) {
      await this.#ask({ do: "dpdk", port, devargs: dpdkSource(this.#directory, source, port) });
      return;
    }
    if (source.headers === undefined) {
      await this.#ask({ do: "source", port, source });
      return;
    }
    const pcap = join(this.#directory, `source${port}.pcap`);
    writePcap(pcap, source);
    await this.#ask({ do: "replay", port, pcap });
  }

  async delivered(seconds: number): Promise<number> {
    const before = await this.#ask({ do: "stats" });
    await sleep(1000 * seconds);
    const after = await this.#ask({ do: "stats" });
    return (after.delivered - before.delivered) / ((after.atMs - before.atMs) / 1000);
  }

  async forward(source: Source, warmSeconds: number, seconds: number): Promise<Forwarding> {
    await this.start(source);
    await sleep(1000 * warmSeconds);
    return this.watch(seconds);
  }

  counters(): Promise<Counters> {
    return this.#ask({ do: "stats" });
  }

  async watch(seconds: number): Promise<Forwarding> {
    const before = await this.#ask({ do: "stats" });
    await sleep(1000 * seconds);
    const after = await this.#ask({ do: "stats" });
    const elapsed = (after.atMs - before.atMs) / 1000;
    const packets = after.packets - before.packets;
    return {
      packetsPerSecond: packets / elapsed,
      missesPerSecond: (after.misses - before.misses) / elapsed,
      cyclesPerPacket: (after.busyCycles - before.busyCycles) / packets,
      megaflows: after.megaflows,
    };
  }

  async stop(): Promise<void> {
    this.client.close();
    if (this.#child.connected) this.#child.disconnect();
    if (this.#child.exitCode === null) await once(this.#child, "exit");
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #ask(request: SubjectRequest): Promise<SubjectReply> {
    this.#child.send(request);
    return nextReply(this.#child);
  }
}

async function nextReply(child: ChildProcess): Promise<SubjectReply> {
  const answered = new AbortController();
  const { signal } = answered;
  const died = once(child, "exit", { signal }).then(([code]) => {
    throw new Error(`the process under measurement exited ${String(code)}`);
  });
  try {
    const [reply] = (await Promise.race([once(child, "message", { signal }), died])) as [SubjectReply];
    return reply;
  } finally {
    died.catch(() => undefined);
    answered.abort();
  }
}

async function startForwarder(options: ForwarderOptions = {}): Promise<Forwarder> {
  const directory = runDirectory("sluice");
  const flowLimit = options.uncached === true ? "1" : "0";
  const dpdk = options.dpdk === true;
  const child = fork(join(here, "sluice-subject.js"), [directory, flowLimit, ...(dpdk ? [dpdkSink] : [])]);
  await nextReply(child);
  return new SluiceForwarder(child, await OpenFlowClient.open(join(directory, "br0.mgmt")), directory, dpdk);
}

function forwarderMissing(options: ForwarderOptions = {}): string | undefined {
  if (options.dpdk !== true) return undefined;
  if (!existsSync(join(root, "build", "Release", "sluice_dpdk.so"))) return "Sluice was built without DPDK";
  return process.getuid?.() === 0 ? undefined : "DPDK needs root";
}

interface Running {
  readonly directory: string;
  readonly env: NodeJS.ProcessEnv;
  stop(): Promise<void>;
}

/** Starts `sluice vswitchd` in a run directory of its own, `under` another program if words are given, and has `body` make
 *  the most of it; stops it if that fails. */
async function withDaemon<T>(
  under: readonly string[],
  options: readonly string[],
  body: (running: Running) => Promise<T>,
): Promise<T> {
  const directory = runDirectory("sluice");
  const env = directoryEnv(directory);
  const program = [process.execPath, join(root, "bin", "sluice"), "vswitchd", "--pidfile", "--log-file"];
  const [command = "", ...args] = [...under, ...program, "-vconsole:off", ...options];
  // In a session of its own, as the other side's daemons are: the kernel shares its time out among sessions first.
  const child = spawn(command, args, { env, stdio: "ignore", detached: true });
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    if (child.pid !== undefined) await waitGone(child.pid);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await until("sluice vswitchd serves its database", 20, () => {
      if (child.exitCode !== null) throw new Error(`sluice vswitchd exited ${child.exitCode}`);
      return existsSync(join(directory, "db.sock")) && existsSync(join(directory, "ovs-vswitchd.pid"));
    });
    return await body({ directory, env, stop });
  } catch (error) {
    await stop();
    throw error;
  }
}

function startDaemon(): Promise<Daemon> {
  return withDaemon([], ["--enable-dummy", "--disable-system"], async ({ directory, env, stop }) => {
    const management = join(directory, "br0.mgmt");
    await makeDummyBridge(join(directory, "db.sock"));
    await until("sluice vswitchd has made the bridge", 20, () => existsSync(management));
    const client = await OpenFlowClient.open(management);
    const pid = readPid(directory, "ovs-vswitchd");
    const close = async (): Promise<void> => {
      client.close();
      await stop();
    };
    const openClient = (): Promise<OpenFlowClient> => OpenFlowClient.open(management);
    return { client, openClient, env, resident: () => residentOf(pid), stop: close };
  });
}

function startSystemDaemon(under: readonly string[], config: readonly string[]): Promise<SystemDaemon> {
  return withDaemon(under, [], async ({ env, stop }) => {
    const settings = config.map((setting) => `other_config:${setting}`);
    execFileSync("ovs-vsctl", ["-t", "20", "set", "Open_vSwitch", ".", ...settings], { env });
    return { env, stop };
  });
}

export const sluice: Side = {
  name: "sluice",
  forwarderMissing,
  daemonMissing: () => undefined,
  startForwarder,
  bareLoop: (seconds) => runBareLoop("packed", seconds),
  startDaemon,
  startSystemDaemon,
};
