import { pad8 } from "../datapath/tables/record.js";
import { actionLayout, memberOffset, opcodeOf, recordLayout } from "./abi.js";
import { beginAction, beginForm, endAction, endForm } from "./action-record.js";
import { checkDestination, checkSource } from "./action-special.js";
import type { ByteWriter } from "./bytes.js";
import { OpenFlowError } from "./error.js";
import { type FieldPlan, plans } from "./key-match.js";
import { readFieldHeader, writeFieldHeader } from "./oxm.js";
import type { SpecialCodec, SpecialDecode } from "./special-codec.js";

/** NXAST_LEARN and NXAST_LEARN2: a flow to be made, as a list of specs that each fill in one part of it. */

const opcode = opcodeOf("learn");
const layout = actionLayout(opcode);
const specLayout = recordLayout("learn_spec");
const at = (name: string): number => memberOffset(layout, name);
const specAt = (name: string): number => memberOffset(specLayout, name);

export const learnFlag = { sendFlowRem: 1, deleteLearned: 2, writeResult: 4 } as const;

/** Where a spec takes its bits from, and what they become. */
export const specSource = { field: 0, immediate: 1 } as const;
export const specTarget = { match: 0, load: 1, output: 2 } as const;

export interface LearnSpec {
  readonly nBits: number;
  readonly source: number;
  readonly target: number;
  readonly srcField: number;
  readonly srcOfs: number;
  readonly dstField: number;
  readonly dstOfs: number;
  /** For immediate: as few bytes as hold the bits. */
  readonly immediate: Uint8Array;
}

export interface Learn {
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  readonly finIdleTimeout: number;
  readonly finHardTimeout: number;
  readonly priority: number;
  readonly cookie: bigint;
  readonly flags: number;
  readonly table: number;
  readonly limit: number;
  readonly resultField: number;
  readonly resultOfs: number;
  /** 1: NXAST_LEARN2, even if the older form could say it. */
  readonly form: number;
  readonly specs: readonly LearnSpec[];
}

/** Appends the record of a learn action. */
export function putLearn(out: ByteWriter, learn: Learn): void {
  const begin = beginAction(out, opcode);
  const { view } = out;
  view.setUint16(begin + at("idle_timeout"), learn.idleTimeout, true);
  view.setUint16(begin + at("hard_timeout"), learn.hardTimeout, true);
  view.setUint16(begin + at("fin_idle_timeout"), learn.finIdleTimeout, true);
  view.setUint16(begin + at("fin_hard_timeout"), learn.finHardTimeout, true);
  view.setUint16(begin + at("priority"), learn.priority, true);
  view.setBigUint64(begin + at("cookie"), learn.cookie, true);
  view.setUint16(begin + at("learn_flags"), learn.flags, true);
  view.setUint8(begin + at("table"), learn.table);
  view.setUint8(begin + at("form"), learn.form);
  view.setUint32(begin + at("limit"), learn.limit, true);
  view.setUint16(begin + at("result_field"), learn.resultField, true);
  view.setUint16(begin + at("result_ofs"), learn.resultOfs, true);
  const from = out.position;
  for (const spec of learn.specs) putSpec(out, spec);
  out.view.setUint32(begin + at("specs_size"), out.position - from, true);
  endAction(out, begin);
}

function putSpec(out: ByteWriter, spec: LearnSpec): void {
  const begin = out.position;
  out.zeros(specLayout.size);
  const { view } = out;
  view.setUint16(begin + specAt("n_bits"), spec.nBits, true);
  view.setUint8(begin + specAt("source"), spec.source);
  view.setUint8(begin + specAt("target"), spec.target);
  view.setUint16(begin + specAt("src_field"), spec.srcField, true);
  view.setUint16(begin + specAt("src_ofs"), spec.srcOfs, true);
  view.setUint16(begin + specAt("dst_field"), spec.dstField, true);
  view.setUint16(begin + specAt("dst_ofs"), spec.dstOfs, true);
  view.setUint16(begin + specAt("immediate_size"), spec.immediate.length, true);
  out.put(spec.immediate);
  out.align(8, begin);
}

