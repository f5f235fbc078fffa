import { type Learn, type LearnSpec, learnFlag, specSource, specTarget } from "./action-learn.js";
import { placeBits } from "./action-special.js";
import { FlowSyntaxError } from "./error.js";
import { type FieldPlan, plans } from "./key-match.js";
import { type FieldRow, fields } from "./tables/fields.js";
import { keyValues } from "./text-match.js";
import { formatSubfield, parseSubfield, type Subfield } from "./text-subfield.js";
import { formatValue, fromBig, hex, needNumber, type PortNames, parseNumber, parseValue, toBig } from "./text-value.js";

/** The learn action as ovs-ofctl writes it. */

const defaultPriority = 0x8000;
const none = new Uint8Array(0);

function spec(target: number, from: Subfield | Uint8Array, to: Subfield | undefined, nBits: number): LearnSpec {
  const immediate = from instanceof Uint8Array ? from : none;
  const src = from instanceof Uint8Array ? undefined : from;
  return {
    nBits,
    source: src === undefined ? specSource.immediate : specSource.field,
    target,
    srcField: src?.plan.id ?? 0,
    srcOfs: src?.ofs ?? 0,
    dstField: to?.plan.id ?? 0,
    dstOfs: to?.ofs ?? 0,
    immediate,
  };
}

/** The fewest bytes that hold the bits of an immediate value. */
function immediateBytes(value: bigint, to: Subfield, text: string): Uint8Array {
  if (value >> BigInt(to.nBits) !== 0n) throw new FlowSyntaxError(`${text}: value does not fit into ${to.nBits} bits`);
  return fromBig(value, Math.ceil(to.nBits / 8));
}

function parseLoad(value: string): LearnSpec {
  const mark = value.indexOf("->");
  if (mark < 0) throw new FlowSyntaxError(`load: missing \`->' in \`${value}'`);
  if (mark === 0) throw new FlowSyntaxError(`load: missing source before \`->' in \`${value}'`);
  const from = value.slice(0, mark);
  const to = parseSubfield(value.slice(mark + 2));
  const number = parseNumber(from);
  if (number !== undefined) return spec(specTarget.load, immediateBytes(number, to, value), to, to.nBits);
  const source = parseSubfield(from);
  if (source.nBits !== to.nBits) {
    throw new FlowSyntaxError(
      `${value}: source field is ${source.nBits} bits wide but destination is ${to.nBits} bits wide`,
    );
  }
  return spec(specTarget.load, source, to, to.nBits);
}

/** `field`, `field=field` or `field=value`. */
function parseMatch(name: string, value: string | undefined, whole: string, ports?: PortNames): LearnSpec {
  let to: Subfield;
  try {
    to = parseSubfield(name);
  } catch {
    throw new FlowSyntaxError(`${whole}: unknown keyword ${name}`);
  }
  if (value === undefined || value === "") return spec(specTarget.match, to, to, to.nBits);
  let from: Subfield | undefined;
  let notField = "";
  try {
    from = parseSubfield(value);
  } catch (error) {
    notField = (error as Error).message;
  }
  if (from === undefined) {
    try {
      const isWhole = to.ofs === 0 && to.nBits === to.row.bits;
      const number = isWhole ? toBig(parseValue(to.row, value, ports).value) : parseNumber(value);
      if (number === undefined) throw new FlowSyntaxError(`${whole}: cannot parse integer value`);
      return spec(specTarget.match, immediateBytes(number, to, whole), to, to.nBits);
    } catch (error) {
      throw new FlowSyntaxError(
        `${whole}: ${name} value ${value} cannot be parsed as a subfield (${notField}) or an immediate value (${(error as Error).message})`,
      );
    }
  }
  if (from.nBits !== to.nBits) {
    throw new FlowSyntaxError(`${whole}: bit widths of ${name} (${from.nBits}) and ${value} (${to.nBits}) differ`);
  }
  return spec(specTarget.match, from, to, to.nBits);
}

