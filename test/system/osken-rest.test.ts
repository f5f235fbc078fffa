/** What a REST client of os-ken reads and is refused in each version of OpenFlow, from Sluice and from Open vSwitch. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Rest, startRest } from "./osken-rest.js";
import { equal, noOvs, withPair } from "./pair.js";
import { addDummyBridge, missing, type Switch, until } from "./switch.js";

const reason = noOvs ?? missing({ tools: ["python3", "osken-manager"] });
if (reason !== undefined) console.log(`skip: os-ken's REST: ${reason}`);
const maybe = reason === undefined ? test : test.skip;

type Call = readonly [name: string, ...args: unknown[]];
type Action = Record<string, unknown>;

/** One version, and how its functions of os-ken want a flow to be written. */
interface Version {
  readonly name: string;
  readonly number: 0 | 2 | 3 | 4 | 5;
}

const versions: readonly Version[] = [
  { name: "OpenFlow10", number: 0 },
  { name: "OpenFlow12", number: 2 },
  { name: "OpenFlow13", number: 3 },
  { name: "OpenFlow14", number: 4 },
  { name: "OpenFlow15", number: 5 },
];

const instructions = ["GOTO_TABLE", "WRITE_METADATA", "WRITE_ACTIONS", "CLEAR_ACTIONS"];

/** A flow with its actions, some of which may be instructions, in the form of the version. */
function flow({ number }: Version, columns: Record<string, unknown>, ...actions: Action[]): Record<string, unknown> {
  if (number < 4) return { ...columns, actions };
  const apply = actions.filter(({ type }) => !instructions.includes(String(type)));
  const rest = actions.filter(({ type }) => instructions.includes(String(type)));
  return {
    ...columns,
    instructions: [...(apply.length === 0 ? [] : [{ type: "APPLY_ACTIONS", actions: apply }]), ...rest],
  };
}

const udp = { eth_type: 0x0800, ip_proto: 17 };
const tcp = { eth_type: 0x0800, ip_proto: 6 };

/** Matches of OpenFlow 1.2 and later: each field that os-ken knows, and what it needs. */
const matches: readonly Record<string, unknown>[] = [
  { in_port: 1 },
  { in_port: "LOCAL" },
  { metadata: "0x12/0xff" },
  { eth_dst: "01:00:00:00:00:00/01:00:00:00:00:00", eth_src: "02:00:00:00:00:01" },
  { vlan_vid: 5 },
  { vlan_vid: "0x1000/0x1000", vlan_pcp: 3 },
  { vlan_vid: 0 },
  { dl_vlan: "0x0000" },
  { eth_type: 0x0800, ip_dscp: 3, ip_ecn: 2 },
  { eth_type: 0x0800, ipv4_src: "10.0.0.0/8", ipv4_dst: "192.168.1.1" },
  { eth_type: 0x0800, ipv4_src: "10.0.0.1/255.0.0.255" },
  { ...tcp, tcp_src: 1, tcp_dst: 80 },
  { ...udp, udp_src: 1, udp_dst: 53 },
  { eth_type: 0x0800, ip_proto: 132, sctp_src: 1, sctp_dst: 2 },
  { eth_type: 0x0800, ip_proto: 1, icmpv4_type: 8, icmpv4_code: 0 },
  { eth_type: 0x0806, arp_op: 1, arp_spa: "10.0.0.1", arp_tpa: "10.0.0.0/24" },
  { eth_type: 0x0806, arp_sha: "02:00:00:00:00:01", arp_tha: "02:00:00:00:00:02" },
  { eth_type: 0x86dd, ipv6_src: "fd00::/16", ipv6_dst: "fd00::1", ipv6_flabel: 7 },
  { eth_type: 0x86dd, ip_proto: 58, icmpv6_type: 135, ipv6_nd_target: "fd00::1", ipv6_nd_sll: "02:00:00:00:00:01" },
  { eth_type: 0x86dd, ip_proto: 58, icmpv6_type: 136, ipv6_nd_tll: "02:00:00:00:00:01" },
  { eth_type: 0x8847, mpls_label: 16, mpls_tc: 2 },
  { eth_type: 0x88e7, pbb_isid: 5 },
  { eth_type: 0x86dd, ipv6_exthdr: "0x40/0x1f0" },
  { tunnel_id: "0x1/0xf" },
  { in_phy_port: 1 },
  // What is missing its prerequisites, or has a value under a mask of nothing, is refused.
  { tcp_src: 1 },
  { eth_type: 0x0800, arp_op: 1 },
  { vlan_pcp: 3 },
  { eth_type: 0x0800, ipv4_src: "10.0.0.1/0.0.0.0" },
];

