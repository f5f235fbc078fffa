import type { Clock, Timer } from "../clock/index.js";
import { histogram, pollingFlag, type QueueInfo, type WorkerInfo } from "../datapath/generated/records.js";
import { BatchBuilder, type BatchTarget, type QueryTarget, queueStats, workerStats } from "../datapath/index.js";
import type { Logger, LogSource } from "../log/index.js";
import { parseAffinity } from "./affinity.js";
import { type BalanceThread, judge, reasonNotToBalance } from "./balance.js";
import { type Core, type CpuTopology, coresOfMask, defaultCores, numaNodes, topologyLines } from "./cores.js";
import { readZeros, type Zero } from "./figures.js";
import { histogramWalls } from "./histogram.js";
import {
  beginHistory,
  type Costs,
  costOf,
  intervalMs,
  intervalsMax,
  passInterval,
  type Reading,
  remember,
  restartHistory,
  type ThreadHistory,
} from "./intervals.js";
import { type Load, type Placement, type PlacementLine, place, type Rxq } from "./placement.js";
import { initialSettings, type PmdSettings, readSettings, settingsLines } from "./settings.js";

/** The threads that poll ports on cores of their own, and which polls what.
 *
 *  The datapath's first workers poll whatever has a descriptor to wait for; Open vSwitch's main thread does that.  For
 *  ports of the types that Open vSwitch has PMD threads for, workers are made here, one for each core of `pmd-cpu-mask`;
 *  a worker whose core is taken away rests until another core needs one. */

/** A port whose queues such threads poll. */
export interface PolledPort {
  readonly name: string;
  readonly dpPort: number;
  readonly queues: number;
  readonly numa: number;
  /** `other_config:pmd-rxq-affinity`. */
  readonly affinity: string | undefined;
}

export interface PmdThreadsOptions {
  readonly datapath: BatchTarget & QueryTarget;
  readonly topology: CpuTopology;
  readonly clock: Clock;
  readonly log: LogSource;
}

/** A thread and what it polls. */
export interface PmdThread extends Core {
  readonly worker: number;
  readonly isolated: boolean;
  readonly queues: readonly Rxq[];
  readonly history: ThreadHistory;
}

/** How often it is looked whether an interval is over. */
const tickMs = 1000;
const none = 0xffffffff;
const minuteMs = 60_000;

const keyOf = (dpPort: number, queue: number): string => `${dpPort}:${queue}`;

interface Running {
  readonly worker: number;
  history: ThreadHistory;
}

export class PmdThreads {
  /** Where the figures of workers are counted from that were cleared, or that got another core. */
  readonly zeros = new Map<number, Zero>();
  readonly #options: PmdThreadsOptions;
  readonly #log: Logger;
  readonly #numaLog: Logger;
  #settings: PmdSettings | undefined;
  #ports: readonly PolledPort[] = [];
  /** By core. */
  readonly #running = new Map<number, Running>();
  /** Workers without a core. */
  readonly #resting: number[] = [];
  /** Workers that were there before: they have no core. */
  readonly #shared: number;
  /** Workers that were made. */
  #made = 0;
  #loads: readonly Load[] = [];
  /** What each queue cost in the last intervals. */
  readonly #costs = new Map<string, Costs>();
  /** The affinity of each port that could be followed. */
  readonly #affinities = new Map<string, ReadonlyMap<number, number>>();
  #placedFor = "";
  #ticker: Timer | undefined;
  #balanceDue: number | undefined;
  /** Whether a look at the configuration may find something else than the last one, and what that found. */
  #recheck = true;
  #wasWorthALook = false;

  constructor(options: PmdThreadsOptions) {
    this.#options = options;
    this.#log = options.log("dpif_netdev");
    this.#numaLog = options.log("ovs_numa");
    this.#shared = [...workerStats(options.datapath)].length;
    for (const line of topologyLines(options.topology)) this.#numaLog.info(line);
  }

  /** By core. */
  get threads(): readonly PmdThread[] {
    return this.#loads.flatMap((load) => {
      const running = this.#running.get(load.core);
      return running === undefined ? [] : [{ ...load, ...running, queues: this.#withCosts(load.queues) }];
    });
  }

