/** What a person does with ovs-vsctl, and what to look at afterwards. */

export interface Scenario {
  readonly name: string;
  /** Arguments of ovs-vsctl, a command each.  Words may be quoted with `'`. */
  readonly does: readonly string[];
  /** Further commands whose output is compared, their tool first. */
  readonly asks?: readonly string[];
}

const frame = (fields: string): string => `in_port=1,dl_src=50:54:00:00:00:aa,${fields}`;
const known = "dl_dst=50:54:00:00:00:bb";
const trace = (fields: string, bridge = "br0"): string => `ovs-appctl ofproto/trace ${bridge} ${frame(fields)}`;
const show = "ovs-ofctl -O OpenFlow15 show br0";
const fdb = "ovs-appctl fdb/show br0";
const tagged = (vlan: number): string => `${known},dl_vlan=${vlan},dl_vlan_pcp=3,dl_type=0x0800`;
const dummy = (name: string, more = ""): string =>
  `add-port br0 ${name} -- set interface ${name} type=dummy ${more}`.trim();

const ports: readonly Scenario[] = [
  { name: "a port", does: [dummy("q1")], asks: [show] },
  { name: "a port and its wish for a number", does: [dummy("q1", "ofport_request=77")], asks: [show] },
  { name: "a wish for a number that is taken", does: [dummy("q1", "ofport_request=2")], asks: [show] },
  { name: "a wish that comes later", does: [dummy("q1"), "set interface q1 ofport_request=55"], asks: [show] },
  {
    name: "a wish that is taken back",
    does: [dummy("q1", "ofport_request=55"), "clear interface q1 ofport_request"],
    asks: [show],
  },
  {
    name: "wishes exchanged",
    does: ["set interface p1 ofport_request=2 -- set interface p2 ofport_request=1"],
    asks: [show],
  },
  {
    name: "ports listed backwards with wishes",
    does: [`${dummy("q2", "ofport_request=12")} -- ${dummy("q1", "ofport_request=11")}`],
    asks: [show],
  },
  { name: "a port that goes", does: ["del-port p2"], asks: [show, trace(known)] },
  { name: "a port that goes and comes back", does: ["del-port p2", dummy("p2")], asks: [show] },
  {
    name: "a port in two bridges",
    does: ["add-br br1 -- set bridge br1 datapath_type=dummy", "add-port br1 p1"],
    asks: [show],
  },
  {
    name: "a port in two bridges by columns",
    does: ["add-br br1 -- set bridge br1 datapath_type=dummy", "--id=@p get port p3 -- add bridge br1 ports @p"],
    asks: [show, "ovs-ofctl show br1"],
  },
  {
    name: "a port in two bridges by columns, then in one",
    does: [
      "add-br br1 -- set bridge br1 datapath_type=dummy",
      "--id=@p get port p3 -- add bridge br1 ports @p",
      "--id=@p get port p3 -- remove bridge br0 ports @p",
    ],
    asks: [show, "ovs-ofctl show br1"],
  },
  {
    name: "a port that moves to another bridge",
    does: [
      "add-br br1 -- set bridge br1 datapath_type=dummy",
      "del-port br0 p1 -- add-port br1 p1 -- set interface p1 type=dummy",
    ],
    asks: [show, "ovs-ofctl show br1"],
  },
  {
    name: "a port that moves in one transaction by columns",
    does: [
      "add-br br1 -- set bridge br1 datapath_type=dummy -- --id=@p get port p3 -- remove bridge br0 ports @p -- add bridge br1 ports @p",
    ],
    asks: [show, "ovs-ofctl show br1"],
  },
  { name: "a type that is not known", does: ["add-port br0 q1 -- set interface q1 type=foo"] },
  { name: "a port without a device", does: ["add-port br0 nosuch0"] },
  { name: "a reserved name", does: ["add-port br0 vxlan_sys_4789"] },
  { name: "a reserved name of a geneve device", does: [dummy("genev_sys_6081")] },
  { name: "a name that is too long", does: [dummy("q123456789012345")] },
  { name: "an internal port", does: ["add-port br0 i1 -- set interface i1 type=internal"], asks: [show] },
  {
    name: "an internal port with an address",
    does: ["add-port br0 i1 -- set interface i1 type=internal mac='\"50:54:00:00:11:11\"'"],
    asks: [show],
  },
  {
    name: "a multicast address for an internal port",
    does: ["add-port br0 i1 -- set interface i1 type=internal mac='\"51:54:00:00:11:11\"'"],
  },
  { name: "an MTU", does: ["set interface p1 mtu_request=1400"], asks: [show] },
  {
    name: "an MTU of each port",
    does: [
      "set interface p1 mtu_request=1400 -- set interface p2 mtu_request=1300 -- set interface p3 mtu_request=1200",
    ],
  },
  { name: "an MTU that is absurd", does: ["set interface p1 mtu_request=70000"] },
  { name: "the local port's MTU is wished for", does: ["set interface br0 mtu_request=1000"] },
  {
    name: "external ids of an interface",
    does: ["set interface p1 external_ids:iface-id=x external_ids:attached-mac=y"],
  },
  { name: "options that dummies do not know", does: ["set interface p1 options:nonsense=1"] },
  {
    name: "a link that goes down",
    does: ["set interface p1 other_config:x=y"],
    asks: ["ovs-appctl netdev-dummy/set-admin-state p1 down", show, trace(known)],
  },
  {
    name: "port configuration",
    does: [],
    asks: ["ovs-ofctl mod-port br0 p1 no-flood", "ovs-ofctl mod-port br0 p2 down", show, trace(known)],
  },
  {
    name: "many ports at once",
    does: [Array.from({ length: 60 }, (_, i) => dummy(`m${i}`, `ofport_request=${100 + i}`)).join(" -- ")],
    asks: [show],
  },
  { name: "queues of a dummy", does: ["set interface p1 options:n_rxq=2"] },
];

