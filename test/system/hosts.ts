/** Hosts of a test network: network namespaces with one end of a veth pair each, made and removed by the test. */
import { execFileSync, spawn, spawnSync } from "node:child_process";

export interface Host {
  readonly name: string;
  /** The end of the veth pair that goes into the bridge. */
  readonly port: string;
  readonly address: string;
  readonly mac: string;
  exec(...command: string[]): { status: number; stdout: string; stderr: string };
}

const ip = (...args: string[]): void => {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });
};

let made = 0;

/** Makes `count` hosts 10.77.0.1, 10.77.0.2, ...; `prefix` begins every name that is made (at most 6 letters). */
export function makeHosts(prefix: string, count: number): Host[] {
  made += 1;
  const tag = `${prefix}${process.pid % 1000}${made}`;
  return Array.from({ length: count }, (_, index) => {
    const name = `${tag}h${index + 1}`;
    const port = `${tag}p${index + 1}`;
    const mac = `50:54:00:00:00:${(index + 1).toString(16).padStart(2, "0")}`;
    ip("netns", "add", name);
    ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name);
    ip("link", "set", port, "up");
    ip("-n", name, "link", "set", "lo", "up");
    ip("-n", name, "link", "set", "eth0", "address", mac, "up");
    ip("-n", name, "addr", "add", `10.77.0.${index + 1}/24`, "dev", "eth0");
    return {
      name,
      port,
      mac,
      address: `10.77.0.${index + 1}`,
      exec(...command) {
        const result = spawnSync("ip", ["netns", "exec", name, ...command], { encoding: "utf8", timeout: 60_000 });
        return { status: result.status ?? -1, stdout: result.stdout ?? "", stderr: result.stderr ?? "" };
      },
    };
  });
}

export function removeHosts(hosts: readonly Host[]): void {
  for (const host of hosts) {
    spawnSync("ip", ["link", "del", host.port]);
    spawnSync("ip", ["netns", "del", host.name]);
  }
}

/** Megabits a second of one TCP stream, from iperf3's own report; `address` is one of `to`. */
export async function tcp(from: Host, to: Host, seconds: number, address = to.address): Promise<number> {
  const server = spawn("ip", ["netns", "exec", to.name, "iperf3", "-s", "-1"], { stdio: "ignore" });
  await new Promise((resolve) => setTimeout(resolve, 300));
  const report = from.exec("timeout", String(seconds + 10), "iperf3", "-c", address, "-t", String(seconds), "-J");
  server.kill();
  const parsed = JSON.parse(report.stdout) as { error?: string; end?: { sum_received?: { bits_per_second: number } } };
  if (parsed.error !== undefined) throw new Error(`iperf3 from ${from.name} to ${address}: ${parsed.error}`);
  return (parsed.end?.sum_received?.bits_per_second ?? 0) / 1e6;
}
