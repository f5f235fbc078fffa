import type { ByteWriter } from "./bytes.js";
import { OpenFlowError } from "./error.js";
import { at, type FieldPlan, type KeyMatch, planOf, plans } from "./key-match.js";
import type { ErrorName } from "./tables/errors.js";
import { fields, type OxmClass, type OxmHeader } from "./tables/fields.js";
import { portMax, reservedOffset } from "./tables/ports.js";
import { currentTlvMap, hasTlv, setTlv, tlvBytes, tlvIndex } from "./tlv-map.js";

/** OXM and NXM: matches and field references as type-length-value entries. */

const classNumbers: Readonly<Record<OxmClass, readonly [oxmClass: number, vendor: number]>> = {
  NXM_OF: [0x0000, 0],
  NXM_NX: [0x0001, 0],
  OXM_OF: [0x8000, 0],
  OXM_OF_PKT_REG: [0x8001, 0],
  ERICOXM_OF: [0x1000, 0],
  NXOXM_ET: [0xffff, 0x00002320],
  NXOXM_NSH: [0xffff, 0x005ad650],
  ONFOXM_ET: [0xffff, 0x4f4e4600],
};

/** A field's header as one version writes it. */
export interface FieldHeader {
  /** Class and field number, as in the upper 23 bits of the header. */
  readonly key: number;
  /** Experimenter, or 0. */
  readonly vendor: number;
  readonly oxmClass: OxmClass;
}

const standard = new Map<number, FieldPlan>();
const experimenter = new Map<number, Map<number, FieldPlan>>();
const cookieKey = (0x0001 << 7) | 30;

fields.forEach((row, id) => {
  for (const [name, number] of row.oxm) {
    const [oxmClass, vendor] = classNumbers[name];
    const key = (oxmClass << 7) | number;
    const plan = plans[id] as FieldPlan;
    if (vendor === 0) standard.set(key, plan);
    else {
      const map = experimenter.get(vendor) ?? new Map<number, FieldPlan>();
      map.set(number, plan);
      experimenter.set(vendor, map);
    }
  }
});

/** 1 for OpenFlow 1.0, ... 6 for 1.5. */
const wireVersion = (since: OxmHeader[2]): number => (since === undefined ? 0 : Number(since.slice(2)) + 1);

const headerCache: (FieldHeader | null | undefined)[] = [];

/** The header that `version` uses for a field: the last that it may use, or else the first that there is. */
export function fieldHeader(id: number, version: number): FieldHeader | undefined {
  const cacheKey = id * 8 + version;
  const cached = headerCache[cacheKey];
  if (cached !== undefined) return cached ?? undefined;
  const row = fields[id];
  let found: OxmHeader | undefined;
  for (const header of row?.oxm ?? []) {
    const since = wireVersion(header[2]);
    if (found === undefined || since <= version) found = header;
  }
  let result: FieldHeader | undefined;
  if (found !== undefined) {
    const [oxmClass, vendor] = classNumbers[found[0]];
    result = { key: (oxmClass << 7) | found[1], vendor, oxmClass: found[0] };
  }
  headerCache[cacheKey] = result ?? null;
  return result;
}

export interface OxmEntry {
  readonly plan: FieldPlan | undefined;
  readonly isCookie: boolean;
  readonly hasMask: boolean;
  /** Where the value begins, and how many bytes follow for value and mask together. */
  readonly valueAt: number;
  readonly size: number;
  readonly next: number;
}

