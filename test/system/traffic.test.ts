/** Real hosts, real packets: namespaces on a bridge, with nothing turned off by ethtool. */
import { spawn } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Host, makeHosts, removeHosts, tcp } from "./hosts.js";
import { missing, type Switch, sleep, startSluice, until } from "./switch.js";

const reason = missing({ root: true, tools: ["ovs-vsctl", "ovs-ofctl", "ip", "ping", "iperf3"] });
if (reason !== undefined) console.log(`skip: traffic: ${reason}`);
const maybe = reason === undefined ? test : test.skip;

async function withNetwork(
  count: number,
  type: string,
  env: NodeJS.ProcessEnv,
  body: (under: Switch, hosts: Host[], bridge: string) => Promise<void>,
): Promise<void> {
  const hosts = makeHosts("slt", count);
  const under = await startSluice({ env });
  const bridge = `slt${process.pid % 10000}`;
  try {
    under.ok("ovs-vsctl", "add-br", bridge);
    hosts.forEach((host, index) => {
      under.ok(
        "ovs-vsctl",
        "add-port",
        bridge,
        host.port,
        "--",
        "set",
        "interface",
        host.port,
        `ofport_request=${index + 1}`,
        ...(type === "" ? [] : [`type=${type}`]),
      );
      assert.is(under.ok("ovs-vsctl", "get", "interface", host.port, "error").trim(), "[]");
    });
    await body(under, hosts, bridge);
    assert.ok(under.alive());
  } finally {
    await under.stop();
    removeHosts(hosts);
  }
}

const pings = (from: Host, to: Host, count = 3): number =>
  Number(
    /(\d+) received/.exec(from.exec("ping", "-c", String(count), "-i", "0.05", "-W", "1", to.address).stdout)?.[1] ?? 0,
  );

for (const type of ["", "afxdp"]) {
  maybe(`hosts on ${type === "" ? "system" : type} ports ping each other and speak TCP without ethtool`, async () => {
    await withNetwork(3, type, {}, async (under, hosts, bridge) => {
      const [a, b, c] = hosts as [Host, Host, Host];
      assert.is(pings(a, b), 3);
      assert.is(pings(c, a), 3);
      const rate = await tcp(a, b, 3);
      console.log(`${type === "" ? "system" : type}: ${rate.toFixed(0)} Mbit/s`);
      assert.ok(rate > 50, `TCP moved at ${rate} Mbit/s only`);
      under.ok("ovs-ofctl", "add-flow", bridge, "priority=100,icmp,in_port=1,actions=drop");
      assert.is(pings(a, b, 2), 0);
      under.ok("ovs-ofctl", "--strict", "del-flows", bridge, "priority=100,icmp,in_port=1");
      assert.is(pings(a, b), 3);
      const flows = under.ok("ovs-ofctl", "dump-flows", bridge);
      assert.ok(Number(/n_packets=(\d+)/.exec(flows)?.[1] ?? 0) > 10, flows);
    });
  });
}

maybe("known and new flows are forwarded while the JavaScript thread is blocked", async () => {
  await withNetwork(3, "", { SLUICE_TEST_HOOKS: "1" }, async (under, hosts) => {
    const [a, b, c] = hosts as [Host, Host, Host];
    assert.is(pings(a, b), 3);
    assert.is(pings(a, c), 3);
    const blocked = spawn("ovs-appctl", ["sluice/test-spin", "10000"], { env: under.env, stdio: "ignore" });
    await sleep(500);
    const start = Date.now();
    assert.is(pings(a, b, 40), 40, "a known flow");
    assert.is(pings(b, c, 40), 40, "hosts that had not spoken to each other");
    const server = spawn("ip", ["netns", "exec", c.name, "iperf3", "-s", "-1", "-p", "5300"], { stdio: "ignore" });
    await sleep(300);
    const report = JSON.parse(b.exec("iperf3", "-c", c.address, "-p", "5300", "-t", "1", "-J").stdout) as {
      error?: string;
    };
    server.kill();
    assert.is(report.error, undefined, "a new TCP connection");
    assert.ok(Date.now() - start < 9000, "all of it while the thread was blocked");
    assert.is(blocked.exitCode, null, "the thread is still blocked");
    await until("the thread runs again", 15, () => blocked.exitCode !== null);
    assert.is(blocked.exitCode, 0);
  });
});

test.run();
