/** Interface types: what `Interface.type` may say, and what the datapath opens for it. */
import { portClass } from "../datapath/generated/records.js";
import { type DpdkKind, dpdkKinds } from "./dpdk-devices.js";
import { tunnelOptions } from "./tunnel-config.js";
import { type TunnelType, tunnelTypes } from "./tunnel-types.js";

export interface NetdevType {
  /** As in Interface.type and Open_vSwitch.iface_types. */
  readonly name: string;
  /** Driver of the datapath; undefined for a port that lives only in the pipeline. */
  readonly portClass: number | undefined;
  /** Type that `dpif/show` names it by. */
  readonly shownAs: string;
  /** Whether it opens a device of the host, which `--disable-system` forbids. */
  readonly host: boolean;
  /** Only with --enable-dummy. */
  readonly dummy: boolean;
  /** Only for a program that embeds the switch: its frames are that program's. */
  readonly embedded?: boolean;
  /** What a tunnel of the type is. */
  readonly tunnel?: TunnelType;
  /** Only while DPDK runs. */
  readonly dpdk?: DpdkKind;
  /** Threads with cores of their own poll it, as Open vSwitch's PMD threads do. */
  readonly polled?: true;
  /** What is wrong with the options of an interface, in the words of the log. */
  readonly refuses?: (name: string, options: ReadonlyMap<string, string>) => string | undefined;
  /** Numbers of the queues that a device of the type always has. */
  readonly queues?: readonly number[];
  /** Keys of Interface.options that it understands. */
  readonly options: readonly string[];
  readonly doc: string;
}

/** What the test devices understand. */
const dummyOptions = [
  "stream",
  "pstream",
  "pcap",
  "rxq_pcap",
  "tx_pcap",
  "n_rxq",
  "n_txq",
  "numa_id",
  "ifindex",
  "ip4addr",
  "ip6addr",
] as const;

const afxdpOptionNames = ["n_rxq", "xdp-mode", "use-need-wakeup"] as const;

function patchRefusal(name: string, options: ReadonlyMap<string, string>): string | undefined {
  const peer = options.get("peer");
  if (peer === undefined) return `${name}: patch type requires valid 'peer' argument`;
  if (options.size > 1) return `${name}: patch type takes only a 'peer' argument`;
  return peer === name ? `${name}: patch peer must not be self` : undefined;
}

