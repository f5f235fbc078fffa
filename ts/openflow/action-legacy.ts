import { actionLayout, memberOffset, opcodeOf } from "./abi.js";
import { beginAction, type RecordAt } from "./action-record.js";
import { placeBits, putSetField, readSetField } from "./action-special.js";
import { ByteWriter } from "./bytes.js";
import { type FieldPlan, planOf } from "./key-match.js";

/** Actions that a version cannot write, as others that it can: OpenFlow 1.2 sets what older versions have actions for
 *  with set_field, and the other way round. */

const number = (record: RecordAt, member: string): number => {
  const layout = actionLayout(record.view.getUint16(record.start, true));
  const { offset, size } = layout.members.find((one) => one.name === member) ?? {
    offset: memberOffset(layout, member),
    size: 4,
  };
  if (size === 1) return record.view.getUint8(record.start + offset);
  return size === 2
    ? record.view.getUint16(record.start + offset, true)
    : record.view.getUint32(record.start + offset, true);
};

function set(out: ByteWriter, plan: FieldPlan, value: bigint, form = 0): void {
  putSetField(out, plan, placeBits(value, 0, plan.bytes), 0, -1, form);
}

function simple(out: ByteWriter, name: string, members: Readonly<Record<string, number>>): void {
  const opcode = opcodeOf(name);
  const layout = actionLayout(opcode);
  const begin = beginAction(out, opcode);
  for (const [member, value] of Object.entries(members)) {
    const { offset, size } = layout.members.find((one) => one.name === member) ?? {
      offset: memberOffset(layout, member),
      size: 4,
    };
    if (size === 1) out.view.setUint8(begin + offset, value);
    else if (size === 2) out.view.setUint16(begin + offset, value, true);
    else out.view.setUint32(begin + offset, value, true);
  }
}

type Rewrite = (record: RecordAt, version: number, out: ByteWriter) => boolean;

const vlanVid = planOf("vlan_vid");
const vlanPcp = planOf("vlan_pcp");
const bytesField =
  (field: FieldPlan, offset: number): Rewrite =>
  (record, version, out) => {
    if (version < 3) return false;
    putSetField(out, field, record.bytes, record.start + offset, -1);
    return true;
  };
const portField =
  (which: "src" | "dst"): Rewrite =>
  (record, version, out) => {
    if (version < 3) return false;
    const name = { 6: "tcp", 17: "udp", 132: "sctp" }[number(record, "ip_proto")];
    if (name === undefined) return false;
    set(out, planOf(`${name}_${which}`), BigInt(number(record, "port")));
    return true;
  };
const numberField =
  (field: string, member: string, shift = 0): Rewrite =>
  (record, version, out) => {
    set(out, planOf(field), BigInt(number(record, member) >>> shift), version < 3 ? 1 : 0);
    return true;
  };
const vlanTag =
  (value: (record: RecordAt) => void): Rewrite =>
  (record, version, out) => {
    if (version < 2) return false;
    if (number(record, "flow_has_vlan") === 0 && number(record, "push") !== 0)
      simple(out, "push_vlan", { ethertype: 0x8100 });
    if (version === 2) return false;
    value(record);
    return true;
  };

