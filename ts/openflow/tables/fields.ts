import { keyMember } from "./key.js";

/** Match fields.  Each row is one field: the OXM/NXM codec, ovs-ofctl text, prerequisites, the C header's field table
 *  and the reference page are derived from it.  A field's `id` is its position in `fields`, and is what the ABI's
 *  records carry. */

/** How the text form prints and reads a value. */
export type FieldFormat =
  | "dec" | "hex" | "eth" | "ipv4" | "ipv6" | "ofp_port" | "ofp_port_1.0" | "frag" | "tcp_flags" | "tun_flags"
  | "ct_state" | "packet_type" | "bytes";

/** What the rest of the match must say before the field may be used. */
export type FieldPrereq =
  | "none" | "ethernet" | "arp" | "vlan_vid" | "ipv4" | "ipv6" | "ip" | "mpls" | "tcp" | "udp" | "sctp"
  | "icmpv4" | "icmpv6" | "nd" | "nd_solicit" | "nd_advert" | "nsh" | "ct";

export type OxmClass =
  | "NXM_OF" | "NXM_NX" | "OXM_OF" | "OXM_OF_PKT_REG" | "NXOXM_ET" | "NXOXM_NSH" | "ONFOXM_ET" | "ERICOXM_OF";

/** Header of the field on the wire; the version is the first OpenFlow version that may carry it (absent: any). */
export type OxmHeader = readonly [oxmClass: OxmClass, field: number, since?: "1.2" | "1.3" | "1.4" | "1.5"];

export interface FieldRow {
  /** Name that ovs-ofctl prints. */
  readonly name: string;
  /** Other name that it accepts. */
  readonly alias?: string;
  /** Significant bits, right-aligned in `bytes`. */
  readonly bits: number;
  /** Bytes of the value on the wire. */
  readonly bytes: number;
  /** Where the value lies in the flow key: member, and how far its lowest bit is above the member's lowest bit. */
  readonly key: readonly [member: string, shift: number];
  /** Whether a match may leave some of its bits open. */
  readonly mask: "none" | "any";
  readonly format: FieldFormat;
  readonly prereq: FieldPrereq;
  /** Wire headers, most preferred last within a version. */
  readonly oxm: readonly OxmHeader[];
  /** Whether set-field, load and move may change it. */
  readonly writable: boolean;
  /** One sentence for the reference page. */
  readonly doc: string;
}

function tunMetadataFields(): FieldRow[] {
  return Array.from({ length: 64 }, (_, index) => ({
    name: `tun_metadata${index}`, bits: 992, bytes: 124, key: ["tun_metadata", 0], mask: "any", format: "bytes",
    prereq: "none", oxm: [["NXM_NX", 40 + index]], writable: true,
    doc: `Geneve option that the TLV map gives index ${index}; its place in the key follows from the map.`,
  }));
}

function registerFields(): FieldRow[] {
  const views = (prefix: string, words: number, count: number, header: (index: number) => OxmHeader[]): FieldRow[] =>
    Array.from({ length: count }, (_, index) => ({
      name: `${prefix}${index}`, bits: 32 * words, bytes: 4 * words, key: [`regs+${4 * words * index}`, 0], mask: "any",
      format: "hex", prereq: "none", oxm: header(index), writable: true,
      doc: words === 1 ? `Register ${index}.` : `Registers ${words * index} to ${words * index + words - 1} as one.`,
    }));
  return [
    ...views("reg", 1, 16, (index) => [["NXM_NX", index]]),
    ...views("xreg", 2, 8, (index) => [["OXM_OF_PKT_REG", index, "1.3"]]),
    ...views("xxreg", 4, 4, (index) => [["NXM_NX", 111 + index]]),
  ];
}

