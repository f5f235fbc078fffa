import { actionLayout, memberOffset, opcodeOf } from "./abi.js";
import { newPacketType } from "./action-encap.js";
import { type Learn, readLearn, specSource, specTarget } from "./action-learn.js";
import { bitMask, bitsOf, placeBits, readSetField } from "./action-special.js";
import { ByteWriter } from "./bytes.js";
import { OpenFlowError } from "./error.js";
import { at, type FieldPlan, KeyMatch, planOf, plans } from "./key-match.js";
import { type ActionRow, actions } from "./tables/actions.js";
import { opcodes } from "./tables/opcodes.js";
import { ofpp, portMax } from "./tables/ports.js";
import { fieldBits, tlvIndex } from "./tlv-map.js";

/** Whether actions may stand where they stand: what they need of the match, and the order of instructions. */

export interface CheckContext {
  readonly version: number;
  /** Table of the flow, 255 when not known. */
  readonly table: number;
  readonly executedOnly: boolean;
}

const rowOf: (ActionRow | undefined)[] = [];
for (const row of actions) rowOf[opcodeOf(row.opcode)] ??= row;
const executed: boolean[] = [];
for (const row of opcodes) executed[row.opcode] = row.executed;

const code = Object.fromEntries(opcodes.map((row) => [row.name, row.opcode])) as Readonly<Record<string, number>>;
const at_ = (name: string, member: string): number => memberOffset(actionLayout(opcodeOf(name)), member);

/** Place of each instruction in the order in which they must stand; actions have place 1. */
const place: number[] = [];
place[code["clear_actions"] as number] = 2;
place[code["write_actions"] as number] = 3;
place[code["write_metadata"] as number] = 4;
place[code["goto_table"] as number] = 5;

/** Actions that the action set may hold. */
const inActionSet: boolean[] = [];
for (const name of [
  "output",
  "output_trunc",
  "group",
  "set_vlan_vid",
  "set_vlan_pcp",
  "strip_vlan",
  "push_vlan",
  "set_eth_src",
  "set_eth_dst",
  "set_ipv4_src",
  "set_ipv4_dst",
  "set_ip_dscp",
  "set_ip_ecn",
  "set_ip_ttl",
  "set_l4_src_port",
  "set_l4_dst_port",
  "dec_ttl",
  "set_field",
  "move",
  "set_tunnel",
  "set_queue",
  "push_mpls",
  "pop_mpls",
  "set_mpls_label",
  "set_mpls_tc",
  "set_mpls_ttl",
  "dec_mpls_ttl",
  "encap",
  "decap",
  "dec_nsh_ttl",
])
  inActionSet[code[name] as number] = true;

const inconsistent = (name: string, needs: string): OpenFlowError =>
  new OpenFlowError("OFPBAC_MATCH_INCONSISTENT", `action ${name} needs ${needs}, which the flow's match does not say`, {
    action: name,
  });

const flow = new KeyMatch();
const packetType = planOf("packet_type");
const offsets = {
  resubmitCt: at_("resubmit", "with_ct"),
  metadataPort: at_("output", "port"),
  enqueuePort: at_("enqueue", "port"),
  truncPort: at_("output_trunc", "port"),
  vlanHas: at_("set_vlan_vid", "flow_has_vlan"),
  pcpHas: at_("set_vlan_pcp", "flow_has_vlan"),
  vlanPush: at_("set_vlan_vid", "push"),
  pcpPush: at_("set_vlan_pcp", "push"),
  vid: at_("set_vlan_vid", "vid"),
  pcp: at_("set_vlan_pcp", "pcp"),
  proto: at_("set_l4_src_port", "ip_proto"),
  l4Port: at_("set_l4_src_port", "port"),
  tpid: at_("push_vlan", "ethertype"),
  nested: at_("clone", "actions_size"),
  gotoTable: at_("goto_table", "table"),
  tos: at_("set_ip_dscp", "tos"),
  controllerForm: at_("controller", "form"),
  mplsType: at_("push_mpls", "ethertype"),
  srcField: at_("move", "src_field"),
  srcOfs: at_("move", "src_ofs"),
  dstField: at_("move", "dst_field"),
  dstOfs: at_("move", "dst_ofs"),
  moveBits: at_("move", "n_bits"),
  group: at_("group", "group"),
  pktField: at_("check_pkt_larger", "field"),
  memberCount: at_("bundle", "n_members"),
  bundleBits: at_("bundle", "n_bits"),
  deleted: at_("delete_field", "field"),
};
const subfieldAt = new Map(
  ["output_reg", "stack_push", "stack_pop", "multipath", "bundle"].map((name) => [
    code[name] as number,
    {
      field: at_(name, "field"),
      ofs: at_(name, "ofs"),
      nBits: at_(name, "n_bits"),
      writes: name === "stack_pop" || name === "multipath" || name === "bundle",
    },
  ]),
);