const matches10: readonly Record<string, unknown>[] = [
  { in_port: 1 },
  { in_port: "LOCAL" },
  { dl_src: "02:00:00:00:00:01", dl_dst: "02:00:00:00:00:02" },
  { dl_vlan: 5, dl_vlan_pcp: 3 },
  { dl_vlan: 65535 },
  { dl_type: 0x0800, nw_tos: 16 },
  { dl_type: 0x0800, nw_src: "10.0.0.0/8", nw_dst: "192.168.1.1" },
  { dl_type: 0x0800, nw_proto: 6, tp_src: 1, tp_dst: 80 },
  { dl_type: 0x0800, nw_proto: 1, tp_src: 8, tp_dst: 0 },
  { dl_type: 0x0806, nw_proto: 1, nw_src: "10.0.0.1", nw_dst: "10.0.0.2" },
  // Open vSwitch takes these for what they can mean.
  { tp_dst: 80 },
  { nw_proto: 6 },
  { dl_vlan_pcp: 3 },
];

const output = (port: number | string, more: Action = {}): Action => ({ type: "OUTPUT", port, ...more });

const actions: readonly (readonly Action[])[] = [
  [],
  [output(2)],
  [output("CONTROLLER", { max_len: 100 })],
  [output("CONTROLLER")],
  ...["IN_PORT", "TABLE", "NORMAL", "FLOOD", "ALL", "LOCAL", "ANY"].map((port) => [output(port)]),
  [output(99), output(0xff00)],
  [{ type: "PUSH_VLAN", ethertype: 0x8100 }, { type: "SET_FIELD", field: "vlan_vid", value: 0x1005 }, output(2)],
  [{ type: "PUSH_VLAN", ethertype: 0x88a8 }, output(2)],
  [{ type: "PUSH_VLAN", ethertype: 0x0800 }, output(2)],
  [{ type: "POP_VLAN" }, output(2)],
  [{ type: "PUSH_MPLS", ethertype: 0x8847 }, { type: "SET_MPLS_TTL", mpls_ttl: 9 }, output(2)],
  [{ type: "POP_MPLS", ethertype: 0x0800 }, output(2)],
  [{ type: "DEC_MPLS_TTL" }],
  [{ type: "PUSH_PBB", ethertype: 0x88e7 }, output(2)],
  [{ type: "POP_PBB" }],
  [{ type: "COPY_TTL_OUT" }, output(2)],
  [{ type: "COPY_TTL_IN" }],
  [{ type: "SET_NW_TTL", nw_ttl: 5 }, output(2)],
  [{ type: "DEC_NW_TTL" }, output(2)],
  [{ type: "SET_QUEUE", queue_id: 3 }, output(2)],
  [{ type: "GROUP", group_id: 9 }],
  [{ type: "GROUP", group_id: 1 }],
  [{ type: "SET_FIELD", field: "eth_dst", value: "02:00:00:00:00:09" }],
  [{ type: "SET_FIELD", field: "ipv4_src", value: "10.9.9.9" }],
  [{ type: "SET_FIELD", field: "tcp_dst", value: 8080 }],
  [{ type: "SET_FIELD", field: "in_port", value: 2 }],
  [{ type: "SET_FIELD", field: "tunnel_id", value: 7 }],
  [{ type: "SET_FIELD", field: "eth_type", value: 7 }],
  [{ type: "EXPERIMENTER", experimenter: 0x2320, data: "12345678" }],
  [{ type: "METER", meter_id: 1 }, output(2)],
  [{ type: "METER", meter_id: 9 }, output(2)],
  // Not COPY_FIELD: os-ken cannot read it back.
  [{ type: "GOTO_TABLE", table_id: 1 }],
  [{ type: "GOTO_TABLE", table_id: 0 }],
  [
    { type: "WRITE_METADATA", metadata: 5, metadata_mask: 15 },
    { type: "GOTO_TABLE", table_id: 200 },
  ],
  [{ type: "WRITE_ACTIONS", actions: [{ type: "DEC_NW_TTL" }, output(2)] }],
  [{ type: "CLEAR_ACTIONS" }],
];