export const fields: readonly FieldRow[] = [
  { name: "dp_hash", bits: 32, bytes: 4, key: ["dp_hash", 0], mask: "any", format: "hex", prereq: "none",
    oxm: [["NXM_NX", 35]], writable: false,
    doc: "Hash that the datapath computed over the packet, for group selection." },
  { name: "recirc_id", bits: 32, bytes: 4, key: ["recirc_id", 0], mask: "none", format: "dec", prereq: "none",
    oxm: [["NXM_NX", 36]], writable: false,
    doc: "Which recirculation brought the packet here; 0 on first arrival." },
  { name: "packet_type", bits: 32, bytes: 4, key: ["packet_type", 0], mask: "none", format: "packet_type", prereq: "none",
    oxm: [["OXM_OF", 44, "1.5"]], writable: false,
    doc: "Type of the packet's outermost header: namespace and type within it." },
  { name: "conj_id", bits: 32, bytes: 4, key: ["conj_id", 0], mask: "none", format: "dec", prereq: "none",
    oxm: [["NXM_NX", 37]], writable: false,
    doc: "Identifier of the conjunctive match that was satisfied." },
  { name: "tun_id", alias: "tunnel_id", bits: 64, bytes: 8, key: ["tun_id", 0], mask: "any", format: "hex", prereq: "none",
    oxm: [["NXM_NX", 16], ["OXM_OF", 38, "1.3"]], writable: true,
    doc: "Tunnel key: GRE key, VXLAN VNI or Geneve VNI." },
  { name: "tun_src", bits: 32, bytes: 4, key: ["tun_src", 0], mask: "any", format: "ipv4", prereq: "none",
    oxm: [["NXM_NX", 31]], writable: true,
    doc: "Outer IPv4 source address of a tunnel." },
  { name: "tun_dst", bits: 32, bytes: 4, key: ["tun_dst", 0], mask: "any", format: "ipv4", prereq: "none",
    oxm: [["NXM_NX", 32]], writable: true,
    doc: "Outer IPv4 destination address of a tunnel." },
  { name: "tun_ipv6_src", bits: 128, bytes: 16, key: ["tun_ipv6_src", 0], mask: "any", format: "ipv6", prereq: "none",
    oxm: [["NXM_NX", 109]], writable: true,
    doc: "Outer IPv6 source address of a tunnel." },
  { name: "tun_ipv6_dst", bits: 128, bytes: 16, key: ["tun_ipv6_dst", 0], mask: "any", format: "ipv6", prereq: "none",
    oxm: [["NXM_NX", 110]], writable: true,
    doc: "Outer IPv6 destination address of a tunnel." },
  { name: "tun_flags", bits: 16, bytes: 2, key: ["tun_flags", 0], mask: "any", format: "tun_flags", prereq: "none",
    oxm: [["NXM_NX", 104]], writable: true,
    doc: "Tunnel flags; oam is the only one." },
  { name: "tun_ttl", bits: 8, bytes: 1, key: ["tun_ttl", 0], mask: "none", format: "dec", prereq: "none",
    oxm: [], writable: true,
    doc: "Outer time to live of a tunnel." },
  { name: "tun_tos", bits: 8, bytes: 1, key: ["tun_tos", 0], mask: "none", format: "dec", prereq: "none",
    oxm: [], writable: true,
    doc: "Outer type of service of a tunnel." },
  { name: "tun_gbp_id", bits: 16, bytes: 2, key: ["tun_gbp_id", 0], mask: "any", format: "dec", prereq: "none",
    oxm: [["NXM_NX", 38]], writable: true,
    doc: "VXLAN group-based policy identifier." },
  { name: "tun_gbp_flags", bits: 8, bytes: 1, key: ["tun_gbp_flags", 0], mask: "any", format: "hex", prereq: "none",
    oxm: [["NXM_NX", 39]], writable: true,
    doc: "VXLAN group-based policy flags." },
  { name: "tun_erspan_idx", bits: 20, bytes: 4, key: ["tun_erspan_idx", 0], mask: "any", format: "hex", prereq: "none",
    oxm: [["NXOXM_ET", 11]], writable: true,
    doc: "ERSPAN version 1 index." },
  { name: "tun_erspan_ver", bits: 4, bytes: 1, key: ["tun_erspan_ver", 0], mask: "any", format: "dec", prereq: "none",
    oxm: [["NXOXM_ET", 12]], writable: true,
    doc: "ERSPAN version." },
  { name: "tun_erspan_dir", bits: 1, bytes: 1, key: ["tun_erspan_dir", 0], mask: "any", format: "dec", prereq: "none",
    oxm: [["NXOXM_ET", 13]], writable: true,
    doc: "ERSPAN version 2 direction of the mirrored traffic." },
  { name: "tun_erspan_hwid", bits: 6, bytes: 1, key: ["tun_erspan_hwid", 0], mask: "any", format: "hex", prereq: "none",
    oxm: [["NXOXM_ET", 14]], writable: true,
    doc: "ERSPAN version 2 engine identifier." },
  { name: "tun_gtpu_flags", bits: 8, bytes: 1, key: ["tun_gtpu_flags", 0], mask: "any", format: "hex", prereq: "none",
    oxm: [["NXOXM_ET", 15]], writable: false,
    doc: "GTP-U header flags." },
  { name: "tun_gtpu_msgtype", bits: 8, bytes: 1, key: ["tun_gtpu_msgtype", 0], mask: "any", format: "dec", prereq: "none",
    oxm: [["NXOXM_ET", 16]], writable: true,
    doc: "GTP-U message type." },
  ...tunMetadataFields(),
  { name: "metadata", bits: 64, bytes: 8, key: ["metadata", 0], mask: "any", format: "hex", prereq: "none",
    oxm: [["OXM_OF", 2, "1.2"]], writable: true,
    doc: "Value that one table hands to the next." },
  { name: "in_port", bits: 16, bytes: 2, key: ["in_port", 0], mask: "none", format: "ofp_port_1.0", prereq: "none",
    oxm: [["NXM_OF", 0]], writable: true,
    doc: "Port on which the packet arrived, as a 16-bit OpenFlow 1.0 number." },
  { name: "in_port_oxm", bits: 32, bytes: 4, key: ["in_port", 0], mask: "none", format: "ofp_port", prereq: "none",
    oxm: [["OXM_OF", 0, "1.2"]], writable: true,
    doc: "Port on which the packet arrived, as a 32-bit OpenFlow 1.1 number." },
  { name: "skb_priority", bits: 32, bytes: 4, key: ["skb_priority", 0], mask: "none", format: "hex", prereq: "none",
    oxm: [], writable: false,
    doc: "Queueing priority of the packet, set by set_queue." },
  { name: "pkt_mark", bits: 32, bytes: 4, key: ["pkt_mark", 0], mask: "any", format: "hex", prereq: "none",
    oxm: [["NXM_NX", 33]], writable: true,
    doc: "Mark carried with the packet in the host." },
  { name: "actset_output", bits: 32, bytes: 4, key: ["actset_output", 0], mask: "none", format: "ofp_port", prereq: "none",
    oxm: [["ONFOXM_ET", 43, "1.3"], ["OXM_OF", 43, "1.5"]], writable: false,
    doc: "Port to which the action set would output the packet now." },
  { name: "ct_state", bits: 32, bytes: 4, key: ["ct_state", 0], mask: "any", format: "ct_state", prereq: "none",
    oxm: [["NXM_NX", 105]], writable: false,
    doc: "Connection-tracking state flags." },
  { name: "ct_zone", bits: 16, bytes: 2, key: ["ct_zone", 0], mask: "none", format: "dec", prereq: "none",
    oxm: [["NXM_NX", 106]], writable: false,
    doc: "Connection-tracking zone." },
  { name: "ct_mark", bits: 32, bytes: 4, key: ["ct_mark", 0], mask: "any", format: "hex", prereq: "none",
    oxm: [["NXM_NX", 107]], writable: true,
    doc: "Connection mark." },
  { name: "ct_label", bits: 128, bytes: 16, key: ["ct_label", 0], mask: "any", format: "hex", prereq: "none",
    oxm: [["NXM_NX", 108]], writable: true,
    doc: "Connection label." },
  { name: "ct_nw_proto", bits: 8, bytes: 1, key: ["ct_nw_proto", 0], mask: "none", format: "dec", prereq: "ct",
    oxm: [["NXM_NX", 119]], writable: false,
    doc: "IP protocol of the connection's original direction." },
  { name: "ct_nw_src", bits: 32, bytes: 4, key: ["ct_nw_src", 0], mask: "any", format: "ipv4", prereq: "ct",
    oxm: [["NXM_NX", 120]], writable: false,
    doc: "IPv4 source of the connection's original direction." },
  { name: "ct_nw_dst", bits: 32, bytes: 4, key: ["ct_nw_dst", 0], mask: "any", format: "ipv4", prereq: "ct",
    oxm: [["NXM_NX", 121]], writable: false,
    doc: "IPv4 destination of the connection's original direction." },
  { name: "ct_ipv6_src", bits: 128, bytes: 16, key: ["ct_ipv6_src", 0], mask: "any", format: "ipv6", prereq: "ct",
    oxm: [["NXM_NX", 122]], writable: false,
    doc: "IPv6 source of the connection's original direction." },
  { name: "ct_ipv6_dst", bits: 128, bytes: 16, key: ["ct_ipv6_dst", 0], mask: "any", format: "ipv6", prereq: "ct",
    oxm: [["NXM_NX", 123]], writable: false,
    doc: "IPv6 destination of the connection's original direction." },
  { name: "ct_tp_src", bits: 16, bytes: 2, key: ["ct_tp_src", 0], mask: "any", format: "dec", prereq: "ct",
    oxm: [["NXM_NX", 124]], writable: false,
    doc: "Transport source port of the connection's original direction." },
  { name: "ct_tp_dst", bits: 16, bytes: 2, key: ["ct_tp_dst", 0], mask: "any", format: "dec", prereq: "ct",
    oxm: [["NXM_NX", 125]], writable: false,
    doc: "Transport destination port of the connection's original direction." },
  ...registerFields(),
  { name: "eth_src", alias: "dl_src", bits: 48, bytes: 6, key: ["eth_src", 0], mask: "any", format: "eth", prereq: "ethernet",
    oxm: [["NXM_OF", 2], ["OXM_OF", 4, "1.2"]], writable: true,
    doc: "Ethernet source address." },
  { name: "eth_dst", alias: "dl_dst", bits: 48, bytes: 6, key: ["eth_dst", 0], mask: "any", format: "eth", prereq: "ethernet",
    oxm: [["NXM_OF", 1], ["OXM_OF", 3, "1.2"]], writable: true,
    doc: "Ethernet destination address." },
  { name: "eth_type", alias: "dl_type", bits: 16, bytes: 2, key: ["eth_type", 0], mask: "none", format: "hex", prereq: "ethernet",
    oxm: [["NXM_OF", 3], ["OXM_OF", 5, "1.2"]], writable: false,
    doc: "Ethernet type of what follows the VLAN tags; 0x05ff for 802.2 without SNAP." },
  { name: "vlan_tci", bits: 16, bytes: 2, key: ["vlan0_tci", 0], mask: "any", format: "hex", prereq: "ethernet",
    oxm: [["NXM_OF", 4]], writable: true,
    doc: "VLAN tag control information, with the CFI bit set when there is a tag." },
  { name: "dl_vlan", bits: 12, bytes: 2, key: ["vlan0_tci", 0], mask: "none", format: "dec", prereq: "ethernet",
    oxm: [], writable: true,
    doc: "VLAN identifier in the OpenFlow 1.0 sense; 0xffff means no tag." },
  { name: "dl_vlan_pcp", bits: 3, bytes: 1, key: ["vlan0_tci", 13], mask: "none", format: "dec", prereq: "ethernet",
    oxm: [], writable: true,
    doc: "VLAN priority in the OpenFlow 1.0 sense." },
  { name: "vlan_vid", bits: 13, bytes: 2, key: ["vlan0_tci", 0], mask: "any", format: "dec", prereq: "ethernet",
    oxm: [["OXM_OF", 6, "1.2"]], writable: true,
    doc: "VLAN identifier with bit 0x1000 set when there is a tag." },
  { name: "vlan_pcp", bits: 3, bytes: 1, key: ["vlan0_tci", 13], mask: "none", format: "dec", prereq: "vlan_vid",
    oxm: [["OXM_OF", 7, "1.2"]], writable: true,
    doc: "VLAN priority." },
  { name: "mpls_label", bits: 20, bytes: 4, key: ["mpls0_lse", 12], mask: "none", format: "dec", prereq: "mpls",
    oxm: [["OXM_OF", 34, "1.2"]], writable: true,
    doc: "Label of the outermost MPLS header." },
  { name: "mpls_tc", bits: 3, bytes: 1, key: ["mpls0_lse", 9], mask: "none", format: "dec", prereq: "mpls",
    oxm: [["OXM_OF", 35, "1.2"]], writable: true,
    doc: "Traffic class of the outermost MPLS header." },
  { name: "mpls_bos", bits: 1, bytes: 1, key: ["mpls0_lse", 8], mask: "none", format: "dec", prereq: "mpls",
    oxm: [["OXM_OF", 36, "1.3"]], writable: false,
    doc: "Bottom-of-stack bit of the outermost MPLS header." },
  { name: "mpls_ttl", bits: 8, bytes: 1, key: ["mpls0_lse", 0], mask: "none", format: "dec", prereq: "mpls",
    oxm: [["NXM_NX", 30]], writable: true,
    doc: "Time to live of the outermost MPLS header." },
  { name: "ip_src", alias: "nw_src", bits: 32, bytes: 4, key: ["ip_src", 0], mask: "any", format: "ipv4", prereq: "ipv4",
    oxm: [["NXM_OF", 7], ["OXM_OF", 11, "1.2"]], writable: true,
    doc: "IPv4 source address." },
  { name: "ip_dst", alias: "nw_dst", bits: 32, bytes: 4, key: ["ip_dst", 0], mask: "any", format: "ipv4", prereq: "ipv4",
    oxm: [["NXM_OF", 8], ["OXM_OF", 12, "1.2"]], writable: true,
    doc: "IPv4 destination address." },
  { name: "ipv6_src", bits: 128, bytes: 16, key: ["ipv6_src", 0], mask: "any", format: "ipv6", prereq: "ipv6",
    oxm: [["NXM_NX", 19], ["OXM_OF", 26, "1.2"]], writable: true,
    doc: "IPv6 source address." },
  { name: "ipv6_dst", bits: 128, bytes: 16, key: ["ipv6_dst", 0], mask: "any", format: "ipv6", prereq: "ipv6",
    oxm: [["NXM_NX", 20], ["OXM_OF", 27, "1.2"]], writable: true,
    doc: "IPv6 destination address." },
  { name: "ipv6_label", bits: 20, bytes: 4, key: ["ipv6_label", 0], mask: "any", format: "hex", prereq: "ipv6",
    oxm: [["NXM_NX", 27], ["OXM_OF", 28, "1.2"]], writable: true,
    doc: "IPv6 flow label." },
  { name: "nw_proto", alias: "ip_proto", bits: 8, bytes: 1, key: ["ip_proto", 0], mask: "none", format: "dec", prereq: "ip",
    oxm: [["NXM_OF", 6], ["OXM_OF", 10, "1.2"]], writable: false,
    doc: "IP protocol." },
  { name: "nw_tos", bits: 8, bytes: 1, key: ["ip_tos", 0], mask: "none", format: "dec", prereq: "ip",
    oxm: [["NXM_OF", 5]], writable: true,
    doc: "IP DSCP in the upper six bits, the lower two zero." },
  { name: "ip_dscp", bits: 6, bytes: 1, key: ["ip_tos", 2], mask: "none", format: "dec", prereq: "ip",
    oxm: [["OXM_OF", 8, "1.2"]], writable: true,
    doc: "IP DSCP in the lower six bits." },
  { name: "nw_ecn", alias: "ip_ecn", bits: 2, bytes: 1, key: ["ip_tos", 0], mask: "none", format: "dec", prereq: "ip",
    oxm: [["NXM_NX", 28], ["OXM_OF", 9, "1.2"]], writable: true,
    doc: "IP explicit congestion notification." },
  { name: "nw_ttl", bits: 8, bytes: 1, key: ["ip_ttl", 0], mask: "none", format: "dec", prereq: "ip",
    oxm: [["NXM_NX", 29]], writable: true,
    doc: "IP time to live or hop limit." },
  { name: "ip_frag", alias: "nw_frag", bits: 2, bytes: 1, key: ["ip_frag", 0], mask: "any", format: "frag", prereq: "ip",
    oxm: [["NXM_NX", 26]], writable: false,
    doc: "Fragment state: bit 0 any fragment, bit 1 a later one." },
  { name: "arp_op", bits: 16, bytes: 2, key: ["ip_proto", 0], mask: "none", format: "dec", prereq: "arp",
    oxm: [["NXM_OF", 15], ["OXM_OF", 21, "1.2"]], writable: true,
    doc: "ARP opcode; only its low byte is kept." },
  { name: "arp_spa", bits: 32, bytes: 4, key: ["ip_src", 0], mask: "any", format: "ipv4", prereq: "arp",
    oxm: [["NXM_OF", 16], ["OXM_OF", 22, "1.2"]], writable: true,
    doc: "ARP source protocol address." },
  { name: "arp_tpa", bits: 32, bytes: 4, key: ["ip_dst", 0], mask: "any", format: "ipv4", prereq: "arp",
    oxm: [["NXM_OF", 17], ["OXM_OF", 23, "1.2"]], writable: true,
    doc: "ARP target protocol address." },
  { name: "arp_sha", bits: 48, bytes: 6, key: ["arp_sha", 0], mask: "any", format: "eth", prereq: "arp",
    oxm: [["NXM_NX", 17], ["OXM_OF", 24, "1.2"]], writable: true,
    doc: "ARP source hardware address." },
  { name: "arp_tha", bits: 48, bytes: 6, key: ["arp_tha", 0], mask: "any", format: "eth", prereq: "arp",
    oxm: [["NXM_NX", 18], ["OXM_OF", 25, "1.2"]], writable: true,
    doc: "ARP target hardware address." },
  { name: "tcp_src", alias: "tp_src", bits: 16, bytes: 2, key: ["tp_src", 0], mask: "any", format: "dec", prereq: "tcp",
    oxm: [["NXM_OF", 9], ["OXM_OF", 13, "1.2"]], writable: true,
    doc: "TCP source port." },
  { name: "tcp_dst", alias: "tp_dst", bits: 16, bytes: 2, key: ["tp_dst", 0], mask: "any", format: "dec", prereq: "tcp",
    oxm: [["NXM_OF", 10], ["OXM_OF", 14, "1.2"]], writable: true,
    doc: "TCP destination port." },
  { name: "tcp_flags", bits: 12, bytes: 2, key: ["tcp_flags", 0], mask: "any", format: "tcp_flags", prereq: "tcp",
    oxm: [["NXM_NX", 34], ["ONFOXM_ET", 42, "1.3"], ["OXM_OF", 42, "1.5"]], writable: false,
    doc: "TCP flags." },
  { name: "udp_src", bits: 16, bytes: 2, key: ["tp_src", 0], mask: "any", format: "dec", prereq: "udp",
    oxm: [["NXM_OF", 11], ["OXM_OF", 15, "1.2"]], writable: true,
    doc: "UDP source port." },
  { name: "udp_dst", bits: 16, bytes: 2, key: ["tp_dst", 0], mask: "any", format: "dec", prereq: "udp",
    oxm: [["NXM_OF", 12], ["OXM_OF", 16, "1.2"]], writable: true,
    doc: "UDP destination port." },
  { name: "sctp_src", bits: 16, bytes: 2, key: ["tp_src", 0], mask: "any", format: "dec", prereq: "sctp",
    oxm: [["OXM_OF", 17, "1.2"]], writable: true,
    doc: "SCTP source port." },
  { name: "sctp_dst", bits: 16, bytes: 2, key: ["tp_dst", 0], mask: "any", format: "dec", prereq: "sctp",
    oxm: [["OXM_OF", 18, "1.2"]], writable: true,
    doc: "SCTP destination port." },
  { name: "icmp_type", bits: 8, bytes: 1, key: ["tp_src", 0], mask: "none", format: "dec", prereq: "icmpv4",
    oxm: [["NXM_OF", 13], ["OXM_OF", 19, "1.2"]], writable: true,
    doc: "ICMP type." },
  { name: "icmp_code", bits: 8, bytes: 1, key: ["tp_dst", 0], mask: "none", format: "dec", prereq: "icmpv4",
    oxm: [["NXM_OF", 14], ["OXM_OF", 20, "1.2"]], writable: true,
    doc: "ICMP code." },
  { name: "icmpv6_type", bits: 8, bytes: 1, key: ["tp_src", 0], mask: "none", format: "dec", prereq: "icmpv6",
    oxm: [["NXM_NX", 21], ["OXM_OF", 29, "1.2"]], writable: true,
    doc: "ICMPv6 type." },
  { name: "icmpv6_code", bits: 8, bytes: 1, key: ["tp_dst", 0], mask: "none", format: "dec", prereq: "icmpv6",
    oxm: [["NXM_NX", 22], ["OXM_OF", 30, "1.2"]], writable: true,
    doc: "ICMPv6 code." },
  { name: "nd_target", bits: 128, bytes: 16, key: ["nd_target", 0], mask: "any", format: "ipv6", prereq: "nd",
    oxm: [["NXM_NX", 23], ["OXM_OF", 31, "1.2"]], writable: true,
    doc: "Target address of a neighbour solicitation or advertisement." },
  { name: "nd_sll", bits: 48, bytes: 6, key: ["arp_sha", 0], mask: "any", format: "eth", prereq: "nd_solicit",
    oxm: [["NXM_NX", 24], ["OXM_OF", 32, "1.2"]], writable: true,
    doc: "Source link-layer address option of a neighbour solicitation." },
  { name: "nd_tll", bits: 48, bytes: 6, key: ["arp_tha", 0], mask: "any", format: "eth", prereq: "nd_advert",
    oxm: [["NXM_NX", 25], ["OXM_OF", 33, "1.2"]], writable: true,
    doc: "Target link-layer address option of a neighbour advertisement." },
  { name: "nd_reserved", bits: 32, bytes: 4, key: ["nd_reserved", 0], mask: "none", format: "dec", prereq: "nd",
    oxm: [["ERICOXM_OF", 1]], writable: true,
    doc: "Reserved word of a neighbour solicitation or advertisement." },
  { name: "nd_options_type", bits: 8, bytes: 1, key: ["nd_options_type", 0], mask: "none", format: "dec", prereq: "nd",
    oxm: [["ERICOXM_OF", 2]], writable: true,
    doc: "Type of the neighbour-discovery option." },
  { name: "nsh_flags", bits: 8, bytes: 1, key: ["nsh_flags", 0], mask: "any", format: "dec", prereq: "nsh",
    oxm: [["NXOXM_NSH", 1]], writable: true,
    doc: "Flags of the network service header." },
  { name: "nsh_ttl", bits: 8, bytes: 1, key: ["nsh_ttl", 0], mask: "none", format: "dec", prereq: "nsh",
    oxm: [["NXOXM_NSH", 10]], writable: true,
    doc: "Time to live of the network service header." },
  { name: "nsh_mdtype", bits: 8, bytes: 1, key: ["nsh_mdtype", 0], mask: "none", format: "dec", prereq: "nsh",
    oxm: [["NXOXM_NSH", 2]], writable: false,
    doc: "Metadata type of the network service header." },
  { name: "nsh_np", bits: 8, bytes: 1, key: ["nsh_np", 0], mask: "none", format: "dec", prereq: "nsh",
    oxm: [["NXOXM_NSH", 3]], writable: false,
    doc: "Next protocol of the network service header." },
  { name: "nsh_spi", alias: "nsp", bits: 24, bytes: 4, key: ["nsh_path_hdr", 8], mask: "any", format: "hex", prereq: "nsh",
    oxm: [["NXOXM_NSH", 4]], writable: true,
    doc: "Service path identifier." },
  { name: "nsh_si", alias: "nsi", bits: 8, bytes: 1, key: ["nsh_path_hdr", 0], mask: "any", format: "dec", prereq: "nsh",
    oxm: [["NXOXM_NSH", 5]], writable: true,
    doc: "Service index." },
  { name: "nsh_c1", alias: "nshc1", bits: 32, bytes: 4, key: ["nsh_c1", 0], mask: "any", format: "hex", prereq: "nsh",
    oxm: [["NXOXM_NSH", 6]], writable: true,
    doc: "First context header." },
  { name: "nsh_c2", alias: "nshc2", bits: 32, bytes: 4, key: ["nsh_c2", 0], mask: "any", format: "hex", prereq: "nsh",
    oxm: [["NXOXM_NSH", 7]], writable: true,
    doc: "Second context header." },
  { name: "nsh_c3", alias: "nshc3", bits: 32, bytes: 4, key: ["nsh_c3", 0], mask: "any", format: "hex", prereq: "nsh",
    oxm: [["NXOXM_NSH", 8]], writable: true,
    doc: "Third context header." },
  { name: "nsh_c4", alias: "nshc4", bits: 32, bytes: 4, key: ["nsh_c4", 0], mask: "any", format: "hex", prereq: "nsh",
    oxm: [["NXOXM_NSH", 9]], writable: true,
    doc: "Fourth context header." },
];

