import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import {
  anyAddress,
  formatAddress,
  formatNetwork,
  isAny,
  isMapped,
  type Network,
  networkFault,
  parseAddress,
  parseNetwork,
} from "./address.js";
import type { Netdevs } from "./netdev.js";
import type { Route, Router } from "./router.js";

/** The commands of `ovs-appctl` about routes, and those that give test devices addresses. */

export interface RouterCommandOptions {
  readonly router: Router;
  readonly netdevs: Netdevs;
  /** Told after routes or addresses changed. */
  readonly changed: () => void;
}

function markOf(word: string): number | undefined {
  const found = /^pkt_mark=(0[xX][0-9a-fA-F]+|\d+)/.exec(word)?.[1];
  return found === undefined ? undefined : Number(found) >>> 0;
}

function needNetwork(text: string): Network {
  const network = parseNetwork(text);
  if (network === undefined) throw new UnixctlError("Invalid parameters");
  return network;
}

function needMark(word: string | undefined): number {
  if (word === undefined) return 0;
  const mark = markOf(word);
  if (mark === undefined) throw new UnixctlError("Invalid pkt_mark");
  return mark;
}

/** `[gateway] [pkt_mark=N]` behind a network of one address family. */
function gatewayAndMark(network: Network, third: string | undefined, fourth: string | undefined) {
  let gateway = anyAddress;
  let mark = 0;
  if (third !== undefined) {
    const found = markOf(third);
    const address = parseAddress(third);
    if (found !== undefined) mark = found;
    else if (address !== undefined && isMapped(address) === isMapped(network.address)) gateway = address;
    else throw new UnixctlError(`Invalid pkt_mark or ${isMapped(network.address) ? "gateway" : "IPv6 gateway"}`);
  }
  return { gateway, mark: fourth === undefined ? mark : needMark(fourth) };
}

function showRoute(route: Route): string {
  const mark = route.mark === 0 ? "" : ` MARK ${route.mark}`;
  const gateway = isAny(route.gateway) ? "" : ` GW ${formatAddress(route.gateway)}`;
  const local = route.isLocal ? " local" : "";
  return (
    `${route.isUser ? "User" : "Cached"}: ${formatNetwork(route.network)}${mark} dev ${route.device}${gateway}` +
    ` SRC ${formatAddress(route.source)}${local}\n`
  );
}

/** Gives a test device an address of one family in place of the one that it had. */
function setAddress({ netdevs, changed }: RouterCommandOptions, name: string, text: string, isIpv4: boolean): string {
  const netdev = netdevs.find(name);
  if (netdev === undefined || !netdev.type.dummy) throw new UnixctlError("Unknown Dummy Interface");
  const network = parseNetwork(text);
  const fault = networkFault(text, isIpv4);
  if (network === undefined || fault !== undefined) throw new UnixctlError(fault ?? `${text}: invalid IP address`);
  netdev.addresses = [...netdev.addresses.filter((other) => isMapped(other.address) !== isIpv4), network];
  changed();
  return "OK";
}

function addressCommands(options: RouterCommandOptions): readonly UnixctlCommand[] {
  const command = (name: string, isIpv4: boolean): UnixctlCommand => ({
    name,
    usage: isIpv4 ? "[netdev] ipaddr/mask-prefix-len" : "[netdev] ip6addr",
    minArgs: 2,
    maxArgs: 2,
    handler: ([device = "", text = ""]) => setAddress(options, device, text, isIpv4),
  });
  return options.netdevs.policy.dummy === "none"
    ? []
    : [command("netdev-dummy/ip4addr", true), command("netdev-dummy/ip6addr", false)];
}

export function routerCommands(options: RouterCommandOptions): readonly UnixctlCommand[] {
  const { router, changed } = options;
  return [
    ...addressCommands(options),
    {
      name: "ovs/route/add",
      usage: "ip_addr/prefix_len out_br_name [gw] [pkt_mark=mark]",
      minArgs: 2,
      maxArgs: 4,
      handler: ([text = "", device = "", third, fourth]) => {
        const network = needNetwork(text);
        const { gateway, mark } = gatewayAndMark(network, third, fourth);
        if (!router.add(network, device, gateway, mark)) throw new UnixctlError("Error while inserting route.");
        changed();
        return "OK";
      },
    },
    {
      name: "ovs/route/show",
      usage: "",
      minArgs: 0,
      maxArgs: 0,
      handler: () => {
        router.hostChanged();
        router.refresh();
        return `Route Table:\n${router.routes().map(showRoute).join("")}`;
      },
    },
    {
      name: "ovs/route/del",
      usage: "ip_addr/prefix_len [pkt_mark=mark]",
      minArgs: 1,
      maxArgs: 2,
      handler: ([text = "", mark]) => {
        if (!router.remove(needNetwork(text), needMark(mark))) throw new UnixctlError("Not found");
        changed();
        return "OK";
      },
    },
    {
      name: "ovs/route/lookup",
      usage: "ip_addr [pkt_mark=mark]",
      minArgs: 1,
      maxArgs: 2,
      handler: ([text = "", mark]) => {
        const network = needNetwork(text);
        if (network.prefixLength !== 128) throw new UnixctlError("Invalid parameters");
        const route = router.lookup(network.address, needMark(mark));
        if (route === undefined) throw new UnixctlError("Not found");
        return `src ${formatAddress(route.source)}\ngateway ${formatAddress(route.gateway)}\ndev ${route.device}\n`;
      },
    },
  ];
}
