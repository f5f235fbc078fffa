import { test } from "uvu";
import { equal, noOvs, type Pair, transcripts, withPair } from "./pair.js";

/** The commands about routes and neighbours of tunnels, beside Open vSwitch: what they print, refuse and do. */

const bridges = [
  "ovs-vsctl add-br br0 -- set bridge br0 datapath_type=dummy -- add-port br0 p1 -- set interface p1 type=dummy ofport_request=1 -- add-port br0 p2 -- set interface p2 type=dummy ofport_request=2",
  "ovs-vsctl add-port br0 p3 -- set interface p3 type=gre ofport_request=3 options:remote_ip=1.1.1.1 options:key=1 -- add-port br0 p4 -- set interface p4 type=geneve options:remote_ip=flow options:key=flow ofport_request=4",
  "ovs-vsctl add-br br1 -- set bridge br1 datapath_type=dummy -- add-port br1 pa -- set interface pa type=dummy -- add-port br1 pb -- set interface pb type=dummy",
];

const neighbours = `
tnl/arp/set br0 10.0.2.1 00:00:10:00:02:01
tnl/arp/set nosuch 10.0.2.1 00:00:10:00:02:01
tnl/neigh/show
tnl/neigh/set nosuch 10.0.2.1
tnl/neigh/set nosuch 10.0.2.1000 00:00:10:00:02:01
tnl/neigh/set nosuch 10.0.2.1 00:00:10:00:02
tnl/neigh/set br0 2001::1 00:00:10:00:02:02
tnl/neigh/set br0 ::ffff:1.2.3.4 00:00:10:00:02:02
tnl/neigh/set br0 ::ffff:1.2.3.4/32 00:00:10:00:02:02
tnl/neigh/set br0 10.0.2.7/24 00:00:10:00:02:02
tnl/neigh/set br0 10.0.2.8 00:00:10:00:02:02:99
tnl/neigh/set br0 10.0.2.9 00-00-10-00-02-02
tnl/neigh/set averyveryverylongdevicename 10.0.2.10 00:00:10:00:02:02
tnl/neigh/set br0 0.0.0.0 00:00:00:00:00:00
tnl/neigh/show
tnl/arp/show
tnl/neigh/show x
tnl/neigh/aging
tnl/neigh/aging 0
tnl/neigh/aging 3600
tnl/neigh/aging 3601
tnl/neigh/aging -1
tnl/neigh/aging abc
tnl/neigh/aging 30abc
tnl/neigh/aging
tnl/neigh/aging 1 2
tnl/neigh/aging 0x10
tnl/neigh/aging
tnl/neigh/flush
tnl/neigh/flush br0
tnl/neigh/show
tnl/egress_port_range
tnl/egress_port_range 100 200
tnl/egress_port_range
tnl/egress_port_range 300 200
tnl/egress_port_range
tnl/egress_port_range 0 200
tnl/egress_port_range 1 70000
tnl/egress_port_range 70000 1
tnl/egress_port_range abc 1
tnl/egress_port_range 5
tnl/egress_port_range 5 5
tnl/egress_port_range 0x10 0x20
tnl/egress_port_range
tnl/egress_port_range 1 2 3
tnl/ports/show
tnl/ports/show x
tnl/ports/show -v x
`;

