import type { ByteReader, ByteWriter } from "./bytes.js";
import { OpenFlowError } from "./error.js";
import type { BundleAdd, BundleControl } from "./message.js";
import { onfVendor } from "./tables/errors.js";
import { messageNumber } from "./tables/messages.js";

/** Bundles of messages that take effect together, in the form of OpenFlow 1.4, which 1.3 has from the ONF. */

/** OFPBCT: what a bundle_control asks for; what it answers is one more. */
export const bundleAct = { open: 0, close: 2, commit: 4, discard: 6 } as const;
/** OFPBF. */
export const bundleFlags = { atomic: 1, ordered: 2 } as const;

const headerSize = 8;
const vendorHeaderSize = 16;
const experimenterType = 4;
const addType = messageNumber("standard", 5, "bundle_add_message");
const onfAddType = messageNumber("onf", 4, "bundle_add_message");

export function readBundleControl(reader: ByteReader): BundleControl {
  return { type: "bundle_control", id: reader.u32(), act: reader.u16(), flags: reader.u16() };
}

export function writeBundleControl(out: ByteWriter, body: BundleControl): void {
  out.u32(body.id);
  out.u16(body.act);
  out.u16(body.flags);
}

const u16 = (bytes: Uint8Array, at: number): number => ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
const u32 = (bytes: Uint8Array, at: number): number => ((u16(bytes, at) << 16) | u16(bytes, at + 2)) >>> 0;

/** Whether the message in [start, end) adds one to a bundle, in OpenFlow 1.4's form or the ONF's for 1.3. */
export function isBundleAdd(bytes: Uint8Array, start = 0, end = bytes.length): boolean {
  const version = bytes[start] as number;
  if (version >= 5) return bytes[start + 1] === addType;
  if (version !== 4 || bytes[start + 1] !== experimenterType || end - start < vendorHeaderSize) return false;
  return u32(bytes, start + 8) === onfVendor && u32(bytes, start + 12) === onfAddType;
}

/** What stands in a message that adds another to a bundle; the other one is in [start, end). */
export interface BundleAddPlace {
  id: number;
  flags: number;
  start: number;
  end: number;
}

/** Bytes of a bundle_add_message before the message within. */
const addSize = 8;

/** Reads the message in [start, end), which `isBundleAdd`.  The message within has to have its version and transaction
 *  id.  Throws OpenFlowError. */
export function readBundleAddMessage(bytes: Uint8Array, start: number, end: number, place: BundleAddPlace): void {
  const bodyAt = start + (bytes[start + 1] === addType ? headerSize : vendorHeaderSize);
  const left = end - bodyAt - addSize;
  if (left < 0) throw new OpenFlowError("OFPBRC_BAD_LEN", "the bundle_add_message is cut short");
  place.id = u32(bytes, bodyAt);
  place.flags = u16(bytes, bodyAt + 6);
  place.start = bodyAt + addSize;
  const size = left < headerSize ? 0 : u16(bytes, place.start + 2);
  if (left >= headerSize && bytes[place.start] !== bytes[start])
    throw new OpenFlowError("OFPBFC_BAD_VERSION", "the message within has another version");
  if (size < headerSize || size > left)
    throw new OpenFlowError("OFPBFC_MSG_BAD_LEN", "the message within has a length that cannot be");
  if (u32(bytes, place.start + 4) !== u32(bytes, start + 4))
    throw new OpenFlowError("OFPBFC_MSG_BAD_XID", "the message within has another transaction id");
  place.end = place.start + size;
}

/** Reads a whole message. */
export function readBundleAdd(bytes: Uint8Array): BundleAdd {
  const place: BundleAddPlace = { id: 0, flags: 0, start: 0, end: 0 };
  readBundleAddMessage(bytes, 0, bytes.length, place);
  const { id, flags, start, end } = place;
  return { type: "bundle_add_message", id, flags, message: bytes.subarray(start, end) };
}

export function writeBundleAdd(out: ByteWriter, body: BundleAdd): void {
  out.u32(body.id);
  out.zeros(2);
  out.u16(body.flags);
  out.put(body.message);
}
