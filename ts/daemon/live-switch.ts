/** The switch that runs in the process: a datapath with its workers, and the bridges of the database on it. */
import { readFileSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import {
  aggregateCommands,
  Bridges,
  datapathPortCommands,
  discoveryCommands,
  monitorCommands,
  qosCommands,
  spanningCommands,
  tunnelCommands,
} from "../bridge/index.js";
import { connmgrCommands, type TlsFileNames, TlsStore } from "../connmgr/index.js";
import { coverage as coverageNames, dropReason, portDrop } from "../datapath/generated/records.js";
import { BatchBuilder, counters, Datapath, datapathStats, dropNamesOfOvs, memory } from "../datapath/index.js";
import { Dpdk, deviceCommands, dpdkCommands, routerCommands } from "../netdev/index.js";
import {
  bondCommands,
  DatapathLog,
  datapathCommands,
  datapathViews,
  describeFlood,
  dropCommands,
  fdbCommands,
  featureCommands,
  floodCommands,
  floodText,
  flowCommands,
  mdbCommands,
  TranslationLog,
  traceCommands,
  upcallCommands,
} from "../ofproto/index.js";
import { flowText } from "../openflow/index.js";
import { machineTopology, madeUpTopology, PmdThreads, pmdCommands } from "../pmd/index.js";
import { crashesVariable } from "./detach.js";
import type { TlsFiles } from "./options.js";
import type { RunningSwitch, SwitchSurroundings } from "./switch.js";
import { systemStatistics } from "./system-statistics.js";

/** Workers beyond this share the same memory bandwidth without forwarding more on the hosts that we know. */
const workersMax = 8;

export async function startLiveSwitch(surroundings: SwitchSurroundings): Promise<RunningSwitch> {
  const { idl, clock, log, coverage, dummy, disableSystem, disableSystemRoute, directories, wake } = surroundings;
  // One core is left to the control plane; the datapath's threads sleep when ports are silent.
  const workers = Math.max(1, Math.min(workersMax, availableParallelism() - 1));
  const datapath = new Datapath({ workers });
  const threads = new PmdThreads({
    datapath,
    topology: surroundings.dummyNuma === undefined ? machineTopology() : madeUpTopology(surroundings.dummyNuma),
    clock,
    log,
  });
  const dpdk = new Dpdk({
    calls: surroundings.calls,
    log: log("dpdk"),
    runDirectory: directories.run,
    isDirectory: (path) => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true,
    cpu: lowestCpu,
  });
  const bridges = new Bridges({
    idl,
    datapath,
    threads,
    policy: { dummy, system: !disableSystem },
    dpdk,
    systemRoutes: !disableSystemRoute,
    runDirectory: directories.run,
    clock,
    log,
    coverage,
    random: Math.random,
    delegates: () => !clock.stopped,
    tls: new TlsStore(log("stream_ssl"), tlsNames(surroundings.tls), surroundings.tls),
    setDscp: (descriptor, dscp) => {
      surroundings.calls.setDscp(descriptor, dscp);
    },
    localAddress: surroundings.calls,
    systemStatistics: () =>
      systemStatistics(directories.run, {
        pid: process.pid,
        pidfile: surroundings.pidfile,
        crashes: Number(process.env[crashesVariable] ?? 0),
      }),
    wake,
  });
  datapath.on("packetIn", (event) => {
    bridges.ofprotos.packetIn(event);
  });
  datapath.on("protocolPacket", (event) => {
    bridges.protocolPacket(event);
  });
  datapath.on("keepaliveSilent", (event) => {
    bridges.keepAliveSilent(event);
  });
  datapath.on("sample", (event) => {
    bridges.exporters.sample(event);
  });
  datapath.on("netflow", (event) => {
    bridges.exporters.netflow(event);
  });
  const datapathLog = new DatapathLog(bridges.ofprotos, flowText);
  datapath.on("portFrame", ({ dpPort, packet }) => bridges.netdevs.transmitted(dpPort, packet));
  datapath.on("miss", (event) => datapathLog.miss(event));
  const translationLog = new TranslationLog(bridges.ofprotos);
  datapath.on("remark", (event) => translationLog.remark(event));
  const floodLog = log("ofproto_dpif_upcall").limited(1, 1);
  datapath.on("flood", (event) => {
    const flood = describeFlood(bridges.ofprotos, event);
    floodLog.warn(floodText(flood), { bridge: flood.bridge, port: flood.port });
  });
  datapath.on("megaflow", (event) => datapathLog.megaflow(event));
  surroundings.onLogLevels(() => {
    if (!datapath.closed) datapathLog.followLevels();
  });
  datapathLog.followLevels();
  datapath.on("flowsChanged", () => {
    bridges.ofprotos.drainChanges();
  });
  datapath.on("linkChanged", (event) => {
    bridges.deviceChanged(event.dpPort, event.ifindex);
  });
  datapath.on("addressChanged", () => {
    bridges.addressesChanged();
  });
  datapath.on("portChanged", (event) => {
    bridges.deviceChanged(event.dpPort, event.ifindex);
  });
  datapath.on("stateLost", () => {
    bridges.ofprotos.drainChanges();
    bridges.deviceChanged(0, 0);
    bridges.addressesChanged();
  });
  // Both clocks count milliseconds of the same kind from different moments.
  const base = datapath.now() - clock.monotonic();
  let aheadMs = 0;
  let wasStopped = false;
  clock.onAdjust((nowMs) => {
    if (datapath.closed) return;
    if (clock.stopped) new BatchBuilder().clockSet(Math.round(nowMs + base)).commit(datapath);
    else {
      if (!wasStopped) aheadMs = Math.max(0, Math.round(nowMs + base - (datapath.now() - aheadMs)));
      new BatchBuilder().clockSet(undefined, aheadMs).commit(datapath);
    }
    // While time stands still, nothing is left to the datapath.
    if (wasStopped !== clock.stopped) {
      for (const monitor of bridges.linkMonitors()) monitor.wake();
      for (const aggregate of bridges.aggregates()) aggregate.run();
    }
    wasStopped = clock.stopped;
  });
  datapath.ref();
  return {
    commands: [
      ...deviceCommands(bridges.netdevs, datapath, () => {
        bridges.deviceChanged(0, 0);
        // Whoever asks for routes next is to see addresses that were given.
        bridges.updatePaths();
      }),
      ...dpdkCommands(dpdk, bridges.netdevs, (netdev) => {
        bridges.deviceChanged(netdev.dpPort, 0);
      }),
      ...datapathCommands(bridges.ofprotos),
      ...dropCommands(bridges.ofprotos),
      ...floodCommands(bridges.ofprotos),
      ...featureCommands(bridges.ofprotos),
      ...pmdCommands({ threads, datapaths: () => datapathViews(bridges.ofprotos).map(({ type }) => `ovs-${type}`) }),
      ...upcallCommands(bridges.ofprotos, datapathLog),
      ...routerCommands({
        router: bridges.router,
        netdevs: bridges.netdevs,
        changed: () => {
          bridges.addressesChanged();
        },
      }),
      ...datapathPortCommands(bridges.ofprotos, (bridge, name) => bridges.removeUntilReconfigured(bridge, name)),
      ...tunnelCommands(bridges.tunnelPaths, bridges.netdevs),
      ...qosCommands((name) => bridges.netdevs.find(name)),
      ...spanningCommands(() => bridges.spanningTrees()),
      ...discoveryCommands(() => bridges.discoveries()),
      ...monitorCommands(
        () => bridges.linkMonitors(),
        () => clock.monotonic(),
      ),
      ...aggregateCommands(
        () => bridges.aggregates(),
        () => clock.monotonic(),
      ),
      ...bondCommands(bridges.ofprotos),
      ...fdbCommands(bridges.ofprotos),
      ...mdbCommands(bridges.ofprotos),
      ...flowCommands(bridges.ofprotos),
      ...traceCommands(bridges.ofprotos),
      ...connmgrCommands(
        (name) => bridges.connmgr(name),
        () => bridges.names().flatMap((name) => bridges.connmgr(name) ?? []),
      ),
      ...testCommands(),
    ],
    run: () => bridges.run(),
    runDevices: () => {},
    memoryUsage: () => (datapath.closed ? {} : memoryUsage(bridges, datapath, workers)),
    counters: () => (datapath.closed ? {} : nativeCounters(datapath)),
    close: async () => {
      threads.close();
      bridges.close();
      datapath.dispose();
    },
  };
}

/** What `memory/show` counts, by Open vSwitch's names: threads that handle misses and threads that look after megaflows,
 *  which are there with the first bridge; ports, rules, connections, megaflows. */
function memoryUsage(bridges: Bridges, datapath: Datapath, workers: number): Record<string, number> {
  const names = bridges.names();
  return {
    handlers: names.length === 0 ? 0 : workers,
    ofconns: names.reduce((sum, name) => sum + (bridges.connmgr(name)?.connectionCount ?? 0), 0),
    ports: bridges.netdevs.all().length,
    revalidators: names.length === 0 ? 0 : 1,
    rules: Number(memory(datapath).nRules),
    "udpif keys": Number(datapathStats(datapath).nFlows),
  };
}

/** The lowest CPU that this process may run on. */
function lowestCpu(): number {
  const list = /Cpus_allowed_list:\s*(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  return Number(list ?? 0);
}

function tlsNames(files: TlsFiles): TlsFileNames {
  return {
    privateKey: files.privateKey,
    certificate: files.certificate,
    caCert: files.bootstrapCaCert ?? files.caCert,
    bootstrap: files.bootstrapCaCert !== undefined,
    peerCaCert: files.peerCaCert,
  };
}

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Sets that `counter_info.id` counts in, and where each begins. */
const counterSets = [
  { base: 0x20000, prefix: "port_drop_", names: portDrop },
  { base: 0x10000, prefix: "", names: coverageNames },
  { base: 0, prefix: "drop_", names: dropReason },
] as const;

function coverageName(prefix: string, name: string): string {
  return (prefix === "drop_" ? dropNamesOfOvs[snake(name)] : undefined) ?? `${prefix}${snake(name)}`;
}

/** What native code counted; a port's drops are added up over all ports.  Counters that never moved are there as 0. */
function nativeCounters(datapath: Datapath): Record<string, number> {
  const out: Record<string, number> = {};
  for (const { prefix, names } of counterSets)
    for (const name of Object.keys(names)) out[coverageName(prefix, name)] = 0;
  for (const { id, value } of counters(datapath)) {
    const set = counterSets.find(({ base }) => id >= base);
    const found = Object.entries(set?.names ?? {}).find(([, number]) => number === id - (set?.base ?? 0));
    if (set === undefined || found === undefined) continue;
    const name = coverageName(set.prefix, found[0]);
    out[name] = (out[name] ?? 0) + Number(value);
  }
  return out;
}

/** What only tests may do, and only when the daemon was started for them. */
function testCommands(): readonly UnixctlCommand[] {
  if (process.env.SLUICE_TEST_HOOKS !== "1") return [];
  const spinMsMax = 60_000;
  return [
    {
      name: "sluice/test-spin",
      usage: "msecs",
      minArgs: 1,
      maxArgs: 1,
      handler: ([text = ""]) => {
        const ms = Number(text);
        if (!Number.isInteger(ms) || ms < 0 || ms > spinMsMax)
          throw new UnixctlError(`${text}: not a number of milliseconds up to ${spinMsMax}`);
        const end = performance.now() + ms;
        while (performance.now() < end);
        return "";
      },
    },
  ];
}
