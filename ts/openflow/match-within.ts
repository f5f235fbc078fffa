import { KeyMatch } from "./key-match.js";
import type { AbiMatch } from "./message.js";

/** Whether one match lies within another. */

const outer = new KeyMatch();
const inner = new KeyMatch();

/** Whether every packet that matches `narrow` matches `wide` too, judged field by field: `narrow` looks at every bit that
 *  `wide` looks at and wants the same of it. */
export function matchIsWithin(narrow: AbiMatch, wide: AbiMatch): boolean {
  outer.read(wide);
  inner.read(narrow);
  for (let at = 0; at < outer.mask.length; at++) {
    const mask = outer.mask[at] as number;
    if (mask === 0) continue;
    if ((mask & ~(inner.mask[at] as number)) !== 0) return false;
    if (((outer.value[at] as number) ^ (inner.value[at] as number)) & mask) return false;
  }
  return true;
}
