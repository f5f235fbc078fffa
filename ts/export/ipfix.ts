import { Writer } from "./writer.js";

/** IPFIX (RFC 7011): flow records made of sampled packets, gathered in a cache, and the messages that carry them.  Pure:
 *  time comes in, messages go out. */

export interface FlowInterface {
  readonly index: number;
  /** Of IANA's interface types; 0: not known. */
  readonly type: number;
  readonly name: string;
  readonly description: string;
}

export interface FlowTunnel {
  readonly src: Uint8Array;
  readonly dst: Uint8Array;
  readonly protocol: number;
  readonly srcPort: number;
  readonly dstPort: number;
  /** 1 VXLAN, 2 GRE, 3 LISP, 4 STT, 7 Geneve. */
  readonly type: number;
  readonly key: Uint8Array;
}

/** One sampled packet, with what the switch knows of it. */
export interface FlowPacket {
  /** From the Ethernet header on; L4 may be cut off. */
  readonly packet: Uint8Array;
  readonly frameSize: number;
  /** How many packets this one stands for. */
  readonly weight: number;
  readonly domainId: number;
  readonly pointId: number;
  readonly egress: boolean;
  /** It went out by no port. */
  readonly dropped: boolean;
  readonly input: FlowInterface;
  /** For egress. */
  readonly output: FlowInterface;
  readonly tunnel: FlowTunnel | undefined;
}

export interface IpfixOptions {
  /** How long a flow is gathered; 0: every packet is a record. */
  readonly activeTimeoutS: number;
  /** Flows in the cache; 0: every packet is a record. */
  readonly flowsMax: number;
  readonly virtualObsId: string | undefined;
  /** Which exporter of the process this is. */
  readonly exporterId: number;
  /** Messages that could not be sent so far. */
  readonly notSent: () => number;
}

/** Everything that an exporter has seen, which each record tells as it was after the flow's last packet. */
interface Totals {
  dropped: bigint;
  packets: bigint;
  inUnicast: bigint;
  inMulticast: bigint;
  inBroadcast: bigint;
  outUnicast: bigint;
  outBroadcast: bigint;
  outMulticast: bigint;
  frameOctets: bigint;
  droppedOctets: bigint;
  octets: bigint;
  squares: bigint;
  multicastOctets: bigint;
  ack: bigint;
  fin: bigint;
  psh: bigint;
  rst: bigint;
  syn: bigint;
  urg: bigint;
}

interface Flow {
  readonly template: number;
  readonly domainId: number;
  readonly key: Uint8Array;
  readonly startedMs: number;
  lastMs: number;
  packets: bigint;
  dropped: bigint;
  multicast: bigint;
  octets: bigint;
  droppedOctets: bigint;
  multicastOctets: bigint;
  frameOctets: bigint;
  squares: bigint;
  shortest: number;
  longest: number;
  totals: Totals;
}

/** How often templates are sent again: collectors that came later need them. */
const templateMs = 600_000;
/** A message that is as long takes no other template. */
const templateMessageMax = 1024;
const sets = { template: 2, optionsTemplate: 3 } as const;
const enterprise = 6876;
const variable = 65535;
const endReasons = { activeTimeout: 2, forcedEnd: 4, lackOfResources: 5 } as const;
type EndReason = (typeof endReasons)[keyof typeof endReasons];

