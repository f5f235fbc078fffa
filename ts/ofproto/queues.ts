import { OpenFlowError } from "../openflow/index.js";
import type { Message, MessageBody, QueueConfig, QueueStats } from "../openflow/message.js";
import { anyPort } from "./flow-records.js";
import type { Ofproto } from "./ofproto.js";
import { localPort, type OfPort, type PortQueue } from "./port.js";
import type { Replies, Requester } from "./requester.js";

/** Queues of ports, as OpenFlow tells of them.  A port's device says which queues there are. */

const allQueues = 0xffffffff;
const queuesPerMessage = 512;
/** All bits set: the counter is not known. */
const unknown = 0xffffffffffffffffn;

interface Found {
  readonly port: OfPort;
  readonly queue: PortQueue;
}

/** The queues that a request asks for.  One that asks for a queue by number is an error where no port has it; one that
 *  asks for all is content with none, unless there is no port at all. */
function findQueues(ofproto: Ofproto, portNumber: number, queueNumber: number): Found[] {
  const port = ofproto.port(portNumber);
  if (portNumber !== anyPort && port === undefined) {
    throw new OpenFlowError("OFPQOFC_BAD_PORT", `there is no port ${portNumber}`, { port: portNumber });
  }
  const ports = port === undefined ? ofproto.ports() : [port];
  const found = ports.flatMap((owner) =>
    (owner.spec.queues?.() ?? [])
      .filter((queue) => queueNumber === allQueues || queue.number === queueNumber)
      .map((queue) => ({ port: owner, queue })),
  );
  if (found.length === 0 && (queueNumber !== allQueues || ports.length === 0)) {
    throw new OpenFlowError("OFPQOFC_BAD_QUEUE", `there is no queue ${queueNumber}`, { queue: queueNumber });
  }
  return found;
}

/** Open vSwitch's properties of queues are none of OpenFlow's, so no rates are told. */
function configOf({ port, queue }: Found): QueueConfig {
  return { port: port.number, queue: queue.number, minRate: undefined, maxRate: undefined };
}

function statsOf({ port, queue }: Found, now: number): QueueStats {
  const ageMs = queue.createdMs === undefined ? undefined : Math.max(0, now - queue.createdMs);
  return {
    port: port.number,
    queue: queue.number,
    txBytes: queue.counters?.txBytes ?? unknown,
    txPackets: queue.counters?.txPackets ?? unknown,
    txErrors: queue.counters?.txErrors ?? unknown,
    durationSec: ageMs === undefined ? 0xffffffff : Math.floor(ageMs / 1000),
    durationNsec: ageMs === undefined ? 0xffffffff : (ageMs % 1000) * 1_000_000,
  };
}

/** Cuts an answer of many queues into messages; no queues are one message. */
function* inMessages<T>(
  queues: readonly T[],
  body: (queues: readonly T[], more: boolean) => MessageBody,
): Generator<MessageBody> {
  for (let at = 0; at === 0 || at < queues.length; at += queuesPerMessage) {
    yield body(queues.slice(at, at + queuesPerMessage), at + queuesPerMessage < queues.length);
  }
}

/** OpenFlow 1.0 asks for one real port; 1.1 to 1.3 ask for one or for all. */
export function queueConfig(ofproto: Ofproto, message: Message, requester: Requester): Replies {
  if (message.type !== "queue_get_config_request") return [];
  const { port } = message;
  if (port === localPort || (port === anyPort && requester.version === 1)) {
    throw new OpenFlowError("OFPQOFC_BAD_PORT", "queues are asked of a port with an ordinary number", { port });
  }
  const queues = findQueues(ofproto, port, allQueues).map(configOf);
  return [{ type: "queue_get_config_reply", port, queues }];
}

export function queueDescriptions(ofproto: Ofproto, message: Message): Replies {
  if (message.type !== "queue_desc_request") return [];
  const found = findQueues(ofproto, message.port, message.queue).map(configOf);
  return inMessages(found, (queues, more) => ({ type: "queue_desc_reply", more, queues }));
}

export function queueStats(ofproto: Ofproto, message: Message): Replies {
  if (message.type !== "queue_stats_request") return [];
  const now = ofproto.clock.monotonic();
  const found = findQueues(ofproto, message.port, message.queue).map((one) => statsOf(one, now));
  return inMessages(found, (queues, more) => ({ type: "queue_stats_reply", more, queues }));
}
