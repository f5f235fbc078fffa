/** The hosts of the demonstration: network namespaces joined to the bridge by veth pairs.  What is made is written down
 *  before it is made, so that a second start can remove it after a kill; what is there already is never touched. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface DemoHost {
  readonly namespace: string;
  readonly port: string;
  readonly address: string;
}

export class DemoError extends Error {
  readonly code = "DEMO";
}

interface Made {
  readonly pid: number;
  readonly namespaces: string[];
  readonly links: string[];
}

function run(command: string, ...args: string[]): { ok: boolean; text: string } {
  const result = spawnSync(command, args, { encoding: "utf8", timeout: 30_000 });
  return { ok: result.status === 0, text: `${result.stdout ?? ""}${result.stderr ?? ""}` };
}

function must(command: string, ...args: string[]): void {
  const { ok, text } = run(command, ...args);
  if (!ok) throw new DemoError(`\`${command} ${args.join(" ")}\` failed: ${text.trim()}`);
}

const exists = {
  namespace: (name: string): boolean =>
    run("ip", "netns", "list")
      .text.split("\n")
      .some((line) => line.split(" ")[0] === name),
  link: (name: string): boolean => run("ip", "link", "show", name).ok,
};

export class DemoHosts {
  readonly hosts: DemoHost[] = [];
  private readonly made: Made = { pid: process.pid, namespaces: [], links: [] };
  private readonly ledger: string;

  constructor(private readonly directory: string) {
    this.ledger = join(directory, "made.json");
  }

  /** Removes what an earlier demonstration left when it was killed; refuses if one is still running. */
  recover(): boolean {
    let left: Made;
    try {
      left = JSON.parse(readFileSync(this.ledger, "utf8")) as Made;
    } catch {
      return false;
    }
    if (left.pid !== process.pid && isDemo(left.pid)) {
      throw new DemoError(
        `a demonstration is running already, process ${left.pid}: stop it with Ctrl-C where it runs, or kill ${left.pid}`,
      );
    }
    remove(left);
    rmSync(this.ledger, { force: true });
    return true;
  }

  make(count: number): readonly DemoHost[] {
    mkdirSync(this.directory, { recursive: true });
    for (let n = 1; n <= count; n++) {
      const host = { namespace: `sluice-h${n}`, port: `sluice-p${n}`, address: `10.77.1.${n}` };
      if (exists.namespace(host.namespace))
        throw new DemoError(
          `a namespace ${host.namespace} is there already and is not ours; if you do not need it: ip netns del ${host.namespace}`,
        );
      if (exists.link(host.port))
        throw new DemoError(
          `a device ${host.port} is there already and is not ours; if you do not need it: ip link del ${host.port}`,
        );
      this.made.namespaces.push(host.namespace);
      this.made.links.push(host.port);
      writeFileSync(this.ledger, JSON.stringify(this.made));
      must("ip", "netns", "add", host.namespace);
      must("ip", "link", "add", host.port, "type", "veth", "peer", "name", "eth0", "netns", host.namespace);
      must("ip", "link", "set", host.port, "up");
      must("ip", "-n", host.namespace, "link", "set", "lo", "up");
      must("ip", "-n", host.namespace, "link", "set", "eth0", "address", `02:00:00:00:00:0${n}`, "up");
      must("ip", "-n", host.namespace, "addr", "add", `${host.address}/24`, "dev", "eth0");
      this.hosts.push(host);
    }
    return this.hosts;
  }

  ping(from: DemoHost, to: DemoHost): boolean {
    return run("ip", "netns", "exec", from.namespace, "ping", "-c", "1", "-W", "2", to.address).ok;
  }

  removeAll(): void {
    remove(this.made);
    rmSync(this.ledger, { force: true });
  }
}

function remove(made: Made): void {
  for (const link of made.links) run("ip", "link", "del", link);
  for (const namespace of made.namespaces) run("ip", "netns", "del", namespace);
}

/** Whether that process is a demonstration, and not another that got its number. */
function isDemo(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes("demo");
  } catch {
    return false;
  }
}
