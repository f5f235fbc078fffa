/** The flow key: what the datapath knows of a packet, and the registers of the pipeline that runs over it.
 *
 *  Each row is one member of C's `struct flow_key`, in memory order.  Every member holds its value as the bytes that
 *  OXM carries it in (network byte order, right-aligned), so that a set-field is a copy and a match needs no swap.
 *  Offsets follow from the order; rows are grouped so that each group fills whole 64-bit words, because matches,
 *  masks and megaflows are kept word by word.  Words below `keyStages.pipeline` come from the packet (only these are
 *  in a megaflow's match); the words after it start as zero for every packet and live for one translation. */
export interface KeyMember {
  readonly name: string;
  /** Size in bytes. */
  readonly size: number;
}

/** Stages in the order in which a staged lookup reads them. */
export const keyStageNames = ["metadata", "tunnel", "l2", "l3", "l4", "options", "pipeline"] as const;
export type KeyStage = (typeof keyStageNames)[number];

type Row = readonly [name: string, size: number];

export const keyRows: Readonly<Record<KeyStage, readonly Row[]>> = {
  metadata: [
    ["in_port", 4],
    ["recirc_id", 4],
    ["dp_hash", 4],
    ["skb_priority", 4],
    ["pkt_mark", 4],
    ["packet_type", 4],
    ["ct_state", 4],
    ["ct_mark", 4],
    ["ct_zone", 2],
    ["ct_nw_proto", 1],
    ["pad_ct", 1],
    ["ct_tp_src", 2],
    ["ct_tp_dst", 2],
    ["ct_label", 16],
    ["ct_nw_src", 4],
    ["ct_nw_dst", 4],
    ["ct_ipv6_src", 16],
    ["ct_ipv6_dst", 16],
  ],
  tunnel: [
    ["tun_id", 8],
    ["tun_src", 4],
    ["tun_dst", 4],
    ["tun_ipv6_src", 16],
    ["tun_ipv6_dst", 16],
    ["tun_flags", 2],
    ["tun_tos", 1],
    ["tun_ttl", 1],
    ["tun_gbp_id", 2],
    ["tun_gbp_flags", 1],
    ["tun_erspan_ver", 1],
    ["tun_erspan_idx", 4],
    ["tun_gtpu_flags", 1],
    ["tun_gtpu_msgtype", 1],
    ["tun_erspan_dir", 1],
    ["tun_erspan_hwid", 1],
  ],
  l2: [
    ["eth_dst", 6],
    ["eth_type", 2],
    ["eth_src", 6],
    ["pad_eth", 2],
    ["vlan0_tpid", 2],
    ["vlan0_tci", 2],
    ["vlan1_tpid", 2],
    ["vlan1_tci", 2],
    ["mpls0_lse", 4],
    ["mpls1_lse", 4],
    ["mpls2_lse", 4],
    ["pad_mpls", 4],
  ],
  l3: [
    ["ipv6_src", 16],
    ["ipv6_dst", 16],
    ["ip_src", 4],
    ["ip_dst", 4],
    ["ipv6_label", 4],
    ["ip_frag", 1],
    ["ip_tos", 1],
    ["ip_ttl", 1],
    ["ip_proto", 1],
    ["nd_target", 16],
    ["arp_sha", 6],
    ["pad_arp", 2],
    ["arp_tha", 6],
    ["tcp_flags", 2],
    ["nsh_flags", 1],
    ["nsh_ttl", 1],
    ["nsh_mdtype", 1],
    ["nsh_np", 1],
    ["nsh_path_hdr", 4],
    ["nsh_c1", 4],
    ["nsh_c2", 4],
    ["nsh_c3", 4],
    ["nsh_c4", 4],
  ],
  l4: [
    ["tp_src", 2],
    ["tp_dst", 2],
    ["nd_reserved", 4],
    ["nd_options_type", 1],
    ["pad_nd", 3],
    ["igmp_group", 4],
  ],
  options: [
    ["tun_metadata_present", 8],
    ["tun_metadata", 256],
  ],
  pipeline: [
    ["metadata", 8],
    ["regs", 128],
    ["actset_output", 4],
    ["conj_id", 4],
  ],
};

/** Number of registers: reg0..reg31; xreg and xxreg are views of two and four of them. */
export const registerCount = 32;

export interface PlacedMember extends KeyMember {
  /** Byte offset in the key. */
  readonly offset: number;
  readonly stage: KeyStage;
}

function place(): { members: readonly PlacedMember[]; stages: Readonly<Record<KeyStage, number>>; size: number } {
  const members: PlacedMember[] = [];
  const stages: Partial<Record<KeyStage, number>> = {};
  let offset = 0;
  for (const stage of keyStageNames) {
    if (offset % 8 !== 0) throw new Error(`key stage ${stage} does not begin on a 64-bit word`);
    stages[stage] = offset / 8;
    for (const [name, size] of keyRows[stage]) {
      members.push({ name, size, offset, stage });
      offset += size;
    }
  }
  return { members, stages: stages as Record<KeyStage, number>, size: offset };
}

const placed = place();
/** Members with their byte offsets, in memory order. */
export const keyMembers = placed.members;
/** First 64-bit word of each stage. */
export const keyStages = placed.stages;
/** Size of the key in bytes and in 64-bit words. */
export const keySize = placed.size;
export const keyWords = placed.size / 8;
/** Words of a match's bitmap (`map`): one bit for each word of the key. */
export const keyMapWords = Math.ceil(keyWords / 64);

const byName = new Map(keyMembers.map((member) => [member.name, member]));

/** The member of that name; asserts that it is there. */
export function keyMember(name: string): PlacedMember {
  const member = byName.get(name);
  if (member === undefined) throw new Error(`the flow key has no member ${name}`);
  return member;
}
