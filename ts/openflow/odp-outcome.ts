import { datapathLayouts, type Layout, memberOffset } from "./abi.js";
import { KeyMatch } from "./key-match.js";
import { labelStack } from "./label-stack.js";
import { datapathOpcodes } from "./tables/opcodes.js";

/** What datapath actions do to a packet on its way out, as exporters tell it: its labels and its tunnel. */

export interface OuterHeader {
  /** IP protocol; 0 when only the tunnel's port knows it. */
  readonly protocol: number;
  readonly src: Uint8Array;
  readonly dst: Uint8Array;
  readonly tos: number;
  readonly vni: number;
}

export interface Outcome {
  /** Label stack entries, outermost first; empty if the actions touch none. */
  readonly labels: readonly number[];
  /** The one tunnel that the packet goes into. */
  readonly tunnel: OuterHeader | undefined;
}

const opcode = Object.fromEntries(datapathOpcodes.map((row) => [row.name, row.opcode])) as Readonly<
  Record<string, number>
>;
const layoutOf = (name: string): Layout => datapathLayouts.get(opcode[name] as number) as Layout;
const offset = (name: string, member: string): number => memberOffset(layoutOf(name), member);
const at = {
  lse: offset("push_mpls", "lse"),
  matchSize: offset("set", "match_size"),
  words: offset("tunnel_set", "words"),
  headerSize: offset("tunnel_push", "header_size"),
};
const bottom = 0x100;

/** `entries` is the label stack that the packet came with. */
export function datapathOutcome(actions: Uint8Array, entries: readonly number[]): Outcome {
  const view = new DataView(actions.buffer, actions.byteOffset, actions.byteLength);
  const labels = [...entries];
  let relabelled = false;
  let tunnel: OuterHeader | undefined;
  let tunnels = 0;
  const walk = (from: number, end: number): void => {
    for (let start = from; start + 8 <= end; ) {
      const number = view.getUint16(start, true);
      const size = view.getUint16(start + 2, true);
      if (size < 8 || start + size > end) return;
      if (number === opcode["push_mpls"]) {
        labels.unshift(view.getUint32(start + at.lse, true));
        relabelled = true;
      } else if (number === opcode["pop_mpls"]) {
        labels.shift();
        relabelled = true;
      } else if (number === opcode["set"]) {
        const match = new KeyMatch();
        match.read(actions, start + layoutOf("set").size, view.getUint32(start + at.matchSize, true));
        const [entry] = labelStack(match);
        if (entry !== undefined && entry.mask !== 0) {
          labels[0] = (((labels[0] ?? 0) & ~entry.mask) | (entry.value & entry.mask)) >>> 0;
          relabelled = true;
        }
      } else if (number === opcode["tunnel_set"]) {
        tunnels++;
        tunnel = tunnelOfWords(actions.subarray(start + at.words, start + at.words + 64));
      } else if (number === opcode["tunnel_push"]) {
        tunnels++;
        const header = start + layoutOf("tunnel_push").size;
        tunnel = tunnelOfHeader(actions.subarray(header, header + view.getUint16(start + at.headerSize, true)));
      } else if (number === opcode["clone"]) {
        walk(start + layoutOf("clone").size, start + size);
      }
      start += size;
    }
  };
  walk(0, actions.length);
  const stack = labels.map((label, index) => (index === labels.length - 1 ? label | bottom : label & ~bottom) >>> 0);
  return { labels: relabelled ? stack : [], tunnel: tunnels === 1 ? tunnel : undefined };
}

/** The tunnel that the key's words of it tell of; undefined if none, or one over IPv6. */
export function tunnelOfWords(words: Uint8Array): OuterHeader | undefined {
  const view = new DataView(words.buffer, words.byteOffset, words.byteLength);
  if (view.getUint32(12) === 0) return undefined;
  return {
    protocol: 0,
    src: words.slice(8, 12),
    dst: words.slice(12, 16),
    tos: words[50] as number,
    vni: view.getUint32(4),
  };
}

const ports = { vxlan: 4789, geneve: 6081 } as const;

/** The tunnel of built headers: Ethernet, IPv4, and GRE or UDP with something. */
function tunnelOfHeader(bytes: Uint8Array): OuterHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 38 || view.getUint16(12) !== 0x0800) return undefined;
  const protocol = bytes[23] as number;
  let vni = 0;
  if (protocol === 47 && bytes.length >= 42 && (view.getUint16(34) & 0x2000) !== 0) {
    const keyAt = 38 + ((view.getUint16(34) & 0x8000) === 0 ? 0 : 4);
    vni = keyAt + 4 <= bytes.length ? view.getUint32(keyAt) : 0;
  } else if (protocol === 17 && bytes.length >= 50) {
    const port = view.getUint16(36);
    if (port === ports.vxlan || port === ports.geneve) vni = view.getUint32(46) >>> 8;
  }
  return { protocol, src: bytes.slice(26, 30), dst: bytes.slice(30, 34), tos: bytes[15] as number, vni };
}
