/** Headers before packets as the real tools show them, in Sluice and in Open vSwitch. */
import { test } from "uvu";
import { addBridge, noOvs, same, withPair } from "./pair.js";

if (noOvs !== undefined) console.log(`skip: encap: ${noOvs}`);
const maybe = noOvs === undefined ? test : test.skip;

const icmp =
  "in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800)," +
  "ipv4(src=10.0.0.2,dst=10.0.0.1,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)";
const labelled = "in_port=3,dl_type=0x8847,mpls_label=7,mpls_bos=1,mpls_ttl=64";

maybe("encap and decap of MPLS, Ethernet and NSH translate as in Open vSwitch", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    const flows = [
      "in_port=1,actions=encap(mpls),encap(ethernet),set_field:00:00:00:00:00:02->eth_dst,output:2",
      "in_port=1,ipv6,actions=encap(mpls_mc),set_field:5->mpls_label,encap(mpls),encap(ethernet),output:2",
      "in_port=2,actions=encap(mpls),encap(mpls),encap(mpls),encap(mpls),encap(ethernet),output:1",
      "in_port=3,mpls,actions=decap(),decap(packet_type(ns=0,type=0)),output:1",
      "in_port=3,mpls,mpls_bos=0,actions=decap(),decap(packet_type(ns=1,type=0x8847)),encap(ethernet),output:1",
      "in_port=3,ip,actions=decap(),decap(),output:1",
      "in_port=3,arp,actions=encap(ethernet),output:1",
      "priority=40000,in_port=3,udp,actions=decap(),encap(nsh),encap(ethernet),output:1",
    ];
    await same(pair, [
      ...flows.map((flow) => ["ovs-ofctl", "-O", "OpenFlow13", "add-flow", "br0", flow]),
      ...["in_port=1,ipv6", "in_port=2", "in_port=3,arp", "in_port=3,udp"].map((match) => [
        "ovs-ofctl",
        "-O",
        "OpenFlow13",
        "--no-stats",
        "dump-flows",
        "br0",
        match,
      ]),
      ["ovs-ofctl", "-O", "OpenFlow13", "add-flow", "br0", "in_port=3,actions=encap(ipv4),output:1"],
      ...["in_port=1,ip", "in_port=1,ipv6", labelled, "in_port=3,ip", "in_port=3,arp", "in_port=3,udp"].map((flow) => [
        "ovs-appctl",
        "ofproto/trace",
        "br0",
        flow,
      ]),
      ["ovs-appctl", "ofproto/trace", "br0", "in_port=3,dl_type=0x8847,mpls_label=7,mpls_bos=0,mpls_ttl=64"],
    ]);
  });
});

maybe("packets get and lose a label before their Ethernet header as in Open vSwitch", async () => {
  await withPair(async (pair) => {
    addBridge(pair);
    await same(pair, [
      [
        "ovs-ofctl",
        "-O",
        "OpenFlow13",
        "add-flow",
        "br0",
        "in_port=1,actions=encap(mpls),set_field:9->mpls_label,encap(ethernet),set_field:00:00:00:00:00:02->eth_dst,resubmit(,1)",
      ],
      [
        "ovs-ofctl",
        "-O",
        "OpenFlow13",
        "add-flow",
        "br0",
        "table=1,mpls,actions=decap(),decap(packet_type(ns=0,type=0)),resubmit(,2)",
      ],
      ["ovs-ofctl", "-O", "OpenFlow13", "add-flow", "br0", "table=2,icmp,nw_dst=10.0.0.1,actions=output:2"],
      ["ovs-appctl", "netdev-dummy/receive", "p1", icmp],
      ["ovs-appctl", "netdev-dummy/receive", "p1", icmp],
      ["ovs-appctl", "revalidator/wait"],
      ["ovs-ofctl", "-O", "OpenFlow13", "dump-ports", "br0", "2"],
      ["ovs-appctl", "revalidator/purge"],
      ["ovs-ofctl", "-O", "OpenFlow13", "dump-flows", "br0", "--no-names"],
    ]);
  });
});

test.run();