const actions10: readonly (readonly Action[])[] = [
  [],
  [output(2)],
  [output("CONTROLLER", { max_len: 100 })],
  ...["IN_PORT", "TABLE", "NORMAL", "FLOOD", "ALL", "LOCAL", "NONE"].map((port) => [output(port)]),
  [output(99), output(0xff00)],
  [{ type: "SET_VLAN_VID", vlan_vid: 5 }, { type: "SET_VLAN_PCP", vlan_pcp: 3 }, output(2)],
  [{ type: "SET_VLAN_VID", vlan_vid: 5000 }],
  [{ type: "SET_VLAN_PCP", vlan_pcp: 9 }],
  [{ type: "STRIP_VLAN" }, output(2)],
  [
    { type: "SET_DL_SRC", dl_src: "02:00:00:00:00:01" },
    { type: "SET_DL_DST", dl_dst: "02:00:00:00:00:02" },
  ],
  [
    { type: "SET_NW_SRC", nw_src: "10.0.0.1" },
    { type: "SET_NW_DST", nw_dst: "10.0.0.2" },
    { type: "SET_NW_TOS", nw_tos: 16 },
  ],
  [{ type: "SET_NW_TOS", nw_tos: 3 }],
  [
    { type: "SET_TP_SRC", tp_src: 1 },
    { type: "SET_TP_DST", tp_dst: 2 },
  ],
  [{ type: "ENQUEUE", port: 1, queue_id: 2 }],
  [{ type: "ENQUEUE", port: "FLOOD", queue_id: 2 }],
  [{ type: "ENQUEUE", port: "IN_PORT", queue_id: 2 }],
];

const prerequisites: Record<string, Record<string, unknown>> = {
  POP_VLAN: { vlan_vid: "0x1000/0x1000" },
  POP_MPLS: { eth_type: 0x8847 },
  DEC_MPLS_TTL: { eth_type: 0x8847 },
  SET_NW_TTL: { eth_type: 0x0800 },
  DEC_NW_TTL: { eth_type: 0x86dd },
  ipv4_src: { eth_type: 0x0800 },
  tcp_dst: tcp,
  WRITE_ACTIONS: { eth_type: 0x0800 },
};

const flowsOf = ({ number }: Version): string => (number === 5 ? "get_flow_desc_stats" : "get_flow_stats");

