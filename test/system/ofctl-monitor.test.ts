/** What a controller is told: packet-ins in every format, changes of ports, flows that went away.  `ovs-ofctl monitor`
 *  listens to Sluice and to Open vSwitch while the same things happen to both. */
import { type ChildProcess, spawn } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { addBridge, equal, masked, noOvs, type Pair, say, withPair } from "./pair.js";
import { type Switch, sleep } from "./switch.js";

if (noOvs !== undefined) console.log(`skip: ofctl monitor: ${noOvs}`);
const maybe = noOvs === undefined ? test : test.skip;

interface Monitor {
  /** What it printed since it was last forgotten. */
  heard(): string;
  forget(): void;
  stop(): void;
}

/** Starts `ovs-ofctl monitor`. */
function monitor(under: Switch, version: string, args: readonly string[]): Monitor {
  const child: ChildProcess = spawn("ovs-ofctl", ["-O", version, "monitor", "br0", ...args], {
    env: under.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const take = (data: Buffer): void => {
    output += data.toString();
  };
  child.stdout?.on("data", take);
  child.stderr?.on("data", take);
  return {
    heard: () => masked(output, under).replace(/ duration[0-9.]+s/g, " durationD"),
    forget: () => {
      output = "";
    },
    stop: () => child.kill(),
  };
}

const udp = "50540000000150540000000208004500001c00000000401100000a0000010a000002000100020008000061";
const arp = "ffffffffffff505400000002080600010800060400015054000000020a0000010000000000000a000002";
const tagged = "50540000000150540000000281002064080045000014000000000106000001020304050607080000";

type Step = readonly [tool: string, ...args: string[]];

const flow = (text: string): Step => ["ovs-ofctl", "-O", "OpenFlow13", "add-flow", "br0", text];
const receive = (port: string, frame: string): Step => ["ovs-appctl", "netdev-dummy/receive", port, frame];
const packetOut = (text: string): Step => ["ovs-ofctl", "-O", "OpenFlow13", "packet-out", "br0", text];
const packetOut15 = (text: string): Step => ["ovs-ofctl", "-O", "OpenFlow15", "packet-out", "br0", text];

/** Steps after each of which the monitors are compared. */
const packetIns: readonly (readonly Step[])[] = [
  [["ovs-ofctl", "del-flows", "br0"], receive("p1", udp)],
  [flow("priority=9,in_port=1,actions=controller"), receive("p1", udp), receive("p1", arp)],
  [
    flow(
      "priority=9,cookie=0x1234,in_port=1,actions=set_field:7->reg1,set_field:0x99->metadata,set_field:5->pkt_mark,resubmit(,3)",
    ),
    flow(
      "table=3,cookie=0x77,actions=push_vlan:0x8100,set_field:4105->vlan_vid,controller(max_len=30,reason=invalid_ttl),controller(userdata=01.02.03,max_len=20)",
    ),
    receive("p1", udp),
    receive("p1", tagged),
  ],
  [flow("priority=0,actions=controller:20"), receive("p2", udp), receive("p2", tagged)],
  [flow("priority=9,cookie=5,in_port=2,ip,actions=mod_nw_ttl:1,dec_ttl,2"), receive("p2", udp)],
  [
    flow("priority=19,cookie=5,in_port=2,ip,actions=write_actions(controller:10,set_field:1.2.3.4->ip_src)"),
    receive("p2", udp),
  ],
  [
    flow(
      "priority=29,cookie=6,in_port=2,ip,actions=mod_nw_src:9.9.9.9,mod_tp_dst:77,controller,mod_dl_src:00:00:00:00:00:01,controller(reason=no_match)",
    ),
    receive("p2", udp),
  ],
  [
    flow("priority=39,cookie=7,in_port=2,ip,actions=controller(id=5),controller(id=0),strip_vlan,controller"),
    receive("p2", tagged),
  ],
  [
    packetOut(`in_port=3 packet=${udp} actions=controller:15`),
    packetOut(`in_port=controller packet=${udp} actions=controller`),
  ],
  [packetOut(`in_port=3 packet=${udp} actions=resubmit(,0)`), packetOut(`in_port=local packet=${arp} actions=table`)],
  [
    [
      "ovs-ofctl",
      "add-tlv-map",
      "br0",
      "{class=0xffff,type=0,len=8}->tun_metadata2,{class=0xffff,type=1,len=4}->tun_metadata3",
    ],
    ["ovs-ofctl", "-O", "OpenFlow15", "add-flow", "br0", "table=9,tun_metadata3=0x11,actions=controller"],
    ["ovs-ofctl", "-O", "OpenFlow15", "add-flow", "br0", "table=9,tun_src=1.1.1.1,actions=controller"],
    packetOut15(`in_port=2,tun_metadata2=0x22,tun_metadata3=0x11 packet=${udp} actions=resubmit(,9)`),
    packetOut15(`in_port=2,tun_src=1.1.1.1,tun_dst=2.2.2.2,tun_gbp_flags=3 packet=${udp} actions=resubmit(,9)`),
    packetOut15(
      `in_port=2,tun_src=1.1.1.1,tun_id=7,tun_flags=oam,reg3=9,metadata=4 packet=${udp} actions=resubmit(,9)`,
    ),
    packetOut15(`in_port=2,tun_ipv6_src=fe80::1,tun_gbp_id=5 packet=${udp} actions=controller`),
    ["ovs-ofctl", "del-flows", "br0", "table=9"],
    ["ovs-ofctl", "del-tlv-map", "br0"],
  ],
];

const expiries: readonly (readonly Step[])[] = [
  [
    ["ovs-ofctl", "del-flows", "br0"],
    flow("priority=100,cookie=0xab,send_flow_rem,importance=3,idle_timeout=300,in_port=1,arp,actions=1"),
    flow("priority=101,cookie=0xab,send_flow_rem,idle_timeout=30,in_port=1,tcp,nw_src=1.2.3.0/24,actions=1"),
    flow("priority=102,cookie=0xac,send_flow_rem,hard_timeout=60,in_port=1,udp6,actions=1"),
    flow("priority=103,cookie=0xad,table=7,send_flow_rem,hard_timeout=200,metadata=5,actions=1"),
    flow("priority=104,cookie=0xae,idle_timeout=30,hard_timeout=30,in_port=3,actions=1"),
    receive("p1", arp),
    receive("p1", arp),
    ["ovs-appctl", "revalidator/wait"],
    ["ovs-ofctl", "del-flows", "br0", "cookie=0xab/-1,arp"],
  ],
  [
    ["ovs-appctl", "time/stop"],
    ["ovs-appctl", "time/warp", "32000", "1000"],
  ],
  [["ovs-appctl", "time/warp", "32000", "1000"]],
  [flow("priority=103,cookie=0xad,table=7,send_flow_rem,hard_timeout=200,metadata=5,actions=2")],
  [["ovs-ofctl", "--strict", "del-flows", "br0", "priority=103,table=7,metadata=5"]],
];

/** Flows that go with what they name, or for want of room: reasons that only later versions have. */
const removals: readonly (readonly Step[])[] = [
  [
    ["ovs-ofctl", "-O", "OpenFlow13", "add-meter", "br0", "meter=1,pktps,bands=type=drop,rate=5"],
    ["ovs-ofctl", "-O", "OpenFlow13", "add-group", "br0", "group_id=1,type=all,bucket=actions=2"],
    flow("table=1,send_flow_rem,priority=9,actions=meter:1,2"),
    flow("table=2,send_flow_rem,priority=8,actions=group:1"),
  ],
  [["ovs-ofctl", "-O", "OpenFlow13", "del-meters", "br0"]],
  [["ovs-ofctl", "-O", "OpenFlow13", "del-groups", "br0"]],
  [
    [
      "ovs-vsctl",
      ...["--", "--id=@table", "create", "flow_table", "flow_limit=2", "overflow_policy=evict"],
      ...["--", "set", "bridge", "br0", "flow_tables:3=@table"],
    ],
    flow("table=3,send_flow_rem,idle_timeout=50,priority=1,actions=2"),
    flow("table=3,send_flow_rem,idle_timeout=60,priority=2,actions=2"),
  ],
  [flow("table=3,send_flow_rem,idle_timeout=70,priority=3,actions=2")],
];

const ports: readonly (readonly Step[])[] = [
  [["ovs-appctl", "netdev-dummy/set-admin-state", "p2", "down"]],
  [["ovs-appctl", "netdev-dummy/set-admin-state", "p2", "up"]],
  [["ovs-ofctl", "mod-port", "br0", "p3", "no-flood"]],
  [["ovs-ofctl", "mod-port", "br0", "p3", "down"]],
  [["ovs-ofctl", "-O", "OpenFlow15", "mod-port", "br0", "p3", "up"]],
  [["ovs-ofctl", "-O", "OpenFlow13", "mod-port", "br0", "p3", "no-packet-in"]],
  [["ovs-vsctl", "add-port", "br0", "p4", "--", "set", "interface", "p4", "type=dummy", "ofport_request=14"]],
  [["ovs-vsctl", "set", "interface", "p4", "ofport_request=15"]],
  [["ovs-vsctl", "set", "interface", "p4", 'mac="50:54:00:00:00:44"']],
  [["ovs-vsctl", "del-port", "p4"]],
  [["ovs-vsctl", "add-port", "br0", "p5", "--", "set", "interface", "p5", "type=dummy", "ofport_request=3"]],
  [["ovs-vsctl", "set", "interface", "p5", "type=internal"]],
  [["ovs-vsctl", "del-port", "p5"]],
];

/** Long enough for a message that should not come to come. */
const quietMs = 50;

/** How a monitor listens: version, and arguments after the bridge. */
type Way = readonly [version: string, ...args: string[]];

/** Does the steps in both switches with a monitor of each way on either, and compares after each what was heard: at
 *  once when it is the same, else when there was time for everything to arrive. */
async function compare(pair: Pair, ways: readonly Way[], steps: readonly (readonly Step[])[]): Promise<void> {
  const listeners = pair.both.map((under) => ways.map(([version, ...args]) => monitor(under, version, args)));
  try {
    await sleep(400);
    for (const listener of listeners.flat()) listener.forget();
    for (const step of steps) {
      await Promise.all(
        pair.both.map(async (under) => {
          for (const words of step) {
            // Open vSwitch's cached flows follow a change of tables when its revalidators come round.
            if (words.includes("netdev-dummy/receive")) await say(under, ["ovs-appctl", "revalidator/wait"]);
            await say(under, words);
          }
        }),
      );
      await sleep(quietMs);
      const what = step.map((words) => words.join(" ")).join("; ");
      const said = (): readonly string[][] =>
        listeners.map((of) =>
          of.map((listener, index) => `${ways[index]?.join(" ")} after ${what}:\n${listener.heard()}`),
        );
      const end = Date.now() + 3000;
      const differ = ([ours, theirs]: readonly string[][]): boolean => ours?.join("") !== theirs?.join("");
      while (differ(said()) && Date.now() < end) await sleep(50);
      const [ours, theirs] = said();
      equal(ours ?? [], theirs ?? []);
      for (const listener of listeners.flat()) listener.forget();
    }
  } finally {
    for (const listener of listeners.flat()) listener.stop();
  }
}

maybe("packet-ins are those of Open vSwitch, in every format", async () => {
  const old: readonly Way[] = [
    ["OpenFlow10", "65535", "invalid_ttl"],
    ["OpenFlow10", "20", "-P", "openflow10"],
    ["OpenFlow10", "65535", "-P", "nxt_packet_in"],
    ["OpenFlow10", "0"],
  ];
  const young: readonly Way[] = [
    ["OpenFlow13", "65535"],
    ["OpenFlow13", "100", "-P", "standard"],
    ["OpenFlow14", "65535", "-P", "standard"],
    ["OpenFlow15", "65535", "-P", "standard"],
    ["OpenFlow15", "65535", "-P", "nxt_packet_in"],
  ];
  await withPair(async (pair) => {
    addBridge(pair);
    await compare(pair, old, packetIns);
    await compare(pair, young, packetIns);
  });
});

const versions: readonly Way[] = [
  ["OpenFlow10", "65535"],
  ["OpenFlow13", "65535"],
  ["OpenFlow14", "65535"],
  ["OpenFlow15", "65535"],
];

maybe("ports that come, go, change and fail are told in the order and words of Open vSwitch", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    await compare(pair, versions, ports);
  });
});

maybe("flows that are deleted, that idle and that reach their age are told as Open vSwitch tells them", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    await compare(pair, versions, expiries);
  });
});

maybe("flows that go with their meter or group, or are evicted, are told to versions that know of that", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    await compare(pair, versions, removals);
  });
});

maybe("a switch without controllers has nothing to snoop on", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    for (const under of pair.both)
      assert.match(await say(under, ["ovs-ofctl", "snoop", "br0"]), /failed to .*socket.*\nexit 1/);
  });
});

test.run();