const routes = `
ovs/route/add
ovs/route/add 10.1.0.0/16
ovs/route/add 10.1.0.0/16 br0
netdev-dummy/ip4addr br0 10.1.0.1/16
netdev-dummy/ip4addr br1 10.2.0.1/16
netdev-dummy/ip6addr br0 2001:db8::1/64
netdev-dummy/ip4addr nosuch 10.1.0.1/16
netdev-dummy/ip4addr br0 10.1.0.1
netdev-dummy/ip4addr br0 10.1.0.1/33
netdev-dummy/ip6addr br0 10.1.0.1/24
netdev-dummy/ip4addr br0 2001:db8::1/64
netdev-dummy/ip4addr br0
ovs/route/show
ovs/route/add 10.1.0.0/16 br0
ovs/route/add 10.1.2.3/16 br0
ovs/route/add 10.7.0.0/24 br0 10.1.0.9
ovs/route/add 10.8.0.0/24 br0 10.2.0.9
ovs/route/add 10.9.0.0/24 br0 10.1.0.9 pkt_mark=7
ovs/route/add 10.9.0.0/24 br0 10.1.0.8 pkt_mark=0x8
ovs/route/add 10.1.0.0/24 br0 pkt_mark=9
ovs/route/add 10.1.0.0/24 br0 pkt_mark=9 pkt_mark=10
ovs/route/add 10.1.0.0/24 br0 pkt_mark=x
ovs/route/add 10.1.0.0/24 br0 10.1.0.9 pkt_mark=x
ovs/route/add 10.1.0.0/24 br0 2001:db8::9
ovs/route/add 10.1.0.0/24 br0 10.1.0.9 mark=1
ovs/route/add 10.1.0.0/33 br0
ovs/route/add 10.1.0/24 br0
ovs/route/add 10.1.0.5 br0
ovs/route/add 10.1.0.6/255.255.255.0 br0
ovs/route/add 10.1.0.0/24x br0
ovs/route/add 10.1.0.0/24 nosuch
ovs/route/add 2001:db8::/64 br0
ovs/route/add 2001:db9::/64 br0 2001:db8::9
ovs/route/add 2001:db9::/64 br0 10.1.0.9
ovs/route/add 2001:db9::/129 br0 2001:db8::9
ovs/route/add 2001:dba::/64 br0 2001:db8::9 pkt_mark=5
ovs/route/add 0.0.0.0/0 br0 10.1.0.1
ovs/route/show
ovs/route/show x
ovs/route/lookup 10.1.2.3
ovs/route/lookup 10.1.0.3
ovs/route/lookup 10.7.0.3
ovs/route/lookup 10.9.0.3
ovs/route/lookup 10.9.0.3 pkt_mark=7
ovs/route/lookup 10.9.0.3 pkt_mark=8
ovs/route/lookup 10.9.0.3 pkt_mark=99
ovs/route/lookup 10.9.0.3 mark=99
ovs/route/lookup 10.9.0.0/24
ovs/route/lookup 10.9.0.3/32
ovs/route/lookup 8.8.8.8
ovs/route/lookup 2001:db8::5
ovs/route/lookup 2001:db9::5
ovs/route/lookup 2001:dba::5
ovs/route/lookup 2001:dba::5 pkt_mark=5
ovs/route/lookup ::1234
ovs/route/lookup bogus
ovs/route/lookup
ovs/route/del 10.1.0.0/16
ovs/route/del 10.1.0.0/16
ovs/route/del 10.9.0.0/24
ovs/route/del 10.9.0.0/24 pkt_mark=7
ovs/route/del 10.9.0.0/24 pkt_mark=x
ovs/route/del 10.9.0.99/24 pkt_mark=8
ovs/route/del 2001:db9::/64
ovs/route/del bogus
ovs/route/del
ovs/route/del 10.2.0.0/16
ovs/route/show
`;

/** Lists of hash tables have no order. */
const sorted = (text: string): string =>
  /^\$ ovs-appctl tnl\/\S+\/show/.test(text) ? text.split("\n").sort().join("\n") : text;

async function compare(pair: Pair, commands: string): Promise<void> {
  const lines = commands.trim().split("\n");
  const { ours, theirs } = await transcripts(pair, [...bridges, ...lines.map((line) => `ovs-appctl ${line}`)]);
  equal(ours.map(sorted), theirs.map(sorted));
}

if (noOvs !== undefined) console.log(`skip: ${noOvs}`);
else {
  test("neighbours and ports of tunnels are shown, set, aged and flushed as in Open vSwitch", () =>
    withPair((pair) => compare(pair, neighbours), ["--disable-system-route"]));

  test("routes and addresses of test devices are set, looked up and refused as in Open vSwitch", () =>
    withPair((pair) => compare(pair, routes), ["--disable-system-route"]));
}

test.run();
