import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { addBridge, noOvs, say, withPair } from "./pair.js";
import { type Switch, until } from "./switch.js";

/** Packets that pause for a controller, which resumes each at once: controller(pause) and NXT_RESUME, in Sluice and in
 *  Open vSwitch.  Every port that a packet is sent to gets it once, and what a controller is told of what is left to do is
 *  the same. */

if (noOvs !== undefined) console.log(`skip: continuations: ${noOvs}`);
const maybe = noOvs === undefined ? test : test.skip;

const packet =
  "in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800)," +
  "ipv4(src=192.168.0.1,dst=192.168.0.2,proto=1,tos=0,ttl=128,frag=no),icmp(type=8,code=0)";
const ports = [2, 3, 4, 5, 6];

interface Case {
  readonly name: string;
  readonly groups?: readonly string[];
  readonly flows: readonly string[];
  /** Flows of br1, which hangs on br0 by a patch port: 10 of br0, 11 of br1.  Ports 5 and 6 are br1's. */
  readonly beyond?: readonly string[];
  readonly pauses: number;
  /** Ports that get the packet. */
  readonly outputs: readonly number[];
}

const pause = "controller(pause)";
const cases: readonly Case[] = [
  {
    name: "between outputs, at the beginning and at the end",
    flows: [`actions=${pause},2,${pause},3,${pause}`],
    pauses: 3,
    outputs: [2, 3],
  },
  {
    name: "in tables that resubmits nest, with what userdata says",
    flows: [
      `actions=${pause},2,resubmit(,1),4`,
      // What is left here must not need to know its rule: Open vSwitch forgets that when it freezes a second time.
      "table=1,cookie=0x11,actions=controller(pause,userdata=01.02.03),resubmit(,2),set_field:9->reg0",
      `table=2,cookie=0x22,actions=${pause},3`,
    ],
    pauses: 3,
    outputs: [2, 3, 4],
  },
  {
    name: "with an action set, metadata, registers and the stack",
    flows: [
      "actions=write_actions(output:4),goto_table:1",
      `table=1,actions=set_field:3->reg1,push:NXM_NX_REG1[],${pause},write_metadata:0x7,goto_table:2`,
      `table=2,metadata=7,actions=set_field:2->reg1,output:NXM_NX_REG1[],${pause},pop:NXM_NX_REG2[],output:NXM_NX_REG2[]`,
    ],
    pauses: 2,
    outputs: [2, 3, 4],
  },
  {
    name: "between groups, whose buckets are packets of their own, and in a table that a bucket leads to",
    groups: [
      "group_id=1,type=all,bucket=output:2,bucket=set_field:10.0.0.9->ip_src,output:3",
      "group_id=2,type=all,bucket=resubmit(,5),bucket=output:3",
    ],
    flows: [`ip,actions=group:1,${pause},group:2`, `table=5,ip,actions=${pause},4`],
    pauses: 2,
    outputs: [2, 3, 3, 4],
  },
  {
    // What follows such a clone is not executed, in either.
    name: "in a clone",
    flows: [`actions=3,clone(set_field:02:00:00:00:00:09->eth_dst,${pause},2)`],
    pauses: 1,
    outputs: [2, 3],
  },
  {
    name: "beyond a patch port",
    flows: [`actions=${pause},2,10,${pause},3`],
    beyond: [`in_port=11,actions=${pause},5,${pause},resubmit(,4)`, `table=4,actions=${pause},6`],
    pauses: 5,
    outputs: [2, 3, 5, 6],
  },
];

/** Frames that a port has sent, as its file tells. */
function sent(under: Switch, port: number): number {
  return under.ok("ovs-ofctl", "parse-pcap", join(under.directory, `p${port}-tx.pcap`)).split("\n").length - 1;
}

/** Starts a controller that resumes what pauses; it is connected when this returns. */
function monitor(under: Switch, bridge: string): { stop: () => void; text: () => string } {
  const file = join(under.directory, `${bridge}.monitor`);
  const command = `ovs-ofctl -O OpenFlow13 monitor ${bridge} resume --detach --no-chdir --pidfile=${file}.pid 2>${file}`;
  under.ok("sh", "-c", command);
  const pid = Number(readFileSync(`${file}.pid`, "utf8"));
  return { stop: () => void process.kill(pid), text: () => readFileSync(file, "utf8") };
}

