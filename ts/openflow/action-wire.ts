import { actionLayout, eachAction, type Layout, memberOffset, opcodeOf } from "./abi.js";
import { bundleCodec } from "./action-bundle.js";
import { learnCodec } from "./action-learn.js";
import { preferredFor, rewriteFor } from "./action-legacy.js";
import { beginAction, beginForm, controllerAt, controllerOpcode, endForm, type RecordAt } from "./action-record.js";
import { specialCodecs } from "./action-special.js";
import type { ByteWriter } from "./bytes.js";
import { OpenFlowError } from "./error.js";
import { plans } from "./key-match.js";
import { isPort, portTo10, readFieldHeader, writeFieldHeader } from "./oxm.js";
import type { SpecialCodec } from "./special-codec.js";
import { type ActionRow, actions, type WireForm } from "./tables/actions.js";
import { niciraVendor, onfVendor } from "./tables/errors.js";
import { portMax, reservedOffset } from "./tables/ports.js";

/** Actions between the wire and the ABI, as the rows of `tables/actions.ts` say. */

type StepKind =
  | "u8"
  | "u16"
  | "u32"
  | "u64"
  | "u32as64"
  | "bytes"
  | "port10"
  | "port"
  | "ofs_nbits"
  | "nxm"
  | "zero"
  | "none"
  | "pad";

interface Step {
  readonly kind: StepKind;
  readonly size: number;
  /** Offset of the member in the record, and how many bytes it has there. */
  readonly to: number;
  readonly toSize: number;
  /** Second member of ofs_nbits. */
  readonly second: number;
}

/** Codecs by the name that the rows give them. */
const codecsByName: Readonly<Record<string, SpecialCodec>> = {
  ...specialCodecs,
  bundle: bundleCodec,
  learn: learnCodec,
};

/** A wire form made ready. */
export interface Codec {
  readonly row: ActionRow;
  readonly form: WireForm;
  readonly opcode: number;
  readonly layout: Layout;
  readonly steps: readonly Step[];
  /** Bytes before what the layout describes. */
  readonly headerSize: number;
  /** Whole size, or -1 when it varies. */
  readonly size: number;
  readonly constants: readonly { readonly offset: number; readonly size: number; readonly value: number }[];
}

const fixedSizes: Partial<Record<string, number>> = {
  u8: 1,
  u16: 2,
  u32: 4,
  u64: 8,
  u32as64: 4,
  port10: 2,
  ofs_nbits: 2,
  bytes4: 4,
  bytes6: 6,
};

function compileStep(layout: Layout, text: string): Step {
  const [names = "", kind = ""] = text.split(":");
  if (names === "zero" || names === "none" || names === "pad")
    return { kind: names, size: Number(kind), to: 0, toSize: 0, second: 0 };
  const [first = "", second] = names.split(",");
  const member = layout.members.find((one) => one.name === first);
  if (member === undefined) throw new Error(`${layout.name} has no member ${first}`);
  const base = {
    size: fixedSizes[kind] ?? 4,
    to: member.offset,
    toSize: member.size,
    second: second === undefined ? 0 : memberOffset(layout, second),
  };
  if (kind.startsWith("bytes")) return { ...base, kind: "bytes" };
  if (kind === "u32" && first === "port") return { ...base, kind: "port" };
  return { ...base, kind: kind as StepKind };
}

function compile(row: ActionRow, form: WireForm): Codec {
  const opcode = opcodeOf(row.opcode);
  const layout = actionLayout(opcode);
  const steps = form.layout === "" ? [] : form.layout.split(" ").map((text) => compileStep(layout, text));
  const headerSize = form.space === "nicira" || form.space === "onf" ? 10 : 4;
  const varies = form.codec !== undefined && form.codec !== "output" && form.codec !== "controller";
  const size =
    varies || form.layout.includes("nxm") ? -1 : headerSize + steps.reduce((sum, step) => sum + step.size, 0);
  const constants = Object.entries(form.set).map(([name, value]) => {
    const member = layout.members.find((one) => one.name === name);
    if (member === undefined) throw new Error(`${layout.name} has no member ${name}`);
    return { offset: member.offset, size: member.size, value };
  });
  return { row, form, opcode, layout, steps, headerSize, size, constants };
}