interface State {
  match: boolean;
  usesMatch: boolean;
}

/** Clauses of a conjunction stand with other clauses and with notes only. */
function checkConjunctions(out: ByteWriter, from: number, to: number): void {
  for (let start = from; start < to; start += out.view.getUint16(start + 2, true)) {
    const opcode = out.view.getUint16(start, true);
    if (opcode === code["conjunction"] || opcode === code["note"]) continue;
    const name = rowOf[opcode]?.name ?? `opcode ${opcode}`;
    throw new OpenFlowError(
      "NXBAC_BAD_CONJUNCTION",
      `"conjunction" actions may be used along with "note" but not any other kind of action (such as the "${name}" action used here)`,
      { action: name },
    );
  }
}

/** Refuses members of a bundle that a packet cannot leave by.  None is no port, which is never chosen to be output to. */
function checkMembers(out: ByteWriter, start: number): void {
  const count = out.view.getUint32(start + offsets.memberCount, true);
  const first = start + actionLayout(code["bundle"] as number).size;
  for (let index = 0; index < count; index++) {
    const port = out.view.getUint32(first + 4 * index, true);
    if (port === ofpp.CONTROLLER) throw new OpenFlowError("OFPBAC_BAD_OUT_PORT", "a controller cannot be in a bundle");
    if (port !== ofpp.ANY) checkOutput(port);
  }
}

/** Checks the records in [from, to) of `out` against the ABI match at `matchAt`, and fills in what the records keep of
 *  the match (whether it has a VLAN tag, the IP protocol). */
export function checkActions(
  out: ByteWriter,
  matchAt: number,
  matchSize: number,
  from: number,
  to: number,
  context: CheckContext,
): void {
  const state: State = { match: false, usesMatch: false };
  check(out, matchAt, matchSize, from, to, context, state, false);
}

/** As checkActions(), for actions of a packet-out that are not to be executed.  Throws OpenFlowError. */
export function checkConsistency(match: Uint8Array, actions: Uint8Array): void {
  const out = new ByteWriter(match.length + actions.length);
  out.put(match);
  out.put(actions);
  checkActions(out, 0, match.length, match.length, out.position, { version: 4, table: 255, executedOnly: false });
}

function expand(out: ByteWriter, matchAt: number, matchSize: number, state: State): void {
  if (state.match) return;
  flow.read(out.bytes, matchAt, matchSize);
  state.match = true;
}

function checkOutput(port: number): void {
  if (port < portMax || (port >= ofpp.IN_PORT && port <= ofpp.LOCAL)) return;
  throw new OpenFlowError("OFPBAC_BAD_OUT_PORT", `${port} is not a port that a packet can leave by`, { port });
}

function subfield(
  name: string,
  plan: FieldPlan | undefined,
  ofs: number,
  nBits: number,
  writes: boolean,
  match: KeyMatch = flow,
): void {
  if (plan === undefined) throw new OpenFlowError("OFPBAC_BAD_SET_TYPE", `action ${name} names no known field`);
  if (nBits === 0 || ofs + nBits > fieldBits(plan))
    throw new OpenFlowError("OFPBAC_BAD_SET_LEN", `action ${name} names bits that ${plan.name} does not have`);
  if (writes && !plan.writable)
    throw new OpenFlowError("OFPBAC_BAD_SET_ARGUMENT", `action ${name} writes to ${plan.name}, which is read-only`);
  if (!match.meets(plan.prereq)) throw inconsistent(name, plan.prereq);
}

