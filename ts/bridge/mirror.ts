/** What a mirror of the database selects, and where its copies go.  Pure. */
import type { Mirror } from "../ofproto/mirror.js";
import type { MirrorRow, Uuid } from "../ovsdb/index.js";

export interface WantedMirror {
  /** Undefined when the row makes no mirror. */
  readonly mirror: Mirror | undefined;
  readonly warnings: readonly string[];
}

/** A copy of so many bytes is a whole packet. */
const snaplenAll = 65535;

/** `bundleOf` gives the bundle of a port of the bridge. */
export function wantedMirror(
  bridge: string,
  row: MirrorRow,
  bundleOf: (port: Uuid) => number | undefined,
): WantedMirror {
  const warnings: string[] = [];
  const usable = (vlan: number): boolean => vlan >= 0 && vlan <= 4095;
  const output = outputOf(bridge, row, bundleOf, warnings);
  if (output === undefined) return { mirror: undefined, warnings };
  const bundles = (ports: readonly Uuid[]): number[] => ports.flatMap((port) => bundleOf(port) ?? []);
  return {
    warnings,
    mirror: {
      selectAll: row.select_all,
      sources: bundles(row.select_src_port),
      destinations: bundles(row.select_dst_port),
      vlans: row.select_vlan.filter(usable),
      output,
      snaplen: row.snaplen === undefined || row.snaplen === snaplenAll ? 0 : row.snaplen,
    },
  };
}

function outputOf(
  bridge: string,
  row: MirrorRow,
  bundleOf: (port: Uuid) => number | undefined,
  warnings: string[],
): Mirror["output"] | undefined {
  if (row.output_port !== undefined) {
    const bundle = bundleOf(row.output_port);
    if (bundle === undefined) {
      warnings.push(`bridge ${bridge}: mirror ${row.name} outputs to port not on bridge`);
      return undefined;
    }
    if (row.output_vlan !== undefined) {
      warnings.push(
        `bridge ${bridge}: mirror ${row.name} specifies both output port and output vlan; ignoring output vlan`,
      );
    }
    return { bundle };
  }
  if (row.output_vlan !== undefined) return { vlan: row.output_vlan };
  warnings.push(`bridge ${bridge}: mirror ${row.name} does not specify output; ignoring`);
  return undefined;
}
