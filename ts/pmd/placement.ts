import { type Core, numaNodes } from "./cores.js";
import type { Algorithm } from "./settings.js";

/** Which thread polls which receive queue: a function of what there is and what it cost lately. */

/** A receive queue of a port that threads poll. */
export interface Rxq {
  readonly port: string;
  readonly dpPort: number;
  readonly queue: number;
  readonly numa: number;
  /** The core that the database asks for. */
  readonly pinned: number | undefined;
  /** Cycles that its packets took in the last intervals. */
  readonly cycles: bigint;
}

/** A thread and what it is to poll. */
export interface Load {
  readonly core: number;
  readonly numa: number;
  readonly queues: Rxq[];
  cycles: bigint;
  /** Polls only queues that are pinned to it. */
  isolated: boolean;
}

export interface PlacementRules {
  readonly algorithm: Algorithm;
  readonly isolate: boolean;
}

export interface PlacementLine {
  readonly severity: "info" | "warn";
  readonly text: string;
}

export interface Placement {
  /** By core. */
  readonly loads: readonly Load[];
  readonly lines: readonly PlacementLine[];
}

/** Threads of one node, and where the walk over them is. */
interface Node {
  readonly numa: number;
  readonly loads: readonly Load[];
  at: number;
  up: boolean;
}

const isFree = (load: Load): boolean => !load.isolated;
const hasFree = (node: Node | undefined): node is Node => node?.loads.some(isFree) === true;

function add(load: Load, rxq: Rxq): void {
  load.queues.push(rxq);
  load.cycles += rxq.cycles;
}

/** The next of the walk: around, or (`turns`) up and down, where the ends come twice. */
function walk(node: Node, turns: boolean): Load | undefined {
  const here = node.loads[node.at];
  if (node.up) {
    if (node.at < node.loads.length - 1) node.at += 1;
    else if (turns) node.up = false;
    else node.at = 0;
  } else if (node.at === 0) node.up = true;
  else node.at -= 1;
  return here;
}

/** The free thread of the node with the least to do: by cycles for a queue that has some, else by queues. */
function idlest(node: Node, byCycles: boolean): Load | undefined {
  const less = (a: Load, b: Load): boolean => (byCycles ? a.cycles < b.cycles : a.queues.length < b.queues.length);
  return node.loads
    .filter(isFree)
    .reduce<Load | undefined>((best, load) => (best === undefined || less(load, best) ? load : best), undefined);
}

function choose(node: Node, algorithm: Algorithm, rxq: Rxq): Load | undefined {
  if (algorithm === "group") return idlest(node, rxq.cycles > 0n);
  for (let tries = 0; tries < 2 * node.loads.length; tries++) {
    const load = walk(node, algorithm === "cycles");
    if (load !== undefined && isFree(load)) return load;
  }
  return undefined;
}

/** Busiest first. */
function byCost(a: Rxq, b: Rxq): number {
  if (a.cycles !== b.cycles) return a.cycles < b.cycles ? 1 : -1;
  return a.dpPort - b.dpPort || a.queue - b.queue;
}

const pad = (core: number): string => String(core).padStart(2);

/** Places `queues` on threads of `cores`. */
export function place(cores: readonly Core[], queues: readonly Rxq[], rules: PlacementRules): Placement {
  const { algorithm, isolate } = rules;
  const loads = cores
    .toSorted((a, b) => a.core - b.core)
    .map(({ core, numa }): Load => ({ core, numa, queues: [], cycles: 0n, isolated: false }));
  const nodes = numaNodes(cores).map(
    (numa): Node => ({ numa, loads: loads.filter((load) => load.numa === numa), at: 0, up: true }),
  );
  const lines: PlacementLine[] = [];
  const tell = (text: string, severity: PlacementLine["severity"] = "info"): number => lines.push({ severity, text });
  const cost = (rxq: Rxq): string => (algorithm === "roundrobin" ? "" : ` (measured processing cycles ${rxq.cycles})`);

  const free = queues.filter((rxq) => {
    if (rxq.pinned === undefined) return true;
    const load = loads.find(({ core }) => core === rxq.pinned);
    if (load === undefined) {
      tell(
        `Core ${pad(rxq.pinned)} cannot be pinned with port '${rxq.port}' rx queue ${rxq.queue}. Use pmd-cpu-mask to ` +
          `enable a pmd on core ${rxq.pinned}. An alternative core will be assigned.`,
        "warn",
      );
      return true;
    }
    if (isolate) load.isolated = true;
    tell(
      `Core ${pad(load.core)} on numa node ${load.numa} is pinned with port '${rxq.port}' rx queue ${rxq.queue}${cost(rxq)}`,
    );
    add(load, rxq);
    return false;
  });
  if (algorithm !== "roundrobin") free.sort(byCost);
  if (free.length > 0) tell(`Performing pmd to rx queue assignment using ${algorithm} algorithm.`);
  const foreign = nextForeign(nodes);
  for (const rxq of free) {
    const own = nodes.find(({ numa }) => numa === rxq.numa);
    const node = hasFree(own) ? own : foreign();
    const load = node === undefined ? undefined : choose(node, algorithm, rxq);
    if (load === undefined) {
      tell(
        `No non-isolated pmd on any numa available for port '${rxq.port}' rx queue ${rxq.queue}${cost(rxq)}. ` +
          "This rx queue will not be polled.",
        "warn",
      );
      continue;
    }
    if (load.numa !== rxq.numa) {
      tell(
        `There's no available (non-isolated) pmd thread on numa node ${rxq.numa}. Port '${rxq.port}' rx queue ` +
          `${rxq.queue} will be assigned to a pmd on numa node ${load.numa}. This may lead to reduced performance.`,
      );
    }
    tell(
      `Core ${pad(load.core)} on numa node ${load.numa} assigned port '${rxq.port}' rx queue ${rxq.queue}${cost(rxq)}.`,
    );
    add(load, rxq);
  }
  return { loads, lines };
}

/** Nodes in turn that can take a queue of another node. */
function nextForeign(nodes: readonly Node[]): () => Node | undefined {
  let last = -1;
  return () => {
    for (let tries = 0; tries < nodes.length; tries++) {
      last = (last + 1) % nodes.length;
      const node = nodes[last];
      if (hasFree(node)) return node;
    }
    return undefined;
  };
}
