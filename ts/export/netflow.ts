import { Writer } from "./writer.js";

/** NetFlow version 5: datagrams of records of flows.  Pure: time comes in, datagrams go out. */

export interface NetflowOptions {
  readonly engineType: number;
  readonly engineId: number;
  /** The seven low bits of the engine id are the high ones of interface numbers. */
  readonly addIdToInterface: boolean;
}

/** What was counted of one flow since the record before; times since NetFlow began. */
export interface NetflowFlow {
  readonly ipSrc: number;
  readonly ipDst: number;
  readonly input: number;
  readonly output: number;
  readonly nPackets: bigint;
  readonly nBytes: bigint;
  readonly firstMs: bigint;
  readonly lastMs: bigint;
  /** Of ICMP type and code. */
  readonly tpSrc: number;
  readonly tpDst: number;
  readonly tcpFlags: number;
  readonly ipTos: number;
  readonly ipProto: number;
}

const version = 5;
const recordsMax = 30;
const icmp = 1;
const counterMax = 0xffff_ffffn;

/** More than this no device can have sent within the longest usual timeout: the counter is wrong. */
const bytesMax = 176n << 32n;

/** One exporting engine: its sequence of flows outlives changes of the options. */
export class Netflow {
  #options: NetflowOptions;
  #sequence = 0;

  constructor(options: NetflowOptions) {
    this.#options = options;
  }

  configure(options: NetflowOptions): void {
    this.#options = options;
  }

  /** Datagrams that tell of the flows; those whose counters cannot be are given to `impossible`. */
  datagrams(
    flows: readonly NetflowFlow[],
    uptimeMs: bigint,
    wallMs: number,
    impossible: (flow: NetflowFlow) => void,
  ): Uint8Array[] {
    const parts = flows.flatMap((flow) => {
      if (flow.nBytes < bytesMax) return split(flow);
      impossible(flow);
      return [];
    });
    const datagrams: Uint8Array[] = [];
    for (let at = 0; at < parts.length; at += recordsMax)
      datagrams.push(this.#datagram(parts.slice(at, at + recordsMax), uptimeMs, wallMs));
    return datagrams;
  }

  #datagram(flows: readonly NetflowFlow[], uptimeMs: bigint, wallMs: number): Uint8Array {
    const { engineType, engineId } = this.#options;
    // The header's number is that of the last record.
    this.#sequence = (this.#sequence + flows.length) >>> 0;
    const writer = new Writer()
      .u16(version)
      .u16(flows.length)
      .u32(low32(uptimeMs))
      .u32(Math.floor(wallMs / 1000) >>> 0)
      .u32(Math.floor((wallMs % 1000) * 1e6))
      .u32((this.#sequence - 1) >>> 0)
      .u8(engineType)
      .u8(engineId)
      .u16(0); // Every packet is counted: there is no sampling interval.
    for (const flow of flows) this.#record(writer, flow);
    return writer.take();
  }

  #record(writer: Writer, flow: NetflowFlow): void {
    const isIcmp = flow.ipProto === icmp;
    const typeAndCode = ((flow.tpSrc & 0xff) << 8) | (flow.tpDst & 0xff);
    writer
      .u32(flow.ipSrc)
      .u32(flow.ipDst)
      .u32(0) // The next hop is not known.
      .u16(this.#interface(flow.input))
      .u16(this.#interface(flow.output))
      .u32(Number(flow.nPackets))
      .u32(Number(flow.nBytes))
      .u32(low32(flow.firstMs))
      .u32(low32(flow.lastMs))
      .u16(isIcmp ? 0 : flow.tpSrc)
      .u16(isIcmp ? typeAndCode : flow.tpDst)
      .u8(0)
      .u8(flow.tcpFlags & 0xff)
      .u8(flow.ipProto)
      .u8(flow.ipTos & 0xfc)
      .u32(0) // Autonomous systems and the widths of masks: likewise.
      .u32(0);
  }

  #interface(port: number): number {
    const { engineId, addIdToInterface } = this.#options;
    return addIdToInterface ? ((engineId & 0x7f) << 9) | (port & 0x1ff) : port;
  }
}

const low32 = (value: bigint): number => Number(BigInt.asUintN(32, value));

/** As many flows as it takes for counters of 32 bits, of about the same size. */
function split(flow: NetflowFlow): NetflowFlow[] {
  const flows: NetflowFlow[] = [];
  let { nPackets, nBytes } = flow;
  while (nBytes > 0n) {
    const left = (nBytes + counterMax - 1n) / counterMax;
    const part = { ...flow, nPackets: BigInt.asUintN(32, nPackets / left), nBytes: nBytes / left };
    flows.push(part);
    nPackets -= part.nPackets;
    nBytes -= part.nBytes;
  }
  return flows;
}
