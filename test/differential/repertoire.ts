/** Flows and actions that are about one thing each, and that few tables of the wild have. */
import { hex, ipv4, ipv6, lastTable, macs, outputAction, type Protocol, ports, vlans } from "./generate.js";
import type { Random } from "./random.js";
import { atLeast, type Theme, type Version } from "./theme.js";

/** Open vSwitch 3.1 sets the whole of a label's entry (commit_mpls_action()) and has its cached flow match only on what
 *  flows read: other packets of that flow get the entry of the first.  So the flow reads all of it. */
const readsLabel = (
  [
    ["OXM_OF_MPLS_LABEL[]", 19],
    ["OXM_OF_MPLS_TC[]", 2],
    ["OXM_OF_MPLS_BOS[]", 0],
    ["NXM_NX_MPLS_TTL[]", 7],
  ] as const
)
  .map(([field, last]) => `push:${field},pop:NXM_NX_REG3[0..${last}]`)
  .join(",");

/** Tables go on to the last one alone, which goes nowhere: no packet goes round. */
function onwardAction(random: Random, table: number): string {
  const output = `output:${random.pick(ports)}`;
  return random.pick([output, output, table < lastTable ? `resubmit(,${lastTable})` : output, "in_port"]);
}

/** Match and actions of a flow about MPLS.  Popping the last label takes a recirculation. */
export function mplsFlow(random: Random, theme: Theme, table: number): { match: string[]; actions: string } {
  const onward = onwardAction(random, table);
  const label = hex(random.below(4) + 16);
  if (random.chance(0.3)) {
    const vlan = random.chance(0.2) ? [`dl_vlan=${random.pick(vlans)}`] : [];
    return {
      match: [random.pick(["ip", "ipv6", "arp"]), ...vlan],
      actions: `push_mpls:${random.pick(["0x8847", "0x8848"])},set_field:${label}->mpls_label,${onward}`,
    };
  }
  // Open vSwitch 3.1 crashed in lives with labels popped as one of several that are the last, so flows say whether one is; that
  // this is why was not shown.
  const pop = theme.recirculates && random.chance(0.4) ? random.pick(["0x0800", "0x86dd", "0x8847", "0x8848"]) : "";
  const isLast = pop === "" ? random.below(2) : pop.startsWith("0x88") ? 0 : 1;
  const match = [
    random.chance(0.8) ? "mpls" : "mplsm",
    ...(random.chance(0.5) ? [`mpls_label=${random.pick([16, 17, 18])}`] : []),
    ...(pop !== "" || random.chance(0.3) ? [`mpls_bos=${isLast}`] : []),
    ...(random.chance(0.2) ? [`mpls_tc=${random.below(8)}`] : []),
    ...(random.chance(0.3) ? [`in_port=${random.pick(ports)}`] : []),
  ];
  const changes = [
    `set_field:${label}->mpls_label`,
    `set_field:${random.below(8)}->mpls_tc`,
    `set_mpls_label(${label})`,
    `set_mpls_tc(${random.below(8)})`,
    `set_mpls_ttl(${random.pick([1, 9])})`,
    "dec_mpls_ttl",
    ...(pop === "" ? ["push_mpls:0x8847", "push_mpls:0x8848,dec_mpls_ttl"] : []),
    "load:0x11->OXM_OF_MPLS_LABEL[0..7]",
    "load:0x1->OXM_OF_MPLS_TC[1]",
    "move:OXM_OF_MPLS_LABEL[0..15]->NXM_NX_REG1[0..15]",
    "move:OXM_OF_MPLS_LABEL[0..2]->OXM_OF_MPLS_TC[]",
  ];
  const some = Array.from({ length: 1 + random.below(2) }, () => random.pick(changes));
  if (pop !== "") some.push(`pop_mpls:${pop}`);
  return { match, actions: [readsLabel, ...some, onward].join(",") };
}

const registers = ["NXM_NX_REG0[0..15]", "NXM_NX_REG1[0..15]", "NXM_NX_REG2[0..15]"] as const;