/** Reads the header at `position`.  Throws `bad_len` when it does not fit before `end`. */
export function readOxmHeader(bytes: Uint8Array, position: number, end: number): OxmEntry {
  const short = (): OpenFlowError =>
    new OpenFlowError("OFPBMC_BAD_LEN", "an OXM entry runs beyond the end of its match", { position });
  if (end - position < 4) throw short();
  const oxmClass = ((bytes[position] as number) << 8) | (bytes[position + 1] as number);
  const third = bytes[position + 2] as number;
  const length = bytes[position + 3] as number;
  const next = position + 4 + length;
  if (oxmClass !== 0xffff) {
    if (next > end) throw short();
    const key = (oxmClass << 7) | (third >> 1);
    const hasMask = (third & 1) !== 0;
    const isCookie = key === cookieKey && length === (hasMask ? 16 : 8);
    return {
      plan: isCookie ? undefined : standard.get(key),
      isCookie,
      hasMask,
      valueAt: position + 4,
      size: length,
      next,
    };
  }
  if (length < 4 || end - position < 8) throw short();
  if (next > end) throw short();
  const vendor =
    (((bytes[position + 4] as number) << 24) |
      ((bytes[position + 5] as number) << 16) |
      ((bytes[position + 6] as number) << 8) |
      (bytes[position + 7] as number)) >>>
    0;
  const plan = experimenter.get(vendor)?.get(third >> 1);
  return { plan, isCookie: false, hasMask: (third & 1) !== 0, valueAt: position + 8, size: length - 4, next };
}

/** The field that a bare header (in move, load, stack, ...) names, and the position after it.  `length` in the header
 *  is the field's own. */
export function readFieldHeader(
  bytes: Uint8Array,
  position: number,
  end: number,
  unknown: ErrorName = "OFPBMC_BAD_FIELD",
): { plan: FieldPlan; next: number } {
  if (end - position < 4) throw new OpenFlowError("OFPBAC_BAD_LEN", "a field header runs beyond the end of its action");
  const oxmClass = ((bytes[position] as number) << 8) | (bytes[position + 1] as number);
  const third = bytes[position + 2] as number;
  let next = position + 4;
  let plan: FieldPlan | undefined;
  if (oxmClass !== 0xffff) plan = standard.get((oxmClass << 7) | (third >> 1));
  else {
    next += 4;
    if (next > end) throw new OpenFlowError("OFPBAC_BAD_LEN", "a field header runs beyond the end of its action");
    const vendor = new DataView(bytes.buffer, bytes.byteOffset).getUint32(position + 4);
    plan = experimenter.get(vendor)?.get(third >> 1);
  }
  const length = bytes[position + 3] as number;
  const fits =
    plan !== undefined &&
    (tlvIndex(plan) >= 0 ? length <= plan.bytes : length === plan.bytes + (oxmClass === 0xffff ? 4 : 0));
  if (plan === undefined || (third & 1) !== 0 || !fits)
    throw new OpenFlowError(unknown, "a field header names no known field", { oxmClass, field: third >> 1 });
  return { plan, next };
}

/** Bytes of a field's value: of a Geneve option those that the map gives it. */
function valueBytes(plan: FieldPlan): number {
  return currentTlvMap()?.get(tlvIndex(plan))?.length ?? plan.bytes;
}

/** Appends a header without value, with the length of the field (twice when masked). */
export function writeFieldHeader(
  out: ByteWriter,
  plan: FieldPlan,
  version: number,
  masked = false,
  bytes = valueBytes(plan),
): void {
  const header = fieldHeader(plan.id, version);
  if (header === undefined) throw new OpenFlowError("NXBRC_UNENCODABLE_ERROR", `${plan.name} has no wire form`);
  const length = bytes * (masked ? 2 : 1) + (header.vendor === 0 ? 0 : 4);
  out.u16(header.key >>> 7);
  out.u8(((header.key & 0x7f) << 1) | (masked ? 1 : 0));
  out.u8(length);
  if (header.vendor !== 0) out.u32(header.vendor);
}

/** A 16-bit OpenFlow 1.0 port number as a 32-bit one. */
export function portFrom10(port: number): number {
  return port < portMax ? port : (port + reservedOffset) >>> 0;
}

/** A 32-bit port number as OpenFlow 1.0 says it. */
export function portTo10(port: number): number {
  return port & 0xffff;
}

/** Whether a 32-bit number read from the wire is a port or a reserved port. */
export function isPort(port: number): boolean {
  return port < portMax || port >= 0xffffff00;
}

const inPort = planOf("in_port");
const inPortOxm = planOf("in_port_oxm");
const actsetOutput = planOf("actset_output");
const vlanVid = planOf("vlan_vid");

