import type { ErrorName } from "../openflow/index.js";
import type {
  Continuation,
  MessageBody,
  PortDesc,
  RequestForward,
  TableDescription,
  Version,
} from "../openflow/message.js";

import type { FlowRecord } from "./flow-records.js";

/** Who asks a switch for something over OpenFlow, as the switch sees it: one connection, or the program itself. */
export interface Requester {
  readonly version: Version;
  /** A secondary controller may look but not change. */
  readonly isSecondary: boolean;
}

/** What answers a request, in order: bodies, or whole messages in the requester's version and with the request's xid.
 *  A long answer is made while it is taken, so that it never lies in memory whole. */
export type Replies = Iterable<MessageBody | Uint8Array>;

/** A request of a batch that failed. */
export interface RequestFailure {
  /** The request's bytes. */
  readonly request: Uint8Array;
  readonly error: ErrorName;
  /** A sentence for the log. */
  readonly sentence: string;
}

/** A packet that the pipeline sent to controllers. */
export interface PacketInEvent {
  readonly inPort: number;
  readonly table: number;
  /** packet_in_reason of the ABI. */
  readonly reason: number;
  readonly controllerId: number;
  readonly maxLen: number;
  readonly cookie: bigint;
  readonly totalLen: number;
  /** ABI match of the packet's pipeline fields. */
  readonly match: Uint8Array;
  readonly userdata: Uint8Array;
  readonly packet: Uint8Array;
  /** Of a packet that waits to be resumed. */
  readonly continuation?: Continuation | undefined;
}

/** A rule that is gone and had asked for that to be told. */
export interface RemovedFlow {
  readonly table: number;
  readonly reason: number;
  readonly priority: number;
  readonly cookie: bigint;
  readonly durationMs: number;
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  readonly nPackets: bigint;
  readonly nBytes: bigint;
  readonly match: Uint8Array;
}

/** What became of a rule, and who did it. */
export interface FlowChange {
  readonly kind: "added" | "removed" | "modified";
  /** Points into the datapath's answer: copy what is to be kept. */
  readonly flow: FlowRecord;
  /** What a change replaced, when it replaced other actions. */
  readonly oldActions: Uint8Array | undefined;
  /** Whose message did it, and the message's transaction id; undefined and 0: the switch did it by itself. */
  readonly requester: Requester | undefined;
  readonly xid: number;
}

export interface PortChange {
  /** OFPPR: 0 add, 1 delete, 2 modify. */
  readonly reason: number;
  readonly port: PortDesc;
  /** Before a modify. */
  readonly old: PortDesc | undefined;
  /** Whose port_mod caused it. */
  readonly origin: Requester | undefined;
}

/** A controller's request that other controllers may want to hear of, once it was done. */
export interface DoneRequest {
  readonly requestXid: number;
  readonly request: RequestForward["request"];
  readonly origin: Requester;
}

/** `reason` is OFPTR. */
export interface TableVacancyStatus {
  readonly reason: number;
  readonly table: TableDescription;
}

/** What a switch tells.  Every method is called inside a call of the switch or of `Ofprotos`. */
export interface OfprotoListener {
  packetIn(event: PacketInEvent): void;
  flowRemoved(flow: RemovedFlow): void;
  portChanged(change: PortChange): void;
  requestDone(done: DoneRequest): void;
  /** A table's vacancy crossed a limit. */
  tableStatus(status: TableVacancyStatus): void;
  /** Called while somebody wants flows monitored. */
  flowChanged(change: FlowChange): void;
  /** All changes of one message were told. */
  flowChangesTold(): void;
  /** All flows are gone, those of the fail mode too. */
  flowsFlushed(): void;
}
