/** Row ids: 36 lower-case characters, compared as strings. */
import { randomFillSync } from "node:crypto";

export type Uuid = string;

export const zeroUuid: Uuid = "00000000-0000-0000-0000-000000000000";

const pattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function isUuid(text: string): boolean {
  return pattern.test(text);
}

/** Gives a fresh id; a test passes one that counts. */
export type UuidSource = () => Uuid;

const pool = new Uint8Array(16 * 256);
let used = pool.length;

/** A random (version 4) id.  Random bytes are drawn in batches, which makes inserting many rows several times faster. */
export function randomUuid(): Uuid {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const bytes = pool.subarray(used, used + 16);
  used += 16;
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, 16).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** A counting id, for tests that need the same ids in every run. */
export function countingUuids(first = 1): UuidSource {
  let next = first;
  return () => `00000000-0000-4000-8000-${(next++).toString(16).padStart(12, "0")}`;
}
