/** An ABI match on everything: no word of the key. */
export const everything = new Uint8Array(16);

/** The match as the datapath wants it: messages may leave a match on everything out. */
export function wholeMatch(match: Uint8Array): Uint8Array {
  return match.length === 0 ? everything : match;
}
