/** Hosts beyond DPDK's devices: their TCP with the offloads that their kernels leave to a device, and two switches that share memory. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Host, makeHosts, removeHosts, tcp } from "./hosts.js";
import { missing, root, type Switch, sleep, startSluice, until } from "./switch.js";

const lacking =
  missing({ root: true, tools: ["ovs-vsctl", "ovs-ofctl", "ip", "ping", "iperf3", "tcpdump", "tshark"] }) ??
  (existsSync(join(root, "build", "Release", "sluice_dpdk.so")) ? undefined : "Sluice was built without DPDK") ??
  (existsSync("/dev/net/tun") ? undefined : "there is no /dev/net/tun");
if (lacking !== undefined) console.log(`skip: hosts of DPDK: ${lacking}`);
const maybe = lacking === undefined ? test : test.skip;

const tag = `slh${process.pid % 10000}`;

async function startDpdk(prefix: string): Promise<Switch> {
  const under = await startSluice();
  const extra = `--no-huge -m 256 --no-pci --no-telemetry --file-prefix=${tag}${prefix}`;
  under.ok("ovs-vsctl", "set", "open", ".", "other_config:dpdk-init=true", `other_config:dpdk-extra="${extra}"`);
  const bridge = `${tag}${prefix}`;
  under.ok("ovs-vsctl", "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev");
  return under;
}

function addDevice(under: Switch, bridge: string, port: string, devargs: string): void {
  const set = ["--", "set", "interface", port, "type=dpdk", `options:dpdk-devargs="${devargs}"`];
  under.ok("ovs-vsctl", "add-port", bridge, port, ...set);
  assert.is(under.ok("ovs-vsctl", "get", "interface", port, "error").trim(), "[]");
}

const ip = (...words: string[]): void => assert.is(spawnSync("ip", words).status, 0, `ip ${words.join(" ")}`);

maybe("TCP passes between a host on a veth and one on DPDK's tap, without ethtool", async () => {
  const bridge = `${tag}a`;
  const hosts = makeHosts("dh", 2) as [Host, Host];
  const [onVeth, onTap] = hosts;
  const tap = `${tag}t`;
  const under = await startDpdk("a");
  try {
    under.ok("ovs-vsctl", "add-port", bridge, onVeth.port);
    addDevice(under, bridge, tap, `net_tap0,iface=${tap}`);
    // The second host's veth leads nowhere; DPDK's tap takes its place.
    ip("-n", onTap.name, "link", "del", "eth0");
    ip("link", "set", tap, "netns", onTap.name);
    ip("-n", onTap.name, "addr", "add", `${onTap.address}/24`, "dev", tap);
    ip("-n", onTap.name, "link", "set", tap, "up");
    await until(
      "the hosts hear each other",
      20,
      () => onVeth.exec("ping", "-c", "1", "-W", "1", onTap.address).status === 0,
    );
    // What the veth's host left to a device, DPDK's must find done.
    const capture = join(under.directory, "tap.pcap");
    const dump = ["tcpdump", "-i", tap, "-c", "2000", "-w", capture, "src", "host", onVeth.address, "and", "tcp"];
    const tcpdump = spawn("ip", ["netns", "exec", onTap.name, ...dump], { stdio: "ignore" });
    const captured = new Promise((resolve) => tcpdump.once("exit", resolve));
    await sleep(500);
    const rates = [await tcp(onVeth, onTap, 2), await tcp(onTap, onVeth, 2)];
    await captured;
    const frames = (filter: string): number => {
      const read = ["-r", capture, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y", filter];
      return under.ok("tshark", ...read).split("\n").length - 1;
    };
    assert.ok(frames("tcp.len > 1000 && tcp.checksum.status == 1") > 1000);
    assert.is(frames("frame.len > 1514 || tcp.checksum.status == 0 || ip.checksum.status == 0"), 0);
    console.log(`veth to tap, tap to veth: ${rates.map((rate) => rate.toFixed(0)).join(", ")} Mbit/s`);
    for (const rate of rates) assert.ok(rate > 20, `TCP moved at ${rate} Mbit/s only`);
    assert.ok(under.alive());
  } finally {
    await under.stop();
    removeHosts(hosts);
  }
});

maybe("hosts of two switches reach each other by shared memory", async () => {
  const hosts = makeHosts("dm", 2) as [Host, Host];
  const [a, b] = hosts;
  const first = await startDpdk("b");
  let second: Switch | undefined;
  try {
    second = await startDpdk("c");
    const socket = join(first.directory, "memif.sock");
    first.ok("ovs-vsctl", "add-port", `${tag}b`, a.port);
    second.ok("ovs-vsctl", "add-port", `${tag}c`, b.port);
    addDevice(first, `${tag}b`, "memif0", `net_memif0,role=server,id=1,socket=${socket},socket-abstract=no`);
    addDevice(second, `${tag}c`, "memif0", `net_memif0,role=client,id=1,socket=${socket},socket-abstract=no`);
    for (const [under, name] of [
      [first, "the server's"],
      [second, "the client's"],
    ] as const)
      await until(
        `${name} link`,
        20,
        () => under.ok("ovs-vsctl", "get", "interface", "memif0", "link_state").trim() === "up",
      );
    await until("the hosts hear each other", 20, () => a.exec("ping", "-c", "1", "-W", "1", b.address).status === 0);
    const rate = await tcp(a, b, 2);
    console.log(`through memif: ${rate.toFixed(0)} Mbit/s`);
    assert.ok(rate > 20, `TCP moved at ${rate} Mbit/s only`);
    assert.ok(first.alive() && second.alive());
  } finally {
    await second?.stop();
    await first.stop();
    removeHosts(hosts);
  }
});

test.run();
