import {
  dumpReplySize,
  objectQueryOffsets,
  objectQuerySize,
  recordOffsets,
  writeObjectQuery,
} from "../datapath/generated/records.js";
import { dumpReplies } from "./flow-records.js";
import type { Ofproto } from "./ofproto.js";

/** Where a record of a dump is. */
export interface DumpedRecord {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly at: number;
}

/** The groups or meters of a bridge in order of their numbers, or the one of that number if there is one.  `replySize`
 *  holds the largest of them.  A record is good until the next one is asked for. */
export function* dumpObjects(
  ofproto: Ofproto,
  type: number,
  id: number,
  replySize: number,
): Generator<DumpedRecord, void> {
  const asked = new Uint8Array(objectQuerySize);
  writeObjectQuery(new DataView(asked.buffer), 0, {
    type,
    flags: 0,
    size: objectQuerySize,
    cursor: 0n,
    bridge: ofproto.bridge,
    id,
  });
  for (const { bytes, count } of dumpReplies(ofproto.datapath, asked, objectQueryOffsets.cursor, replySize)) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = dumpReplySize;
    for (let index = 0; index < count; index++) {
      yield { bytes, view, at };
      at += view.getUint32(at + recordOffsets.size, true);
    }
  }
}
