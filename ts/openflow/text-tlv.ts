import { FlowSyntaxError } from "./error.js";
import type { TlvMapping, TlvTableReply } from "./message.js";
import { hex } from "./text-value.js";

/** The map of Geneve options as text, the way ovs-ofctl reads and prints it. */

const mapping = /^\{class=(\w+),type=(\w+),len=(\w+)\}->tun_metadata(\d+)/;

/** `{class=0xffff,type=0,len=4}->tun_metadata0,...` */
export function parseTlvMappings(text: string): TlvMapping[] {
  const mappings: TlvMapping[] = [];
  for (let rest = text; rest !== ""; ) {
    if (rest.startsWith(",")) rest = rest.slice(1);
    const found = mapping.exec(rest);
    const [optionClass, optionType, length, index] = (found ?? []).slice(1).map(Number);
    if (found === null || ![optionClass, optionType, length, index].every(Number.isInteger))
      throw new FlowSyntaxError("invalid tlv mapping");
    mappings.push({
      optionClass: (optionClass as number) & 0xffff,
      optionType: (optionType as number) & 0xff,
      length: (length as number) & 0xff,
      index: (index as number) & 0xffff,
    });
    rest = rest.slice(found[0].length);
  }
  return mappings;
}

export function formatTlvTable({ space, fieldCount, mappings }: TlvTableReply): string {
  const allocated = mappings.reduce((sum, one) => sum + one.length, 0);
  const lines = mappings.map(
    ({ optionClass, optionType, length, index }) =>
      `\n ${hex(optionClass).padStart(6)}  ${hex(optionType).padStart(4)}  ${String(length).padStart(6)}  tun_metadata${index}`,
  );
  return (
    `\n max option space=${space} max fields=${fieldCount}\n allocated option space=${allocated}\n\n` +
    ` mapping table:\n  class  type  length  match field\n ------  ----  ------  --------------${lines.join("")}\n`
  );
}
