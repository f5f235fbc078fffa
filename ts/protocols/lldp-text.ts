/** What ovs-appctl shows of LLDP and auto-attach.  Pure. */

import type { LldpState } from "./lldp.js";
import { hexBytes, type LldpElement } from "./lldp-pdu.js";

/** What the other end may say of a mapping. */
const statusText: Readonly<Record<number, string>> = {
  2: "Active",
  3: "Reject (Generic)",
  4: "Reject (AA resources unavailable)",
  6: "Reject (Invalid)",
  8: "Reject (VLAN resources unavailable)",
  9: "Reject (Application interaction issue)",
  255: "Pending",
};

/** As Open vSwitch prints the identifier: as it lies in the memory of a little-endian machine. */
function systemId({ mac, connectionType, reserved, more }: LldpElement): Uint8Array {
  return Uint8Array.of(...mac, connectionType, 0, reserved & 0xff, reserved >> 8, ...more);
}

export function formatAutoAttach(state: LldpState): string {
  const lines = [`LLDP: ${state.name}`];
  for (const { chassisId, systemDescription, element } of state.neighbors) {
    const id = element === undefined ? undefined : systemId(element);
    if (id === undefined || id.every((byte) => byte === 0)) continue;
    lines.push(`  Auto Attach Primary Server Id: ${hexBytes(chassisId)}`);
    lines.push(`  Auto Attach Primary Server Descr: ${systemDescription ?? "<None>"}`);
    lines.push(`  Auto Attach Primary Server System Id: ${hexBytes(id)}`);
  }
  return lines.map((line) => `${line}\n`).join("");
}

export function formatMappings(state: LldpState): string {
  const row = (isid: string, vlan: string, source: string, status: string, width: number): string =>
    `${isid.padEnd(8)} ${vlan.padEnd(4)} ${source.padEnd(11)} ${status.padEnd(width)}\n`;
  return [
    `LLDP: ${state.name}\n`,
    row("I-SID", "VLAN", "Source", "Status", 8),
    "-------- ---- ----------- --------\n",
    ...[...state.mappings]
      .sort((a, b) => a.isid - b.isid)
      .map(({ isid, vlan, status }) =>
        row(String(isid), String(vlan), "Switch", statusText[status] ?? "Undefined", 11),
      ),
  ].join("");
}

export function formatLldpCounts({ name, counts }: LldpState): string {
  const rows = [
    ["tx", counts.tx],
    ["rx", counts.rx],
    ["rx discarded", counts.discarded],
    ["rx unrecognized", counts.unrecognized],
    // Neighbours neither age nor are they removed.
    ["ageout", 0],
    ["insert", counts.inserted],
    ["delete", 0],
    ["drop", counts.dropped],
  ] as const;
  return [`Statistics: ${name}\n`, ...rows.map(([what, count]) => `  ${what} cnt: ${count}\n`)].join("");
}
