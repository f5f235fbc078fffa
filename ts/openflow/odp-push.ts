import { constantSets } from "../datapath/tables/constants.js";
import { datapathLayouts, memberOffset } from "./abi.js";
import { datapathOpcodes } from "./tables/opcodes.js";
import { formatEth, formatIpv4, formatIpv6 } from "./text-value.js";

/** The headers that a tunnel's packets get, as text: `tnl_push(tnl_port(4789),header(size=50,type=4,eth(..),..),out_port(1))`. */

const row = datapathOpcodes.find((each) => each.name === "tunnel_push");
const layout = datapathLayouts.get(row?.opcode ?? 0);
if (layout === undefined) throw new Error("there is no datapath action tunnel_push");
const at = {
  header: layout.size,
  tunnelPort: memberOffset(layout, "tunnel_port"),
  outPort: memberOffset(layout, "out_port"),
  size: memberOffset(layout, "header_size"),
  type: memberOffset(layout, "tunnel_type"),
};

/** Reads a header from its bytes, which are in network order. */
class Header {
  constructor(
    readonly view: DataView,
    readonly bytes: Uint8Array,
  ) {}
  u8(offset: number): number {
    return this.view.getUint8(offset);
  }
  u16(offset: number): number {
    return this.view.getUint16(offset);
  }
  u32(offset: number): number {
    return this.view.getUint32(offset);
  }
  part(offset: number, size: number): Uint8Array {
    return this.bytes.subarray(offset, offset + size);
  }
}

const hex = (value: number): string => `0x${value.toString(16)}`;
/** As C prints %#x. */
const hexOrZero = (value: number): string => (value === 0 ? "0" : hex(value));

const udp = (header: Header, l4: number): string =>
  `udp(src=${header.u16(l4)},dst=${header.u16(l4 + 2)},csum=${hex(header.u16(l4 + 6))}),`;

function vxlan(header: Header, l4: number): string {
  return `${udp(header, l4)}vxlan(flags=${hex(header.u32(l4 + 8))},vni=${hex(header.u32(l4 + 12) >>> 8)})`;
}

function geneve(header: Header, l4: number): string {
  const begin = l4 + 8;
  const marks = `${(header.u8(begin + 1) & 0x80) === 0 ? "" : "oam,"}${(header.u8(begin + 1) & 0x40) === 0 ? "" : "crit,"}`;
  const optionsSize = 4 * (header.u8(begin) & 0x3f);
  const options = optionsSize === 0 ? "" : `,options(${geneveOptions(header.part(begin + 8, optionsSize))})`;
  return `${udp(header, l4)}geneve(${marks}vni=${hex(header.u32(begin + 4) >>> 8)}${options})`;
}

/** `{class=0xffff,type=0x80,len=4,0xa}` for each option. */
export function geneveOptions(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let text = "";
  for (let offset = 0; offset + 4 <= bytes.length; ) {
    const size = 4 * (view.getUint8(offset + 3) & 0x1f);
    const data = [...bytes.subarray(offset + 4, offset + 4 + size)]
      .map((byte) => byte.toString(16).padStart(2, "0"))
      .join("")
      .replace(/^0+(?=.)/, "");
    const value = size === 0 ? "" : `,0x${data}`;
    text += `{class=${hexOrZero(view.getUint16(offset))},type=${hexOrZero(view.getUint8(offset + 2))},len=${size}${value}}`;
    offset += 4 + size;
  }
  return text;
}

function gre(header: Header, l4: number): string {
  const flags = header.u16(l4);
  let offset = l4 + 4;
  let text = `gre((flags=${hex(flags)},proto=${hex(header.u16(l4 + 2))})`;
  if ((flags & 0x8000) !== 0) {
    text += `,csum=${hex(header.u16(offset))}`;
    offset += 4;
  }
  if ((flags & 0x2000) !== 0) {
    text += `,key=${hex(header.u32(offset))}`;
    offset += 4;
  }
  if ((flags & 0x1000) !== 0) text += `,seq=${hex(header.u32(offset))}`;
  return `${text})`;
}

function erspan(header: Header, l4: number): string {
  const begin = l4 + 8;
  const version = header.u8(begin) >> 4;
  const session = hex(header.u16(begin + 2) & 0x3ff);
  if (version === 1) return `erspan(ver=1,sid=${session},idx=${hex(header.u32(begin + 4))})`;
  const last = header.u16(begin + 10);
  return `erspan(ver=2,sid=${session},dir=${(last >> 3) & 1},hwid=${hex((last >> 4) & 0x3f)})`;
}

function gtpu(header: Header, l4: number): string {
  const begin = l4 + 8;
  return (
    `${udp(header, l4)}gtpu(flags=${hex(header.u8(begin))},msgtype=${header.u8(begin + 1)},` +
    `teid=${hex(header.u32(begin + 4))})`
  );
}

/** By type: the number that the kernel has for it, and how its own header prints. */
const forms: Readonly<Record<string, readonly [vport: number, print: (header: Header, l4: number) => string]>> = {
  gre: [3, gre],
  vxlan: [4, vxlan],
  geneve: [5, geneve],
  erspan: [107, erspan],
  ip6erspan: [108, erspan],
  ip6gre: [109, gre],
  gtpu: [110, gtpu],
};
const types = new Map(
  constantSets.find((set) => set.prefix === "tunnel_type")?.rows.map((each) => [each.value, forms[each.name]] as const),
);

function outerHeaders(header: Header): readonly [text: string, l4: number] {
  const type = header.u16(12);
  const eth =
    `eth(dst=${formatEth(header.part(0, 6))},src=${formatEth(header.part(6, 6))},` +
    `dl_type=0x${type.toString(16).padStart(4, "0")}),`;
  if (type === 0x0800) {
    const ip =
      `ipv4(src=${formatIpv4(header.part(26, 4))},dst=${formatIpv4(header.part(30, 4))},proto=${header.u8(23)},` +
      `tos=${hexOrZero(header.u8(15))},ttl=${header.u8(22)},frag=${hex(header.u16(20))}),`;
    return [eth + ip, 34];
  }
  const first = header.u32(14);
  const ip =
    `ipv6(src=${formatIpv6(header.part(22, 16))},dst=${formatIpv6(header.part(38, 16))},label=${first & 0xfffff},` +
    `proto=${header.u8(20)},tclass=${hex((first >>> 20) & 0xff)},hlimit=${header.u8(21)}),`;
  return [eth + ip, 54];
}

/** The action at `start`. */
export function formatTunnelPush(actions: Uint8Array, start: number, portName: (port: number) => string): string {
  const view = new DataView(actions.buffer, actions.byteOffset, actions.byteLength);
  const size = view.getUint16(start + at.size, true);
  const bytes = actions.subarray(start + at.header, start + at.header + size);
  const header = new Header(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), bytes);
  const form = types.get(view.getUint8(start + at.type));
  const [outer, l4] = outerHeaders(header);
  return (
    `tnl_push(tnl_port(${portName(view.getUint32(start + at.tunnelPort, true))}),header(size=${size},` +
    `type=${form?.[0] ?? 0},${outer}${form?.[1](header, l4) ?? ""}),` +
    `out_port(${portName(view.getUint32(start + at.outPort, true))}))`
  );
}
