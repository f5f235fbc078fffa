import type { FieldRow, OxmClass, OxmHeader } from "./field-row.js";
import { metadataFields } from "./fields-metadata.js";
import { packetFields } from "./fields-packet.js";
import { keyMember } from "./key.js";

export type { FieldFormat, FieldPrereq, FieldRow, OxmClass, OxmHeader } from "./field-row.js";

/** Match fields.  Each row is one field: the OXM/NXM codec, ovs-ofctl text, prerequisites, the C header's field table
 *  and the reference page are derived from it.  A field's `id` is its position in `fields`, and is what the ABI's
 *  records carry. */
export const fields: readonly FieldRow[] = [...metadataFields, ...packetFields];

/** Bit span of a field in the flow key, counted from the least significant bit of the bytes
 *  [offset, offset + size) read as one big-endian number. */
export interface FieldSpan {
  readonly offset: number;
  readonly size: number;
  readonly shift: number;
  readonly bits: number;
}

export function fieldSpan(row: FieldRow): FieldSpan {
  const [member, shift] = row.key;
  const plus = member.indexOf("+");
  if (plus >= 0) {
    const at = keyMember(member.slice(0, plus)).offset + Number(member.slice(plus + 1));
    return { offset: at, size: row.bytes, shift: 0, bits: row.bits };
  }
  const { offset, size } = keyMember(member);
  return { offset, size, shift, bits: Math.min(row.bits, 8 * size) };
}

const byName = new Map<string, FieldRow>();
for (const row of fields) {
  byName.set(row.name, row);
  if (row.alias !== undefined) byName.set(row.alias, row);
}
const ids = new Map(fields.map((row, id) => [row, id]));

/** The field of that name or alias, or undefined. */
export function fieldByName(name: string): FieldRow | undefined {
  return byName.get(name);
}

/** The number that the ABI gives the field. */
export function fieldId(row: FieldRow): number {
  const id = ids.get(row);
  if (id === undefined) throw new Error(`${row.name} is not a row of the field table`);
  return id;
}

/** Names of headers that are not their class followed by the field's name. */
const headerNames: Readonly<Record<string, Partial<Record<OxmClass, string>>>> = {
  tun_id: { OXM_OF: "OXM_OF_TUNNEL_ID" },
  tun_src: { NXM_NX: "NXM_NX_TUN_IPV4_SRC" },
  tun_dst: { NXM_NX: "NXM_NX_TUN_IPV4_DST" },
  ip_src: { OXM_OF: "OXM_OF_IPV4_SRC" },
  ip_dst: { OXM_OF: "OXM_OF_IPV4_DST" },
  ipv6_label: { OXM_OF: "OXM_OF_IPV6_FLABEL" },
  nw_proto: { OXM_OF: "OXM_OF_IP_PROTO", NXM_OF: "NXM_OF_IP_PROTO" },
  nw_ttl: { NXM_NX: "NXM_NX_IP_TTL" },
  nw_tos: { NXM_OF: "NXM_OF_IP_TOS" },
  nw_ecn: { OXM_OF: "OXM_OF_IP_ECN", NXM_NX: "NXM_NX_IP_ECN" },
  icmp_type: { OXM_OF: "OXM_OF_ICMPV4_TYPE" },
  icmp_code: { OXM_OF: "OXM_OF_ICMPV4_CODE" },
  nd_target: { OXM_OF: "OXM_OF_IPV6_ND_TARGET" },
  nd_sll: { OXM_OF: "OXM_OF_IPV6_ND_SLL" },
  nd_tll: { OXM_OF: "OXM_OF_IPV6_ND_TLL" },
  nd_reserved: { ERICOXM_OF: "ERICOXM_OF_ICMPV6_ND_RESERVED" },
  nd_options_type: { ERICOXM_OF: "ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE" },
  in_port_oxm: { OXM_OF: "OXM_OF_IN_PORT" },
};

/** Name of a header as ovs-fields(7) has it, such as NXM_OF_ETH_SRC. */
export function headerName(row: FieldRow, header: OxmHeader): string {
  const [oxmClass, number] = header;
  const special = headerNames[row.name]?.[oxmClass];
  if (special !== undefined) return special;
  const upper = row.name.toUpperCase();
  if (oxmClass === "OXM_OF_PKT_REG") return `OXM_OF_PKT_REG${number}`;
  if (oxmClass === "NXOXM_NSH") return `NXOXM_${upper}`;
  if (oxmClass === "NXOXM_ET") return `NXOXM_ET_${upper.replace(/^TUN_/, "")}`;
  return `${oxmClass}_${upper}`;
}
