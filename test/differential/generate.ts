/** Random flow tables and packets over a small world, so that flows are hit: four ports, a few addresses, VLANs and
 *  transport ports.  Everything is text that ovs-ofctl takes and hexadecimal frames. */
import type { Random } from "./random.js";

export const ports = [1, 2, 3, 4] as const;
export const macs = [
  "50:54:00:00:00:01",
  "50:54:00:00:00:02",
  "50:54:00:00:00:03",
  "ff:ff:ff:ff:ff:ff",
  "01:00:5e:00:00:05",
] as const;
export const vlans = [5, 10, 200] as const;
export const ipv4 = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "192.168.5.9"] as const;
export const ipv6 = ["fe80::1", "2001:db8::2", "2001:db8:1::3"] as const;
const l4 = [53, 80, 443, 8080] as const;
export const lastTable = 3;

export type Protocol = "any" | "arp" | "ip" | "tcp" | "udp" | "icmp" | "ipv6" | "tcp6" | "udp6" | "icmp6";
export const protocols: readonly Protocol[] = [
  "any",
  "any",
  "arp",
  "ip",
  "tcp",
  "udp",
  "icmp",
  "ipv6",
  "tcp6",
  "udp6",
  "icmp6",
];
export const isIp4 = (p: Protocol): boolean => ["ip", "tcp", "udp", "icmp"].includes(p);
export const isIp6 = (p: Protocol): boolean => ["ipv6", "tcp6", "udp6", "icmp6"].includes(p);
const hasPorts = (p: Protocol): boolean => ["tcp", "udp", "tcp6", "udp6"].includes(p);

export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

export function matchText(random: Random, protocol: Protocol): string[] {
  const out: string[] = protocol === "any" ? [] : [protocol];
  const maybe = (p: number, text: () => string): void => {
    if (random.chance(p)) out.push(text());
  };
  maybe(0.3, () => `in_port=${random.pick(ports)}`);
  maybe(0.2, () => `dl_src=${random.pick(macs)}`);
  maybe(0.25, () =>
    random.chance(0.3) ? "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00" : `dl_dst=${random.pick(macs)}`,
  );
  maybe(0.2, () =>
    random.pick([
      `dl_vlan=${random.pick(vlans)}`,
      "vlan_tci=0x0000/0x1fff",
      "vlan_tci=0x1000/0x1000",
      `dl_vlan_pcp=${random.below(8)}`,
    ]),
  );
  maybe(0.15, () => `metadata=${hex(random.below(4))}/0x3`);
  maybe(0.15, () => `reg${random.below(3)}=${hex(random.below(3))}`);
  if (isIp4(protocol)) {
    maybe(0.4, () => `nw_src=${random.pick(ipv4)}${random.pick(["", "/24", "/16", "/8"])}`);
    maybe(0.4, () => `nw_dst=${random.pick(ipv4)}${random.pick(["", "/24", "/31", "/0.0.255.255"])}`);
    maybe(0.1, () => `nw_ttl=${random.pick([1, 2, 64])}`);
    maybe(0.1, () => `nw_tos=${random.pick([0, 32, 184])}`);
    maybe(0.05, () => `nw_ecn=${random.below(4)}`);
    maybe(
      0.1,
      () =>
        `ip_frag=${random.pick(protocol === "ip" ? ["no", "yes", "first", "later", "not_later"] : ["no", "first", "not_later"])}`,
    );
  }
  if (isIp6(protocol)) {
    maybe(0.4, () => `ipv6_src=${random.pick(ipv6)}${random.pick(["", "/64", "/32"])}`);
    maybe(0.4, () => `ipv6_dst=${random.pick(ipv6)}${random.pick(["", "/64", "/48"])}`);
  }
  if (hasPorts(protocol)) {
    maybe(0.4, () => `tp_src=${random.pick(l4)}`);
    maybe(0.4, () => (random.chance(0.3) ? "tp_dst=0x50/0xfff0" : `tp_dst=${random.pick(l4)}`));
  }
  if (protocol === "tcp") maybe(0.2, () => `tcp_flags=${random.pick(["+syn-ack", "+ack", "-rst"])}`);
  if (protocol === "icmp") maybe(0.4, () => `icmp_type=${random.pick([0, 8])}`);
  if (protocol === "icmp6") maybe(0.4, () => `icmp_type=${random.pick([128, 129, 135])}`);
  if (protocol === "arp") {
    maybe(0.3, () => `arp_op=${random.pick([1, 2])}`);
    maybe(0.3, () => `arp_tpa=${random.pick(ipv4)}`);
    maybe(0.2, () => `arp_sha=${random.pick(macs)}`);
  }
  return out;
}

