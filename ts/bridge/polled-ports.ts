import { readFileSync } from "node:fs";
import type { Netdev } from "../netdev/index.js";
import type { PolledPort } from "../pmd/index.js";

/** Ports of bridges that threads with cores of their own poll. */

/** Of an interface: its row's options and other_config. */
interface Columns {
  readonly options: ReadonlyMap<string, string>;
  readonly other_config: ReadonlyMap<string, string>;
}

function readNumber(path: string): number | undefined {
  try {
    return Number.parseInt(readFileSync(path, "utf8"), 10);
  } catch {
    return undefined;
  }
}

const pciAddress = /^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]/i;

/** The NUMA node that the device belongs to; 0 where nobody knows. */
function numaOf(netdev: Netdev, options: ReadonlyMap<string, string>): number {
  if (netdev.type.dummy) return Number.parseInt(options.get("numa_id") ?? "0", 10) || 0;
  const pci = pciAddress.exec(options.get("dpdk-devargs") ?? "")?.[0];
  const device = netdev.isHostDevice ? `/sys/class/net/${netdev.name}/device` : `/sys/bus/pci/devices/${pci}`;
  // Of a device that belongs to no node the kernel says -1.
  return Math.max(0, readNumber(`${device}/numa_node`) ?? 0);
}

/** What is to be known of a port for its queues to be placed; undefined if no such thread polls it. */
export function polledPort(netdev: Netdev, row: Columns): PolledPort | undefined {
  if (netdev.type.polled !== true) return undefined;
  return {
    name: netdev.name,
    dpPort: netdev.dpPort,
    queues: netdev.counters()?.nRxq ?? 0,
    numa: numaOf(netdev, row.options),
    affinity: row.other_config.get("pmd-rxq-affinity"),
  };
}
