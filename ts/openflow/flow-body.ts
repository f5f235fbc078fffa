import { pad8 } from "./abi.js";
import { encodeActions } from "./action-wire.js";
import { ByteWriter } from "./bytes.js";
import { writeKeyMatch } from "./codec-match.js";
import { eachFreeByte, hashRecord } from "./free-fields.js";
import { encodeInstructions } from "./instructions.js";
import { KeyMatch } from "./key-match.js";
import { encodeOxm } from "./oxm.js";
import { fill, type Template, TemplateMaker, Templates, templateSizeMax } from "./template.js";

/** Match and instructions of a flow, from the ABI's form to what statistics of one form carry. */

interface BodyTemplate extends Template {
  /** Bytes of the output that are the match, without and with padding. */
  readonly matchLength: number;
  readonly matchEnd: number;
}

/** Bodies that were written, for each form: an OpenFlow version, standard or Nicira's. */
const caches = new Map<number, Templates<BodyTemplate>>();
const key = new KeyMatch();
/** The match header before the first OXM entry. */
const headerSize = 4;

export class FlowBody {
  readonly #version: number;
  readonly #standard: boolean;
  readonly #templates: Templates<BodyTemplate> | undefined;
  readonly #out = new ByteWriter(256);
  #matchLength = 0;
  #matchEnd = 0;
  #end = 0;

  constructor(version: number, standard: boolean) {
    this.#version = version;
    this.#standard = standard;
    // A match of OpenFlow 1.0 or 1.1 is no sequence of fields.
    if (standard && version < 3) return;
    const form = 2 * version + (standard ? 1 : 0);
    let templates = caches.get(form);
    if (templates === undefined) {
      templates = new Templates();
      caches.set(form, templates);
    }
    this.#templates = templates;
  }

  /** Takes the record at `at`: a match of `matchSize` bytes, padded, and the actions. */
  set(record: Uint8Array, at: number, matchSize: number, actionsSize: number): void {
    const out = this.#out;
    const size = pad8(matchSize) + actionsSize;
    out.position = 0;
    const shape = this.#templates === undefined || size > templateSizeMax ? 0 : hashRecord(record, at, matchSize, size);
    const template = shape === 0 ? undefined : this.#templates?.find(shape, record, at, size);
    if (template === undefined) {
      this.#encode(record, at, matchSize, size);
      if (shape !== 0 && this.#templates?.isWanted(shape) === true)
        this.#templates.add(shape, this.#template(record.slice(at, at + size)));
      return;
    }
    out.put(template.output);
    fill(template, record, at, out.bytes, 0);
    this.#matchLength = template.matchLength;
    this.#matchEnd = template.matchEnd;
    this.#end = out.position;
  }

  /** Bytes of the match without padding. */
  get matchLength(): number {
    return this.#matchLength;
  }

  writeMatch(out: ByteWriter): void {
    out.put(this.#out.bytes, 0, this.#matchEnd);
  }

  writeInstructions(out: ByteWriter): void {
    out.put(this.#out.bytes, this.#matchEnd, this.#end);
  }

  #encode(record: Uint8Array, at: number, matchSize: number, size: number): void {
    const out = this.#out;
    const version = this.#version;
    key.read(record, at, matchSize);
    if (this.#standard) {
      writeKeyMatch(out, key, version);
      this.#matchLength = version < 3 ? out.position : out.view.getUint16(2);
    } else {
      encodeOxm(out, key, version >= 3 ? version : 1);
      this.#matchLength = out.position;
      out.align(8);
    }
    this.#matchEnd = out.position;
    const actionsAt = at + pad8(matchSize);
    if (version === 1) encodeActions(record, actionsAt, at + size, version, out);
    else encodeInstructions(record, actionsAt, at + size, version, out);
    this.#end = out.position;
  }

  /** How `record` became what is in the writer. */
  #template(record: Uint8Array): BodyTemplate {
    const output = this.#out.finish();
    const maker = new TemplateMaker(record, output);
    const start = this.#standard ? headerSize : 0;
    eachFreeByte(output, start, this.#matchLength, record, 0, (at, position) => maker.copy(position, at));
    return { ...maker.finish(), matchLength: this.#matchLength, matchEnd: this.#matchEnd };
  }
}
