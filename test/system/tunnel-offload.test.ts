import { spawnSync } from "node:child_process";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Host, makeHosts, removeHosts, tcp } from "./hosts.js";
import { missing, type Switch, startSluice, until } from "./switch.js";

/** TCP of hosts whose kernels encapsulate it themselves.  They hand out super-frames with a tunnel around them, and leave
 *  the inner checksum to the device: nothing that a tunnel's end here, or a port on the way, can pass on as it is. */

const test = suite("offloads inside tunnels");
const needs = missing({ root: true, tools: ["ip", "ping", "iperf3", "ovs-vsctl", "ovs-ofctl"] });

const kinds: readonly { readonly name: string; readonly kernel: string; readonly ours: string }[] = [
  { name: "vxlan", kernel: "type vxlan id 42 dstport 4789 noudpcsum", ours: "type=vxlan options:key=42" },
  { name: "vxlan with checksums", kernel: "type vxlan id 42 dstport 4789 udpcsum", ours: "type=vxlan options:key=42" },
  { name: "geneve", kernel: "type geneve id 42 dstport 6081 noudpcsum", ours: "type=geneve options:key=42" },
  { name: "gre", kernel: "type gretap nopmtudisc key 42", ours: "type=gre options:key=42" },
  { name: "gre with checksums", kernel: "type gretap nopmtudisc key 42 ocsum", ours: "type=gre options:key=42" },
];

/** Whether the kernel has the device. */
const has = (kernel: string): boolean =>
  spawnSync("unshare", ["-n", "ip", ..."link add t0".split(" "), ...kernel.split(" "), "remote", "192.0.2.1"])
    .status === 0;

/** Three hosts on a bridge that is only their wire, in which the first two have tunnels to each other; on another bridge the
 *  third one, and our end of a second tunnel of the first. */
async function withTunnels(
  kind: { readonly kernel: string; readonly ours: string },
  body: (under: Switch, hosts: readonly [Host, Host, Host]) => Promise<void>,
): Promise<void> {
  const hosts = makeHosts("to", 3) as [Host, Host, Host];
  const [a, b, c] = hosts;
  const [wire, inside, end] = ["w", "i", "t"].map((letter) => `${a.port}${letter}`) as [string, string, string];
  const under = await startSluice();
  const exec = (host: Host, words: string): void => {
    const { status, stderr } = host.exec(...words.split(" "));
    assert.is(status, 0, `${words}: ${stderr}`);
  };
  try {
    const netdev = (bridge: string): string => `add-br ${bridge} -- set bridge ${bridge} datapath_type=netdev`;
    const ports = `add-port ${wire} ${a.port} -- add-port ${wire} ${b.port} -- add-port ${inside} ${c.port}`;
    const tunnel = `add-port ${inside} ${end} -- set interface ${end} options:remote_ip=${a.address} ${kind.ours}`;
    under.ok("ovs-vsctl", ...`${netdev(wire)} -- ${netdev(inside)} -- ${ports} -- ${tunnel}`.split(" "));
    for (const words of [`addr add 10.77.0.254/24 dev ${wire}`, `link set ${wire} up`])
      assert.is(spawnSync("ip", words.split(" ")).status, 0, words);
    exec(c, "ip addr add 10.88.1.3/24 dev eth0");
    exec(c, "ip link set eth0 mtu 1400");
    const device = (host: Host, name: string, remote: string, address: string, kernel: string): void => {
      const local = kernel.includes("gretap") ? `local ${host.address}` : "";
      exec(host, `ip link add ${name} mtu 1400 ${kernel} remote ${remote} ${local}`.trim());
      exec(host, `ip addr add ${address}/24 dev ${name}`);
      exec(host, `ip link set ${name} up`);
    };
    device(a, "tu0", "10.77.0.254", "10.88.1.1", kind.kernel);
    device(a, "tu1", b.address, "10.88.2.1", kind.kernel.replace("42", "43"));
    device(b, "tu1", a.address, "10.88.2.2", kind.kernel.replace("42", "43"));
    const answers = (address: string) => (): boolean => a.exec("ping", "-c", "1", "-W", "1", address).status === 0;
    await until("the end of the tunnel answers", 20, answers("10.88.1.3"));
    await until("the other host answers through the tunnel", 20, answers("10.88.2.2"));
    await body(under, hosts);
    assert.ok(under.alive());
  } finally {
    await under.stop();
    removeHosts(hosts);
  }
}

if (needs !== undefined) console.log(`skip: offloads inside tunnels: ${needs}`);
else
  for (const kind of kinds) {
    if (!has(kind.kernel)) {
      console.log(`skip: offloads inside tunnels: the kernel has no ${kind.name}`);
      continue;
    }
    test(`TCP passes through ${kind.name} of the kernel, without ethtool`, async () => {
      await withTunnels(kind, async (_, [a, b, c]) => {
        const rates = [
          await tcp(a, c, 1, "10.88.1.3"),
          await tcp(c, a, 1, "10.88.1.1"),
          await tcp(a, b, 1, "10.88.2.2"),
        ];
        console.log(`${kind.name}: ${rates.map((rate) => rate.toFixed(0)).join(", ")} Mbit/s`);
        for (const rate of rates) assert.ok(rate > 20, `TCP moved at ${rate} Mbit/s only`);
      });
    });
  }
test.run();