const codecs = actions.flatMap((row) => row.wire.map((form) => compile(row, form)));
const forms = new Map<string, Codec>();
for (const codec of codecs) {
  for (let version = codec.form.from; version <= codec.form.to; version++) {
    const key = `${codec.form.space} ${version} ${codec.form.number}`;
    if (!forms.has(key)) forms.set(key, codec);
  }
}
/** By version, then by number. */
const standardForms = Array.from({ length: 7 }, (_, version) =>
  Array.from({ length: 64 }, (__, number) => forms.get(`standard ${version} ${number}`)),
);
const niciraForms = Array.from({ length: 7 }, (_, version) =>
  Array.from({ length: 256 }, (__, number) => forms.get(`nicira ${version} ${number}`)),
);
export const instructionForms = Array.from({ length: 7 }, (_, version) =>
  Array.from({ length: 8 }, (__, number) => forms.get(`instruction ${version} ${number}`)),
);

const badLength = (name: string, size: number): OpenFlowError =>
  new OpenFlowError("OFPBAC_BAD_LEN", `action ${name} has a length of ${size} bytes, which it cannot have`, {
    action: name,
    size,
  });

function storeNumber(view: DataView, offset: number, size: number, value: number): void {
  if (size === 1) view.setUint8(offset, value);
  else if (size === 2) view.setUint16(offset, value, true);
  else if (size === 4) view.setUint32(offset, value >>> 0, true);
  else view.setBigUint64(offset, BigInt(value), true);
}

function loadNumber(view: DataView, offset: number, size: number): number {
  if (size === 1) return view.getUint8(offset);
  if (size === 2) return view.getUint16(offset, true);
  return view.getUint32(offset, true);
}

function decodeSteps(
  codec: Codec,
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  out: ByteWriter,
): void {
  const begin = beginAction(out, codec.opcode);
  for (const constant of codec.constants) storeNumber(out.view, begin + constant.offset, constant.size, constant.value);
  let at = start + codec.headerSize;
  for (const step of codec.steps) {
    if (at + step.size > end) throw badLength(codec.row.name, end - start);
    const to = begin + step.to;
    switch (step.kind) {
      case "u8":
        storeNumber(out.view, to, step.toSize, bytes[at] as number);
        break;
      case "u16":
        storeNumber(out.view, to, step.toSize, view.getUint16(at));
        break;
      case "u32":
        storeNumber(out.view, to, step.toSize, view.getUint32(at));
        break;
      case "port": {
        const port = view.getUint32(at);
        if (!isPort(port))
          throw new OpenFlowError("OFPBAC_BAD_OUT_PORT", `${port} is neither a port nor a reserved port`);
        out.view.setUint32(to, port, true);
        break;
      }
      case "port10": {
        const port = view.getUint16(at);
        out.view.setUint32(to, port < portMax ? port : port + reservedOffset, true);
        break;
      }
      case "u64":
        out.view.setBigUint64(to, view.getBigUint64(at), true);
        break;
      case "u32as64":
        out.view.setBigUint64(to, BigInt(view.getUint32(at)), true);
        break;
      case "bytes":
        for (let index = 0; index < step.size; index++) out.bytes[to + index] = bytes[at + index] as number;
        break;
      case "ofs_nbits": {
        const both = view.getUint16(at);
        out.view.setUint16(to, both >> 6, true);
        out.view.setUint16(begin + step.second, (both & 63) + 1, true);
        break;
      }
      case "nxm": {
        const { plan, next } = readFieldHeader(bytes, at, end);
        out.view.setUint16(to, plan.id, true);
        at = next - step.size;
        break;
      }
      case "zero":
      case "none":
        for (let index = 0; index < step.size; index++) {
          if (bytes[at + index] !== 0)
            throw new OpenFlowError(
              step.kind === "none" ? "OFPBAC_BAD_ARGUMENT" : "NXBRC_MUST_BE_ZERO",
              `reserved bytes of action ${codec.row.name} are not zero`,
            );
        }
        break;
      case "pad":
        break;
    }
    at += step.size;
  }
  for (; at < end; at++)
    if (bytes[at] !== 0)
      throw new OpenFlowError("NXBRC_MUST_BE_ZERO", `padding of action ${codec.row.name} is not zero`);
}

