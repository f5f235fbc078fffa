import { opcodes } from "./tables/opcodes.js";

/** OFPAT numbers of OpenFlow 1.2 and later that tables execute, as table features and statistics tell them: those of
 *  actions that the pipeline executes. */

const numbers: readonly (readonly [ofpat: number, opcode: string])[] = [
  [0, "output"],
  [15, "set_mpls_ttl"],
  [16, "dec_mpls_ttl"],
  [17, "push_vlan"],
  [18, "strip_vlan"],
  [19, "push_mpls"],
  [20, "pop_mpls"],
  [21, "set_queue"],
  [22, "group"],
  [23, "set_ip_ttl"],
  [24, "dec_ttl"],
  [25, "set_field"],
];

const executed = new Map(opcodes.map((row) => [row.name, row.executed]));

export const tableActions: readonly number[] = numbers
  .filter(([, opcode]) => {
    const is = executed.get(opcode);
    if (is === undefined) throw new Error(`the ABI has no opcode ${opcode}`);
    return is;
  })
  .map(([ofpat]) => ofpat);

/** The same as a bitmap. */
export const tableActionBits = tableActions.reduce((bits, ofpat) => bits | (1 << ofpat), 0) >>> 0;
