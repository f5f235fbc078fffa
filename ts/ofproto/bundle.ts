import { type BundleSet, bondInput, bondOutput, bundleFlag, command, vlanMode } from "../datapath/generated/records.js";

/** What NORMAL sees as one logical port: its members and its VLANs. */
export interface Bundle {
  readonly name: string;
  /** OpenFlow ports. */
  readonly members: readonly number[];
  readonly vlanMode: keyof typeof vlanMode;
  /** The access VLAN, or the native one. */
  readonly tag: number;
  /** VLANs that a trunk carries; empty: all. */
  readonly trunks: readonly number[];
  readonly cvlans?: readonly number[];
  readonly qinqEthertype?: number;
  readonly priorityTags?: "no" | "if-nonzero" | "always";
  readonly isProtected?: boolean;
  /** Where the bridge snoops: all multicast, or all reports, leave here. */
  readonly floodsMulticast?: boolean;
  readonly floodsReports?: boolean;
  /** Frames of LACP are for the switch. */
  readonly lacp?: boolean;
  readonly bond?: BundleBond;
}

/** Which members of a bond carry packets now. */
export interface BundleBond {
  readonly output: keyof typeof bondOutput;
  readonly input: keyof typeof bondInput;
  readonly active: number | undefined;
  readonly basis: number;
  readonly allMembersActive: boolean;
  /** Packets are spread by hashes: what goes by each is counted. */
  readonly isBalanced: boolean;
  /** The datapath looks up buckets of hashL4 itself. */
  readonly lbOutput: boolean;
  readonly enabled: readonly number[];
  /** The member of each of 256 hash values; empty where none is hashed. */
  readonly buckets: readonly number[];
}

const noPort = 0xffffffff;

/** A bundle on all VLANs. */
export function trunkBundle(name: string, members: readonly number[]): Bundle {
  return { name, members, vlanMode: "trunk", tag: 0, trunks: [] };
}

export function bundleRecord(bridge: number, id: number, bundle: Bundle): BundleSet {
  const priority = bundle.priorityTags ?? "no";
  return {
    type: command.bundleSet,
    flags: 0,
    size: 0,
    bridge,
    bundle: id,
    vlanMode: vlanMode[bundle.vlanMode],
    tag: bundle.tag,
    qinqEthtype: bundle.qinqEthertype ?? 0x88a8,
    bundleFlags:
      (priority === "if-nonzero" ? bundleFlag.priorityTags : 0) |
      (priority === "always" ? bundleFlag.priorityTagsAlways : 0) |
      (bundle.isProtected === true ? bundleFlag.protected : 0) |
      (bundle.floodsMulticast === true ? bundleFlag.mcastFlood : 0) |
      (bundle.floodsReports === true ? bundleFlag.mcastFloodReports : 0) |
      (bundle.lacp === true ? bundleFlag.lacp : 0) |
      (bundle.bond?.allMembersActive === true ? bundleFlag.allMembersActive : 0) |
      (bundle.bond?.isBalanced === true ? bundleFlag.balanced : 0) |
      (bundle.bond?.lbOutput === true ? bundleFlag.lbOutput : 0),
    nMembers: bundle.members.length,
    bondOutput: bondOutput[bundle.bond?.output ?? "first"],
    bondInput: bondInput[bundle.bond?.input ?? "all"],
    activeMember: bundle.bond?.active ?? noPort,
    hashBasis: bundle.bond?.basis ?? 0,
    nEnabled: bundle.bond?.enabled.length ?? 0,
    nBuckets: bundle.bond?.buckets.length ?? 0,
    trunks: bitmap(bundle.trunks),
    cvlans: bitmap(bundle.cvlans ?? []),
  };
}

/** What follows the record. */
export function bundleTail(bundle: Bundle): Uint8Array {
  return encodeMembers([...bundle.members, ...(bundle.bond?.enabled ?? []), ...(bundle.bond?.buckets ?? [])]);
}

export function encodeMembers(members: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * members.length);
  const view = new DataView(bytes.buffer);
  members.forEach((member, index) => {
    view.setUint32(4 * index, member, true);
  });
  return bytes;
}

export function bitmap(vlans: readonly number[]): BigUint64Array {
  const words = new BigUint64Array(64);
  for (const vlan of vlans) {
    const word = vlan >>> 6;
    words[word] = (words[word] ?? 0n) | (1n << BigInt(vlan & 63));
  }
  return words;
}
