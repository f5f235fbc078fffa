import { pad8 } from "../datapath/tables/record.js";
import { encodeActions } from "./action-wire.js";
import { ByteWriter } from "./bytes.js";
import { writeKeyMatch } from "./codec-match.js";
import { eachFreeByte, hashRecord } from "./free-fields.js";
import { encodeInstructions } from "./instructions.js";
import { KeyMatch } from "./key-match.js";
import { encodeOxm } from "./oxm.js";
import { fill, type Template, TemplateMaker, Templates, templateSizeMax } from "./template.js";

/** Match and instructions of a flow, from the ABI's form to what statistics of one form carry. */

/** Its output is the match alone: what instructions say is never free. */
interface BodyTemplate extends Template {
  /** Bytes of the match without padding. */
  readonly matchLength: number;
  readonly instructions: Uint8Array;
}

/** Bodies that were written, for each form: an OpenFlow version, standard or Nicira's. */
const caches = new Map<number, Templates<BodyTemplate>>();
const key = new KeyMatch();
const scratch = new ByteWriter(256);
/** The match header before the first OXM entry. */
const headerSize = 4;
const nothing = new Uint16Array(0);

export class FlowBody {
  readonly #version: number;
  readonly #standard: boolean;
  readonly #templates: Templates<BodyTemplate> | undefined;
  #template: BodyTemplate | undefined;
  #record: Uint8Array = new Uint8Array(0);
  #at = 0;

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

  /** Takes the record at `at`: a match of `matchSize` bytes, padded, and the actions.  It is read until the next call. */
  set(record: Uint8Array, at: number, matchSize: number, actionsSize: number): void {
    const size = pad8(matchSize) + actionsSize;
    const templates = size > templateSizeMax ? undefined : this.#templates;
    const shape = templates === undefined ? 0 : hashRecord(record, at, matchSize, size);
    this.#record = record;
    this.#at = at;
    this.#template = shape === 0 ? undefined : templates?.find(shape, record, at, size);
    if (this.#template !== undefined) return;
    const made = this.#encode(record, at, matchSize, size);
    this.#template = made;
    if (shape !== 0 && templates?.isWanted(shape) === true)
      templates.add(shape, this.#free(record.slice(at, at + size), made));
  }

  /** Bytes of the match without padding. */
  get matchLength(): number {
    return this.#template?.matchLength ?? 0;
  }

  writeMatch(out: ByteWriter): void {
    const template = this.#template;
    if (template === undefined) return;
    const begin = out.position;
    out.put(template.output);
    fill(template, this.#record, this.#at, out.bytes, begin);
  }

  writeInstructions(out: ByteWriter): void {
    if (this.#template !== undefined) out.put(this.#template.instructions);
  }

  /** A template that is good for this record only. */
  #encode(record: Uint8Array, at: number, matchSize: number, size: number): BodyTemplate {
    const version = this.#version;
    scratch.position = 0;
    key.read(record, at, matchSize);
    let matchLength = 0;
    if (this.#standard) {
      writeKeyMatch(scratch, key, version);
      matchLength = version < 3 ? scratch.position : scratch.view.getUint16(2);
    } else {
      encodeOxm(scratch, key, version >= 3 ? version : 1);
      matchLength = scratch.position;
      scratch.align(8);
    }
    const output = scratch.finish();
    scratch.position = 0;
    const actionsAt = at + pad8(matchSize);
    if (version === 1) encodeActions(record, actionsAt, at + size, version, scratch);
    else encodeInstructions(record, actionsAt, at + size, version, scratch);
    return {
      input: record,
      fixed: nothing,
      output,
      from: nothing,
      to: nothing,
      matchLength,
      instructions: scratch.finish(),
    };
  }

  /** The same with what is free in it. */
  #free(record: Uint8Array, made: BodyTemplate): BodyTemplate {
    const maker = new TemplateMaker(record, made.output);
    const start = this.#standard ? headerSize : 0;
    eachFreeByte(made.output, start, made.matchLength, record, 0, (at, position) => maker.copy(position, at));
    return { ...made, ...maker.finish() };
  }
}
