import {
  command,
  type MirrorInfo,
  type MirrorSet,
  mirrorFlag,
  mirrorInfoSize,
  mirrorQuerySize,
  query,
  readMirrorInfo,
  writeMirrorQuery,
} from "../datapath/generated/records.js";
import { ask, type QueryTarget, queryRecord } from "../datapath/index.js";
import { bitmap, encodeMembers } from "./bundle.js";

/** Mirrors that a bridge has at most. */
export const mirrorsMax = 32;

/** Copies of chosen packets.  Bundles are named by their ids. */
export interface Mirror {
  readonly selectAll: boolean;
  readonly sources: readonly number[];
  readonly destinations: readonly number[];
  /** Limits the choice; empty: every VLAN. */
  readonly vlans: readonly number[];
  /** Where copies go: a bundle, or a VLAN. */
  readonly output: { readonly bundle: number } | { readonly vlan: number };
  /** Bytes of a copy at most; 0 for all. */
  readonly snaplen: number;
}

export function mirrorRecord(bridge: number, index: number, mirror: Mirror): MirrorSet {
  return {
    type: command.mirrorSet,
    flags: 0,
    size: 0,
    bridge,
    mirror: index,
    outBundle: "bundle" in mirror.output ? mirror.output.bundle : 0,
    outVlan: "vlan" in mirror.output ? mirror.output.vlan : 0,
    snaplen: mirror.snaplen,
    mirrorFlags: mirror.selectAll ? mirrorFlag.selectAll : 0,
    nSources: mirror.sources.length,
    nDestinations: mirror.destinations.length,
    vlans: bitmap(mirror.vlans),
  };
}

/** The record's tail. */
export function mirrorTail(mirror: Mirror): Uint8Array {
  const pad = (ids: readonly number[]): readonly number[] => (ids.length % 2 === 0 ? ids : [...ids, 0]);
  return encodeMembers([...pad(mirror.sources), ...pad(mirror.destinations)]);
}

/** What a mirror counted, or undefined when there is none of that index. */
export function mirrorStats(target: QueryTarget, bridge: number, index: number): MirrorInfo | undefined {
  const asked = queryRecord(mirrorQuerySize, (view, size) =>
    writeMirrorQuery(view, 0, { type: query.mirrorStats, flags: 0, size, bridge, mirror: index }),
  );
  const reply = ask(target, asked, mirrorInfoSize);
  return reply === undefined ? undefined : readMirrorInfo(new DataView(reply.buffer, reply.byteOffset), 0);
}
