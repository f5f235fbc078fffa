import { FlowSyntaxError } from "./error.js";
import type { FieldRow } from "./tables/fields.js";
import { ofpp, portMax, reservedOffset, reservedPorts } from "./tables/ports.js";

/** Values of fields as text, the way ovs-ofctl reads and prints them. */

/** Names of a bridge's ports.  Without it, ports are numbers. */
export interface PortNames {
  numberOf(name: string): number | undefined;
  nameOf(port: number): string | undefined;
}

export function parseNumber(text: string): bigint | undefined {
  if (!/^(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)$/.test(text)) return undefined;
  if (/^0[0-7]+$/.test(text)) return BigInt(`0o${text.slice(1)}`);
  return BigInt(text);
}

/** A number of at most `bits` bits; `what` names it in the error. */
export function needNumber(text: string, bits: number, what: string): bigint {
  const value = parseNumber(text.trim());
  if (value === undefined || value >= 1n << BigInt(bits)) throw new FlowSyntaxError(`invalid ${what} "${text}"`);
  return value;
}

export function parsePort(text: string, ports?: PortNames): number | undefined {
  const number = parseNumber(text);
  if (number !== undefined) {
    if (number > 0xffffffffn) return undefined;
    const port = Number(number);
    if (port < portMax) return port;
    if (port <= 0xffff) return (port + reservedOffset) >>> 0;
    // Reserved ports are accepted whether or not they have a name.
    return port >= portMax + reservedOffset ? port : undefined;
  }
  const upper = text.toUpperCase();
  if (upper === "NONE") return ofpp.ANY;
  const reserved = reservedPorts.find((row) => row.name === upper);
  if (reserved !== undefined) return reserved.number;
  return ports?.numberOf(text.startsWith('"') ? (JSON.parse(text) as string) : text);
}

export function formatPort(port: number, ports?: PortNames): string {
  const reserved = reservedPorts.find((row) => row.number === port);
  if (reserved !== undefined) return reserved.name;
  const name = ports?.nameOf(port);
  if (name === undefined) return String(port);
  return /^[A-Za-z][A-Za-z0-9]*$/.test(name) && !reservedPorts.some((row) => row.name === name.toUpperCase())
    ? name
    : JSON.stringify(name);
}

export function formatEth(bytes: Uint8Array, at = 0): string {
  return Array.from(bytes.subarray(at, at + 6), (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

export function parseEth(text: string): Uint8Array | undefined {
  const parts = text.split(":");
  if (parts.length !== 6 || !parts.every((part) => /^[0-9a-fA-F]{1,2}$/.test(part))) return undefined;
  return Uint8Array.from(parts, (part) => Number.parseInt(part, 16));
}

export function formatIpv4(bytes: Uint8Array, at = 0): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
}

export function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256)) return undefined;
  return Uint8Array.from(parts, Number);
}

/** RFC 5952, with the dotted form for mapped addresses as inet_ntop has it. */
export function formatIpv6(bytes: Uint8Array, at = 0): string {
  const words = Array.from(
    { length: 8 },
    (_, index) => ((bytes[at + 2 * index] as number) << 8) | (bytes[at + 2 * index + 1] as number),
  );
  let best = -1;
  let length = 1;
  for (let from = 0; from < 8; from++) {
    let to = from;
    while (to < 8 && words[to] === 0) to++;
    if (to - from > length) {
      best = from;
      length = to - from;
    }
  }
  const hex = (from: number, to: number): string =>
    words
      .slice(from, to)
      .map((word) => word.toString(16))
      .join(":");
  const mapped = best === 0 && (length === 6 || (length === 5 && words[5] === 0xffff));
  if (mapped) return `${length === 6 ? "::" : "::ffff:"}${formatIpv4(bytes, at + 12)}`;
  return best < 0 ? hex(0, 8) : `${hex(0, best)}::${hex(best + length, 8)}`;
}

export function parseIpv6(text: string): Uint8Array | undefined {
  let source = text;
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (dotted !== null) {
    const v4 = parseIpv4(dotted[2] as string);
    if (v4 === undefined) return undefined;
    source = `${dotted[1]}${(((v4[0] as number) << 8) | (v4[1] as number)).toString(16)}:${(((v4[2] as number) << 8) | (v4[3] as number)).toString(16)}`;
  }
  const halves = source.split("::");
  if (halves.length > 2) return undefined;
  const words = halves.map((half) => (half === "" ? [] : half.split(":")));
  const head = words[0] ?? [];
  const tail = words[1] ?? [];
  const gap = 8 - head.length - tail.length;
  if (halves.length === 1 ? gap !== 0 : gap < 1) return undefined;
  const all = [...head, ...Array.from({ length: halves.length === 2 ? gap : 0 }, () => "0"), ...tail];
  if (!all.every((word) => /^[0-9a-fA-F]{1,4}$/.test(word))) return undefined;
  return Uint8Array.from(all.flatMap((word) => [Number.parseInt(word, 16) >> 8, Number.parseInt(word, 16) & 255]));
}

