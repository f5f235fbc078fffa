import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Host, makeHosts, removeHosts } from "./hosts.js";
import { have, missing, type Switch, sleep, startSluice, until } from "./switch.js";

/** VXLAN with the kernel's own device at the other end, in a namespace: plain, and with a group policy. */

const test = suite("vxlan with the kernel");
const needs = missing({ root: true, tools: ["ip", "ping", "ovs-vsctl", "ovs-ofctl"] });
const noDevice = (): string | undefined => {
  const made = spawnSync("unshare", ["-n", "ip", "link", "add", "v0", "type", "vxlan", "id", "5", "dstport", "4789"]);
  return made.status === 0 ? undefined : "the kernel has no vxlan";
};
const why = needs ?? noDevice();

async function withTunnel(
  options: { gbp: boolean },
  body: (under: Switch, host: Host) => Promise<void>,
): Promise<void> {
  const hosts = makeHosts("vx", 1);
  const [host] = hosts as [Host];
  const tag = host.port;
  const under = await startSluice();
  try {
    const exec = (...command: string[]): void => {
      const { status, stderr } = host.exec(...command);
      assert.is(status, 0, stderr);
    };
    under.ok(
      "ovs-vsctl",
      ...`add-br ${tag}a -- set bridge ${tag}a datapath_type=netdev -- add-port ${tag}a ${host.port}`.split(" "),
      ...`-- add-br ${tag}b -- set bridge ${tag}b datapath_type=netdev -- add-port ${tag}b ${tag}t`.split(" "),
      ...`-- set interface ${tag}t type=vxlan ofport_request=2 options:remote_ip=10.88.9.1 options:key=42`.split(" "),
      ...(options.gbp ? ["options:exts=gbp"] : []),
    );
    for (const [device, address] of [
      [`${tag}a`, "10.88.9.254/24"],
      [`${tag}b`, "10.88.10.254/24"],
    ] as const)
      for (const words of [`addr add ${address} dev ${device}`, `link set ${device} up mtu 1400`])
        assert.is(spawnSync("ip", words.split(" ")).status, 0, words);
    exec("ip", "addr", "add", "10.88.9.1/24", "dev", "eth0");
    const kind = `type vxlan id 42 remote 10.88.9.254 dstport 4789 dev eth0${options.gbp ? " gbp" : ""}`;
    exec("ip", "link", "add", "vx0", "mtu", "1400", ...kind.split(" "));
    exec("ip", "addr", "add", "10.88.10.1/24", "dev", "vx0");
    exec("ip", "link", "set", "vx0", "up");
    await body(under, host);
  } finally {
    await under.stop();
    removeHosts(hosts);
  }
}

const ping = (host: Host, ...options: string[]): boolean =>
  host.exec("ping", "-c", "1", "-W", "1", ...options, "10.88.10.254").status === 0;

if (why !== undefined) console.log(`skip: vxlan with the kernel: ${why}`);
else {
  test("packets of all sizes pass both ways", async () => {
    await withTunnel({ gbp: false }, async (_, host) => {
      await until("the hosts hear each other", 10, () => ping(host));
      assert.ok(ping(host, "-s", "1300"));
      assert.ok(ping(host, "-s", "3000"));
    });
  });

  test("a group policy is matched, and set", async () => {
    await withTunnel({ gbp: true }, async (under, host) => {
      const capture = join(under.directory, "wire.pcap");
      const bridge = `${host.port}b`;
      under.ok("ovs-ofctl", "del-flows", bridge);
      for (const flow of [
        "priority=2,in_port=2,arp,actions=LOCAL",
        "priority=1,in_port=2,tun_gbp_id=0x123,actions=LOCAL",
        "priority=1,in_port=LOCAL,actions=set_field:0x77->tun_gbp_id,output:2",
      ])
        under.ok("ovs-ofctl", "add-flow", bridge, flow);
      const dump = have("tcpdump")
        ? spawn("tcpdump", ["-i", host.port, "-U", "-w", capture, "udp", "port", "4789"], { stdio: "ignore" })
        : undefined;
      if (dump !== undefined) await sleep(500);
      // The kernel's device makes a packet's mark its policy.
      await until("the hosts hear each other", 10, () => ping(host, "-m", String(0x123)));
      assert.not(ping(host, "-m", String(0x124)));
      assert.not(ping(host));
      if (dump === undefined || !have("tshark")) return;
      await sleep(300);
      dump.kill("SIGINT");
      await new Promise((resolve) => dump.once("exit", resolve));
      const seen = under.ok("tshark", "-r", capture, "-T", "fields", "-e", "ip.src", "-e", "vxlan.gbp").split("\n");
      assert.ok(
        seen.some((line) => line.startsWith("10.88.9.1,") && line.endsWith("\t291")),
        seen.join("; "),
      );
      assert.ok(
        seen.some((line) => line.startsWith("10.88.9.254,") && line.endsWith("\t119")),
        seen.join("; "),
      );
      assert.is(under.ok("tshark", "-r", capture, "-Y", "_ws.malformed"), "");
    });
  });
}
test.run();
