/** Queues of the kernel's under a bridge: made as Open vSwitch makes them, used by set_queue, counted, taken over, removed. */
import { execFileSync, spawn } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Host, makeHosts, removeHosts } from "./hosts.js";
import { missing, type Switch, sleep, startOvs, startSluice, until } from "./switch.js";

const reason =
  missing({ root: true, tools: ["ovs-vsctl", "ovs-ofctl", "ovs-appctl", "ip", "tc", "iperf3"] }) ?? withoutHtb();
if (reason !== undefined) console.log(`skip: qos: ${reason}`);
const maybe = reason === undefined ? test : test.skip;
const noOvs = reason ?? missing({ tools: ["ovs-vswitchd", "ovsdb-server"] });
if (reason === undefined && noOvs !== undefined) console.log(`skip: qos beside Open vSwitch: ${noOvs}`);

function withoutHtb(): string | undefined {
  const [host] = makeHosts("slq", 1) as [Host];
  try {
    execFileSync("tc", ["qdisc", "add", "dev", host.port, "root", "htb"], { stdio: "ignore" });
    return undefined;
  } catch {
    return "the kernel has no htb";
  } finally {
    removeHosts([host]);
  }
}

const tc = (what: string, port: string): string =>
  execFileSync("tc", ["-d", what, "show", "dev", port], { encoding: "utf8" }).split("\n").toSorted().join("\n");

const queues = [
  ["queues:0=@a", "queues:1=@b", "queues:5=@c"],
  ["--", "--id=@a", "create", "queue", "other-config:min-rate=1000000"],
  ["--", "--id=@b", "create", "queue", "other-config:max-rate=20000000", "other-config:burst=1000000", "dscp=10"],
  ["--", "--id=@c", "create", "queue", "other-config:priority=3", "other-config:min-rate=300000000"],
].flat();

const setQos = (under: Switch, port: string, type: string, ...more: readonly string[]): void => {
  under.ok("ovs-vsctl", "--", "set", "port", port, "qos=@q", "--", "--id=@q", "create", "qos", `type=${type}`, ...more);
};

async function withPorts(
  start: () => Promise<Switch>,
  body: (under: Switch, hosts: readonly [Host, Host], bridge: string) => Promise<void>,
): Promise<void> {
  const hosts = makeHosts("slq", 2) as [Host, Host];
  const under = await start();
  const bridge = `slq${process.pid % 10000}`;
  try {
    under.ok("ovs-vsctl", "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev");
    hosts.forEach(({ port }, index) => {
      under.ok("ovs-vsctl", "add-port", bridge, port, "--", "set", "interface", port, `ofport_request=${index + 1}`);
    });
    await body(under, hosts, bridge);
    assert.ok(under.alive());
  } finally {
    await under.stop();
    removeHosts(hosts);
  }
}

/** Everything that can be seen of a life of QoS, without what is the device's. */
async function life(start: () => Promise<Switch>): Promise<string[]> {
  const seen: string[] = [];
  await withPorts(start, async (under, [{ port }], bridge) => {
    const look = (what: string): void => {
      const shown = under.ok("ovs-appctl", "qos/show", port).replace(/(tx_\w+): \d+/g, "$1: N");
      const text = [tc("qdisc", port), tc("class", port), shown.split("\n").toSorted().join("\n")].join("\n");
      seen.push(`${what}\n${text.replaceAll(port, "PORT").replace(/refcnt \d+/g, "refcnt")}`);
    };
    look("nothing asked for");
    setQos(under, port, "linux-htb", "other-config:max-rate=1000000000", ...queues);
    look("HTB with three queues");
    for (const words of [
      ["queue-stats", bridge],
      ["queue-get-config", bridge, "1"],
    ]) {
      const text = under.ok("ovs-ofctl", ...words);
      seen.push(text.replace(/\d+(?=, pkts| bytes)|pkts=\d+|bytes=\d+|duration=\S+|xid=\S+/g, "N"));
    }
    const row = under.ok("ovs-vsctl", "get", "port", port, "qos").trim();
    under.ok("ovs-vsctl", "remove", "qos", row, "queues", "1");
    look("without queue 1");
    under.ok("ovs-vsctl", "set", "qos", row, "other-config:max-rate=200000000");
    look("with less of a rate");
    under.ok("ovs-vsctl", "del-port", port);
    seen.push(`the port is gone\n${tc("class", port)}`);
    under.ok("ovs-vsctl", "add-port", bridge, port);
    look("and back without QoS");
    for (const type of ["linux-noop", "linux-nonsense", "linux-htb"]) {
      setQos(under, port, type);
      look(`type ${type}`);
    }
    under.ok("ovs-vsctl", "clear", "port", port, "qos");
    look("QoS taken back");
    execFileSync("tc", ["qdisc", "add", "dev", port, "root", "tbf", "rate", "1mbit", "burst", "10k", "latency", "5ms"]);
    under.ok("ovs-vsctl", "del-port", port, "--", "add-port", bridge, port);
    under.ok("ovs-vsctl", "del-port", port);
    under.ok("ovs-vsctl", "add-port", bridge, port);
    look("what another left there");
  });
  return seen;
}

