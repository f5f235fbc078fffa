import { actionLayout, eachAction, type Layout, opcodeOf } from "./abi.js";
import { formatDecap, formatEncap, parseDecap, parseEncap } from "./action-encap.js";
import { putLearn, readLearn } from "./action-learn.js";
import { beginAction, controllerAt, endAction, type RecordAt } from "./action-record.js";
import { bitMask, bitsOf, isFullMask, placeBits, putSetField, readSetField } from "./action-special.js";
import { ByteWriter } from "./bytes.js";
import { FlowSyntaxError } from "./error.js";
import type { AbiActions } from "./message.js";
import { type ActionRow, actions as actionRows } from "./tables/actions.js";
import { type FieldRow, fields } from "./tables/fields.js";
import { ofpp } from "./tables/ports.js";
import { formatLearn, parseLearn } from "./text-learn.js";
import { keyValues } from "./text-match.js";
import { formatSubfield, parseSubfield, type Subfield } from "./text-subfield.js";
import {
  formatEth,
  formatIpv4,
  formatPort,
  formatValue,
  hex,
  needNumber,
  type PortNames,
  parseEth,
  parseIpv4,
  parseNumber,
  parsePort,
  parseValue,
  toBig,
} from "./text-value.js";

/** Actions as ovs-ofctl writes them. */

interface Template {
  readonly head: string;
  readonly member: string;
  readonly kind: string;
  readonly tail: string;
}