/** An action of any flow. */
export function rareAction(random: Random, protocol: Protocol, theme: Theme, table: number): string {
  const onward = onwardAction(random, table);
  const pushed = random.pick([
    "NXM_OF_ETH_SRC[0..15]",
    "NXM_OF_IN_PORT[]",
    "NXM_NX_REG1[16..31]",
    "OXM_OF_METADATA[0..15]",
  ]);
  const choices: (() => string)[] = [
    () => `check_pkt_larger(${random.pick([50, 60, 66, 70])})->NXM_NX_REG${random.below(3)}[0]`,
    () => `push:${pushed},push:NXM_OF_IN_PORT[],pop:${random.pick(registers)},pop:${random.pick(registers)}`,
    () => `push:NXM_OF_ETH_SRC[],push:NXM_OF_ETH_DST[],pop:NXM_OF_ETH_SRC[],pop:NXM_OF_ETH_DST[],${onward}`,
    // Popping more than there is, or another number of bits.
    () => `pop:${random.pick(registers)}`,
    () => `push:${pushed},pop:NXM_NX_REG2[0..7]`,
    () => "move:NXM_OF_ETH_DST[16..47]->NXM_NX_REG1[]",
    () => `load:${hex(random.below(256))}->NXM_OF_ETH_DST[8..15]`,
    () => `set_field:${hex(random.below(8))}/0x7->reg${random.below(3)}`,
    () => `set_field:${hex(random.below(256))}->pkt_mark`,
    () => "move:NXM_NX_XXREG0[0..15]->NXM_NX_XXREG0[32..47]",
    () => "sample(probability=65535,collector_set_id=1,obs_domain_id=2,obs_point_id=3)",
    () => `enqueue:${random.pick(ports)}:${random.below(3)}`,
    () => `set_queue:${random.below(3)},output:${random.pick(ports)},pop_queue`,
    () => `note:0${random.below(10)}.ab`,
    () => (table < lastTable ? `resubmit(${random.pick(ports)},${lastTable})` : onward),
    () => "output:local",
    () =>
      `clone(load:${random.below(3)}->NXM_NX_REG0[],clone(set_field:${random.pick(macs)}->eth_src,${onward}),${onward})`,
    () => `clone(push:NXM_NX_REG1[],load:0x2->NXM_NX_REG1[],${onward}),pop:NXM_NX_REG2[],${onward}`,
    () =>
      `multipath(symmetric_l4,50,hrw,4,0,NXM_NX_REG${random.below(3)}[0..2]),output:NXM_NX_REG${random.below(3)}[0..2]`,
    () => "exit",
  ];
  const isIp = ["ip", "tcp", "udp", "icmp"].includes(protocol);
  if (isIp) {
    choices.push(
      () => `push:NXM_OF_IP_SRC[],push:NXM_OF_IP_DST[],pop:NXM_OF_IP_SRC[],pop:NXM_OF_IP_DST[],${onward}`,
      () => `push:NXM_OF_IP_DST[],pop:NXM_NX_REG2[],${onward}`,
      () => `clone(dec_ttl,${onward}),${onward}`,
    );
    if (theme.controllers) choices.push(() => `dec_ttl(0,${random.below(3)}),${onward}`);
  }
  if (["ipv6", "tcp6", "udp6", "icmp6"].includes(protocol))
    choices.push(
      () => "push:NXM_NX_IPV6_SRC[],push:NXM_NX_IPV6_DST[],pop:NXM_NX_IPV6_SRC[],pop:NXM_NX_IPV6_DST[]",
      () => `move:NXM_NX_IPV6_SRC[0..31]->NXM_NX_REG1[],${onward}`,
      () => "load:0x77->NXM_NX_IPV6_DST[0..15]",
    );
  if (!theme.controllers) {
    // More tags than Open vSwitch reads of a packet.
    choices.push(
      () => `push_vlan:0x88a8,set_field:${4096 + random.pick(vlans)}->vlan_vid,${onward}`,
      () => `push_vlan:0x8100,push_vlan:0x88a8,${onward}`,
      () => `clone(push_vlan:0x8100,${onward}),${onward}`,
    );
  }
  return random.pick(choices)();
}

/** Match and actions about the tag of a packet that has one: what pops it, or sets it. */
export function tagFlow(random: Random, table: number): { match: string[]; actions: string } {
  const match = [
    random.pick([`dl_vlan=${random.pick(vlans)}`, "vlan_tci=0x1000/0x1000"]),
    ...(random.chance(0.3) ? ["ip"] : []),
  ];
  const changes = [
    "pop_vlan",
    "strip_vlan",
    "pop_vlan,push_vlan:0x8100",
    `set_field:${4096 + random.pick(vlans)}->vlan_vid`,
    `set_field:${random.below(8)}->vlan_pcp`,
    `mod_vlan_vid:${random.pick(vlans)}`,
    `mod_vlan_pcp:${random.below(8)}`,
    "load:0x3->OXM_OF_VLAN_PCP[0..1]",
    "move:OXM_OF_VLAN_VID[0..11]->NXM_NX_REG1[0..11]",
  ];
  const onward = onwardAction(random, table);
  return { match, actions: `${random.pick(changes)},${onward}` };
}

/** Not of options: with flows that match them Open vSwitch 3.1 crashed in some lives, and without in none of fifteen. */
export const tunnelMatch = (random: Random): string =>
  random.pick([`tun_id=${hex(random.below(4))}`, `tun_src=${random.pick(ipv4)}`, `tun_dst=${random.pick(ipv4)}/24`]);

