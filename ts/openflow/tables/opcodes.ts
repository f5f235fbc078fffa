import type { RecordRow } from "../../datapath/tables/records.js";

/** The ABI form of OpenFlow actions and instructions: what a rule stores and the pipeline runs.
 *
 *  The form loses nothing that ovs-ofctl prints: two actions that print differently have different opcodes or flags.
 *  Each action begins with `opcode` and its whole `size` (a multiple of 8); nested actions are sequences of the same.
 *  Values of fields are right-aligned bytes as OXM carries them.  An opcode whose row says `executed: false` is known
 *  to the codec, and refused by the pipeline until it executes it. */
export interface OpcodeRow {
  readonly name: string;
  readonly opcode: number;
  readonly fields: RecordRow["fields"];
  readonly tail?: string;
  readonly executed: boolean;
  readonly doc: string;
}

const row = (
  opcode: number,
  name: string,
  doc: string,
  fields: RecordRow["fields"],
  more: { tail?: string; executed?: boolean } = {},
): OpcodeRow => ({
  name,
  opcode,
  fields: [["opcode", "u16"], ["size", "u16"], ...fields],
  executed: more.executed ?? true,
  doc,
  ...(more.tail === undefined ? {} : { tail: more.tail }),
});

export const opcodes: readonly OpcodeRow[] = [
  row(1, "output", "Output to a port; reserved ports are OpenFlow 1.1 numbers.", [
    ["max_len", "u32"],
    ["port", "u32"],
    ["pad", "u32"],
  ]),
  row(2, "output_reg", "Output to the port whose number a subfield holds.", [
    ["field", "u16"],
    ["ofs", "u16"],
    ["n_bits", "u16"],
    ["max_len", "u16"],
    ["pad", "u32"],
  ]),
  row(
    3,
    "controller",
    "Packet-in.",
    [
      ["max_len", "u16"],
      ["controller_id", "u16"],
      ["reason", "u8"],
      ["pause", "u8"],
      ["form", "u8", "0 output:CONTROLLER, 1 controller(...)"],
      ["pad", "u8"],
      ["userdata_size", "u32"],
      ["meter_id", "u32"],
      ["pad2", "u32"],
    ],
    { tail: "userdata" },
  ),
  row(
    4,
    "set_field",
    "Sets the masked bits of a field.",
    [
      ["field", "u16"],
      ["form", "u8", "0 set_field, 1 load"],
      ["pad", "u8"],
      ["ofs", "u16", "For load."],
      ["n_bits", "u16", "For load."],
      ["value_size", "u32"],
    ],
    { tail: "value, mask (each value_size bytes, padded to 8)" },
  ),
  row(5, "move", "Copies bits from a field to another.", [
    ["n_bits", "u16"],
    ["src_field", "u16"],
    ["src_ofs", "u16"],
    ["dst_field", "u16"],
    ["dst_ofs", "u16"],
    ["pad", "u16"],
  ]),
  row(6, "push_vlan", "Pushes a VLAN tag; its identifier and priority are 0.", [
    ["ethertype", "u16"],
    ["pad", "u16"],
  ]),
  row(7, "strip_vlan", "Pops the outermost VLAN tag if there is one.", [
    ["form", "u32", "0 strip_vlan of 1.0, 1 pop_vlan"],
  ]),
  row(8, "set_vlan_vid", "Sets the VLAN identifier, pushing a tag if there is none and `push` is set.", [
    ["vid", "u16"],
    ["push", "u8"],
    ["flow_has_vlan", "u8"],
  ]),
  row(9, "set_vlan_pcp", "Sets the VLAN priority, pushing a tag if there is none and `push` is set.", [
    ["pcp", "u8"],
    ["push", "u8"],
    ["flow_has_vlan", "u8"],
    ["pad", "u8"],
  ]),
  row(10, "set_eth_src", "mod_dl_src.", [
    ["pad", "u32"],
    ["mac", "bytes8", "Six bytes, then two of padding."],
  ]),
  row(11, "set_eth_dst", "mod_dl_dst.", [
    ["pad", "u32"],
    ["mac", "bytes8"],
  ]),
  row(12, "set_ipv4_src", "mod_nw_src.", [["address", "bytes4"]]),
  row(13, "set_ipv4_dst", "mod_nw_dst.", [["address", "bytes4"]]),
  row(14, "set_ip_dscp", "mod_nw_tos: `tos` holds the DSCP in its upper six bits.", [["tos", "u32"]]),
  row(15, "set_ip_ecn", "mod_nw_ecn.", [["ecn", "u32"]]),
  row(16, "set_ip_ttl", "mod_nw_ttl.", [["ttl", "u32"]]),
  row(17, "set_l4_src_port", "mod_tp_src.", [
    ["port", "u16"],
    ["ip_proto", "u8"],
    ["pad", "u8"],
  ]),
  row(18, "set_l4_dst_port", "mod_tp_dst.", [
    ["port", "u16"],
    ["ip_proto", "u8"],
    ["pad", "u8"],
  ]),
  row(
    19,
    "dec_ttl",
    "Decrements the IP TTL; at 1 the packet goes to the controllers of these ids instead.",
    [
      ["n_controllers", "u16"],
      ["form", "u16", "0 dec_ttl, 1 dec_ttl(ids)"],
    ],
    { tail: "ids: u16 each" },
  ),
  row(20, "resubmit", "Searches a table again, as if received on a port.", [
    ["in_port", "u32", "OFPP_IN_PORT: unchanged"],
    ["table", "u8", "255: the current one"],
    ["with_ct", "u8"],
    ["form", "u16", "0 resubmit:port, 1 resubmit(port,table)"],
    ["pad", "u32"],
  ]),
  row(21, "goto_table", "Instruction.", [["table", "u32"]]),
  row(22, "write_metadata", "Instruction.", [
    ["pad", "u32"],
    ["metadata", "u64"],
    ["mask", "u64"],
  ]),
  row(23, "clear_actions", "Instruction.", [["pad", "u32"]]),
  row(24, "write_actions", "Instruction: the nested actions go to the action set.", [["actions_size", "u32"]], {
    tail: "actions",
  }),
  row(25, "exit", "Ends translation.", [["pad", "u32"]]),
  row(26, "note", "Does nothing.", [["note_size", "u32"]], { tail: "bytes" }),
  row(27, "clone", "Runs the nested actions on a copy.", [["actions_size", "u32"]], { tail: "actions" }),
  row(28, "stack_push", "Pushes a subfield.", [
    ["field", "u16"],
    ["ofs", "u16"],
    ["n_bits", "u16"],
    ["pad", "u16"],
    ["pad2", "u32"],
  ]),
  row(29, "stack_pop", "Pops into a subfield.", [
    ["field", "u16"],
    ["ofs", "u16"],
    ["n_bits", "u16"],
    ["pad", "u16"],
    ["pad2", "u32"],
  ]),
  row(30, "set_tunnel", "Sets the tunnel key.", [
    ["form", "u32", "0 set_tunnel, 1 set_tunnel64"],
    ["tun_id", "u64"],
  ]),
  row(31, "set_queue", "Sets the output queue.", [["queue", "u32"]]),
  row(32, "pop_queue", "Restores the output queue.", [["pad", "u32"]]),
  row(33, "enqueue", "Outputs to a port's queue.", [
    ["port", "u32"],
    ["queue", "u32"],
    ["pad", "u32"],
  ]),
  row(34, "group", "Runs a group.", [["group", "u32"]], { executed: false }),
  row(35, "meter", "Counts against a meter, which may drop the packet.", [["meter", "u32"]], { executed: false }),
  row(
    36,
    "output_trunc",
    "Outputs at most `max_len` bytes to a port.",
    [
      ["port", "u32"],
      ["max_len", "u32"],
      ["pad", "u32"],
    ],
    { executed: false },
  ),
  row(
    37,
    "fin_timeout",
    "Shortens the rule's timeouts when a TCP connection ends.",
    [
      ["idle_timeout", "u16"],
      ["hard_timeout", "u16"],
    ],
    { executed: false },
  ),
  row(
    38,
    "push_mpls",
    "Pushes an MPLS header.",
    [
      ["ethertype", "u16"],
      ["pad", "u16"],
    ],
    { executed: false },
  ),
  row(
    39,
    "pop_mpls",
    "Pops the outermost MPLS header.",
    [
      ["ethertype", "u16"],
      ["pad", "u16"],
    ],
    { executed: false },
  ),
  row(40, "set_mpls_label", "Sets the outermost MPLS label.", [["label", "u32"]], { executed: false }),
  row(41, "set_mpls_tc", "Sets the outermost MPLS traffic class.", [["tc", "u32"]], { executed: false }),
  row(42, "set_mpls_ttl", "Sets the outermost MPLS TTL.", [["ttl", "u32"]], { executed: false }),
  row(43, "dec_mpls_ttl", "Decrements the outermost MPLS TTL.", [["pad", "u32"]], { executed: false }),
  row(44, "conjunction", "Makes the rule a clause of a conjunctive match.", [
    ["clause", "u16"],
    ["n_clauses", "u16"],
    ["id", "u32"],
    ["pad", "u32"],
  ]),
  row(45, "multipath", "Hashes the packet to one of several links.", [
    ["fields", "u16"],
    ["basis", "u16"],
    ["algorithm", "u16"],
    ["max_link", "u16"],
    ["arg", "u32"],
    ["field", "u16"],
    ["ofs", "u16"],
    ["n_bits", "u16"],
    ["pad", "u16"],
  ]),
  row(
    46,
    "bundle",
    "Outputs to a live member of a list, chosen by a hash; n_bits 0: no load.",
    [
      ["algorithm", "u16"],
      ["fields", "u16"],
      ["basis", "u16"],
      ["field", "u16"],
      ["ofs", "u16"],
      ["n_bits", "u16"],
      ["n_members", "u32"],
      ["pad", "u32"],
    ],
    { tail: "ports: u32 each" },
  ),
  row(
    47,
    "learn",
    "Makes a flow from the packet.",
    [
      ["idle_timeout", "u16"],
      ["hard_timeout", "u16"],
      ["priority", "u16"],
      ["learn_flags", "u16"],
      ["table", "u8"],
      ["form", "u8"],
      ["fin_idle_timeout", "u16"],
      ["fin_hard_timeout", "u16"],
      ["pad", "u16"],
      ["pad1", "u32"],
      ["cookie", "u64"],
      ["limit", "u32"],
      ["result_field", "u16"],
      ["result_ofs", "u16"],
      ["specs_size", "u32"],
      ["pad2", "u32"],
    ],
    { tail: "specs, as NXAST_LEARN has them", executed: false },
  ),
  row(
    48,
    "ct",
    "Sends the packet through connection tracking.",
    [
      ["ct_flags", "u16"],
      ["zone_imm", "u16"],
      ["zone_field", "u16"],
      ["zone_ofs", "u16"],
      ["zone_n_bits", "u16"],
      ["alg", "u16"],
      ["recirc_table", "u8"],
      ["pad", "u8"],
      ["pad2", "u16"],
      ["actions_size", "u32"],
    ],
    { tail: "actions", executed: false },
  ),
  row(
    49,
    "nat",
    "Translates addresses, inside ct.",
    [
      ["nat_flags", "u16"],
      ["range_present", "u16"],
      ["range_size", "u32"],
      ["pad", "u32"],
    ],
    { tail: "range, as NXAST_NAT has it", executed: false },
  ),
  row(50, "ct_clear", "Forgets the connection-tracking state.", [["pad", "u32"]], { executed: false }),
  row(
    51,
    "sample",
    "Samples packets for IPFIX.",
    [
      ["probability", "u16"],
      ["direction", "u16"],
      ["collector_set_id", "u32"],
      ["obs_domain_id", "u32"],
      ["obs_point_id", "u32"],
      ["sampling_port", "u32"],
    ],
    { executed: false },
  ),
  row(
    52,
    "check_pkt_larger",
    "Sets a bit if the packet is larger than a size.",
    [
      ["pkt_len", "u16"],
      ["field", "u16"],
      ["ofs", "u16"],
      ["n_bits", "u16"],
      ["pad", "u32"],
    ],
    { executed: false },
  ),
  row(
    53,
    "delete_field",
    "Removes a Geneve option.",
    [
      ["field", "u16"],
      ["pad", "u16"],
    ],
    { executed: false },
  ),
  row(
    54,
    "encap",
    "Pushes a header.",
    [
      ["hdr_size", "u16"],
      ["pad", "u16"],
      ["new_pkt_type", "u32"],
      ["props_size", "u32"],
    ],
    { tail: "properties, as NXAST_ENCAP has them", executed: false },
  ),
  row(
    55,
    "decap",
    "Pops the outermost header.",
    [
      ["pad", "u32"],
      ["new_pkt_type", "u32"],
      ["pad2", "u32"],
    ],
    { executed: false },
  ),
  row(56, "dec_nsh_ttl", "Decrements the NSH TTL.", [["pad", "u32"]], { executed: false }),
  row(57, "debug_recirc", "Recirculates, for tests.", [["pad", "u32"]]),
  row(58, "debug_slow", "Forces the slow path, for tests.", [["pad", "u32"]], { executed: false }),
  row(
    59,
    "unroll_xlate",
    "Only in frozen actions, never in a rule: what follows belongs to a rule of this table and cookie.",
    [
      ["table", "u32"],
      ["cookie", "u64"],
    ],
    { executed: false },
  ),
];

