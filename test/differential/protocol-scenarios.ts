/** What a person sets of protocols and exporters, and what goes wrong. */
import type { Scenario } from "./scenarios.js";

const show = "ovs-ofctl -O OpenFlow15 show br0";
const mdb = "ovs-appctl mdb/show br0";
const trace = (fields: string): string => `ovs-appctl ofproto/trace br0 in_port=1,dl_src=50:54:00:00:00:aa,${fields}`;
const known = "dl_dst=50:54:00:00:00:bb";
const toGroup = "udp,dl_dst=01:00:5e:01:01:01,nw_dst=224.1.1.1";
const toGroup6 = "udp6,dl_dst=33:33:00:00:00:07,ipv6_dst=ff05::7";
const set = (...columns: readonly string[]): string => `set bridge br0 ${columns.join(" ")}`;
const multicast: readonly Scenario[] = [
  {
    name: "multicast snooping",
    does: [set("mcast_snooping_enable=true")],
    asks: [mdb, trace(toGroup), trace(toGroup6)],
  },
  { name: "multicast snooping that is off", does: [], asks: [mdb, "ovs-appctl mdb/flush br0", trace(toGroup)] },
  {
    name: "multicast that nobody wants",
    does: [set("mcast_snooping_enable=true", "other_config:mcast-snooping-disable-flood-unregistered=true")],
    asks: [trace(toGroup), trace(toGroup6), trace("ip,dl_dst=01:00:5e:00:00:05,nw_dst=224.0.0.5")],
  },
  {
    name: "ports that all multicast goes to",
    does: [
      set("mcast_snooping_enable=true", "other_config:mcast-snooping-disable-flood-unregistered=true"),
      "set port p2 other_config:mcast-snooping-flood=true -- set port p3 other_config:mcast-snooping-flood-reports=true",
    ],
    asks: [trace(toGroup), trace("ip,nw_proto=2,tp_src=22,dl_dst=01:00:5e:01:01:01,nw_dst=224.1.1.1")],
  },
  {
    name: "limits of multicast snooping that are absurd",
    does: [
      set("mcast_snooping_enable=true", "other_config:mcast-snooping-aging-time=-5"),
      set("other_config:mcast-snooping-table-size=zero"),
    ],
    asks: [mdb, trace(toGroup)],
  },
  { name: "a table of multicast of no bridge", does: [], asks: ["ovs-appctl mdb/show nosuch", "ovs-appctl mdb/show"] },
];

/** Numbers of ports, which Open vSwitch gives out as hashes fall. */
const numbered = (protocol: string): string =>
  [1, 2, 3].map((port) => `set port p${port} other_config:${protocol}-port-num=${port}`).join(" -- ");

const trees: readonly Scenario[] = [
  {
    name: "STP",
    does: [`${set("stp_enable=true")} -- ${numbered("stp")}`],
    asks: [show, "ovs-appctl stp/show nosuch"],
  },
  {
    name: "STP with its settings",
    does: [
      `${set("stp_enable=true", "other_config:stp-priority=0x7800", "other_config:stp-hello-time=3")} -- ${numbered("stp")}`,
      "set port p1 other_config:stp-path-cost=7 -- set port p3 other_config:stp-enable=false",
    ],
    asks: ["ovs-vsctl get port p3 status"],
  },
  { name: "STP with numbers for few ports", does: [set("stp_enable=true"), "set port p1 other_config:stp-port-num=5"] },
  {
    name: "RSTP",
    does: [`${set("rstp_enable=true", "other_config:rstp-priority=4096")} -- ${numbered("rstp")}`],
    asks: ["ovs-vsctl get bridge br0 rstp_status"],
  },
  {
    name: "RSTP with ports that are special",
    does: [
      `${set("rstp_enable=true")} -- ${numbered("rstp")}`,
      "set port p1 other_config:rstp-port-admin-edge=true other_config:rstp-port-priority=32 -- set port p2 other_config:rstp-enable=false",
    ],
    asks: ["ovs-vsctl get port p2 rstp_status"],
  },
];

