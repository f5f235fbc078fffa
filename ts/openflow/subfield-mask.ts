import { bitMask } from "./action-special.js";
import { abiMatch } from "./codec-match.js";
import { KeyMatch } from "./key-match.js";
import type { AbiMatch } from "./message.js";
import type { Subfield } from "./text-subfield.js";

/** All bits of the subfields, as an ABI match whose values are zero. */
export function subfieldMask(subfields: readonly Subfield[]): AbiMatch {
  const match = new KeyMatch();
  for (const { plan, ofs, nBits } of subfields) {
    const mask = match.wireBytes(plan, match.mask);
    const bits = bitMask(plan.bytes, ofs, nBits);
    const both = new Uint8Array(2 * plan.bytes);
    for (let at = 0; at < plan.bytes; at++) both[plan.bytes + at] = (mask[at] ?? 0) | (bits[at] ?? 0);
    match.setWire(plan, both, 0, plan.bytes);
  }
  return abiMatch(match);
}
