/** Commands of ovs-appctl for DPDK and its devices; they are there while DPDK runs. */
import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import type { Dpdk } from "./dpdk.js";
import type { Netdev, Netdevs } from "./netdev.js";

/** `changed` is told after a device's state was set. */
export function dpdkCommands(
  dpdk: Dpdk,
  netdevs: Netdevs,
  changed: (netdev: Netdev) => void,
): readonly UnixctlCommand[] {
  const devices = (): readonly Netdev[] => netdevs.all().filter((netdev) => netdev.type.dpdk !== undefined);
  const device = (name: string): Netdev => {
    const found = devices().find((netdev) => netdev.name === name);
    if (found === undefined) throw new UnixctlError("Not a DPDK Interface");
    return found;
  };
  const listing = (name: string, question: string): Omit<UnixctlCommand, "available"> => ({
    name,
    usage: "",
    minArgs: 0,
    maxArgs: 0,
    handler: () => {
      const { error, text } = dpdk.ask(question);
      if (error !== 0) throw new UnixctlError(text);
      return text;
    },
  });
  const rows: readonly Omit<UnixctlCommand, "available">[] = [
    listing("dpdk/lcore-list", "lcore-list"),
    listing("dpdk/log-list", "log-list"),
    listing("dpdk/get-malloc-stats", "malloc-stats"),
    {
      name: "dpdk/log-set",
      usage: "{level | pattern:level}",
      minArgs: 0,
      maxArgs: Number.POSITIVE_INFINITY,
      handler: (args) => {
        for (const word of args.length === 0 ? ["debug"] : args) {
          const { error, text } = dpdk.ask("log-set", word);
          if (error !== 0) throw new UnixctlError(text);
        }
        return "";
      },
    },
    {
      name: "netdev-dpdk/set-admin-state",
      usage: "[netdev] up|down",
      minArgs: 1,
      maxArgs: 2,
      handler: (args) => {
        const state = (args.at(-1) ?? "").toLowerCase();
        if (state !== "up" && state !== "down") throw new UnixctlError("Invalid Admin State");
        for (const netdev of args.length === 2 ? [device(args[0] ?? "")] : devices()) {
          netdev.setUp(state === "up");
          changed(netdev);
        }
        return "OK";
      },
    },
    {
      name: "netdev-dpdk/detach",
      usage: "pci address of device",
      minArgs: 1,
      maxArgs: 1,
      handler: ([devargs = ""]) => {
        const { error, text } = dpdk.ask("detach", devargs);
        if (error !== 0) throw new UnixctlError(text);
        return text;
      },
    },
    {
      name: "netdev-dpdk/get-mempool-info",
      usage: "[netdev]",
      minArgs: 0,
      maxArgs: 1,
      handler: ([name]) => {
        const { error, text } = name === undefined ? dpdk.ask("mempools") : dpdk.ask("mempool", device(name).name);
        if (error !== 0) throw new UnixctlError("Not a DPDK Interface");
        return text;
      },
    },
  ];
  return rows.map((row) => ({ ...row, available: () => dpdk.isStarted }));
}
