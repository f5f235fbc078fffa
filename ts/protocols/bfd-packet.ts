/** BFD's control packets (RFC 5880, section 4.1), and the frames that carry them (RFC 5881).  Pure. */
import { internetChecksum } from "./internet-checksum.js";

export const bfdVersion = 1;
export const bfdPacketSize = 24;
/** RFC 5881, section 4. */
const bfdUdpPort = 3784;

/** In the order of their numbers on the wire. */
export const bfdSessionStates = ["admin_down", "down", "init", "up"] as const;
export type BfdSessionState = (typeof bfdSessionStates)[number];

/** From the least to the greatest bit, which is the order that they are shown in. */
export const bfdFlag = { multipoint: 1, demand: 2, auth: 4, ctl: 8, final: 16, poll: 32 } as const;
const flagMask = 0x3f;

export const bfdDiagnostic = {
  none: 0,
  expired: 1,
  echoFailed: 2,
  remoteDown: 3,
  forwardingReset: 4,
  pathDown: 5,
  concatenatedPathDown: 6,
  adminDown: 7,
  reverseConcatenatedPathDown: 8,
} as const;

const diagnosticTexts = [
  "No Diagnostic",
  "Control Detection Time Expired",
  "Echo Function Failed",
  "Neighbor Signaled Session Down",
  "Forwarding Plane Reset",
  "Path Down",
  "Concatenated Path Down",
  "Administratively Down",
  "Reverse Concatenated Path Down",
];

export function bfdDiagnosticText(diagnostic: number): string {
  return diagnosticTexts[diagnostic] ?? "Invalid Diagnostic";
}

export function bfdFlagsText(flags: number): string {
  const set = Object.entries(bfdFlag).filter(([, bit]) => (flags & bit) !== 0);
  return set.length === 0 ? "none" : set.map(([name]) => name).join(" ");
}

/** Times are in microseconds, as on the wire. */
export interface BfdMessage {
  readonly version: number;
  readonly diagnostic: number;
  readonly state: BfdSessionState;
  /** Of `bfdFlag`. */
  readonly flags: number;
  readonly mult: number;
  readonly length: number;
  readonly myDisc: number;
  readonly yourDisc: number;
  readonly minTxUs: number;
  readonly minRxUs: number;
  readonly minRxEchoUs: number;
}

export function composeBfd(message: BfdMessage): Uint8Array {
  const bytes = new Uint8Array(bfdPacketSize);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, (message.version << 5) | message.diagnostic);
  view.setUint8(1, (bfdSessionStates.indexOf(message.state) << 6) | message.flags);
  view.setUint8(2, message.mult);
  view.setUint8(3, message.length);
  const words = [message.myDisc, message.yourDisc, message.minTxUs, message.minRxUs, message.minRxEchoUs];
  for (const [index, word] of words.entries()) view.setUint32(4 + 4 * index, word);
  return bytes;
}

/** Undefined for what is too short. */
export function parseBfd(bytes: Uint8Array): BfdMessage | undefined {
  if (bytes.length < bfdPacketSize) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    version: view.getUint8(0) >>> 5,
    diagnostic: view.getUint8(0) & 0x1f,
    state: bfdSessionStates[view.getUint8(1) >>> 6] ?? "down",
    flags: view.getUint8(1) & flagMask,
    mult: view.getUint8(2),
    length: view.getUint8(3),
    myDisc: view.getUint32(4),
    yourDisc: view.getUint32(8),
    minTxUs: view.getUint32(12),
    minRxUs: view.getUint32(16),
    minRxEchoUs: view.getUint32(20),
  };
}

export interface BfdAddresses {
  readonly ethSrc: Uint8Array;
  readonly ethDst: Uint8Array;
  readonly ipSrc: Uint8Array;
  readonly ipDst: Uint8Array;
  readonly udpSrc: number;
}

const ethernetSize = 14;
const ipSize = 20;
const udpSize = 8;
const ipv4 = 0x0800;
const udp = 17;
/** RFC 5881, section 5: nobody further away than the next hop can make such packets. */
export const bfdTtl = 255;
/** Precedence "internetwork control". */
const typeOfService = 0xc0;

export function bfdFrame(addresses: BfdAddresses, message: Uint8Array): Uint8Array {
  const frame = new Uint8Array(ethernetSize + ipSize + udpSize + message.length);
  const view = new DataView(frame.buffer);
  frame.set(addresses.ethDst, 0);
  frame.set(addresses.ethSrc, 6);
  view.setUint16(12, ipv4);
  const ip = ethernetSize;
  view.setUint8(ip, 0x45);
  view.setUint8(ip + 1, typeOfService);
  view.setUint16(ip + 2, ipSize + udpSize + message.length);
  view.setUint8(ip + 8, bfdTtl);
  view.setUint8(ip + 9, udp);
  frame.set(addresses.ipSrc, ip + 12);
  frame.set(addresses.ipDst, ip + 16);
  view.setUint16(ip + 10, internetChecksum(frame.subarray(ip, ip + ipSize)));
  // The checksum of UDP is left out: zero says so.
  view.setUint16(ip + ipSize, addresses.udpSrc);
  view.setUint16(ip + ipSize + 2, bfdUdpPort);
  view.setUint16(ip + ipSize + 4, udpSize + message.length);
  frame.set(message, ip + ipSize + udpSize);
  return frame;
}

/** What a frame of BFD says, which the datapath has found to be IPv4 and UDP; undefined if it ends before that. */
export function bfdOfFrame(frame: Uint8Array): { readonly ttl: number; readonly payload: Uint8Array } | undefined {
  let ip = ethernetSize;
  while (frame[ip - 2] === 0x81 || (frame[ip - 2] === 0x88 && frame[ip - 1] === 0xa8)) ip += 4;
  const payload = ip + 4 * ((frame[ip] ?? 0) & 0xf) + udpSize;
  if (frame.length < payload) return undefined;
  return { ttl: frame[ip + 8] ?? 0, payload: frame.subarray(payload) };
}
