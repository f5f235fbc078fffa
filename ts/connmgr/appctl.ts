import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import type { Connmgr } from "./connmgr.js";

/** bridge/reconnect.  `find`: the bridge's connections; `all`: every bridge's. */
export function connmgrCommands(
  find: (bridge: string) => Connmgr | undefined,
  all: () => Iterable<Connmgr>,
): readonly UnixctlCommand[] {
  return [
    {
      name: "bridge/reconnect",
      usage: "[bridge]",
      minArgs: 0,
      maxArgs: 1,
      handler: ([name]) => {
        const one = name === undefined ? undefined : find(name);
        if (name !== undefined && one === undefined) throw new UnixctlError("Unknown bridge");
        for (const connmgr of one === undefined ? all() : [one]) connmgr.reconnect();
        return "";
      },
    },
  ];
}
