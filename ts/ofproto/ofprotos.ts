import type { Clock } from "../clock/index.js";
import {
  dumpQueryOffsets,
  dumpQuerySize,
  dumpReplySize,
  event,
  eventPacketInSize,
  query,
  readEventPacketIn,
  recordOffsets,
  writeDumpQuery,
} from "../datapath/generated/records.js";
import type { LogSource } from "../log/index.js";
import { type FlowDatapath, pad8 } from "./abi-batch.js";
import { dumpReplies, flowRecords } from "./flow-records.js";
import { Ofproto, type OfprotoOptions } from "./ofproto.js";

/** The switches of one datapath: gives them their ids, and hands what the datapath tells to the one it concerns. */

export interface OfprotosOptions {
  readonly datapath: FlowDatapath;
  readonly clock: Clock;
  readonly log: LogSource;
}

const removedReplySize = 64 * 1024;

export class Ofprotos {
  readonly datapath: FlowDatapath;
  readonly clock: Clock;
  readonly log: LogSource;
  readonly #byId = new Map<number, Ofproto>();
  readonly #byName = new Map<string, Ofproto>();
  #nextId = 1;
  #draining = false;

  constructor(options: OfprotosOptions) {
    this.datapath = options.datapath;
    this.clock = options.clock;
    this.log = options.log;
  }

  /** Makes a switch; its tables hold nothing but the switch's own rules. */
  create(options: OfprotoOptions): Ofproto {
    if (this.#byName.has(options.name)) throw new Error(`there is a switch named ${options.name} already`);
    const ofproto = new Ofproto(this, this.#newId(), options);
    this.#byId.set(ofproto.bridge, ofproto);
    this.#byName.set(options.name, ofproto);
    return ofproto;
  }

  /** Removes a switch with its ports and rules. */
  remove(ofproto: Ofproto): void {
    if (this.#byId.get(ofproto.bridge) !== ofproto) return;
    this.#byId.delete(ofproto.bridge);
    this.#byName.delete(ofproto.name);
    ofproto.destroy();
  }

  find(name: string): Ofproto | undefined {
    return this.#byName.get(name);
  }

  byId(bridge: number): Ofproto | undefined {
    return this.#byId.get(bridge);
  }

  /** In order of name. */
  all(): readonly Ofproto[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Takes an event record of the datapath that concerns switches; others are left to others.  Returns whether it was
   *  one.  `bytes` holds the record and is not kept. */
  handleEvent(bytes: Uint8Array): boolean {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    switch (view.getUint16(recordOffsets.type, true)) {
      case event.packetIn:
        this.#packetIn(bytes, view);
        return true;
      case event.flowsRemoved:
        this.drainRemoved();
        return true;
      default:
        return false;
    }
  }

  /** Tells every removal that waits in the datapath.  Called after what removes rules, and on the datapath's event. */
  drainRemoved(): void {
    if (this.#draining) return;
    this.#draining = true;
    try {
      const asked = new Uint8Array(dumpQuerySize);
      writeDumpQuery(new DataView(asked.buffer), 0, {
        type: query.removedFlows,
        flags: 0,
        size: dumpQuerySize,
        cursor: 0n,
      });
      for (const reply of dumpReplies(this.datapath, asked, dumpQueryOffsets.cursor, removedReplySize)) {
        for (const flow of flowRecords(reply.bytes, dumpReplySize, reply.count)) {
          this.#byId.get(flow.bridge)?.flowRemoved(flow);
        }
      }
    } finally {
      this.#draining = false;
    }
  }

  #packetIn(bytes: Uint8Array, view: DataView): void {
    const record = readEventPacketIn(view, 0);
    const matchAt = eventPacketInSize;
    const userdataAt = matchAt + pad8(record.matchSize);
    const packetAt = userdataAt + pad8(record.userdataSize);
    this.#byId.get(record.bridge)?.packetIn({
      inPort: record.inPort,
      table: record.table,
      reason: record.reason,
      controllerId: record.controllerId,
      maxLen: record.maxLen,
      cookie: record.cookie,
      totalLen: record.totalSize,
      match: bytes.slice(matchAt, matchAt + record.matchSize),
      userdata: bytes.slice(userdataAt, userdataAt + record.userdataSize),
      packet: bytes.slice(packetAt, packetAt + record.packetSize),
    });
  }

  #newId(): number {
    const max = 65535;
    for (let tries = 0; tries < max; tries++) {
      const id = this.#nextId;
      this.#nextId = (this.#nextId % max) + 1;
      if (!this.#byId.has(id)) return id;
    }
    throw new Error(`a datapath has at most ${max} bridges`);
  }
}