/** What earlier actions of a list have made sure of: OpenFlow 1.1+ refuses to pop a tag that may not be there. */
interface Known {
  hasVlan: boolean;
  /** Whether flows may use NORMAL.  Then nothing moves an address to another port: Open vSwitch learns moves from cached
   *  traffic only when its revalidators come round, so what it does with them depends on time. */
  readonly normal: boolean;
}

function vlanActions(random: Random, known: Known): (() => string)[] {
  const tag = (text: () => string, hasVlan: boolean) => (): string => {
    known.hasVlan = hasVlan;
    return text();
  };
  if (known.hasVlan) {
    return [
      tag(() => "strip_vlan", false),
      tag(() => "pop_vlan", false),
      tag(() => `mod_vlan_vid:${random.pick(vlans)}`, true),
      tag(() => `mod_vlan_pcp:${random.below(8)}`, true),
    ];
  }
  return [
    tag(() => `push_vlan:0x8100,set_field:${4096 + random.pick(vlans)}->vlan_vid`, true),
    tag(() => "push_vlan:0x8100", true),
  ];
}

export function setAction(random: Random, protocol: Protocol, known: Known): string {
  const choices: (() => string)[] = [
    ...(known.normal ? [] : [() => `set_field:${random.pick(macs)}->eth_src`]),
    () => `set_field:${random.pick(macs)}->eth_dst`,
    () => `mod_dl_dst:${random.pick(macs)}`,
    () => `load:${hex(random.below(3))}->NXM_NX_REG${random.below(3)}[]`,
    () => `load:${hex(random.below(4))}->OXM_OF_METADATA[0..1]`,
    () => `move:NXM_OF_ETH_SRC[0..15]->NXM_NX_REG${random.below(3)}[0..15]`,
    () => "move:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]",
    () => `set_field:${hex(random.below(3))}->reg${random.below(3)}`,
    ...vlanActions(random, known),
  ];
  if (isIp4(protocol)) {
    choices.push(
      () => `set_field:${random.pick(ipv4)}->ip_src`,
      () => `mod_nw_dst:${random.pick(ipv4)}`,
      () => "dec_ttl",
      () => `mod_nw_tos:${random.pick([0, 32, 184])}`,
      () => `set_field:${random.below(4)}->nw_ecn`,
      () => "mod_nw_ttl:7",
      () => "move:NXM_OF_IP_SRC[0..7]->NXM_NX_REG1[0..7]",
      () => "set_field:0.0.0.9/0.0.0.255->ip_dst",
    );
  }
  if (isIp6(protocol))
    choices.push(
      () => `set_field:${random.pick(ipv6)}->ipv6_src`,
      () => `set_field:${random.pick(ipv6)}->ipv6_dst`,
      () => "dec_ttl",
      () => "set_field:0x12345->ipv6_label",
    );
  if (protocol === "tcp" || protocol === "tcp6")
    choices.push(
      () => `set_field:${random.pick(l4)}->tcp_src`,
      () => `mod_tp_dst:${random.pick(l4)}`,
    );
  if (protocol === "udp" || protocol === "udp6")
    choices.push(
      () => `set_field:${random.pick(l4)}->udp_dst`,
      () => `mod_tp_src:${random.pick(l4)}`,
    );
  if (protocol === "icmp") choices.push(() => "set_field:3->icmp_type");
  if (protocol === "arp")
    choices.push(
      () => `set_field:${random.pick(ipv4)}->arp_spa`,
      () => "set_field:2->arp_op",
      () => "move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[]",
    );
  return random.pick(choices)();
}

export function outputAction(random: Random, normal: boolean): string {
  return random.pick([
    () => `output:${random.pick(ports)}`,
    () => `output:${random.pick(ports)}`,
    () => `output:${random.pick(ports)}`,
    () => "in_port",
    () => "all",
    () => "flood",
    () => (normal ? "normal" : "flood"),
    () => `output:NXM_NX_REG${random.below(3)}[0..2]`,
  ])();
}

const hashFields = ["eth_src", "symmetric_l4", "symmetric_l3", "nw_src", "nw_dst"];

