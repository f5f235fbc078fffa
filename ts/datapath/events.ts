import {
  type EventPacketIn,
  type EventPort,
  type EventProtocolPacket,
  type EventSample,
  event,
  eventMissSize,
  eventPacketInSize,
  eventPortFrameSize,
  eventProtocolPacketSize,
  eventSampleSize,
  readEventMiss,
  readEventPacketIn,
  readEventPort,
  readEventPortFrame,
  readEventProtocolPacket,
  readEventSample,
} from "./generated/records.js";
import { type Megaflow, readMegaflow } from "./queries.js";

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

/** A packet for an exporter. */
export interface Sample extends EventSample {
  readonly packet: Uint8Array;
  /** The datapath's actions of the whole flow, if the sample tells of them. */
  readonly actions: Uint8Array;
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
  /** A megaflow came, changed or goes: `change` says which. */
  megaflow: Megaflow;
  /** Events of links, ports, addresses or removed flows were lost for want of room: look at everything again. */
  stateLost: undefined;
}

export type DatapathEvent = {
  [Name in keyof DatapathEvents]: { name: Name; value: DatapathEvents[Name] };
}[keyof DatapathEvents];

const pad8 = (size: number): number => (size + 7) & ~7;

/** The event in the ring's record.  Undefined for a type that this version does not know. */
export function decodeEvent(type: number, bytes: Uint8Array<ArrayBuffer>): DatapathEvent | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  switch (type) {
    case event.packetIn: {
      const record = readEventPacketIn(view, 0);
      const userdataAt = eventPacketInSize + pad8(record.matchSize);
      const continuationAt = userdataAt + pad8(record.userdataSize);
      const packetAt = continuationAt + pad8(record.continuationSize);
      return {
        name: "packetIn",
        value: {
          ...record,
          match: bytes.subarray(eventPacketInSize, eventPacketInSize + record.matchSize),
          userdata: bytes.subarray(userdataAt, userdataAt + record.userdataSize),
          continuation: bytes.subarray(continuationAt, continuationAt + record.continuationSize),
          packet: bytes.subarray(packetAt, packetAt + record.packetSize),
        },
      };
    }
    case event.portFrame: {
      const { dpPort, packetSize } = readEventPortFrame(view, 0);
      return {
        name: "portFrame",
        value: { dpPort, packet: bytes.subarray(eventPortFrameSize, eventPortFrameSize + packetSize) },
      };
    }
    case event.protocolPacket: {
      const record = readEventProtocolPacket(view, 0);
      return {
        name: "protocolPacket",
        value: {
          ...record,
          packet: bytes.subarray(eventProtocolPacketSize, eventProtocolPacketSize + record.packetSize),
        },
      };
    }
    case event.sample: {
      const record = readEventSample(view, 0);
      const actionsAt = eventSampleSize + pad8(record.packetSize);
      return {
        name: "sample",
        value: {
          ...record,
          packet: bytes.subarray(eventSampleSize, eventSampleSize + record.packetSize),
          actions: bytes.subarray(actionsAt, actionsAt + record.actionsSize),
        },
      };
    }
    case event.linkChanged:
      return { name: "linkChanged", value: readEventPort(view, 0) };
    case event.portChanged:
      return { name: "portChanged", value: readEventPort(view, 0) };
    case event.addressChanged:
      return { name: "addressChanged", value: readEventPort(view, 0) };
    case event.miss: {
      const { dpPort, keySize, packetSize } = readEventMiss(view, 0);
      const packetAt = eventMissSize + pad8(keySize);
      return {
        name: "miss",
        value: {
          dpPort,
          key: bytes.subarray(eventMissSize, eventMissSize + keySize),
          packet: bytes.subarray(packetAt, packetAt + packetSize),
        },
      };
    }
    case event.megaflow:
      return { name: "megaflow", value: readMegaflow(bytes) };
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