/** Bit span of a field in the flow key, counted from the least significant bit of the bytes
 *  [offset, offset + size) read as one big-endian number. */
export interface FieldSpan {
  readonly offset: number;
  readonly size: number;
  readonly shift: number;
  readonly bits: number;
}

export function fieldSpan(row: FieldRow): FieldSpan {
  const [member, shift] = row.key;
  const plus = member.indexOf("+");
  if (plus >= 0) {
    const at = keyMember(member.slice(0, plus)).offset + Number(member.slice(plus + 1));
    return { offset: at, size: row.bytes, shift: 0, bits: row.bits };
  }
  const { offset, size } = keyMember(member);
  return { offset, size, shift, bits: Math.min(row.bits, 8 * size) };
}

const byName = new Map<string, FieldRow>();
for (const row of fields) {
  byName.set(row.name, row);
  if (row.alias !== undefined) byName.set(row.alias, row);
}
const ids = new Map(fields.map((row, id) => [row, id]));

/** The field of that name or alias, or undefined. */
export function fieldByName(name: string): FieldRow | undefined {
  return byName.get(name);
}

/** The number that the ABI gives the field. */
export function fieldId(row: FieldRow): number {
  const id = ids.get(row);
  if (id === undefined) throw new Error(`${row.name} is not a row of the field table`);
  return id;
}

