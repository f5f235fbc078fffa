/** OpenFlow 1.3 messages that put rules into a switch, and packets through it, as bytes. */
import { message, messageType } from "./openflow-client.js";

const noBuffer = 0xffffffff;
const anyPort = 0xffffffff;
const controllerPort = 0xfffffffd;
const wholePacket = 0xffff;

/** The basic OXM fields that the questions use: number and width in bytes. */
const oxmFields = {
  in_port: [0, 4],
  eth_type: [5, 2],
  ip_proto: [10, 1],
  ipv4_src: [11, 4],
  ipv4_dst: [12, 4],
  tcp_src: [13, 2],
  tcp_dst: [14, 2],
  udp_src: [15, 2],
  udp_dst: [16, 2],
} as const;
type OxmName = keyof typeof oxmFields;
/** Fields to match, each a value or a value and its mask, in the order in which OXM wants prerequisites. */
export type Match = Partial<Record<OxmName, number | readonly [value: number, mask: number]>>;

export type Step = { readonly output: number } | { readonly goto: number } | "controller" | "drop";

/** The output port that has a switch forward by what it learned. */
export const normalPort = 0xfffffffa;

export interface Rule {
  readonly table?: number;
  readonly priority?: number;
  readonly match: Match;
  readonly step: Step;
}

function putNumber(bytes: number[], value: number, size: number): void {
  for (let shift = 8 * (size - 1); shift >= 0; shift -= 8) bytes.push((value >>> shift) & 0xff);
}

function padTo8(bytes: number[]): void {
  while (bytes.length % 8 !== 0) bytes.push(0);
}

function matchBytes(match: Match): number[] {
  const oxms: number[] = [];
  for (const name of Object.keys(oxmFields) as OxmName[]) {
    const wanted = match[name];
    if (wanted === undefined) continue;
    const [field, size] = oxmFields[name];
    const [value, mask] = typeof wanted === "number" ? [wanted, undefined] : wanted;
    oxms.push(0x80, 0x00, (field << 1) | (mask === undefined ? 0 : 1), mask === undefined ? size : 2 * size);
    putNumber(oxms, value, size);
    if (mask !== undefined) putNumber(oxms, mask, size);
  }
  const bytes: number[] = [];
  putNumber(bytes, 1, 2);
  putNumber(bytes, 4 + oxms.length, 2);
  bytes.push(...oxms);
  padTo8(bytes);
  return bytes;
}

function outputBytes(port: number): number[] {
  const bytes: number[] = [];
  putNumber(bytes, 0, 2);
  putNumber(bytes, 16, 2);
  putNumber(bytes, port, 4);
  putNumber(bytes, port === controllerPort ? wholePacket : 0, 2);
  bytes.push(0, 0, 0, 0, 0, 0);
  return bytes;
}

function stepBytes(step: Step): number[] {
  const bytes: number[] = [];
  if (step === "drop") return bytes;
  if (step !== "controller" && "goto" in step) {
    putNumber(bytes, 1, 2);
    putNumber(bytes, 8, 2);
    bytes.push(step.goto, 0, 0, 0);
    return bytes;
  }
  putNumber(bytes, 4, 2);
  putNumber(bytes, 24, 2);
  putNumber(bytes, 0, 4);
  bytes.push(...outputBytes(step === "controller" ? controllerPort : step.output));
  return bytes;
}

function flowModBytes(command: number, table: number, priority: number, tail: readonly number[]): Uint8Array {
  const body = new Uint8Array(40 + tail.length);
  const view = new DataView(body.buffer);
  view.setUint8(16, table);
  view.setUint8(17, command);
  view.setUint16(22, priority);
  view.setUint32(24, noBuffer);
  view.setUint32(28, anyPort);
  view.setUint32(32, anyPort);
  body.set(tail, 40);
  return message(messageType.flowMod, 0, body);
}

/** A flow_mod that adds a rule. */
export function addRule(rule: Rule): Uint8Array {
  const tail = [...matchBytes(rule.match), ...stepBytes(rule.step)];
  return flowModBytes(0, rule.table ?? 0, rule.priority ?? 100, tail);
}

