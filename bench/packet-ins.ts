/** How many packets a second reach a controller? */
import { frame } from "./frames.js";
import { messageType } from "./openflow-client.js";
import { sleep } from "./process.js";
import type { Case, Metric } from "./question.js";
import { addRule, join, packetOutToController } from "./rules.js";

const metrics: readonly Metric[] = [{ name: "rate", unit: "k/s", better: "more", scale: 1e3 }];

/** A port that receives without end, every packet of which goes to the controller: what still arrives. */
const flood: Case = {
  id: "packet-ins-flood",
  text: "Packet-ins, port flooded",
  metrics,
  quick: true,
  missing: (side) => side.forwarderMissing(),
  measure: async (side, options) => {
    const forwarder = await side.startForwarder();
    try {
      const { client } = forwarder;
      await client.wantPacketIns();
      await client.pipeline(addRule({ match: { in_port: 1 }, step: "controller" }));
      await client.barrier();
      await forwarder.start({ flows: 1 });
      await sleep(1000);
      const before = client.count(messageType.packetIn);
      const started = performance.now();
      await sleep(options.quick ? 1000 : 3000);
      const seconds = (performance.now() - started) / 1000;
      return { rate: (client.count(messageType.packetIn) - before) / seconds };
    } finally {
      await forwarder.stop();
    }
  },
};

/** Each packet-out is answered by one packet-in; batches keep the switch from dropping any. */
const echoed: Case = {
  id: "packet-outs",
  text: "Packet-outs that come back as packet-ins",
  metrics,
  quick: true,
  missing: (side) => side.daemonMissing(),
  measure: async (side, options) => {
    const daemon = await side.startDaemon();
    try {
      const { client } = daemon;
      await client.wantPacketIns();
      const batchSize = 64;
      const one = packetOutToController(frame({ flows: 1 }, 0));
      const batch = join(Array.from({ length: batchSize }, () => one));
      const round = async (seconds: number): Promise<number> => {
        const before = client.count(messageType.packetIn);
        const started = performance.now();
        let elapsed = 0;
        while (elapsed < seconds) {
          await client.pipeline(batch);
          await client.barrier();
          elapsed = (performance.now() - started) / 1000;
        }
        return (client.count(messageType.packetIn) - before) / elapsed;
      };
      await round(0.5);
      return { rate: await round(options.quick ? 1 : 3) };
    } finally {
      await daemon.stop();
    }
  },
};

export const packetIns: readonly Case[] = [flood, echoed];
