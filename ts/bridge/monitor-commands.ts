import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { formatBfd, formatCfm } from "../protocols/index.js";
import type { LinkMonitor } from "./link-monitor.js";

/** The commands of `ovs-appctl` about what watches links. */

/** `normal`, `false` or `true`, as administrators write it. */
function overrideOf(text: string): boolean | undefined {
  const word = text.toLowerCase();
  if (word === "normal") return undefined;
  if (word !== "true" && word !== "false") throw new UnixctlError("unknown fault string");
  return word === "true";
}

export function monitorCommands(all: () => readonly LinkMonitor[], now: () => number): readonly UnixctlCommand[] {
  const find = (kind: "bfd" | "cfm", name: string | undefined, otherwise: string): readonly LinkMonitor[] => {
    const found = all().filter(
      (monitor) => monitor[kind] !== undefined && (name === undefined || monitor.name === name),
    );
    if (name !== undefined && found.length === 0) throw new UnixctlError(otherwise);
    for (const monitor of found) monitor.refresh();
    return found;
  };
  return [
    {
      name: "bfd/show",
      usage: "[interface]",
      minArgs: 0,
      maxArgs: 1,
      handler: ([name]) =>
        find("bfd", name, "no such bfd object")
          .map(({ name: shown, bfd }) => {
            if (bfd === undefined) return "";
            return `${name === undefined ? `---- ${shown} ----\n` : ""}${formatBfd(bfd, now())}`;
          })
          .join(""),
    },
    {
      name: "bfd/set-forwarding",
      usage: "[interface] normal|false|true",
      minArgs: 1,
      maxArgs: 2,
      handler: (args) => {
        const override = overrideOf(args.at(-1) ?? "");
        const name = args.length > 1 ? args[0] : undefined;
        for (const monitor of find("bfd", name, "no such BFD object")) monitor.overrideBfd(override);
        return "OK";
      },
    },
    {
      name: "cfm/show",
      usage: "[interface]",
      minArgs: 0,
      maxArgs: 1,
      handler: ([name]) =>
        find("cfm", name, "no such CFM object")
          .map(({ cfm }) => (cfm === undefined ? "" : formatCfm(cfm, now())))
          .join(""),
    },
    {
      name: "cfm/set-fault",
      usage: "[interface] normal|false|true",
      minArgs: 1,
      maxArgs: 2,
      handler: (args) => {
        const override = overrideOf(args.at(-1) ?? "");
        const name = args.length > 1 ? args[0] : undefined;
        for (const monitor of find("cfm", name, "no such CFM object")) monitor.overrideCfm(override);
        return "OK";
      },
    },
  ];
}
