import { Writer } from "./writer.js";

/** sFlow version 5: samples and counters as bytes, and the datagrams that carry them.  Pure: time comes in, datagrams go
 *  out. */

/** An address of 4 or 16 bytes. */
export type Address = Uint8Array;

export interface TunnelSample {
  readonly protocol: number;
  readonly src: Address;
  readonly dst: Address;
  readonly tos: number;
  /** Virtual network, 0 for none. */
  readonly vni: number;
}

export interface FlowSample {
  readonly frameSize: number;
  readonly header: Uint8Array;
  /** Interface indexes; `output` in sFlow's own code, see `outputCode`. */
  readonly input: number;
  readonly output: number;
  /** Tags: 0x1fff bits of the tag control information. */
  readonly inTci: number;
  readonly outTci: number;
  readonly tunnelIn?: TunnelSample | undefined;
  readonly tunnelOut?: TunnelSample | undefined;
  /** Label stack entries on the way out, outermost first. */
  readonly labels?: readonly number[] | undefined;
}

/** Counters of a port; what a device does not count is undefined. */
export interface PortSample {
  readonly ifindex: number;
  readonly name: string;
  readonly datapathId: bigint;
  readonly ofpPort: number;
  readonly speedBps: bigint;
  /** 0 unknown, 1 full duplex, 2 half duplex. */
  readonly direction: number;
  readonly adminUp: boolean;
  readonly operUp: boolean;
  readonly counters: ReadonlyMap<string, number>;
}

/** What is told of the switch as a whole. */
export interface SwitchSample {
  readonly datapath: {
    readonly hits: number;
    readonly misses: number;
    readonly lost: number;
    readonly maskHits: number;
    readonly flows: number;
    readonly masks: number;
  };
  readonly userMs: number;
  readonly systemMs: number;
  readonly memoryBytes: number;
}

/** Where a packet goes: one interface, none for an unknown reason, or several (also: one without an index). */
export function outputCode(outputs: number, ifindex: number): number {
  if (outputs === 0) return 0x40000000 | 256;
  return outputs === 1 && ifindex !== 0 ? ifindex : (0x80000000 | outputs) >>> 0;
}

const unknown = 0xffffffff;
const datagramMax = 1400;
const physicalEntity = 2;
const formats = {
  flowSample: 1,
  countersSample: 2,
  header: 1,
  extendedSwitch: 1001,
  extendedMpls: 1006,
  tunnelEgress: 1023,
  tunnelIngress: 1024,
  vniEgress: 1029,
  vniIngress: 1030,
  generic: 1,
  ethernet: 2,
  openflowPort: 1004,
  portName: 1005,
  appResources: 2203,
  ovsDatapath: 2207,
} as const;

export interface AgentOptions {
  readonly address: Address;
  /** Tells bridges of one agent apart. */
  readonly subId: number;
  /** One packet in this many is sampled. */
  readonly sampling: number;
  readonly startedMs: number;
}

/** One agent: numbers what it is given and packs it into datagrams. */
export class SflowAgent {
  readonly #options: AgentOptions;
  #sequence = 0;
  #flowSequence = 0;
  #pool = 0;
  readonly #counterSequences = new Map<number, number>();
  #records: Uint8Array[] = [];
  #size = 0;

  constructor(options: AgentOptions) {
    this.#options = options;
  }

