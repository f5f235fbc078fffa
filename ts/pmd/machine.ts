import { readdirSync, readFileSync } from "node:fs";
import { type CpuTopology, parseCpuList } from "./cores.js";

/** The cores of this machine, as the kernel tells. */

const nodesDirectory = "/sys/devices/system/node";

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function nodes(): readonly number[] {
  try {
    return readdirSync(nodesDirectory).flatMap((name) => {
      const found = /^node(\d+)$/.exec(name)?.[1];
      return found === undefined ? [] : [Number(found)];
    });
  } catch {
    return [];
  }
}

export function machineTopology(): CpuTopology {
  const allowed = new Set(
    parseCpuList(/^Cpus_allowed_list:\s*(\S+)/m.exec(read("/proc/self/status") ?? "")?.[1] ?? "0"),
  );
  const byNode = nodes().flatMap((numa) =>
    parseCpuList(read(`${nodesDirectory}/node${numa}/cpulist`) ?? "").map((core) => ({ core, numa })),
  );
  // A kernel without NUMA has no directory of nodes: all is one node.
  const online = parseCpuList(read("/sys/devices/system/cpu/online") ?? "0");
  const cores = byNode.length > 0 ? byNode : online.map((core) => ({ core, numa: 0 }));
  return { cores: cores.sort((a, b) => a.core - b.core), real: true, allowed };
}
