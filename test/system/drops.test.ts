/** What hosts sent and no host received: the kernel's counters of their devices beside the reasons that the switch tells. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Host, makeHosts, removeHosts } from "./hosts.js";
import { missing, type Switch, sleep, sluice, startSluice, until } from "./switch.js";

const test = suite("accounts of drops");
const why = missing({ root: true, tools: ["ip", "ovs-vsctl", "ovs-ofctl"] });

/** In the sender's namespace: bursts of datagrams to ports from 5001 on, in turn. */
const sender = `
const { createSocket } = require("node:dgram");
const [address, count, ports] = [process.argv[1], Number(process.argv[2]), Number(process.argv[3])];
const socket = createSocket("udp4");
let sent = 0;
const burst = () => {
  for (let n = 0; n < 50 && sent < count; n++, sent++) socket.send(Buffer.alloc(100), 5001 + (sent % ports), address);
  if (sent < count) setTimeout(burst, 2); else setTimeout(() => socket.close(), 200);
};
burst();`;

interface Frames {
  readonly tx: number;
  readonly rx: number;
}

function framesOf(host: Host): Frames {
  const { stdout } = host.exec("ip", "-s", "-j", "link", "show", "eth0");
  type Counters = Record<"rx" | "tx", { readonly packets: number; readonly dropped: number }>;
  const [link] = JSON.parse(stdout) as [{ readonly stats64: Counters }];
  const { rx, tx } = link.stats64;
  return { tx: tx.packets, rx: rx.packets + rx.dropped };
}

/** What makes the accounts agree besides, by the counters that tell of it. */
const accounts = ["packet_injected", "packet_copied", "packet_consumed"] as const;

/** Packets by reason, of all ports, and the accounts. */
function dropsOf(under: Switch): Readonly<Record<string, number>> {
  const json = under.ok(process.execPath, sluice, "appctl", "--format", "json", "sluice/drops");
  const drops = JSON.parse(json) as readonly { readonly reason: string; readonly packets: number }[];
  const sums: Record<string, number> = {};
  for (const { reason, packets } of drops) sums[reason] = (sums[reason] ?? 0) + packets;
  for (const name of accounts) sums[name] = Number(under.ok("ovs-appctl", "coverage/read-counter", name));
  return sums;
}

interface Counts {
  readonly frames: readonly Frames[];
  readonly drops: Readonly<Record<string, number>>;
}

/** Counters of hosts and switch of a moment in which nothing moves: two looks that see the same. */
async function settled(under: Switch, hosts: readonly Host[]): Promise<Counts> {
  const look = (): Counts => ({ frames: hosts.map(framesOf), drops: dropsOf(under) });
  let last = look();
  await until("nothing moves", 20, async () => {
    await sleep(500);
    const before = JSON.stringify(last);
    last = look();
    return JSON.stringify(last) === before;
  });
  return last;
}

if (why !== undefined) console.log(`skip: accounts of drops: ${why}`);
else
  test("what went missing between hosts is what the switch says it dropped", async () => {
    const hosts = makeHosts("ac", 3) as [Host, Host, Host];
    const [a, b] = hosts;
    const bridge = `${a.port}b`;
    const under = await startSluice();
    try {
      under.ok(
        "ovs-vsctl",
        "add-br",
        bridge,
        "--",
        "set",
        "bridge",
        bridge,
        "datapath_type=netdev",
        "fail_mode=secure",
      );
      for (const [index, host] of hosts.entries()) {
        // Neither end of the pair says anything of its own.
        const quiet = (device: string): string => `for f in /proc/sys/net/ipv6/conf/${device}/disable_ipv6; do
          [ ! -e $f ] || echo 1 >$f; done`;
        host.exec("sh", "-c", quiet("all"));
        under.ok("sh", "-c", quiet(host.port));
        const port = ["set", "interface", host.port, `ofport_request=${index + 1}`];
        under.ok("ovs-vsctl", "add-port", bridge, host.port, "--", ...port);
      }
      under.ok("ovs-ofctl", "-O", "OpenFlow13", "add-meter", bridge, "meter=1,pktps,band=type=drop,rate=200");
      for (const flow of [
        "priority=9,arp,actions=normal",
        "priority=8,udp,tp_dst=5001,actions=output:2",
        "priority=8,udp,tp_dst=5002,actions=drop",
        "priority=8,udp,tp_dst=5003,actions=meter:1,output:2",
        "priority=8,udp,tp_dst=5004,actions=output:3",
        "priority=8,udp,tp_dst=5005,actions=mod_nw_ttl:1,dec_ttl,output:2",
        // 5006 meets no rule.
        "priority=8,udp,tp_dst=5007,actions=output:2,output:3",
      ])
        under.ok("ovs-ofctl", "-O", "OpenFlow13", "add-flow", bridge, flow);
      await until("the address is known", 10, () => {
        a.exec("ping", "-c", "1", "-W", "1", b.address);
        return /REACHABLE|STALE|DELAY/.test(a.exec("ip", "neigh", "show", b.address).stdout);
      });
      a.exec("ip", "neigh", "replace", b.address, "lladdr", b.mac, "dev", "eth0", "nud", "permanent");
      b.exec("ip", "neigh", "replace", a.address, "lladdr", a.mac, "dev", "eth0", "nud", "permanent");
      // What is flooded would go to the bridge's own device too, which is no host.
      under.ok("ovs-ofctl", "-O", "OpenFlow13", "del-flows", bridge, "arp");
      under.ok("ovs-ofctl", "-O", "OpenFlow13", "mod-port", bridge, "3", "down");
      under.ok(
        "ovs-vsctl",
        "set",
        "interface",
        a.port,
        "ingress_policing_kpkts_rate=4",
        "ingress_policing_kpkts_burst=1",
      );
      const before = await settled(under, hosts);
      const count = 21_000;
      const words = ["netns", "exec", a.name, process.execPath, "-e", sender, b.address, String(count), "7"];
      await once(spawn("ip", words, { stdio: "inherit" }), "exit");
      const { frames, drops } = await settled(under, hosts);
      const grown = (key: string): number => (drops[key] ?? 0) - (before.drops[key] ?? 0);
      const sum = (of: (counted: Frames) => number): number =>
        frames.reduce((all, now, index) => all + of(now) - of(before.frames[index]!), 0);
      const sentNow = sum(({ tx }) => tx);
      const gotNow = sum(({ rx }) => rx);
      const reasons = Object.keys(drops).filter((key) => !accounts.some((name) => name === key) && grown(key) !== 0);
      const told = reasons.map((key) => `${key} ${grown(key)}`).join(", ");
      console.log(`${sentNow} sent, ${gotNow} received; dropped: ${told}`);

      assert.ok(sentNow >= count, `only ${sentNow} of ${count} were sent`);
      const droppedNow = reasons.reduce((all, key) => all + grown(key), 0);
      assert.is(
        sentNow + grown("packet_injected") + grown("packet_copied"),
        gotNow + droppedNow + grown("packet_consumed"),
        told,
      );
      for (const reason of ["no_output", "meter", "ttl", "table_miss", "rx_policed", "tx_down"])
        assert.ok(grown(reason) > 0, `nothing was dropped for ${reason}: ${told}`);
    } finally {
      await under.stop();
      removeHosts(hosts);
    }
  });
test.run();
