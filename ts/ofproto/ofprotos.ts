import type { Clock } from "../clock/index.js";
import {
  dumpQueryOffsets,
  dumpQuerySize,
  dumpReplySize,
  query,
  writeDumpQuery,
} from "../datapath/generated/records.js";
import type { PacketIn } from "../datapath/index.js";
import type { LogSource } from "../log/index.js";
import { equalBytes } from "../openflow/index.js";
import type { Continuation } from "../openflow/message.js";
import type { FlowDatapath } from "./abi-batch.js";
import { continuationOfRecord } from "./continuation.js";
import { DatapathSettings } from "./datapath-settings.js";
import { dumpReplies, flowReports } from "./flow-records.js";
import { Ofproto, type OfprotoOptions } from "./ofproto.js";

/** The switches of one datapath: gives them their ids, and hands what the datapath tells to the one it concerns. */

export interface OfprotosOptions {
  readonly datapath: FlowDatapath;
  readonly clock: Clock;
  readonly log: LogSource;
  /** From 0 up to 1; for ids that no earlier switch had. */
  readonly random?: () => number;
}

const removedReplySize = 64 * 1024;

export class Ofprotos {
  readonly datapath: FlowDatapath;
  readonly clock: Clock;
  readonly log: LogSource;
  readonly settings: DatapathSettings;
  /** Changes of what switches are and of their ports, each of which may change the ways of packets. */
  nChanges = 0;
  readonly #byId = new Map<number, Ofproto>();
  readonly #byName = new Map<string, Ofproto>();
  readonly #random: () => number;
  #nextId = 1;
  #draining = false;

  constructor(options: OfprotosOptions) {
    this.datapath = options.datapath;
    this.clock = options.clock;
    this.log = options.log;
    this.#random = options.random ?? Math.random;
    this.settings = new DatapathSettings(options.datapath);
  }

  /** Makes a switch; its tables hold nothing but the switch's own rules. */
  create(options: OfprotoOptions): Ofproto {
    if (this.#byName.has(options.name)) throw new Error(`there is a switch named ${options.name} already`);
    const uuid = Uint8Array.from({ length: 16 }, () => Math.floor(256 * this.#random()));
    const ofproto = new Ofproto(this, { bridge: this.#newId(), uuid }, options);
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

  byUuid(uuid: Uint8Array): Ofproto | undefined {
    for (const ofproto of this.#byId.values()) if (equalBytes(ofproto.uuid, uuid)) return ofproto;
    return undefined;
  }

  /** In order of name. */
  all(): readonly Ofproto[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** A packet for controllers, as the datapath tells it; for the switch whose pipeline sent it. */
  packetIn(event: PacketIn): void {
    this.#byId.get(event.bridge)?.packetIn({
      inPort: event.inPort,
      table: event.table,
      reason: event.reason,
      controllerId: event.controllerId,
      maxLen: event.maxLen,
      cookie: event.cookie,
      totalLen: event.totalSize,
      match: event.match,
      userdata: event.userdata,
      packet: event.packet,
      continuation: event.continuationSize === 0 ? undefined : this.#continuation(event),
    });
  }

  /** Tells every change of a rule that waits in the datapath.  Called after what removes rules, and on the datapath's event. */
  drainChanges(): void {
    if (this.#draining) return;
    this.#draining = true;
    try {
      let last: Ofproto | undefined;
      let origin = 0;
      const asked = new Uint8Array(dumpQuerySize);
      writeDumpQuery(new DataView(asked.buffer), 0, {
        type: query.flowChanges,
        flags: 0,
        size: dumpQuerySize,
        cursor: 0n,
      });
      for (const reply of dumpReplies(this.datapath, asked, dumpQueryOffsets.cursor, removedReplySize)) {
        for (const report of flowReports(reply.bytes, dumpReplySize, reply.count)) {
          const ofproto = this.#byId.get(report.flow.bridge);
          if (ofproto === undefined) continue;
          if (last !== undefined && (last !== ofproto || origin !== report.origin || origin === 0)) last.changesTold();
          last = ofproto;
          origin = report.origin;
          ofproto.flowReported(report);
        }
      }
      last?.changesTold();
    } finally {
      this.#draining = false;
    }
  }

  #continuation(event: PacketIn): Continuation | undefined {
    const uuid = this.#byId.get(event.bridge)?.uuid;
    return uuid === undefined ? undefined : continuationOfRecord(event.continuation, uuid, event.dpPort);
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
