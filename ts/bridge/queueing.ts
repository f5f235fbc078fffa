import type { Netdev } from "../netdev/index.js";
import type { PortQueue } from "../ofproto/index.js";
import type { WantedQos } from "./wanted.js";

/** QoS of a port's interfaces: what the rows say, given to the devices, and queues as OpenFlow tells of them. */

const noDetails: ReadonlyMap<string, string> = new Map();

/** Makes a device's sending as wanted.  Whether all of it was taken; what was not is in the log. */
export function applyQos(netdev: Netdev, wanted: WantedQos | undefined): boolean {
  const { qos } = netdev;
  if (qos === undefined) return true;
  if (wanted === undefined) return qos.set("", noDetails) === 0;
  if (qos.set(wanted.type, wanted.details) !== 0) return false;
  for (const { number } of qos.queues()) if (!wanted.queues.has(number)) qos.deleteQueue(number);
  let isWhole = true;
  for (const [number, { details }] of wanted.queues) {
    if (qos.setQueue(number, details) !== 0) isWhole = false;
  }
  // What is sent by no queue goes to queue 0, so that there is one wherever there can be queues.
  if (!wanted.queues.has(0)) qos.setQueue(0, noDetails);
  return isWhole;
}

/** Everything of a row that `applyQos` and `queueDscps` look at, to be compared. */
export function qosText(wanted: WantedQos | undefined): string {
  if (wanted === undefined) return "";
  const queues = [...wanted.queues].map(([number, { details, dscp }]) => [number, [...details], dscp]);
  return JSON.stringify([wanted.type, [...wanted.details], queues]);
}

/** Which DSCP packets get by queue. */
export function queueDscps(wanted: WantedQos | undefined): ReadonlyMap<number, number> {
  const marked = [...(wanted?.queues ?? [])].flatMap(([number, { dscp }]) =>
    dscp === undefined ? [] : [[number, dscp] as const],
  );
  return new Map(marked);
}

/** Queues of a device, with their counters.  Test devices do not count what their queues send. */
export function queuesOf(netdev: Netdev): readonly PortQueue[] {
  const { qos } = netdev;
  if (qos === undefined)
    return (netdev.type.queues ?? []).map((number) => ({ number, counters: undefined, createdMs: undefined }));
  const queues = qos.queues();
  const counters = queues.length === 0 ? new Map<number, never>() : qos.allCounters();
  return queues.map(({ number, createdMs }) => ({ number, counters: counters.get(number), createdMs }));
}