/** Every match, every list of actions, and what is refused; then what a REST client can ask of flows. */
function flowCalls(version: Version): Call[] {
  const { number } = version;
  const calls: Call[] = [];
  const add = (columns: Record<string, unknown>, ...list: Action[]): void => {
    calls.push(["mod_flow_entry", flow(version, columns, ...list), "OFPFC_ADD"]);
  };
  (number === 0 ? matches10 : matches).forEach((match, index) => {
    add({ priority: 100 + index, cookie: index, match }, output(1));
  });
  (number === 0 ? actions10 : actions).forEach((list, index) => {
    const first = list[0] ?? {};
    const match = prerequisites[String(first.field ?? first.type)] ?? {};
    add({ priority: 200 + index, match }, ...list);
    if (match !== undefined && Object.keys(match).length > 0 && number > 0) add({ priority: 200 + index }, ...list);
  });
  calls.push([flowsOf(version)]);
  for (const filter of [
    number === 0 ? { match: { dl_type: 0x0800 } } : { match: { eth_type: 0x0800 } },
    { out_port: 2 },
    { table_id: 3 },
    { priority: 100 },
    ...(number === 0 ? [] : [{ cookie: 3, cookie_mask: 0xffff }, { out_group: 1 }]),
  ]) {
    calls.push([flowsOf(version), filter], ["get_aggregate_flow_stats", filter]);
  }
  calls.push(["get_aggregate_flow_stats"], ["get_table_stats"]);
  const one =
    number === 0 ? { dl_type: 0x0800, nw_proto: 6, tp_src: 1, tp_dst: 80 } : { ...tcp, tcp_src: 1, tcp_dst: 80 };
  for (const [columns, command] of [
    [{ priority: 1, match: one }, "OFPFC_MODIFY"],
    [{ priority: 1, match: one, flags: 1 }, "OFPFC_MODIFY_STRICT"],
    [{ priority: 7, match: one, flags: 1, idle_timeout: 60, hard_timeout: 600 }, "OFPFC_ADD"],
    [{ priority: 7, match: one, flags: 2 }, "OFPFC_ADD"],
    [{ priority: 8, match: { in_port: 1 }, flags: 31 }, "OFPFC_ADD"],
    [{ priority: 8, match: { in_port: 1 }, table_id: 255 }, "OFPFC_ADD"],
    [{ priority: 8, match: { in_port: 1 }, table_id: 254 }, "OFPFC_ADD"],
    [{ priority: 7, match: one }, "OFPFC_DELETE_STRICT"],
    [{ match: one }, "OFPFC_DELETE"],
    [{ out_port: 2 }, "OFPFC_DELETE"],
    [{ out_port: 2, table_id: 255 }, "OFPFC_DELETE"],
    [{ buffer_id: 7, match: { in_port: 3 } }, "OFPFC_ADD"],
    [{ priority: 9, match: { in_port: 2 }, flags: 1, hard_timeout: 1 }, "OFPFC_ADD"],
  ] as const) {
    calls.push(["mod_flow_entry", flow(version, columns, output(1)), command]);
    if (command !== "OFPFC_ADD") calls.push([flowsOf(version)], ["wait", 0.1]);
  }
  calls.push(["wait", 2], [flowsOf(version)]);
  return calls;
}