/** What is told of paused packets, without what differs from switch to switch. */
const masked = (text: string): string =>
  text
    .replace(/^.*(?:barrier|HELLO|SET_).*\n/gim, "")
    .replace(/continuation\.bridge=.*/g, "continuation.bridge=B")
    .replace(/continuation\.odp_port=.*/g, "continuation.odp_port=P");

function setUp(under: Switch): void {
  const files = (port: number): string => `options:tx_pcap=${under.directory}/p${port}-tx.pcap`;
  under.ok("ovs-vsctl", ...ports.slice(0, 3).flatMap((port) => ["--", "set", "Interface", `p${port}`, files(port)]));
  const beyond = ports.slice(3).flatMap((port) => {
    const add = ["--", "add-port", "br1", `p${port}`];
    return [...add, "--", "set", "Interface", `p${port}`, "type=dummy", `ofport_request=${port}`, files(port)];
  });
  const patch = (bridge: string, name: string, peer: string, number: number): string[] => {
    const add = ["--", "add-port", bridge, name];
    return [...add, "--", "set", "Interface", name, "type=patch", `options:peer=${peer}`, `ofport_request=${number}`];
  };
  const bridge = ["add-br", "br1", "--", "set", "bridge", "br1", "datapath_type=dummy", "fail_mode=secure"];
  under.ok("ovs-vsctl", ...bridge, ...beyond, ...patch("br0", "to1", "to0", 10), ...patch("br1", "to0", "to1", 11));
  // So that the megaflow of a case's first packet is gone before its second one.
  under.ok("ovs-vsctl", "set", "Open_vSwitch", ".", "other_config:max-idle=500");
}

async function run(under: Switch, one: Case): Promise<string> {
  const put = async (bridge: string, flows: readonly string[]): Promise<void> => {
    for (const group of bridge === "br0" ? (one.groups ?? []) : [])
      under.ok("ovs-ofctl", "-O", "OpenFlow13", "add-group", bridge, group);
    const printed = await say(under, ["ovs-ofctl", "-O", "OpenFlow13", "add-flows", bridge, "-"], flows.join("\n"));
    assert.match(printed, /exit 0/, printed);
  };
  await put("br0", one.flows);
  await put("br1", one.beyond ?? []);
  const monitors = [monitor(under, "br0"), monitor(under, "br1")];
  const before = ports.map((port) => sent(under, port));
  const resumes = (): number =>
    monitors.map((each) => each.text().split("send: NXT_RESUME").length - 1).reduce((a, b) => a + b);
  try {
    for (const round of [1, 2]) {
      under.ok("ovs-appctl", "netdev-dummy/receive", "p1", packet);
      await until(`${one.name}: packet ${round} is resumed ${one.pauses} times and sent`, 15, () => {
        const all = ports.map((port, index) => sent(under, port) - (before[index] ?? 0));
        return resumes() === round * one.pauses && all.reduce((a, b) => a + b) === round * one.outputs.length;
      });
      for (const [index, port] of ports.entries())
        assert.is(
          sent(under, port) - (before[index] ?? 0),
          round * one.outputs.filter((each) => each === port).length,
          `${one.name}: port ${port}`,
        );
      await new Promise((resolve) => setTimeout(resolve, 1200));
    }
    return monitors.map((each) => masked(each.text())).join("");
  } finally {
    for (const each of monitors) each.stop();
    for (const bridge of ["br0", "br1"]) under.ok("ovs-ofctl", "del-flows", bridge);
    under.ok("ovs-ofctl", "-O", "OpenFlow13", "del-groups", "br0");
  }
}

maybe(
  "paused packets go on where they were, whatever the pause is in, and are told of as Open vSwitch tells",
  async () => {
    await withPair(async (pair) => {
      addBridge(pair, 4);
      for (const under of pair.both) setUp(under);
      for (const one of cases) {
        const [ours, theirs] = await Promise.all(pair.both.map((under) => run(under, one)));
        assert.is(ours, theirs, one.name);
      }
    });
  },
);

test.run();
