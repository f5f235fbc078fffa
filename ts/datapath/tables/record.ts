/** What a row about a record of the ABI is. */

export type FieldType = "u8" | "u16" | "u32" | "u64" | `bytes${number}` | `u64x${number}`;

export interface RecordRow {
  readonly name: string;
  readonly fields: readonly (readonly [name: string, type: FieldType, doc?: string])[];
  /** Variable parts after the fixed part; their lengths stand in fields of the record. */
  readonly tail?: string;
  readonly doc: string;
}

/** What every command, query and event begins with. */
export const header: RecordRow["fields"] = [
  ["type", "u16"],
  ["flags", "u16"],
  ["size", "u32", "Size of the whole record in bytes."],
];

/** Records begin at multiples of eight bytes: `size` and what pads it. */
export const pad8 = (size: number): number => (size + 7) & ~7;
