import type { ByteReader, ByteWriter } from "./bytes.js";
import { eachProperty, readPort, writePort } from "./codec-port.js";
import { OpenFlowError } from "./error.js";
import type { QueueConfig, QueueGetConfigReply, QueueStats } from "./message.js";
import { portFrom10 } from "./oxm.js";
import { ofpp } from "./tables/ports.js";

/** Queues of ports: what they are configured to, and their counters. */

export function readQueueStats(reader: ByteReader, version: number): QueueStats {
  if (version >= 5) reader.skip(8);
  const port = version === 1 ? portFrom10(reader.u16()) : reader.u32();
  if (version === 1) reader.skip(2);
  const counts = { queue: reader.u32(), txBytes: reader.u64(), txPackets: reader.u64(), txErrors: reader.u64() };
  const timed = version >= 4;
  return { port, ...counts, durationSec: timed ? reader.u32() : 0, durationNsec: timed ? reader.u32() : 0 };
}

export function writeQueueStats(out: ByteWriter, stats: QueueStats, version: number): void {
  if (version >= 5) {
    out.u16(48);
    out.zeros(6);
  }
  writePort(out, stats.port, version);
  if (version === 1) out.zeros(2);
  out.u32(stats.queue);
  out.u64(stats.txBytes);
  out.u64(stats.txPackets);
  out.u64(stats.txErrors);
  if (version >= 4) {
    out.u32(stats.durationSec);
    out.u32(stats.durationNsec);
  }
}

/** Properties of a queue.  Both rates are in tenths of a percent of the port's. */
const rateProperty = { min: 1, max: 2 } as const;

/** The head of one queue, and its properties.  A queue of OpenFlow 1.0 and 1.1 is of the port that the message names. */
function readQueueConfig(reader: ByteReader, version: number, messagePort: number): QueueConfig {
  const start = reader.position;
  const describes = version >= 5;
  const portFirst = describes ? readPort(reader, version) : messagePort;
  const queue = reader.u32();
  const port = version === 3 || version === 4 ? reader.u32() : portFirst;
  const length = reader.u16();
  reader.skip(version >= 3 ? 6 : 2);
  if (start + length > reader.end || start + length < reader.position)
    throw new OpenFlowError("OFPBRC_BAD_LEN", `a queue has length ${length}`);
  const rates: { minRate: number | undefined; maxRate: number | undefined } = {
    minRate: undefined,
    maxRate: undefined,
  };
  const padding = describes ? 0 : 4;
  eachProperty(reader, start + length, (type, end) => {
    if (end - reader.position < padding + 2) return;
    reader.skip(padding);
    const rate = reader.u16();
    if (type === rateProperty.min) rates.minRate = rate;
    if (type === rateProperty.max) rates.maxRate = rate;
  });
  return { queue, port, ...rates };
}

function writeQueueConfig(out: ByteWriter, queue: QueueConfig, version: number): void {
  const start = out.position;
  const describes = version >= 5;
  if (describes) writePort(out, queue.port, version);
  out.u32(queue.queue);
  if (version === 3 || version === 4) writePort(out, queue.port, version);
  const lengthAt = out.position;
  out.u16(0);
  out.zeros(version >= 3 ? 6 : 2);
  for (const [type, rate] of [
    [rateProperty.min, queue.minRate],
    [rateProperty.max, queue.maxRate],
  ] as const) {
    if (rate === undefined) continue;
    out.u16(type);
    out.u16(describes ? 6 : 16);
    if (!describes) out.zeros(4);
    out.u16(rate);
    out.zeros(describes ? 2 : 6);
  }
  out.view.setUint16(lengthAt, out.position - start);
}

export function readQueueGetConfigReply(reader: ByteReader, version: number): QueueGetConfigReply {
  const port = readPort(reader, version);
  reader.skip(version === 1 ? 6 : 4);
  const queues: QueueConfig[] = [];
  while (reader.left > 0) queues.push(readQueueConfig(reader, version, port));
  return { type: "queue_get_config_reply", port, queues };
}

export function writeQueueGetConfigReply(out: ByteWriter, body: QueueGetConfigReply, version: number): void {
  writePort(out, body.port, version);
  out.zeros(version === 1 ? 6 : 4);
  for (const queue of body.queues) writeQueueConfig(out, queue, version);
}

/** One queue of an answer to a request for queue descriptions. */
export function readQueueDesc(reader: ByteReader, version: number): QueueConfig {
  return readQueueConfig(reader, version, ofpp.ANY);
}

export function writeQueueDesc(out: ByteWriter, queue: QueueConfig, version: number): void {
  writeQueueConfig(out, queue, version);
}