/** Reads one action or instruction body. */
export function decodeForm(
  codec: Codec,
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  version: number,
  out: ByteWriter,
): void {
  if (codec.size >= 0 && end - start !== codec.size) throw badLength(codec.row.name, end - start);
  const special = codec.form.codec;
  if (special === undefined) {
    decodeSteps(codec, bytes, view, start, end, out);
    return;
  }
  if (special === "output") {
    const begin = out.position;
    decodeSteps(codec, bytes, view, start, end, out);
    if (out.view.getUint32(begin + 8, true) === 0xfffffffd) {
      const maxLen = out.view.getUint32(begin + 4, true);
      out.position = begin;
      const at = beginAction(out, controllerOpcode);
      out.view.setUint16(at + controllerAt.maxLen, maxLen, true);
      out.view.setUint8(at + controllerAt.reason, 1);
      out.view.setUint32(at + controllerAt.meter, 0xffffffff, true);
    }
    return;
  }
  if (special === "controller") {
    const begin = out.position;
    decodeSteps(codec, bytes, view, start, end, out);
    out.view.setUint8(begin + controllerAt.form, 1);
    out.view.setUint32(begin + controllerAt.meter, 0xffffffff, true);
    return;
  }
  const codecOf = codecsByName[special];
  if (codecOf === undefined) {
    throw new OpenFlowError(codec.row.refusal, `action ${codec.row.name} is not supported`, { action: codec.row.name });
  }
  codecOf.decode({ codec, bytes, view, start, end, version, out, decodeActions });
}

/** Most actions that one message may nest. */
const maxDepth = 16;
let depth = 0;

/** Reads the actions in [start, end) and appends their records. */
export function decodeActions(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  version: number,
  out: ByteWriter,
): void {
  if ((end - start) % 8 !== 0)
    throw new OpenFlowError("OFPBAC_BAD_LEN", "the actions do not fill a multiple of 8 bytes");
  if (depth >= maxDepth) throw new OpenFlowError("OFPBAC_BAD_ARGUMENT", "actions are nested too deep");
  depth += 1;
  try {
    const standard = standardForms[version] as (Codec | undefined)[];
    for (let at = start; at < end; ) {
      const type = view.getUint16(at);
      const size = view.getUint16(at + 2);
      if (size < 8 || size % 8 !== 0 || at + size > end) {
        throw new OpenFlowError("OFPBAC_BAD_LEN", `the action at byte ${at - start} has length ${size}`);
      }
      const codec = type === 0xffff ? experimenterForm(view, at, size, version) : standard[type];
      if (codec === undefined) throw new OpenFlowError("OFPBAC_BAD_TYPE", `action type ${type} is unknown`, { type });
      decodeForm(codec, bytes, view, at, at + size, version, out);
      at += size;
    }
  } finally {
    depth -= 1;
  }
}

function experimenterForm(view: DataView, at: number, size: number, version: number): Codec | undefined {
  if (size < 16) throw new OpenFlowError("OFPBAC_BAD_LEN", "an experimenter action is too short");
  const vendor = view.getUint32(at + 4);
  const subtype = view.getUint16(at + 8);
  if (vendor !== niciraVendor && vendor !== onfVendor) {
    throw new OpenFlowError("OFPBAC_BAD_VENDOR", `experimenter ${vendor} is unknown`, { vendor });
  }
  const codec = vendor === niciraVendor ? niciraForms[version]?.[subtype] : forms.get(`onf ${version} ${subtype}`);
  if (codec === undefined)
    throw new OpenFlowError("OFPBAC_BAD_VENDOR_TYPE", `experimenter action ${subtype} is unknown`, { vendor, subtype });
  return codec;
}