const setFieldLegacy: Rewrite = (record, version, out) => {
  const { plan, value, nBits } = readSetField(record);
  if (version >= 3 || nBits !== plan.bits) return false;
  const small = (): number => value.reduce((sum, byte) => sum * 256 + byte, 0);
  const begin = out.position;
  switch (plan.name) {
    case "vlan_vid":
      simple(out, "set_vlan_vid", { vid: small() & 0xfff, push: version === 1 ? 1 : 0 });
      return true;
    case "vlan_pcp":
      simple(out, "set_vlan_pcp", { pcp: small(), push: version === 1 ? 1 : 0 });
      return true;
    case "eth_src":
    case "eth_dst":
      simple(out, `set_${plan.name}`, {});
      break;
    case "ip_src":
      simple(out, "set_ipv4_src", {});
      break;
    case "ip_dst":
      simple(out, "set_ipv4_dst", {});
      break;
    case "nw_tos":
      simple(out, "set_ip_dscp", { tos: small() & 0xfc });
      return true;
    case "ip_dscp":
      simple(out, "set_ip_dscp", { tos: small() << 2 });
      return true;
    case "tcp_src":
    case "udp_src":
    case "sctp_src":
      simple(out, "set_l4_src_port", { port: small() });
      return true;
    case "tcp_dst":
    case "udp_dst":
    case "sctp_dst":
      simple(out, "set_l4_dst_port", { port: small() });
      return true;
    default:
      return false;
  }
  out.bytes.set(value, begin + (plan.name.startsWith("eth") ? 8 : 4));
  return true;
};

const rewrites: Readonly<Record<string, Rewrite>> = {
  enqueue: (record, version, out) => {
    if (version < 2) return false;
    simple(out, "set_queue", { queue: number(record, "queue") });
    simple(out, "output", { port: number(record, "port"), max_len: 0 });
    simple(out, "pop_queue", {});
    return true;
  },
  set_vlan_vid: (record, version, out) =>
    vlanTag(() => set(out, vlanVid, BigInt(number(record, "vid") | 0x1000)))(record, version, out),
  set_vlan_pcp: (record, version, out) =>
    vlanTag(() => set(out, vlanPcp, BigInt(number(record, "pcp"))))(record, version, out),
  set_eth_src: bytesField(planOf("eth_src"), 8),
  set_eth_dst: bytesField(planOf("eth_dst"), 8),
  set_ipv4_src: bytesField(planOf("ip_src"), 4),
  set_ipv4_dst: bytesField(planOf("ip_dst"), 4),
  set_ip_dscp: numberField("ip_dscp", "tos", 2),
  set_ip_ecn: numberField("nw_ecn", "ecn"),
  set_ip_ttl: numberField("nw_ttl", "ttl"),
  set_l4_src_port: portField("src"),
  set_l4_dst_port: portField("dst"),
  set_mpls_label: numberField("mpls_label", "label"),
  set_mpls_tc: numberField("mpls_tc", "tc"),
  strip_vlan: (record, version, out) => {
    const form = version === 1 ? 0 : 1;
    if (number(record, "form") === form) return false;
    simple(out, "strip_vlan", { form });
    return true;
  },
  goto_table: (record, version, out) => {
    if (version !== 1) return false;
    simple(out, "resubmit", { in_port: 0xfffffff8, table: number(record, "table"), form: 1 });
    return true;
  },
  set_field: setFieldLegacy,
};

const byOpcode = new Map(Object.entries(rewrites).map(([name, rewrite]) => [opcodeOf(name), rewrite]));

/** The action as records that `version` has a form for, or undefined when there are none. */
export function rewriteFor(record: RecordAt, version: number): Uint8Array | undefined {
  const rewrite = byOpcode.get(record.view.getUint16(record.start, true));
  if (rewrite === undefined) return undefined;
  const out = new ByteWriter(64);
  return rewrite(record, version, out) ? out.finish() : undefined;
}

const tunId = planOf("tun_id");

/** Actions that a version could write as they are, but that OVS writes as others from OpenFlow 1.2 on. */
export function preferredFor(record: RecordAt, version: number): Uint8Array | undefined {
  const opcode = record.view.getUint16(record.start, true);
  if (version >= 3 && opcode === opcodeOf("set_tunnel")) {
    const out = new ByteWriter(64);
    set(out, tunId, record.view.getBigUint64(record.start + 8, true));
    return out.finish();
  }
  if (version < 3 && opcode === opcodeOf("set_field") && readSetField(record).form === 0)
    return rewriteFor(record, version);
  if (version >= 3 && (opcode === opcodeOf("set_mpls_label") || opcode === opcodeOf("set_mpls_tc")))
    return rewriteFor(record, version);
  return undefined;
}
