import {
  bridgeQueryOffsets,
  bridgeQuerySize,
  dumpReplySize,
  objectQueryOffsets,
  objectQuerySize,
  recordOffsets,
  writeBridgeQuery,
  writeObjectQuery,
} from "../datapath/generated/records.js";
import type { FlowDatapath } from "./abi-batch.js";
import { dumpReplies } from "./flow-records.js";

/** A bridge of the datapath. */
export interface Dumped {
  readonly datapath: FlowDatapath;
  readonly bridge: number;
}

/** Where a record of a dump is. */
export interface DumpedRecord {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly at: number;
}

/** The groups or meters of a bridge in order of their numbers, or the one of that number if there is one.  `replySize`
 *  holds the largest of them.  A record is good until the next one is asked for. */
export function* dumpObjects(of: Dumped, type: number, id: number, replySize: number): Generator<DumpedRecord, void> {
  const asked = new Uint8Array(objectQuerySize);
  writeObjectQuery(new DataView(asked.buffer), 0, {
    type,
    flags: 0,
    size: objectQuerySize,
    cursor: 0n,
    bridge: of.bridge,
    id,
  });
  yield* records(of, asked, objectQueryOffsets.cursor, replySize);
}

/** What the datapath keeps for a bridge: `type` says what.  A record is good until the next one is asked for. */
export function* dumpBridge(of: Dumped, type: number, replySize: number): Generator<DumpedRecord, void> {
  const asked = new Uint8Array(bridgeQuerySize);
  writeBridgeQuery(new DataView(asked.buffer), 0, {
    type,
    flags: 0,
    size: bridgeQuerySize,
    cursor: 0n,
    bridge: of.bridge,
  });
  yield* records(of, asked, bridgeQueryOffsets.cursor, replySize);
}

function* records(of: Dumped, asked: Uint8Array, cursorAt: number, size: number): Generator<DumpedRecord, void> {
  for (const { bytes, count } of dumpReplies(of.datapath, asked, cursorAt, size)) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = dumpReplySize;
    for (let index = 0; index < count; index++) {
      yield { bytes, view, at };
      at += view.getUint32(at + recordOffsets.size, true);
    }
  }
}