const exporters: readonly Scenario[] = [
  {
    name: "a NetFlow",
    does: ["-- --id=@n create NetFlow targets='\"127.0.0.1:1\"' active_timeout=30 -- set bridge br0 netflow=@n"],
    asks: [trace(known)],
  },
  {
    name: "a NetFlow with its engine",
    does: [
      "-- --id=@n create NetFlow targets='\"127.0.0.1:1\"' engine_id=3 engine_type=4 add_id_to_interface=true -- set bridge br0 netflow=@n",
      "clear bridge br0 netflow",
    ],
    asks: [trace(known)],
  },
  {
    name: "a NetFlow without a target that can be",
    does: ["-- --id=@n create NetFlow targets=nonsense -- set bridge br0 netflow=@n"],
    asks: [trace(known)],
  },
  {
    name: "an sFlow without an agent that can be",
    does: ["-- --id=@s create sFlow targets='\"127.0.0.1:1\"' agent=nosuch0 sampling=64 -- set bridge br0 sflow=@s"],
    asks: [trace(known)],
  },
  {
    name: "an IPFIX of flows",
    does: [
      "-- --id=@br get bridge br0 -- --id=@i create IPFIX targets='\"127.0.0.1:1\"' -- create Flow_Sample_Collector_Set id=7 bridge=@br ipfix=@i",
    ],
    asks: [
      "ovs-ofctl add-flow br0 in_port=1,actions=sample(probability=65535,collector_set_id=7),2",
      trace(known),
      "ovs-ofctl dump-ipfix-flow br0",
    ],
  },
];

const discovery: readonly Scenario[] = [
  {
    name: "LLDP",
    does: ["set interface p1 lldp:enable=true"],
    asks: ["ovs-appctl autoattach/status", "ovs-appctl autoattach/show-isid"],
  },
  {
    name: "LLDP that goes",
    does: ["set interface p1 lldp:enable=true", "remove interface p1 lldp enable"],
    asks: [trace("dl_type=0x88cc"), "ovs-appctl autoattach/status"],
  },
  {
    name: "LLDP that is turned off",
    does: ["set interface p1 lldp:enable=true", "set interface p1 lldp:enable=false"],
    asks: [trace("dl_type=0x88cc"), "ovs-appctl autoattach/status"],
  },
  {
    name: "auto-attach",
    does: [
      "set interface p1 lldp:enable=true",
      "-- --id=@a create AutoAttach system_name=s system_description=d mappings:17=100 -- set bridge br0 auto_attach=@a",
    ],
    asks: ["ovs-appctl autoattach/show-isid", "ovs-vsctl get port p1 trunks"],
  },
];

const trouble: readonly Scenario[] = [
  { name: "a port that is taken away twice", does: ["del-port br0 p2", "del-port br0 p2", "del-port br0 nosuch"] },
  {
    name: "an interface of two ports",
    does: ["-- --id=@i get interface p1 -- --id=@p create port name=q1 interfaces=@i -- add bridge br0 ports @p"],
    asks: [show, trace(known)],
  },
  {
    name: "a bridge with a slash by columns",
    does: ["-- --id=@b create bridge name=a/b datapath_type=dummy -- add Open_vSwitch . bridges @b"],
    asks: [show, "ovs-ofctl show a/b"],
  },
  {
    name: "tunnels without an end among ports that are well",
    does: [
      "add-port br0 t1 -- set interface t1 type=vxlan -- add-port br0 t2 -- set interface t2 type=geneve options:remote_ip=nonsense.invalid -- add-port br0 q9 -- set interface q9 type=dummy ofport_request=9",
    ],
    asks: [show, trace(known)],
  },
  {
    name: "settings that are none",
    does: [
      set("other_config:mac-aging-time=never", "other_config:forward-bpdu=perhaps", "other_config:rstp-priority=x"),
      "set port p1 other_config:priority-tags=often other_config:lacp-time=soon",
    ],
    asks: [show, trace(known), "ovs-appctl fdb/stats-show br0"],
  },
];

export const protocolScenarios: readonly Scenario[] = [...multicast, ...trees, ...exporters, ...discovery, ...trouble];
