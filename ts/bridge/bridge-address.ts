/** Which Ethernet address a bridge and its local port get, and the datapath id that follows from it.  Pure. */
import type { Uuid } from "../ovsdb/index.js";

/** An Ethernet address as a number of 48 bits. */
export type Mac = bigint;

export const macBytes = (mac: Mac): Uint8Array =>
  Uint8Array.from({ length: 6 }, (_, index) => Number((mac >> BigInt(40 - 8 * index)) & 0xffn));

export function parseMac(text: string): Mac | undefined {
  const match =
    /^([0-9a-f]{1,2}):([0-9a-f]{1,2}):([0-9a-f]{1,2}):([0-9a-f]{1,2}):([0-9a-f]{1,2}):([0-9a-f]{1,2})$/i.exec(text);
  if (match === null) return undefined;
  return match.slice(1).reduce((mac, byte) => (mac << 8n) | BigInt(Number.parseInt(byte, 16)), 0n);
}

export function formatMac(mac: Mac): string {
  return Array.from({ length: 6 }, (_, index) =>
    Number((mac >> BigInt(40 - 8 * index)) & 0xffn)
      .toString(16)
      .padStart(2, "0"),
  ).join(":");
}

export const isMulticast = (mac: Mac): boolean => (mac & 0x0100_0000_0000n) !== 0n;
const isLocallyAdministered = (mac: Mac): boolean => (mac & 0x0200_0000_0000n) !== 0n;
/** Unicast addresses of link protocols (EDP, EAPS), which NORMAL does not forward and a bridge must not take. */
const reservedUnicast: ReadonlySet<Mac> = new Set([0x00e0_2b00_0000n, 0x00e0_2b00_0004n, 0x00e0_2b00_0006n]);
const isUsable = (mac: Mac): boolean => mac !== 0n && !isMulticast(mac) && !reservedUnicast.has(mac);

export interface AddressCandidate {
  /** Name of the interface whose address it is. */
  readonly name: string;
  readonly mac: Mac | undefined;
  /** The local port, the output port of a mirror, or an internal port that the bridge itself made. */
  readonly excluded: boolean;
}

/** The address of a bridge: what `other_config:hwaddr` says, else the numerically lowest unicast, globally administered
 *  address among its ports, else one made from the row's UUID.  `from` is the interface that gave it. */
export function bridgeAddress(
  hwaddr: string | undefined,
  candidates: readonly AddressCandidate[],
  uuid: Uuid,
): { mac: Mac; from: string | undefined; bad: string | undefined } {
  let bad: string | undefined;
  if (hwaddr !== undefined) {
    const mac = parseMac(hwaddr);
    if (mac !== undefined && isUsable(mac)) return { mac, from: undefined, bad: undefined };
    bad = hwaddr;
  }
  let best: AddressCandidate | undefined;
  for (const candidate of candidates) {
    const { mac, excluded } = candidate;
    if (excluded || mac === undefined || !isUsable(mac) || isLocallyAdministered(mac)) continue;
    if (best?.mac === undefined || mac < best.mac) best = candidate;
  }
  if (best?.mac !== undefined) return { mac: best.mac, from: best.name, bad };
  return { mac: addressFromUuid(uuid), from: undefined, bad };
}

/** The first six bytes of the UUID as the hosts that we run on keep it (32-bit words, little-endian), made unicast and
 *  locally administered. */
export function addressFromUuid(uuid: Uuid): Mac {
  const digits = uuid.replaceAll("-", "");
  const byte = (index: number): number => Number.parseInt(digits.slice(2 * index, 2 * index + 2), 16);
  const bytes = [byte(3), byte(2), byte(1), byte(0), byte(7), byte(6)];
  bytes[0] = ((bytes[0] ?? 0) & ~1) | 2;
  return bytes.reduce((mac, value) => (mac << 8n) | BigInt(value), 0n);
}

/** `other_config:datapath-id` when it is exactly 16 hexadecimal digits, or 0x and at most 16, and not zero; else the
 *  bridge's address. */
export function datapathId(wished: string | undefined, mac: Mac): bigint {
  if (wished !== undefined) {
    const plain = /^[0-9a-f]{16}$/i.test(wished);
    const prefixed = /^0x[0-9a-f]{1,16}$/i.test(wished);
    if (plain || prefixed) {
      const id = BigInt(plain ? `0x${wished}` : wished);
      if (id !== 0n) return id;
    }
  }
  return mac;
}

export function formatDatapathId(id: bigint): string {
  return id.toString(16).padStart(16, "0");
}
