import type { UnixctlCommand } from "../appctl/index.js";
import { formatAutoAttach, formatLldpCounts, formatMappings, type LldpState } from "../protocols/index.js";
import type { Discovery } from "./discovery.js";

/** The commands of `ovs-appctl` about LLDP and auto-attach.  They take the name of a bridge, as Open vSwitch does, and like
 *  that one show all bridges whatever it is. */
export function discoveryCommands(all: () => readonly Discovery[]): readonly UnixctlCommand[] {
  const command = (name: string, format: (state: LldpState) => string, prepare?: (one: Discovery) => void) => ({
    name: `autoattach/${name}`,
    usage: "[bridge]",
    minArgs: 0,
    maxArgs: 1,
    handler: () =>
      all()
        .flatMap((one) => {
          prepare?.(one);
          return [...one.states.values()].map(format);
        })
        .join(""),
  });
  return [
    command("status", formatAutoAttach),
    command("show-isid", formatMappings, (one) => {
      one.judge();
    }),
    command("statistics", formatLldpCounts),
  ];
}
