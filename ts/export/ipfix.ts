import { Writer } from "./writer.js";

/** IPFIX (RFC 7011): flow records made of sampled packets, gathered in a cache, and the messages that carry them.  Pure:
 *  time comes in, messages go out. */

export interface FlowInterface {
  readonly index: number;
  readonly name: string;
}

export interface FlowTunnel {
  readonly src: Uint8Array;
  readonly dst: Uint8Array;
  readonly protocol: number;
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
}

interface Flow {
  readonly template: number;
  readonly domainId: number;
  readonly key: Uint8Array;
  readonly startedMs: number;
  lastMs: number;
  packets: bigint;
  octets: bigint;
  frameOctets: bigint;
  squares: bigint;
  shortest: number;
  longest: number;
}

/** How often a template is sent again: collectors that came later need it. */
const templateMs = 600_000;
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
    [891, 1, true],
    [892, variable, true],
  ],
  virtualObsId: [[898, variable, true]],
  counts: [
    [158, 4],
    [159, 4],
    [2, 8],
    [352, 8],
    [136, 1],
  ],
  ipCounts: [
    [1, 8],
    [198, 8],
    [25, 8],
    [26, 8],
  ],
} as const satisfies Record<string, readonly Element[]>;

/** What a packet's headers are, which decides the template. */
interface Shape {
  readonly egress: boolean;
  readonly vlan: boolean;
  readonly l3: 0 | 4 | 6;
  readonly l4: "none" | "ports" | "icmp";
  readonly tunnel: boolean;
}

const l3s = [0, 4, 6] as const;
const l4s = ["none", "ports", "icmp"] as const;

function templateId(shape: Shape): number {
  const l2 = (shape.egress ? 2 : 0) + (shape.vlan ? 1 : 0);
  return 256 + ((l2 * 3 + l3s.indexOf(shape.l3)) * 3 + l4s.indexOf(shape.l4)) * 2 + (shape.tunnel ? 1 : 0);
}

function shapeOf(template: number): Shape {
  const number = template - 256;
  return {
    tunnel: (number & 1) === 1,
    l4: l4s[(number >> 1) % 3] as Shape["l4"],
    l3: l3s[Math.floor(number / 6) % 3] as Shape["l3"],
    vlan: (Math.floor(number / 18) & 1) === 1,
    egress: number >= 36,
  };
}

function templateElements(shape: Shape, virtualObsId: boolean): Element[] {
  const isIp = shape.l3 !== 0;
  return [
    ...elements.common,
    ...elements.ingress,
    ...(shape.egress ? elements.egress : []),
    ...(shape.vlan ? elements.vlan : []),
    ...(isIp ? elements.ip : []),
    ...(shape.l3 === 4 ? elements.ipv4 : []),
    ...(shape.l3 === 6 ? elements.ipv6 : []),
    ...(shape.l4 === "ports" ? elements.ports : []),
    ...(shape.l4 === "icmp" ? (shape.l3 === 4 ? elements.icmpv4 : elements.icmpv6) : []),
    ...(shape.tunnel ? elements.tunnel : []),
    ...(virtualObsId ? elements.virtualObsId : []),
    ...elements.counts,
    ...(isIp ? elements.ipCounts : []),
  ];
}

/** What an exporter has taken. */
export interface IpfixCounts {
  totalFlows: bigint;
  packets: bigint;
  ipv4Packets: bigint;
  ipv6Packets: bigint;
  /** Packets of either family that end before the header of their protocol. */
  errorPackets: bigint;
  ipv4ErrorPackets: bigint;
  ipv6ErrorPackets: bigint;
}