export const netdevTypes: readonly NetdevType[] = [
  {
    name: "system",
    portClass: portClass.packet,
    shownAs: "system",
    host: true,
    dummy: false,
    options: ["n_rxq"],
    doc: "A network device of the host, such as a NIC or one end of a veth pair.",
  },
  {
    name: "internal",
    portClass: portClass.tap,
    shownAs: "tap",
    host: true,
    dummy: false,
    options: [],
    doc: "A device that Sluice makes, for the host to talk through the bridge.",
  },
  {
    name: "tap",
    portClass: portClass.tap,
    shownAs: "tap",
    host: true,
    dummy: false,
    options: [],
    doc: "A tap device that Sluice makes.",
  },
  {
    name: "patch",
    portClass: undefined,
    shownAs: "patch",
    host: false,
    dummy: false,
    refuses: patchRefusal,
    options: ["peer"],
    doc: "One end of a connection between two bridges.",
  },
  ...tunnelTypes.map(
    (tunnel): NetdevType => ({
      name: tunnel.name,
      portClass: undefined,
      shownAs: tunnel.name,
      host: false,
      dummy: false,
      tunnel,
      options: tunnelOptions(tunnel),
      doc: tunnel.doc,
    }),
  ),
  {
    name: "afxdp",
    polled: true,
    portClass: portClass.afxdp,
    shownAs: "afxdp",
    host: true,
    dummy: false,
    options: afxdpOptionNames,
    doc: "A network device of the host, driven by AF_XDP.",
  },
  {
    name: "afxdp-nonpmd",
    portClass: portClass.afxdp,
    shownAs: "afxdp-nonpmd",
    host: true,
    dummy: false,
    options: afxdpOptionNames,
    doc: "The same; Open vSwitch polls it with the thread that polls devices of the system, Sluice as any other.",
  },
  {
    name: "dpdk",
    polled: true,
    portClass: portClass.dpdk,
    shownAs: "dpdk",
    host: true,
    dummy: false,
    dpdk: dpdkKinds.ethernet,
    options: dpdkKinds.ethernet.options,
    doc: "A device that DPDK drives: a NIC by its PCI address, or one of DPDK's virtual devices.",
  },
  {
    name: "dpdkvhostuser",
    polled: true,
    portClass: portClass.dpdk,
    shownAs: "dpdkvhostuser",
    host: true,
    dummy: false,
    dpdk: dpdkKinds.vhostServer,
    options: dpdkKinds.vhostServer.options,
    doc: "One end of a virtual machine's vhost-user device, with a socket that Sluice makes; where the other type can be used, use that.",
  },
  {
    name: "dpdkvhostuserclient",
    polled: true,
    portClass: portClass.dpdk,
    shownAs: "dpdkvhostuserclient",
    host: true,
    dummy: false,
    dpdk: dpdkKinds.vhostClient,
    options: dpdkKinds.vhostClient.options,
    doc: "One end of a virtual machine's vhost-user device; the machine makes the socket, and may come and go.",
  },
  {
    name: "dummy",
    portClass: portClass.dummy,
    shownAs: "dummy",
    queues: [0],
    host: false,
    dummy: true,
    options: dummyOptions,
    doc: "A test device: frames come from netdev-dummy/receive.",
  },
  {
    name: "dummy-internal",
    portClass: portClass.dummy,
    shownAs: "dummy-internal",
    queues: [0],
    host: false,
    dummy: true,
    options: dummyOptions,
    doc: "The test device as the local port of a dummy bridge.",
  },
  {
    name: "dummy-pmd",
    polled: true,
    portClass: portClass.dummy,
    shownAs: "dummy-pmd",
    queues: [0],
    host: false,
    dummy: true,
    options: dummyOptions,
    doc: "The test device, received by a polling worker.",
  },
  {
    name: "memory",
    portClass: portClass.memory,
    shownAs: "memory",
    host: false,
    dummy: false,
    embedded: true,
    options: ["n_rxq", "mtu"],
    doc: "Frames come from the program and go to it.",
  },
  {
    name: "pcap",
    portClass: portClass.pcap,
    shownAs: "pcap",
    host: false,
    dummy: false,
    embedded: true,
    options: ["rx_pcap", "tx_pcap", "infinite_rx"],
    doc: "Frames come from one pcap file and go to another.",
  },
];

/** How `--enable-dummy` and `--disable-system` change what is there. */
export interface NetdevPolicy {
  /** `none`: no dummies; `plain`: dummies beside the rest; `system`: they replace system devices; `override`: they replace every type. */
  readonly dummy: "none" | "plain" | "system" | "override";
  readonly system: boolean;
  /** Whether DPDK runs. */
  readonly dpdk?: boolean;
  /** Whether a program embeds the switch. */
  readonly embedded?: boolean;
}

function isAvailable(type: NetdevType, policy: NetdevPolicy): boolean {
  if (type.dummy && policy.dummy === "none") return false;
  if (type.embedded === true && policy.embedded !== true) return false;
  if (type.dpdk !== undefined && policy.dpdk !== true) return false;
  return policy.system || type.name !== "system" || policy.dummy === "system" || policy.dummy === "override";
}

/** Types that may be used, sorted, as in Open_vSwitch.iface_types. */
export function availableTypes(policy: NetdevPolicy): readonly NetdevType[] {
  return netdevTypes.filter((type) => isAvailable(type, policy)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** The type that an interface of type `name` on a datapath of type `datapathType` really gets, or undefined. */
export function resolveType(name: string, datapathType: string, policy: NetdevPolicy): NetdevType | undefined {
  let wanted = name === "" ? "system" : name;
  if (datapathType === "dummy" && wanted === "internal") wanted = "dummy-internal";
  else if (policy.dummy === "override" && wanted !== "patch" && !wanted.startsWith("dummy")) wanted = "dummy";
  else if (policy.dummy === "system" && wanted === "system") wanted = "dummy";
  return netdevTypes.find((type) => type.name === wanted && isAvailable(type, policy));
}

/** Names that tunnels' datapath ports and the datapaths themselves use; an interface may not be called so. */
const reservedPrefixes = tunnelTypes.map((type) => type.dpName);
const reservedNames = ["ovs-netdev", "ovs-system", "ovs-dummy"];

export function isReservedName(name: string): boolean {
  return reservedNames.includes(name) || reservedPrefixes.some((prefix) => name.startsWith(prefix));
}
