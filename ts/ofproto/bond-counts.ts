import {
  bondBucketOffsets,
  bondBucketSize,
  bondInfoSize,
  bondQuerySize,
  query,
  readBondInfo,
  writeBondQuery,
} from "../datapath/generated/records.js";
import { ask, type QueryTarget, queryRecord } from "../datapath/index.js";

/** What a bond that is balanced has sent. */
export interface BondCounts {
  /** Its recirculation id, by which lb_output knows it, too. */
  readonly id: number;
  readonly packets: readonly number[];
  readonly bytes: readonly number[];
}

const buckets = 256;

/** Of bundle `bundle`, or undefined if it is not balanced. */
export function bondCounts(target: QueryTarget, bridge: number, bundle: number): BondCounts | undefined {
  const asked = queryRecord(bondQuerySize, (view, size) =>
    writeBondQuery(view, 0, { type: query.bondStats, flags: 0, size, bridge, bundle }),
  );
  const reply = ask(target, asked, bondInfoSize + buckets * bondBucketSize);
  if (reply === undefined) return undefined;
  const view = new DataView(reply.buffer, reply.byteOffset, reply.length);
  const column = (offset: number): number[] =>
    Array.from({ length: buckets }, (_, index) =>
      Number(view.getBigUint64(bondInfoSize + index * bondBucketSize + offset, true)),
    );
  return {
    id: readBondInfo(view, 0).recircId,
    packets: column(bondBucketOffsets.nPackets),
    bytes: column(bondBucketOffsets.nBytes),
  };
}
