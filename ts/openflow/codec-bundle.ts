import type { ByteReader, ByteWriter } from "./bytes.js";
import { OpenFlowError } from "./error.js";
import type { BundleAdd, BundleControl } from "./message.js";

/** Bundles of messages that take effect together, in the form of OpenFlow 1.4, which 1.3 has from the ONF. */

/** OFPBCT: what a bundle_control asks for; what it answers is one more. */
export const bundleAct = { open: 0, close: 2, commit: 4, discard: 6 } as const;
/** OFPBF. */
export const bundleFlags = { atomic: 1, ordered: 2 } as const;

const headerSize = 8;

export function readBundleControl(reader: ByteReader): BundleControl {
  return { type: "bundle_control", id: reader.u32(), act: reader.u16(), flags: reader.u16() };
}

export function writeBundleControl(out: ByteWriter, body: BundleControl): void {
  out.u32(body.id);
  out.u16(body.act);
  out.u16(body.flags);
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
