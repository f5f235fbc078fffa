import { ByteWriter, KeyMatch } from "../openflow/index.js";
import { keyMember } from "../openflow/tables/key.js";

/** A packet's key as a match on what such a packet has, which is how a flow prints: headers in full, context only where
 *  it is not zero. */

const always = ["eth_src", "eth_dst", "eth_type", "vlan0_tci"] as const;
/** Told only when they hold something. */
const context = [
  "recirc_id",
  "dp_hash",
  "skb_priority",
  "pkt_mark",
  "ct_state",
  "ct_mark",
  "ct_zone",
  "ct_label",
  "ct_nw_proto",
  "ct_tp_src",
  "ct_tp_dst",
  "ct_nw_src",
  "ct_nw_dst",
  "tun_id",
  "packet_type",
  "metadata",
] as const;
/** Told in full of a packet that came by a tunnel. */
const tunnelMembers = [
  "tun_src",
  "tun_dst",
  "tun_ipv6_src",
  "tun_ipv6_dst",
  "tun_flags",
  "tun_tos",
  "tun_ttl",
  "tun_gbp_id",
  "tun_gbp_flags",
  "tun_erspan_ver",
  "tun_erspan_idx",
  "tun_erspan_dir",
  "tun_erspan_hwid",
  "tun_gtpu_flags",
  "tun_gtpu_msgtype",
] as const;
const tunnelHasKey = 8;
const allTunnelFlags = 0xf;
const registerSize = 4;
const registerCount = 32;
const arpMembers = ["ip_src", "ip_dst", "ip_proto", "arp_sha", "arp_tha"] as const;
const nshMembers = [
  "nsh_flags",
  "nsh_ttl",
  "nsh_mdtype",
  "nsh_np",
  "nsh_path_hdr",
  "nsh_c1",
  "nsh_c2",
  "nsh_c3",
  "nsh_c4",
  ...(["ip_proto", "ip_tos", "ip_ttl", "ip_frag"] as const),
] as const;
const ipMembers = ["ip_proto", "ip_tos", "ip_ttl", "ip_frag"] as const;
const vlanPresent = 0x1000;
const laterFragment = 2;
const nonePort = 0xffffffff;
const ethernet = {
  ipv4: 0x0800,
  arp: 0x0806,
  rarp: 0x8035,
  ipv6: 0x86dd,
  mpls: 0x8847,
  mplsMulticast: 0x8848,
  nsh: 0x894f,
} as const;
const labels = ["mpls0_lse", "mpls1_lse", "mpls2_lse"] as const;
const bottomOfStack = 0x100;
const protocol = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;
const neighbour = { solicit: 135, advertise: 136 } as const;

/** `key`: an ABI match whose values are the packet's. */
export function flowOfKey(key: Uint8Array): Uint8Array {
  const from = new KeyMatch();
  from.read(key);
  const to = new KeyMatch();
  const take = (offset: number, size: number): void => {
    to.value.set(from.value.subarray(offset, offset + size), offset);
    to.mask.fill(0xff, offset, offset + size);
  };
  const member = (name: string): void => {
    const { offset, size } = keyMember(name);
    take(offset, size);
  };
  const isZero = (offset: number, size: number): boolean =>
    from.value.subarray(offset, offset + size).every((byte) => byte === 0);
  const number = (name: string): number => {
    const { offset, size } = keyMember(name);
    return from.value.subarray(offset, offset + size).reduce((sum, byte) => sum * 256 + byte, 0);
  };
  if (number("in_port") !== nonePort) member("in_port");
  for (const name of context) {
    const { offset, size } = keyMember(name);
    if (!isZero(offset, size)) take(offset, size);
  }
  const tunnelEnd = keyMember("tun_ipv6_dst");
  if (number("tun_dst") !== 0 || !isZero(tunnelEnd.offset, tunnelEnd.size)) {
    for (const name of tunnelMembers) member(name);
    to.setU16(keyMember("tun_flags").offset, number("tun_flags"), allTunnelFlags);
    if ((number("tun_flags") & tunnelHasKey) !== 0) member("tun_id");
  }
  /* A flow that was recirculated prints as a megaflow does. */
  if (number("recirc_id") !== 0) member("packet_type");
  const registers = keyMember("regs").offset;
  for (let index = 0; index < registerCount; index++) {
    const offset = registers + registerSize * index;
    if (!isZero(offset, registerSize)) take(offset, registerSize);
  }
  if (number("packet_type") === 0) for (const name of always) member(name);
  if ((number("vlan0_tci") & vlanPresent) !== 0) member("vlan1_tci");
  const type = number("eth_type");
  if (type === ethernet.arp || type === ethernet.rarp) for (const name of arpMembers) member(name);
  if (type === ethernet.nsh) for (const name of nshMembers) member(name);
  if (type === ethernet.mpls || type === ethernet.mplsMulticast) takeLabels(number, member);
  if (type === ethernet.ipv4 || type === ethernet.ipv6) {
    for (const name of type === ethernet.ipv4 ? ["ip_src", "ip_dst"] : ["ipv6_src", "ipv6_dst", "ipv6_label"])
      member(name);
    for (const name of ipMembers) member(name);
    if ((number("ip_frag") & laterFragment) === 0) takeTransport(number, member);
  }
  const out = new ByteWriter();
  to.write(out);
  return out.finish();
}

/** The label stack, as far as it is told where it ends. */
function takeLabels(number: (name: string) => number, member: (name: string) => void): void {
  for (const name of labels) {
    member(name);
    if ((number(name) & bottomOfStack) !== 0) return;
  }
}

function takeTransport(number: (name: string) => number, member: (name: string) => void): void {
  const kind = number("ip_proto");
  const ported: readonly number[] = [protocol.icmp, protocol.tcp, protocol.udp, protocol.icmpv6, protocol.sctp];
  if (!ported.includes(kind)) return;
  member("tp_src");
  member("tp_dst");
  if (kind === protocol.tcp) member("tcp_flags");
  const icmpType = number("tp_src");
  if (kind === protocol.icmpv6 && (icmpType === neighbour.solicit || icmpType === neighbour.advertise)) {
    member("nd_target");
    member(icmpType === neighbour.solicit ? "arp_sha" : "arp_tha");
  }
}
