import { ByteReader, type ByteWriter } from "./bytes.js";
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

/** Whether the message adds one to a bundle, in OpenFlow 1.4's form or the ONF's for 1.3. */
export function isBundleAdd(bytes: Uint8Array): boolean {
  const version = bytes[0] as number;
  if (version >= 5) return bytes[1] === addType;
  if (version !== 4 || bytes[1] !== experimenterType || bytes.length < vendorHeaderSize) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return view.getUint32(8) === onfVendor && view.getUint32(12) === onfAddType;
}

/** Reads a whole message that `isBundleAdd`. */
export function readBundleAddMessage(bytes: Uint8Array): BundleAdd {
  const reader = new ByteReader(bytes, bytes[1] === addType ? headerSize : vendorHeaderSize);
  return readBundleAdd(reader, bytes[0] as number, reader.view.getUint32(4));
}

/** `version` and `xid` are those of the message itself, which the message within must have too. */
export function readBundleAdd(reader: ByteReader, version: number, xid: number): BundleAdd {
  const id = reader.u32();
  reader.skip(2);
  const flags = reader.u16();
  const badLength = (): OpenFlowError =>
    new OpenFlowError("OFPBFC_MSG_BAD_LEN", "the message within has a length that cannot be");
  if (reader.left < headerSize) throw badLength();
  const { view, position } = reader;
  if (view.getUint8(position) !== version)
    throw new OpenFlowError("OFPBFC_BAD_VERSION", "the message within has another version");
  const size = view.getUint16(position + 2);
  if (size < headerSize || size > reader.left) throw badLength();
  if (view.getUint32(position + 4) !== xid)
    throw new OpenFlowError("OFPBFC_MSG_BAD_XID", "the message within has another transaction id");
  return { type: "bundle_add_message", id, flags, message: reader.bytes.subarray(position, position + size) };
}

export function writeBundleAdd(out: ByteWriter, body: BundleAdd): void {
  out.u32(body.id);
  out.zeros(2);
  out.u16(body.flags);
  out.put(body.message);
}