/** Reads the record at `start`. */
export function readLearn(bytes: Uint8Array, view: DataView, start: number): Learn {
  const specs: LearnSpec[] = [];
  const first = start + layout.size;
  const end = first + view.getUint32(start + at("specs_size"), true);
  for (let from = first; from < end; ) {
    const size = view.getUint16(from + specAt("immediate_size"), true);
    const immediateAt = from + specLayout.size;
    specs.push({
      nBits: view.getUint16(from + specAt("n_bits"), true),
      source: view.getUint8(from + specAt("source")),
      target: view.getUint8(from + specAt("target")),
      srcField: view.getUint16(from + specAt("src_field"), true),
      srcOfs: view.getUint16(from + specAt("src_ofs"), true),
      dstField: view.getUint16(from + specAt("dst_field"), true),
      dstOfs: view.getUint16(from + specAt("dst_ofs"), true),
      immediate: bytes.subarray(immediateAt, immediateAt + size),
    });
    from = immediateAt + pad8(size);
  }
  return {
    idleTimeout: view.getUint16(start + at("idle_timeout"), true),
    hardTimeout: view.getUint16(start + at("hard_timeout"), true),
    finIdleTimeout: view.getUint16(start + at("fin_idle_timeout"), true),
    finHardTimeout: view.getUint16(start + at("fin_hard_timeout"), true),
    priority: view.getUint16(start + at("priority"), true),
    cookie: view.getBigUint64(start + at("cookie"), true),
    flags: view.getUint16(start + at("learn_flags"), true),
    table: view.getUint8(start + at("table")),
    form: view.getUint8(start + at("form")),
    limit: view.getUint32(start + at("limit"), true),
    resultField: view.getUint16(start + at("result_field"), true),
    resultOfs: view.getUint16(start + at("result_ofs"), true),
    specs,
  };
}

/** NXAST_LEARN2. */
const learn2Subtype = 45;
/** Sizes of the wire forms before their specs. */
const learnSize = 32;
const learn2Size = 40;

/** Bits of a spec's header on the wire. */
const wire = { nBits: 0x3ff, target: 0x1800, targetShift: 11, immediate: 0x2000 } as const;

const wrong = (sentence: string): OpenFlowError => new OpenFlowError("OFPBAC_BAD_ARGUMENT", sentence);
const none = new Uint8Array(0);

/** Reads the specs in [from, end). */
function decodeSpecs({ bytes, view, end }: SpecialDecode, from: number): LearnSpec[] {
  const specs: LearnSpec[] = [];
  let position = from;
  const short = (): OpenFlowError => new OpenFlowError("OFPBAC_BAD_LEN", "a spec of learn is cut short");
  while (position < end) {
    const header = view.getUint16(position);
    position += 2;
    if (header === 0) break;
    const nBits = header & wire.nBits;
    const target = (header & wire.target) >> wire.targetShift;
    const source = (header & wire.immediate) !== 0 ? specSource.immediate : specSource.field;
    if (target > specTarget.output || (target === specTarget.output && source === specSource.immediate))
      throw wrong("a spec of learn combines a source and a target that do not go together");
    const subfield = (check: (plan: FieldPlan, ofs: number, nBits: number) => void): [number, number] => {
      if (position + 6 > end) throw short();
      const { plan, next } = readFieldHeader(bytes, position, end);
      if (next + 2 > end) throw short();
      const ofs = view.getUint16(next);
      position = next + 2;
      check(plan, ofs, nBits);
      return [plan.id, ofs];
    };
    let src: [number, number] = [0, 0];
    let immediate: Uint8Array = none;
    if (source === specSource.field) src = subfield(checkSource);
    else {
      const size = 2 * Math.ceil(nBits / 16);
      if (position + size > end) throw short();
      position += size;
      immediate = bytes.slice(position - Math.ceil(nBits / 8), position);
    }
    const dst =
      target === specTarget.output ? [0, 0] : subfield(target === specTarget.load ? checkDestination : checkSource);
    specs.push({
      nBits,
      source,
      target,
      srcField: src[0],
      srcOfs: src[1],
      dstField: dst[0] as number,
      dstOfs: dst[1] as number,
      immediate,
    });
  }
  for (; position < end; position++) if (bytes[position] !== 0) throw wrong("padding of learn is not zero");
  return specs;
}