/** Actions that choose by a hash: the choice must be Open vSwitch's. */
export function chooseAction(random: Random): string {
  const fields = random.pick(hashFields);
  const basis = random.below(3) * 1000;
  return random.pick([
    () =>
      `multipath(${fields},${basis},${random.pick(["modulo_n", "hash_threshold", "hrw", "iter_hash"])},${1 + random.below(9)},0,NXM_NX_REG${random.below(3)}[0..15])`,
    () => `bundle(${fields},${basis},${random.pick(["hrw", "active_backup"])},ofport,members:${ports.join(",")})`,
    () => `bundle_load(${fields},${basis},hrw,ofport,NXM_NX_REG0[],members:${ports.join(",")})`,
    () => `push:NXM_NX_REG${random.below(3)}[0..15],pop:NXM_NX_REG${random.below(3)}[0..15]`,
  ])();
}

/** A clause of one of two conjunctions; what they lead to is told by `conjunctionFlows`. */
function clause(random: Random): string {
  return `conjunction(${1 + random.below(2)},${1 + random.below(2)}/2)`;
}

function conjunctionFlows(random: Random): string[] {
  return [1, 2].map(
    (id) => `table=${random.below(lastTable + 1)},priority=5,conj_id=${id} actions=output:${random.pick(ports)}`,
  );
}

function actionsText(random: Random, table: number, protocol: Protocol, known: Known): string {
  if (random.chance(0.08)) return clause(random);
  const apply: string[] = [];
  for (let n = random.below(3); n > 0; n--) apply.push(setAction(random, protocol, known));
  for (let n = random.below(3); n > 0; n--) {
    apply.push(
      random.chance(0.3) && table < lastTable
        ? `resubmit(,${table + 1 + random.below(lastTable - table)})`
        : outputAction(random, known.normal),
    );
    if (random.chance(0.3)) apply.push(setAction(random, protocol, known));
    if (random.chance(0.15)) apply.push(chooseAction(random));
  }
  if (random.chance(0.05)) apply.push("exit", outputAction(random, known.normal));
  const instructions: string[] = [];
  if (random.chance(0.1)) instructions.push("clear_actions");
  if (random.chance(0.15))
    instructions.push(
      `write_actions(${[setAction(random, protocol, { hasVlan: false, normal: known.normal }).split(",")[0], `output:${random.pick(ports)}`].filter((text) => !text?.startsWith("push_vlan") && !text?.startsWith("load") && !text?.startsWith("move")).join(",")})`,
    );
  if (random.chance(0.15)) instructions.push(`write_metadata:${hex(random.below(4))}/0x3`);
  if (random.chance(0.3) && table < lastTable)
    instructions.push(`goto_table:${table + 1 + random.below(lastTable - table)}`);
  const all = [...apply, ...instructions];
  return all.length === 0 ? "drop" : all.join(",");
}

/** Flows as lines for `ovs-ofctl -O OpenFlow13 add-flows`; a table's last flow often matches everything. */
export function randomFlows(random: Random, count: number, normal: boolean): string[] {
  const flows = Array.from({ length: count }, (_, index) => {
    const table = random.below(lastTable + 1);
    const protocol = random.pick(protocols);
    const match = matchText(random, protocol);
    const hasVlan = match.some((text) => /^(dl_vlan=|dl_vlan_pcp=|vlan_tci=0x1000)/.test(text));
    return (
      [
        `table=${table}`,
        `cookie=${hex(index + 1)}`,
        `priority=${10 + random.below(20) * 64 + (index % 64)}`,
        ...match,
      ].join(",") + ` actions=${actionsText(random, table, protocol, { hasVlan, normal })}`
    );
  });
  flows.push(...conjunctionFlows(random));
  for (let table = 0; table <= lastTable; table++) {
    if (random.chance(0.7))
      flows.push(
        `table=${table},cookie=${hex(count + table + 1)},priority=0 actions=${random.pick([normal ? "normal" : "all", "drop", "flood", `output:${random.pick(ports)}`])}`,
      );
  }
  return flows;
}

export const bytesOf = (text: string): number[] => text.split(":").map((byte) => Number.parseInt(byte, 16));
export const u16 = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff];
const ip4 = (text: string): number[] => text.split(".").map(Number);

function ip6(text: string): number[] {
  const [left = "", right = ""] = text.split("::");
  const groups = (part: string): number[] =>
    part === "" ? [] : part.split(":").flatMap((group) => u16(Number.parseInt(group, 16)));
  const head = groups(left);
  const tail = groups(right);
  return [...head, ...new Array<number>(16 - head.length - tail.length).fill(0), ...tail];
}