function groupCalls(version: Version): Call[] {
  const { number } = version;
  if (number === 0) return [];
  const latest = number === 5;
  const calls: Call[] = [];
  const mod = (command: string, group: Record<string, unknown>, ...buckets: Record<string, unknown>[]): void => {
    calls.push([
      "mod_group_entry",
      { ...(latest ? { command_bucket_id: 0xffffffff } : {}), ...group, buckets },
      command,
    ]);
    calls.push(["get_group_desc"], ["get_group_stats"]);
  };
  const bucket = (id: number, to: number | string, weight?: number, watch?: number): Record<string, unknown> => {
    const list = [output(to)];
    if (!latest)
      return {
        actions: list,
        ...(weight === undefined ? {} : { weight }),
        ...(watch === undefined ? {} : { watch_port: watch }),
      };
    const properties = [
      ...(weight === undefined ? [] : [{ type: "WEIGHT", weight }]),
      ...(watch === undefined ? [] : [{ type: "WATCH_PORT", watch }]),
    ];
    return { bucket_id: id, actions: list, properties };
  };
  mod("OFPGC_ADD", { type: "ALL", group_id: 1 }, bucket(0, 1), bucket(1, 2));
  mod("OFPGC_ADD", { type: "ALL", group_id: 1 }, bucket(0, 1));
  mod("OFPGC_ADD", { type: "SELECT", group_id: 2 }, bucket(0, 1, 5), bucket(1, 2, 10));
  mod("OFPGC_ADD", { type: "SELECT", group_id: 12 }, bucket(0, 1, 0));
  mod("OFPGC_ADD", { type: "SELECT", group_id: 13 }, bucket(0, 1));
  mod("OFPGC_ADD", { type: "INDIRECT", group_id: 3 }, bucket(0, 1));
  mod("OFPGC_ADD", { type: "INDIRECT", group_id: 14 });
  mod("OFPGC_ADD", { type: "FF", group_id: 4 }, bucket(0, 1, undefined, 1), bucket(1, 2, undefined, 2));
  mod("OFPGC_ADD", { type: "FF", group_id: 15 }, bucket(0, 1));
  mod("OFPGC_ADD", { type: "ALL", group_id: 16 }, bucket(0, 1, 7));
  mod("OFPGC_ADD", { type: "ALL", group_id: 17 }, bucket(0, 1, undefined, 1));
  mod("OFPGC_ADD", { type: "ALL", group_id: 0xffffff01 }, bucket(0, 1));
  mod("OFPGC_MODIFY", { type: "SELECT", group_id: 1 }, bucket(0, 3, 1));
  mod("OFPGC_MODIFY", { type: "ALL", group_id: 99 }, bucket(0, 3));
  calls.push(["mod_flow_entry", flow(version, { priority: 5 }, { type: "GROUP", group_id: 1 }), "OFPFC_ADD"]);
  calls.push(["get_group_stats", 1], ["get_group_stats", 99], ["get_group_features"]);
  if (latest) {
    calls.push(["get_group_desc", 1], ["get_group_desc", 99]);
    mod("OFPGC_INSERT_BUCKET", { group_id: 3, command_bucket_id: 0xfffffffe }, bucket(7, 2));
    mod("OFPGC_REMOVE_BUCKET", { group_id: 1, command_bucket_id: 0 });
    mod("OFPGC_REMOVE_BUCKET", { group_id: 1, command_bucket_id: 5 });
  }
  mod("OFPGC_DELETE", { group_id: 1 });
  calls.push([flowsOf(version)]);
  mod("OFPGC_DELETE", { group_id: 99 });
  mod("OFPGC_DELETE", { group_id: "ALL" });
  return calls;
}

function meterCalls(version: Version): Call[] {
  const { number } = version;
  if (number < 3) return [];
  const calls: Call[] = [];
  const described = number === 5 ? "get_meter_desc" : "get_meter_config";
  const mod = (command: string, meter: Record<string, unknown>): void => {
    calls.push(["mod_meter_entry", meter, command], [described], ["get_meter_stats"]);
  };
  const drop = { type: "DROP", rate: 1000, burst_size: 10 };
  mod("OFPMC_ADD", { meter_id: 1, flags: ["KBPS"], bands: [drop] });
  mod("OFPMC_ADD", { meter_id: 1, flags: ["KBPS"], bands: [drop] });
  mod("OFPMC_ADD", { meter_id: 2, flags: ["PKTPS", "BURST", "STATS"], bands: [drop, { ...drop, rate: 2000 }] });
  mod("OFPMC_ADD", { meter_id: 3, flags: ["KBPS"], bands: [{ type: "DSCP_REMARK", rate: 10, prec_level: 1 }] });
  mod("OFPMC_ADD", { meter_id: 4, flags: ["KBPS", "PKTPS"], bands: [drop] });
  mod("OFPMC_ADD", { meter_id: 5, flags: ["KBPS"], bands: [] });
  mod("OFPMC_ADD", { meter_id: 6, flags: [], bands: [drop] });
  mod("OFPMC_ADD", { meter_id: 0, flags: ["KBPS"], bands: [drop] });
  mod("OFPMC_ADD", { meter_id: "CONTROLLER", flags: ["PKTPS"], bands: [drop] });
  mod("OFPMC_ADD", { meter_id: 0x10000000, flags: ["PKTPS"], bands: [drop] });
  mod("OFPMC_ADD", { meter_id: 7, flags: ["KBPS"], bands: [{ ...drop, rate: 0 }] });
  mod("OFPMC_MODIFY", { meter_id: 1, flags: ["KBPS"], bands: [{ ...drop, rate: 5 }] });
  mod("OFPMC_MODIFY", { meter_id: 99, flags: ["KBPS"], bands: [drop] });
  calls.push([described, 1], [described, 99], ["get_meter_stats", 1], ["get_meter_stats", 99]);
  // Open vSwitch tells them in the form of 1.3, without the flags that OpenFlow 1.5 adds and os-ken asks for.
  if (number < 5) calls.push(["get_meter_features"]);
  mod("OFPMC_DELETE", { meter_id: 1 });
  mod("OFPMC_DELETE", { meter_id: 99 });
  mod("OFPMC_DELETE", { meter_id: "ALL" });
  return calls;
}