function template(text: string): Template {
  const found = /^([^{]*)\{(\w+):(\w+)\}(.*)$/.exec(text);
  if (found === null) return { head: text, member: "", kind: "", tail: "" };
  return { head: found[1] as string, member: found[2] as string, kind: found[3] as string, tail: found[4] as string };
}

const templates = new Map<number, { row: ActionRow; main: Template }>();
const byHead = new Map<string, { row: ActionRow; main: Template }>();
for (const row of actionRows) {
  if (row.text === undefined) continue;
  const entry = { row, main: template(row.text) };
  templates.set(opcodeOf(row.opcode), entry);
  byHead.set(row.name, entry);
}

/** Other names that are read. */
const aliases: Readonly<Record<string, string>> = {
  set_nw_src: "mod_nw_src",
  set_nw_dst: "mod_nw_dst",
  set_dl_src: "mod_dl_src",
  set_dl_dst: "mod_dl_dst",
  pop_vlan: "strip_vlan",
  set_nw_ttl: "mod_nw_ttl",
};

const opcode = Object.fromEntries(
  [
    "output",
    "output_reg",
    "output_trunc",
    "controller",
    "set_field",
    "move",
    "set_vlan_vid",
    "set_vlan_pcp",
    "strip_vlan",
    "dec_ttl",
    "resubmit",
    "write_metadata",
    "write_actions",
    "note",
    "clone",
    "stack_push",
    "stack_pop",
    "set_tunnel",
    "enqueue",
    "fin_timeout",
    "conjunction",
    "multipath",
    "bundle",
    "learn",
    "check_pkt_larger",
    "sample",
    "encap",
    "decap",
  ].map((name) => [name, opcodeOf(name)]),
) as Readonly<Record<string, number>>;
const of = (name: string): number => opcode[name] as number;

/** A record's members by name. */
class RecordView {
  readonly record: RecordAt;
  readonly layout: Layout;
  constructor(record: RecordAt) {
    this.record = record;
    this.layout = actionLayout(record.view.getUint16(record.start, true));
  }
  number(member: string): number {
    const { view, start } = this.record;
    const { offset, size } = this.#member(member);
    if (size === 1) return view.getUint8(start + offset);
    return size === 2 ? view.getUint16(start + offset, true) : view.getUint32(start + offset, true);
  }
  big(member: string): bigint {
    return this.record.view.getBigUint64(this.record.start + this.#member(member).offset, true);
  }
  at(member: string): number {
    return this.record.start + this.#member(member).offset;
  }
  get tail(): number {
    return this.record.start + this.layout.size;
  }
  #member(name: string): { offset: number; size: number } {
    const found = this.layout.members.find((member) => member.name === name);
    if (found === undefined) throw new Error(`${this.layout.name} has no member ${name}`);
    return found;
  }
}

type Values = Readonly<Record<string, number | bigint | Uint8Array>>;

function put(out: ByteWriter, name: string, values: Values, tail?: () => void): void {
  const number = opcodeOf(name);
  const layout = actionLayout(number);
  const begin = beginAction(out, number);
  for (const [member, value] of Object.entries(values)) {
    const place = layout.members.find((one) => one.name === member);
    if (place === undefined) throw new Error(`${name} has no member ${member}`);
    const at = begin + place.offset;
    if (value instanceof Uint8Array) out.bytes.set(value, at);
    else if (place.size === 8) out.view.setBigUint64(at, BigInt(value), true);
    else if (place.size === 4) out.view.setUint32(at, Number(value), true);
    else if (place.size === 2) out.view.setUint16(at, Number(value), true);
    else out.view.setUint8(at, Number(value));
  }
  tail?.();
  endAction(out, begin);
}

/** Pieces of `text` between commas and spaces that stand outside of parentheses and brackets. */
function split(text: string): string[] {
  const pieces: string[] = [];
  let depth = 0;
  let piece = "";
  for (const char of text) {
    if (char === "(" || char === "[") depth += 1;
    if (char === ")" || char === "]") depth -= 1;
    if (depth <= 0 && /[,\s]/.test(char)) {
      if (piece !== "") pieces.push(piece);
      piece = "";
    } else piece += char;
  }
  if (depth > 0) throw new FlowSyntaxError(`${text}: missing closing parenthesis`);
  if (piece !== "") pieces.push(piece);
  return pieces;
}

interface Context {
  readonly ports: PortNames | undefined;
  readonly out: ByteWriter;
}

type Parser = (argument: string, context: Context) => void;

const needPort = (text: string, context: Context): number => {
  const port = parsePort(text, context.ports);
  if (port === undefined) throw new FlowSyntaxError(`${text}: unknown or invalid port`);
  return port;
};

const hashFields = [
  "eth_src",
  "symmetric_l4",
  "symmetric_l3l4",
  "symmetric_l3l4+udp",
  "nw_src",
  "nw_dst",
  "symmetric_l3",
];
const bundleAlgorithms = ["active_backup", "hrw"];
const algorithms = ["modulo_n", "hash_threshold", "hrw", "iter_hash"];
const reasons = ["no_match", "action", "invalid_ttl", "action_set", "group", "packet_out"];

function putController(
  out: ByteWriter,
  values: {
    maxLen: number;
    id?: number;
    reason?: number;
    pause?: boolean;
    meter?: number;
    userdata?: Uint8Array;
    form: number;
  },
): void {
  const userdata = values.userdata ?? new Uint8Array(0);
  put(
    out,
    "controller",
    {
      max_len: values.maxLen,
      controller_id: values.id ?? 0,
      reason: values.reason ?? 1,
      pause: values.pause === true ? 1 : 0,
      meter_id: values.meter ?? 0xffffffff,
      userdata_size: userdata.length,
      form: values.form,
    },
    () => out.put(userdata),
  );
}

function parseHexBytes(text: string): Uint8Array {
  const digits = text.replace(/\./g, "");
  if (digits.length % 2 !== 0 || /[^0-9a-fA-F]/.test(digits))
    throw new FlowSyntaxError("bad hex digit in `note' argument");
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function parseController(argument: string, { out }: Context): void {
  if (argument === "" || /^\d+$/.test(argument)) {
    putController(out, { maxLen: argument === "" ? 0xffff : Number(needNumber(argument, 16, "max_len")), form: 0 });
    return;
  }
  let maxLen = 0xffff;
  let id = 0;
  let reason = 1;
  let pause = false;
  let meter = 0xffffffff;
  let userdata = new Uint8Array(0);
  for (const { key, value } of keyValues(argument)) {
    if (key === "max_len") maxLen = Number(needNumber(value ?? "", 16, "max_len"));
    else if (key === "id") id = Number(needNumber(value ?? "", 16, "id"));
    else if (key === "reason") {
      reason = reasons.indexOf(value ?? "");
      if (reason < 0) throw new FlowSyntaxError(`unknown reason "${value}"`);
    } else if (key === "pause") pause = true;
    else if (key === "meter_id") meter = Number(needNumber(value ?? "", 32, "meter_id"));
    else if (key === "userdata") userdata = parseHexBytes(value ?? "") as Uint8Array<ArrayBuffer>;
    else throw new FlowSyntaxError(`unknown key "${key}" parsing controller action`);
  }
  const simple = userdata.length === 0 && !pause && meter === 0xffffffff;
  putController(out, {
    maxLen,
    id,
    reason,
    pause,
    meter,
    userdata,
    form: simple ? (id === 0 && reason === 1 ? 0 : 1) : 2,
  });
}

function arrow(text: string, name: string): [string, string] {
  const at = text.indexOf("->");
  if (at < 0) throw new FlowSyntaxError(`${name}:${text}: missing \`->'`);
  return [text.slice(0, at), text.slice(at + 2)];
}

function needWritable(sub: Subfield, text: string): void {
  if (!sub.plan.writable) throw new FlowSyntaxError(`${text}: destination field ${sub.row.name} is not writable`);
}

const parsers: Readonly<Record<string, Parser>> = {
  output: (argument, context) => {
    const trunc = /^\s*port=/.test(argument);
    if (trunc) {
      const items = new Map(keyValues(argument).map(({ key, value }) => [key, value ?? ""]));
      put(context.out, "output_trunc", {
        port: needPort(items.get("port") ?? "", context),
        max_len: needNumber(items.get("max_len") ?? "", 32, "max_len"),
      });
      return;
    }
    const port = parsePort(argument, context.ports);
    if (port === undefined) {
      const { plan, ofs, nBits } = parseSubfield(argument);
      put(context.out, "output_reg", { field: plan.id, ofs, n_bits: nBits, max_len: 0xffff });
    } else if (port === ofpp.CONTROLLER) putController(context.out, { maxLen: 0xffff, form: 0 });
    else put(context.out, "output", { port, max_len: 0 });
  },
  controller: parseController,
  mod_vlan_vid: (argument, { out }) => put(out, "set_vlan_vid", { vid: vlanVid(argument), push: 1 }),
  set_vlan_vid: (argument, { out }) => put(out, "set_vlan_vid", { vid: vlanVid(argument), push: 0 }),
  mod_vlan_pcp: (argument, { out }) => put(out, "set_vlan_pcp", { pcp: vlanPcp(argument), push: 1 }),
  set_vlan_pcp: (argument, { out }) => put(out, "set_vlan_pcp", { pcp: vlanPcp(argument), push: 0 }),
  strip_vlan: (_argument, { out }) => put(out, "strip_vlan", { form: 0 }),
  pop_vlan: (_argument, { out }) => put(out, "strip_vlan", { form: 1 }),
  mod_tp_src: (argument, { out }) => put(out, "set_l4_src_port", { port: needNumber(argument, 16, "source port") }),
  mod_tp_dst: (argument, { out }) =>
    put(out, "set_l4_dst_port", { port: needNumber(argument, 16, "destination port") }),
  dec_ttl: (argument, { out }) => {
    const ids = argument === "" ? [] : split(argument).map((id) => Number(needNumber(id, 16, "controller id")));
    put(out, "dec_ttl", { n_controllers: ids.length, form: ids.length === 0 ? 0 : 1 }, () => {
      for (const id of ids) out.u16Le(id);
    });
  },
  set_field: (argument, { out, ports }) => {
    const [text, name] = arrow(argument, "set_field");
    const sub = parseSubfield(name);
    if (sub.nBits !== sub.row.bits) {
      loadValue(out, sub, needNumber(text, 64, "value"), 0, text);
      return;
    }
    if (!sub.plan.writable) throw new FlowSyntaxError(`${name} is read-only`);
    const { value, mask } = parseValue(sub.row, text, ports);
    const both = new Uint8Array(2 * value.length);
    both.set(value);
    if (mask !== undefined) {
      for (let index = 0; index < value.length; index++)
        both[index] = (value[index] as number) & (mask[index] as number);
      both.set(mask, value.length);
    }
    if (sub.row.bits < 64 && toBig(value) >= 1n << BigInt(sub.row.bits))
      throw new FlowSyntaxError(`${text}: value too large for ${sub.row.bits}-bit field ${sub.row.name}`);
    putSetField(out, sub.plan, both, 0, mask === undefined ? -1 : value.length);
  },
  load: (argument, { out }) => {
    const [text, name] = arrow(argument, "load");
    const sub = parseSubfield(name);
    needWritable(sub, `load:${argument}`);
    const value = parseNumber(text.trim());
    if (value === undefined) throw new FlowSyntaxError(`load:${argument}: cannot parse integer value`);
    loadValue(out, sub, value, 1, argument);
  },
  move: (argument, { out }) => {
    const [from, to] = arrow(argument, "move").map(parseSubfield) as [Subfield, Subfield];
    if (from.nBits !== to.nBits) {
      throw new FlowSyntaxError(
        `${argument}: source field is ${from.nBits} bits wide but destination is ${to.nBits} bits wide`,
      );
    }
    needWritable(to, `move:${argument}`);
    put(out, "move", {
      n_bits: from.nBits,
      src_field: from.plan.id,
      src_ofs: from.ofs,
      dst_field: to.plan.id,
      dst_ofs: to.ofs,
    });
  },
  push: (argument, { out }) => {
    const { plan, ofs, nBits } = parseSubfield(argument);
    put(out, "stack_push", { field: plan.id, ofs, n_bits: nBits });
  },
  pop: (argument, { out }) => {
    const sub = parseSubfield(argument);
    needWritable(sub, `pop:${argument}`);
    put(out, "stack_pop", { field: sub.plan.id, ofs: sub.ofs, n_bits: sub.nBits });
  },
  set_tunnel: (argument, { out }) => {
    const id = needNumber(argument, 64, "tunnel id");
    put(out, "set_tunnel", { form: id > 0xffffffffn ? 1 : 0, tun_id: id });
  },
  set_tunnel64: (argument, { out }) =>
    put(out, "set_tunnel", { form: 1, tun_id: needNumber(argument, 64, "tunnel id") }),
  enqueue: (argument, context) => {
    const [port = "", queue = ""] = argument.split(/[:,]/);
    if (queue === "") throw new FlowSyntaxError('"enqueue" syntax is "enqueue:PORT:QUEUE" or "enqueue(PORT,QUEUE)"');
    put(context.out, "enqueue", { port: needPort(port, context), queue: needNumber(queue, 32, "queue") });
  },
  resubmit: (argument, context) => {
    const [port = "", table, ct] = argument.split(",").map((part) => part.trim());
    const form = table === undefined && !argument.includes(",") ? 0 : 1;
    // 255 names no table.
    if (port === "" && (table === undefined || table === "" || parseNumber(table) === 255n))
      throw new FlowSyntaxError('at least one "in_port" or "table" must be specified on resubmit');
    const isTable = table !== undefined && table !== "";
    put(context.out, "resubmit", {
      in_port: port === "" ? ofpp.IN_PORT : needPort(port, context),
      table: isTable ? needNumber(table, 8, "table") : 255,
      with_ct: ct === "ct" ? 1 : 0,
      form,
    });
  },
  fin_timeout: (argument, { out }) => {
    const items = new Map(keyValues(argument).map(({ key, value }) => [key, value ?? ""]));
    put(out, "fin_timeout", {
      idle_timeout: needNumber(items.get("idle_timeout") ?? "0", 16, "idle_timeout"),
      hard_timeout: needNumber(items.get("hard_timeout") ?? "0", 16, "hard_timeout"),
    });
  },
  note: (argument, { out }) => {
    const bytes = parseHexBytes(argument);
    // A note's wire form ends on a multiple of 8 bytes after a header of 10.
    const size = ((bytes.length + 10 + 7) & ~7) - 10;
    put(out, "note", { note_size: size }, () => {
      out.put(bytes);
      out.zeros(size - bytes.length);
    });
  },
  clone: (argument, context) => nested("clone", argument, context),
  write_actions: (argument, context) => nested("write_actions", argument, context),
  apply_actions: () => {
    throw new FlowSyntaxError("apply_actions is the default instruction");
  },
  learn: (argument, { out, ports }) => putLearn(out, parseLearn(argument, ports)),
  multipath: (argument, { out }) => {
    const [fields = "", basis = "", algorithm = "", links = "", arg = "", destination] = argument
      .split(",")
      .map((part) => part.trim());
    if (destination === undefined) throw new FlowSyntaxError(`${argument}: not enough arguments to multipath action`);
    const hash = hashFields.indexOf(fields);
    if (hash < 0) throw new FlowSyntaxError(`${argument}: unknown fields \`${fields}'`);
    const kind = algorithms.indexOf(algorithm);
    if (kind < 0) throw new FlowSyntaxError(`${argument}: unknown algorithm \`${algorithm}'`);
    const count = needNumber(links, 17, "n_links");
    if (count < 1n || count > 65536n)
      throw new FlowSyntaxError(`${argument}: n_links ${count} is not in valid range 1 to 65536`);
    const sub = parseSubfield(destination);
    if (sub.nBits < 16 && count > 1n << BigInt(sub.nBits)) {
      throw new FlowSyntaxError(
        `${argument}: ${sub.nBits}-bit destination field has ${2 ** sub.nBits} possible values, less than specified n_links ${count}`,
      );
    }
    put(out, "multipath", {
      fields: hash,
      basis: needNumber(basis, 16, "basis"),
      algorithm: kind,
      max_link: count - 1n,
      arg: needNumber(arg, 32, "arg"),
      field: sub.plan.id,
      ofs: sub.ofs,
      n_bits: sub.nBits,
    });
  },
  bundle: (argument, context) => parseBundle(argument, context, false),
  bundle_load: (argument, context) => parseBundle(argument, context, true),
  sample: (argument, context) => {
    const values: Record<string, bigint | number> = {
      probability: 0,
      direction: 0,
      collector_set_id: 0,
      obs_domain_id: 0,
      obs_point_id: 0,
      sampling_port: 0xffffffff,
    };
    for (const { key, value } of keyValues(argument)) {
      if (key === "ingress" || key === "egress") values["direction"] = key === "ingress" ? 1 : 2;
      else if (key === "sampling_port") values[key] = needPort(value ?? "", context);
      else if (key in values) values[key] = needNumber(value ?? "", key === "probability" ? 16 : 32, key);
      else throw new FlowSyntaxError(`invalid key "${key}" in "sample" argument`);
    }
    if (values["probability"] === 0 || values["probability"] === 0n)
      throw new FlowSyntaxError(`invalid probability value "${argument}"`);
    put(context.out, "sample", values);
  },
  write_metadata: (argument, { out }) => {
    const [value = "", mask] = argument.split("/");
    put(out, "write_metadata", {
      metadata: needNumber(value, 64, "metadata"),
      mask: mask === undefined ? 0xffffffffffffffffn : needNumber(mask, 64, "metadata mask"),
    });
  },
  conjunction: (argument, { out }) => {
    const found = /^(\w+),\s*(\d+)\/(\d+)$/.exec(argument.trim());
    if (found === null) throw new FlowSyntaxError(`${argument}: conjunction syntax is "conjunction(id,k/n)"`);
    const clauses = Number(found[3]);
    const clause = Number(found[2]);
    if (clauses < 2 || clauses > 64)
      throw new FlowSyntaxError(
        clauses < 2 ? "conjunction must have at least 2 clauses" : "conjunction must have at most 64 clauses",
      );
    if (clause < 1 || clause > clauses)
      throw new FlowSyntaxError("clause index must be between 1 and number of clauses");
    put(out, "conjunction", {
      clause: clause - 1,
      n_clauses: clauses,
      id: needNumber(found[1] as string, 32, "conjunction id"),
    });
  },
  encap: (argument, { out }) => {
    const { newType, props } = parseEncap(argument);
    put(out, "encap", { new_pkt_type: newType, props_size: props.length }, () => out.put(props));
  },
  decap: (argument, { out }) => put(out, "decap", { new_pkt_type: parseDecap(argument) }),
  check_pkt_larger: (argument, { out }) => {
    const found = /^(\d+)\)?->(.+)$/.exec(argument);
    if (found === null) throw new FlowSyntaxError(`check_pkt_larger(${argument}: missing \`->'`);
    const { plan, ofs, nBits } = parseSubfield(found[2] as string);
    put(out, "check_pkt_larger", {
      pkt_len: needNumber(found[1] as string, 16, "packet length"),
      field: plan.id,
      ofs,
      n_bits: nBits,
    });
  },
};

function parseBundle(argument: string, context: Context, load: boolean): void {
  const found = /^([\s\S]*?)(?:,\s*)?\b(members|slaves)\s*:([\s\S]*)$/i.exec(argument);
  const words = (found?.[1] ?? argument).split(/[,\s]+/).filter((word) => word !== "");
  const [fields = "", basis = "", algorithm = "", type = "", destination] = words;
  const wanted = load ? 5 : 4;
  if (words.length < wanted || (found === null && words.length === wanted))
    throw new FlowSyntaxError(`${argument}: not enough arguments to bundle action`);
  if (found === null || words.length > wanted)
    throw new FlowSyntaxError(
      `${argument}: missing member delimiter, expected \`members', got \`${words[wanted]?.split(":")[0] ?? ""}'`,
    );
  const members = (found[3] as string).split(/[,\s[\]]+/).filter((member) => member !== "");
  const ports = members.map((member) => {
    const port = parsePort(member, context.ports);
    if (port === undefined) throw new FlowSyntaxError(`${member}: bad port number`);
    return port;
  });
  const hash = hashFields.indexOf(fields.toLowerCase());
  if (hash < 0) throw new FlowSyntaxError(`${argument}: unknown fields \`${fields}'`);
  const kind = bundleAlgorithms.indexOf(algorithm.toLowerCase());
  if (kind < 0) throw new FlowSyntaxError(`${argument}: unknown algorithm \`${algorithm}'`);
  if (type.toLowerCase() !== "ofport") throw new FlowSyntaxError(`${argument}: unknown member_type \`${type}'`);
  const to = load ? parseSubfield(destination as string) : undefined;
  put(
    context.out,
    "bundle",
    {
      algorithm: kind,
      fields: hash,
      basis: needNumber(basis, 16, "basis"),
      field: to?.plan.id ?? 0,
      ofs: to?.ofs ?? 0,
      n_bits: to?.nBits ?? 0,
      n_members: ports.length,
    },
    () => {
      for (const port of ports) context.out.u32Le(port);
    },
  );
}

function formatBundle(view: RecordView, ports?: PortNames): string {
  const { record } = view;
  const members = Array.from({ length: view.number("n_members") }, (_, index) =>
    formatPort(record.view.getUint32(view.tail + 4 * index, true), ports),
  );
  const hash = hashFields[view.number("fields")] ?? "<unknown>";
  const algorithm = bundleAlgorithms[view.number("algorithm")] ?? "<unknown>";
  const load = view.number("n_bits") === 0 ? "" : `${sub(view)},`;
  return `bundle${load === "" ? "" : "_load"}(${hash},${view.number("basis")},${algorithm},ofport,${load}members:${members.join(",")})`;
}

function vlanVid(text: string): number {
  const number = parseNumber(text);
  if (number === undefined || number > 0xfffn) throw new FlowSyntaxError(`${text}: not a valid VLAN VID`);
  return Number(number);
}

function vlanPcp(text: string): number {
  const number = parseNumber(text);
  if (number === undefined || number > 7n) throw new FlowSyntaxError(`${text}: not a valid VLAN PCP`);
  return Number(number);
}

function loadValue(out: ByteWriter, sub: Subfield, value: bigint, form: number, text: string): void {
  if (sub.nBits < 64 && value >> BigInt(sub.nBits) !== 0n)
    throw new FlowSyntaxError(`${text}: value ${value} does not fit into ${sub.nBits} bits`);
  const both = new Uint8Array(2 * sub.plan.bytes);
  both.set(placeBits(value, sub.ofs, sub.plan.bytes));
  both.set(bitMask(sub.plan.bytes, sub.ofs, sub.nBits), sub.plan.bytes);
  putSetField(out, sub.plan, both, 0, sub.plan.bytes, form, sub.ofs, sub.nBits);
}

function nested(name: string, argument: string, context: Context): void {
  const inner = new ByteWriter(64);
  parseInto(argument, { ...context, out: inner });
  put(context.out, name, { actions_size: inner.position }, () => context.out.put(inner.finish()));
}

function fromTemplate(entry: { row: ActionRow; main: Template }, argument: string, { out }: Context): void {
  const { row, main } = entry;
  if (main.member === "") {
    put(out, row.opcode, {});
    return;
  }
  const what = row.name;
  const bits: Readonly<Record<string, number>> = { u8: 8, u16: 16, u32: 32, u64: 64, hex4: 16 };
  if (main.kind === "eth" || main.kind === "ipv4") {
    const bytes = main.kind === "eth" ? parseEth(argument) : parseIpv4(argument);
    if (bytes === undefined)
      throw new FlowSyntaxError(`${argument}: invalid ${main.kind === "eth" ? "Ethernet" : "IP"} address`);
    put(out, row.opcode, { [main.member]: bytes });
    return;
  }
  const value = needNumber(argument, bits[main.kind] ?? 32, what);
  if (row.name === "mod_nw_tos" && (value & ~0xfcn) !== 0n) throw new FlowSyntaxError(`${argument}: not a valid TOS`);
  if (row.name === "mod_nw_ecn" && value > 3n) throw new FlowSyntaxError(`${argument}: not a valid ECN`);
  put(out, row.opcode, { [main.member]: value });
}

function parseInto(text: string, context: Context): void {
  for (const piece of split(text)) {
    const found = /^([^:=(]+)(?:([:=(])([\s\S]*))?$/.exec(piece);
    const key = (found?.[1] ?? piece).trim();
    let argument = found?.[3] ?? "";
    if (found?.[2] === "(" && argument.endsWith(")")) argument = argument.slice(0, -1);
    if (key === "drop") {
      if (text.trim() !== "drop")
        throw new FlowSyntaxError('"drop" must not be accompanied by any other action or instruction');
      continue;
    }
    const name = parsers[key] === undefined ? (aliases[key] ?? key) : key;
    const parser = parsers[name];
    const entry = byHead.get(name);
    if (parser !== undefined) parser(argument, context);
    else if (entry !== undefined) fromTemplate(entry, argument, context);
    else {
      const port =
        found?.[2] === undefined
          ? parsePort(key, context.ports)
          : found[2] === ":" && key.toUpperCase() === "CONTROLLER"
            ? ofpp.CONTROLLER
            : undefined;
      if (port === undefined) {
        if (actionRows.some((row) => row.name === key)) throw new FlowSyntaxError(`action ${key} is not supported`);
        throw new FlowSyntaxError(`unknown action ${key}`);
      }
      if (port === ofpp.CONTROLLER) parseController(argument, context);
      else put(context.out, "output", { port, max_len: 0 });
    }
  }
}

/** Reads actions and instructions as they stand after `actions=`. */
export function parseActions(text: string, ports?: PortNames): AbiActions {
  const out = new ByteWriter(128);
  parseInto(text, { ports, out });
  return out.finish();
}

const hexBytes = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(".");

function formatController(view: RecordView): string {
  const { record } = view;
  const maxLen = view.number("max_len");
  const reason = view.number("reason");
  const id = view.number("controller_id");
  const userdata = view.number("userdata_size");
  const meter = record.view.getUint32(record.start + controllerAt.meter, true);
  const pause = view.number("pause") !== 0;
  if (reason === 1 && id === 0 && userdata === 0 && !pause && meter === 0xffffffff) return `CONTROLLER:${maxLen}`;
  const parts: string[] = [];
  if (reason !== 1) parts.push(`reason=${reasons[reason] ?? ""}`);
  if (maxLen !== 0xffff) parts.push(`max_len=${maxLen}`);
  if (id !== 0) parts.push(`id=${id}`);
  if (userdata !== 0) parts.push(`userdata=${hexBytes(record.bytes.subarray(view.tail, view.tail + userdata))}`);
  if (pause) parts.push("pause");
  if (meter !== 0xffffffff) parts.push(`meter_id=${meter}`);
  return `controller(${parts.join(",")})`;
}

function formatSetField(record: RecordAt, ports?: PortNames): string {
  const { plan, value, mask, form, ofs, nBits } = readSetField(record);
  const row = fields[plan.id] as FieldRow;
  if (form === 1) return `load:${hex(bitsOf(value, ofs, nBits))}->${formatSubfield(plan.id, ofs, nBits)}`;
  const exact = isFullMask(plan, mask);
  return `set_field:${formatValue(row, value, exact ? undefined : mask, ports)}->${row.name === "in_port_oxm" ? "in_port" : row.name}`;
}

const sub = (view: RecordView): string =>
  formatSubfield(view.number("field"), view.number("ofs"), view.number("n_bits"));

/** Prints one record. */
export function formatAction(record: RecordAt, ports?: PortNames): string {
  const view = new RecordView(record);
  const number = record.view.getUint16(record.start, true);
  const entry = templates.get(number);
  if (entry !== undefined) {
    const { head, member, kind, tail } = entry.main;
    if (member === "") return head;
    const text =
      kind === "eth"
        ? formatEth(record.bytes, view.at(member))
        : kind === "ipv4"
          ? formatIpv4(record.bytes, view.at(member))
          : kind === "hex4"
            ? `0x${view.number(member).toString(16).padStart(4, "0")}`
            : String(view.number(member));
    return `${head}${text}${tail}`;
  }
  switch (number) {
    case of("output"): {
      const port = view.number("port");
      return port < 0xff00 && ports?.nameOf(port) === undefined
        ? `output:${port}`
        : port < 0xff00
          ? `output:${formatPort(port, ports)}`
          : formatPort(port, ports);
    }
    case of("output_reg"):
      return `output:${sub(view)}`;
    case of("output_trunc"):
      return `output(port=${formatPort(view.number("port"), ports)},max_len=${view.number("max_len")})`;
    case of("controller"):
      return formatController(view);
    case of("set_field"):
      return formatSetField(record, ports);
    case of("move"):
      return `move:${formatSubfield(view.number("src_field"), view.number("src_ofs"), view.number("n_bits"))}->${formatSubfield(view.number("dst_field"), view.number("dst_ofs"), view.number("n_bits"))}`;
    case of("set_vlan_vid"):
      return `${view.number("push") !== 0 ? "mod" : "set"}_vlan_vid:${view.number("vid")}`;
    case of("set_vlan_pcp"):
      return `${view.number("push") !== 0 ? "mod" : "set"}_vlan_pcp:${view.number("pcp")}`;
    case of("strip_vlan"):
      return view.number("form") === 0 ? "strip_vlan" : "pop_vlan";
    case opcodeOf("set_l4_src_port"):
      return `mod_tp_src:${view.number("port")}`;
    case opcodeOf("set_l4_dst_port"):
      return `mod_tp_dst:${view.number("port")}`;
    case of("dec_ttl"): {
      const count = view.number("n_controllers");
      if (count === 0) return "dec_ttl";
      return `dec_ttl(${Array.from({ length: count }, (_, index) => record.view.getUint16(view.tail + 2 * index, true)).join(",")})`;
    }
    case of("resubmit"):
      return formatResubmit(view, ports);
    case opcodeOf("unroll_xlate"):
      return `unroll_xlate(table=${view.number("table")}, cookie=${view.big("cookie")})`;
    case of("write_metadata"): {
      const mask = view.big("mask");
      return `write_metadata:${hex(view.big("metadata"))}${mask === 0xffffffffffffffffn ? "" : `/${hex(mask)}`}`;
    }
    case of("write_actions"):
    case of("clone"): {
      const inner = formatActions(record.bytes.subarray(view.tail, view.tail + view.number("actions_size")), ports);
      return `${number === of("clone") ? "clone" : "write_actions"}(${inner})`;
    }
    case of("note"):
      return `note:${hexBytes(record.bytes.subarray(view.tail, view.tail + view.number("note_size")))}`;
    case of("stack_push"):
      return `push:${sub(view)}`;
    case of("stack_pop"):
      return `pop:${sub(view)}`;
    case of("set_tunnel"):
      return `set_tunnel${view.number("form") === 1 || view.big("tun_id") > 0xffffffffn ? "64" : ""}:${hex(view.big("tun_id"))}`;
    case of("enqueue"):
      return `enqueue:${formatPort(view.number("port"), ports)}:${view.number("queue")}`;
    case of("fin_timeout"): {
      const parts: string[] = [];
      if (view.number("idle_timeout") !== 0) parts.push(`idle_timeout=${view.number("idle_timeout")}`);
      if (view.number("hard_timeout") !== 0) parts.push(`hard_timeout=${view.number("hard_timeout")}`);
      return `fin_timeout(${parts.join(",")})`;
    }
    case of("conjunction"):
      return `conjunction(${view.number("id")},${view.number("clause") + 1}/${view.number("n_clauses")})`;
    case of("check_pkt_larger"):
      return `check_pkt_larger(${view.number("pkt_len")})->${sub(view)}`;
    case of("encap"):
      return formatEncap(record.bytes, record.view, record.start);
    case of("decap"):
      return formatDecap(record.view, record.start);
    case of("multipath"): {
      const hash = hashFields[view.number("fields")] ?? "<unknown>";
      const algorithm = algorithms[view.number("algorithm")] ?? "<unknown>";
      return `multipath(${hash},${view.number("basis")},${algorithm},${view.number("max_link") + 1},${view.number("arg")},${sub(view)})`;
    }
    case of("learn"):
      return formatLearn(readLearn(record.bytes, record.view, record.start), ports);
    case of("bundle"):
      return formatBundle(view, ports);
    case of("sample"): {
      const parts = [
        `probability=${view.number("probability")}`,
        `collector_set_id=${view.number("collector_set_id")}`,
        `obs_domain_id=${view.number("obs_domain_id")}`,
        `obs_point_id=${view.number("obs_point_id")}`,
      ];
      if (view.number("sampling_port") !== 0xffffffff)
        parts.push(`sampling_port=${formatPort(view.number("sampling_port"), ports)}`);
      const direction = view.number("direction");
      if (direction !== 0) parts.push(direction === 1 ? "ingress" : "egress");
      return `sample(${parts.join(",")})`;
    }
    default:
      return view.layout.name;
  }
}

function formatResubmit(view: RecordView, ports?: PortNames): string {
  const port = view.number("in_port");
  const table = view.number("table");
  const ct = view.number("with_ct") !== 0;
  if (port !== ofpp.IN_PORT && table === 255 && !ct) return `resubmit:${formatPort(port, ports)}`;
  return `resubmit(${port === ofpp.IN_PORT ? "" : formatPort(port, ports)},${table === 255 ? "" : table}${ct ? ",ct" : ""})`;
}

/** Prints a sequence of records; none is `drop`. */
export function formatActions(actions: AbiActions, ports?: PortNames): string {
  const view = new DataView(actions.buffer, actions.byteOffset, actions.byteLength);
  const parts: string[] = [];
  for (const { start, size } of eachAction(actions))
    parts.push(formatAction({ bytes: actions, view, start, size }, ports));
  return parts.length === 0 ? "drop" : parts.join(",");
}
