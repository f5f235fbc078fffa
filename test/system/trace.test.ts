import { test } from "uvu";
import * as assert from "uvu/assert";
import { addBridge, noOvs, same, say, withPair } from "./pair.js";
import { missing, startSluice } from "./switch.js";

/** Every form of ofproto/trace and ofproto/trace-packet-out, beside the real Open vSwitch. */

/** Ids of recirculations are given anew for each trace, or kept.  Packets are flooded in no order. */
const tidy = (text: string): string =>
  text
    .replace(/([0-9a-f]{2}(?::[0-9a-f]{2}){5}) +\d+$/gm, "$1 AGE")
    .replace(/recirc\(0x[0-9a-f]+\)|recirc_id=[1-9]\d*/g, "recirc(ID)")
    .replace(/^(Datapath actions: (?:.*\),)?)(\d+(?:,\d+)*)$/m, (_all, first, outputs) => {
      return `${first}${outputs.split(",").toSorted().join(",")}`;
    });

const frame = "50540000000250540000000108064500001C000100004001F98CC0A80001C0A800020800F7FF00000000";

const flows = [
  "in_port=1,actions=2,controller(pause),3",
  "in_port=2,mpls,actions=pop_mpls:0x800,dec_ttl,output:1,resubmit(,1)",
  "in_port=3,priority=7,cookie=0x12,udp,actions=clone(mod_nw_tos:32,2),resubmit(,1),set_field:5->reg3,resubmit(,2)",
  "table=1,ip,actions=output:3,output:2",
  "table=2,reg3=5,actions=write_actions(output:1),goto_table:3",
  "table=3,actions=NORMAL",
];

const commands: readonly (readonly string[])[] = [
  // What is traced: a bridge's flow, a datapath's, a packet, a packet that is made.
  ["br0", "in_port=1,dl_type=0x1234"],
  ["br0", "in_port=1,dl_type=0x1234", "-generate"],
  ["br0", "in_port=p1,arp", "--names"],
  ["br0", "in_port=p1,arp", "-names"],
  ["br0", "in_port=2,dl_type=0x8847,mpls_label=5,mpls_bos=1"],
  ["br0", "in_port=2,dl_type=0x8847,mpls_label=5,mpls_bos=1", "--generate"],
  ["br0", "in_port=3,udp,nw_src=1.2.3.4"],
  ["br0", "in_port=3,dl_src=02:00:00:00:00:07,udp,nw_src=1.2.3.4", "-generate"],
  ["br0", "in_port=3,dl_dst=02:00:00:00:00:07,udp"],
  ["br0", "in_port=4,skb_priority=2,pkt_mark=1", frame],
  ["in_port(1),skb_priority(1),skb_mark(2)", frame],
  ["ovs-dummy", "in_port(3),eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),eth_type(0x0800)"],
  ["in_port(p3),eth(),eth_type(0x0806)"],
  // Options.
  ["br0", "in_port=4", "--l7", "0102"],
  ["br0", "in_port=4,udp", "--l7-len", "10", "-generate"],
  ["br0", "in_port=4,ip", "--ct-next", "trk,new", "--ct-next", "trk,est"],
  // What is wrong.
  ["br0"],
  ["br0", "in_port=2", "--ct-next"],
  ["br0", "in_port=2", "--ct-next", "bad"],
  ["br0", "in_port=2", "--ct-next", "new"],
  ["br0", "in_port=2", "--ct-next", "trk,inv,new,est,rpl"],
  ["br0", "in_port=2", "--l7"],
  ["br0", "in_port=2", "--l7", "zz"],
  ["br0", "in_port=2", "--l7-len", "99999"],
  ["br0", "in_port=2", "--bad"],
  ["br0", "in_port=2", "-consistent"],
  ["br0", "in_port=2", "zz"],
  ["br0", "in_port=2", "0000000000"],
  ["br0", "in_port=2", "00", "11"],
  ["br0", "in_port=2,tp_dst=80"],
  ["br0", "in_port=2,ip,arp"],
  ["br0", "in_port=2,nw_src=1.2.3.4"],
  ["br0", "in_port=2,in_port=3"],
  ["br0", "nonsense=1"],
  ["br9", "in_port=1"],
  ["nonesuch", "in_port(1)"],
  ["in_port(42)"],
  ["in_port=1"],
  ["in_port(1),recirc_id(0x42)"],
];