const patches: readonly Scenario[] = [
  {
    name: "two bridges patched",
    does: [
      "add-br br1 -- set bridge br1 datapath_type=dummy other-config:hwaddr=50:54:00:00:01:01",
      "add-port br0 to1 -- set interface to1 type=patch options:peer=to0 -- add-port br1 to0 -- set interface to0 type=patch options:peer=to1",
      "add-port br1 b1 -- set interface b1 type=dummy",
    ],
    asks: [show, "ovs-ofctl show br1", trace(known)],
  },
  { name: "a patch without a peer", does: ["add-port br0 to1 -- set interface to1 type=patch"], asks: [show] },
  {
    name: "a patch to itself",
    does: ["add-port br0 to1 -- set interface to1 type=patch options:peer=to1"],
    asks: [show],
  },
  {
    name: "a patch to a port that is not there",
    does: ["add-port br0 to1 -- set interface to1 type=patch options:peer=nobody"],
    asks: [show, trace(known)],
  },
  {
    name: "a patch to a port that is no patch",
    does: ["add-port br0 to1 -- set interface to1 type=patch options:peer=p1"],
    asks: [show, trace(known)],
  },
  {
    name: "a patch with an option too many",
    does: ["add-port br0 to1 -- set interface to1 type=patch options:peer=x options:foo=1"],
  },
];

