/** Frames of IGMP, MLD and multicast, in hexadecimal. */

export interface Sender {
  readonly host: number;
  /** 0: untagged. */
  readonly vlan: number;
}

const sum = (bytes: readonly number[]): number => {
  let total = 0;
  for (let at = 0; at < bytes.length; at += 2) total += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >> 16);
  return ~total & 0xffff;
};
const word = (value: number): readonly number[] => [(value >> 8) & 0xff, value & 0xff];
const withSum = (bytes: readonly number[], at: number, pseudo: readonly number[] = []): readonly number[] => [
  ...bytes.slice(0, at),
  ...word(sum([...pseudo, ...bytes])),
  ...bytes.slice(at + 2),
];
const hex = (bytes: readonly number[]): string => Buffer.from(bytes).toString("hex");

function frame(sender: Sender, to: readonly number[], type: number, payload: readonly number[]): string {
  const tag = sender.vlan === 0 ? [] : [0x81, 0, ...word(sender.vlan)];
  return hex([...to, 0x50, 0x54, 0, 0, 0, sender.host, ...tag, ...word(type), ...payload]);
}

/** `224.1.1.x`, or 224.0.0.x with a false `far`. */
export const group4 = (number: number, far = true): readonly number[] => [224, far ? 1 : 0, far ? 1 : 0, number];
export const group6 = (number: number): readonly number[] => [0xff, 0x05, ...new Array<number>(13).fill(0), number];
const mac4 = (group: readonly number[]): readonly number[] => [1, 0, 0x5e, (group[1] ?? 0) & 0x7f, ...group.slice(2)];
const mac6 = (group: readonly number[]): readonly number[] => [0x33, 0x33, ...group.slice(12)];
const host4 = (sender: Sender): readonly number[] => [10, 0, 0, sender.host];
const host6 = (sender: Sender): readonly number[] => [0xfe, 0x80, ...new Array<number>(13).fill(0), sender.host];

function ipv4(
  sender: Sender,
  from: readonly number[],
  to: readonly number[],
  proto: number,
  l4: readonly number[],
): string {
  const header = [0x45, 0, ...word(20 + l4.length), 0, 1, 0x40, 0, 1, proto, 0, 0, ...from, ...to];
  return frame(sender, mac4(to), 0x0800, [...withSum(header, 10), ...l4]);
}

function ipv6(
  sender: Sender,
  from: readonly number[],
  to: readonly number[],
  next: number,
  l4: readonly number[],
): string {
  const header = [0x60, 0, 0, 0, ...word(l4.length), next, 1, ...from, ...to];
  return frame(sender, mac6(to), 0x86dd, [...header, ...l4]);
}

/** A message of IGMPv1 or v2; `damage` spoils its checksum. */
export function igmp(sender: Sender, type: number, group: readonly number[], from = host4(sender), damage = 0): string {
  // Without a time to answer in a query would be one of version 1, in which nobody leaves.
  const message = withSum([type, type === 0x11 ? 100 : 0, 0, 0, ...group], 2);
  const to = type === 0x11 ? group4(1, false) : group;
  return ipv4(sender, from, to, 2, [...message.slice(0, 3), (message[3] ?? 0) ^ damage, ...message.slice(4)]);
}

export interface ReportRecord {
  readonly type: number;
  readonly group: readonly number[];
  readonly sources: number;
}

const records = (all: readonly ReportRecord[], size: number): readonly number[] =>
  all.flatMap(({ type, group, sources }) => [
    ...[type, 0, ...word(sources), ...group],
    ...new Array<number>(sources * size).fill(1),
  ]);

export function igmp3(sender: Sender, all: readonly ReportRecord[]): string {
  const message = withSum([0x22, 0, 0, 0, 0, 0, ...word(all.length), ...records(all, 4)], 2);
  return ipv4(sender, host4(sender), group4(22, false), 2, message);
}

function mld(sender: Sender, from: readonly number[], to: readonly number[], message: readonly number[]): string {
  const pseudo = [...from, ...to, 0, 0, ...word(message.length), 0, 0, 0, 58];
  return ipv6(sender, from, to, 58, withSum(message, 2, pseudo));
}

export function mld1(sender: Sender, type: number, group: readonly number[], from = host6(sender)): string {
  return mld(sender, from, type === 130 ? [0xff, 2, ...new Array<number>(13).fill(0), 1] : group, [
    ...[type, 0, 0, 0, 0, 0, 0, 0],
    ...group,
  ]);
}

export function mld2(sender: Sender, all: readonly ReportRecord[]): string {
  const message = [143, 0, 0, 0, 0, 0, ...word(all.length), ...records(all, 16)];
  return mld(sender, host6(sender), [0xff, 2, ...new Array<number>(13).fill(0), 0x16], message);
}

/** The UDP port that data() is for. */
export const dataPort = 0x2000;

/** What is sent to a group. */
export function data(sender: Sender, group: readonly number[], from = host4(sender)): string {
  const payload = [0x10, 0, dataPort >> 8, dataPort & 0xff, 0, 12, 0, 0, 1, 2, 3, 4];
  return group.length === 4 ? ipv4(sender, from, group, 17, payload) : ipv6(sender, host6(sender), group, 17, payload);
}