/** A flow_mod that deletes the one rule of this match and priority. */
export function deleteRule(rule: Pick<Rule, "table" | "priority" | "match">): Uint8Array {
  return flowModBytes(4, rule.table ?? 0, rule.priority ?? 100, matchBytes(rule.match));
}

/** A flow_mod that deletes all rules of all tables. */
export function deleteRules(): Uint8Array {
  return flowModBytes(3, 255, 0, matchBytes({}));
}

/** A packet_out that sends `frame` to the controller. */
export function packetOutToController(frame: Uint8Array): Uint8Array {
  const head: number[] = [];
  putNumber(head, noBuffer, 4);
  putNumber(head, controllerPort, 4);
  putNumber(head, 16, 2);
  head.push(0, 0, 0, 0, 0, 0, ...outputBytes(controllerPort));
  return message(messageType.packetOut, 0, Uint8Array.of(...head, ...frame));
}

/** Messages one after another in one buffer. */
export function join(messages: Iterable<Uint8Array>): Uint8Array {
  return Buffer.concat([...messages]);
}

const onfVendor = 0x4f4e4600;
/** ONF's bundles for OpenFlow 1.3. */
const bundleType = { control: 2300, add: 2301 } as const;
const bundleId = 1;
/** Open, close and commit requests. */
export const bundleAct = { open: 0, commit: 4 } as const;

function bundleHead(type: number, word: number): number[] {
  const bytes: number[] = [];
  putNumber(bytes, onfVendor, 4);
  putNumber(bytes, type, 4);
  putNumber(bytes, bundleId, 4);
  putNumber(bytes, word, 2);
  // Ordered and atomic.
  putNumber(bytes, 3, 2);
  return bytes;
}

export function bundleControl(act: number): Uint8Array {
  return message(messageType.experimenter, 0, Uint8Array.from(bundleHead(bundleType.control, act)));
}

/** The messages in `all`, each of `size` bytes, as additions to a bundle. */
export function bundled(all: Uint8Array, size: number): Uint8Array {
  const head = message(
    messageType.experimenter,
    0,
    Uint8Array.of(...bundleHead(bundleType.add, 0), ...all.subarray(0, size)),
  );
  const out = Buffer.alloc((all.length / size) * head.length);
  for (let from = 0, to = 0; from < all.length; from += size, to += head.length) {
    out.set(head, to);
    out.set(all.subarray(from, from + size), to + head.length - size);
  }
  return out;
}

/** Bytes of each message of `sourceRules`. */
export const sourceRuleSize = 96;

/** `count` flow_mods that differ in their source address, all of one mask. */
export function sourceRules(count: number, step: Step = { output: 1 }): Uint8Array {
  const first = addRule({ match: { eth_type: 0x0800, ipv4_src: 0x0a000000 }, step });
  const size = sourceRuleSize;
  // Header 8, flow_mod 40, match header 4, eth_type 6, OXM header 4.
  const addressAt = 8 + 40 + 4 + 6 + 4;
  const all = Buffer.alloc(size * count);
  for (let index = 0; index < count; index++) {
    all.set(first, index * size);
    all.writeUInt32BE(0x0a000000 + index, index * size + addressAt);
  }
  return all;
}

/** `count` flow_mods that each match one TCP connection. */
export function connectionRules(count: number): Uint8Array {
  const match = { eth_type: 0x0800, ip_proto: 6, ipv4_src: 0x0a000000, ipv4_dst: 0x0b000000, tcp_src: 0, tcp_dst: 443 };
  const first = addRule({ match, step: { output: 1 } });
  const size = first.length;
  // As above, and the protocol's OXM of 5.
  const addressAt = 8 + 40 + 4 + 6 + 5 + 4;
  const portAt = addressAt + 4 + 8 + 4;
  const all = Buffer.alloc(size * count);
  for (let index = 0; index < count; index++) {
    all.set(first, index * size);
    all.writeUInt32BE(0x0a000000 + (index >>> 4), index * size + addressAt);
    all.writeUInt16BE(1024 + (index & 15), index * size + portAt);
  }
  return all;
}
