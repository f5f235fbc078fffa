import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { formatAddress, isMapped, type Netdevs, parseAddress } from "../netdev/index.js";
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

const tcp = 6;

/** What of each port's packets is looked at, for each address: where UDP and TCP go by their ports comes first, and IPv4
 *  before IPv6.  Ports of one protocol without ports of its own are told apart by their headers only: the first stands
 *  for all. */
function showListeners(paths: TunnelPaths, netdevs: Netdevs): string {
  const ports = netdevs.tunnelPorts().filter((port) => port.listens);
  const withPorts = ports.filter(({ dstPort }) => dstPort !== undefined);
  const others = ports.filter(
    ({ dstPort, ipProto }, index) =>
      dstPort === undefined && index === ports.findIndex((one) => one.dstPort === undefined && one.ipProto === ipProto),
  );
  const addresses = paths.listeningAddresses();
  const lines = [withPorts, others].flatMap((some) =>
    [true, false].flatMap((wantsIpv4) =>
      addresses
        .filter(({ address }) => isMapped(address) === wantsIpv4)
        .flatMap(({ mac, address }) =>
          some.map(({ name, dpPort, ipProto, dstPort }) => {
            const network = wantsIpv4 ? "eth_type(0x0800),ipv4" : "eth_type(0x86dd),ipv6";
            const transport = dstPort === undefined ? "" : `,${ipProto === tcp ? "tcp" : "udp"}(dst=${dstPort})`;
            return `${name} (${dpPort}) : eth(dst=${formatEth(mac)}),${network}(dst=${formatAddress(address)},proto=${ipProto},frag=no)${transport}\n`;
          }),
        ),
    ),
  );
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
      usage: "-v",
      minArgs: 0,
      maxArgs: 1,
      handler: ([flag]) => (flag?.toLowerCase() === "-v" ? showListeners(paths, netdevs) : showPorts(netdevs)),
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
