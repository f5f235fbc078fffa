import type { ErrorName } from "./errors.js";

/** Actions and instructions.  Each row is one: its ABI opcode, its forms on the wire, its text, and what is wrong with
 *  it when it cannot be had.  The wire codec, the ovs-ofctl text and the reference page are derived from the rows.
 *
 *  A wire form's `layout` names, in order, the ABI members that follow the action's header, each with a kind:
 *  `u8` to `u64` and `bytes4`, `bytes6` are numbers and bytes as they stand; `port10` is a 16-bit port; `ofs_nbits` is
 *  a bit offset and a width packed into 16 bits; `nxm` is a field's header; `zero:n` and `none:n` must be zero (the latter is answered as a bad argument) and `pad:n` is ignored.
 *  A form with a `codec` has a shape of its own, in `action-special.ts`.  `set` gives members that the form implies,
 *  and that an action must have to be written in it.  Where several forms fit, the first is written. */
export interface WireForm {
  /** Wire versions, 1 for OpenFlow 1.0 to 6 for 1.5. */
  readonly from: number;
  readonly to: number;
  readonly space: "standard" | "nicira" | "onf" | "instruction";
  readonly number: number;
  readonly layout: string;
  readonly set: Readonly<Record<string, number>>;
  readonly codec?: string;
}

export interface ActionRow {
  readonly name: string;
  /** Opcode in `opcodes.ts`; also the name of the typed action. */
  readonly opcode: string;
  readonly wire: readonly WireForm[];
  /** Text form: `{member:kind}` stands for a value.  Actions without one are written in `action-text.ts`. */
  readonly text?: string;
  /** Other text forms that are read. */
  readonly alias?: readonly string[];
  /** Error that answers the action as long as the pipeline does not execute it. */
  readonly refusal: ErrorName;
  readonly doc: string;
}

interface FormMore {
  readonly set?: Readonly<Record<string, number>>;
  readonly codec?: string;
}

function form(
  space: WireForm["space"],
  versions: string,
  number: number,
  layout: string,
  more: FormMore = {},
): WireForm {
  const wire = (version: string): number => Number(version.slice(2)) + 1;
  const [first = "", last] = versions.replace("+", "").split("-");
  const to = versions.endsWith("+") ? 6 : wire(last ?? first);
  return {
    from: wire(first),
    to,
    space,
    number,
    layout,
    set: more.set ?? {},
    ...(more.codec === undefined ? {} : { codec: more.codec }),
  };
}

const of = (versions: string, number: number, layout = "", more: FormMore = {}): WireForm =>
  form("standard", versions, number, layout, more);
const nx = (number: number, layout = "", more: FormMore = {}, versions = "1.0+"): WireForm =>
  form("nicira", versions, number, layout, more);
const onf = (versions: string, number: number, layout: string): WireForm => form("onf", versions, number, layout);
const instruction = (number: number, layout: string, more: FormMore = {}, versions = "1.1+"): WireForm =>
  form("instruction", versions, number, layout, more);

interface More {
  readonly text?: string;
  readonly opcode?: string;
  readonly alias?: readonly string[];
  readonly refusal?: ErrorName;
}

const row = (name: string, doc: string, wire: readonly WireForm[], more: More = {}): ActionRow => ({
  name,
  opcode: more.opcode ?? name,
  wire,
  doc,
  refusal: more.refusal ?? "OFPBAC_BAD_TYPE",
  ...(more.text === undefined ? {} : { text: more.text }),
  ...(more.alias === undefined ? {} : { alias: more.alias }),
});

const mac = "mac:bytes6 pad:6";