const bridges: readonly Scenario[] = [
  { name: "a second bridge", does: ["add-br br1 -- set bridge br1 datapath_type=dummy"], asks: ["ovs-vsctl list-br"] },
  { name: "a bridge with a slash", does: ["add-br a/b"] },
  { name: "a bridge of a type that is not known", does: ["add-br br1 -- set bridge br1 datapath_type=weird"] },
  { name: "a bridge's address", does: ["set bridge br0 other-config:hwaddr=50:54:00:00:99:99"], asks: [show] },
  { name: "an address that is none", does: ["set bridge br0 other-config:hwaddr=nonsense"] },
  { name: "a datapath id", does: ["set bridge br0 other-config:datapath-id=00000000000000ab"], asks: [show] },
  { name: "a datapath id of zero", does: ["set bridge br0 other-config:datapath-id=0000000000000000"] },
  { name: "a datapath id that is too short", does: ["set bridge br0 other-config:datapath-id=12"] },
  { name: "a datapath id with 0x", does: ["set bridge br0 other-config:datapath-id=0x00000000000000ab"] },
  {
    name: "a description",
    does: ["set bridge br0 other-config:dp-desc=described other-config:dp-sn=17"],
    asks: ["ovs-ofctl dump-desc br0"],
  },
  {
    name: "aging",
    does: ["set bridge br0 other-config:mac-aging-time=5 other-config:mac-table-size=10"],
    asks: ["ovs-appctl fdb/stats-show br0"],
  },
  {
    name: "forward-bpdu",
    does: ["set bridge br0 other-config:forward-bpdu=true"],
    asks: [trace("dl_dst=01:80:c2:00:00:00"), trace("dl_dst=01:80:c2:00:00:0e")],
  },
  {
    name: "reserved addresses",
    does: [],
    asks: [trace("dl_dst=01:80:c2:00:00:00"), trace("dl_dst=01:80:c2:00:00:0f"), trace("dl_dst=01:80:c2:00:00:10")],
  },
  {
    name: "protocols",
    does: ["set bridge br0 protocols=OpenFlow10,OpenFlow13"],
    asks: ["ovs-ofctl -O OpenFlow14 show br0", "ovs-ofctl -O OpenFlow13 show br0"],
  },
  { name: "a fail mode", does: ["set-fail-mode br0 secure"], asks: ["ovs-ofctl dump-flows br0"] },
  {
    name: "in-band is off",
    does: ["set bridge br0 other-config:disable-in-band=true"],
    asks: ["ovs-appctl bridge/dump-flows br0"],
  },
  {
    name: "a fake bridge",
    does: ["add-br fake0 br0 5"],
    asks: ["ovs-vsctl list-br", "ovs-vsctl br-to-vlan fake0", "ovs-vsctl br-to-parent fake0", show],
  },
  {
    name: "a port of a fake bridge",
    does: ["add-br fake0 br0 5", "add-port fake0 q1 -- set interface q1 type=dummy"],
    asks: ["ovs-vsctl list-ports fake0", trace(known)],
  },
  { name: "a fake bridge that goes", does: ["add-br fake0 br0 5", "del-br fake0"], asks: ["ovs-vsctl list-br", show] },
  {
    name: "names of tables",
    does: ["-- --id=@t create Flow_Table name=first -- set bridge br0 flow_tables:0=@t"],
    asks: ["ovs-ofctl -O OpenFlow15 dump-table-features br0"],
  },
  {
    name: "a limit of a table",
    does: ["-- --id=@t create Flow_Table flow_limit=1 -- set bridge br0 flow_tables:1=@t"],
    asks: [
      "ovs-ofctl add-flow br0 table=1,in_port=1,actions=drop",
      "ovs-ofctl add-flow br0 table=1,in_port=2,actions=drop",
    ],
  },
  {
    name: "eviction",
    does: ["-- --id=@t create Flow_Table flow_limit=1 overflow_policy=evict -- set bridge br0 flow_tables:1=@t"],
    asks: [
      "ovs-ofctl add-flow br0 table=1,idle_timeout=60,in_port=1,actions=drop",
      "ovs-ofctl add-flow br0 table=1,idle_timeout=60,in_port=2,actions=drop",
      "ovs-ofctl dump-flows br0 table=1",
    ],
  },
  { name: "a bridge without ports", does: ["del-port p1", "del-port p2", "del-port p3"], asks: [show] },
  {
    name: "a bridge that is made anew",
    does: ["del-br br0", "add-br br0 -- set bridge br0 datapath_type=dummy other-config:hwaddr=50:54:00:00:00:01"],
    asks: [show],
  },
];

