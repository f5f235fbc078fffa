import {
  type PortInfo,
  portInfoSize,
  portQuerySize,
  query,
  readPortInfo,
  writePortQuery,
} from "../datapath/generated/records.js";
import type { FlowDatapath } from "./abi-batch.js";
import type { OfPort, PortCounters } from "./port.js";

/** Counters of ports, as OpenFlow and the database tell them. */

const asked = new Uint8Array(portQuerySize);
const reply = new Uint8Array(portInfoSize);

/** What the datapath knows of one of its ports; undefined when it has none of that number. */
export function portInfo(datapath: FlowDatapath, dpPort: number): PortInfo | undefined {
  writePortQuery(new DataView(asked.buffer), 0, { type: query.portStats, flags: 0, size: portQuerySize, dpPort });
  const used = datapath.query(asked, reply);
  return used < portInfoSize ? undefined : readPortInfo(new DataView(reply.buffer), 0);
}

export function portCounters(datapath: FlowDatapath, port: OfPort): PortCounters | undefined {
  if (port.spec.counters !== undefined) return port.spec.counters();
  if (port.spec.dpPort === 0) return undefined;
  const info = portInfo(datapath, port.spec.dpPort);
  if (info === undefined) return undefined;
  return {
    rxPackets: info.rxPackets,
    txPackets: info.txPackets,
    rxBytes: info.rxBytes,
    txBytes: info.txBytes,
    rxDropped: info.rxDropped,
    txDropped: info.txDropped,
    rxErrors: info.rxErrors,
    txErrors: info.txErrors,
    rxFrameErrors: info.rxFrameErrors,
    rxOverErrors: info.rxOverErrors,
    rxCrcErrors: info.rxCrcErrors,
    collisions: info.collisions,
  };
}
