import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import type { Vlog } from "./vlog.js";

function orThrow(error: string | undefined): string {
  if (error !== undefined) throw new UnixctlError(error);
  return "";
}

/** The `vlog/...` rows. */
export function vlogCommands(vlog: Vlog): readonly UnixctlCommand[] {
  return [
    {
      name: "vlog/set",
      usage: "{spec | PATTERN:destination:pattern}",
      minArgs: 0,
      maxArgs: Number.POSITIVE_INFINITY,
      handler: (args) => {
        for (const spec of args) orThrow(vlog.set(spec));
        return "";
      },
    },
    {
      name: "vlog/list",
      usage: "",
      minArgs: 0,
      maxArgs: 0,
      handler: () => ({ text: vlog.list(), json: vlog.levelTable() }),
    },
    { name: "vlog/list-pattern", usage: "", minArgs: 0, maxArgs: 0, handler: () => vlog.listPatterns() },
    {
      name: "vlog/enable-rate-limit",
      usage: "[module]...",
      minArgs: 0,
      maxArgs: Number.POSITIVE_INFINITY,
      handler: (args) => orThrow(vlog.setRateLimits(args, true) === undefined ? undefined : "unknown module"),
    },
    {
      name: "vlog/disable-rate-limit",
      usage: "[module]...",
      minArgs: 0,
      maxArgs: Number.POSITIVE_INFINITY,
      handler: (args) => orThrow(vlog.setRateLimits(args, false) === undefined ? undefined : "unknown module"),
    },
    { name: "vlog/reopen", usage: "", minArgs: 0, maxArgs: 0, handler: () => orThrow(vlog.reopen()) },
    {
      name: "vlog/close",
      usage: "",
      minArgs: 0,
      maxArgs: 0,
      handler: () => {
        vlog.closeFile();
        return "";
      },
    },
  ];
}
