/** How NORMAL treats a port of the database: its VLANs.  Pure. */

import type { Bundle } from "../ofproto/bundle.js";
import type { PortRow } from "../ovsdb/index.js";
import { truth } from "./config-values.js";

const modes = {
  access: "access",
  trunk: "trunk",
  "native-tagged": "nativeTagged",
  "native-untagged": "nativeUntagged",
  "dot1q-tunnel": "dot1qTunnel",
} as const;

export interface WantedBundle {
  readonly bundle: Bundle;
  readonly warnings: readonly string[];
}

/** `members` are OpenFlow port numbers.  Without a mode, a tag means access and no tag means trunk. */
export function wantedBundle(
  bridge: string,
  name: string,
  row: PortRow | undefined,
  members: readonly number[],
): WantedBundle {
  const warnings: string[] = [];
  const usable = (vlan: number): boolean => vlan >= 0 && vlan <= 4095;
  const tag = row?.tag;
  const mode = row?.vlan_mode ?? (tag === undefined ? "trunk" : "access");
  const trunks = (row?.trunks ?? []).filter(usable);
  if (row?.vlan_mode === undefined && tag !== undefined && trunks.length > 0) {
    warnings.push(`bridge ${bridge}: port ${name}: vlan_mode is empty and tag is set, so trunks are ignored`);
  }
  const carried =
    mode === "access"
      ? []
      : mode === "trunk" || mode === "dot1q-tunnel" || trunks.length === 0
        ? trunks
        : [...new Set([...trunks, tag ?? 0])];
  const priority = row?.other_config.get("priority-tags");
  return {
    warnings,
    bundle: {
      name,
      members,
      vlanMode: modes[mode],
      tag: mode === "trunk" ? 0 : (tag ?? 0),
      trunks: mode === "dot1q-tunnel" ? [] : carried,
      cvlans: mode === "dot1q-tunnel" ? (row?.cvlans ?? []).filter(usable) : [],
      qinqEthertype: row?.other_config.get("qinq-ethtype") === "802.1q" ? 0x8100 : 0x88a8,
      priorityTags:
        priority === "always" ? "always" : priority === "if-nonzero" || priority === "true" ? "if-nonzero" : "no",
      isProtected: row?.protected ?? false,
      floodsMulticast: truth(row?.other_config, "mcast-snooping-flood"),
      floodsReports: truth(row?.other_config, "mcast-snooping-flood-reports"),
    },
  };
}
