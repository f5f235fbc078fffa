import { type BundleSet, bundleFlag, command, vlanMode } from "../datapath/generated/records.js";

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
}

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
      (bundle.isProtected === true ? bundleFlag.protected : 0),
    nMembers: bundle.members.length,
    trunks: bitmap(bundle.trunks),
    cvlans: bitmap(bundle.cvlans ?? []),
  };
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