const vlans: readonly Scenario[] = [
  { name: "an access port", does: ["set port p1 tag=5"], asks: [trace(known), trace(tagged(5))] },
  {
    name: "an access port towards trunks",
    does: ["set port p1 tag=5 -- set port p2 trunks=5,6 -- set port p3 trunks=7"],
    asks: [trace(known)],
  },
  {
    name: "a trunk of few VLANs",
    does: ["set port p1 trunks=5,6"],
    asks: [trace(known), trace(tagged(5)), trace(tagged(7))],
  },
  {
    name: "native, tagged",
    does: ["set port p1 tag=5 vlan_mode=native-tagged"],
    asks: [trace(known), trace(tagged(5)), trace(tagged(6))],
  },
  {
    name: "native, untagged",
    does: ["set port p1 tag=5 vlan_mode=native-untagged -- set port p2 tag=5 vlan_mode=native-untagged"],
    asks: [trace(known), trace(tagged(6))],
  },
  {
    name: "native with trunks",
    does: ["set port p1 tag=5 vlan_mode=native-tagged trunks=6"],
    asks: [trace(known), trace(tagged(6)), trace(tagged(7))],
  },
  { name: "dot1q-tunnel", does: ["set port p1 tag=5 vlan_mode=dot1q-tunnel"], asks: [trace(known), trace(tagged(9))] },
  {
    name: "dot1q-tunnel of few VLANs",
    does: ["set port p1 tag=5 vlan_mode=dot1q-tunnel cvlans=8,9"],
    asks: [trace(known), trace(tagged(9)), trace(tagged(10))],
  },
  {
    name: "dot1q-tunnel with another type",
    does: ["set port p1 tag=5 vlan_mode=dot1q-tunnel other-config:qinq-ethtype=802.1ad"],
    asks: [trace(tagged(9))],
  },
  {
    name: "priority tags",
    does: [
      "set port p2 tag=5 other-config:priority-tags=if-nonzero -- set port p3 tag=5 other-config:priority-tags=always -- set port p1 tag=5",
    ],
    asks: [trace(known)],
  },
  { name: "priority tags by true", does: ["set port p2 tag=0 other-config:priority-tags=true"], asks: [trace(known)] },
  { name: "a mode and no tag", does: ["set port p1 vlan_mode=access"], asks: [trace(known)] },
  {
    name: "a trunk mode with a tag",
    does: ["set port p1 vlan_mode=trunk tag=5"],
    asks: [trace(known), trace(tagged(5))],
  },
  { name: "a tag that is none", does: ["set port p1 tag=4096"] },
  { name: "tag zero", does: ["set port p1 tag=0"], asks: [trace(known), trace(tagged(0))] },
  {
    name: "VLANs that are flooded",
    does: ["set bridge br0 flood_vlans=5,6"],
    asks: [trace(tagged(5)), trace(tagged(7)), fdb],
  },
  { name: "protected ports", does: ["set port p1 protected=true -- set port p2 protected=true"], asks: [trace(known)] },
  { name: "one VLAN tag looked at", does: ["set Open_vSwitch . other_config:vlan-limit=1"], asks: [trace(tagged(5))] },
  { name: "all VLAN tags looked at", does: ["set Open_vSwitch . other_config:vlan-limit=0"], asks: [trace(tagged(5))] },
];

const mirror = (columns: string): string =>
  `-- --id=@p1 get port p1 -- --id=@p2 get port p2 -- --id=@p3 get port p3 -- --id=@m create mirror name=m ${columns} -- set bridge br0 mirrors=@m`;

const mirrors: readonly Scenario[] = [
  {
    name: "a mirror of everything",
    does: [mirror("select_all=true output_port=@p3")],
    asks: [trace(known), trace("dl_dst=ff:ff:ff:ff:ff:ff")],
  },
  { name: "a mirror of a source", does: [mirror("select_src_port=@p1 output_port=@p3")], asks: [trace(known)] },
  { name: "a mirror of a destination", does: [mirror("select_dst_port=@p2 output_port=@p3")], asks: [trace(known)] },
  {
    name: "a mirror of a VLAN",
    does: [mirror("select_all=true select_vlan=5 output_port=@p3")],
    asks: [trace(known), trace(tagged(5))],
  },
  { name: "a mirror to a VLAN", does: [mirror("select_src_port=@p1 output_vlan=9")], asks: [trace(known)] },
  {
    name: "a mirror that cuts",
    does: [mirror("select_src_port=@p1 output_port=@p3 snaplen=100")],
    asks: [trace(known)],
  },
  { name: "a mirror without output", does: [mirror("select_src_port=@p1")], asks: [trace(known)] },
  {
    name: "a mirror that goes",
    does: [mirror("select_src_port=@p1 output_port=@p3"), "clear bridge br0 mirrors"],
    asks: [trace(known)],
  },
  {
    name: "a mirror whose port goes",
    does: [mirror("select_src_port=@p1 output_port=@p3"), "del-port p3"],
    asks: [trace(known)],
  },
];

const bond = (more = ""): string =>
  `add-bond br0 bond0 b1 b2 -- set interface b1 type=dummy ofport_request=11 -- set interface b2 type=dummy ofport_request=12 ${more}`.trim();
const bondShow = "ovs-appctl bond/show";