/** One exporting process: its cache, and a sequence and templates for each observation domain. */
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
  readonly #sequences = new Map<number, number>();
  readonly #templates = new Map<string, number>();

  constructor(options: IpfixOptions) {
    this.#options = options;
  }

  get currentFlows(): number {
    return this.#flows.size;
  }

  /** Takes a packet.  Returns messages to be sent at once. */
  packet(packet: FlowPacket, nowMs: number, wallMs: number): Uint8Array[] {
    const { template, key, ipOctets, l3, isCut } = keyOf(packet);
    this.#count(l3, isCut);
    const name = `${packet.domainId}:${template}:${Buffer.from(key).toString("latin1")}`;
    const messages: Uint8Array[] = [];
    let flow = this.#flows.get(name);
    if (flow === undefined) {
      flow = newFlow(template, packet.domainId, key, nowMs);
      this.counts.totalFlows++;
      const { activeTimeoutS, flowsMax } = this.#options;
      if (activeTimeoutS > 0 && flowsMax > 0) {
        if (this.#flows.size >= flowsMax) {
          // A Map keeps the order of insertion: the first is the oldest.
          const [oldest] = this.#flows as Iterable<[string, Flow]>;
          if (oldest !== undefined) {
            this.#flows.delete(oldest[0]);
            this.evicted++;
            messages.push(...this.#export(oldest[1], endReasons.lackOfResources, nowMs, wallMs));
          }
        }
        this.#flows.set(name, flow);
      }
    }
    count(flow, packet, ipOctets, nowMs);
    if (!this.#flows.has(name)) messages.push(...this.#export(flow, endReasons.forcedEnd, nowMs, wallMs));
    return messages;
  }

  #count(l3: Shape["l3"], isCut: boolean): void {
    const { counts } = this;
    counts.packets++;
    if (isCut) {
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
    const messages: Uint8Array[] = [];
    const sentMs = this.#templates.get(`${domainId}:${template}`);
    if (sentMs === undefined || nowMs - sentMs >= templateMs) {
      this.#templates.set(`${domainId}:${template}`, nowMs);
      messages.push(this.#message(domainId, 2, this.#template(template), wallMs));
    }
    const record = new Writer().bytes(flow.key);
    const { virtualObsId } = this.#options;
    if (virtualObsId !== undefined) putText(record, virtualObsId);
    const deltaUs = (ms: number): number => Math.min(0xffffffff, Math.max(0, 1000 * (nowMs - ms)));
    record.u32(deltaUs(flow.startedMs)).u32(deltaUs(flow.lastMs)).u64(flow.packets).u64(flow.frameOctets).u8(reason);
    if (shapeOf(template).l3 !== 0)
      record.u64(flow.octets).u64(flow.squares).u64(BigInt(flow.shortest)).u64(BigInt(flow.longest));
    messages.push(this.#message(domainId, template, record.take(), wallMs));
    // The sequence is that of data records, which a template is not.
    this.#sequences.set(domainId, ((this.#sequences.get(domainId) ?? 0) + 1) >>> 0);
    return messages;
  }

  #message(domainId: number, set: number, body: Uint8Array, wallMs: number): Uint8Array {
    return new Writer()
      .u16(10)
      .u16(20 + body.length)
      .u32(Math.floor(wallMs / 1000) % 2 ** 32)
      .u32(this.#sequences.get(domainId) ?? 0)
      .u32(domainId)
      .u16(set)
      .u16(4 + body.length)
      .bytes(body)
      .take();
  }

  #template(template: number): Uint8Array {
    const fields = templateElements(shapeOf(template), this.#options.virtualObsId !== undefined);
    const out = new Writer().u16(template).u16(fields.length);
    for (const [id, size, isEnterprise] of fields) {
      out.u16(isEnterprise === true ? id | 0x8000 : id).u16(size);
      if (isEnterprise === true) out.u32(enterprise);
    }
    return out.take();
  }
}

function newFlow(template: number, domainId: number, key: Uint8Array, nowMs: number): Flow {
  const counts = { packets: 0n, octets: 0n, frameOctets: 0n, squares: 0n, shortest: 65535, longest: 0 };
  return { template, domainId, key, startedMs: nowMs, lastMs: nowMs, ...counts };
}

function count(flow: Flow, packet: FlowPacket, ipOctets: number, nowMs: number): void {
  const weight = BigInt(packet.weight);
  flow.lastMs = nowMs;
  flow.packets += weight;
  flow.frameOctets += weight * BigInt(packet.frameSize);
  flow.octets += weight * BigInt(ipOctets);
  flow.squares += weight * BigInt(ipOctets) ** 2n;
  flow.shortest = Math.min(flow.shortest, ipOctets);
  flow.longest = Math.max(flow.longest, ipOctets);
}

/** A variable-length value of less than 255 bytes. */
function putVariable(out: Writer, bytes: Uint8Array): void {
  const short = bytes.subarray(0, 254);
  out.u8(short.length).bytes(short);
}

function putText(out: Writer, text: string): void {
  putVariable(out, new TextEncoder().encode(text));
}

function putInterface(out: Writer, { index, name }: FlowInterface): void {
  const ethernet = 6;
  out.u32(index).u32(ethernet);
  putText(out, name);
  putText(out, name);
}

interface Headers {
  readonly vlanTci: number | undefined;
  readonly ethType: number;
  readonly l3At: number;
  readonly l3: Shape["l3"];
  readonly l4: Shape["l4"];
  readonly l4At: number;
  /** The protocol's header ought to be there and is not. */
  readonly isCut: boolean;
}

const ports = new Set([6, 17, 132]);

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
  if (l3 === 0) return { ...base, l3, l4: "none", l4At: 0, isCut: false };
  const protocol = view.getUint8(l3At + (l3 === 4 ? 9 : 6));
  const l4At = l3At + (l3 === 4 ? 4 * (view.getUint8(l3At) & 15) : 40);
  const later = l3 === 4 && (view.getUint16(l3At + 6) & 0x1fff) !== 0;
  const hasL4 = !later && view.byteLength >= l4At + 4;
  const isIcmp = protocol === (l3 === 4 ? 1 : 58);
  const isCut = !hasL4 && !later && (ports.has(protocol) || isIcmp);
  return { ...base, l3, l4: !hasL4 ? "none" : ports.has(protocol) ? "ports" : isIcmp ? "icmp" : "none", l4At, isCut };
}

/** The key of a packet's flow as its record begins, and the length that the IP header tells. */
function keyOf(packet: FlowPacket): {
  template: number;
  key: Uint8Array;
  ipOctets: number;
  l3: Shape["l3"];
  isCut: boolean;
} {
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
  let ipOctets = 0;
  if (l3 === 4) {
    const tos = view.getUint8(l3At + 1);
    out
      .u8(4)
      .u8(view.getUint8(l3At + 8))
      .u8(view.getUint8(l3At + 9));
    out
      .u8(tos >> 2)
      .u8(tos >> 5)
      .u8(tos)
      .bytes(bytes.subarray(l3At + 12, l3At + 20));
    ipOctets = view.getUint16(l3At + 2);
  } else if (l3 === 6) {
    const first = view.getUint32(l3At);
    const tos = (first >>> 20) & 0xff;
    out
      .u8(6)
      .u8(view.getUint8(l3At + 7))
      .u8(view.getUint8(l3At + 6));
    out
      .u8(tos >> 2)
      .u8(tos >> 5)
      .u8(tos)
      .bytes(bytes.subarray(l3At + 8, l3At + 40))
      .u32(first & 0xfffff);
    ipOctets = view.getUint16(l3At + 4) + 40;
  }
  if (l4 === "ports") out.u16(view.getUint16(l4At)).u16(view.getUint16(l4At + 2));
  if (l4 === "icmp") out.u8(view.getUint8(l4At)).u8(view.getUint8(l4At + 1));
  const { tunnel } = packet;
  if (tunnel !== undefined) {
    out.bytes(tunnel.src).bytes(tunnel.dst).u8(tunnel.protocol).u8(tunnel.type);
    putVariable(out, tunnel.key);
  }
  const vlan = headers.vlanTci !== undefined;
  return {
    template: templateId({ egress: packet.egress, vlan, l3, l4, tunnel: tunnel !== undefined }),
    key: out.take(),
    ipOctets,
    l3,
    isCut: headers.isCut,
  };
}