/** The match that a learn action makes, as far as it does not depend on packets. */
const learnt = new KeyMatch();

/** What a learn action reads must be in its flow's packets; what it matches on must be in those of the new flow. */
function checkLearn(learn: Learn): void {
  learnt.clear();
  for (const spec of learn.specs) {
    const to = plans[spec.dstField] as FieldPlan;
    if (spec.source === specSource.field) subfield("learn", plans[spec.srcField], spec.srcOfs, spec.nBits, false);
    if (spec.target === specTarget.output) continue;
    subfield("learn", to, spec.dstOfs, spec.nBits, spec.target === specTarget.load, learnt);
    if (spec.target === specTarget.match && spec.source === specSource.immediate && tlvIndex(to) < 0) {
      const both = new Uint8Array(2 * to.bytes);
      both.set(placeBits(bitsOf(spec.immediate, 0, spec.nBits), spec.dstOfs, to.bytes));
      both.set(bitMask(to.bytes, spec.dstOfs, spec.nBits), to.bytes);
      learnt.setWire(to, both, 0, to.bytes);
    }
  }
}

const noPrereq = new Set<string>(["none"]);

function check(
  out: ByteWriter,
  matchAt: number,
  matchSize: number,
  from: number,
  to: number,
  context: CheckContext,
  state: State,
  inSet: boolean,
): void {
  const { view } = out;
  let order = 0;
  let previous = "";
  for (let start = from; start < to; ) {
    const opcode = view.getUint16(start, true);
    const size = view.getUint16(start + 2, true);
    const row = rowOf[opcode];
    if (row === undefined) throw new OpenFlowError("OFPBAC_BAD_TYPE", `opcode ${opcode} is unknown`);
    const name = row.name;
    if (context.executedOnly && executed[opcode] !== true) {
      throw new OpenFlowError(row.refusal, `action ${name} is not supported`, { action: name });
    }
    const placed = place[opcode] ?? 1;
    if (placed < order || (placed === order && placed > 1)) {
      throw new OpenFlowError(
        "OFPBAC_UNSUPPORTED_ORDER",
        placed === order
          ? `duplicate ${name} instruction not allowed, for OpenFlow 1.1+ compatibility`
          : `invalid instruction ordering: ${placed === 1 ? "apply_actions" : name} must appear before ${previous}, for OpenFlow 1.1+ compatibility`,
        { action: name },
      );
    }
    order = placed;
    previous = name;
    if (
      inSet &&
      inActionSet[opcode] !== true &&
      !(opcode === code["controller"] && view.getUint8(start + offsets.controllerForm) === 0)
    ) {
      throw new OpenFlowError("OFPBAC_BAD_TYPE", `action ${name} cannot be in the action set`, { action: name });
    }
    switch (opcode) {
      case code["output"]:
        checkOutput(view.getUint32(start + offsets.metadataPort, true));
        break;
      case code["output_trunc"]:
        checkOutput(view.getUint32(start + offsets.truncPort, true));
        break;
      case code["enqueue"]: {
        const port = view.getUint32(start + offsets.enqueuePort, true);
        if (port >= portMax && port !== ofpp.IN_PORT && port !== ofpp.LOCAL)
          throw new OpenFlowError("OFPBAC_BAD_OUT_PORT", `${port} is not a port with queues`);
        break;
      }
      case code["group"]:
        if (view.getUint32(start + offsets.group, true) > 0xffffff00)
          throw new OpenFlowError("OFPBAC_BAD_OUT_GROUP", "the group's number is out of range");
        break;
      case code["conjunction"]:
        checkConjunctions(out, from, to);
        break;
      case code["learn"]:
        expand(out, matchAt, matchSize, state);
        checkLearn(readLearn(out.bytes, view, start));
        break;
      case code["bundle"]:
        checkMembers(out, start);
        if (view.getUint16(start + offsets.bundleBits, true) === 0) break;
        expand(out, matchAt, matchSize, state);
        // An action set's actions are not held against the flow: what they will meet is not known before it is run.
        checkAgainstFlow(out, start, opcode, name, context, inSet);
        break;
      case code["resubmit"]:
        if (view.getUint8(start + offsets.resubmitCt) === 0) break;
        expand(out, matchAt, matchSize, state);
        if (!flow.meets("ct")) throw inconsistent(name, "a tracked packet");
        break;
      case code["delete_field"]:
        fieldBits(plans[view.getUint16(start + offsets.deleted, true)] as FieldPlan);
        break;
      case code["goto_table"]: {
        const table = view.getUint32(start + offsets.gotoTable, true);
        if ((context.table !== 255 && table <= context.table) || table === 255) {
          throw new OpenFlowError("OFPBIC_BAD_TABLE_ID", `goto_table cannot lead to table ${table}`, { table });
        }
        break;
      }
      case code["set_field"]: {
        const { plan } = readSetField({ bytes: out.bytes, view, start, size });
        fieldBits(plan);
        if (!noPrereq.has(plan.prereq)) {
          expand(out, matchAt, matchSize, state);
          if (!flow.meets(plan.prereq)) throw inconsistent(name, plan.prereq);
        } else if (plan.name === "vlan_vid" || plan.name === "vlan_tci") {
          expand(out, matchAt, matchSize, state);
          if (plan.name === "vlan_vid" && (flow.u16(at.vlanTci) & 0x1000) === 0 && context.version > 1)
            throw inconsistent(name, "vlan_vid");
        }
        break;
      }
      case code["write_actions"]:
      case code["clone"]: {
        const inner = start + 8;
        check(
          out,
          matchAt,
          matchSize,
          inner,
          inner + view.getUint32(start + offsets.nested, true),
          context,
          state,
          opcode === code["write_actions"],
        );
        break;
      }
      default:
        if (opcode <= 3 && opcode !== code["output_reg"]) break;
        expand(out, matchAt, matchSize, state);
        // An action set's actions are not held against the flow: what they will meet is not known before it is run.
        checkAgainstFlow(out, start, opcode, name, context, inSet);
    }
    start += size;
  }
}