(noOvs === undefined ? test : test.skip)("a life of QoS looks the same with both switches", async () => {
  const [ours, theirs] = [await life(() => startSluice()), await life(() => startOvs())];
  for (const [index, text] of theirs.entries()) assert.is(ours[index], text);
  assert.is(ours.length, theirs.length);
});

/** Megabits a second of one TCP stream. */
async function tcp(from: Host, to: Host): Promise<number> {
  const server = spawn("ip", ["netns", "exec", to.name, "iperf3", "-s", "-1"], { stdio: "ignore" });
  await sleep(300);
  const report = from.exec("iperf3", "-c", to.address, "-t", "2", "-O", "1", "-J");
  server.kill();
  const parsed = JSON.parse(report.stdout) as { error?: string; end?: { sum_received?: { bits_per_second: number } } };
  assert.is(parsed.error, undefined);
  return (parsed.end?.sum_received?.bits_per_second ?? 0) / 1e6;
}

maybe(
  "set_queue and enqueue send by the queue that they name, at its rate, with its DSCP; its counters tell",
  async () => {
    await withPorts(
      () => startSluice(),
      async (under, [a, b], bridge) => {
        setQos(under, b.port, "linux-htb", "other-config:max-rate=1000000000", ...queues);
        const counted = (queue: number): number =>
          Number(
            /bytes=(\d+)/.exec(under.ok("ovs-ofctl", "-O", "OpenFlow13", "queue-stats", bridge, "2", `${queue}`))?.[1],
          );
        under.ok("ovs-ofctl", "add-flow", bridge, "priority=9,in_port=1,actions=set_queue:1,output:2");
        const limited = await tcp(a, b);
        assert.ok(limited > 17 && limited < 21, `a queue of 20 Mbit/s let ${limited.toFixed(1)} Mbit/s through`);
        assert.ok(counted(1) > 3e6, `queue 1 counted ${counted(1)} bytes`);
        under.ok("ovs-ofctl", "add-flow", bridge, "priority=9,in_port=1,actions=enqueue:2:5");
        const before = counted(1);
        const free = await tcp(a, b);
        assert.ok(free > 100, `a queue of 1000 Mbit/s let ${free.toFixed(1)} Mbit/s through only`);
        assert.ok(counted(5) > 2e7, `queue 5 counted ${counted(5)} bytes`);
        assert.is(counted(1), before);
        under.ok(
          "ovs-ofctl",
          "add-flow",
          bridge,
          "priority=9,in_port=1,actions=set_queue:1,output:2,pop_queue,output:2",
        );
        const trace = under.ok("ovs-appctl", "ofproto/trace", bridge, "in_port=1,tcp,nw_tos=32");
        assert.match(trace, /set\(ipv4\(tos=0x28\/0xfc\)\).*set\(skb_priority\(0x1\)\),\d+/);
        under.ok("ovs-vsctl", "clear", "port", b.port, "qos");
        assert.is(under.ok("ovs-appctl", "qos/show", b.port), `QoS not configured on ${b.port}\n`);
        assert.not.match(under.ok("ovs-appctl", "ofproto/trace", bridge, "in_port=1,tcp,nw_tos=32"), /tos=0x28/);
      },
    );
  },
);

maybe("a discipline that the kernel lacks, or none of ours, is a line in the log and nothing else", async () => {
  await withPorts(
    () => startSluice(),
    async (under, [{ port }]) => {
      setQos(under, port, "linux-netem", "other-config:loss=101");
      const loss = /netdev_linux\|WARN\|loss should be a percentage value between 0 to 100, loss was 101/;
      await until("the log has the loss", 10, () => loss.test(under.log()));
      const failed = /netdev_linux\|WARN\|\S+: Failed to install new qdisc: Invalid argument/;
      await until("the log has what came of it", 10, () => failed.test(under.log()));
      assert.is(under.ok("ovs-appctl", "qos/show-types", port).split("\n").length, 8);
      assert.is(under.run("ovs-appctl", "qos/show", "nonesuch").stderr.split("\n")[0], "no such interface");
    },
  );
});

test.run();
