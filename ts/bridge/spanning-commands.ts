import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { formatRstp, formatStp } from "../protocols/index.js";
import type { Spanning } from "./spanning.js";

/** The commands of `ovs-appctl` about spanning trees. */
export function spanningCommands(all: () => ReadonlyMap<string, Spanning>): readonly UnixctlCommand[] {
  const trees = (protocol: "stp" | "rstp", name: string | undefined): readonly Spanning[] => {
    const found = [...all()].filter(
      ([bridge, tree]) => tree[protocol] !== undefined && (name === undefined || bridge === name),
    );
    if (name !== undefined && found.length === 0)
      throw new UnixctlError(protocol === "stp" ? "no such stp object" : "No such RSTP object");
    return found.map(([, tree]) => tree);
  };
  const commands = (protocol: "stp" | "rstp", show: (tree: Spanning) => string): readonly UnixctlCommand[] => [
    {
      name: `${protocol}/show`,
      usage: "[bridge]",
      minArgs: 0,
      maxArgs: 1,
      handler: ([name]) => trees(protocol, name).map(show).join(""),
    },
    {
      name: `${protocol}/tcn`,
      usage: "[bridge]",
      minArgs: 0,
      maxArgs: 1,
      handler: ([name]) => {
        for (const tree of trees(protocol, name)) tree.topologyChanged();
        return "OK";
      },
    },
  ];
  return [
    ...commands("stp", ({ stp }) => (stp === undefined ? "" : formatStp(stp))),
    ...commands("rstp", ({ rstp }) => (rstp === undefined ? "" : formatRstp(rstp))),
  ];
}
