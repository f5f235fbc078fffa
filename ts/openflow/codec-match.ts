import { type ByteReader, ByteWriter } from "./bytes.js";
import { OpenFlowError } from "./error.js";
import { KeyMatch } from "./key-match.js";
import { decodeMatch10, encodeMatch10, match10Size } from "./match10.js";
import { decodeMatch11, encodeMatch11, match11Size } from "./match11.js";
import type { AbiMatch } from "./message.js";
import { type CookieMatch, decodeOxm, encodeOxm, type OxmOptions } from "./oxm.js";

/** Matches as messages carry them: the 40 bytes of OpenFlow 1.0, the 88 of 1.1, the OXM match of 1.2 and later, and Nicira's NXM. */

const scratch = new KeyMatch();

/** Reads the match of a message into the shared scratch match, which stands until the next call. */
export function readMatch(reader: ByteReader, version: number, options: OxmOptions = {}): KeyMatch {
  scratch.clear();
  if (version === 1) {
    decodeMatch10(scratch, reader);
    return scratch;
  }
  if (reader.left < 4) throw new OpenFlowError("OFPBMC_BAD_LEN", "the match is cut short");
  const start = reader.position;
  const type = reader.u16();
  const length = reader.u16();
  if (type === 0) {
    if (length !== match11Size || reader.left < match11Size - 4)
      throw new OpenFlowError("OFPBMC_BAD_LEN", `the match has length ${length}`);
    decodeMatch11(scratch, reader);
    return scratch;
  }
  if (type !== 1) throw new OpenFlowError("OFPBMC_BAD_TYPE", `match type ${type} is unknown`);
  const padded = (length + 7) & ~7;
  if (length < 4 || start + padded > reader.end)
    throw new OpenFlowError("OFPBMC_BAD_LEN", `the match has length ${length}`);
  decodeOxm(scratch, reader.bytes, start + 4, start + length, options);
  reader.position = start + padded;
  return scratch;
}

/** Reads `length` bytes of NXM, padded to 8, into the shared scratch match. */
export function readNxm(reader: ByteReader, length: number, options: OxmOptions = {}): KeyMatch {
  scratch.clear();
  const padded = (length + 7) & ~7;
  if (padded > reader.left)
    throw new OpenFlowError("OFPBMC_BAD_LEN", `the match has length ${length}, more than the message holds`);
  decodeOxm(scratch, reader.bytes, reader.position, reader.position + length, options);
  reader.position += padded;
  return scratch;
}

/** The scratch match as an ABI match of its own; one that matches everything is two empty bitmaps. */
export function abiMatch(match: KeyMatch): AbiMatch {
  const out = new ByteWriter(64);
  match.write(out);
  return out.finish();
}

export function writeMatch(out: ByteWriter, abi: AbiMatch, version: number): void {
  scratch.read(abi);
  writeKeyMatch(out, scratch, version);
}

/** Appends the match as `version` carries it, padded. */
export function writeKeyMatch(out: ByteWriter, match: KeyMatch, version: number): void {
  if (version === 1) {
    encodeMatch10(out, match);
    return;
  }
  if (version === 2) {
    encodeMatch11(out, match);
    return;
  }
  const start = out.position;
  out.u16(1);
  out.u16(0);
  encodeOxm(out, match, version);
  out.view.setUint16(start + 2, out.position - start);
  out.align(8, start);
}

/** Appends the match as NXM padded to 8, and returns its length without padding. */
export function writeNxm(out: ByteWriter, abi: AbiMatch, version: number, cookie?: CookieMatch): number {
  scratch.read(abi);
  const start = out.position;
  encodeOxm(out, scratch, version >= 3 ? version : 1, cookie);
  const length = out.position - start;
  out.align(8, start);
  return length;
}

export { match10Size };
