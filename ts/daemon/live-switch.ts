/** The switch that runs in the process: a datapath with its workers, and the bridges of the database on it. */
import { availableParallelism } from "node:os";
import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { Bridges } from "../bridge/index.js";
import { BatchBuilder, Datapath, memory } from "../datapath/index.js";
import { deviceCommands } from "../netdev/index.js";
import type { RunningSwitch, SwitchSurroundings } from "./switch.js";

/** Workers beyond this share the same memory bandwidth without forwarding more on the hosts that we know. */
const workersMax = 8;

export async function startLiveSwitch(surroundings: SwitchSurroundings): Promise<RunningSwitch> {
  const { idl, clock, log, dummy, disableSystem, directories, wake } = surroundings;
  // One core is left to the control plane; the datapath's threads sleep when ports are silent.
  const datapath = new Datapath({ workers: Math.max(1, Math.min(workersMax, availableParallelism() - 1)) });
  const bridges = new Bridges({
    idl,
    datapath,
    policy: { dummy, system: !disableSystem },
    runDirectory: directories.run,
    clock,
    log,
    random: Math.random,
    wake,
  });
  datapath.on("packetIn", (event) => {
    bridges.ofprotos.packetIn(event);
  });
  datapath.on("flowsRemoved", () => {
    bridges.ofprotos.drainRemoved();
  });
  datapath.on("linkChanged", (event) => {
    bridges.deviceChanged(event.dpPort, event.ifindex);
  });
  datapath.on("portChanged", (event) => {
    bridges.deviceChanged(event.dpPort, event.ifindex);
  });
  datapath.on("stateLost", () => {
    bridges.ofprotos.drainRemoved();
    bridges.deviceChanged(0, 0);
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
    wasStopped = clock.stopped;
  });
  datapath.ref();
  return {
    commands: [
      ...deviceCommands(bridges.netdevs, datapath, () => {
        bridges.deviceChanged(0, 0);
      }),
      ...testCommands(),
    ],
    run: () => bridges.run(),
    runDevices: () => {},
    memoryUsage: () =>
      datapath.closed ? {} : { ports: bridges.netdevs.all().length, rules: Number(memory(datapath).nRules) },
    counters: () => ({}),
    close: async () => {
      bridges.close();
      datapath.dispose();
    },
  };
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