/** Reads a match on a Geneve option, whose length the TLV map gives. */
function decodeTlv(match: KeyMatch, bytes: Uint8Array, entry: OxmEntry, plan: FieldPlan): void {
  const index = tlvIndex(plan);
  const known = currentTlvMap()?.get(index);
  if (known === undefined)
    throw new OpenFlowError("NXFMFC_INVALID_TLV_FIELD", `${plan.name} has no entry in the TLV map`);
  if (hasTlv(match.mask, index)) throw new OpenFlowError("OFPBMC_DUP_FIELD", `${plan.name} occurs twice`);
  const size = entry.hasMask ? entry.size >> 1 : entry.size;
  if (size > plan.bytes || (entry.hasMask && entry.size % 2 !== 0))
    throw new OpenFlowError("OFPBMC_BAD_LEN", `${plan.name} cannot have ${entry.size} bytes`);
  setTlv(match, known, bytes, entry.valueAt, entry.hasMask ? entry.valueAt + size : -1, size);
}

function encodeTlvs(out: ByteWriter, match: KeyMatch, version: number): void {
  for (const entry of currentTlvMap()?.entries() ?? []) {
    if (!hasTlv(match.mask, entry.index)) continue;
    const value = tlvBytes(match.value, entry);
    const mask = tlvBytes(match.mask, entry);
    // Of an option without a value, as of one whose value is open, all bits are masked.
    const masked = entry.length === 0 || mask.some((byte) => byte !== 0xff);
    writeFieldHeader(out, tlvPlans[entry.index] as FieldPlan, version, masked, entry.length);
    out.put(value);
    if (masked) out.put(mask);
  }
}
const tlvPlans = plans.filter((plan) => tlvIndex(plan) >= 0);

/** Largest value that is valid, for fields whose bytes can say more than their bits. */
function checkValue(plan: FieldPlan, bytes: Uint8Array, valueAt: number): boolean {
  if (plan.bits === 8 * plan.bytes || plan.bytes > 4) {
    if (plan === inPortOxm || plan === actsetOutput)
      return isPort(new DataView(bytes.buffer, bytes.byteOffset).getUint32(valueAt));
    if (plan.name === "arp_op") return bytes[valueAt] === 0;
    return plan.name !== "nw_tos" || ((bytes[valueAt] as number) & 3) === 0;
  }
  let value = 0;
  for (let index = 0; index < plan.bytes; index++) value = value * 256 + (bytes[valueAt + index] as number);
  return value < 2 ** plan.bits;
}

export interface CookieMatch {
  cookie: bigint;
  cookieMask: bigint;
}

export interface OxmOptions {
  /** Receives NXM_NX_COOKIE; without it, the cookie is not a field. */
  readonly cookie?: CookieMatch;
  /** Unknown fields are passed over instead of refused. */
  readonly loose?: boolean;
  /** Only pipeline fields, as in packet-ins: prerequisites are not asked for. */
  readonly pipeline?: boolean;
}