/** Order matters where several rows share a wire form: the first decodes it. */
export const actions: readonly ActionRow[] = [
  row("output", "Outputs the packet to a port.", [
    of("1.0", 0, "port:port10 max_len:u16", { codec: "output" }),
    of("1.1+", 0, "port:u32 max_len:u16 pad:6", { codec: "output" }),
  ]),
  row("output_reg", "Outputs the packet to the port whose number a subfield holds.", [
    nx(15, "ofs,n_bits:ofs_nbits field:nxm max_len:u16 none:6"),
    nx(32, "ofs,n_bits:ofs_nbits max_len:u16 field:nxm"),
  ]),
  row("output_trunc", "Outputs at most the first bytes of the packet to a port.", [nx(39, "port:port10 max_len:u32")]),
  row("controller", "Sends the packet to controllers.", [
    nx(20, "max_len:u16 controller_id:u16 reason:u8 zero:1", { codec: "controller" }),
    nx(37, "zero:6", { codec: "controller2" }),
  ]),
  row("enqueue", "Outputs the packet to a queue of a port.", [of("1.0", 11, "port:port10 pad:6 queue:u32")]),
  row("group", "Hands the packet to a group.", [of("1.1+", 22, "group:u32"), nx(40, "pad:2 group:u32", {}, "1.0")], {
    text: "group:{group:u32}",
    refusal: "OFPBAC_BAD_OUT_GROUP",
  }),
  row("bundle", "Outputs the packet to a member of a list, chosen by a hash.", [
    nx(12, "", { codec: "bundle" }),
    nx(13, "", { codec: "bundle" }),
  ]),
  row("set_vlan_vid", "Sets the VLAN identifier.", [
    of("1.0", 1, "vid:u16 pad:2", { set: { push: 1 } }),
    of("1.1", 1, "vid:u16 pad:2"),
  ]),
  row("set_vlan_pcp", "Sets the VLAN priority.", [
    of("1.0", 2, "pcp:u8 pad:3", { set: { push: 1 } }),
    of("1.1", 2, "pcp:u8 pad:3"),
  ]),
  row("strip_vlan", "Pops the outermost VLAN tag.", [
    of("1.0", 3, "pad:4", { set: { form: 0 } }),
    of("1.1+", 18, "pad:4", { set: { form: 1 } }),
  ]),
  row("push_vlan", "Pushes a VLAN tag.", [of("1.1+", 17, "ethertype:u16 pad:2")], {
    text: "push_vlan:{ethertype:hex4}",
  }),
  row("mod_dl_src", "Sets the Ethernet source address.", [of("1.0", 4, mac), of("1.1", 3, mac)], {
    opcode: "set_eth_src",
    text: "mod_dl_src:{mac:eth}",
  }),
  row("mod_dl_dst", "Sets the Ethernet destination address.", [of("1.0", 5, mac), of("1.1", 4, mac)], {
    opcode: "set_eth_dst",
    text: "mod_dl_dst:{mac:eth}",
  }),
  row("mod_nw_src", "Sets the IPv4 source address.", [of("1.0", 6, "address:bytes4"), of("1.1", 5, "address:bytes4")], {
    opcode: "set_ipv4_src",
    text: "mod_nw_src:{address:ipv4}",
  }),
  row(
    "mod_nw_dst",
    "Sets the IPv4 destination address.",
    [of("1.0", 7, "address:bytes4"), of("1.1", 6, "address:bytes4")],
    { opcode: "set_ipv4_dst", text: "mod_nw_dst:{address:ipv4}" },
  ),
  row(
    "mod_nw_tos",
    "Sets the DSCP bits of the IP type of service.",
    [of("1.0", 8, "tos:u8 pad:3"), of("1.1", 7, "tos:u8 pad:3")],
    { opcode: "set_ip_dscp", text: "mod_nw_tos:{tos:u8}" },
  ),
  row("mod_nw_ecn", "Sets the ECN bits of the IP type of service.", [of("1.1", 8, "ecn:u8 pad:3")], {
    opcode: "set_ip_ecn",
    text: "mod_nw_ecn:{ecn:u8}",
  }),
  row("mod_nw_ttl", "Sets the IP TTL.", [of("1.1+", 23, "ttl:u8 pad:3")], {
    opcode: "set_ip_ttl",
    text: "mod_nw_ttl:{ttl:u8}",
  }),
  row(
    "mod_tp_src",
    "Sets the transport source port.",
    [of("1.0", 9, "port:u16 pad:2"), of("1.1", 9, "port:u16 pad:2")],
    { opcode: "set_l4_src_port", text: "mod_tp_src:{port:u16}" },
  ),
  row(
    "mod_tp_dst",
    "Sets the transport destination port.",
    [of("1.0", 10, "port:u16 pad:2"), of("1.1", 10, "port:u16 pad:2")],
    { opcode: "set_l4_dst_port", text: "mod_tp_dst:{port:u16}" },
  ),
  row("dec_ttl", "Decrements the IP TTL.", [
    of("1.1+", 24, "pad:4", { set: { form: 0 } }),
    nx(18, "pad:6", { set: { form: 0 } }),
    nx(21, "", { codec: "dec_ttl_ids", set: { form: 1 } }),
  ]),
  row("set_field", "Sets a field, or bits of one, to a value.", [
    of("1.2+", 25, "", { codec: "set_field" }),
    nx(7, "", { codec: "reg_load" }),
    nx(33, "", { codec: "reg_load2" }),
  ]),
  row("move", "Copies bits from one field to another.", [
    of("1.5+", 28, "n_bits:u16 src_ofs:u16 dst_ofs:u16 pad:2 src_field:nxm dst_field:nxm"),
    nx(6, "n_bits:u16 src_ofs:u16 dst_ofs:u16 src_field:nxm dst_field:nxm"),
    onf("1.3-1.4", 3200, "pad:2 n_bits:u16 src_ofs:u16 dst_ofs:u16 pad:2 src_field:nxm dst_field:nxm"),
  ]),
  row("push", "Pushes a subfield to the stack.", [nx(27, "ofs:u16 field:nxm n_bits:u16 zero:6")], {
    opcode: "stack_push",
  }),
  row("pop", "Pops a subfield from the stack.", [nx(28, "ofs:u16 field:nxm n_bits:u16 zero:6")], {
    opcode: "stack_pop",
  }),
  row("set_tunnel", "Sets the tunnel key.", [
    nx(2, "pad:2 tun_id:u32as64", { set: { form: 0 } }),
    nx(9, "pad:6 tun_id:u64", { set: { form: 1 } }),
  ]),
  row("set_queue", "Sets the queue for outputs that follow.", [of("1.1+", 21, "queue:u32"), nx(4, "pad:2 queue:u32")], {
    text: "set_queue:{queue:u32}",
  }),
  row("pop_queue", "Restores the queue.", [nx(5, "pad:6")], { text: "pop_queue" }),
  row("fin_timeout", "Shortens the flow's timeouts when its TCP connection ends.", [
    nx(19, "idle_timeout:u16 hard_timeout:u16 zero:2"),
  ]),
  row("resubmit", "Searches a table again.", [
    nx(1, "in_port:port10 pad:4", { set: { form: 0, table: 255, with_ct: 0 } }),
    nx(14, "in_port:port10 table:u8 none:3", { set: { form: 1, with_ct: 0 } }),
    nx(44, "in_port:port10 table:u8 none:3", { set: { form: 1, with_ct: 1 } }),
  ]),
  row("learn", "Makes a flow from the packet.", [nx(16, "", { codec: "learn" }), nx(45, "", { codec: "learn" })]),
  row("conjunction", "Makes the flow one clause of a conjunctive match.", [nx(34, "", { codec: "conjunction" })]),
  row("multipath", "Chooses a link by a hash, and stores its number.", [
    nx(10, "fields:u16 basis:u16 pad:2 algorithm:u16 max_link:u16 arg:u32 pad:2 ofs,n_bits:ofs_nbits field:nxm"),
  ]),
  row("note", "Does nothing; carries bytes for whoever reads the flow.", [nx(8, "", { codec: "note" })]),
  row("exit", "Ends the flow's processing.", [nx(17, "pad:6")], { text: "exit" }),
  row("sample", "Samples packets for IPFIX.", [
    nx(29, "probability:u16 collector_set_id:u32 obs_domain_id:u32 obs_point_id:u32", {
      set: { sampling_port: 0xffffffff, direction: 0 },
    }),
    nx(
      41,
      "probability:u16 collector_set_id:u32 obs_domain_id:u32 obs_point_id:u32 sampling_port:port10 direction:u8 zero:5",
    ),
    nx(38, "probability:u16 collector_set_id:u32 obs_domain_id:u32 obs_point_id:u32 sampling_port:port10 zero:6", {
      set: { direction: 0 },
    }),
  ]),
  row("clone", "Runs actions on a copy of the packet.", [nx(42, "", { codec: "clone" })]),
  row("ct", "Sends the packet through connection tracking.", [nx(35, "", { codec: "ct" })]),
  row("nat", "Translates addresses; only inside ct.", [nx(36, "", { codec: "nat" })]),
  row("ct_clear", "Forgets the packet's connection-tracking state.", [nx(43, "pad:6")], { text: "ct_clear" }),
  row("check_pkt_larger", "Sets a bit if the packet is larger than a size.", [
    nx(49, "pkt_len:u16 ofs:u16 field:nxm", { codec: "check_pkt_larger" }),
  ]),
  row("delete_field", "Removes a Geneve option.", [nx(50, "", { codec: "delete_field" })]),
  row("encap", "Pushes a header.", [nx(46, "", { codec: "encap" }, "1.3+")]),
  row("decap", "Pops the outermost header.", [nx(47, "", { codec: "decap" }, "1.3+")]),
  row("dec_nsh_ttl", "Decrements the NSH TTL.", [nx(48, "pad:6", {}, "1.3+")], { text: "dec_nsh_ttl" }),
  row("push_mpls", "Pushes an MPLS header.", [of("1.1+", 19, "ethertype:u16 pad:2"), nx(23, "ethertype:u16 pad:4")], {
    text: "push_mpls:{ethertype:hex4}",
  }),
  row(
    "pop_mpls",
    "Pops the outermost MPLS header.",
    [of("1.1+", 20, "ethertype:u16 pad:2"), nx(24, "ethertype:u16 pad:4")],
    { text: "pop_mpls:{ethertype:hex4}" },
  ),
  row("set_mpls_label", "Sets the outermost MPLS label.", [of("1.1", 13, "label:u32"), nx(30, "pad:2 label:u32")], {
    text: "set_mpls_label({label:u32})",
    alias: ["set_mpls_label:{label:u32}"],
  }),
  row("set_mpls_tc", "Sets the outermost MPLS traffic class.", [of("1.1", 14, "tc:u8 pad:3"), nx(31, "tc:u8 pad:5")], {
    text: "set_mpls_tc({tc:u8})",
    alias: ["set_mpls_tc:{tc:u8}"],
  }),
  row("set_mpls_ttl", "Sets the outermost MPLS TTL.", [of("1.1+", 15, "ttl:u8 pad:3"), nx(25, "ttl:u8 pad:5")], {
    text: "set_mpls_ttl({ttl:u8})",
    alias: ["set_mpls_ttl:{ttl:u8}"],
  }),
  row("dec_mpls_ttl", "Decrements the outermost MPLS TTL.", [of("1.1+", 16, "pad:4"), nx(26, "pad:6")], {
    text: "dec_mpls_ttl",
  }),
  row("debug_recirc", "Recirculates the packet; for tests.", [nx(255, "pad:6")], {
    text: "debug_recirc",
    refusal: "OFPBAC_BAD_VENDOR_TYPE",
  }),
  row("debug_slow", "Sends the packet through the slow path; for tests.", [nx(254, "pad:6")], {
    text: "debug_slow",
    refusal: "OFPBAC_BAD_VENDOR_TYPE",
  }),
  row(
    "meter",
    "Counts the packet against a meter, which may drop it.",
    [of("1.5+", 29, "meter:u32"), instruction(6, "meter:u32", {}, "1.3-1.4")],
    { text: "meter:{meter:u32}", refusal: "OFPMMFC_INVALID_METER" },
  ),
  row("clear_actions", "Empties the action set.", [instruction(5, "pad:4")], { text: "clear_actions" }),
  row("write_actions", "Merges actions into the action set.", [instruction(3, "", { codec: "write_actions" })]),
  row("write_metadata", "Sets bits of the metadata field.", [
    instruction(2, "pad:4 metadata:u64 mask:u64"),
    nx(22, "zero:6 metadata:u64 mask:u64", {}, "1.0"),
  ]),
  row("goto_table", "Goes on with a later table.", [instruction(1, "table:u8 pad:3")], {
    text: "goto_table:{table:u8}",
  }),
];

const byName = new Map(actions.map((one) => [one.name, one]));
export function actionByName(name: string): ActionRow | undefined {
  return byName.get(name);
}
