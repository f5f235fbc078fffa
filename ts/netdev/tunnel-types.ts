/** Tunnel types: what `Interface.type` may say for a port that is one end of a tunnel. */

/** What a tunnel carries: frames, network packets without Ethernet header, or both. */
export type TunnelLayers = "l2" | "l3" | "both";

export interface TunnelType {
  /** As in Interface.type. */
  readonly name: string;
  /** Number in the ABI's `tunnel_type`. */
  readonly number: number;
  /** Name of the datapath port that all tunnels of the type share, or its beginning when the UDP port is part of it. */
  readonly dpName: string;
  /** UDP or TCP destination port; undefined for protocols without ports, 0 when there is no default. */
  readonly dstPort: number | undefined;
  /** IP protocol under the tunnel's header; 0: none that the datapath receives. */
  readonly ipProto: number;
  readonly layers: TunnelLayers;
  /** Whether the options `csum` and `seq` mean something. */
  readonly csum: boolean;
  readonly seq: boolean;
  readonly doc: string;
}

const gre = 47;
const tcp = 6;
const udp = 17;

export const tunnelTypes: readonly TunnelType[] = [
  row("geneve", 1, "genev_sys", 6081, udp, "l2", "A Geneve tunnel."),
  row("gre", 2, "gre_sys", undefined, gre, "both", "A GRE tunnel over IPv4 or IPv6."),
  row("vxlan", 3, "vxlan_sys", 4789, udp, "l2", "A VXLAN tunnel, with the GBP and GPE extensions."),
  row("lisp", 4, "lisp_sys", 4341, 0, "l3", "A LISP tunnel; the userspace datapath does not build its headers."),
  row("stt", 5, "stt_sys", 7471, tcp, "l2", "An STT tunnel; the userspace datapath does not build its headers."),
  row("erspan", 6, "erspan_sys", undefined, gre, "l2", "An ERSPAN tunnel, version 1 or 2."),
  row("ip6erspan", 7, "ip6erspan_sys", undefined, gre, "l2", "An ERSPAN tunnel over IPv6."),
  row("ip6gre", 8, "ip6gre_sys", undefined, gre, "l2", "A GRE tunnel over IPv6."),
  row("gtpu", 9, "gtpu_sys", 2152, udp, "l3", "A GTP-U tunnel."),
  row("bareudp", 10, "udp_sys", 0, 0, "l3", "A bare UDP tunnel; the userspace datapath does not build its headers."),
];

function row(
  name: string,
  number: number,
  dpName: string,
  dstPort: number | undefined,
  ipProto: number,
  layers: TunnelLayers,
  doc: string,
): TunnelType {
  return {
    name,
    number,
    dpName,
    dstPort,
    ipProto,
    layers,
    csum: /gre|geneve|stt|vxlan/.test(name),
    seq: name.includes("gre"),
    doc,
  };
}

/** The datapath port that tunnels of the type with that destination port share. */
export function dpPortName(type: TunnelType, dstPort: number): string {
  return type.dstPort === undefined ? type.dpName : `${type.dpName}_${dstPort}`;
}