/** Number of leading ones when the mask is a prefix, or -1. */
export function prefixLength(mask: Uint8Array): number {
  let bits = 0;
  for (const byte of mask) {
    for (let bit = 7; bit >= 0; bit--) {
      if (((byte >> bit) & 1) === 0) {
        const rest = toBig(mask) & ((1n << BigInt(8 * mask.length - bits)) - 1n);
        return rest === 0n ? bits : -1;
      }
      bits += 1;
    }
  }
  return bits;
}

export function prefixMask(length: number, size: number): Uint8Array {
  return fromBig(((1n << BigInt(length)) - 1n) << BigInt(8 * size - length), size);
}

export function toBig(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

export function fromBig(value: bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let index = size - 1, rest = value; index >= 0; index--, rest >>= 8n) bytes[index] = Number(rest & 0xffn);
  return bytes;
}

/** printf's %#x: zero has no prefix. */
export function hex(value: bigint | number): string {
  return BigInt(value) === 0n ? "0" : `0x${value.toString(16)}`;
}

export const tcpFlags = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]"];
export const ctStates = ["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"];
export const tunFlags = ["oam"];
/** All bits of a flow's tunnel flags; what OpenFlow has no name for is the datapath's. */
export const tunnelFlags = ["oam", "df", "csum", "key"];

export function formatFlags(names: readonly string[], value: number, mask: number, all: number): string {
  if (mask === 0) return "0/0";
  if (mask === all && (names === tcpFlags || names === tunnelFlags))
    return names.filter((_, bit) => (value >> bit) & 1).join("|") || "0";
  return names
    .map((name, bit) => (((mask >> bit) & 1) === 0 ? "" : `${(value >> bit) & 1 ? "+" : "-"}${name}`))
    .join("");
}

function parseFlags(names: readonly string[], text: string, field: string): { value: number; mask: number } {
  let value = 0;
  let mask = 0;
  for (const [, sign, name] of text.matchAll(/([+-])([^+-]+)/g)) {
    const bit = names.indexOf((name ?? "").trim());
    if (bit < 0) throw new FlowSyntaxError(`unknown ${field} flag(s): ${name}`);
    mask |= 1 << bit;
    if (sign === "+") value |= 1 << bit;
  }
  return { value, mask };
}

const fragments: Readonly<Record<string, readonly [number, number]>> = {
  no: [0, 3],
  yes: [1, 1],
  first: [1, 3],
  later: [3, 3],
  not_later: [0, 2],
};

export interface ParsedValue {
  readonly value: Uint8Array;
  /** Undefined: exact. */
  readonly mask: Uint8Array | undefined;
}

const maskable = (row: FieldRow): boolean => row.mask === "any";

/** Reads `text`, as in `field=text`. */
export function parseValue(row: FieldRow, text: string, ports?: PortNames): ParsedValue {
  if (text === "*") return { value: new Uint8Array(row.bytes), mask: new Uint8Array(row.bytes) };
  const exactNumber = (number: number): ParsedValue => ({ value: fromBig(BigInt(number), row.bytes), mask: undefined });
  const pair = (value: number, mask: number): ParsedValue => ({
    value: fromBig(BigInt(value), row.bytes),
    mask: fromBig(BigInt(mask), row.bytes),
  });
  switch (row.format) {
    case "ofp_port":
    case "ofp_port_1.0": {
      const port = parsePort(text, ports);
      if (port === undefined) throw new FlowSyntaxError(`${text}: invalid or unknown port for ${row.name}`);
      return exactNumber(row.bytes === 2 ? port & 0xffff : port);
    }
    case "frag": {
      const found = fragments[text];
      if (found === undefined)
        throw new FlowSyntaxError(
          `${text}: unknown fragment type (valid types are "no", "yes", "first", "later", "not_first")`,
        );
      return pair(...found);
    }
    case "packet_type": {
      const found = /^\(([^,]+),([^)]+)\)$/.exec(text);
      if (found === null) throw new FlowSyntaxError(`${text}: not a valid packet type`);
      return exactNumber(
        Number((needNumber(found[1] as string, 16, "namespace") << 16n) | needNumber(found[2] as string, 16, "type")),
      );
    }
    case "tcp_flags":
    case "ct_state":
    case "tun_flags":
      if (row.format === "tcp_flags" && /^[a-z]/.test(text)) {
        const set = text.split("|").map((name) => tcpFlags.indexOf(name));
        if (set.includes(-1)) throw new FlowSyntaxError(`${text}: unknown tcp_flags flag(s)`);
        return exactNumber(set.reduce((sum, bit) => sum | (1 << bit), 0));
      }
      if (/^[+-]/.test(text)) {
        const names = row.format === "tcp_flags" ? tcpFlags : row.format === "ct_state" ? ctStates : tunFlags;
        const { value, mask } = parseFlags(names, text, row.name);
        return mask === 2 ** names.length - 1 && row.format === "tun_flags" ? exactNumber(value) : pair(value, mask);
      }
      break;
    default:
  }
  const slash = text.indexOf("/");
  const valueText = slash < 0 ? text : text.slice(0, slash);
  const maskText = slash < 0 ? undefined : text.slice(slash + 1);
  const one = (part: string): Uint8Array => parseOne(row, part);
  const value = one(valueText);
  if (maskText === undefined) return { value, mask: undefined };
  if (!maskable(row)) throw new FlowSyntaxError(`${text}: mask not allowed for ${row.name}`);
  const length = parseNumber(maskText);
  if ((row.format === "ipv4" || row.format === "ipv6") && length !== undefined && /^\d+$/.test(maskText)) {
    if (length > BigInt(row.bits))
      throw new FlowSyntaxError(`${text}: network prefix bits not between 0 and ${row.bits}`);
    return { value, mask: prefixMask(Number(length), row.bytes) };
  }
  return { value, mask: one(maskText) };
}

