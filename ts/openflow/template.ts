import { currentTlvMap, type TlvMap } from "./tlv-map.js";

/** How some bytes became other bytes.  Bytes that differ from them only where values were copied become their own the
 *  same way, without being understood again: flows of one table differ in little but their values. */
export interface Template {
  /** What was understood. */
  readonly input: Uint8Array;
  /** Positions of the input that decide what it means. */
  readonly fixed: Uint16Array;
  readonly output: Uint8Array;
  /** Byte `from[i]` of the input is byte `to[i]` of the output. */
  readonly from: Uint16Array;
  readonly to: Uint16Array;
}

/** Inputs that are longer are not worth a template. */
export const templateSizeMax = 1024;

const sets = 256;
const ways = 4;

/** A cache of templates.  It holds for one TLV map, which decides what some fields mean. */
export class Templates<T extends Template> {
  readonly #slots: (T | undefined)[] = new Array(sets * ways).fill(undefined);
  /** Hash that last asked for a template in each set. */
  readonly #asked = new Int32Array(sets);
  readonly #next = new Uint8Array(sets);
  #map: TlvMap | undefined;

  /** The template that fits the `size` bytes at `start`. */
  find(hash: number, bytes: Uint8Array, start: number, size: number): T | undefined {
    if (currentTlvMap() !== this.#map) this.#clear();
    const first = (hash & (sets - 1)) * ways;
    for (let way = 0; way < ways; way++) {
      const template = this.#slots[first + way];
      if (template === undefined) return undefined;
      if (template.input.length === size && fits(template, bytes, start)) return template;
    }
    return undefined;
  }

  /** Whether a template would be of use: the hash was asked for before, with no other in between. */
  isWanted(hash: number): boolean {
    const set = hash & (sets - 1);
    const before = this.#asked[set];
    this.#asked[set] = hash;
    return before === (hash | 0);
  }

  add(hash: number, template: T): void {
    const set = hash & (sets - 1);
    const way = this.#next[set] as number;
    this.#slots[set * ways + way] = template;
    this.#next[set] = (way + 1) % ways;
  }

  #clear(): void {
    this.#map = currentTlvMap();
    this.#slots.fill(undefined);
    this.#next.fill(0);
  }
}

function fits(template: Template, bytes: Uint8Array, start: number): boolean {
  const { input, fixed } = template;
  for (let index = 0; index < fixed.length; index++) {
    const at = fixed[index] as number;
    if (input[at] !== bytes[start + at]) return false;
  }
  return true;
}

/** Gathers what of an input is free, and makes the template.  Positions are those of the input and of the output. */
export class TemplateMaker {
  readonly #input: Uint8Array;
  readonly #output: Uint8Array;
  readonly #isFree: Uint8Array;
  readonly #from: number[] = [];
  readonly #to: number[] = [];

  constructor(input: Uint8Array, output: Uint8Array) {
    this.#input = input;
    this.#output = output;
    this.#isFree = new Uint8Array(input.length);
  }

  /** The byte means nothing. */
  ignore(from: number): void {
    this.#isFree[from] = 1;
  }

  /** The byte means itself wherever it stands. */
  copy(from: number, to: number): void {
    if (this.#input[from] !== this.#output[to])
      throw new Error(`byte ${from} of a template's input is not byte ${to} of its output`);
    this.#isFree[from] = 1;
    this.#from.push(from);
    this.#to.push(to);
  }

  finish(): Template {
    const fixed: number[] = [];
    for (let at = 0; at < this.#input.length; at++) if (this.#isFree[at] === 0) fixed.push(at);
    return {
      input: this.#input,
      fixed: Uint16Array.from(fixed),
      output: this.#output,
      from: Uint16Array.from(this.#from),
      to: Uint16Array.from(this.#to),
    };
  }
}

/** Copies the free bytes of an input that fits into its output, which stands at `at`. */
export function fill(template: Template, input: Uint8Array, start: number, output: Uint8Array, at: number): void {
  const { from, to } = template;
  for (let index = 0; index < from.length; index++)
    output[at + (to[index] as number)] = input[start + (from[index] as number)] as number;
}

/** A step of the hash. */
export function mix(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
}
