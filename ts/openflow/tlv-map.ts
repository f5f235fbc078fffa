import { OpenFlowError } from "./error.js";
import type { FieldPlan, KeyMatch } from "./key-match.js";
import type { TlvMapping, TlvTableMod } from "./message.js";
import { fieldByName, fieldId } from "./tables/fields.js";
import { keyMember } from "./tables/key.js";

/** Which Geneve options the fields tun_metadata0 to 63 of a bridge are, and where in the flow key their values lie. */

const granuleBytes = 4;
export const tlvFields = 64;
export const tlvSpace = keyMember("tun_metadata").size;
export const tlvCommand = { add: 0, delete: 1, clear: 2 } as const;
const firstField = fieldId(fieldByName("tun_metadata0") as NonNullable<ReturnType<typeof fieldByName>>);
const presentAt = keyMember("tun_metadata_present").offset;
const optionsAt = keyMember("tun_metadata").offset;

export interface TlvEntry extends TlvMapping {
  /** Places of its value, in units of four bytes. */
  readonly granules: readonly number[];
}

/** The number of the tun_metadata field that a plan is, or -1. */
export function tlvIndex(plan: Pick<FieldPlan, "id">): number {
  const index = plan.id - firstField;
  return index >= 0 && index < tlvFields ? index : -1;
}

/** A map does not change: what changes is which one a bridge has. */
export class TlvMap {
  static readonly empty = new TlvMap([]);
  readonly #entries = new Map<number, TlvEntry>();

  private constructor(entries: Iterable<TlvEntry>) {
    for (const entry of entries) this.#entries.set(entry.index, entry);
  }

  get(index: number): TlvEntry | undefined {
    return this.#entries.get(index);
  }

  /** By ascending number of the field. */
  entries(): TlvEntry[] {
    return [...this.#entries.values()].sort((one, other) => one.index - other.index);
  }

  /** The map after the change.  Throws what the change is refused with. */
  changed(mod: TlvTableMod): TlvMap {
    if (mod.command === tlvCommand.clear) return TlvMap.empty;
    const next = new TlvMap(this.#entries.values());
    for (const mapping of mod.mappings) {
      if (mod.command === tlvCommand.add) next.#add(mapping);
      else next.#entries.delete(mapping.index);
    }
    return next;
  }

  #add(mapping: TlvMapping): void {
    const { index, optionClass, optionType } = mapping;
    if (this.#entries.has(index))
      throw new OpenFlowError("NXTTMFC_ALREADY_MAPPED", `tun_metadata${index} is an option already`);
    for (const other of this.#entries.values()) {
      if (other.optionClass === optionClass && other.optionType === optionType)
        throw new OpenFlowError("NXTTMFC_DUP_ENTRY", `the option is tun_metadata${other.index} already`);
    }
    this.#entries.set(index, { ...mapping, granules: this.#place(mapping.length / granuleBytes) });
  }

  /** Free places: together if there is such a gap, else in pieces, the largest first. */
  #place(count: number): number[] {
    const taken = new Set([...this.#entries.values()].flatMap((entry) => entry.granules));
    const placed: number[] = [];
    while (placed.length < count) {
      const wanted = count - placed.length;
      let best = { start: 0, length: 0 };
      for (let start = 0; start < tlvSpace / granuleBytes && best.length < wanted; start++) {
        let length = 0;
        while (length < wanted && start + length < tlvSpace / granuleBytes && !taken.has(start + length)) length += 1;
        if (length > best.length) best = { start, length };
      }
      if (best.length === 0) throw new OpenFlowError("NXTTMFC_TABLE_FULL", "the options do not fit the flow key");
      for (let index = 0; index < best.length; index++) {
        taken.add(best.start + index);
        placed.push(best.start + index);
      }
    }
    return placed;
  }
}

let current: TlvMap | undefined;

/** Codec and text are synchronous; what `run` calls of them goes by the bridge's map.  Without any, a match cannot name
 *  a tun_metadata field. */
export function withTlvMap<Result>(map: TlvMap | undefined, run: () => Result): Result {
  const before = swapTlvMap(map);
  try {
    return run();
  } finally {
    swapTlvMap(before);
  }
}

/** As `withTlvMap` begins and ends, for callers that are too frequent for a closure.  Returns the map that was current. */
export function swapTlvMap(map: TlvMap | undefined): TlvMap | undefined {
  const before = current;
  current = map;
  return before;
}

export function currentTlvMap(): TlvMap | undefined {
  return current;
}

/** Where byte `at` of the entry's value lies in the key. */
const byteAt = (entry: TlvEntry, at: number): number =>
  optionsAt + granuleBytes * (entry.granules[at >> 2] as number) + (at & 3);

const bitByte = (index: number): number => presentAt + 7 - (index >> 3);

/** Whether value or mask (`from`) has the field's bit. */
export function hasTlv(from: Uint8Array, index: number): boolean {
  return (((from[bitByte(index)] as number) >> (index & 7)) & 1) !== 0;
}

/** Demands the option, with a value whose last bytes are `size` bytes at `valueAt`; bits of the mask at `maskAt` (-1:
 *  all) count. */
export function setTlv(
  match: KeyMatch,
  entry: TlvEntry,
  source: Uint8Array,
  valueAt: number,
  maskAt: number,
  size: number,
): void {
  match.value[bitByte(entry.index)] = (match.value[bitByte(entry.index)] as number) | (1 << (entry.index & 7));
  match.mask[bitByte(entry.index)] = (match.mask[bitByte(entry.index)] as number) | (1 << (entry.index & 7));
  for (let at = 0; at < entry.length; at++) {
    const from = size - entry.length + at;
    const mask = maskAt < 0 ? 0xff : from < 0 ? 0 : (source[maskAt + from] as number);
    match.mask[byteAt(entry, at)] = mask;
    match.value[byteAt(entry, at)] = (from < 0 ? 0 : (source[valueAt + from] as number)) & mask;
  }
}

/** The bytes of the option in `from`, a match's value or mask. */
export function tlvBytes(from: Uint8Array, entry: TlvEntry): Uint8Array {
  return Uint8Array.from({ length: entry.length }, (_, at) => from[byteAt(entry, at)] as number);
}

/** How many bits a field has: those of its option, if there is a map to say so. */
export function fieldBits(plan: FieldPlan): number {
  const index = tlvIndex(plan);
  if (index < 0 || current === undefined) return plan.bits;
  const entry = current.get(index);
  if (entry === undefined)
    throw new OpenFlowError("NXFMFC_INVALID_TLV_FIELD", `${plan.name} has no entry in the TLV map`);
  return 8 * entry.length;
}