/** Information elements: number, bytes, and whether it is of the enterprise. */
type Element = readonly [id: number, size: number, enterprise?: boolean];
const elements = {
  common: [
    [138, 4],
    [61, 1],
    [56, 6],
    [80, 6],
    [256, 2],
    [240, 1],
  ],
  ingress: [
    [10, 4],
    [368, 4],
    [82, variable],
    [83, variable],
  ],
  egress: [
    [14, 4],
    [369, 4],
    [82, variable],
    [83, variable],
  ],
  vlan: [
    [58, 2],
    [243, 2],
    [244, 1],
  ],
  ip: [
    [60, 1],
    [192, 1],
    [4, 1],
    [195, 1],
    [196, 1],
    [5, 1],
  ],
  ipv4: [
    [8, 4],
    [12, 4],
  ],
  ipv6: [
    [27, 16],
    [28, 16],
    [31, 4],
  ],
  ports: [
    [7, 2],
    [11, 2],
  ],
  icmpv4: [
    [176, 1],
    [177, 1],
  ],
  icmpv6: [
    [178, 1],
    [179, 1],
  ],
  tunnel: [
    [893, 4, true],
    [894, 4, true],
    [895, 1, true],
    [896, 2, true],
    [897, 2, true],
    [891, 1, true],
    [892, variable, true],
  ],
  virtualObsId: [[898, variable, true]],
  counts: [
    [158, 4],
    [159, 4],
    [133, 8],
    [135, 8],
    [2, 8],
    [86, 8],
    [354, 8],
    [355, 8],
    [356, 8],
    [357, 8],
    [358, 8],
    [19, 8],
    [174, 8],
    [352, 8],
    [353, 8],
    [136, 1],
  ],
  ipCounts: [
    [132, 8],
    [134, 8],
    [1, 8],
    [85, 8],
    [198, 8],
    [199, 8],
    [25, 8],
    [26, 8],
    [20, 8],
    [175, 8],
  ],
  tcpCounts: [
    [222, 8],
    [219, 8],
    [221, 8],
    [220, 8],
    [218, 8],
    [223, 8],
  ],
  /** Of the exporter itself; the first says which. */
  exporter: [
    [144, 4],
    [167, 8],
  ],
} as const satisfies Record<string, readonly Element[]>;

const l3s = [0, 4, 6] as const;
const l4s = ["none", "tcp", "udp", "sctp", "icmp"] as const;

/** What a packet's headers are, which decides the template. */
interface Shape {
  readonly vlan: boolean;
  readonly l3: (typeof l3s)[number];
  readonly l4: (typeof l4s)[number];
  readonly tunnel: boolean;
  readonly egress: boolean;
}

const shapes: readonly Shape[] = [false, true].flatMap((vlan) =>
  l3s.flatMap((l3) =>
    l4s.flatMap((l4) =>
      [false, true].flatMap((tunnel) => [false, true].map((egress): Shape => ({ vlan, l3, l4, tunnel, egress }))),
    ),
  ),
);
const templateMin = 256;
/** Behind what a shape of one more of each kind would have. */
const exporterTemplate = 462;

function templateId({ vlan, l3, l4, tunnel, egress }: Shape): number {
  const byL4 = ((vlan ? 1 : 0) * l3s.length + l3s.indexOf(l3)) * l4s.length + l4s.indexOf(l4);
  return templateMin + (byL4 * 2 + (tunnel ? 1 : 0)) * 2 + (egress ? 1 : 0);
}

function templateElements(shape: Shape, virtualObsId: boolean): Element[] {
  const isIp = shape.l3 !== 0;
  const hasPorts = shape.l4 !== "none" && shape.l4 !== "icmp";
  return [
    ...elements.common,
    ...elements.ingress,
    ...(shape.egress ? elements.egress : []),
    ...(shape.vlan ? elements.vlan : []),
    ...(isIp ? elements.ip : []),
    ...(shape.l3 === 4 ? elements.ipv4 : []),
    ...(shape.l3 === 6 ? elements.ipv6 : []),
    ...(hasPorts ? elements.ports : []),
    ...(shape.l4 === "icmp" ? (shape.l3 === 4 ? elements.icmpv4 : elements.icmpv6) : []),
    ...(shape.tunnel ? elements.tunnel : []),
    ...(virtualObsId ? elements.virtualObsId : []),
    ...elements.counts,
    ...(isIp ? elements.ipCounts : []),
    ...(shape.l4 === "tcp" ? elements.tcpCounts : []),
  ];
}

function putTemplate(out: Writer, id: number, fields: readonly Element[], scope?: number): void {
  out.u16(id).u16(fields.length);
  if (scope !== undefined) out.u16(scope);
  for (const [element, size, isEnterprise] of fields) {
    out.u16(isEnterprise === true ? element | 0x8000 : element).u16(size);
    if (isEnterprise === true) out.u32(enterprise);
  }
}

