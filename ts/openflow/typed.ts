import { actionLayouts, eachAction, opcodeOf } from "./abi.js";
import { beginAction, endAction } from "./action-record.js";
import { bitMask, isFullMask, placeBits, putSetField, readSetField } from "./action-special.js";
import { ByteWriter } from "./bytes.js";
import { abiMatch } from "./codec-match.js";
import { OpenFlowError } from "./error.js";
import { type FieldPlan, KeyMatch, plans } from "./key-match.js";
import { normalize } from "./match10.js";
import type { AbiActions, AbiMatch, FlowMod } from "./message.js";
import { fieldByName, fieldId, fields } from "./tables/fields.js";
import { opcodes } from "./tables/opcodes.js";
import { formatEth, formatIpv4, formatIpv6, fromBig, parseEth, parseIpv4, parseIpv6, toBig } from "./text-value.js";

/** Matches and actions as plain objects, for programs.  Fields have ovs-ofctl's names.  Values of up to 32 bits are
 *  numbers, wider ones bigints, and addresses strings. */

export type FieldValue = number | bigint | string;
/** A field's value, or value and mask. */
export type MatchValue = FieldValue | readonly [value: FieldValue, mask: FieldValue];
export type Match = { readonly [field: string]: MatchValue };

export interface SubfieldRef {
  readonly field: string;
  /** Lowest bit; 0 when left out. */
  readonly ofs?: number;
  /** Number of bits; the rest of the field when left out. */
  readonly nBits?: number;
}

/** An action or instruction.  `type` is the opcode's name; members are the opcode's, in camel case, and those that are
 *  left out are 0. */
export type Action =
  | { readonly type: "output"; readonly port: number }
  | {
      readonly type: "controller";
      readonly maxLen?: number;
      readonly controllerId?: number;
      readonly reason?: number;
      readonly userdata?: Uint8Array;
    }
  | { readonly type: "set_field"; readonly field: string; readonly value: FieldValue; readonly mask?: FieldValue }
  | { readonly type: "load"; readonly to: SubfieldRef; readonly value: bigint | number }
  | { readonly type: "move"; readonly from: SubfieldRef; readonly to: SubfieldRef }
  | { readonly type: "push_vlan"; readonly ethertype: number }
  | { readonly type: "strip_vlan" }
  | { readonly type: "dec_ttl" }
  | { readonly type: "clear_actions" }
  | { readonly type: "exit" }
  | { readonly type: "resubmit"; readonly inPort?: number; readonly table?: number }
  | { readonly type: "goto_table"; readonly table: number }
  | { readonly type: "write_metadata"; readonly metadata: bigint; readonly mask: bigint }
  | { readonly type: "write_actions"; readonly actions: readonly Action[] }
  | { readonly type: "clone"; readonly actions: readonly Action[] }
  | { readonly type: "set_queue"; readonly queue: number }
  | { readonly type: "enqueue"; readonly port: number; readonly queue: number }
  | { readonly type: "group"; readonly group: number }
  | { readonly type: "meter"; readonly meter: number }
  /** Any other action, with its record as the ABI has it. */
  | { readonly type: "record"; readonly name: string; readonly bytes: Uint8Array };

export interface Flow {
  readonly table?: number;
  readonly priority?: number;
  readonly cookie?: bigint;
  readonly idleTimeout?: number;
  readonly hardTimeout?: number;
  readonly importance?: number;
  readonly match?: Match;
  readonly actions: readonly Action[];
}

function planNamed(name: string): FieldPlan {
  const row = fieldByName(name);
  if (row === undefined) throw new TypeError(`there is no match field ${name}; docs/reference/fields.md lists them`);
  return plans[fieldId(row)] as FieldPlan;
}

function bytesOf(plan: FieldPlan, value: FieldValue): Uint8Array {
  if (typeof value !== "string") {
    if (BigInt(value) < 0n || BigInt(value) >= 1n << BigInt(8 * plan.bytes))
      throw new RangeError(`${value} does not fit field ${plan.name}`);
    return fromBig(BigInt(value), plan.bytes);
  }
  const { format } = fields[plan.id] ?? { format: "hex" };
  const bytes =
    format === "eth"
      ? parseEth(value)
      : format === "ipv4"
        ? parseIpv4(value)
        : format === "ipv6"
          ? parseIpv6(value)
          : undefined;
  if (bytes === undefined) throw new TypeError(`${value} is not a value of field ${plan.name}`);
  return bytes;
}

function fieldValue(plan: FieldPlan, bytes: Uint8Array): FieldValue {
  const { format } = fields[plan.id] ?? { format: "hex" };
  if (format === "eth") return formatEth(bytes);
  if (format === "ipv4") return formatIpv4(bytes);
  if (format === "ipv6") return formatIpv6(bytes);
  return plan.bits > 32 ? toBig(bytes) : Number(toBig(bytes));
}

