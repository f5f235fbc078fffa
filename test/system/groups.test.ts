/** Groups as the real ovs-ofctl sets and shows them, in Sluice and in Open vSwitch. */
import { test } from "uvu";
import { addBridge, noOvs, same, withPair } from "./pair.js";

if (noOvs !== undefined) console.log(`skip: groups: ${noOvs}`);
const maybe = noOvs === undefined ? test : test.skip;

const icmp =
  "in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800)," +
  "ipv4(src=10.0.0.2,dst=10.0.0.1,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)";

/** Groups of a dump have no order. */
const tidy = (text: string): string => {
  const lines = text.replace(/duration=[0-9.]+s/g, "duration=D").replace(/\n+/g, "\n");
  if (!/ dump-group/.test(lines)) return lines;
  const [command = "", ...rest] = lines.split("\n");
  return [command, ...rest.toSorted()].join("\n");
};

maybe("groups are added, changed, shown, refused and deleted as in Open vSwitch", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    for (const version of ["OpenFlow10", "OpenFlow11", "OpenFlow13", "OpenFlow15"]) {
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
          ofctl("dump-group-features"),
          ofctl("add-group", "group_id=1,type=all,bucket=output:2,bucket=output:3"),
          ofctl("add-group", "group_id=2,type=select,bucket=weight=5,output:2,bucket=weight:0,output:3"),
          ofctl("add-group", "group_id=3,type=indirect,bucket=set_field:10.0.0.9->ip_src,group:1"),
          ofctl("add-group", "group_id=4,type=ff,bucket=watch_port:2,output:2,bucket=watch_group:1,output:3"),
          ofctl("add-group", "group_id=4294967040,type=all"),
          ofctl("add-group", "group_id=1,type=all,bucket=output:2"),
          ofctl("mod-group", "group_id=77,type=all,bucket=output:2"),
          ofctl("mod-group", "group_id=4294967040,type=all,bucket=output:1"),
          ofctl("--may-create", "mod-group", "group_id=78,type=all,bucket=output:2"),
          ofctl("dump-groups"),
          ofctl("dump-group-stats"),
          ofctl("dump-group-stats", "2"),
          ofctl("dump-group-stats", "99"),
          ofctl("del-groups", "group_id=78"),
          ofctl("del-groups", "group_id=99"),
          ["ovs-ofctl", "-O", "OpenFlow11", "add-flow", "br0", "in_port=1,actions=group:1"],
          ["ovs-ofctl", "-O", "OpenFlow11", "add-flow", "br0", "in_port=2,actions=group:99"],
          ["ovs-ofctl", "-O", "OpenFlow11", "add-flow", "br0", "in_port=3,ip,actions=write_actions(group:4)"],
          ["ovs-appctl", "ofproto/trace", "br0", "in_port=3,ip"],
          ["ovs-ofctl", "-O", "OpenFlow11", "dump-flows", "br0", "out_group=4"],
          ofctl("dump-group-stats"),
          ofctl("del-groups", "group_id=1"),
          ["ovs-ofctl", "-O", "OpenFlow11", "dump-flows", "br0"],
          ofctl("del-groups"),
          ofctl("dump-groups"),
        ],
        tidy,
      );
    }
  });
});

maybe("buckets are inserted and removed, and selection methods told, as in Open vSwitch", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    const ofctl = (command: string, ...words: string[]): string[] => [
      "ovs-ofctl",
      "-O",
      "OpenFlow15",
      command,
      "br0",
      ...words,
    ];
    await same(
      pair,
      [
        ofctl(
          "add-group",
          "group_id=1,type=select,selection_method=hash,fields(ip_src,tcp_dst=255),bucket=bucket_id:1,output:1",
        ),
        ofctl(
          "add-group",
          "group_id=2,type=select,selection_method=dp_hash,selection_method_param=7,bucket=bucket_id:9,output:1",
        ),
        ofctl(
          "insert-buckets",
          "group_id=1,command_bucket_id=first,bucket=bucket_id:5,output:2,bucket=bucket_id:6,output:3",
        ),
        ofctl("insert-buckets", "group_id=1,command_bucket_id=last,bucket=bucket_id:7,output:2"),
        ofctl("insert-buckets", "group_id=1,command_bucket_id=6,bucket=bucket_id:8,weight=3,output:2"),
        ofctl("insert-buckets", "group_id=1,command_bucket_id=99,bucket=bucket_id:20,output:2"),
        ofctl("insert-buckets", "group_id=1,command_bucket_id=last,bucket=bucket_id:8,output:2"),
        ofctl("insert-buckets", "group_id=9,command_bucket_id=last,bucket=bucket_id:8,output:2"),
        ofctl("dump-groups"),
        ofctl("dump-groups", "2"),
        ofctl("remove-buckets", "group_id=1,command_bucket_id=6"),
        ofctl("remove-buckets", "group_id=1,command_bucket_id=66"),
        ofctl("remove-buckets", "group_id=1,command_bucket_id=first"),
        ofctl("dump-groups"),
        ofctl("remove-buckets", "group_id=1,command_bucket_id=all"),
        ofctl("dump-groups"),
      ],
      tidy,
    );
  });
});

