/** Random frames of a life's small world, in hexadecimal. */
import {
  bytesOf,
  isIp6,
  macs,
  networkLayer,
  type Protocol,
  protocolNumber,
  protocols,
  u16,
  vlans,
} from "./generate.js";
import type { Random } from "./random.js";
import type { Theme } from "./theme.js";

/** One extension header of a random kind before what `next` tells.  No fragment is the whole of its packet: there Open
 *  vSwitch 3.1 leaves the checksum wrong when it sets an address (packet_rh_present() takes it for a later fragment). */
function extensionHeader(random: Random, next: number): { kind: number; bytes: number[] } {
  switch (random.below(4)) {
    case 0:
      return { kind: 0, bytes: [next, 0, 1, 4, 0, 0, 0, 0] };
    case 1:
      return { kind: 43, bytes: [next, 0, 0, 0, 0, 0, 0, 0] };
    case 2:
      return { kind: 60, bytes: [next, 1, 1, 12, ...new Array<number>(12).fill(0)] };
    default:
      return { kind: 44, bytes: [next, 0, ...u16(random.pick([1, 0xb8, 0xb9])), 0, 0, 0, 9] };
  }
}

function withExtensions(random: Random, protocol: Protocol, bytes: readonly number[]): number[] {
  let next = protocolNumber[protocol] ?? 200;
  let body = bytes.slice(40);
  for (let n = 1 + random.below(2); n > 0; n--) {
    const header = extensionHeader(random, next);
    body = [...header.bytes, ...body];
    next = header.kind;
  }
  return [...bytes.slice(0, 4), ...u16(body.length), next, ...bytes.slice(7, 40), ...body];
}

/** One or two labels before a network header. */
function withLabels(random: Random, bytes: readonly number[]): number[] {
  const count = 1 + random.below(2);
  const entries = Array.from({ length: count }, (_, index) => {
    const isLast = index === count - 1 ? 1 : 0;
    const label = random.pick([16, 17, 18]);
    return [...u16(label >> 4), ((label & 15) << 4) | (random.below(8) << 1) | isLast, random.pick([1, 2, 64])];
  });
  return [...entries.flat(), ...bytes];
}

export function frameText(random: Random, theme: Theme): string {
  const protocol = random.pick(protocols);
  const layer = networkLayer(random, protocol);
  let bytes = layer.bytes;
  if (isIp6(protocol) && theme.fragments && random.chance(0.5)) bytes = withExtensions(random, protocol, bytes);
  const tag = (type: number): number[] => [...u16(type), ...u16((random.below(8) << 13) | random.pick(vlans))];
  const tags = random.pick([
    [],
    [],
    [],
    tag(0x8100),
    [...tag(0x88a8), ...tag(0x8100)],
    [...tag(0x8100), ...tag(0x8100)],
  ]);
  const isLabelled = theme.mpls && random.chance(0.4);
  const frame = [
    ...bytesOf(random.pick(macs)),
    ...bytesOf(random.pick(macs.slice(0, 3))),
    ...tags,
    ...u16(isLabelled ? random.pick([0x8847, 0x8847, 0x8848]) : layer.type),
    ...(isLabelled ? withLabels(random, bytes) : bytes),
  ];
  while (frame.length < 60) frame.push(0);
  return frame.map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