/** The ABI's match.  Throws OpenFlowError for a field without its prerequisites, which would match nothing that it says. */
export function matchFromObject(match: Match): AbiMatch {
  const key = new KeyMatch();
  const given: FieldPlan[] = [];
  for (const [name, entry] of Object.entries(match)) {
    const plan = planNamed(name === "in_port" ? "in_port_oxm" : name);
    const [value, mask] = Array.isArray(entry)
      ? (entry as readonly [FieldValue, FieldValue])
      : [entry as FieldValue, undefined];
    const both = new Uint8Array(2 * plan.bytes);
    both.set(bytesOf(plan, value));
    if (mask !== undefined) both.set(bytesOf(plan, mask), plan.bytes);
    key.setWire(plan, both, 0, mask === undefined ? -1 : plan.bytes);
    given.push(plan);
  }
  for (const plan of given) if (!key.meets(plan.prereq)) throw withoutPrerequisite(plan);
  normalize(key);
  return abiMatch(key);
}

function withoutPrerequisite({ name }: FieldPlan): OpenFlowError {
  return new OpenFlowError("OFPBMC_BAD_PREREQ", `a match on ${name} needs others that say that it is there`, {
    field: name,
  });
}

function overlap(a: FieldPlan, b: FieldPlan): boolean {
  return a.offset < b.offset + b.size && b.offset < a.offset + a.size;
}

/** Fields that another covers under the same name, or that only OpenFlow 1.0 tells apart. */
const covered = new Set(["in_port_oxm", "dl_vlan", "dl_vlan_pcp", "vlan_vid", "vlan_pcp", "nw_tos", "xreg", "xxreg"]);
const shown = plans.filter(
  (plan) =>
    !covered.has(plan.name.replace(/\d+$/, "")) && plan.name !== "in_port" && !plan.name.startsWith("tun_metadata"),
);
const inPort = planNamed("in_port_oxm");

/** The match as an object.  Throws OpenFlowError when it has a field that cannot be told because its prerequisites are not
 *  in the match. */
export function matchToObject(abi: AbiMatch): Match {
  const key = new KeyMatch();
  key.read(abi);
  const match: Record<string, MatchValue> = {};
  const told: FieldPlan[] = [];
  const untold: FieldPlan[] = [];
  if (!key.isWild(inPort)) match["in_port"] = key.number(inPort);
  for (const plan of shown) {
    if (key.isWild(plan)) continue;
    if (!key.meets(plan.prereq)) {
      untold.push(plan);
      continue;
    }
    told.push(plan);
    const value = fieldValue(plan, key.wireBytes(plan));
    match[plan.name] = key.isExact(plan) ? value : [value, fieldValue(plan, key.wireBytes(plan, key.mask))];
  }
  // Fields of several protocols share a place, and what is there is told as the field of one of them.
  const lost = untold.find((plan) => !told.some((other) => overlap(plan, other)));
  if (lost !== undefined) throw withoutPrerequisite(lost);
  return match;
}

const camel = (name: string): string => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

function subfield(ref: SubfieldRef): { plan: FieldPlan; ofs: number; nBits: number } {
  const plan = planNamed(ref.field);
  const ofs = ref.ofs ?? 0;
  return { plan, ofs, nBits: ref.nBits ?? plan.bits - ofs };
}

function append(out: ByteWriter, action: Action): void {
  switch (action.type) {
    case "record":
      out.put(action.bytes);
      return;
    case "set_field": {
      const plan = planNamed(action.field);
      const both = new Uint8Array(2 * plan.bytes);
      both.set(bytesOf(plan, action.value));
      if (action.mask !== undefined) both.set(bytesOf(plan, action.mask), plan.bytes);
      putSetField(out, plan, both, 0, action.mask === undefined ? -1 : plan.bytes);
      return;
    }
    case "load": {
      const { plan, ofs, nBits } = subfield(action.to);
      const both = new Uint8Array(2 * plan.bytes);
      both.set(placeBits(BigInt(action.value), ofs, plan.bytes));
      both.set(bitMask(plan.bytes, ofs, nBits), plan.bytes);
      putSetField(out, plan, both, 0, plan.bytes, 1, ofs, nBits);
      return;
    }
    case "move": {
      const [from, to] = [subfield(action.from), subfield(action.to)];
      members(out, "move", {
        nBits: to.nBits,
        srcField: from.plan.id,
        srcOfs: from.ofs,
        dstField: to.plan.id,
        dstOfs: to.ofs,
      });
      return;
    }
    case "write_actions":
    case "clone": {
      const inner = actionsFromObjects(action.actions);
      members(out, action.type, { actionsSize: inner.length }, inner);
      return;
    }
    case "controller":
      members(
        out,
        "controller",
        {
          maxLen: action.maxLen ?? 0xffff,
          controllerId: action.controllerId ?? 0,
          reason: action.reason ?? 1,
          meterId: 0xffffffff,
          userdataSize: action.userdata?.length ?? 0,
          form: action.userdata === undefined ? (action.controllerId ? 1 : 0) : 2,
        },
        action.userdata,
      );
      return;
    case "resubmit":
      members(out, "resubmit", { inPort: action.inPort ?? 0xfffffff8, table: action.table ?? 255, form: 1 });
      return;
    case "strip_vlan":
      members(out, "strip_vlan", { form: 1 });
      return;
    default:
      members(out, action.type, action);
  }
}