/** What an exporter has taken. */
export interface IpfixCounts {
  totalFlows: bigint;
  packets: bigint;
  ipv4Packets: bigint;
  ipv6Packets: bigint;
  /** Packets of either family whose protocol has no template of its own. */
  errorPackets: bigint;
  ipv4ErrorPackets: bigint;
  ipv6ErrorPackets: bigint;
}

/** One exporting process: its cache, and when each observation domain was told the templates. */
export class IpfixExporter {
  /** Flows that left the cache before their time for want of room. */
  evicted = 0;
  readonly counts: IpfixCounts = {
    totalFlows: 0n,
    packets: 0n,
    ipv4Packets: 0n,
    ipv6Packets: 0n,
    errorPackets: 0n,
    ipv4ErrorPackets: 0n,
    ipv6ErrorPackets: 0n,
  };
  readonly #options: IpfixOptions;
  readonly #flows = new Map<string, Flow>();
  readonly #templatesSentMs = new Map<number, number>();
  readonly #totals: Totals = newTotals();
  #sequence = 1;

  constructor(options: IpfixOptions) {
    this.#options = options;
  }

  get currentFlows(): number {
    return this.#flows.size;
  }

  /** Takes a packet.  Returns messages to be sent at once. */
  packet(packet: FlowPacket, nowMs: number, wallMs: number): Uint8Array[] {
    const seen = keyOf(packet);
    this.#count(seen.shape);
    const name = `${packet.domainId}:${seen.template}:${Buffer.from(seen.key).toString("latin1")}`;
    const messages: Uint8Array[] = [];
    const { activeTimeoutS, flowsMax } = this.#options;
    const isCached = activeTimeoutS > 0 && flowsMax > 0;
    let flow = this.#flows.get(name);
    if (flow === undefined) {
      flow = newFlow(seen.template, packet.domainId, seen.key, nowMs);
      this.counts.totalFlows++;
      if (isCached && this.#flows.size >= flowsMax) {
        // A Map keeps the order of insertion: the first is the oldest.
        const [oldest] = this.#flows as Iterable<[string, Flow]>;
        if (oldest !== undefined) {
          this.#flows.delete(oldest[0]);
          this.evicted++;
          messages.push(...this.#export(oldest[1], endReasons.lackOfResources, nowMs, wallMs));
        }
      }
      if (isCached) this.#flows.set(name, flow);
    }
    count(flow, this.#totals, packet, seen, nowMs);
    if (!isCached) {
      const reason = activeTimeoutS === 0 ? endReasons.activeTimeout : endReasons.lackOfResources;
      messages.push(...this.#export(flow, reason, nowMs, wallMs));
    }
    return messages;
  }

  #count({ l3, l4 }: Shape): void {
    const { counts } = this;
    counts.packets++;
    if (l3 !== 0 && l4 === "none") {
      counts.errorPackets++;
      if (l3 === 4) counts.ipv4ErrorPackets++;
      else counts.ipv6ErrorPackets++;
    } else if (l3 === 4) counts.ipv4Packets++;
    else if (l3 === 6) counts.ipv6Packets++;
  }

  /** Flows whose time is up, or all of them.  Returns messages to be sent. */
  expire(nowMs: number, wallMs: number, all = false): Uint8Array[] {
    const messages: Uint8Array[] = [];
    for (const [name, flow] of this.#flows) {
      if (!all && nowMs - flow.startedMs < 1000 * this.#options.activeTimeoutS) break;
      this.#flows.delete(name);
      const reason = all ? endReasons.forcedEnd : endReasons.activeTimeout;
      messages.push(...this.#export(flow, reason, nowMs, wallMs));
    }
    return messages;
  }

  #export(flow: Flow, reason: EndReason, nowMs: number, wallMs: number): Uint8Array[] {
    const { domainId, template } = flow;
    // Times are told as so much before the export, which has no fractions of seconds: it is put after them all.
    const exportS = Math.ceil(wallMs / 1000);
    const messages = this.#templates(domainId, nowMs, exportS);
    const record = new Writer().bytes(flow.key);
    const { virtualObsId } = this.#options;
    if (virtualObsId !== undefined) putText(record, virtualObsId, textMax);
    const startedUs = Math.round(1000 * (1000 * exportS - wallMs + nowMs - flow.startedMs));
    const lastUs = Math.round(1000 * (1000 * exportS - wallMs + nowMs - flow.lastMs));
    putCounts(record, flow, reason, Math.min(startedUs, 0xffffffff), Math.min(lastUs, 0xffffffff));
    const { l3, l4 } = shapes[template - templateMin] as Shape;
    if (l3 !== 0) putIpCounts(record, flow);
    if (l4 === "tcp") {
      const { ack, fin, psh, rst, syn, urg } = flow.totals;
      record.u64(ack).u64(fin).u64(psh).u64(rst).u64(syn).u64(urg);
    }
    messages.push(this.#record(domainId, template, record.take(), exportS));
    return messages;
  }

  /** All templates, if the domain has not been told them for long, and how the exporter fares. */
  #templates(domainId: number, nowMs: number, exportS: number): Uint8Array[] {
    const sentMs = this.#templatesSentMs.get(domainId);
    if (sentMs !== undefined && nowMs - sentMs < templateMs) return [];
    this.#templatesSentMs.set(domainId, nowMs);
    const messages: Uint8Array[] = [];
    let out = new Writer();
    const head = 20;
    for (const shape of shapes) {
      if (shape.l3 === 0 && shape.l4 !== "none") continue;
      if (head + out.length >= templateMessageMax) {
        messages.push(this.#message(domainId, sets.template, out.take(), exportS));
        out = new Writer();
      }
      putTemplate(out, templateId(shape), templateElements(shape, this.#options.virtualObsId !== undefined));
    }
    messages.push(this.#message(domainId, sets.template, out.take(), exportS));
    const ofExporter = new Writer();
    putTemplate(ofExporter, exporterTemplate, elements.exporter, 1);
    // What is of no domain is of domain 0.
    messages.push(this.#message(0, sets.optionsTemplate, ofExporter.take(), exportS));
    const fares = new Writer().u32(this.#options.exporterId).u64(BigInt(this.#options.notSent()));
    messages.push(this.#record(0, exporterTemplate, fares.take(), exportS));
    return messages;
  }

  /** A message with a record, which the sequence counts; templates are not counted. */
  #record(domainId: number, template: number, body: Uint8Array, exportS: number): Uint8Array {
    const message = this.#message(domainId, template, body, exportS);
    this.#sequence = (this.#sequence + 1) >>> 0;
    return message;
  }

  #message(domainId: number, set: number, body: Uint8Array, exportS: number): Uint8Array {
    return new Writer()
      .u16(10)
      .u16(20 + body.length)
      .u32(exportS % 2 ** 32)
      .u32(this.#sequence)
      .u32(domainId)
      .u16(set)
      .u16(4 + body.length)
      .bytes(body)
      .take();
  }
}

function newTotals(): Totals {
  return {
    ...{ dropped: 0n, packets: 0n, inUnicast: 0n, inMulticast: 0n, inBroadcast: 0n, outUnicast: 0n, outBroadcast: 0n },
    ...{ outMulticast: 0n, frameOctets: 0n, droppedOctets: 0n, octets: 0n, squares: 0n, multicastOctets: 0n },
    ...{ ack: 0n, fin: 0n, psh: 0n, rst: 0n, syn: 0n, urg: 0n },
  };
}

function newFlow(template: number, domainId: number, key: Uint8Array, nowMs: number): Flow {
  return {
    template,
    domainId,
    key,
    startedMs: nowMs,
    lastMs: nowMs,
    ...{ packets: 0n, dropped: 0n, multicast: 0n, octets: 0n, droppedOctets: 0n, multicastOctets: 0n },
    ...{ frameOctets: 0n, squares: 0n, shortest: 65535, longest: 0 },
    totals: newTotals(),
  };
}

/** Bits of TCP's flags, and the totals that count them. */
const tcpFlags = [
  [1, "fin"],
  [2, "syn"],
  [4, "rst"],
  [8, "psh"],
  [16, "ack"],
  [32, "urg"],
] as const;

/** Counts a packet for its flow and for the exporter.  Packets that a sample stands for are taken to be alike. */
function count(flow: Flow, totals: Totals, packet: FlowPacket, seen: Seen, nowMs: number): void {
  const weight = BigInt(packet.weight);
  const frameOctets = weight * BigInt(packet.frameSize);
  const { destination } = seen;
  flow.lastMs = nowMs;
  flow.packets += weight;
  flow.frameOctets += frameOctets;
  totals.packets += weight;
  totals.frameOctets += frameOctets;
  if (packet.dropped) {
    flow.dropped += weight;
    totals.dropped += weight;
  }
  if (packet.egress && destination === "multicast") {
    flow.multicast += weight;
    totals.outMulticast += weight;
  } else if (destination === "multicast") totals.inMulticast += weight;
  else if (destination === "broadcast") totals[packet.egress ? "outBroadcast" : "inBroadcast"] += weight;
  else totals[packet.egress ? "outUnicast" : "inUnicast"] += weight;
  if (seen.shape.l3 !== 0) {
    const octets = weight * BigInt(seen.ipOctets);
    const squares = octets * BigInt(seen.ipOctets);
    flow.octets += octets;
    flow.squares += squares;
    flow.shortest = Math.min(flow.shortest, seen.ipOctets);
    flow.longest = Math.max(flow.longest, seen.ipOctets);
    totals.octets += octets;
    totals.squares += squares;
    if (packet.dropped) {
      flow.droppedOctets += octets;
      totals.droppedOctets += octets;
    }
    if (packet.egress && destination === "multicast") {
      flow.multicastOctets += octets;
      totals.multicastOctets += octets;
    }
  }
  for (const [bit, name] of tcpFlags) if ((seen.tcpFlags & bit) !== 0) totals[name] += weight;
  flow.totals = { ...totals };
}

function putCounts(out: Writer, flow: Flow, reason: EndReason, startedUs: number, lastUs: number): void {
  const { totals } = flow;
  out.u32(startedUs).u32(lastUs);
  out.u64(flow.dropped).u64(totals.dropped).u64(flow.packets).u64(totals.packets);
  out.u64(totals.inUnicast).u64(totals.inMulticast).u64(totals.inBroadcast);
  out.u64(totals.outUnicast).u64(totals.outBroadcast).u64(flow.multicast).u64(totals.outMulticast);
  out.u64(flow.frameOctets).u64(totals.frameOctets).u8(reason);
}

function putIpCounts(out: Writer, flow: Flow): void {
  const { totals } = flow;
  out.u64(flow.droppedOctets).u64(totals.droppedOctets).u64(flow.octets).u64(totals.octets);
  out.u64(flow.squares).u64(totals.squares).u64(BigInt(flow.shortest)).u64(BigInt(flow.longest));
  out.u64(flow.multicastOctets).u64(totals.multicastOctets);
}

/** Bytes that are told of a text. */
const textMax = 254;
const nameMax = 64;
const descriptionMax = 128;

/** A variable-length value of less than 255 bytes. */
function putVariable(out: Writer, bytes: Uint8Array, max: number): void {
  const short = bytes.subarray(0, max);
  out.u8(short.length).bytes(short);
}

function putText(out: Writer, text: string, max: number): void {
  putVariable(out, new TextEncoder().encode(text), max);
}

function putInterface(out: Writer, { index, type, name, description }: FlowInterface): void {
  out.u32(index).u32(type);
  putText(out, name, nameMax);
  putText(out, description, descriptionMax);
}

interface Headers {
  readonly vlanTci: number | undefined;
  readonly ethType: number;
  readonly l3At: number;
  readonly l3: Shape["l3"];
  readonly l4: Shape["l4"];
  /** Undefined: not in the packet, as in later fragments. */
  readonly l4At: number | undefined;
}

const l4Names: ReadonlyMap<number, Shape["l4"]> = new Map([
  [6, "tcp"],
  [17, "udp"],
  [132, "sctp"],
]);

/** Where the headers are; a header that is cut off is none. */
function headersOf(view: DataView): Headers {
  const vlan = view.byteLength >= 18 && [0x8100, 0x88a8].includes(view.getUint16(12));
  const l3At = vlan ? 18 : 14;
  const ethType = view.byteLength >= l3At ? view.getUint16(l3At - 2) : 0;
  const base = { vlanTci: vlan ? view.getUint16(14) : undefined, ethType, l3At };
  const room = view.byteLength - l3At;
  let l3: Shape["l3"] = 0;
  if (ethType === 0x0800 && room >= 20) l3 = 4;
  if (ethType === 0x86dd && room >= 40) l3 = 6;
  if (l3 === 0) return { ...base, l3, l4: "none", l4At: undefined };
  const protocol = view.getUint8(l3At + (l3 === 4 ? 9 : 6));
  const l4At = l3At + (l3 === 4 ? 4 * (view.getUint8(l3At) & 15) : 40);
  const later = l3 === 4 && (view.getUint16(l3At + 6) & 0x1fff) !== 0;
  const l4 = protocol === (l3 === 4 ? 1 : 58) ? "icmp" : (l4Names.get(protocol) ?? "none");
  return { ...base, l3, l4, l4At: later || view.byteLength < l4At + 4 ? undefined : l4At };
}

/** What the exporter needs of a packet. */
interface Seen {
  readonly shape: Shape;
  readonly template: number;
  /** Of its flow, as its record begins. */
  readonly key: Uint8Array;
  /** What follows the Ethernet header. */
  readonly ipOctets: number;
  readonly destination: "unicast" | "multicast" | "broadcast";
  readonly tcpFlags: number;
}

function keyOf(packet: FlowPacket): Seen {
  const bytes = packet.packet;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headers = headersOf(view);
  const { l3At, l3, l4, l4At } = headers;
  const mac = (at: number): Uint8Array => (bytes.length >= at + 6 ? bytes.subarray(at, at + 6) : new Uint8Array(6));
  const out = new Writer().u32(packet.pointId).u8(packet.egress ? 1 : 0);
  out.bytes(mac(6)).bytes(mac(0)).u16(headers.ethType).u8(l3At);
  putInterface(out, packet.input);
  if (packet.egress) putInterface(out, packet.output);
  if (headers.vlanTci !== undefined) {
    const vid = headers.vlanTci & 0xfff;
    out
      .u16(vid)
      .u16(vid)
      .u8(headers.vlanTci >> 13);
  }
  putIp(out, view, bytes, headers);
  const portAt = (offset: number): number => (l4At === undefined ? 0 : view.getUint16(l4At + offset));
  if (l4 === "icmp") out.u16(portAt(0));
  else if (l4 !== "none") out.u16(portAt(0)).u16(portAt(2));
  const { tunnel } = packet;
  if (tunnel !== undefined) {
    out.bytes(tunnel.src).bytes(tunnel.dst).u8(tunnel.protocol).u16(tunnel.srcPort).u16(tunnel.dstPort).u8(tunnel.type);
    putVariable(out, tunnel.key, textMax);
  }
  const vlan = headers.vlanTci !== undefined;
  const shape: Shape = { vlan, l3, l4, tunnel: tunnel !== undefined, egress: packet.egress };
  const destination = mac(0).every((byte) => byte === 0xff)
    ? "broadcast"
    : ((mac(0)[0] ?? 0) & 1) === 1
      ? "multicast"
      : "unicast";
  const hasFlags = l4 === "tcp" && l4At !== undefined && view.byteLength >= l4At + 14;
  return {
    shape,
    template: templateId(shape),
    key: out.take(),
    ipOctets: packet.frameSize - l3At,
    destination,
    tcpFlags: hasFlags ? view.getUint8(l4At + 13) : 0,
  };
}

function putIp(out: Writer, view: DataView, bytes: Uint8Array, { l3, l3At }: Headers): void {
  if (l3 === 0) return;
  const first = view.getUint32(l3At);
  const tos = l3 === 4 ? view.getUint8(l3At + 1) : (first >>> 20) & 0xff;
  const ttlAt = l3At + (l3 === 4 ? 8 : 7);
  const protocolAt = l3At + (l3 === 4 ? 9 : 6);
  out.u8(l3).u8(view.getUint8(ttlAt)).u8(view.getUint8(protocolAt));
  out
    .u8(tos >> 2)
    .u8(tos >> 5)
    .u8(tos);
  if (l3 === 4) out.bytes(bytes.subarray(l3At + 12, l3At + 20));
  else out.bytes(bytes.subarray(l3At + 8, l3At + 40)).u32(first & 0xfffff);
}