/** The packet type that actions so far give the packet, and the Ethernet type that it then has (-1: not known). */
function setPacketType(type: number, ethType: number): void {
  flow.setNumber(packetType, type);
  if (ethType >= 0) flow.setU16(at.ethType, ethType, 0xffff);
}

const isIp = (): boolean => flow.meets("ip");

function checkAgainstFlow(
  out: ByteWriter,
  start: number,
  opcode: number,
  name: string,
  context: CheckContext,
  inSet: boolean,
): void {
  const { view } = out;
  const strict = context.version > 1 && !inSet;
  const hasVlan = (flow.u16(at.vlanTci) & 0x1000) !== 0;
  switch (opcode) {
    case code["set_vlan_vid"]:
    case code["set_vlan_pcp"]: {
      const isVid = opcode === code["set_vlan_vid"];
      const limit = isVid ? view.getUint16(start + offsets.vid, true) > 0xfff : view.getUint8(start + offsets.pcp) > 7;
      if (limit) throw new OpenFlowError("OFPBAC_BAD_ARGUMENT", `${name} has a value out of range`);
      view.setUint8(start + (isVid ? offsets.vlanHas : offsets.pcpHas), hasVlan ? 1 : 0);
      const push = view.getUint8(start + (isVid ? offsets.vlanPush : offsets.pcpPush)) !== 0;
      if (!hasVlan && !push && strict) throw inconsistent(name, "a VLAN tag");
      flow.setU16(at.vlanTci, flow.u16(at.vlanTci) | 0x1000, flow.maskU16(at.vlanTci) | 0x1000);
      return;
    }
    case code["strip_vlan"]:
      if (!hasVlan && strict) throw inconsistent(name, "a VLAN tag");
      flow.setU16(at.vlanTci, 0, 0x1000);
      return;
    case code["push_vlan"]: {
      const tpid = view.getUint16(start + offsets.tpid, true);
      if (tpid !== 0x8100 && tpid !== 0x88a8)
        throw new OpenFlowError("OFPBAC_BAD_ARGUMENT", `${tpid} is not the Ethernet type of a VLAN tag`);
      flow.setU16(at.vlanTci, 0x1000, 0x1000);
      return;
    }
    case code["set_ipv4_src"]:
    case code["set_ipv4_dst"]:
      if (!flow.meets("ipv4") && strict) throw inconsistent(name, "ipv4");
      return;
    case code["set_ip_dscp"]:
      if ((view.getUint32(start + offsets.tos, true) & ~0xfc) !== 0)
        throw new OpenFlowError("OFPBAC_BAD_ARGUMENT", `${name} has a value out of range`);
      if (!isIp() && strict) throw inconsistent(name, "ip");
      return;
    case code["set_ip_ecn"]:
      if (view.getUint32(start + offsets.tos, true) > 3)
        throw new OpenFlowError("OFPBAC_BAD_ARGUMENT", `${name} has a value out of range`);
      if (!isIp() && strict) throw inconsistent(name, "ip");
      return;
    case code["set_ip_ttl"]:
    case code["dec_ttl"]:
      if (!isIp() && strict) throw inconsistent(name, "ip");
      return;
    case code["set_l4_src_port"]:
    case code["set_l4_dst_port"]: {
      const proto = flow.ipProto;
      if ((!isIp() || (proto !== 6 && proto !== 17 && proto !== 132)) && strict)
        throw inconsistent(name, "tcp, udp or sctp");
      view.setUint8(start + offsets.proto, Math.max(proto, 0));
      return;
    }
    case code["encap"]: {
      const type = newPacketType(view, start, true);
      setPacketType(type, type >>> 16 === 1 ? type & 0xffff : flow.ethType);
      if (!isIp()) flow.value[at.ipProto] = flow.mask[at.ipProto] = 0;
      return;
    }
    case code["decap"]:
      // What is behind another header than Ethernet is only known once the packet is there.
      if (flow.number(packetType) === 0) setPacketType(0x10000 + Math.max(flow.ethType, 0), flow.ethType);
      else setPacketType(0xffffffff, 0xffff);
      return;
    case code["dec_nsh_ttl"]:
      if (!flow.meets("nsh") && strict) throw inconsistent(name, "nsh");
      return;
    case code["move"]: {
      const bits = view.getUint16(start + offsets.moveBits, true);
      subfield(
        name,
        plans[view.getUint16(start + offsets.srcField, true)],
        view.getUint16(start + offsets.srcOfs, true),
        bits,
        false,
      );
      subfield(
        name,
        plans[view.getUint16(start + offsets.dstField, true)],
        view.getUint16(start + offsets.dstOfs, true),
        bits,
        true,
      );
      return;
    }
    case code["fin_timeout"]:
      if ((!isIp() || flow.ipProto !== 6) && strict) throw inconsistent(name, "tcp");
      return;
    case code["push_mpls"]: {
      const type = view.getUint16(start + offsets.mplsType, true);
      if (type !== 0x8847 && type !== 0x8848)
        throw new OpenFlowError("OFPBAC_BAD_ARGUMENT", `${type} is not the Ethernet type of MPLS`);
      flow.setU16(at.ethType, type, 0xffff);
      return;
    }
    case code["pop_mpls"]:
      if (!flow.meets("mpls") && strict) throw inconsistent(name, "mpls");
      flow.setU16(at.ethType, view.getUint16(start + offsets.mplsType, true), 0xffff);
      return;
    case code["set_mpls_label"]:
    case code["set_mpls_tc"]:
    case code["set_mpls_ttl"]:
    case code["dec_mpls_ttl"]:
      if (!flow.meets("mpls") && strict) throw inconsistent(name, "mpls");
      return;
    default: {
      const where = subfieldAt.get(opcode);
      if (where === undefined) return;
      subfield(
        name,
        plans[view.getUint16(start + where.field, true)],
        view.getUint16(start + where.ofs, true),
        view.getUint16(start + where.nBits, true),
        where.writes,
      );
    }
  }
}