/** Stands for the address of the first port, which each switch counts for itself. */
const portMac = "aa:55:aa:55:00:XX";

function portCalls({ number }: Version): Call[] {
  const calls: Call[] = [["get_desc_stats"], ["get_port_stats"], ["get_port_stats", 1]];
  calls.push(["get_port_stats", 99], ["get_queue_stats"], ["get_queue_stats", 1, 3], ["get_queue_stats", 99]);
  if (number === 2 || number === 3) calls.push(["get_queue_config"], ["get_queue_config", 1], ["get_queue_config", 99]);
  if (number >= 4) {
    calls.push(["get_queue_desc"], ["get_queue_desc", 1], ["get_queue_desc", 1, 5], ["get_queue_desc", 99]);
  }
  if (number >= 3) calls.push(["get_port_desc"]);
  if (number === 5) calls.push(["get_port_desc", 2], ["get_port_desc", 99]);
  const mod = (more: Record<string, unknown>): void => {
    const legacy = number < 4 ? { advertise: 0 } : { properties: [] };
    calls.push(["mod_port_behavior", { port_no: 1, hw_addr: portMac, ...legacy, ...more }], ["wait", 0.1]);
    // In versions that have no such request, the port status tells.
    if (number >= 3) calls.push(["get_port_desc"]);
  };
  mod({ config: 1, mask: 1 });
  mod({ config: 0, mask: 1 });
  mod({ config: 0x70, mask: 0x7f });
  mod({ config: 0, mask: 0x7f });
  mod({ config: 0, mask: 0x80 });
  mod({ hw_addr: "02:02:02:02:02:02", mask: 1 });
  mod({ port_no: 99, mask: 1 });
  if (number >= 4) mod({ properties: [{ type: "ETHERNET", advertise: ["10MB_HD"] }] });
  else mod({ advertise: 1 });
  if (number >= 2) {
    for (const role of ["MASTER", "SLAVE", "EQUAL", "NOCHANGE", 9]) {
      calls.push(["set_role", { role }], ["get_role"]);
    }
  }
  return calls;
}

