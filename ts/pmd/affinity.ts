/** `Interface.other_config:pmd-rxq-affinity`: `0:3,1:7` has core 3 poll queue 0 and core 7 queue 1. */

/** The core of each queue that has one.  Undefined: the text says nothing that could be followed. */
export function parseAffinity(text: string): ReadonlyMap<number, number> | undefined {
  const cores = new Map<number, number>();
  for (const part of text.split(/[\s,]+/).filter((word) => word !== "")) {
    const [queue, core] = part.split(/[:=]/).map(number);
    if (queue === undefined || core === undefined) return undefined;
    cores.set(queue, core);
  }
  return cores;
}

/** A number as C writes it, which may be octal or hexadecimal. */
function number(text: string): number | undefined {
  if (/^0[xX][0-9a-fA-F]+$/.test(text)) return Number(text);
  if (/^0[0-7]+$/.test(text)) return Number.parseInt(text, 8);
  return /^(0|[1-9]\d{0,9})$/.test(text) ? Number(text) : undefined;
}