/** Names of headers that are not their class followed by the field's name. */
const headerNames: Readonly<Record<string, Partial<Record<OxmClass, string>>>> = {
  tun_id: { OXM_OF: "OXM_OF_TUNNEL_ID" },
  tun_src: { NXM_NX: "NXM_NX_TUN_IPV4_SRC" }, tun_dst: { NXM_NX: "NXM_NX_TUN_IPV4_DST" },
  ip_src: { OXM_OF: "OXM_OF_IPV4_SRC" }, ip_dst: { OXM_OF: "OXM_OF_IPV4_DST" },
  ipv6_label: { OXM_OF: "OXM_OF_IPV6_FLABEL" },
  nw_proto: { OXM_OF: "OXM_OF_IP_PROTO", NXM_OF: "NXM_OF_IP_PROTO" },
  nw_ttl: { NXM_NX: "NXM_NX_IP_TTL" }, nw_tos: { NXM_OF: "NXM_OF_IP_TOS" },
  nw_ecn: { OXM_OF: "OXM_OF_IP_ECN", NXM_NX: "NXM_NX_IP_ECN" },
  icmp_type: { OXM_OF: "OXM_OF_ICMPV4_TYPE" }, icmp_code: { OXM_OF: "OXM_OF_ICMPV4_CODE" },
  nd_target: { OXM_OF: "OXM_OF_IPV6_ND_TARGET" }, nd_sll: { OXM_OF: "OXM_OF_IPV6_ND_SLL" },
  nd_tll: { OXM_OF: "OXM_OF_IPV6_ND_TLL" },
  nd_reserved: { ERICOXM_OF: "ERICOXM_OF_ICMPV6_ND_RESERVED" },
  nd_options_type: { ERICOXM_OF: "ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE" },
  in_port_oxm: { OXM_OF: "OXM_OF_IN_PORT" },
};

/** Name of a header as ovs-fields(7) has it, such as NXM_OF_ETH_SRC. */
export function headerName(row: FieldRow, header: OxmHeader): string {
  const [oxmClass, number] = header;
  const special = headerNames[row.name]?.[oxmClass];
  if (special !== undefined) return special;
  const upper = row.name.toUpperCase();
  if (oxmClass === "OXM_OF_PKT_REG") return `OXM_OF_PKT_REG${number}`;
  if (oxmClass === "NXOXM_NSH") return `NXOXM_${upper}`;
  if (oxmClass === "NXOXM_ET") return `NXOXM_ET_${upper.replace(/^TUN_/, "")}`;
  return `${oxmClass}_${upper}`;
}