/** Sets fields of tunnels and of options. */
export function tunnelAction(random: Random): string {
  return random.pick([
    () => `set_tunnel:${hex(random.below(4))}`,
    () => `set_tunnel64:${hex(random.below(4))}`,
    () => `set_field:${hex(random.below(3))}->tun_metadata0`,
    () => `set_field:${hex(256 * random.below(3))}/0xff00->tun_metadata1`,
    () => `load:${hex(random.below(3))}->NXM_NX_TUN_METADATA0[0..7]`,
    () => "move:NXM_NX_TUN_METADATA0[0..31]->NXM_NX_REG1[]",
    () => "move:NXM_NX_REG0[0..15]->NXM_NX_TUN_METADATA1[8..23]",
    () => "push:NXM_NX_TUN_METADATA0[0..31],pop:NXM_NX_REG2[]",
    () => "push:NXM_NX_REG1[],pop:NXM_NX_TUN_METADATA0[0..31]",
    () => `move:NXM_NX_TUN_ID[0..31]->NXM_NX_REG${random.below(3)}[]`,
    () => `set_field:${random.pick(ipv4)}->tun_src`,
    () => `set_field:${random.pick(ipv6)}->tun_ipv6_src`,
    () => `delete_field:tun_metadata${random.below(2)}`,
  ])();
}

export function encapActions(random: Random): string {
  const port = random.pick(ports);
  return random.pick([
    `encap(nsh(md_type=1)),set_field:${hex(random.below(9) + 1)}->nsh_spi,set_field:${random.below(255)}->nsh_si,encap(ethernet),set_field:${random.pick(macs)}->eth_dst,output:${port}`,
    `encap(nsh(md_type=1)),set_field:0x11->nsh_c1,dec_nsh_ttl,encap(ethernet),output:${port}`,
    `encap(nsh(md_type=2,tlv(0x1000,10,0x12345678))),set_field:0x3->nsh_spi,encap(ethernet),output:${port}`,
    `encap(nsh(md_type=1)),encap(ethernet),decap(),decap(),output:${port}`,
    `encap(mpls),set_field:${hex(random.below(4) + 16)}->mpls_label,encap(ethernet),set_field:${random.pick(macs)}->eth_dst,output:${port}`,
    `encap(mpls_mc),encap(ethernet),output:${port}`,
    `decap(),encap(ethernet),set_field:${random.pick(macs)}->eth_src,output:${port}`,
    `decap(),output:${port}`,
  ]);
}

export const finTimeout = (random: Random): string =>
  `fin_timeout(idle_timeout=${random.pick([3, 8])},hard_timeout=${random.pick([0, 20])})`;

/** Words of a flow before its match. */
export function flowOptions(random: Random, theme: Theme, version: Version): string[] {
  return [
    ...(theme.timeouts && random.chance(0.4) ? [`idle_timeout=${random.pick([5, 20, 60])}`] : []),
    ...(theme.timeouts && random.chance(0.3) ? [`hard_timeout=${random.pick([10, 40, 90])}`] : []),
    ...(random.chance(0.3) ? ["send_flow_rem"] : []),
    ...(random.chance(0.05) ? ["check_overlap"] : []),
    ...(atLeast(version, "OpenFlow12") && random.chance(0.1) ? ["reset_counts"] : []),
    ...(atLeast(version, "OpenFlow13") && random.chance(0.1)
      ? [random.pick(["no_packet_counts", "no_byte_counts"])]
      : []),
    ...(atLeast(version, "OpenFlow14") && random.chance(0.2) ? [`importance=${random.below(9)}`] : []),
  ];
}

/** Flows of a conjunction, whose clauses are one dimension each. */
export function conjunctionFlows(random: Random, table: number): string[] {
  const id = 1 + random.below(4);
  const priority = 20 + random.below(500);
  const isThird = random.chance(0.3);
  const clauses = isThird ? 3 : 2;
  const dimension = (clause: number, matches: readonly string[]): string[] =>
    matches.map(
      (match) => `table=${table},priority=${priority},ip,${match} actions=conjunction(${id},${clause}/${clauses})`,
    );
  const shared = random.chance(0.3) ? `,conjunction(${id + 1},1/2)` : "";
  return [
    ...dimension(1, ["nw_src=10.0.0.1", "nw_src=10.0.0.2", "nw_src=192.168.0.0/16"]).map((line) => `${line}${shared}`),
    ...dimension(2, ["nw_dst=10.0.0.2", "nw_dst=10.0.0.1", `in_port=${random.pick(ports)}`]),
    ...(isThird ? dimension(3, [`dl_dst=${random.pick(macs)}`, "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00"]) : []),
    ...(shared === "" ? [] : [`table=${table},priority=${priority},ip,nw_ttl=64 actions=conjunction(${id + 1},2/2)`]),
    ...[id, id + 1].map(
      (conj) => `table=${table},priority=${priority},ip,conj_id=${conj} actions=${outputAction(random, false)}`,
    ),
  ];
}
