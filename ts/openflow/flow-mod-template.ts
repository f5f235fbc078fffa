import type { ByteWriter } from "./bytes.js";
import {
  type FlowModContext,
  flowModAt,
  flowModSize,
  interpretFlowMod,
  lastFlowModBuffer,
  noBuffer,
  setNoBuffer,
} from "./codec-flow-mod.js";
import { eachFreeByte, hashEntries } from "./free-fields.js";
import { fill, mix, type Template, TemplateMaker, Templates, templateSizeMax } from "./template.js";

/** Flow_mods of OpenFlow 1.2 and later from the wire to the ABI's command, by templates of those that came before. */

const executed = new Templates<Template>();
const any = new Templates<Template>();

/** Positions in the message. */
const wire = { xid: 4, cookie: 8, command: 25, idle: 26, hard: 28, priority: 30, matchLength: 50, oxm: 52 } as const;
const addCommand = 0;

const u16 = (bytes: Uint8Array, at: number): number => ((bytes[at] as number) << 8) | (bytes[at + 1] as number);

/** A hash of what decides how the message in [start, finish) is understood; 0 for one that templates are not made of. */
function shapeOf(bytes: Uint8Array, start: number, finish: number): number {
  const length = finish - start;
  if (bytes[start + 1] !== 14 || (bytes[start] as number) < 3) return 0;
  if (length < wire.oxm + 4 || length > templateSizeMax || length % 8 !== 0) return 0;
  const matchLength = u16(bytes, start + wire.matchLength);
  const end = wire.matchLength - 2 + matchLength;
  const instructionsAt = (end + 7) & ~7;
  if (end < wire.oxm || instructionsAt > length) return 0;
  let hash = mix(length, ((bytes[start] as number) << 16) | u16(bytes, start + 24));
  hash = hashEntries(bytes, start + wire.oxm, start + end, hash);
  if (hash === 0) return 0;
  for (let at = start + instructionsAt; at < finish; at += 4)
    hash = mix(hash, (u16(bytes, at) << 16) | u16(bytes, at + 2));
  return hash;
}

/** Appends the ABI's flow_mod command for the message in [start, end) and returns its size.  Throws OpenFlowError with
 *  what OVS answers. */
export function decodeFlowMod(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: ByteWriter,
  context: FlowModContext,
): number {
  const shape = shapeOf(bytes, start, end);
  const templates = (context.executedOnly ?? true) ? executed : any;
  const template = shape === 0 ? undefined : templates.find(shape, bytes, start, end - start);
  const begin = out.position;
  if (template !== undefined) {
    out.put(template.output);
    fill(template, bytes, start, out.bytes, begin);
    out.view.setUint32(begin + (flowModAt["bridge"] as number), context.bridge, true);
    setNoBuffer();
    return template.output.length;
  }
  const message = bytes.subarray(start, end);
  const size = interpretFlowMod(message, out, context);
  if (shape !== 0 && lastFlowModBuffer() === noBuffer && templates.isWanted(shape))
    templates.add(shape, templateOf(message.slice(), out.bytes.slice(begin, begin + size)));
  return size;
}

function templateOf(message: Uint8Array, command: Uint8Array): Template {
  const maker = new TemplateMaker(message, command);
  /** The wire's order of bytes is the other way round. */
  const copyNumber = (at: number, size: number, member: string): void => {
    for (let index = 0; index < size; index++) maker.copy(at + index, (flowModAt[member] as number) + size - 1 - index);
  };
  for (let index = 0; index < 4; index++) maker.ignore(wire.xid + index);
  if (message[wire.command] === addCommand) copyNumber(wire.cookie, 8, "new_cookie");
  copyNumber(wire.idle, 2, "idle_timeout_s");
  copyNumber(wire.hard, 2, "hard_timeout_s");
  copyNumber(wire.priority, 2, "priority");
  const end = wire.matchLength - 2 + u16(message, wire.matchLength);
  eachFreeByte(message, wire.oxm, end, command, flowModSize, (at, position) => maker.copy(at, flowModSize + position));
  return maker.finish();
}