/** A packet of `proto` (TCP or UDP) whose addresses and ports differ for each `index`. */
const packet = (index: number, proto: "tcp" | "udp"): string =>
  "in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800)," +
  `ipv4(src=10.0.${index}.2,dst=10.0.0.${index},proto=${proto === "tcp" ? 6 : 17},tos=0,ttl=64,frag=no),` +
  `${proto}(src=${1000 + index},dst=${80 * index})`;

maybe("every flow takes the bucket that it takes in Open vSwitch, whatever the method", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    const methods = [
      "selection_method=hash,selection_method_param=77,fields(eth_dst,ip_src=255.255.0.255,ip_dst,tcp_src,udp_dst)",
      "selection_method=hash",
      "selection_method=dp_hash",
      "selection_method=dp_hash,selection_method_param=0x100000007",
    ];
    const buckets = "bucket=weight:3,output:2,bucket=weight:2,output:3,bucket=weight:7,output:2";
    const flows = Array.from({ length: 8 }, (_, index) => packet(index + 1, index % 2 === 0 ? "tcp" : "udp"));
    await same(
      pair,
      methods.flatMap((method) => [
        [
          "ovs-ofctl",
          "-O",
          "OpenFlow15",
          "--may-create",
          "mod-group",
          "br0",
          `group_id=1,type=select,${method},${buckets}`,
        ],
        ["ovs-ofctl", "-O", "OpenFlow15", "add-flow", "br0", "actions=group:1"],
        ...(method.includes("dp_hash") ? [] : flows.map((flow) => ["ovs-appctl", "ofproto/trace", flow])),
        ...flows.map((flow) => ["ovs-appctl", "netdev-dummy/receive", "p1", flow]),
        ["ovs-appctl", "revalidator/purge"],
        ["ovs-ofctl", "-O", "OpenFlow15", "dump-group-stats", "br0"],
      ]),
      tidy,
    );
  });
});

maybe("a fast failover group takes the first bucket whose port is up, and counts what it carried", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    const receive = ["ovs-appctl", "netdev-dummy/receive", "p1", icmp];
    const show = [
      ["ovs-appctl", "revalidator/wait"],
      ["ovs-appctl", "ofproto/trace", "br0", "in_port=1,ip"],
      ["ovs-appctl", "revalidator/purge"],
      ["ovs-ofctl", "-O", "OpenFlow13", "dump-group-stats", "br0"],
    ];
    await same(
      pair,
      [
        [
          "ovs-ofctl",
          "-O",
          "OpenFlow13",
          "add-group",
          "br0",
          "group_id=1,type=ff,bucket=watch_port:2,output:2,bucket=watch_port:3,output:3",
        ],
        ["ovs-ofctl", "-O", "OpenFlow13", "add-flow", "br0", "in_port=1,actions=group:1"],
        receive,
        receive,
        ...show,
        ["ovs-appctl", "netdev-dummy/set-admin-state", "p2", "down"],
        receive,
        ...show,
      ],
      tidy,
    );
  });
});

maybe("buckets watch the local port and the controller as in Open vSwitch", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    await same(pair, [
      [
        "ovs-ofctl",
        "-O",
        "OpenFlow13",
        "add-group",
        "br0",
        "group_id=1,type=ff,bucket=watch_port:CONTROLLER,output:2,bucket=watch_port:LOCAL,output:3",
      ],
      ["ovs-ofctl", "-O", "OpenFlow13", "add-flow", "br0", "in_port=1,actions=group:1"],
      ["ovs-appctl", "ofproto/trace", "br0", "in_port=1"],
      ["ovs-ofctl", "-O", "OpenFlow13", "mod-port", "br0", "LOCAL", "down"],
      ["ovs-appctl", "ofproto/trace", "br0", "in_port=1"],
      [
        "ovs-ofctl",
        "-O",
        "OpenFlow15",
        "add-group",
        "br0",
        "group_id=2,type=select,selection_method=hash,fields(tcp_dst,ip_src,eth_dst),bucket=output:2,bucket=output:3",
      ],
      ["ovs-ofctl", "-O", "OpenFlow15", "dump-groups", "br0", "2"],
    ]);
  });
});

test.run();
