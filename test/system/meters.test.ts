/** Meters as the real ovs-ofctl sets and shows them, in Sluice and in Open vSwitch. */
import { test } from "uvu";
import { addBridge, noOvs, same, withPair } from "./pair.js";

if (noOvs !== undefined) console.log(`skip: meters: ${noOvs}`);
const maybe = noOvs === undefined ? test : test.skip;

const versions = ["OpenFlow13", "OpenFlow14", "OpenFlow15"] as const;
const icmp =
  "in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800)," +
  "ipv4(src=10.0.0.2,dst=10.0.0.1,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)";

/** Meters of a dump have no order; the number of one in the datapath is free again once its last megaflow is gone. */
const tidy = (text: string): string => {
  const lines = text
    .replace(/duration:[0-9.]+s/g, "duration:D")
    .replace(/meter\(\d+\)/g, "meter(N)")
    .replace(/\n+/g, "\n");
  const exit = lines.slice(lines.lastIndexOf("\n"));
  const [first = "", ...rest] = lines.slice(0, -exit.length).split(/\n(?=meter[:=])/);
  return [first, ...rest.map((one) => one.trim()).toSorted()].join("\n") + exit;
};

maybe("meters are added, changed, shown, refused and deleted as in Open vSwitch", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    for (const version of versions) {
      const ofctl = (command: string, ...words: string[]): string[] => [
        "ovs-ofctl",
        "-O",
        version,
        command,
        "br0",
        ...words,
      ];
      await same(
        pair,
        [
          ofctl("meter-features"),
          ofctl("dump-meters"),
          ofctl("meter-stats"),
          ofctl("add-meter", "meter=1 pktps burst stats bands=type=drop rate=1 burst_size=1"),
          ofctl("add-meter", "meter=2 kbps bands=type=drop rate=100,type=drop rate=200"),
          ofctl("add-meter", "meter=4294901760 kbps stats bands=type=drop rate=4294967295"),
          ofctl("add-meter", "meter=slowpath pktps bands=type=drop rate=7"),
          ofctl("add-meter", "meter=controller pktps bands=type=drop rate=8"),
          ofctl("add-meter", "meter=1 pktps bands=type=drop rate=1"),
          ofctl("add-meter", "meter=5 stats bands=type=drop rate=1"),
          ofctl("add-meter", "meter=1 stats bands=type=drop rate=1"),
          ofctl("add-meter", "meter=5 kbps bands=type=dscp_remark rate=1 prec_level=1"),
          ofctl("add-meter", "meter=all kbps bands=type=drop rate=1"),
          ofctl("add-meter", `meter=6 kbps bands=${Array.from({ length: 9 }, () => "type=drop rate=5").join(",")}`),
          ofctl("add-meter", `meter=7 kbps bands=${Array.from({ length: 8 }, () => "type=drop rate=5").join(",")}`),
          ofctl("mod-meter", "meter=9 kbps bands=type=drop rate=1"),
          ofctl("mod-meter", "meter=2 pktps burst bands=type=drop rate=3 burst_size=9"),
          ofctl("dump-meters"),
          ofctl("dump-meters", "meter=2"),
          ofctl("dump-meters", "meter=77"),
          ofctl("add-flow", "in_port=1,actions=meter:1,output:2"),
          ofctl("add-flow", "in_port=2,ip,actions=meter:1,output:1"),
          ofctl("add-flow", "in_port=3,actions=meter:2,goto_table:3"),
          ofctl("add-flow", "in_port=3,ip,actions=meter:12,output:2"),
          ofctl("add-flow", "in_port=3,ip,actions=meter:0,output:2"),
          ["ovs-appctl", "ofproto/trace", "br0", "in_port=1"],
          ["ovs-appctl", "ofproto/trace", "br0", "in_port=3"],
          ofctl("meter-stats"),
          ofctl("meter-stats", "meter=1"),
          ofctl("meter-stats", "meter=77"),
          ofctl("del-meters", "meter=1"),
          ofctl("dump-flows"),
          ofctl("dump-meters"),
          ofctl("del-meters", "meter=77"),
          ofctl("del-meters"),
          ofctl("dump-flows"),
          ofctl("dump-meters"),
        ],
        tidy,
      );
    }
  });
});

maybe("a meter passes and counts what Open vSwitch's does, by the clock that is warped", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    const receive = (n: number): string[][] =>
      Array.from({ length: n }, () => ["ovs-appctl", "netdev-dummy/receive", "p1", icmp]);
    const show = [
      ["ovs-appctl", "revalidator/wait"],
      ["ovs-ofctl", "-O", "OpenFlow13", "meter-stats", "br0"],
      ["ovs-ofctl", "-O", "OpenFlow13", "--no-stats", "dump-flows", "br0"],
      ["ovs-appctl", "coverage/read-counter", "datapath_drop_meter"],
    ];
    await same(
      pair,
      [
        ["ovs-appctl", "time/stop"],
        [
          "ovs-ofctl",
          "-O",
          "OpenFlow13",
          "add-meter",
          "br0",
          "meter=1 kbps burst stats bands=type=drop rate=2 burst_size=3",
        ],
        ["ovs-ofctl", "-O", "OpenFlow13", "add-meter", "br0", "meter=2 pktps bands=type=drop rate=10,type=drop rate=2"],
        ["ovs-ofctl", "-O", "OpenFlow13", "add-flow", "br0", "in_port=1,actions=meter:1,goto_table:1"],
        ["ovs-ofctl", "-O", "OpenFlow13", "add-flow", "br0", "table=1,actions=meter:2,output:2"],
        ["ovs-appctl", "time/warp", "5000"],
        ...receive(6),
        ...show,
        ["ovs-appctl", "time/warp", "700"],
        ...receive(5),
        ...show,
        ["ovs-appctl", "time/warp", "60000"],
        ...receive(5),
        ...show,
        ["ovs-ofctl", "-O", "OpenFlow13", "mod-meter", "br0", "meter=1 pktps bands=type=drop rate=1"],
        ...receive(3),
        ...show,
      ],
      tidy,
    );
  });
});

test.run();