/** Reads entries in [start, end) into `match`, which the caller has cleared. */
export function decodeOxm(
  match: KeyMatch,
  bytes: Uint8Array,
  start: number,
  end: number,
  options: OxmOptions = {},
): void {
  for (let position = start; position < end; ) {
    const entry = readOxmHeader(bytes, position, end);
    position = entry.next;
    const { hasMask, valueAt } = entry;
    if (hasMask) checkMasked(bytes, valueAt, entry.size >> 1);
    if (entry.plan !== undefined && tlvIndex(entry.plan) >= 0) {
      decodeTlv(match, bytes, entry, entry.plan);
      continue;
    }
    // A field is its class, number and length together.
    const plan =
      entry.plan !== undefined && entry.size === entry.plan.bytes * (hasMask ? 2 : 1) ? entry.plan : undefined;
    if (plan === undefined) {
      if (entry.isCookie && options.cookie !== undefined) {
        const view = new DataView(bytes.buffer, bytes.byteOffset);
        options.cookie.cookie = view.getBigUint64(valueAt);
        options.cookie.cookieMask = hasMask ? view.getBigUint64(valueAt + 8) : 0xffffffffffffffffn;
        continue;
      }
      if (options.loose) continue;
      throw new OpenFlowError("OFPBMC_BAD_FIELD", "the match names no known field", { position: valueAt });
    }
    let maskAt = hasMask ? valueAt + plan.bytes : -1;
    if (maskAt >= 0) {
      let ones = true;
      for (let index = 0; index < plan.bytes; index++) {
        const mask = bytes[maskAt + index] as number;
        if (mask !== 0xff) ones = false;
      }
      if (ones) maskAt = -1;
      else if (!plan.maskable && !fullMask(plan, bytes, maskAt)) {
        throw new OpenFlowError("OFPBMC_BAD_MASK", `${plan.name} cannot be masked`);
      }
    }
    if (!options.pipeline && !match.meets(plan.prereq)) {
      throw new OpenFlowError(
        "OFPBMC_BAD_PREREQ",
        `${plan.name} needs ${plan.prereq}, which the match does not say before it`,
      );
    }
    if (!match.isWild(plan)) throw new OpenFlowError("OFPBMC_DUP_FIELD", `${plan.name} occurs twice`);
    if (!checkValue(plan, bytes, valueAt))
      throw new OpenFlowError("OFPBMC_BAD_VALUE", `${plan.name} has a value out of range`);
    if (plan === inPort)
      match.setNumber(inPort32, portFrom10(((bytes[valueAt] as number) << 8) | (bytes[valueAt + 1] as number)));
    else match.setWire(plan, bytes, valueAt, maskAt);
  }
  match.settlePacketType();
}

/** Refuses value bits that the mask leaves open. */
export function checkMasked(bytes: Uint8Array, valueAt: number, width: number): void {
  for (let index = 0; index < width; index++) {
    if (((bytes[valueAt + index] as number) & ~(bytes[valueAt + width + index] as number)) !== 0) {
      throw new OpenFlowError("OFPBMC_BAD_WILDCARDS", "a field has value bits outside its mask", { position: valueAt });
    }
  }
}

function fullMask(plan: FieldPlan, bytes: Uint8Array, maskAt: number): boolean {
  if (plan.bits === 8 * plan.bytes || plan.bytes > 4) return false;
  let mask = 0;
  for (let index = 0; index < plan.bytes; index++) mask = mask * 256 + (bytes[maskAt + index] as number);
  return (mask & (2 ** plan.bits - 1)) >>> 0 === 2 ** plan.bits - 1;
}

const inPort32 = inPortOxm;