const bonds: readonly Scenario[] = [
  { name: "a bond", does: [bond()], asks: [show, bondShow] },
  { name: "a bond of active and backup", does: [bond("-- set port bond0 bond_mode=active-backup")], asks: [bondShow] },
  { name: "a bond by address", does: [bond("-- set port bond0 bond_mode=balance-slb")], asks: [bondShow] },
  {
    name: "a bond by connection without LACP",
    does: [bond("-- set port bond0 bond_mode=balance-tcp")],
    asks: [bondShow],
  },
  {
    name: "a bond with LACP",
    does: [bond("-- set port bond0 lacp=active bond_mode=balance-tcp")],
    asks: ["ovs-appctl lacp/show"],
  },
  {
    name: "a bond with fast LACP",
    does: [
      bond(
        "-- set port bond0 lacp=passive other_config:lacp-time=fast other_config:lacp-system-id=50:54:00:00:77:77 other_config:lacp-system-priority=7 -- set interface b1 other_config:lacp-port-id=3 other_config:lacp-port-priority=4 other_config:lacp-aggregation-key=5 -- set interface b2 other_config:lacp-aggregation-key=5",
      ),
    ],
    asks: ["ovs-appctl lacp/show bond0"],
  },
  {
    name: "a primary member",
    does: [bond("-- set port bond0 bond_mode=active-backup other_config:bond-primary=b2")],
    asks: [bondShow],
  },
  { name: "delays of a bond", does: [bond("-- set port bond0 bond_updelay=100 bond_downdelay=200")], asks: [bondShow] },
  {
    name: "a bond of one member",
    does: ["add-port br0 b1 -- set interface b1 type=dummy -- set port b1 bond_mode=balance-slb"],
    asks: [bondShow],
  },
  { name: "a bond with a tag", does: [bond("tag=5")], asks: [trace(known)] },
  { name: "LACP of a port alone", does: ["set port p1 lacp=active"], asks: ["ovs-appctl lacp/show"] },
  {
    name: "a bond whose member goes",
    does: [bond(), "-- --id=@i get interface b1 -- remove port bond0 interfaces @i"],
    asks: [bondShow, show],
  },
  {
    name: "rebalancing is off",
    does: [bond("-- set port bond0 bond_mode=balance-slb other_config:bond-rebalance-interval=0")],
    asks: [bondShow],
  },
];

const tunnel = (type: string, options: string): string => `add-port br0 t1 -- set interface t1 type=${type} ${options}`;

const tunnels: readonly Scenario[] = [
  {
    name: "a vxlan",
    does: [tunnel("vxlan", "options:remote_ip=1.1.1.1 ofport_request=9")],
    asks: [show, "ovs-appctl dpif/show"],
  },
  {
    name: "a vxlan with a key",
    does: [tunnel("vxlan", "options:remote_ip=1.1.1.1 options:key=5 ofport_request=9")],
    asks: ["ovs-appctl dpif/show"],
  },
  {
    name: "a vxlan at another port",
    does: [tunnel("vxlan", "options:remote_ip=1.1.1.1 options:dst_port=8472 ofport_request=9")],
    asks: ["ovs-appctl dpif/show"],
  },
  { name: "a vxlan without a remote", does: [tunnel("vxlan", "")] },
  { name: "a remote that is none", does: [tunnel("vxlan", "options:remote_ip=nonsense")] },
  { name: "a remote that is multicast", does: [tunnel("vxlan", "options:remote_ip=224.0.0.1")] },
  {
    name: "two tunnels alike",
    does: [
      tunnel("vxlan", "options:remote_ip=1.1.1.1 options:key=5"),
      "add-port br0 t2 -- set interface t2 type=vxlan options:remote_ip=1.1.1.1 options:key=5",
    ],
  },
  {
    name: "two tunnels of one datapath port",
    does: [
      tunnel("vxlan", "options:remote_ip=1.1.1.1 options:key=5 ofport_request=9"),
      "add-port br0 t2 -- set interface t2 type=vxlan options:remote_ip=1.1.1.2 options:key=6 ofport_request=10",
    ],
    asks: ["ovs-appctl dpif/show"],
  },
  {
    name: "keys by flow",
    does: [tunnel("vxlan", "options:remote_ip=flow options:key=flow ofport_request=9")],
    asks: ["ovs-appctl dpif/show"],
  },
  { name: "an option that tunnels do not know", does: [tunnel("vxlan", "options:remote_ip=1.1.1.1 options:foo=bar")] },
  {
    name: "a geneve",
    does: [tunnel("geneve", "options:remote_ip=1.1.1.1 options:key=flow ofport_request=9")],
    asks: ["ovs-appctl dpif/show"],
  },
  {
    name: "a gre",
    does: [tunnel("gre", "options:remote_ip=1.1.1.1 options:key=123 ofport_request=9")],
    asks: ["ovs-appctl dpif/show"],
  },
  {
    name: "a gre over IPv6",
    does: [tunnel("ip6gre", "options:remote_ip=fc00::1 ofport_request=9")],
    asks: ["ovs-appctl dpif/show"],
  },
  {
    name: "an erspan",
    does: [
      tunnel(
        "erspan",
        "options:remote_ip=1.1.1.1 options:key=1 options:erspan_ver=1 options:erspan_idx=1 ofport_request=9",
      ),
    ],
    asks: ["ovs-appctl dpif/show"],
  },
  { name: "an erspan without a version", does: [tunnel("erspan", "options:remote_ip=1.1.1.1")] },
  {
    name: "a gtpu",
    does: [tunnel("gtpu", "options:remote_ip=1.1.1.1 options:key=7 ofport_request=9")],
    asks: ["ovs-appctl dpif/show"],
  },
  {
    name: "types of service",
    does: [
      tunnel(
        "vxlan",
        "options:remote_ip=1.1.1.1 options:tos=inherit options:ttl=inherit options:df_default=false options:csum=true ofport_request=9",
      ),
    ],
    asks: ["ovs-appctl dpif/show"],
  },
  {
    name: "a type of service that is none",
    does: [tunnel("vxlan", "options:remote_ip=1.1.1.1 options:tos=nonsense options:ttl=300 ofport_request=9")],
  },
  {
    name: "a local address",
    does: [tunnel("vxlan", "options:remote_ip=1.1.1.1 options:local_ip=2.2.2.2 ofport_request=9")],
    asks: ["ovs-appctl dpif/show"],
  },
  {
    name: "keys of each direction",
    does: [tunnel("vxlan", "options:remote_ip=1.1.1.1 options:in_key=1 options:out_key=2 ofport_request=9")],
    asks: ["ovs-appctl dpif/show"],
  },
  {
    name: "packet types of a tunnel",
    does: [tunnel("vxlan", "options:remote_ip=1.1.1.1 options:exts=gpe options:packet_type=ptap ofport_request=9")],
    asks: ["ovs-appctl dpif/show"],
  },
  {
    name: "a tunnel that goes",
    does: [tunnel("vxlan", "options:remote_ip=1.1.1.1"), "del-port t1"],
    asks: ["ovs-appctl dpif/show"],
  },
];

