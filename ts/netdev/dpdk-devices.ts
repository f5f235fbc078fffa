/** What DPDK's driver is to open for an interface, from its options. */

/** What Open_vSwitch.other_config said of vhost devices when DPDK was started. */
export interface VhostSettings {
  /** Where the sockets of `dpdkvhostuser` ports are. */
  readonly socketDirectory: string;
  readonly iommu: boolean;
  readonly postcopy: boolean;
}

/** As DPDK names it, and the driver's configuration. */
export interface DpdkDevice {
  readonly devargs: string;
  readonly config: ReadonlyMap<string, string>;
}

type Options = ReadonlyMap<string, string>;

export interface DpdkKind {
  /** A sentence for Interface.error when the options say too little or cannot be. */
  device(name: string, options: Options, vhost: VhostSettings): DpdkDevice | string;
  /** How Interface.status calls the part that a vhost port plays; undefined for other devices. */
  readonly vhostMode?: "client" | "server";
  readonly options: readonly string[];
}

const queuesMax = 16;
const descriptors = { fallback: 2048, max: 4096 } as const;
const retries = { fallback: 8, max: 32 } as const;

/** As Open vSwitch reads numbers and truths: what is none is as if it were not there. */
function numberOf(options: Options, key: string, fallback: number): number {
  const text = options.get(key)?.trim() ?? "";
  return /^[+-]?\d+$/.test(text) ? Number(text) : fallback;
}

export const isTrue = (options: Options, key: string): boolean => options.get(key)?.toLowerCase() === "true";

function ringSize(options: Options, key: string): number {
  const size = numberOf(options, key, descriptors.fallback);
  return size > 0 && size <= descriptors.max && (size & (size - 1)) === 0 ? size : descriptors.fallback;
}

const queueCount = (options: Options): number => Math.min(Math.max(numberOf(options, "n_rxq", 1), 1), queuesMax);

function queues(options: Options): [string, string][] {
  return [
    ["n_rxq", String(queueCount(options))],
    ["n_rxq_desc", String(ringSize(options, "n_rxq_desc"))],
    ["n_txq_desc", String(ringSize(options, "n_txq_desc"))],
  ];
}

const queueOptions = ["n_rxq", "n_rxq_desc", "n_txq_desc"] as const;
export const flowControlOptions = ["rx-flow-ctrl", "tx-flow-ctrl", "flow-ctrl-autoneg"] as const;

const ethernet: DpdkKind = {
  device(name, options) {
    const devargs = options.get("dpdk-devargs") ?? "";
    if (devargs === "") {
      return `'${name}' is missing 'options:dpdk-devargs'. The old 'dpdk<port_id>' names are not supported`;
    }
    const interrupt: [string, string] = ["dpdk-lsc-interrupt", isTrue(options, "dpdk-lsc-interrupt") ? "1" : "0"];
    return { devargs, config: new Map([...queues(options), interrupt]) };
  },
  options: ["dpdk-devargs", "dpdk-lsc-interrupt", "dpdk-vf-mac", ...queueOptions, ...flowControlOptions],
};

/** DPDK's vhost devices want numbers, which are never used again. */
let vhostDevices = 0;

function vhostDevice(path: string, options: Options, vhost: VhostSettings, isClient: boolean): DpdkDevice {
  const asked = numberOf(options, "tx-retries-max", retries.fallback);
  const tries = asked < 0 || asked > retries.max ? retries.fallback : asked;
  const flags = [
    ...(isClient ? ["client=1"] : []),
    ...(vhost.iommu && isClient ? ["iommu-support=1"] : []),
    ...(vhost.postcopy && isClient ? ["postcopy-support=1"] : []),
  ];
  const devargs = [`net_vhost${vhostDevices++}`, `iface=${path}`, `queues=${queueCount(options)}`, ...flags].join(",");
  return { devargs, config: new Map([...queues(options), ["tx-retries-max", String(tries)]]) };
}

const vhostClient: DpdkKind = {
  device(name, options, vhost) {
    const path = options.get("vhost-server-path") ?? "";
    return path === "" ? `'${name}' is missing 'options:vhost-server-path'` : vhostDevice(path, options, vhost, true);
  },
  vhostMode: "client",
  options: ["vhost-server-path", "tx-retries-max", ...queueOptions],
};

const vhostServer: DpdkKind = {
  device(name, options, vhost) {
    if (/[/\\]/.test(name)) {
      return `"${name}" is not a valid name for a vhost-user port. A valid name must not include '/' or '\\'`;
    }
    return vhostDevice(`${vhost.socketDirectory}/${name}`, options, vhost, false);
  },
  vhostMode: "server",
  options: ["tx-retries-max", ...queueOptions],
};

export const dpdkKinds = { ethernet, vhostClient, vhostServer } as const;