  get settings(): PmdSettings {
    return this.#settings ?? initialSettings;
  }

  /** Workers that have no core. */
  get sharedWorkers(): number {
    return this.#shared;
  }

  costs(rxq: Rxq): Costs {
    return this.#costs.get(keyOf(rxq.dpPort, rxq.queue)) ?? [];
  }

  /** Takes what the database says.  `config` is undefined while there is no bridge that such threads could serve. */
  configure(config: ReadonlyMap<string, string> | undefined, ports: readonly PolledPort[]): void {
    if (config !== undefined) this.#follow(config);
    this.#ports = ports;
    const wanted = JSON.stringify([
      this.settings.mask,
      this.settings.algorithm,
      this.settings.isolate,
      ports.map(({ name, dpPort, queues, numa, affinity }) => [name, dpPort, queues, numa, affinity]),
    ]);
    if (wanted !== this.#placedFor || !this.#isInPlace()) {
      this.#placedFor = wanted;
      this.reconfigure();
    }
  }

  /** Makes threads and ends them, and places all queues anew. */
  reconfigure(): void {
    const cores = this.#cores();
    const before = this.#loads;
    const ended = [...this.#running.keys()].filter((core) => !cores.some((wanted) => wanted.core === core));
    const batch = new BatchBuilder();
    const leaving = ended.map((core) => this.#end(core));
    const made = cores.filter(({ core }) => !this.#running.has(core)).map((core) => this.#begin(core, batch));
    if (ended.length + made.length > 0) {
      for (const numa of numaNodes(cores)) {
        const count = cores.filter((core) => core.numa === numa).length;
        this.#log.info(`There are ${count} pmd threads on numa node ${numa}`);
      }
    }
    const placement = place(cores, this.#rxqs(), this.settings);
    this.#tell(placement.lines);
    this.#putInPlace(placement, batch);
    this.#rest(leaving);
    this.#recheck = true;
    this.clear(made.flatMap((core) => this.#running.get(core)?.worker ?? []));
    this.#restartChanged(before, new Set(made));
    this.#watch();
  }

  /** Counts from zero again. */
  clear(workers: readonly number[]): void {
    for (const [worker, zero] of readZeros(this.#options.datapath, this.#options.clock.monotonic()))
      if (workers.includes(worker)) this.zeros.set(worker, zero);
  }

  get datapath(): QueryTarget {
    return this.#options.datapath;
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  close(): void {
    this.#ticker?.cancel();
    this.#ticker = undefined;
  }

  #follow(config: ReadonlyMap<string, string>): void {
    const { settings, warnings } = readSettings(config);
    for (const warning of warnings) this.#log.warn(warning);
    for (const line of settingsLines(this.#settings, settings)) this.#log.info(line);
    if (!settings.autoBalance) this.#balanceDue = undefined;
    const was = this.#settings;
    this.#settings = settings;
    if (was?.metrics === settings.metrics && was.maxSleepUs === settings.maxSleepUs) return;
    new BatchBuilder()
      .pollingSet({
        pauseUsMax: settings.maxSleepUs,
        pollingFlags: settings.metrics ? pollingFlag.metrics : 0,
        walls: BigUint64Array.from(Object.values(histogram).flatMap((kind) => histogramWalls(kind))),
      })
      .commit(this.#options.datapath);
  }

  #cores(): readonly Core[] {
    const { topology } = this.#options;
    if (this.#ports.length === 0) return [];
    const { mask } = this.settings;
    if (mask === undefined || mask === "") return defaultCores(topology);
    const { cores, warnings } = coresOfMask(mask, topology);
    for (const warning of warnings) this.#numaLog.warn(warning);
    return cores;
  }

  /** The queues of all ports, with what they cost lately. */
  #rxqs(): readonly Rxq[] {
    return this.#ports.flatMap((port) => {
      const affinity = this.#affinity(port);
      return Array.from({ length: port.queues }, (_, queue) => ({
        port: port.name,
        dpPort: port.dpPort,
        queue,
        numa: port.numa,
        pinned: affinity.get(queue),
        cycles: costOf(this.#costs.get(keyOf(port.dpPort, queue)) ?? []),
      }));
    });
  }

  /** A text that cannot be followed leaves what was. */
  #affinity({ name, affinity }: PolledPort): ReadonlyMap<number, number> {
    const parsed = affinity === undefined ? new Map<number, number>() : parseAffinity(affinity);
    if (parsed !== undefined) this.#affinities.set(name, parsed);
    return this.#affinities.get(name) ?? new Map();
  }

  #begin({ core, numa }: Core, batch: BatchBuilder): number {
    const worker = this.#resting.pop() ?? this.#shared + this.#made++;
    this.zeros.delete(worker);
    batch.workerSet(worker, core, this.#options.topology.real ? core : undefined);
    this.#running.set(core, { worker, history: beginHistory(emptyReading) });
    this.#log.info(`PMD thread on numa_id: ${numa}, core id: ${String(core).padStart(2)} created.`);
    return core;
  }

  #end(core: number): number {
    const worker = this.#running.get(core)?.worker ?? none;
    const numa = this.#loads.find((load) => load.core === core)?.numa ?? 0;
    this.#running.delete(core);
    this.#log.info(`PMD thread on numa_id: ${numa}, core id: ${String(core).padStart(2)} destroyed.`);
    return worker;
  }

  #putInPlace(placement: Placement, batch: BatchBuilder): void {
    const workers = new Map<string, number>();
    for (const load of placement.loads) {
      const worker = this.#running.get(load.core)?.worker;
      if (worker !== undefined) for (const rxq of load.queues) workers.set(keyOf(rxq.dpPort, rxq.queue), worker);
    }
    for (const { dpPort, queues } of this.#ports)
      for (let queue = 0; queue < queues; queue++) batch.queuePlace(dpPort, queue, workers.get(keyOf(dpPort, queue)));
    for (const { systemError } of batch.submit(this.#options.datapath, { independent: true }))
      if (systemError !== 0) this.#numaLog.err(`Thread affinity error ${systemError}`);
    this.#loads = placement.loads;
  }

  /** Workers that have nothing to poll any more. */
  #rest(workers: readonly number[]): void {
    if (workers.length === 0) return;
    const batch = new BatchBuilder();
    for (const worker of workers) batch.workerSet(worker, undefined);
    batch.submit(this.#options.datapath, { independent: true });
    this.#resting.push(...workers);
  }

  #tell(lines: readonly PlacementLine[]): void {
    for (const { severity, text } of lines) this.#log[severity](text);
  }

  /** Whether the datapath has each queue where it was placed: a port that was opened anew has not. */
  #isInPlace(): boolean {
    const there = new Map(
      [...queueStats(this.#options.datapath)].map((info) => [keyOf(info.dpPort, info.queue), info]),
    );
    const placed = new Map(
      this.#loads.flatMap(({ core, queues }) =>
        queues.map((rxq) => [keyOf(rxq.dpPort, rxq.queue), this.#running.get(core)?.worker ?? none] as const),
      ),
    );
    return this.#rxqs().every((rxq) => {
      const key = keyOf(rxq.dpPort, rxq.queue);
      return there.get(key)?.worker === (placed.get(key) ?? none);
    });
  }

  /** Threads whose queues are others than before measure anew. */
  #restartChanged(before: readonly Load[], made: ReadonlySet<number>): void {
    const names = (load: Load | undefined): string =>
      load?.queues
        .map(({ dpPort, queue }) => keyOf(dpPort, queue))
        .sort()
        .join() ?? "";
    const known = new Set(this.#rxqs().map(({ dpPort, queue }) => keyOf(dpPort, queue)));
    for (const key of this.#costs.keys()) if (!known.has(key)) this.#costs.delete(key);
    const readings = this.#read();
    for (const load of this.#loads) {
      const running = this.#running.get(load.core);
      const reading = readings.get(load.core);
      if (running === undefined || reading === undefined) continue;
      if (made.has(load.core)) running.history = beginHistory(reading);
      else if (names(load) !== names(before.find(({ core }) => core === load.core)))
        running.history = restartHistory(running.history, reading);
    }
  }

  #watch(): void {
    if (this.#running.size === 0) {
      this.#ticker?.cancel();
      this.#ticker = undefined;
    } else {
      this.#ticker ??= this.#options.clock.every(tickMs, () => this.#tick());
    }
  }

  /** What each thread has counted, by core. */
  #read(): ReadonlyMap<number, Reading> {
    const nowMs = this.#options.clock.monotonic();
    const workers = new Map<number, WorkerInfo>();
    for (const info of workerStats(this.#options.datapath)) workers.set(info.worker, info);
    const queues = new Map<number, QueueInfo[]>();
    for (const info of queueStats(this.#options.datapath))
      queues.set(info.worker, [...(queues.get(info.worker) ?? []), info]);
    return new Map(
      [...this.#running].flatMap(([core, { worker }]) => {
        const info = workers.get(worker);
        if (info === undefined) return [];
        const { nowCycles, busyCycles, idleCycles, sleepCycles } = info;
        const polled = new Map(
          (queues.get(worker) ?? []).map(({ dpPort, queue, cycles }) => [keyOf(dpPort, queue), cycles]),
        );
        return [[core, { nowMs, nowCycles, busyCycles, idleCycles, sleepCycles, queues: polled }] as const];
      }),
    );
  }

  #tick(): void {
    const { autoBalance, loadPercent } = this.settings;
    const nowMs = this.#options.clock.monotonic();
    if (![...this.#running.values()].some(({ history }) => nowMs - history.last.nowMs >= intervalMs)) return;
    for (const [core, reading] of this.#read()) {
      const running = this.#running.get(core);
      if (running === undefined) continue;
      const isWatched = autoBalance && !this.#isolated(core);
      const passed = passInterval(running.history, reading, isWatched ? loadPercent : undefined);
      if (passed === undefined) continue;
      running.history = passed.history;
      for (const [key, cost] of passed.queues) this.#costs.set(key, remember(this.#costs.get(key) ?? [], cost));
    }
    if (autoBalance) this.#balance();
  }

  #isolated(core: number): boolean {
    return this.#loads.find((load) => load.core === core)?.isolated === true;
  }

  #withCosts(queues: readonly Rxq[]): Rxq[] {
    return queues.map((rxq) => ({ ...rxq, cycles: costOf(this.costs(rxq)) }));
  }

  #balance(): void {
    const now = this.#options.clock.monotonic();
    const periodMs = this.settings.balanceMinutes * minuteMs;
    this.#balanceDue ??= now + periodMs;
    if (now <= this.#balanceDue) return;
    this.#balanceDue = now + periodMs;
    if (![...this.#running.values()].some(({ history }) => history.overloaded >= intervalsMax)) return;
    const threads = this.threads.map(
      (thread): BalanceThread => ({
        ...thread,
        totalCycles: thread.history.intervalCycles * BigInt(intervalsMax),
      }),
    );
    if (!this.#isWorthALook(threads)) return;
    const verdict = judge(threads, this.#rxqs(), this.settings, this.settings.improvementPercent);
    for (const line of verdict.lines) this.#log.dbg(line);
    if (!verdict.worthwhile) return;
    this.#log.info("PMD auto load balance dry run. Requesting datapath reconfigure.");
    this.reconfigure();
  }

  #isWorthALook(threads: readonly BalanceThread[]): boolean {
    if (this.#recheck) {
      this.#recheck = false;
      const reason = reasonNotToBalance(threads, this.settings);
      this.#wasWorthALook = reason === undefined;
      if (reason !== undefined) this.#log.dbg(reason);
    } else if (!this.#wasWorthALook) {
      this.#log.dbg("PMD auto load balance nothing to do, no configuration changes since last check.");
    }
    return this.#wasWorthALook;
  }
}

const emptyReading: Reading = {
  nowMs: 0,
  nowCycles: 0n,
  busyCycles: 0n,
  idleCycles: 0n,
  sleepCycles: 0n,
  queues: new Map(),
};
