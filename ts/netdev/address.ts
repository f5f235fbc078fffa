import { formatIpv6, parseIpv4, parseIpv6 } from "../openflow/index.js";

/** IP addresses as 16 bytes, IPv4 ones mapped into IPv6, and networks of them. */

export const anyAddress: Uint8Array = new Uint8Array(16);
const mappedBits = 96;

export interface Network {
  readonly address: Uint8Array;
  /** Of the 128 bits. */
  readonly prefixLength: number;
}

export function mapIpv4(ipv4: Uint8Array): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...ipv4);
}

export function isMapped(bytes: Uint8Array): boolean {
  return bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
}

export function isAny(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

export function formatAddress(bytes: Uint8Array): string {
  return isMapped(bytes) ? [...bytes.subarray(12)].join(".") : formatIpv6(bytes);
}

export function parseAddress(text: string): Uint8Array | undefined {
  if (text.includes(":")) return parseIpv6(text);
  const ipv4 = parseIpv4(text);
  return ipv4 === undefined ? undefined : mapIpv4(ipv4);
}

/** Reads `1.2.3.4/24`, `1.2.3.4/255.255.255.0` or an address alone. */
export function parseNetwork(text: string): Network | undefined {
  const [left = "", right] = text.split("/");
  const address = parseAddress(left);
  if (address === undefined) return undefined;
  const whole = isMapped(address) ? 32 : 128;
  const bits = right === undefined ? whole : /^\d+$/.test(right) ? Number(right) : maskLength(right);
  if (bits === undefined || bits > whole) return undefined;
  return { address, prefixLength: bits + 128 - whole };
}

/** Why the text is no network of the family, in the words of Open vSwitch; undefined if it is one. */
export function networkFault(text: string, isIpv4: boolean): string | undefined {
  const network = parseNetwork(text);
  if (network !== undefined && text.includes(":") !== isIpv4) return undefined;
  const [left = "", right = ""] = text.split("/");
  const whole = isIpv4 ? 32 : 128;
  const family = isIpv4 ? "IPv4" : "IPv6";
  if ((isIpv4 ? parseIpv4(left) : parseIpv6(left)) !== undefined) {
    if (/^-?\d+$/.test(right) && (Number(right) < 0 || Number(right) > whole))
      return `${text}: ${family} network prefix bits not between 0 and ${whole}, inclusive`;
    if ((isIpv4 ? parseIpv4(right) : parseIpv6(right)) !== undefined)
      return `${text}: ${isIpv4 ? "" : "IPv6 "}CIDR network required`;
    if (!isIpv4 && right !== "") return `${text}: Invalid IPv6 mask`;
  }
  return `${text}: invalid ${isIpv4 ? "IP" : "IPv6"} address`;
}

/** Bits of a mask written as an address; undefined when they are not the first ones. */
function maskLength(text: string): number | undefined {
  const mask = parseAddress(text);
  if (mask === undefined) return undefined;
  const bits = [...(isMapped(mask) ? mask.subarray(12) : mask)]
    .map((byte) => byte.toString(2).padStart(8, "0"))
    .join("");
  return /^1*0*$/.test(bits) ? bits.lastIndexOf("1") + 1 : undefined;
}

/** The address with all bits behind the prefix zero. */
export function maskAddress({ address, prefixLength }: Network): Uint8Array {
  return address.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, prefixLength - 8 * index))));
}

/** Whether the address is on the network. */
export function isOn(network: Network, address: Uint8Array): boolean {
  const a = maskAddress(network);
  const b = maskAddress({ address, prefixLength: network.prefixLength });
  return isMapped(network.address) === isMapped(address) && a.every((byte, index) => byte === b[index]);
}

export function formatNetwork({ address, prefixLength }: Network): string {
  return `${formatAddress(address)}/${isMapped(address) ? prefixLength - mappedBits : prefixLength}`;
}
