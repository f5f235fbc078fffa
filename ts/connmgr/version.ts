import type { Version } from "../openflow/message.js";

/** Which OpenFlow version two peers speak.  A set of versions is a bitmap: bit n for wire version n. */

const releases: Readonly<Record<number, string>> = {
  1: "OpenFlow10",
  2: "OpenFlow11",
  3: "OpenFlow12",
  4: "OpenFlow13",
  5: "OpenFlow14",
  6: "OpenFlow15",
};
const every = 0b1111110;

/** Versions spoken when the database names none: 1.0 to 1.5. */
export const defaultVersions = every;

/** The bitmap for names as Bridge.protocols has them; unknown names are left out. */
export function versionsOf(names: Iterable<string>): number {
  let versions = 0;
  for (const name of names) {
    for (const [wire, release] of Object.entries(releases)) if (release === name) versions |= 1 << Number(wire);
  }
  return versions;
}

/** The highest version in a bitmap. */
export function highest(versions: number): Version {
  return (31 - Math.clz32(versions)) as Version;
}

/** The versions that a peer's hello allows: its bitmap, or all up to its header's version. */
export function peerVersions(headerVersion: number, bitmap: number | undefined): number {
  if (bitmap !== undefined && bitmap !== 0) return bitmap >>> 0;
  return ((2 ** Math.min(headerVersion + 1, 32) - 1) & ~1) >>> 0;
}

/** The best common version, or undefined. */
export function negotiate(ours: number, theirs: number): Version | undefined {
  const both = ours & theirs;
  return both === 0 ? undefined : highest(both);
}

/** Text that goes with a failed hello. */
export function disagreement(ours: number, theirs: number): string {
  return `We support ${describe(ours)}, you support ${describe(theirs)}, no common versions.`;
}

/** Bit ranges from 1 up read as "and earlier"; others are listed. */
export function describe(versions: number): string {
  const wires: number[] = [];
  for (let wire = 0; wire < 32; wire++) if (((versions >>> wire) & 1) === 1) wires.push(wire);
  const hex = (wire: number): string => `0x${wire.toString(16).padStart(2, "0")}`;
  const top = wires[wires.length - 1];
  if (top === undefined) return "no versions";
  if (wires.length === 1) return `version ${hex(top)}`;
  if (wires[0] === 1 && wires.length === top) return `version ${hex(top)} and earlier`;
  return `versions ${wires.map(hex).join(", ")}`;
}