  /** Adds a flow sample.  Returns a datagram if one became full before. */
  flow(sample: FlowSample, nowMs: number): Uint8Array | undefined {
    this.#flowSequence = (this.#flowSequence + 1) >>> 0;
    this.#pool = (this.#pool + this.#options.sampling) >>> 0;
    const elements = flowElements(sample);
    const out = new Writer()
      .u32(this.#flowSequence)
      .u32((physicalEntity << 24) | this.#index)
      .u32(this.#options.sampling)
      .u32(this.#pool)
      .u32(0)
      .u32(sample.input)
      .u32(sample.output)
      .u32(elements.length);
    for (const element of elements) out.bytes(element);
    return this.#add(formats.flowSample, out.take(), nowMs);
  }

  port(sample: PortSample, nowMs: number): Uint8Array | undefined {
    return this.#counters(sample.ifindex, portElements(sample), nowMs);
  }

  switch(sample: SwitchSample, nowMs: number): Uint8Array | undefined {
    return this.#counters((physicalEntity << 24) | this.#index, switchElements(sample), nowMs);
  }

  /** What waits, as a datagram; undefined if nothing does. */
  flush(nowMs: number): Uint8Array | undefined {
    if (this.#records.length === 0) return undefined;
    const { address, subId, startedMs } = this.#options;
    this.#sequence = (this.#sequence + 1) >>> 0;
    const out = new Writer().u32(5);
    putAddress(out, address);
    out
      .u32(subId)
      .u32(this.#sequence)
      .u32((nowMs - startedMs) >>> 0)
      .u32(this.#records.length);
    for (const record of this.#records) out.bytes(record);
    this.#records = [];
    this.#size = 0;
    return out.take();
  }

  get #index(): number {
    return 1000 + this.#options.subId;
  }

  #counters(source: number, elements: readonly Uint8Array[], nowMs: number): Uint8Array | undefined {
    const sequence = ((this.#counterSequences.get(source) ?? 0) + 1) >>> 0;
    this.#counterSequences.set(source, sequence);
    const out = new Writer().u32(sequence).u32(source).u32(elements.length);
    for (const element of elements) out.bytes(element);
    return this.#add(formats.countersSample, out.take(), nowMs);
  }

  #add(format: number, body: Uint8Array, nowMs: number): Uint8Array | undefined {
    const record = element(format, body);
    const headerSize = 24 + this.#options.address.length;
    const full =
      this.#size > 0 && headerSize + this.#size + record.length >= datagramMax ? this.flush(nowMs) : undefined;
    this.#records.push(record);
    this.#size += record.length;
    return full;
  }
}

function element(format: number, body: Uint8Array): Uint8Array {
  return new Writer().u32(format).u32(body.length).bytes(body).take();
}

function putAddress(out: Writer, address: Address): void {
  out.u32(address.length === 4 ? 1 : 2).bytes(address);
}

function flowElements(sample: FlowSample): Uint8Array[] {
  const elements = [
    element(
      formats.extendedSwitch,
      new Writer()
        .u32(sample.inTci & 0xfff)
        .u32(sample.inTci >> 13)
        .u32(sample.outTci & 0xfff)
        .u32(sample.outTci >> 13)
        .take(),
    ),
    element(
      formats.header,
      // The frame check sequence counts, though it was taken off: four bytes stripped.
      new Writer()
        .u32(1)
        .u32(sample.frameSize + 4)
        .u32(4)
        .u32(sample.header.length)
        .bytes(sample.header)
        .pad4()
        .take(),
    ),
  ];
  if (sample.labels !== undefined && sample.labels.length > 0) {
    const out = new Writer().u32(1).u32(0).u32(0).u32(sample.labels.length);
    for (const label of sample.labels) out.u32(label);
    elements.push(element(formats.extendedMpls, out.take()));
  }
  if (sample.tunnelOut !== undefined)
    elements.push(...tunnelElements(sample.tunnelOut, formats.vniEgress, formats.tunnelEgress));
  if (sample.tunnelIn !== undefined)
    elements.push(...tunnelElements(sample.tunnelIn, formats.vniIngress, formats.tunnelIngress));
  return elements;
}

function tunnelElements(tunnel: TunnelSample, vniFormat: number, format: number): Uint8Array[] {
  const body = new Writer().u32(0).u32(tunnel.protocol).bytes(tunnel.src).bytes(tunnel.dst).u32(0).u32(0).u32(0);
  const elements = [element(format, body.u32(tunnel.tos).take())];
  if (tunnel.vni !== 0) elements.unshift(element(vniFormat, new Writer().u32(tunnel.vni).take()));
  return elements;
}

function portElements(port: PortSample): Uint8Array[] {
  const u32 = (name: string): number => (port.counters.get(name) ?? unknown) % 2 ** 32;
  const u64 = (name: string): bigint => BigInt(port.counters.get(name) ?? 0xffffffffffffffffn);
  const ethernet = new Writer().u32(u32("rx_frame_err")).u32(u32("rx_crc_err"));
  for (let place = 2; place < 13; place++) ethernet.u32(place === 10 ? u32("rx_oversize_errors") : unknown);
  const name = new TextEncoder().encode(port.name);
  const generic = new Writer().u32(port.ifindex).u32(6).u64(port.speedBps).u32(port.direction);
  generic.u32(port.adminUp ? 1 | (port.operUp ? 2 : 0) : 0);
  generic.u64(u64("rx_bytes")).u32(u32("rx_packets")).u32(u32("rx_multicast_packets")).u32(u32("rx_broadcast_packets"));
  generic.u32(u32("rx_dropped")).u32(u32("rx_errors")).u32(unknown);
  generic.u64(u64("tx_bytes")).u32(u32("tx_packets")).u32(u32("tx_multicast_packets")).u32(u32("tx_broadcast_packets"));
  generic.u32(u32("tx_dropped")).u32(u32("tx_errors")).u32(0);
  return [
    element(formats.ethernet, ethernet.take()),
    element(formats.openflowPort, new Writer().u64(port.datapathId).u32(port.ofpPort).take()),
    element(formats.portName, new Writer().u32(name.length).bytes(name).pad4().take()),
    element(formats.generic, generic.take()),
  ];
}

function switchElements(sample: SwitchSample): Uint8Array[] {
  const { datapath } = sample;
  const resources = new Writer().u32(sample.userMs).u32(sample.systemMs).u64(BigInt(sample.memoryBytes)).u64(0n);
  for (let left = 4; left > 0; left--) resources.u32(0);
  const counts = [datapath.hits, datapath.misses, datapath.lost, datapath.maskHits, datapath.flows, datapath.masks];
  const body = new Writer();
  for (const count of counts) body.u32(count % 2 ** 32);
  return [element(formats.appResources, resources.take()), element(formats.ovsDatapath, body.take())];
}
