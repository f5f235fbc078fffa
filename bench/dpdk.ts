/** How many packets does one polling thread carry between two devices of DPDK's, the same on both sides? */
import { destinationRule, forwardingMetrics, forwardingQuestion, portRule } from "./forwarding.js";
import type { Case } from "./question.js";

const forwarder = { dpdk: true };
const tenThousand = { flows: 10_000 };

/** What the devices themselves cost, so that no figure of a switch is read as if it were the switch's alone. */
const bare: Case = {
  id: "dpdk-bare",
  text: "No switch: DPDK's bare loop, net_null to net_null",
  metrics: forwardingMetrics,
  quick: true,
  missing: (side) => side.forwarderMissing(forwarder),
  measure: async (side, options) => ({ ...(await side.bareLoop(options.quick ? 1 : 3)) }),
};

export const dpdk: readonly Case[] = [
  bare,
  forwardingQuestion({
    id: "dpdk-port-1",
    text: "Port to port, net_null to net_null, 1 flow",
    source: { flows: 1, zeroes: true },
    rules: portRule,
    quick: true,
    forwarder,
  }),
  forwardingQuestion({
    id: "dpdk-port-10k",
    text: "Port to port, net_pcap to net_null, 10k flows",
    source: tenThousand,
    rules: portRule,
    quick: false,
    forwarder,
  }),
  forwardingQuestion({
    id: "dpdk-10k",
    text: "10k flows under one megaflow on a destination, net_pcap to net_null",
    source: tenThousand,
    rules: destinationRule,
    quick: true,
    forwarder,
  }),
];
