/** A process with one bridge on a datapath with one worker and null ports, told what to do by its parent: what the
 *  daemon runs, without a database and with ports that no daemon offers. */
import { systemClock } from "../ts/clock/index.js";
import { Connmgr } from "../ts/connmgr/index.js";
import { loadProcessCalls } from "../ts/daemon/process-calls.js";
import { portClass } from "../ts/datapath/generated/records.js";
import { BatchBuilder, Datapath, datapathStats, portStats, workerStats } from "../ts/datapath/index.js";
import { silentLogger } from "../ts/log/index.js";
import { noFeatures, Ofprotos } from "../ts/ofproto/index.js";
import { dpdkArguments } from "./dpdk-devices.js";
import type { SubjectReply, SubjectRequest } from "./sluice-messages.js";

const sinkPort = 2;

/** Starts DPDK with the arguments that Open vSwitch's gets, but for the CPUs. */
function startDpdk(): void {
  const calls = loadProcessCalls();
  const error = calls.dpdkStart(["sluice", ...dpdkArguments, `--file-prefix=slbench-s${process.pid}`, "-l", "0"]);
  if (error !== 0) throw new Error(`DPDK did not start: error ${-error}, ${calls.dpdkLog()}`);
}

/** The bridge with its sockets in `runDirectory`; answers requests for as long as the parent lives.  `dpdkSink`: the
 *  device of DPDK's that is the sink; without one no port is DPDK's. */
function serve(runDirectory: string, flowLimit: number, dpdkSink?: string): void {
  const clock = systemClock();
  const log = (): typeof silentLogger => silentLogger;
  const datapath = new Datapath({ workers: 1, flowLimit });
  const ofprotos = new Ofprotos({ datapath, clock, log });
  const ofproto = ofprotos.create({ name: "br0", datapathId: 0x0000aa55aa550001n });
  const connmgr = new Connmgr({ ofproto, runDirectory, clock, log });
  datapath.on("packetIn", (event) => {
    ofprotos.packetIn(event);
  });
  datapath.on("flowsChanged", () => {
    ofprotos.drainChanges();
  });
  datapath.ref();

  const openPort = (number: number, class_: number, config: Record<string, string | number>): void => {
    new BatchBuilder().portOpen(number, class_, `null${number}`, config).commit(datapath);
    const hwAddr = Uint8Array.of(0x02, 0, 0, 0, 0, number);
    const device = { hwAddr, mtu: 1500, up: true, carrier: true, features: noFeatures };
    ofproto.addPort({ name: `null${number}`, dpPort: number, requestedNumber: number, shownAs: "null", ...device });
  };
  const stats = (): SubjectReply => {
    const total = { packets: 0, misses: 0, busyCycles: 0 };
    for (const worker of workerStats(datapath)) {
      total.packets += Number(worker.nPackets);
      total.misses += Number(worker.nMiss);
      total.busyCycles += Number(worker.busyCycles);
    }
    const { nFlows, nMasks } = datapathStats(datapath);
    return {
      ...total,
      delivered: Number(portStats(datapath, sinkPort)?.txPackets ?? 0),
      atMs: performance.now(),
      megaflows: Number(nFlows),
      masks: nMasks,
      resident: process.memoryUsage.rss(),
    };
  };

  process.on("message", (request: SubjectRequest) => {
    if (request.do === "source") {
      const { flows, masks = 1, order = "sequential", pattern = "src" } = request.source;
      openPort(request.port, portClass.null, { flows, masks, order, pattern });
    } else if (request.do === "dpdk") {
      openPort(request.port, portClass.dpdk, { "dpdk-devargs": request.devargs });
    } else if (request.do === "replay") {
      openPort(request.port, portClass.pcap, { rx_pcap: request.pcap, infinite_rx: 1 });
    }
    process.send?.(stats());
  });
  process.on("disconnect", () => {
    connmgr.close();
    datapath.dispose();
    clock.dispose();
    process.exit(0);
  });

  connmgr.setFailMode("secure");
  connmgr.openManagement();
  if (dpdkSink === undefined) {
    openPort(sinkPort, portClass.null, {});
  } else {
    startDpdk();
    openPort(sinkPort, portClass.dpdk, { "dpdk-devargs": dpdkSink });
  }
  process.send?.(stats());
}

serve(process.argv[2] ?? ".", Number(process.argv[3] ?? 0), process.argv[4]);