const packetOuts: readonly (readonly string[])[] = [
  ["br0", "in_port=1", "mod_vlan_vid:123,resubmit(,2)"],
  ["br0", "in_port=3,udp", "mod_nw_tos:4,2,resubmit(,1)"],
  ["br0", "in_port=1", "controller(pause),2"],
  ["br0", "in_port=1", "mod_nw_tos:4,2"],
  ["-consistent", "br0", "in_port=1", "mod_nw_tos:4,2"],
  ["-consistent", "br0", "in_port=1,udp", "mod_nw_tos:4,2"],
  ["br0", "in_port=1", "goto_table:3"],
  ["br0", "in_port=1", "group:5"],
  ["br0", "in_port=1", "nonsense"],
];

if (noOvs === undefined) {
  test("ofproto/trace says what Open vSwitch's says, in every form and for every mistake", async () => {
    await withPair(async (pair) => {
      addBridge(pair, 4);
      for (const flow of flows) for (const under of pair.both) await say(under, ["ovs-ofctl", "add-flow", "br0", flow]);
      const traces = commands.map((words) => ["ovs-appctl", "ofproto/trace", ...words]);
      const outs = packetOuts.map((words) => ["ovs-appctl", "ofproto/trace-packet-out", ...words]);
      await same(pair, [...traces, ...outs, ["ovs-appctl", "fdb/show", "br0"]], tidy);
      // Tables without a match send packets on, and the last one to controllers.
      const missed = ["ovs-appctl", "ofproto/trace", "br0", "in_port=4"];
      const miss = (table: string, what: string): string[][] => [
        ["ovs-ofctl", "-O", "OpenFlow11", "mod-table", "br0", table, what],
        missed,
      ];
      await same(pair, [...miss("all", "continue"), ...miss("4", "controller"), ...miss("0", "drop")], tidy);
    });
  });

  test("what dpctl/dump-flows -m prints can be traced", async () => {
    await withPair(async (pair) => {
      addBridge(pair, 2);
      const received = "in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),ipv4(src=1.2.3.4)";
      const outcomes = await Promise.all(
        pair.both.map(async (under) => {
          under.ok("ovs-ofctl", "add-flow", "br0", "ip,actions=2");
          under.ok("ovs-appctl", "netdev-dummy/receive", "p1", received);
          under.ok("ovs-appctl", "revalidator/wait");
          const flow = under.ok("ovs-appctl", "dpif/dump-flows", "-m", "br0").replace(/, packets.*/s, "");
          assert.match(flow, /^ufid:.*nw|^ufid:.*ipv4/);
          return under.ok("ovs-appctl", "ofproto/trace", flow).replace(/^Flow:.*$/m, "Flow");
        }),
      );
      assert.is(outcomes[0], outcomes[1]);
    });
  });
} else console.log(`skip: traces beside Open vSwitch: ${noOvs}`);

const noTools = missing({ tools: ["ovs-vsctl", "ovs-ofctl", "ovs-appctl"] });
if (noTools === undefined) {
  test("--json prints the tree that the text is made from", async () => {
    const under = await startSluice({ dummy: true });
    try {
      under.ok("ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy");
      under.ok("ovs-ofctl", "add-flow", "br0", "cookie=0x5,actions=resubmit(,1)");
      const tree = JSON.parse(under.ok("ovs-appctl", "ofproto/trace", "--json", "br0", "in_port=1"));
      assert.is(tree.nodes[0].name, "br0");
      assert.equal(tree.nodes[0].children[0].cookie, "0x5");
      assert.equal(tree.nodes[0].children[0].children[0].children, [
        { kind: "miss", table: 1, text: "No match.", action: "drop" },
      ]);
      assert.is(tree.datapathActions, "drop");
    } finally {
      await under.stop();
    }
  });
} else console.log(`skip: a trace as JSON: ${noTools}`);

test.run();
