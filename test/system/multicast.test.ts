/** Hosts that join groups with ordinary sockets, behind Sluice, whose neighbour is Open vSwitch: both learn who wants what, and
 *  packets go nowhere else. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { data, dataPort, group4, igmp } from "../differential/multicast-frames.js";
import { type Host, makeHosts, removeHosts } from "./hosts.js";
import { missing, type Switch, sleep, startOvs, startSluice, until } from "./switch.js";

const reason = missing({ root: true, tools: ["ovs-vswitchd", "ovs-vsctl", "ovs-appctl", "ovs-ofctl", "ip"] });
if (reason !== undefined) console.log(`skip: multicast: ${reason}`);
const maybe = reason === undefined ? test : test.skip;

/** Both make a device of that name. */
const bridgeOf = (under: Switch): string => `mc${process.pid % 1000}${under.kind === "ovs" ? "y" : "x"}`;

const snoop = ["mcast_snooping_enable=true", "other_config:mcast-snooping-disable-flood-unregistered=true"];

interface Network {
  readonly ours: Switch;
  readonly theirs: Switch;
  /** Two behind Sluice, one behind Open vSwitch. */
  readonly hosts: readonly [Host, Host, Host];
  /** OpenFlow ports of the cable between the switches. */
  readonly cable: { readonly ours: string; readonly theirs: string };
}

async function withNetwork(body: (network: Network) => Promise<void>): Promise<void> {
  const [first, second, third] = makeHosts("mc", 3);
  if (first === undefined || second === undefined || third === undefined) throw new Error("no hosts");
  const ends = [`mc${process.pid % 1000}a`, `mc${process.pid % 1000}b`] as const;
  execFileSync("ip", ["link", "add", ends[0], "type", "veth", "peer", "name", ends[1]]);
  for (const end of ends) execFileSync("ip", ["link", "set", end, "up"]);
  const running: Switch[] = [];
  try {
    const ours = await startSluice();
    running.push(ours);
    const theirs = await startOvs();
    running.push(theirs);
    const bridge = (under: Switch, ...ports: readonly string[]): void => {
      const added = ports.flatMap((port, index) => [
        ...["--", "add-port", bridgeOf(under), port],
        ...["--", "set", "interface", port, `ofport_request=${index + 1}`],
      ]);
      under.ok(
        "ovs-vsctl",
        "add-br",
        bridgeOf(under),
        "--",
        "set",
        "bridge",
        bridgeOf(under),
        "datapath_type=netdev",
        ...snoop,
        ...added,
      );
    };
    bridge(ours, first.port, second.port, ends[0]);
    bridge(theirs, third.port, ends[1]);
    // Behind the cable is a switch: who leaves there may not be the last.
    theirs.ok("ovs-vsctl", "set", "port", ends[1], "other_config:mcast-snooping-flood-reports=true");
    await body({ ours, theirs, hosts: [first, second, third], cable: { ours: "3", theirs: "2" } });
  } finally {
    for (const under of running) await under.stop();
    spawnSync("ip", ["link", "del", ends[0]]);
    removeHosts([first, second, third]);
  }
}

const script = (host: Host, text: string): ChildProcess =>
  spawn("ip", ["netns", "exec", host.name, process.execPath, "-e", text], { stdio: ["ignore", "pipe", "inherit"] });

/** A program that joins a group and prints what it is sent, until it is killed. */
function joined(host: Host, kind: "udp4" | "udp6", group: string): { stop(): Promise<void>; heard(): number } {
  const where = kind === "udp4" ? host.address : "::%eth0";
  const child = script(
    host,
    `const socket = require("node:dgram").createSocket({ type: "${kind}", reuseAddr: true });
     socket.on("message", () => process.stdout.write("."));
     socket.bind(${dataPort}, () => socket.addMembership("${group}", "${where}"));`,
  );
  let count = 0;
  child.stdout?.on("data", (data: Buffer) => {
    count += data.length;
  });
  return {
    heard: () => count,
    stop: () =>
      new Promise((resolve) => {
        child.once("exit", () => {
          resolve();
        });
        child.kill();
      }),
  };
}

/** Sends as if the host behind Open vSwitch did.  A checksum that a veth leaves to be filled in would be lost there. */
function send(under: Switch, group: readonly number[], count: number): void {
  const frame = data({ host: 3, vlan: 0 }, group, [10, 77, 0, 3]);
  for (let left = count; left > 0; left--)
    under.ok("ovs-ofctl", "packet-out", bridgeOf(under), `in_port=1 packet=${frame} actions=NORMAL`);
}

/** Packets that a port of Sluice has sent. */
const sentBy = (under: Switch, port: number): number =>
  Number(/tx pkts=(\d+)/.exec(under.ok("ovs-ofctl", "dump-ports", bridgeOf(under), String(port)))?.[1]);

const knows = (under: Switch, port: string, group: string): boolean =>
  new RegExp(`^ +${port} +0 +${group.replaceAll(".", "\\.")} `, "m").test(
    under.ok("ovs-appctl", "mdb/show", bridgeOf(under)),
  );

maybe("hosts get the groups that they joined through Sluice and Open vSwitch, and no others", async () => {
  await withNetwork(async ({ ours, theirs, hosts: [member, bystander], cable }) => {
    // A query from behind Open vSwitch: there is the router.
    const query = igmp({ host: 3, vlan: 0 }, 0x11, [0, 0, 0, 0], [10, 77, 0, 3]);
    theirs.ok(
      "ovs-ofctl",
      "packet-out",
      bridgeOf(theirs),
      `in_port=NONE packet=${query} actions=output:${cable.theirs}`,
    );
    await until("Sluice knows the router", 10, () => knows(ours, cable.ours, "querier"));

    const address = group4(9);
    const group = address.join(".");
    const program = joined(member, "udp4", group);
    await until("Sluice knows the member", 10, () => knows(ours, "1", group));
    await until("so does Open vSwitch, by the report that was forwarded", 10, () => knows(theirs, cable.theirs, group));

    const before = sentBy(ours, 2);
    send(theirs, address, 50);
    await until("the member heard it all", 10, () => program.heard() === 50);
    await sleep(200);
    // Neighbour discovery and the like may go by.
    assert.ok(sentBy(ours, 2) - before < 20, `the bystander was sent ${sentBy(ours, 2) - before}`);

    const other = joined(bystander, "udp4", group);
    await until("Sluice knows the second member", 10, () => knows(ours, "2", group));
    send(theirs, address, 50);
    await until("both heard it", 10, () => program.heard() === 100 && other.heard() === 50);

    const six = joined(member, "udp6", "ff15::9");
    await until("Sluice knows the member of IPv6", 10, () => knows(ours, "1", "ff15::9"));
    await until("so does Open vSwitch", 10, () => knows(theirs, cable.theirs, "ff15::9"));
    await six.stop();
    await until("it left", 10, () => !knows(ours, "1", "ff15::9"));
    assert.ok(knows(theirs, cable.theirs, "ff15::9"), "a leave from a switch is not believed");

    await program.stop();
    await until("Sluice knows that the first left", 10, () => !knows(ours, "1", group));
    const quiet = sentBy(ours, 1);
    send(theirs, address, 50);
    await until("the second heard it", 10, () => other.heard() >= 100);
    assert.ok(sentBy(ours, 1) - quiet < 20, `who left was sent ${sentBy(ours, 1) - quiet}`);
    await other.stop();
  });
});

test.run();