function sum16(bytes: readonly number[], start = 0): number {
  let sum = start;
  for (let index = 0; index < bytes.length; index += 2) sum += ((bytes[index] ?? 0) << 8) + (bytes[index + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

function withChecksum(bytes: number[], at: number, pseudo: readonly number[]): number[] {
  const value = ~sum16(bytes, sum16(pseudo)) & 0xffff;
  bytes[at] = value >> 8;
  bytes[at + 1] = value & 0xff;
  return bytes;
}

function transport(random: Random, protocol: Protocol, pseudo: readonly number[]): number[] {
  const payload = Array.from({ length: 18 }, () => random.below(256));
  const ports4 = [...u16(random.pick(l4)), ...u16(random.pick(l4))];
  const full = (proto: number, length: number): number[] => [...pseudo, 0, proto, ...u16(length)];
  switch (protocol) {
    case "tcp":
    case "tcp6": {
      const segment = [
        ...ports4,
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        2,
        0x50,
        random.pick([0x02, 0x10, 0x12, 0x04]),
        0x20,
        0,
        0,
        0,
        0,
        0,
        ...payload,
      ];
      return withChecksum(segment, 16, full(6, segment.length));
    }
    case "udp":
    case "udp6": {
      const datagram = [...ports4, ...u16(8 + payload.length), 0, 0, ...payload];
      return withChecksum(datagram, 6, full(17, datagram.length));
    }
    case "icmp":
      return withChecksum([random.pick([0, 8]), 0, 0, 0, 0, 1, 0, 1, ...payload], 2, []);
    case "icmp6": {
      const message = [random.pick([128, 129]), 0, 0, 0, 0, 1, 0, 1, ...payload];
      return withChecksum(message, 2, full(58, message.length));
    }
    default:
      return payload;
  }
}

export const protocolNumber: Readonly<Record<string, number>> = {
  tcp: 6,
  udp: 17,
  icmp: 1,
  ip: 200,
  tcp6: 6,
  udp6: 17,
  icmp6: 58,
  ipv6: 200,
};

export function networkLayer(random: Random, protocol: Protocol): { type: number; bytes: number[] } {
  if (protocol === "arp") {
    return {
      type: 0x0806,
      bytes: [
        0,
        1,
        8,
        0,
        6,
        4,
        0,
        random.pick([1, 2]),
        ...bytesOf(random.pick(macs)),
        ...ip4(random.pick(ipv4)),
        ...bytesOf(random.pick(macs)),
        ...ip4(random.pick(ipv4)),
      ],
    };
  }
  if (isIp4(protocol)) {
    const addresses = [...ip4(random.pick(ipv4)), ...ip4(random.pick(ipv4))];
    // Of a later fragment Open vSwitch rewrites payload bytes where ports, types and checksums would be; Sluice does not.
    const fragment = protocol === "ip" ? random.pick([0, 0, 0x2000, 0x2010, 0x0010]) : random.pick([0, 0, 0, 0x2000]);
    const body = transport(random, protocol, addresses);
    const header = withChecksum(
      [
        0x45,
        random.pick([0, 32, 184, 3]),
        ...u16(20 + body.length),
        0,
        1,
        ...u16(fragment),
        random.pick([1, 2, 64, 64]),
        protocolNumber[protocol] ?? 200,
        0,
        0,
        ...addresses,
      ],
      10,
      [],
    );
    return { type: 0x0800, bytes: [...header, ...body] };
  }
  if (isIp6(protocol)) {
    const addresses = [...ip6(random.pick(ipv6)), ...ip6(random.pick(ipv6))];
    const body = transport(random, protocol, addresses);
    return {
      type: 0x86dd,
      bytes: [
        0x60,
        0,
        0,
        0,
        ...u16(body.length),
        protocolNumber[protocol] ?? 200,
        random.pick([1, 64]),
        ...addresses,
        ...body,
      ],
    };
  }
  return { type: 0x88b5, bytes: Array.from({ length: 46 }, () => random.below(256)) };
}

export interface Stimulus {
  readonly port: number;
  readonly frame: string;
}

/** A frame for one of the ports: any protocol of the small world, with and without a VLAN tag. */
export function randomStimulus(random: Random, normal: boolean): Stimulus {
  const port = random.pick(ports);
  const protocol = random.pick(protocols);
  const { type, bytes } = networkLayer(random, protocol);
  const source = normal ? `50:54:00:00:00:0${port}` : random.pick(macs.slice(0, 3));
  const tag = random.chance(0.3) ? [0x81, 0, ...u16((random.below(8) << 13) | random.pick(vlans))] : [];
  const frame = [...bytesOf(random.pick(macs)), ...bytesOf(source), ...tag, ...u16(type), ...bytes];
  while (frame.length < 60) frame.push(0);
  return { port, frame: frame.map((byte) => byte.toString(16).padStart(2, "0")).join("") };
}
