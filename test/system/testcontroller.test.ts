/** ovs-testcontroller in each of its ways, with Sluice and with Open vSwitch: the same flows and the same packets come of it. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { addBridge, equal, noOvs, say, withPair } from "./pair.js";
import { missing, type Switch, sleep, until } from "./switch.js";

const reason = noOvs ?? missing({ tools: ["ovs-testcontroller", "ovs-appctl"] });
if (reason !== undefined) console.log(`skip: ovs-testcontroller: ${reason}`);
const maybe = reason === undefined ? test : test.skip;

const ways: readonly (readonly string[])[] = [
  [],
  ["--hub", "--max-idle=permanent"],
  ["--noflow"],
  ["--normal", "--max-idle=7"],
  ["--wildcards"],
  ["--wildcards=0x1"],
  ["--port-queue=p2:5", "--queue=3"],
  ["--noflow", "--with-flows=FLOWS"],
  ["--mute"],
  ["-O", "OpenFlow13"],
  ["-O", "OpenFlow13", "--noflow", "--queue=2"],
  ["-O", "OpenFlow15", "--wildcards"],
];

const mac = (host: number): string => `50:54:00:00:00:0${host}`;
const udp = (from: number, to: number): string =>
  `in_port(${from}),eth(src=${mac(from)},dst=${mac(to)}),eth_type(0x0800),ipv4(src=10.0.0.${from},dst=10.0.0.${to},proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)`;
const arp = (from: number, to: number): string =>
  `in_port(${from}),eth(src=${mac(from)},dst=ff:ff:ff:ff:ff:ff),eth_type(0x0806),arp(sip=10.0.0.${from},tip=10.0.0.${to},op=1,sha=${mac(from)},tha=00:00:00:00:00:00)`;

/** Who sends what, one after the other. */
const packets: readonly (readonly [port: string, flow: string])[] = [
  ["p1", arp(1, 2)],
  ["p2", udp(2, 1)],
  ["p1", udp(1, 2)],
  ["p3", udp(3, 1)],
  ["p1", udp(1, 3)],
  ["p1", udp(1, 2)],
  ["p2", udp(2, 1)],
];

async function transcript(under: Switch, way: readonly string[]): Promise<string[]> {
  const flows = join(under.directory, "flows.txt");
  writeFileSync(flows, "priority=7,arp,actions=FLOOD\npriority=6,udp,tp_dst=2,actions=CONTROLLER\n");
  const socket = join(under.directory, "controller.sock");
  rmSync(socket, { force: true });
  const connections = (): number =>
    under
      .log()
      .split("\n")
      .filter((line) => line.endsWith("controller.sock: connected")).length;
  const before = connections();
  const words = way.map((word) => word.replace("FLOWS", flows));
  const controller: ChildProcess = spawn(
    "ovs-testcontroller",
    ["-vconsole:off", "--unixctl=none", ...words, `punix:${socket}`],
    { env: under.env, stdio: "ignore" },
  );
  try {
    await until("the controller listens", 10, () => existsSync(socket));
    under.ok("ovs-vsctl", "set-controller", "br0", `unix:${socket}`);
    await until("it is connected", 10, () => connections() > before);
    // What it sends first is done.
    await sleep(200);
    const out: string[] = [];
    for (const [port, flow] of packets) {
      under.ok("ovs-appctl", "netdev-dummy/receive", port, flow);
      await sleep(100);
    }
    under.run("ovs-appctl", "revalidator/wait");
    const table = await say(under, ["ovs-ofctl", "-O", "OpenFlow15", "dump-flows", "br0"]);
    out.push(`${way.join(" ")}:`, ...table.split("\n").sort());
    for (const port of ["p1", "p2", "p3"]) out.push(await say(under, ["ovs-ofctl", "dump-ports", "br0", port]));
    return out;
  } finally {
    under.run("ovs-vsctl", "del-controller", "br0");
    controller.kill();
    await new Promise((resolve) => controller.once("exit", resolve));
  }
}

maybe("the same flows and the same packets come of each way to run ovs-testcontroller", async () => {
  await withPair(async (pair) => {
    addBridge(pair, 3, "protocols=OpenFlow10,OpenFlow13,OpenFlow15");
    for (const way of ways) {
      const [ours, theirs] = await Promise.all(pair.both.map((under) => transcript(under, way)));
      equal(ours ?? [], theirs ?? []);
      const said = (theirs ?? []).join("\n");
      // Otherwise nothing was compared.
      const isTaught = /idle_timeout=60|NORMAL|FLOOD|tp_dst=2|dl_src/.test(said);
      assert.is(isTaught, !way.includes("--noflow") || way.includes("--with-flows=FLOWS"), said);
      for (const under of pair.both) {
        under.ok("ovs-ofctl", "-O", "OpenFlow13", "del-flows", "br0");
        // Open vSwitch counts what meets a megaflow of before for the rule that it becomes.
        under.ok("ovs-appctl", "revalidator/purge");
      }
    }
  });
});

test.run();
