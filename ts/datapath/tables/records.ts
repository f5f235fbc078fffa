/** The records of the flow-table ABI: what a batch, a query and an event are made of.
 *
 *  Each row is one record; the C structs (native/include/sluice/records.h), the TypeScript codec
 *  (ts/datapath/generated/records.ts) and the reference page are generated from it, and both sides assert its size
 *  and offsets.  Numbers are little-endian as the hosts that we run on, fields lie at their natural alignment with
 *  padding spelled out, and every record is a multiple of 8 bytes.  Variable parts follow the fixed part in the order
 *  that the row's `tail` names, each padded to 8 bytes. */

export type FieldType = "u8" | "u16" | "u32" | "u64" | `bytes${number}` | `u64x${number}`;

export interface RecordRow {
  readonly name: string;
  readonly fields: readonly (readonly [name: string, type: FieldType, doc?: string])[];
  /** Variable parts after the fixed part; their lengths stand in fields of the record. */
  readonly tail?: string;
  readonly doc: string;
}

export interface ConstantRow {
  readonly name: string;
  readonly value: number;
  readonly doc: string;
}

/** A set of named numbers; becomes `SLUICE_<PREFIX>_<NAME>` in C and `<prefix>.<name>` in TypeScript. */
export interface ConstantSet {
  readonly prefix: string;
  readonly doc: string;
  readonly rows: readonly ConstantRow[];
}

const enumerate = (from: number, rows: readonly (readonly [string, string])[]): ConstantRow[] =>
  rows.map(([name, doc], index) => ({ name, value: from + index, doc }));
const bits = (rows: readonly (readonly [string, string])[]): ConstantRow[] =>
  rows.map(([name, doc], index) => ({ name, value: 2 ** index, doc }));

