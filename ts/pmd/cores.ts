/** CPU cores and the NUMA nodes that they belong to. */

export interface Core {
  readonly core: number;
  readonly numa: number;
}

/** What the machine has, or what `--dummy-numa` says that it has. */
export interface CpuTopology {
  /** By number. */
  readonly cores: readonly Core[];
  /** Whether threads are bound to these cores: not where they are made up. */
  readonly real: boolean;
  /** The CPUs that the process may run on; of made-up cores, all. */
  readonly allowed: ReadonlySet<number>;
}

export function madeUpTopology(nodes: readonly number[]): CpuTopology {
  return {
    cores: nodes.map((numa, core) => ({ core, numa })),
    real: false,
    allowed: new Set(nodes.keys()),
  };
}

/** Numbers of a list as the kernel writes it: `0-3,8`. */
export function parseCpuList(text: string): number[] {
  return text
    .trim()
    .split(",")
    .filter((part) => part !== "")
    .flatMap((part) => {
      const [first = 0, last = first] = part.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, index) => first + index);
    });
}

/** What is logged when the switch starts. */
export function topologyLines(topology: CpuTopology): readonly string[] {
  const nodes = numaNodes(topology.cores);
  return [
    ...nodes.map((numa) => {
      const count = topology.cores.filter((core) => core.numa === numa).length;
      return `Discovered ${count} CPU cores on NUMA node ${numa}`;
    }),
    `Discovered ${nodes.length} NUMA nodes and ${topology.cores.length} CPU cores`,
  ];
}

/** The nodes that have one of these cores, by number. */
export function numaNodes(cores: readonly Core[]): readonly number[] {
  return [...new Set(cores.map(({ numa }) => numa))].sort((a, b) => a - b);
}

/** Cores of `pmd-cpu-mask`, a hexadecimal number.  A digit that is none counts as 0 and is told of; cores that the machine
 *  does not have are left out. */
export function coresOfMask(
  mask: string,
  topology: CpuTopology,
): { readonly cores: readonly Core[]; readonly warnings: readonly string[] } {
  const digits = [...mask.replace(/^0x/i, "")].reverse();
  const warnings: string[] = [];
  const wanted = new Set<number>();
  digits.forEach((digit, index) => {
    if (!/^[0-9a-f]$/i.test(digit)) {
      warnings.push(`Invalid cpu mask: ${digit}`);
      return;
    }
    const bits = Number.parseInt(digit, 16);
    for (let bit = 0; bit < 4; bit++) if ((bits >> bit) & 1) wanted.add(4 * index + bit);
  });
  return { cores: topology.cores.filter(({ core }) => wanted.has(core)), warnings };
}

/** Without a mask: the first core of each node that the process may run on. */
export function defaultCores(topology: CpuTopology): readonly Core[] {
  return numaNodes(topology.cores).flatMap((numa) => {
    const all = topology.cores.filter((core) => core.numa === numa);
    const first = all.find(({ core }) => topology.allowed.has(core));
    return first === undefined ? [] : [first];
  });
}