function members(out: ByteWriter, name: string, values: Readonly<Record<string, unknown>>, tail?: Uint8Array): void {
  const opcode = opcodeOf(name);
  const begin = beginAction(out, opcode);
  for (const { name: member, offset, size } of actionLayouts.get(opcode)?.members ?? []) {
    const value = values[camel(member)];
    if (member === "opcode" || member === "size" || (typeof value !== "number" && typeof value !== "bigint")) continue;
    if (size === 8) out.view.setBigUint64(begin + offset, BigInt(value), true);
    else if (size === 4) out.view.setUint32(begin + offset, Number(value), true);
    else if (size === 2) out.view.setUint16(begin + offset, Number(value), true);
    else out.view.setUint8(begin + offset, Number(value));
  }
  if (tail !== undefined) out.put(tail);
  endAction(out, begin);
}

export function actionsFromObjects(actions: readonly Action[]): AbiActions {
  const out = new ByteWriter(128);
  for (const action of actions) append(out, action);
  return out.finish();
}

/** Opcodes whose members are all that the typed action says. */
const plain = new Set([
  "output",
  "push_vlan",
  "strip_vlan",
  "dec_ttl",
  "clear_actions",
  "exit",
  "goto_table",
  "write_metadata",
  "set_queue",
  "enqueue",
  "group",
  "meter",
]);
const nameOf = new Map(opcodes.map((row) => [row.opcode, row.name]));

export function actionsToObjects(abi: AbiActions): Action[] {
  const view = new DataView(abi.buffer, abi.byteOffset, abi.byteLength);
  const result: Action[] = [];
  for (const { opcode, start, size } of eachAction(abi)) {
    const name = nameOf.get(opcode) ?? "";
    const record = { bytes: abi, view, start, size };
    const bytes = abi.slice(start, start + size);
    if (name === "set_field") {
      const { plan, value, mask, form, ofs, nBits } = readSetField(record);
      const field = fields[plan.id]?.name ?? "";
      if (form === 1)
        result.push({
          type: "load",
          to: { field, ofs, nBits },
          value: (toBig(value) >> BigInt(ofs)) & ((1n << BigInt(nBits)) - 1n),
        });
      else
        result.push({
          type: "set_field",
          field,
          value: fieldValue(plan, value),
          ...(isFullMask(plan, mask) ? {} : { mask: fieldValue(plan, mask) }),
        });
    } else if (name === "write_actions" || name === "clone") {
      const layout = actionLayouts.get(opcode);
      const from = start + (layout?.size ?? 8);
      result.push({
        type: name,
        actions: actionsToObjects(abi.subarray(from, from + view.getUint32(start + 4, true))),
      });
    } else if (plain.has(name) && actionLayouts.get(opcode)?.size === size) {
      const object: Record<string, unknown> = { type: name };
      for (const member of actionLayouts.get(opcode)?.members ?? []) {
        if (
          ["opcode", "size", "max_len", "form", "n_controllers"].includes(member.name) ||
          member.name.startsWith("pad")
        )
          continue;
        const at = start + member.offset;
        object[camel(member.name)] =
          member.size === 8
            ? view.getBigUint64(at, true)
            : member.size === 4
              ? view.getUint32(at, true)
              : member.size === 2
                ? view.getUint16(at, true)
                : view.getUint8(at);
      }
      result.push(object as Action);
    } else result.push({ type: "record", name, bytes });
  }
  return result;
}

/** A flow_mod that adds the flow. */
export function flowModOfFlow(flow: Flow, command = 0): FlowMod {
  return {
    type: "flow_mod",
    standard: true,
    command,
    tableId: flow.table ?? 0,
    priority: flow.priority ?? 32768,
    cookie: 0n,
    cookieMask: 0n,
    newCookie: flow.cookie ?? 0n,
    modifyCookie: flow.cookie !== undefined,
    idleTimeout: flow.idleTimeout ?? 0,
    hardTimeout: flow.hardTimeout ?? 0,
    bufferId: 0xffffffff,
    outPort: 0xffffffff,
    outGroup: 0xffffffff,
    importance: flow.importance ?? 0,
    flags: 0,
    match: matchFromObject(flow.match ?? {}),
    actions: actionsFromObjects(flow.actions),
  };
}