export const constantSets: readonly ConstantSet[] = [
  { prefix: "abi", doc: "What a batch must say of itself.", rows: [{ name: "version", value: 1, doc: "Moves when a record changes its meaning or layout." }] },
  {
    prefix: "command", doc: "Types of the commands in a batch.",
    rows: enumerate(1, [
      ["bridge_add", "Makes a bridge."], ["bridge_del", "Removes a bridge with its ports, tables and rules."],
      ["bridge_set", "Changes a bridge's settings."], ["port_open", "Opens a device as a datapath port."],
      ["port_close", "Closes a datapath port."], ["port_set", "Changes an open datapath port's settings."],
      ["port_inject", "Gives a memory or dummy port a frame to receive."],
      ["ofport_set", "Adds an OpenFlow port to a bridge, or changes it."], ["ofport_del", "Removes an OpenFlow port."],
      ["bundle_set", "Adds or changes the ports that NORMAL sees as one logical port, with its VLANs."],
      ["bundle_del", "Removes a bundle."], ["table_set", "Changes the settings of an OpenFlow table."],
      ["flow_mod", "An OpenFlow flow_mod."], ["packet_out", "Executes actions on a packet."],
      ["fdb_flush", "Forgets learned MAC addresses."], ["clock_set", "Freezes, sets or releases the datapath's clock."],
      ["megaflow_flush", "Drops cached megaflows; statistics are kept."], ["settings", "Datapath-wide settings."],
      ["flow_flush", "Removes all rules of a bridge without flow-removed messages."],
      ["link_set", "Changes a network device's MTU, address or flags."],
    ]),
  },
  {
    prefix: "query", doc: "Types of queries.",
    rows: enumerate(1, [
      ["flow_dump", "Rules that match a filter, streamed by a cursor."], ["flow_aggregate", "Totals of the rules that match a filter."],
      ["table_stats", "Counters of each table of a bridge."], ["port_stats", "Counters and state of one datapath port."],
      ["megaflow_dump", "Cached megaflows, streamed by a cursor."], ["fdb_dump", "Learned MAC addresses of a bridge."],
      ["counters", "Coverage counters and drop reasons."], ["datapath_stats", "Hits, misses, caches and masks."],
      ["trace", "Translates a packet and tells each step."], ["link_get", "State of a network device by name."],
      ["removed_flows", "Takes rules that were removed and asked to be reported."],
      ["stats_sync", "Waits until rule counters include every packet forwarded so far."],
      ["packet_compose", "Makes the bytes of a packet from a flow key."], ["packet_parse", "Makes the flow key of a packet."],
      ["worker_stats", "Packets, cycles and queues of each worker."], ["memory", "What the datapath's memory is used for."],
      ["link_list", "Every network device of the host."],
      ["ofport_stats", "Counters of one patch port, which has no datapath port."],
    ]),
  },
  {
    prefix: "event", doc: "Types of events in the ring.",
    rows: enumerate(1, [
      ["packet_in", "A packet for controllers."], ["port_frame", "A memory port transmitted a frame."],
      ["link_changed", "A network device of the host changed; ask link_get."],
      ["port_changed", "A datapath port's carrier or device changed or failed."],
      ["flows_removed", "Removed rules wait: ask removed_flows."],
      ["address_changed", "An address or route of the host changed."],
      ["protocol_packet", "A packet for a protocol brain (LACP, STP, LLDP, ...)."],
    ]),
  },
  {
    prefix: "port_class", doc: "Port drivers.",
    rows: enumerate(1, [
      ["packet", "AF_PACKET on an existing network device."], ["tap", "A tap device that we make."],
      ["afxdp", "AF_XDP on an existing network device."], ["dummy", "OVS's test device: frames are injected and counted."],
      ["memory", "Frames in by port_inject, out by event."], ["pcap", "Frames in from one pcap file, out to another."],
      ["null", "Makes frames as fast as asked and swallows all: for benches."], ["dpdk", "A DPDK device."],
    ]),
  },
  {
    prefix: "error", doc: "Results of commands and queries: 0, or one of these. Each maps to one OpenFlow or OVSDB error in TypeScript.",
    rows: enumerate(1, [
      ["invalid_record", "The record is malformed: size, padding, reserved bits."], ["no_such_bridge", "No such bridge."],
      ["no_such_port", "No such port."], ["exists", "An object with that id is already there."],
      ["no_memory", "Out of memory or over a stated limit."], ["bad_table", "The table number is out of range."],
      ["table_full", "The table is full and its policy refuses."], ["overlap", "CHECK_OVERLAP found an overlapping rule."],
      ["bad_match", "The match has a word or value that cannot be."], ["bad_action", "An action is malformed or unknown."],
      ["unsupported_action", "The action is known but the pipeline does not execute it."], ["bad_argument", "A value is out of range."],
      ["device", "The device could not be opened or set: see system_error."], ["no_space", "The reply buffer is too small."],
      ["not_supported", "The port class or setting is not available here."], ["bad_packet", "The packet is too short or too long."], ["not_permitted", "The rule may only be changed by the switch itself."],
      ["canceled", "An earlier command of the transaction failed."],
    ]),
  },
  {
    prefix: "flow_command", doc: "flow_mod commands, numbered as OpenFlow does.",
    rows: enumerate(0, [["add", ""], ["modify", ""], ["modify_strict", ""], ["delete", ""], ["delete_strict", ""]]),
  },
  {
    prefix: "flow_flag", doc: "flow_mod and rule flags.",
    rows: bits([
      ["send_flow_rem", "Report the rule's removal."], ["check_overlap", "Refuse an add that overlaps."],
      ["reset_counts", "A modify resets the counters."], ["no_packet_counts", ""], ["no_byte_counts", ""],
      ["modify_may_add", "A modify that matches no rule adds one (OpenFlow 1.0 and 1.1 without a cookie mask)."],
      ["hidden", "Priority above 65535 or internal: left out of dumps unless asked."],
      ["read_only", "Controllers may not change the rule."],
      ["add_keeps_cookie", "A modify changes the cookie only if this is absent."],
    ]),
  },
  {
    prefix: "removed_reason", doc: "Why a rule went away, as OFPRR.",
    rows: enumerate(0, [["idle_timeout", ""], ["hard_timeout", ""], ["delete", ""], ["group_delete", ""], ["meter_delete", ""], ["eviction", ""]]),
  },
  {
    prefix: "packet_in_reason", doc: "Why a packet goes to controllers, as OFPR of OpenFlow 1.4.",
    rows: enumerate(0, [["no_match", "Table miss of OpenFlow 1.0-1.2."], ["action", ""], ["invalid_ttl", ""], ["action_set", ""], ["group", ""], ["packet_out", ""],
      ["explicit_miss", "Output to controller by a priority 0 rule that matches everything."], ["implicit_miss", "Table miss with no rule."]]),
  },
  {
    prefix: "ofport_config", doc: "OpenFlow port configuration bits (OFPPC), those of 1.0 included.",
    rows: [
      { name: "port_down", value: 1, doc: "" }, { name: "no_stp", value: 2, doc: "" }, { name: "no_recv", value: 4, doc: "" },
      { name: "no_recv_stp", value: 8, doc: "" }, { name: "no_flood", value: 16, doc: "" }, { name: "no_fwd", value: 32, doc: "" },
      { name: "no_packet_in", value: 64, doc: "" },
    ],
  },
  {
    prefix: "vlan_mode", doc: "How a bundle treats VLAN tags.",
    rows: enumerate(0, [["access", ""], ["trunk", ""], ["native_tagged", ""], ["native_untagged", ""], ["dot1q_tunnel", ""]]),
  },
  {
    prefix: "miss", doc: "What a table does with a packet that no rule matches.",
    rows: enumerate(0, [["default", "To controllers that want it (OpenFlow 1.0-1.2), else drop."], ["controller", ""], ["continue", "To the next table."], ["drop", ""]]),
  },
  {
    prefix: "frag_mode", doc: "Fragment handling, as OFPC_FRAG.",
    rows: enumerate(0, [["normal", ""], ["drop", ""], ["reassemble", ""], ["nx_match", ""]]),
  },
  {
    prefix: "bridge_flag", doc: "Settings of a bridge.",
    rows: bits([["forward_bpdu", "NORMAL forwards reserved addresses."], ["packet_in_on_miss", "Someone wants table-miss packet-ins."],
      ["invalid_ttl_to_controller", "Packets whose TTL ran out are packet-ins."]]),
  },
  {
    prefix: "bundle_flag", doc: "Settings of a bundle.",
    rows: bits([["priority_tags", "Untagged frames leave with a priority tag if they have a priority."], ["priority_tags_always", ""], ["protected", "Does not talk to other protected bundles."]]),
  },
  {
    prefix: "batch_flag", doc: "How a batch is applied.",
    rows: bits([["independent", "Each command stands alone: a failed one leaves the others; otherwise all or nothing."]]),
  },
  {
    prefix: "trace_kind", doc: "Kinds of trace_step records.",
    rows: enumerate(1, [["bridge", "Enters a bridge."], ["rule", "A table's rule matched."], ["miss", "No rule matched: `code` is the trace_note to print."], ["action", "An OpenFlow action is executed."],
      ["note", "A remark: `code` says which, `a` to `d` its numbers."], ["error", "Translation failed and the packet is dropped: `code` is the drop_reason."],
      ["final_flow", "The key after translation; a is 1 if it is unchanged."], ["megaflow", "The match that was read."], ["datapath_actions", "What the datapath does."],
      ["action_set", "The action set is executed: what follows deeper is its actions."]]),
  },
  {
    prefix: "trace_note", doc: "Remarks of a trace. `doc` is what ofproto/trace prints: %a to %d are the step's numbers, %pa the name of OpenFlow port a, %ma a as an Ethernet address.",
    rows: enumerate(1, [
      ["no_learned_mac", " -> no learned MAC for destination, flooding"],
      ["learned_port", " -> forwarding to learned port"],
      ["learned_port_is_input", " -> learned port is input port, dropping"],
      ["no_input_bundle", " >> no input bundle, dropping"],
      ["input_port_missing", " >>>> received packet on unknown port %a <<<<"],
      ["partial_vlan", " >>>> dropping packet with partial VLAN tag received on port %pa <<<<"],
      ["vlan_on_access_port", " >>>> dropping VLAN %a tagged packet received on port %pb configured as VLAN %c access port <<<<"],
      ["vlan_not_in_trunks", " >>>> dropping VLAN %a packet received on port %pb not configured for trunking VLAN %a <<<<"],
      ["vlan_not_in_tunnel", " >>>> dropping VLAN %a packet received on dot1q-tunnel port %pb that excludes this VLAN <<<<"],
      ["vlan_not_carried", " >> disallowed VLAN VID for this input port, dropping"],
      ["reserved_destination", " -> packet has reserved destination MAC, dropping"],
      ["learned_source", " -> learned that %ma is on port %pb in VLAN %c"],
      ["output_suppressed", " >> skipping output to input port"],
      ["port_missing", " >> Nonexistent output port"],
      ["port_no_forward", " -> OFPPC_NO_FWD set, skipping output"],
      ["recursion_too_deep", " >>>> over max translation depth %a <<<<"],
      ["too_many_resubmits", " >>>> over %a resubmit actions <<<<"],
      ["actions_too_big", " >>>> resubmits yielded over 64 kB of actions <<<<"],
      ["stack_too_big", " >>>> resubmits yielded over 64 kB of stack <<<<"],
      ["stack_empty", " >>>> stack underflow <<<<"],
      ["ttl_exceeded", " >> IPv4 decrement TTL exception"],
      ["output_reg", " -> output port is %a"],
      ["queue", " -> queue = %a"],
      ["subfield_now", " -> the subfield (field a, from bit b, c bits) is now d; bits above 63 are in cookie"],
      ["action_set", " -> action set is: the step's actions"],
      ["miss_drop", "No match."],
      ["miss_controller", "No match, and a \"packet-in\" is called for."],
      ["miss_fragment", "Packets are IP fragments and the fragment handling mode is \"drop\"."],
    ]),
  },
  {
    prefix: "port_drop", doc: "Why a port dropped a packet. Each has a counter per port; at most 15.",
    rows: enumerate(1, [
      ["rx_no_buffer", "Received, but no packet buffer was free."], ["rx_queue_full", "Injected, but the receive queue was full."],
      ["rx_down", "Received while the port was down."], ["rx_invalid", "Received with a length or an offload that cannot be."],
      ["rx_device", "The device or the kernel dropped it before we could receive it."],
      ["tx_down", "To be sent while the port or its device was down."], ["tx_too_long", "To be sent, but longer than the MTU allows."],
      ["tx_queue_full", "To be sent, but the device's queue was full."], ["tx_error", "The device refused it."],
      ["tx_no_buffer", "To be cut into segments, but no packet buffer was free."],
      ["tx_unsupported", "To be sent with an offload that cannot be completed."],
    ]),
  },
  {
    prefix: "coverage", doc: "Events that are counted, by the names that coverage/show prints.",
    rows: enumerate(1, [
      ["xlate_actions", "Translations."], ["ofproto_packet_out", "Packet-outs."],
      ["mac_learning_learned", "Addresses learned."], ["mac_learning_moved", "Addresses that moved to another port."],
      ["mac_learning_expired", "Addresses that aged out."], ["mac_learning_evicted", "Addresses dropped to make room."],
    ]),
  },
  {
    prefix: "drop_reason", doc: "Why a packet was dropped. Each has a counter.",
    rows: enumerate(1, [
      ["no_output", "Translation ended without an output."], ["no_ofport", "No bridge has the port that it arrived on."],
      ["no_recv", "The port is configured not to receive."], ["port_down", "The port is administratively down."],
      ["table_miss", "No rule matched."], ["recursion_too_deep", "Over the translation depth."],
      ["too_many_resubmits", "Over the number of resubmits."], ["stack_too_big", "Over the size of the stack."],
      ["actions_too_big", "Over the size of datapath actions or of the action set."], ["no_memory", "Memory ran out during translation."],
      ["fragment", "The bridge drops fragments."], ["ttl", "The IP TTL ran out."],
      ["no_input_bundle", "NORMAL: the port is in no bundle."], ["partial_vlan", "NORMAL: a VLAN header without its tag."],
      ["vlan", "NORMAL: the port does not carry the VLAN."], ["reserved_destination", "NORMAL: an address that bridges do not forward."],
      ["learned_port_is_input", "NORMAL: the destination is behind the input port."],
      ["bad_packet", "The frame is too short or too long."], ["no_buffer", "No packet buffer was free."],
    ]),
  },
];

