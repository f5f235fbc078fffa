import type { EventBytes } from "./event-ring.js";
import {
  type EventFlood,
  type EventKeepaliveSilent,
  type EventPacketIn,
  type EventPort,
  type EventProtocolPacket,
  type EventRemark,
  type EventSample,
  event,
  eventMissSize,
  eventNetflowSize,
  eventPacketInSize,
  eventPortFrameSize,
  eventProtocolPacketSize,
  eventRemarkSize,
  eventSampleSize,
  type NetflowRecord,
  netflowRecordSize,
  readEventFlood,
  readEventKeepaliveSilent,
  readEventMiss,
  readEventNetflow,
  readEventPacketIn,
  readEventPort,
  readEventPortFrame,
  readEventProtocolPacket,
  readEventRemark,
  readEventSample,
  readNetflowRecord,
} from "./generated/records.js";
import { type Megaflow, readMegaflow } from "./queries.js";
import { pad8 } from "./tables/record.js";

/** A packet for controllers. */
export interface PacketIn extends EventPacketIn {
  /** Pipeline fields of the packet, as a `match`. */
  readonly match: Uint8Array;
  readonly userdata: Uint8Array;
  /** A `continuation` record with its parts, if the packet waits to be resumed. */
  readonly continuation: Uint8Array;
  readonly packet: Uint8Array;
}

export interface PortFrame {
  readonly dpPort: number;
  readonly packet: Uint8Array;
}

/** A packet that no megaflow covered. */
export interface Miss {
  readonly dpPort: number;
  /** The packet's key as a match. */
  readonly key: Uint8Array;
  readonly packet: Uint8Array;
}

export interface ProtocolPacket extends EventProtocolPacket {
  readonly packet: Uint8Array;
}

/** What a translation remarked, which was no trace. */
export interface Remark extends EventRemark {
  /** The packet's key as a match; empty if the remark is about none. */
  readonly key: Uint8Array;
  /** The same of the packet as it came in; empty if it did not come in by a port. */
  readonly firstKey: Uint8Array;
}

/** A packet for an exporter. */
export interface Sample extends EventSample {
  readonly packet: Uint8Array;
  /** The datapath's actions of the whole flow, if the sample tells of them. */
  readonly actions: Uint8Array;
}

/** Flows of a bridge that has NetFlow. */
export interface NetflowRecords {
  readonly bridge: number;
  /** Since the bridge has it. */
  readonly uptimeMs: bigint;
  readonly flows: readonly NetflowRecord[];
}

/** Events by name, with what their listeners get.  The bytes are the listener's to keep. */
export interface DatapathEvents {
  packetIn: PacketIn;
  /** A memory port transmitted. */
  portFrame: PortFrame;
  protocolPacket: ProtocolPacket;
  sample: Sample;
  /** A network device of the host came, went or changed; ask `link`. */
  linkChanged: EventPort;
  portChanged: EventPort;
  addressChanged: EventPort;
  /** Changes of rules wait in `flowChanges`. */
  flowsChanged: undefined;
  /** Only while settings ask for it, as `megaflow`. */
  miss: Miss;
  remark: Remark;
  netflow: NetflowRecords;
  /** What the other end of a link is to send stays away. */
  keepaliveSilent: EventKeepaliveSilent;
  /** A port sends what no cache knows, beyond its share; ask `floodedRules`. */
  flood: EventFlood;
  /** A megaflow came, changed or goes: `change` says which. */
  megaflow: Megaflow;
  /** Events of links, ports, addresses or removed flows were lost for want of room: look at everything again. */
  stateLost: undefined;
}

export type DatapathEvent = {
  [Name in keyof DatapathEvents]: { name: Name; value: DatapathEvents[Name] };
}[keyof DatapathEvents];

const empty = new Uint8Array(0);

/** Parts are often empty, and a view of nothing costs as much as any. */
function part(bytes: Uint8Array, at: number, size: number): Uint8Array {
  return size === 0 ? empty : bytes.subarray(at, at + size);
}

