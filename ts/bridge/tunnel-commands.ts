import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { formatAddress, type Netdevs, parseAddress } from "../netdev/index.js";
import { formatEth, parseEth } from "../openflow/index.js";
import type { TunnelPaths } from "./tunnel-paths.js";

/** The commands of `ovs-appctl` about tunnels' neighbours and the ports that they listen on. */

const addressColumns = 46;
const agingMaxS = 3600;

function showNeighbors(paths: TunnelPaths): string {
  const lines = paths
    .neighbors()
    .map(
      ({ address, mac, device, isStale }) =>
        `${formatAddress(address).padEnd(addressColumns)}${formatEth(mac)}   ${device}${isStale ? " STALE" : ""}\n`,
    );
  return (
    "IP                                            MAC                 Bridge\n" +
    `${"=".repeat(74)}\n${lines.join("")}`
  );
}

function setNeighbor(paths: TunnelPaths, device: string, ip: string, mac: string): string {
  const address = parseAddress(ip);
  if (address === undefined) throw new UnixctlError("bad IP address");
  const bytes = parseEth(mac);
  if (bytes === undefined) throw new UnixctlError("bad MAC address");
  paths.setNeighbor(device, address, bytes);
  return "OK";
}

function aging(paths: TunnelPaths, text: string | undefined): string {
  if (text === undefined) return String(paths.agingS);
  const seconds = /^\d+/.exec(text) === null ? 0 : Number.parseInt(text, 10);
  if (seconds === 0 || seconds > agingMaxS) throw new UnixctlError("bad aging value");
  paths.setAging(seconds);
  return "OK";
}

function portRange(paths: TunnelPaths, min: string | undefined, max: string | undefined): string {
  if (min === undefined || max === undefined)
    return `Tunnel UDP source port range: ${paths.portMin}-${paths.portMax}\n`;
  const [low, high] = [Number.parseInt(min, 10), Number.parseInt(max, 10)];
  // Open vSwitch does not call these failures either.
  if (!(low >= 1 && low <= 65535)) return "Invalid min.";
  if (!(high >= 1 && high <= 65535)) return "Invalid max.";
  [paths.portMin, paths.portMax] = low < high ? [low, high] : [high, low];
  paths.update();
  return "OK";
}

function showPorts(netdevs: Netdevs): string {
  const lines = netdevs
    .tunnelPorts()
    .filter((port) => port.listens)
    .map((port) => `${port.name} (${port.dpPort}) ref_cnt=${port.users}\n`);
  return `Listening ports:\n${lines.join("")}`;
}

export function tunnelCommands(paths: TunnelPaths, netdevs: Netdevs): readonly UnixctlCommand[] {
  const both = (verb: string, usage: string, args: readonly [number, number], run: UnixctlCommand["handler"]) =>
    ["tnl/arp", "tnl/neigh"].map(
      (noun): UnixctlCommand => ({
        name: `${noun}/${verb}`,
        usage,
        minArgs: args[0],
        maxArgs: args[1],
        handler: run,
      }),
    );
  return [
    ...both("show", "", [0, 0], () => showNeighbors(paths)),
    ...both("set", "BRIDGE IP MAC", [3, 3], ([device = "", ip = "", mac = ""]) => setNeighbor(paths, device, ip, mac)),
    ...both("flush", "", [0, 0], () => {
      paths.flushNeighbors();
      return "OK";
    }),
    ...both("aging", "[SECS]", [0, 1], ([text]) => aging(paths, text)),
    {
      name: "tnl/ports/show",
      usage: "",
      minArgs: 0,
      maxArgs: 0,
      handler: () => showPorts(netdevs),
    },
    {
      name: "tnl/egress_port_range",
      usage: "min max",
      minArgs: 0,
      maxArgs: 2,
      handler: ([min, max]) => portRange(paths, min, max),
    },
  ];
}