const header: RecordRow["fields"] = [["type", "u16"], ["flags", "u16"], ["size", "u32", "Size of the whole record in bytes."]];

export const records: readonly RecordRow[] = [
  { name: "batch", doc: "Begins a batch; commands follow.", fields: [
    ["size", "u32", "Of the whole batch in bytes."], ["version", "u16", "ABI version."], ["flags", "u16", "batch_flag"],
    ["n_commands", "u32"], ["pad", "u32"]] },
  { name: "result", doc: "Outcome of one command, in the order of the batch.", fields: [
    ["error", "u32", "0 or error"], ["system_error", "u32", "errno of a device error, else 0"],
    ["value", "u64", "Number of rules touched, or the port's ifindex, by command."]] },
  { name: "record", doc: "What every command, query and event begins with.", fields: header },

  { name: "bridge_add", doc: "", fields: [...header, ["bridge", "u32", "Id chosen by the caller, 1 to 65535."], ["n_tables", "u32"]] },
  { name: "bridge_del", doc: "", fields: [...header, ["bridge", "u32"], ["pad", "u32"]] },
  { name: "bridge_set", doc: "", fields: [...header, ["bridge", "u32"], ["bridge_flags", "u32", "bridge_flag"],
    ["mac_aging_s", "u32"], ["mac_table_size", "u32"], ["frag_mode", "u32"], ["max_resubmit_depth", "u32", "0 for the default, 64"]] },
  { name: "port_open", tail: "name, config: `key=value` strings, each ended by a zero byte", doc: "Fails with `device` and errno when the device cannot be had.", fields: [
    ...header, ["dp_port", "u32", "Number chosen by the caller, 1 to 65535."], ["port_class", "u32"], ["name_size", "u32"], ["config_size", "u32"]] },
  { name: "port_close", doc: "", fields: [...header, ["dp_port", "u32"], ["pad", "u32"]] },
  { name: "port_set", tail: "config", doc: "Same strings as port_open; fails with not_supported when the port must be opened anew for it.", fields: [
    ...header, ["dp_port", "u32"], ["config_size", "u32"]] },
  { name: "port_inject", tail: "frame", doc: "", fields: [...header, ["dp_port", "u32"], ["queue", "u32"], ["frame_size", "u32"], ["pad", "u32"]] },
  { name: "ofport_set", doc: "dp_port 0 with a peer is a patch port.", fields: [
    ...header, ["bridge", "u32"], ["ofp_port", "u32"], ["dp_port", "u32"], ["config", "u32", "ofport_config"], ["link_down", "u32", "1 when the link is down"],
    ["peer_bridge", "u32", "Patch port's other end, or 0."], ["peer_ofp_port", "u32"], ["mtu", "u32"]] },
  { name: "ofport_del", doc: "", fields: [...header, ["bridge", "u32"], ["ofp_port", "u32"]] },
  { name: "bundle_set", tail: "members: u32 each", doc: "", fields: [
    ...header, ["bridge", "u32"], ["bundle", "u32"], ["vlan_mode", "u16"], ["tag", "u16"], ["qinq_ethtype", "u16"], ["bundle_flags", "u16", "bundle_flag"],
    ["n_members", "u32"], ["pad", "u32"], ["trunks", "u64x64", "Bit per VLAN that a trunk carries; all zero is all VLANs."], ["cvlans", "u64x64"]] },
  { name: "bundle_del", doc: "", fields: [...header, ["bridge", "u32"], ["bundle", "u32"]] },
  { name: "table_set", doc: "", fields: [...header, ["bridge", "u32"], ["table", "u32"], ["miss", "u32"], ["max_flows", "u32", "0xffffffff for no limit"],
    ["evict", "u32", "1: make room by evicting; 0: refuse."], ["pad", "u32"]] },
  { name: "flow_mod", tail: "match, actions", doc: "An OpenFlow flow_mod. match is a `match` record part, actions a sequence of action records.", fields: [
    ...header, ["bridge", "u32"], ["table", "u8", "255: all tables, for deletes"], ["command", "u8", "flow_command"], ["flow_flags", "u16", "flow_flag"],
    ["priority", "u32"], ["out_port", "u32", "0xffffffff (OFPP_ANY) for no filter"], ["out_group", "u32"], ["importance", "u32"],
    ["cookie", "u64"], ["cookie_mask", "u64", "For modify and delete."], ["new_cookie", "u64"],
    ["idle_timeout_s", "u16"], ["hard_timeout_s", "u16"], ["match_size", "u32"], ["actions_size", "u32"], ["pad", "u32"]] },
  { name: "packet_out", tail: "match (metadata fields of the packet), actions, packet", doc: "", fields: [
    ...header, ["bridge", "u32"], ["in_port", "u32"], ["match_size", "u32"], ["actions_size", "u32"], ["packet_size", "u32"], ["table", "u32", "Unused: actions decide."]] },
  { name: "fdb_flush", doc: "", fields: [...header, ["bridge", "u32"], ["ofp_port", "u32", "0xffffffff for all"]] },
  { name: "flow_flush", doc: "", fields: [...header, ["bridge", "u32"], ["pad", "u32"]] },
  { name: "clock_set", doc: "mode 0: runs now_ms ahead of real time; 1: frozen at now_ms.", fields: [...header, ["mode", "u32"], ["pad", "u32"], ["now_ms", "u64"]] },
  { name: "megaflow_flush", doc: "", fields: [...header, ["pad", "u64"]] },
  { name: "settings", doc: "", fields: [...header, ["flow_limit", "u32"], ["max_idle_ms", "u32"], ["vlan_limit", "u32"], ["settings_flags", "u32"]] },
  { name: "link_set", tail: "name", doc: "A zero in `what` leaves that property.", fields: [...header, ["what", "u32", "1 MTU, 2 address, 4 flags"], ["mtu", "u32"], ["mac", "bytes8"], ["flags_on", "u32"], ["flags_off", "u32"], ["name_size", "u32"], ["pad", "u32"]] },

  { name: "match", tail: "for each bit set in map, lowest first: value u64, mask u64", doc: "Words of the flow key that matter, as bytes of the key.", fields: [["map", "u64x2"]] },

  { name: "flow_query", tail: "match", doc: "Asks flow_dump or flow_aggregate. A cursor of 0 begins; the reply's cursor goes on; 0 in the reply ends.", fields: [
    ...header, ["cursor", "u64"], ["bridge", "u32"], ["table", "u8"], ["strict", "u8"], ["include_hidden", "u8"], ["pad", "u8"], ["out_port", "u32"], ["out_group", "u32"],
    ["cookie", "u64"], ["cookie_mask", "u64"], ["priority", "u32", "For strict."], ["match_size", "u32"]] },
  { name: "dump_reply", tail: "records", doc: "Begins the reply of every dump.", fields: [["cursor", "u64"], ["n_records", "u32"], ["pad", "u32"]] },
  { name: "flow_info", tail: "match, actions", doc: "A rule.", fields: [
    ...header, ["bridge", "u32"], ["table", "u8"], ["reason", "u8", "removed_reason, for removed rules"], ["flow_flags", "u16"], ["priority", "u32"], ["importance", "u32"],
    ["cookie", "u64"], ["n_packets", "u64"], ["n_bytes", "u64"], ["created_ms", "u64"], ["used_ms", "u64"], ["modified_ms", "u64"], ["now_ms", "u64", "When the record was made."],
    ["idle_timeout_s", "u16"], ["hard_timeout_s", "u16"], ["match_size", "u32"], ["actions_size", "u32"], ["pad", "u32"]] },
  { name: "aggregate_reply", doc: "", fields: [["n_packets", "u64"], ["n_bytes", "u64"], ["n_flows", "u64"]] },
  { name: "bridge_query", doc: "Asks table_stats, fdb_dump.", fields: [...header, ["cursor", "u64"], ["bridge", "u32"], ["pad", "u32"]] },
  { name: "table_info", doc: "", fields: [...header, ["table", "u32"], ["n_flows", "u32"], ["n_lookups", "u64"], ["n_matches", "u64"], ["max_flows", "u64"]] },
  { name: "fdb_info", doc: "", fields: [...header, ["mac", "bytes8"], ["ofp_port", "u32"], ["vlan", "u16"], ["is_static", "u16"], ["age_ms", "u64"]] },
  { name: "port_query", doc: "Asks port_stats.", fields: [...header, ["dp_port", "u32"], ["pad", "u32"]] },
  { name: "ofport_query", doc: "Asks ofport_stats; the reply is an ofport_info.", fields: [...header, ["bridge", "u32"], ["ofp_port", "u32"]] },
  { name: "ofport_info", doc: "Counters of a patch port since it was added.", fields: [
    ...header, ["bridge", "u32"], ["ofp_port", "u32"], ["rx_packets", "u64"], ["rx_bytes", "u64"], ["tx_packets", "u64"], ["tx_bytes", "u64"]] },
  { name: "port_info", doc: "Counters are since the port was opened.", fields: [
    ...header, ["dp_port", "u32"], ["port_class", "u32"], ["rx_packets", "u64"], ["rx_bytes", "u64"], ["rx_dropped", "u64"], ["rx_errors", "u64"],
    ["tx_packets", "u64"], ["tx_bytes", "u64"], ["tx_dropped", "u64"], ["tx_errors", "u64"], ["mac", "bytes8"], ["ifindex", "u32"], ["mtu", "u32"],
    ["up", "u32"], ["carrier", "u32"], ["carrier_changes", "u64"], ["n_rxq", "u32"], ["n_txq", "u32"], ["link_speed_mbps", "u32"], ["full_duplex", "u32"], ["multicast", "u64"], ["rx_crc_errors", "u64"], ["rx_frame_errors", "u64"], ["rx_over_errors", "u64"], ["rx_missed_errors", "u64"], ["collisions", "u64"], ["xdp_mode", "u32", "1 native-with-zerocopy, 2 native, 3 generic; 0: not an afxdp port"], ["pad", "u32"]] },
  { name: "dump_query", doc: "Asks megaflow_dump, counters, datapath_stats, worker_stats, memory, removed_flows, stats_sync, link_list.", fields: [...header, ["cursor", "u64"]] },
  { name: "megaflow_info", tail: "match, actions (datapath_action records)", doc: "", fields: [
    ...header, ["n_packets", "u64"], ["n_bytes", "u64"], ["used_ms", "u64"], ["id", "u64"], ["worker", "u32"], ["tcp_flags", "u32"], ["match_size", "u32"], ["actions_size", "u32"]] },
  { name: "datapath_stats", doc: "", fields: [["n_hit", "u64"], ["n_missed", "u64"], ["n_lost", "u64"], ["n_flows", "u64"], ["n_mask_hit", "u64"], ["n_cache_hit", "u64"], ["n_masks", "u32"], ["n_rules", "u32"], ["flow_limit", "u64"]] },
  { name: "link_query", tail: "name", doc: "Asks link_get.", fields: [...header, ["name_size", "u32"], ["pad", "u32"]] },
  { name: "link_info", tail: "name, kind (rtnetlink's, e.g. veth)", doc: "A network device of the host.", fields: [
    ...header, ["ifindex", "u32"], ["mtu", "u32"], ["link_flags", "u32", "IFF_*"], ["link_speed_mbps", "u32"], ["duplex", "u32", "0 half, 1 full, 255 unknown"], ["carrier_changes", "u32"],
    ["mac", "bytes8"], ["name_size", "u32"], ["kind_size", "u32"], ["rx_packets", "u64"], ["rx_bytes", "u64"], ["rx_errors", "u64"], ["rx_dropped", "u64"], ["tx_packets", "u64"], ["tx_bytes", "u64"], ["tx_errors", "u64"], ["tx_dropped", "u64"],
    ["multicast", "u64"], ["collisions", "u64"], ["rx_over_errors", "u64"], ["rx_crc_errors", "u64"], ["rx_frame_errors", "u64"], ["rx_missed_errors", "u64"],
    ["driver_name", "bytes32", "As ethtool's; zero-padded."], ["driver_version", "bytes32"], ["firmware_version", "bytes32"]] },
  { name: "trace_query", tail: "match (key of the packet, exact where it says), packet", doc: "Asks trace. packet_size 0: translate the key as it is.", fields: [
    ...header, ["bridge", "u32"], ["in_port", "u32"], ["match_size", "u32"], ["packet_size", "u32"], ["actions_size", "u32", "Not 0: a packet-out with these actions, which follow the packet."], ["trace_flags", "u32", "1: let side effects happen (-generate)."]] },
  { name: "trace_step", tail: "match, actions", doc: "One step; depth is how far to indent.", fields: [
    ...header, ["kind", "u16", "trace_kind"], ["depth", "u16"], ["code", "u16", "trace_note"], ["table", "u16"], ["bridge", "u32"], ["priority", "u32"], ["cookie", "u64"],
    ["a", "u64"], ["b", "u64"], ["c", "u64"], ["d", "u64"], ["match_size", "u32"], ["actions_size", "u32"]] },
  { name: "compose_query", tail: "match", doc: "Asks packet_compose.", fields: [...header, ["match_size", "u32"], ["length", "u32", "Wanted L4 payload, or 0xffffffff for the default of 64 bytes."]] },
  { name: "parse_query", tail: "packet", doc: "Asks packet_parse; the reply is a match part.", fields: [...header, ["packet_size", "u32"], ["in_port", "u32"]] },
  { name: "counter_info", doc: "", fields: [...header, ["id", "u32", "drop_reason, or 0x10000 plus coverage, or 0x20000 plus port_drop."], ["dp_port", "u32", "For port_drop, else 0."], ["value", "u64"]] },
  { name: "worker_info", doc: "", fields: [...header, ["worker", "u32"], ["core", "u32"], ["n_polls", "u64"], ["n_idle_polls", "u64"], ["n_packets", "u64"], ["n_emc_hit", "u64"], ["n_megaflow_hit", "u64"], ["n_miss", "u64"], ["busy_cycles", "u64"], ["idle_cycles", "u64"]] },
  { name: "memory_info", doc: "", fields: [["rule_bytes", "u64"], ["megaflow_bytes", "u64"], ["packet_bytes", "u64"], ["n_rules", "u64"], ["n_megaflows", "u64"], ["n_ports", "u64"]] },

  { name: "event_packet_in", tail: "match (pipeline fields of the packet), userdata, packet", doc: "", fields: [
    ...header, ["bridge", "u32"], ["in_port", "u32"], ["table", "u8"], ["reason", "u8", "packet_in_reason"], ["controller_id", "u16"], ["max_len", "u32"], ["cookie", "u64"], ["total_size", "u32", "Of the frame; packet_size may be less."],
    ["packet_size", "u32"], ["userdata_size", "u32"], ["match_size", "u32"], ["meter_id", "u32"], ["pad", "u32"]] },
  { name: "event_port_frame", tail: "packet", doc: "", fields: [...header, ["dp_port", "u32"], ["packet_size", "u32"]] },
  { name: "event_protocol_packet", tail: "packet", doc: "", fields: [
    ...header, ["bridge", "u32"], ["ofp_port", "u32"], ["protocol", "u32"], ["packet_size", "u32"]] },
  { name: "event_port", doc: "For link_changed and port_changed.", fields: [...header, ["dp_port", "u32", "0 when no port has the device"], ["ifindex", "u32"], ["system_error", "u32"], ["pad", "u32"]] },
];
