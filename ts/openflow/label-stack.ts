import { FlowSyntaxError } from "./error.js";
import type { KeyMatch } from "./key-match.js";
import { keyMember } from "./tables/key.js";
import { parseNumber } from "./text-value.js";

/** The MPLS label stack of a flow key, in the datapath's notation: `label=20,tc=0,ttl=64,bos=0,label=30,...`. */

const places = ["mpls0_lse", "mpls1_lse", "mpls2_lse"].map((name) => keyMember(name).offset);
const bottom = 0x100;

interface EntryPart {
  readonly name: string;
  readonly shift: number;
  readonly ones: number;
  /** How a mask prints. */
  readonly mask: (mask: number) => string;
}
const digits = (mask: number): string => mask.toString(16);
const parts: readonly EntryPart[] = [
  { name: "label", shift: 12, ones: 0xfffff, mask: (mask) => `0x${digits(mask)}` },
  { name: "tc", shift: 9, ones: 7, mask: digits },
  { name: "ttl", shift: 0, ones: 0xff, mask: (mask) => `0x${digits(mask)}` },
  { name: "bos", shift: 8, ones: 1, mask: digits },
];

const read = (bytes: Uint8Array, index: number): number => {
  const place = places[index] as number;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(place, false);
};

/** Values and masks of the entries, outermost first, as far as the match tells where the stack ends. */
export function labelStack(match: KeyMatch): { value: number; mask: number }[] {
  const entries: { value: number; mask: number }[] = [];
  for (let index = 0; index < places.length; index++) {
    const entry = { value: read(match.value, index), mask: read(match.mask, index) };
    if (index > 0 && entry.mask === 0) break;
    entries.push(entry);
    if ((entry.value & entry.mask & bottom) !== 0) break;
  }
  return entries;
}

/** One entry. */
export function formatLabel(value: number, mask = 0xffffffff): string {
  return parts
    .map(({ name, shift, ones, mask: print }) => {
      const bits = (mask >>> shift) & ones;
      const number = (value >>> shift) & ones;
      return mask >>> 0 === 0xffffffff ? `${name}=${number}` : `${name}=${number}/${print(bits)}`;
    })
    .join(",");
}

/** The attribute of a flow, or undefined when the match looks at no label. */
export function formatLabelStack(match: KeyMatch, verbose: boolean): string | undefined {
  const entries = labelStack(match);
  if (!verbose && entries.every((entry) => entry.mask === 0)) return undefined;
  return `mpls(${entries.map((entry) => formatLabel(entry.value, entry.mask)).join(",")})`;
}

/** The entries behind the outermost as a flow prints them: `mpls_lse1=8256`. */
export function formatInnerLabels(match: KeyMatch): string[] {
  return [1, 2].flatMap((index) => {
    const mask = read(match.mask, index);
    const value = read(match.value, index);
    const wide = (number: number): string => `0x${number.toString(16).padStart(8, "0")}`;
    if (mask === 0) return [];
    return [`mpls_lse${index}=${mask === 0xffffffff ? value : `${wide(value)}/${wide(mask)}`}`];
  });
}

/** Reads the attribute's members into a match; each `label` begins an entry. */
export function parseLabelStack(
  match: KeyMatch,
  members: Iterable<{ readonly key: string; readonly value?: string | undefined }>,
): void {
  let index = -1;
  for (const { key, value = "" } of members) {
    const part = parts.find((one) => one.name === key);
    if (key === "label") index += 1;
    if (part === undefined || index < 0 || index >= places.length)
      throw new FlowSyntaxError(`mpls: bad label stack at ${key}`);
    const [number, mask] = value.split("/").map((word) => parseNumber(word));
    if (number === undefined || number > BigInt(part.ones)) throw new FlowSyntaxError(`mpls: bad ${key}`);
    const place = places[index] as number;
    for (const [bytes, bits] of [
      [match.value, Number(number)],
      [match.mask, mask === undefined ? part.ones : Number(mask) & part.ones],
    ] as const) {
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      view.setUint32(place, view.getUint32(place, false) | (bits << part.shift), false);
    }
  }
}