export const learnCodec: SpecialCodec = {
  decode(context) {
    const { codec, bytes, view, start, end, out } = context;
    const isSecond = codec.form.number === learn2Subtype;
    let from = start + (isSecond ? learn2Size : learnSize);
    if (from > end) throw new OpenFlowError("OFPBAC_BAD_LEN", "a learn action is too short");
    const flags = view.getUint16(start + 24);
    if (isSecond && view.getUint16(start + 38) !== 0)
      throw new OpenFlowError("NXBAC_MUST_BE_ZERO", "reserved bytes of learn are not zero");
    if (bytes[start + 27] !== 0) throw wrong("reserved bytes of learn are not zero");
    if (bytes[start + 26] === 0xff) throw wrong("learn cannot put flows into table 255");
    const known = learnFlag.sendFlowRem | learnFlag.deleteLearned | (isSecond ? learnFlag.writeResult : 0);
    if ((flags & ~known) !== 0) throw wrong(`learn has unknown flags 0x${flags.toString(16)}`);
    let resultField = 0;
    const resultOfs = isSecond ? view.getUint16(start + 36) : 0;
    if ((flags & learnFlag.writeResult) !== 0) {
      const { plan, next } = readFieldHeader(bytes, from, end);
      checkDestination(plan, resultOfs, 1);
      resultField = plan.id;
      from = next;
    } else if (resultOfs !== 0) throw wrong("learn has an offset for a result that it does not write");
    putLearn(out, {
      idleTimeout: view.getUint16(start + 10),
      hardTimeout: view.getUint16(start + 12),
      priority: view.getUint16(start + 14),
      cookie: view.getBigUint64(start + 16),
      flags,
      table: bytes[start + 26] as number,
      finIdleTimeout: view.getUint16(start + 28),
      finHardTimeout: view.getUint16(start + 30),
      limit: isSecond ? view.getUint32(start + 32) : 0,
      resultField,
      resultOfs,
      form: isSecond ? 1 : 0,
      specs: decodeSpecs(context, from),
    });
  },
  encode({ codec, record, out }) {
    const learn = readLearn(record.bytes, record.view, record.start);
    const isSecond = learn.form === 1 || learn.limit !== 0 || (learn.flags & learnFlag.writeResult) !== 0;
    if (isSecond !== (codec.form.number === learn2Subtype)) return false;
    const begin = beginForm(out, codec.form);
    out.u16(learn.idleTimeout);
    out.u16(learn.hardTimeout);
    out.u16(learn.priority);
    out.u64(learn.cookie);
    out.u16(learn.flags);
    out.u8(learn.table);
    out.u8(0);
    out.u16(learn.finIdleTimeout);
    out.u16(learn.finHardTimeout);
    if (isSecond) {
      out.u32(learn.limit);
      out.u16(learn.resultOfs);
      out.u16(0);
      if ((learn.flags & learnFlag.writeResult) !== 0) writeFieldHeader(out, plans[learn.resultField] as FieldPlan, 1);
    }
    for (const spec of learn.specs) encodeSpec(out, spec);
    endForm(out, begin);
    return true;
  },
};

function encodeSpec(out: ByteWriter, spec: LearnSpec): void {
  const isImmediate = spec.source === specSource.immediate;
  out.u16(spec.nBits | (spec.target << wire.targetShift) | (isImmediate ? wire.immediate : 0));
  const subfield = (field: number, ofs: number): void => {
    writeFieldHeader(out, plans[field] as FieldPlan, 1);
    out.u16(ofs);
  };
  if (isImmediate) {
    out.zeros(2 * Math.ceil(spec.nBits / 16) - spec.immediate.length);
    out.put(spec.immediate);
  } else subfield(spec.srcField, spec.srcOfs);
  if (spec.target !== specTarget.output) subfield(spec.dstField, spec.dstOfs);
}
