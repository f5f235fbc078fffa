import { encodeMessage } from "../openflow/index.js";
import type { Continuation, PacketInFormat, Version } from "../openflow/message.js";

/** Makes packet-ins of one connection.  All but the packet and its length is the same for every packet that came the
 *  same way, so it is made once and copied: a flooded controller is where the time goes. */

/** What of an event is in the message. */
export interface EncodedPacketIn {
  readonly inPort: number;
  readonly table: number;
  readonly cookie: bigint;
  readonly totalLen: number;
  readonly match: Uint8Array;
  readonly userdata: Uint8Array;
  readonly packet: Uint8Array;
  readonly continuation?: Continuation | undefined;
}

interface Template {
  readonly format: PacketInFormat;
  readonly reason: number;
  readonly table: number;
  readonly cookie: bigint;
  readonly match: Uint8Array;
  /** The message up to the packet. */
  readonly bytes: Uint8Array;
}

/** A power of two: templates kept, found by ingress port. */
const templatesMax = 64;
const noBuffer = 0xffffffff;
const nothing = new Uint8Array(0);

export class PacketInEncoder {
  readonly #version: Version;
  readonly #templates: (Template | undefined)[] = new Array(templatesMax);

  constructor(version: Version) {
    this.#version = version;
  }

  /** `reason`: as the version has it. */
  encode(event: EncodedPacketIn, format: PacketInFormat, reason: number): Uint8Array {
    // There the packet is a property among others, with user data beside it.
    if (format === "nxt_packet_in2") return this.#whole(event, format, reason, event.packet, event.totalLen);
    const slot = (event.inPort ^ (event.table << 3) ^ reason) & (templatesMax - 1);
    let template = this.#templates[slot];
    if (template === undefined || !fits(template, event, format, reason)) {
      const bytes = this.#whole(event, format, reason, nothing, 0);
      const { table, cookie, match } = event;
      template = { format, reason, table, cookie, match: match.slice(), bytes };
      this.#templates[slot] = template;
    }
    const { bytes } = template;
    const size = bytes.length + event.packet.length;
    const out = Buffer.allocUnsafe(size);
    out.set(bytes);
    out.set(event.packet, bytes.length);
    out[2] = size >>> 8;
    out[3] = size & 0xff;
    const at = format === "nxt_packet_in" || this.#version === 2 ? 20 : 12;
    out[at] = event.totalLen >>> 8;
    out[at + 1] = event.totalLen & 0xff;
    return out;
  }

  #whole(
    event: EncodedPacketIn,
    format: PacketInFormat,
    reason: number,
    packet: Uint8Array,
    totalLen: number,
  ): Uint8Array {
    const { table: tableId, cookie, match, userdata, continuation } = event;
    return encodeMessage(this.#version, 0, {
      type: "packet_in",
      format,
      bufferId: noBuffer,
      totalLen,
      reason,
      tableId,
      cookie,
      match,
      packet,
      userdata,
      continuation,
    });
  }
}

function fits(template: Template, event: EncodedPacketIn, format: PacketInFormat, reason: number): boolean {
  if (template.format !== format || template.reason !== reason || template.table !== event.table) return false;
  if (template.cookie !== event.cookie || template.match.length !== event.match.length) return false;
  for (let index = 0; index < template.match.length; index++) {
    if (template.match[index] !== event.match[index]) return false;
  }
  return true;
}
