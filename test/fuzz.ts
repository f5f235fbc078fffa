import fc from "fast-check";

/** Fuzz targets: properties.  In the ordinary suite they try the same inputs each time, so that what fails there is what
 *  changed.  `SLUICE_FUZZ_SECONDS` tries others, for so long; `SLUICE_SEED` repeats such a run. */

const given = process.env.SLUICE_SEED;
const isSearch = given !== undefined || process.env.SLUICE_FUZZ_SECONDS !== undefined;
const seconds = Number(process.env.SLUICE_FUZZ_SECONDS ?? (isSearch ? 60 : 4));
const runsMax = isSearch ? 100_000_000 : 5000;
const usualSeed = 20261128;

/** Tries the property for a few seconds, and says with which seed. */
export function fuzz<Input>(name: string, inputs: fc.Arbitrary<Input>, claim: (input: Input) => void): void {
  const random = isSearch ? (Math.random() * 0x7fffffff) | 0 : usualSeed;
  const seed = given === undefined ? random : Number(given);
  console.log(`${name}: SLUICE_SEED=${seed}`);
  fc.assert(fc.property(inputs, claim), {
    seed,
    numRuns: runsMax,
    interruptAfterTimeLimit: seconds * 1000,
    markInterruptAsFailure: false,
    includeErrorInReport: true,
  });
}

/** A few changes to a few bytes, as people who attack a parser make them: bytes set, bits turned, the ends of numbers,
 *  pieces cut out, doubled or moved, the end cut off. */
type Change =
  | { readonly kind: "set"; readonly at: number; readonly value: number }
  | { readonly kind: "flip"; readonly at: number; readonly value: number }
  | { readonly kind: "number"; readonly at: number; readonly value: number }
  | { readonly kind: "cut"; readonly at: number; readonly value: number }
  | { readonly kind: "double"; readonly at: number; readonly value: number }
  | { readonly kind: "end"; readonly at: number; readonly value: number };

const at = fc.nat(4095);
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ kind: fc.constant("set" as const), at, value: fc.nat(255) }),
  fc.record({ kind: fc.constant("flip" as const), at, value: fc.nat(7) }),
  fc.record({
    kind: fc.constant("number" as const),
    at,
    value: fc.constantFrom(0, 1, 4, 7, 8, 0x7fff, 0x8000, 0xffff),
  }),
  fc.record({ kind: fc.constant("cut" as const), at, value: fc.integer({ min: 1, max: 24 }) }),
  fc.record({ kind: fc.constant("double" as const), at, value: fc.integer({ min: 1, max: 64 }) }),
  fc.record({ kind: fc.constant("end" as const), at, value: fc.constant(0) }),
);
export const changes = fc.array(change, { minLength: 1, maxLength: 5 });

/** Applied to the bytes from `from` on. */
export function damaged(bytes: Uint8Array, how: readonly Change[], from = 0): Uint8Array {
  let result: Uint8Array = bytes.slice();
  for (const { kind, at, value } of how) {
    const size = result.length - from;
    if (size <= 0) return result;
    const place = from + (at % size);
    if (kind === "set") result[place] = value;
    else if (kind === "flip") result[place] = (result[place] as number) ^ (1 << value);
    else if (kind === "number") {
      result[place] = value >> 8;
      if (place + 1 < result.length) result[place + 1] = value & 0xff;
    } else if (kind === "end") result = result.slice(0, place);
    else {
      const piece = result.subarray(place, place + value);
      const kept = kind === "double" ? place + piece.length : place;
      const tail = kind === "double" ? place : place + piece.length;
      result = Buffer.concat([result.subarray(0, kept), result.subarray(tail)]);
    }
  }
  return Uint8Array.from(result);
}

/** The same for text, whose pieces are exchanged for others that the grammar knows. */
export function damagedText(text: string, how: readonly Change[], words: readonly string[]): string {
  let result = text;
  for (const { kind, at, value } of how) {
    const place = result.length === 0 ? 0 : at % result.length;
    const word = words[(at * 31 + value) % words.length] ?? "";
    if (kind === "end") result = result.slice(0, place);
    else if (kind === "cut") result = result.slice(0, place) + result.slice(place + value);
    else if (kind === "double") result = result.slice(0, place + value) + result.slice(place);
    else if (kind === "set") result = result.slice(0, place) + String.fromCharCode(value) + result.slice(place + 1);
    else result = result.slice(0, place) + word + result.slice(kind === "flip" ? place : place + word.length);
  }
  return result;
}