/** Fields in the order in which they are written; `nxm` and `oxm` choose between the two families. */
const order: readonly (readonly [plan: FieldPlan, when: "both" | "nxm" | "oxm"])[] = [
  ...(["packet_type", "dp_hash", "recirc_id", "conj_id"] as const).map((name) => [planOf(name), "both"] as const),
  [planOf("in_port"), "nxm"],
  [planOf("in_port_oxm"), "oxm"],
  [planOf("actset_output"), "both"],
  ...["eth_src", "eth_dst", "eth_type"].map((name) => [planOf(name), "both"] as const),
  [planOf("vlan_tci"), "nxm"],
  [planOf("vlan_vid"), "oxm"],
  [planOf("vlan_pcp"), "oxm"],
  ...["mpls_tc", "mpls_bos", "mpls_ttl", "mpls_label", "ip_src", "ip_dst", "ipv6_src", "ipv6_dst", "ip_frag"].map(
    (name) => [planOf(name), "both"] as const,
  ),
  [planOf("nw_tos"), "nxm"],
  [planOf("ip_dscp"), "oxm"],
  ...[
    "nw_ecn",
    "nw_ttl",
    "ipv6_label",
    "nw_proto",
    "tcp_src",
    "tcp_dst",
    "tcp_flags",
    "udp_src",
    "udp_dst",
    "sctp_src",
    "sctp_dst",
    "icmp_type",
    "icmp_code",
    "icmpv6_type",
    "icmpv6_code",
    "nd_target",
    "nd_sll",
    "nd_tll",
    "nd_reserved",
    "nd_options_type",
    "arp_op",
    "arp_spa",
    "arp_tpa",
    "arp_sha",
    "arp_tha",
    "nsh_flags",
    "nsh_ttl",
    "nsh_mdtype",
    "nsh_np",
    "nsh_spi",
    "nsh_si",
    "nsh_c1",
    "nsh_c2",
    "nsh_c3",
    "nsh_c4",
    "tun_id",
    "tun_src",
    "tun_dst",
    "tun_ipv6_src",
    "tun_ipv6_dst",
    "tun_gbp_id",
    "tun_gbp_flags",
    "tun_erspan_ver",
    "tun_erspan_idx",
    "tun_erspan_dir",
    "tun_erspan_hwid",
    "tun_gtpu_flags",
    "tun_gtpu_msgtype",
    "tun_flags",
  ].map((name) => [planOf(name), "both"] as const),
  ...Array.from({ length: 16 }, (_, index) => [planOf(`reg${index}`), "both"] as const),
  ...[
    "pkt_mark",
    "ct_state",
    "ct_zone",
    "ct_mark",
    "ct_label",
    "ct_nw_proto",
    "ct_nw_src",
    "ct_nw_dst",
    "ct_ipv6_src",
    "ct_ipv6_dst",
    "ct_tp_src",
    "ct_tp_dst",
    "metadata",
  ].map((name) => [planOf(name), "both"] as const),
];
/** Options stand between the tunnel's other fields and this one. */
const beforeOptions = planOf("pkt_mark");
const xregs = Array.from({ length: 8 }, (_, index) => planOf(`xreg${index}`));

const orderOxm = order.flatMap(([plan, when]) => (when === "nxm" ? [] : [plan]));
const orderNxm = order.flatMap(([plan, when]) => (when === "oxm" ? [] : [plan]));
/** OpenFlow 1.5 writes registers in pairs. */
const order15 = orderOxm.flatMap((plan) => {
  if (!plan.name.startsWith("reg")) return [plan];
  const number = Number(plan.name.slice(3));
  return number % 2 === 0 ? [xregs[number >> 1] as FieldPlan] : [];
});

function putField(out: ByteWriter, match: KeyMatch, plan: FieldPlan, version: number): void {
  const masked = !match.isExact(plan);
  writeFieldHeader(out, plan, version, masked);
  match.putWire(out, plan, match.value);
  if (masked) match.putWire(out, plan, match.mask);
}

/** Appends the match as OXM (`version` of 1.2 or later) or NXM (1.0 and 1.1) entries, without padding. */
export function encodeOxm(out: ByteWriter, match: KeyMatch, version: number, cookie?: CookieMatch): void {
  const oxm = version >= 3;
  for (const plan of version >= 6 ? order15 : oxm ? orderOxm : orderNxm) {
    if (plan === beforeOptions) encodeTlvs(out, match, version);
    if (!match.touches(plan) || match.isWild(plan) || !writable(match, plan)) continue;
    if (plan === inPort) {
      writeFieldHeader(out, plan, version);
      out.u16(portTo10(match.number(inPort32)));
    } else putField(out, match, plan, version);
  }
  if (cookie !== undefined && cookie.cookieMask !== 0n) {
    const masked = cookie.cookieMask !== 0xffffffffffffffffn;
    out.u16(1);
    out.u8((30 << 1) | (masked ? 1 : 0));
    out.u8(masked ? 16 : 8);
    out.u64(cookie.cookie & cookie.cookieMask);
    if (masked) out.u64(cookie.cookieMask);
  }
}

/** Whether the field is what its place in the key means under this match. */
function writable(match: KeyMatch, plan: FieldPlan): boolean {
  switch (plan.prereq) {
    case "none":
    case "ethernet":
    case "ct":
      return plan !== vlanVid || match.maskU16(at.vlanTci) !== 0;
    case "vlan_vid":
      return ((match.value[at.vlanTci] as number) & 0x10) !== 0;
    default:
      return match.meets(plan.prereq);
  }
}