function packetCalls(version: Version): Call[] {
  const frame =
    "ffffffffffff020000000001080045000020000100004011b6c70a0000010a00000200010035000c000000000000000000000000000000000000000000";
  const calls: Call[] = [];
  calls.push([
    "mod_flow_entry",
    flow(version, { priority: 5, cookie: 77, match: { in_port: 1 } }, output("CONTROLLER")),
    "OFPFC_ADD",
  ]);
  calls.push(["packet_out", 1, [output("TABLE")], frame], ["wait", 0.1]);
  calls.push(["packet_out", "OFPP_CONTROLLER", [output("CONTROLLER")], frame], ["wait", 0.1]);
  calls.push(["packet_out", 2, [output(2)], frame], ["packet_out", 2, [output(99)], frame]);
  calls.push(
    ["packet_out", 99, [output(2)], frame],
    ["packet_out", 2, [], frame],
    ["packet_out", 2, [output(1)], "ff"],
  );
  calls.push(["get_port_stats", 2], [flowsOf(version), { cookie: 77, cookie_mask: 0xff }]);
  if (version.number > 0) {
    calls.push(["send_experimenter", { experimenter: 0x2320, exp_type: 999, data: "abcd" }]);
    calls.push(["send_experimenter", { experimenter: 1, exp_type: 1, data: "abcd" }]);
  }
  calls.push(["mod_flow_entry", flow(version, { match: { in_port: 1 } }), "OFPFC_DELETE"], ["wait", 0.1]);
  return calls;
}

/** What has no order, sorted; what differs from run to run, masked. */
function tidy(value: unknown, name = ""): unknown {
  if (/^(duration|idle_time)_n?sec$/.test(name)) return "T";
  if (Array.isArray(value)) {
    const items = value.map((item) => tidy(item));
    if (name !== "result" && name !== "queues") return items;
    return items.sort((one, two) => (JSON.stringify(one) < JSON.stringify(two) ? -1 : 1));
  }
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, tidy(item, key)]));
}

function told(call: Call, answer: unknown): string {
  const text = JSON.stringify(tidy(answer)).replace(/aa:55:aa:55:00:[0-9a-f]{2}/g, portMac);
  return `${JSON.stringify(call)}\n${text.replaceAll("},{", "},\n{")}`;
}

async function connect(under: Switch, rest: Rest, version: Version, dpid: number): Promise<void> {
  const id = dpid.toString(16).padStart(16, "0");
  addDummyBridge(under, 0, { bridge: [`protocols=${version.name}`, `other_config:datapath-id=${id}`] });
  for (const number of [1, 2, 3]) {
    const port = ["add-port", "br0", `p${number}`, "--", "set", "interface", `p${number}`];
    under.ok("ovs-vsctl", ...port, "type=dummy", `ofport_request=${number}`);
  }
  under.ok("ovs-vsctl", "set-controller", "br0", `tcp:127.0.0.1:${rest.openflow}`);
  under.ok("ovs-vsctl", "set", "controller", "br0", "inactivity_probe=60000");
  await until(`${under.kind} is connected`, 20, async () => (await rest.switches()).includes(dpid));
}

for (const version of versions) {
  maybe(`${version.name}: a REST client of os-ken is told the same`, async () => {
    const rest = await startRest();
    try {
      await withPair(async (pair) => {
        await Promise.all(pair.both.map((under, index) => connect(under, rest, version, index + 1)));
        const calls = [
          ...portCalls(version),
          ...meterCalls(version),
          ...groupCalls(version),
          ...flowCalls(version),
          ...packetCalls(version),
        ];
        const run = async (under: Switch, dpid: number): Promise<string[]> => {
          const mac = under.ok("ovs-vsctl", "get", "interface", "p1", "mac_in_use").trim();
          const out: string[] = [];
          for (const [name, ...args] of calls) {
            const own = JSON.parse(JSON.stringify(args).replaceAll(`"${portMac}"`, mac)) as unknown[];
            out.push(told([name, ...args], await rest.call(dpid, name, ...own)));
          }
          return out;
        };
        const [ours, theirs] = await Promise.all(pair.both.map((under, index) => run(under, index + 1)));
        equal(ours ?? [], theirs ?? []);
        assert.ok((theirs ?? []).filter((text) => text.includes('"failed"')).length < 5, "os-ken understands most");
      });
    } finally {
      rest.stop();
    }
  });
}

test.run();
