import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { formatStp } from "../protocols/index.js";
import type { Spanning } from "./spanning.js";

/** The commands of `ovs-appctl` about spanning trees. */
export function spanningCommands(all: () => ReadonlyMap<string, Spanning>): readonly UnixctlCommand[] {
  const stps = (name: string | undefined): readonly Spanning[] => {
    const found = [...all()].filter(
      ([bridge, { stp }]) => stp !== undefined && (name === undefined || bridge === name),
    );
    if (name !== undefined && found.length === 0) throw new UnixctlError("no such stp object");
    return found.map(([, spanning]) => spanning);
  };
  return [
    {
      name: "stp/show",
      usage: "[bridge]",
      minArgs: 0,
      maxArgs: 1,
      handler: ([name]) =>
        stps(name)
          .map(({ stp }) => (stp === undefined ? "" : formatStp(stp)))
          .join(""),
    },
    {
      name: "stp/tcn",
      usage: "[bridge]",
      minArgs: 0,
      maxArgs: 1,
      handler: ([name]) => {
        for (const spanning of stps(name)) spanning.topologyChanged();
        return "OK";
      },
    },
  ];
}