function parseOne(row: FieldRow, text: string): Uint8Array {
  if (row.format === "eth") {
    const eth = parseEth(text);
    if (eth === undefined) throw new FlowSyntaxError(`${text}: invalid Ethernet address`);
    return eth;
  }
  if (row.format === "ipv4") {
    const ip = parseIpv4(text);
    if (ip === undefined) throw new FlowSyntaxError(`${text}: invalid IP address`);
    return ip;
  }
  if (row.format === "ipv6") {
    const ip = parseIpv6(text);
    if (ip === undefined) throw new FlowSyntaxError(`${text}: invalid IPv6 address`);
    return ip;
  }
  const number = parseNumber(text);
  if (number === undefined) throw new FlowSyntaxError(`${text}: bad syntax for ${row.name} value`);
  if (number >= 1n << BigInt(8 * row.bytes))
    throw new FlowSyntaxError(`${text}: value too large for ${row.bytes}-byte field ${row.name}`);
  return fromBig(number, row.bytes);
}

/** Prints a value as set_field and generic match fields do. */
export function formatValue(row: FieldRow, value: Uint8Array, mask: Uint8Array | undefined, ports?: PortNames): string {
  const number = toBig(value);
  const bits = mask === undefined ? undefined : toBig(mask);
  const exact =
    bits === undefined ||
    (row.name === "nw_tos" && bits === 0xfcn) ||
    bits === (1n << BigInt(row.bits)) - 1n ||
    bits === (1n << BigInt(8 * row.bytes)) - 1n;
  if (!exact && bits === 0n) return "ANY";
  switch (row.format) {
    case "eth":
      return exact || mask === undefined ? formatEth(value) : `${formatEth(value)}/${formatEth(mask)}`;
    case "ipv4":
    case "ipv6": {
      const format = row.format === "ipv4" ? formatIpv4 : formatIpv6;
      if (exact || mask === undefined) return format(value);
      const length = prefixLength(mask);
      return `${format(value)}/${length >= 0 ? length : format(mask)}`;
    }
    case "ofp_port":
      return formatPort(Number(number), ports);
    case "ofp_port_1.0":
      return formatPort(number < BigInt(portMax) ? Number(number) : (Number(number) + reservedOffset) >>> 0, ports);
    case "dec":
      return exact ? String(number) : `${number}/${hex(bits ?? 0n)}`;
    case "hex":
    case "bytes":
      if (!exact && row.name === "ipv6_label")
        return `0x${number.toString(16).padStart(5, "0")}/0x${(bits ?? 0n).toString(16).padStart(5, "0")}`;
      return exact ? hexField(row, number) : `${hexField(row, number)}/${hexField(row, bits ?? 0n)}`;
    case "packet_type":
      return `(${number >> 16n},${hex(number & 0xffffn)})`;
    case "frag": {
      const found = Object.entries(fragments).find(
        ([, [want, wantMask]]) => BigInt(want) === number && BigInt(wantMask) === (bits ?? 3n),
      );
      return found?.[0] ?? String(number);
    }
    case "tcp_flags":
      return formatFlags(tcpFlags, Number(number), exact ? 0xfff : Number(bits), 0xfff);
    case "ct_state":
      return formatFlags(ctStates, Number(number), exact ? 0xff : Number(bits), 0xff);
    case "tun_flags":
      return formatFlags(tunnelFlags, Number(number), exact ? 1 : Number(bits), 0xf) || "0";
  }
}

function hexField(row: FieldRow, value: bigint): string {
  return row.name === "eth_type"
    ? `0x${value.toString(16).padStart(4, "0")}`
    : hex(value) === "0" && row.format === "hex"
      ? "0"
      : hex(value);
}