/** Actions of a megaflow: what the datapath does, after translation. */
export const datapathOpcodes: readonly OpcodeRow[] = [
  row(1, "output", "Transmits on a datapath port.", [
    ["dp_port", "u32"],
    ["max_len", "u32", "0: whole"],
    ["pad", "u32"],
  ]),
  row(
    2,
    "controller",
    "Makes an event_packet_in.",
    [
      ["max_len", "u32"],
      ["bridge", "u32"],
      ["table", "u8"],
      ["reason", "u8"],
      ["controller_id", "u16"],
      ["in_port", "u32"],
      ["meter_id", "u32"],
      ["cookie", "u64"],
      ["userdata_size", "u32"],
      ["match_size", "u32"],
    ],
    { tail: "match (pipeline fields), userdata" },
  ),
  row(3, "set", "Writes the masked words into the packet and its key.", [["match_size", "u32"]], { tail: "match" }),
  row(4, "push_vlan", "Pushes a tag.", [
    ["tpid", "u16"],
    ["tci", "u16", "With bit 0x1000 set."],
  ]),
  row(5, "pop_vlan", "Pops the outermost tag.", [["pad", "u32"]]),
  row(6, "clone", "Runs the nested actions on a copy.", [["actions_size", "u32"]], { tail: "actions" }),
  row(7, "drop", "Counts a drop.", [["reason", "u32", "drop_reason"]]),
  row(8, "protocol", "Makes an event_protocol_packet.", [
    ["bridge", "u32"],
    ["ofp_port", "u32"],
    ["protocol", "u32"],
  ]),
  row(9, "recirc", "Looks the packet up again, with this recirculation id in its key.", [["recirc_id", "u32"]]),
  row(10, "hash", "Sets the packet's dp_hash.", [
    ["algorithm", "u32", "hash_algorithm"],
    ["basis", "u32"],
    ["pad", "u32"],
  ]),
  row(
    30,
    "tunnel_set",
    "Says what a tunnel port that the host's kernel has is to encapsulate with.",
    [
      ["dst_port", "u16"],
      ["options_size", "u16"],
      ["words", "u64x8", "The key's words of the tunnel."],
    ],
    { tail: "options: Geneve's, as on the wire" },
  ),
  row(
    31,
    "tunnel_push",
    "Puts headers before the packet, which then is a packet of the bridge below.",
    [
      ["tunnel_port", "u32"],
      ["out_port", "u32", "Datapath port of the bridge below; only told."],
      ["header_size", "u16"],
      ["tunnel_type", "u8", "tunnel_type"],
      ["push_flags", "u8", "push_flag"],
      ["sequence", "u32", "Number of the tunnel's sequence counter, or 0."],
      ["pad", "u32"],
    ],
    { tail: "header" },
  ),
  row(32, "tunnel_pop", "Takes the headers off and looks the packet up again as one of that port.", [
    ["dp_port", "u32"],
  ]),
];