type Mutable<T> = { -readonly [Member in keyof T]: T[Member] };

function packetIn({ bytes, view }: EventBytes, at: number): PacketIn {
  // Parts are put beside what was read: a copy of it for each packet is not worth its price.
  const record = readEventPacketIn(view, at) as Mutable<PacketIn>;
  const matchAt = at + eventPacketInSize;
  const userdataAt = matchAt + pad8(record.matchSize);
  const continuationAt = userdataAt + pad8(record.userdataSize);
  const packetAt = continuationAt + pad8(record.continuationSize);
  record.match = part(bytes, matchAt, record.matchSize);
  record.userdata = part(bytes, userdataAt, record.userdataSize);
  record.continuation = part(bytes, continuationAt, record.continuationSize);
  record.packet = part(bytes, packetAt, record.packetSize);
  return record;
}

/** The event in the ring's record at [at, at + size) of a block.  Undefined for a type that this version does not know. */
export function decodeEvent(type: number, block: EventBytes, at: number, size: number): DatapathEvent | undefined {
  const { bytes, view } = block;
  switch (type) {
    case event.packetIn:
      return { name: "packetIn", value: packetIn(block, at) };
    case event.portFrame: {
      const { dpPort, packetSize } = readEventPortFrame(view, at);
      return { name: "portFrame", value: { dpPort, packet: part(bytes, at + eventPortFrameSize, packetSize) } };
    }
    case event.protocolPacket: {
      const record = readEventProtocolPacket(view, at);
      const packet = part(bytes, at + eventProtocolPacketSize, record.packetSize);
      return { name: "protocolPacket", value: { ...record, packet } };
    }
    case event.sample: {
      const record = readEventSample(view, at);
      const packetAt = at + eventSampleSize;
      const packet = part(bytes, packetAt, record.packetSize);
      const actions = part(bytes, packetAt + pad8(record.packetSize), record.actionsSize);
      return { name: "sample", value: { ...record, packet, actions } };
    }
    case event.linkChanged:
      return { name: "linkChanged", value: readEventPort(view, at) };
    case event.portChanged:
      return { name: "portChanged", value: readEventPort(view, at) };
    case event.addressChanged:
      return { name: "addressChanged", value: readEventPort(view, at) };
    case event.miss: {
      const { dpPort, keySize, packetSize } = readEventMiss(view, at);
      const keyAt = at + eventMissSize;
      const key = part(bytes, keyAt, keySize);
      return { name: "miss", value: { dpPort, key, packet: part(bytes, keyAt + pad8(keySize), packetSize) } };
    }
    case event.remark: {
      const record = readEventRemark(view, at);
      const keyAt = at + eventRemarkSize;
      const key = part(bytes, keyAt, record.keySize);
      const firstKey = part(bytes, keyAt + pad8(record.keySize), record.firstKeySize);
      return { name: "remark", value: { ...record, key, firstKey } };
    }
    case event.netflow: {
      const { bridge, nRecords, uptimeMs } = readEventNetflow(view, at);
      const flowAt = (i: number): number => at + eventNetflowSize + i * netflowRecordSize;
      const flows = Array.from({ length: nRecords }, (_, i) => readNetflowRecord(view, flowAt(i)));
      return { name: "netflow", value: { bridge, uptimeMs, flows } };
    }
    case event.keepaliveSilent:
      return { name: "keepaliveSilent", value: readEventKeepaliveSilent(view, at) };
    case event.flood:
      return { name: "flood", value: readEventFlood(view, at) };
    case event.megaflow:
      return { name: "megaflow", value: readMegaflow(bytes.subarray(at, at + size)) };
    case event.flowsChanged:
      return { name: "flowsChanged", value: undefined };
    default:
      return undefined;
  }
}

/** Types whose loss means that the state of something is no longer known. */
export const stateEventTypes: readonly number[] = [
  event.linkChanged,
  event.portChanged,
  event.addressChanged,
  event.flowsChanged,
];
