import type { ByteReader, ByteWriter } from "./bytes.js";
import type { IpfixReply, IpfixStats } from "./message.js";

/** What IPFIX exporters have counted. */

const counters = [
  "totalFlows",
  "currentFlows",
  "packets",
  "ipv4Packets",
  "ipv6Packets",
  "errorPackets",
  "ipv4ErrorPackets",
  "ipv6ErrorPackets",
  "txPackets",
  "txErrors",
] as const;

function readStats(reader: ByteReader): IpfixStats {
  const counted = Object.fromEntries(counters.map((name) => [name, reader.u64()]));
  const collectorSetId = reader.u32();
  reader.skip(4);
  return { ...(counted as Record<(typeof counters)[number], bigint>), collectorSetId };
}

export function readIpfixReply(reader: ByteReader, type: IpfixReply["type"], more: boolean): IpfixReply {
  const exporters: IpfixStats[] = [];
  while (reader.left > 0) exporters.push(readStats(reader));
  return { type, more, exporters };
}

export function writeIpfixReply(out: ByteWriter, body: IpfixReply): void {
  for (const stats of body.exporters) {
    for (const name of counters) out.u64(stats[name]);
    out.u32(stats.collectorSetId);
    out.zeros(4);
  }
}