const encoders = new Map<string, Codec[]>();

function formsOf(opcode: number, version: number): Codec[] {
  const key = `${opcode} ${version}`;
  let found = encoders.get(key);
  if (found === undefined) {
    found = codecs.filter((codec) => codec.opcode === opcode && codec.form.from <= version && version <= codec.form.to);
    encoders.set(key, found);
  }
  return found;
}

function encodeSteps(codec: Codec, record: RecordAt, version: number, out: ByteWriter): void {
  const begin = beginForm(out, codec.form);
  const { bytes, view, start } = record;
  for (const step of codec.steps) {
    const from = start + step.to;
    switch (step.kind) {
      case "u8":
        out.u8(loadNumber(view, from, step.toSize));
        break;
      case "u16":
        out.u16(loadNumber(view, from, step.toSize));
        break;
      case "u32":
      case "port":
        out.u32(loadNumber(view, from, step.toSize));
        break;
      case "u64":
        out.u64(view.getBigUint64(from, true));
        break;
      case "u32as64":
        out.u32(Number(view.getBigUint64(from, true) & 0xffffffffn));
        break;
      case "bytes":
        out.put(bytes, from, from + step.size);
        break;
      case "port10":
        out.u16(portTo10(view.getUint32(from, true)));
        break;
      case "ofs_nbits":
        out.u16((view.getUint16(from, true) << 6) | (view.getUint16(start + step.second, true) - 1));
        break;
      case "nxm": {
        const plan = plans[view.getUint16(from, true)];
        if (plan === undefined) throw new Error("an action record names a field that is not in the field table");
        writeFieldHeader(out, plan, codec.form.space === "standard" ? version : 1);
        break;
      }
      case "zero":
      case "none":
      case "pad":
        out.zeros(step.size);
        break;
    }
  }
  endForm(out, begin);
}

/** Appends one action record as `version` writes it.  Returns false when the version has no form for it. */
export function encodeAction(record: RecordAt, version: number, out: ByteWriter): boolean {
  const opcode = record.view.getUint16(record.start, true);
  const preferred = preferredFor(record, version);
  if (preferred !== undefined) {
    encodeActions(preferred, 0, preferred.length, version, out);
    return true;
  }
  for (const codec of formsOf(opcode, version)) {
    if (
      codec.constants.some(({ offset, size, value }) => loadNumber(record.view, record.start + offset, size) !== value)
    )
      continue;
    const special = codec.form.codec;
    if (special === undefined || special === "output") {
      encodeSteps(codec, record, version, out);
      return true;
    }
    if (special === "controller") {
      const { view, start } = record;
      const plain = view.getUint8(start + controllerAt.form) === 0 && view.getUint8(start + controllerAt.reason) === 1;
      if (plain) {
        out.u16(0);
        out.u16(version === 1 ? 8 : 16);
        if (version === 1) out.u16(0xfffd);
        else out.u32(0xfffffffd);
        out.u16(view.getUint16(start + controllerAt.maxLen, true));
        if (version !== 1) out.zeros(6);
        return true;
      }
      if (
        view.getUint8(start + controllerAt.form) > 1 ||
        view.getUint32(start + controllerAt.userdataSize, true) > 0 ||
        view.getUint8(start + controllerAt.pause) !== 0 ||
        view.getUint32(start + controllerAt.meter, true) !== 0xffffffff
      )
        continue;
      encodeSteps(codec, record, version, out);
      return true;
    }
    const special2 = codecsByName[special];
    if (special2?.encode({ codec, record, version, out, encodeActions })) return true;
  }
  const rewritten = rewriteFor(record, version);
  if (rewritten === undefined) return false;
  encodeActions(rewritten, 0, rewritten.length, version, out);
  return true;
}

/** Appends the records in [start, end) as actions of `version`. */
export function encodeActions(bytes: Uint8Array, start: number, end: number, version: number, out: ByteWriter): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const action of eachAction(bytes, start, end)) {
    encodeAction({ bytes, view, start: action.start, size: action.size }, version, out);
  }
}
