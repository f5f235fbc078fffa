/** The shape of a match field's row. */

/** How the text form prints and reads a value. */
export type FieldFormat =
  | "dec"
  | "hex"
  | "eth"
  | "ipv4"
  | "ipv6"
  | "ofp_port"
  | "ofp_port_1.0"
  | "frag"
  | "tcp_flags"
  | "tun_flags"
  | "ct_state"
  | "packet_type"
  | "bytes";

/** What the rest of the match must say before the field may be used. */
export type FieldPrereq =
  | "none"
  | "ethernet"
  | "arp"
  | "vlan_vid"
  | "ipv4"
  | "ipv6"
  | "ip"
  | "mpls"
  | "tcp"
  | "udp"
  | "sctp"
  | "icmpv4"
  | "icmpv6"
  | "nd"
  | "nd_solicit"
  | "nd_advert"
  | "nsh"
  | "ct";

export type OxmClass =
  | "NXM_OF"
  | "NXM_NX"
  | "OXM_OF"
  | "OXM_OF_PKT_REG"
  | "NXOXM_ET"
  | "NXOXM_NSH"
  | "ONFOXM_ET"
  | "ERICOXM_OF";

/** Header of the field on the wire; the version is the first OpenFlow version that may carry it (absent: any). */
export type OxmHeader = readonly [oxmClass: OxmClass, field: number, since?: "1.2" | "1.3" | "1.4" | "1.5"];

export interface FieldRow {
  /** Name that ovs-ofctl prints. */
  readonly name: string;
  /** Other name that it accepts. */
  readonly alias?: string;
  /** Significant bits, right-aligned in `bytes`. */
  readonly bits: number;
  /** Bytes of the value on the wire. */
  readonly bytes: number;
  /** Where the value lies in the flow key: member, and how far its lowest bit is above the member's lowest bit. */
  readonly key: readonly [member: string, shift: number];
  /** Whether a match may leave some of its bits open. */
  readonly mask: "none" | "any";
  readonly format: FieldFormat;
  readonly prereq: FieldPrereq;
  /** Wire headers, most preferred last within a version. */
  readonly oxm: readonly OxmHeader[];
  /** Whether set-field, load and move may change it. */
  readonly writable: boolean;
  /** One sentence for the reference page. */
  readonly doc: string;
}