/** Reads what stands in the parentheses of `learn(...)`. */
export function parseLearn(text: string, ports?: PortNames): Learn {
  const numbers: Record<string, number> = {
    table: 1,
    priority: defaultPriority,
    idle_timeout: 0,
    hard_timeout: 0,
    fin_idle_timeout: 0,
    fin_hard_timeout: 0,
    limit: 0,
  };
  const specs: LearnSpec[] = [];
  let cookie = 0n;
  let flags = 0;
  let result: Subfield | undefined;
  for (const { key, value } of keyValues(text)) {
    if (key in numbers) {
      const bits = key === "limit" ? 32 : key === "table" ? 8 : 16;
      numbers[key] = Number(needNumber(value ?? "", bits, key));
    } else if (key === "cookie") cookie = needNumber(value ?? "", 64, "cookie");
    else if (key === "send_flow_rem") flags |= learnFlag.sendFlowRem;
    else if (key === "delete_learned") flags |= learnFlag.deleteLearned;
    else if (key === "result_dst") {
      flags |= learnFlag.writeResult;
      result = parseSubfield(value ?? "");
      if (!result.plan.writable) throw new FlowSyntaxError(`${value} is read-only`);
      if (result.nBits !== 1) throw new FlowSyntaxError("result_dst in 'learn' action must be a single bit");
    } else if (key === "load") specs.push(parseLoad(value ?? ""));
    else if (key === "output") {
      const from = parseSubfield(value ?? "");
      specs.push(spec(specTarget.output, from, undefined, from.nBits));
    } else specs.push(parseMatch(key, value, text, ports));
  }
  const number = (name: string): number => numbers[name] as number;
  if (number("table") === 255) throw new FlowSyntaxError(`${text}: table id 255 not valid for \`learn' action`);
  return {
    table: number("table"),
    priority: number("priority"),
    idleTimeout: number("idle_timeout"),
    hardTimeout: number("hard_timeout"),
    finIdleTimeout: number("fin_idle_timeout"),
    finHardTimeout: number("fin_hard_timeout"),
    limit: number("limit"),
    cookie,
    flags,
    resultField: result?.plan.id ?? 0,
    resultOfs: result?.ofs ?? 0,
    form: 0,
    specs,
  };
}

function formatSpec(one: LearnSpec, ports?: PortNames): string {
  const from = formatSubfield(one.srcField, one.srcOfs, one.nBits);
  const to = formatSubfield(one.dstField, one.dstOfs, one.nBits);
  const isImmediate = one.source === specSource.immediate;
  const value = isImmediate ? toBig(one.immediate) : 0n;
  if (one.target === specTarget.output) return `output:${from}`;
  if (one.target === specTarget.load) return `load:${isImmediate ? hex(value) : from}->${to}`;
  if (isImmediate) {
    const row = fields[one.dstField] as FieldRow;
    const plan = plans[one.dstField] as FieldPlan;
    const isWhole = one.dstOfs === 0 && one.nBits === row.bits;
    return isWhole
      ? `${row.name}=${formatValue(row, placeBits(value, 0, plan.bytes), undefined, ports)}`
      : `${to}=${hex(value)}`;
  }
  return one.srcField === one.dstField && one.srcOfs === one.dstOfs ? to : `${to}=${from}`;
}

export function formatLearn(learn: Learn, ports?: PortNames): string {
  const parts = [`table=${learn.table}`];
  const put = (name: string, value: number, usual = 0): void => {
    if (value !== usual) parts.push(`${name}=${value}`);
  };
  put("idle_timeout", learn.idleTimeout);
  put("hard_timeout", learn.hardTimeout);
  put("fin_idle_timeout", learn.finIdleTimeout);
  put("fin_hard_timeout", learn.finHardTimeout);
  put("priority", learn.priority, defaultPriority);
  if ((learn.flags & learnFlag.sendFlowRem) !== 0) parts.push("send_flow_rem");
  if ((learn.flags & learnFlag.deleteLearned) !== 0) parts.push("delete_learned");
  if (learn.cookie !== 0n) parts.push(`cookie=${hex(learn.cookie)}`);
  put("limit", learn.limit);
  if ((learn.flags & learnFlag.writeResult) !== 0)
    parts.push(`result_dst=${formatSubfield(learn.resultField, learn.resultOfs, 1)}`);
  return `learn(${[...parts, ...learn.specs.map((one) => formatSpec(one, ports))].join(",")})`;
}