const others: readonly Scenario[] = [
  {
    name: "a controller that is not there",
    does: ["set-controller br0 tcp:127.0.0.1:1"],
    asks: ["ovs-ofctl dump-flows br0"],
  },
  { name: "a passive controller", does: ["set-controller br0 punix:DIR/p.sock"], asks: [] },
  {
    name: "controllers of two kinds",
    does: ["set-controller br0 tcp:127.0.0.1:1 punix:DIR/p2.sock -- set-fail-mode br0 secure"],
  },
  { name: "a controller that is no target", does: ["set-controller br0 nonsense"] },
  {
    name: "a controller with a name that does not resolve",
    does: ["set-controller br0 tcp:no.such.name.invalid:6653"],
  },
  {
    name: "an sFlow that goes nowhere",
    does: [
      "-- --id=@s create sflow agent=lo target='\"127.0.0.1:1\"' header=128 sampling=64 polling=10 -- set bridge br0 sflow=@s",
    ],
    asks: [trace(known)],
  },
  {
    name: "an IPFIX of a bridge",
    does: [
      "-- --id=@i create IPFIX targets='\"127.0.0.1:1\"' obs_domain_id=1 obs_point_id=2 sampling=64 -- set bridge br0 ipfix=@i",
    ],
    asks: [],
  },
  {
    name: "a QoS of a dummy",
    does: [
      "set port p1 qos=@q -- --id=@q create qos type=linux-htb queues=0=@u -- --id=@u create queue other-config:max-rate=1000000",
    ],
    asks: ["ovs-ofctl queue-stats br0"],
  },
  {
    name: "settings of the whole switch",
    does: [
      "set Open_vSwitch . other_config:flow-limit=1000 other_config:max-idle=5000 other_config:max-revalidator=300",
    ],
    asks: ["ovs-appctl upcall/show"],
  },
  {
    name: "external ids of the switch",
    does: ["set Open_vSwitch . external_ids:system-id=abc"],
    asks: ["ovs-vsctl get Open_vSwitch . external_ids"],
  },
  { name: "a transaction that fails whole", does: ["add-port br0 q1 -- add-port nobridge q2"], asks: [show] },
  { name: "a column that is none", does: ["set bridge br0 nonsense=1"] },
  { name: "a value that is none", does: ["set bridge br0 stp_enable=maybe"] },
  { name: "a record that is none", does: ["set port nosuch tag=1"] },
  { name: "waiting for nothing", does: ["--no-wait set bridge br0 other-config:x=y"] },
];

export const scenarios: readonly Scenario[] = [
  ...ports,
  ...patches,
  ...bridges,
  ...vlans,
  ...mirrors,
  ...bonds,
  ...tunnels,
  ...others,
];
