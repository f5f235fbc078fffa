import { actionLayout, memberOffset, opcodeOf } from "./abi.js";
import { beginAction, beginForm, endAction, endForm } from "./action-record.js";
import { ByteWriter } from "./bytes.js";
import { FlowSyntaxError, OpenFlowError } from "./error.js";
import type { SpecialCodec } from "./special-codec.js";
import { keyValues } from "./text-match.js";
import { needNumber } from "./text-value.js";

/** encap and decap: their wire forms and their text.  Properties of encap are kept as the wire has them: a class, a
 *  type, a length without padding, and the value, padded to 8 bytes. */

const encapLayout = actionLayout(opcodeOf("encap"));
const decapLayout = actionLayout(opcodeOf("decap"));
const at = {
  headerSize: memberOffset(encapLayout, "hdr_size"),
  newType: memberOffset(encapLayout, "new_pkt_type"),
  propsSize: memberOffset(encapLayout, "props_size"),
  props: encapLayout.size,
  decapType: memberOffset(decapLayout, "new_pkt_type"),
};

/** Packet types: the namespace in the upper 16 bits, 0 Ethernet, 1 Ethernet types. */
export const packetTypeEthernet = 0;
const packetTypeNsh = 0x1894f;
const useNextProtocol = 0xfffe;
const headers = new Map([
  ["ethernet", packetTypeEthernet],
  ["nsh", packetTypeNsh],
  ["mpls", 0x18847],
  ["mpls_mc", 0x18848],
]);
const headerNames = new Map(Array.from(headers, ([name, type]) => [type, name]));
const nshClass = 4;
const mdType = 1;
const tlv = 2;
const wireHeader = 16;

/** Judges the property at `from` and returns where the next one is. */
function checkProperty(bytes: Uint8Array, view: DataView, from: number, end: number): number {
  const size = end - from < 4 ? 0 : (bytes[from + 3] as number);
  const padded = (size + 7) & ~7;
  if (size < 4 || padded > end - from)
    throw new OpenFlowError("OFPBAC_BAD_LEN", `a property of encap has a length of ${size} bytes`);
  const type = bytes[from + 2] as number;
  if (view.getUint16(from) !== nshClass || (type !== mdType && type !== tlv))
    throw new OpenFlowError("NXBAC_UNKNOWN_ED_PROP", `encap has no property ${type} of class ${view.getUint16(from)}`);
  const wrong = type === mdType ? size > 8 : size !== 8 + (((bytes[from + 7] as number) + 7) & ~7);
  if (wrong) throw new OpenFlowError("NXBAC_BAD_ED_PROP", `property ${type} of encap has a length of ${size} bytes`);
  return from + padded;
}

export const encap: SpecialCodec = {
  decode({ bytes, view, start, end, out, codec }) {
    if (end - start < wireHeader) throw new OpenFlowError("OFPBAC_BAD_LEN", "action encap is too short");
    const type = view.getUint32(start + 12);
    if (!headerNames.has(type))
      throw new OpenFlowError("NXBAC_BAD_HEADER_TYPE", `encap cannot push a header of type ${type}`, { type });
    for (let from = start + wireHeader; from < end; ) from = checkProperty(bytes, view, from, end);
    const begin = beginAction(out, codec.opcode);
    out.view.setUint16(begin + at.headerSize, view.getUint16(start + 10), true);
    out.view.setUint32(begin + at.newType, type, true);
    out.view.setUint32(begin + at.propsSize, end - start - wireHeader, true);
    for (let from = start + wireHeader; from < end; ) {
      const next = from + (((bytes[from + 3] as number) + 7) & ~7);
      putProperty(out, bytes, from);
      from = next;
    }
    endAction(out, begin);
  },
  encode({ codec, record, out }) {
    const { bytes, view, start } = record;
    const begin = beginForm(out, codec.form);
    out.u16(view.getUint16(start + at.headerSize, true));
    out.u32(view.getUint32(start + at.newType, true));
    const props = start + at.props;
    out.put(bytes, props, props + view.getUint32(start + at.propsSize, true));
    endForm(out, begin);
    return true;
  },
};

/** Appends a property in its one normal form. */
function putProperty(out: ByteWriter, bytes: Uint8Array, from: number): void {
  const size = bytes[from + 3] as number;
  if (bytes[from + 2] === mdType) {
    // The length does not count the padding.
    putMdType(out, bytes[from + 4] as number);
    return;
  }
  out.put(bytes, from, from + ((size + 7) & ~7));
}

function putMdType(out: ByteWriter, value: number): void {
  out.u16(nshClass);
  out.u8(mdType);
  out.u8(5);
  out.u8(value);
  out.zeros(3);
}

export const decap: SpecialCodec = {
  decode({ view, start, end, out, codec }) {
    if (end - start > wireHeader) throw new OpenFlowError("NXBAC_UNKNOWN_ED_PROP", "decap has no properties");
    const begin = beginAction(out, codec.opcode);
    out.view.setUint32(begin + at.decapType, view.getUint32(start + 12), true);
    endAction(out, begin);
  },
  encode({ codec, record, out }) {
    const begin = beginForm(out, codec.form);
    out.zeros(2);
    out.u32(record.view.getUint32(record.start + at.decapType, true));
    endForm(out, begin);
    return true;
  },
};

/** The new packet type of an encap or decap record. */
export function newPacketType(view: DataView, start: number, isEncap: boolean): number {
  return view.getUint32(start + (isEncap ? at.newType : at.decapType), true);
}

/** `nsh(md_type=2,tlv(0x1000,10,0x12345678))`, what stands in encap's parentheses. */
export function parseEncap(argument: string): { readonly newType: number; readonly props: Uint8Array } {
  const header = keyValues(argument)[0];
  if (header === undefined) throw new FlowSyntaxError(`Missing encap hdr: ${argument}`);
  const newType = headers.get(header.key);
  if (newType === undefined) throw new FlowSyntaxError(`Encap hdr not supported: ${header.value ?? ""}`);
  const out = new ByteWriter(64);
  for (const { key, value } of keyValues(header.value ?? "")) {
    const isNsh = newType === packetTypeNsh;
    if (!isNsh || (key !== "md_type" && key !== "tlv")) throw new FlowSyntaxError(`Invalid property: ${key}`);
    if (value === undefined) throw new FlowSyntaxError(`Missing the value for property: ${key}`);
    if (value === "") throw new FlowSyntaxError("Value missing for encap property");
    if (key === "md_type") {
      const type = Number(needNumber(value, 8, "md_type"));
      if (type < 1 || type > 2) throw new FlowSyntaxError("invalid md_type");
      putMdType(out, type);
    } else putTlv(out, value);
  }
  return { newType, props: out.finish() };
}

function putTlv(out: ByteWriter, text: string): void {
  const found = /^0x([0-9a-fA-F]{1,4}),(\d{1,3}),0x([0-9a-fA-F]{1,251})$/.exec(text);
  if (found === null) throw new FlowSyntaxError(`Invalid NSH TLV header: ${text}`);
  const data = Uint8Array.from((found[3] as string).match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  const begin = out.position;
  out.u16(nshClass);
  out.u8(tlv);
  out.u8((8 + ((data.length + 7) & ~7)) & 0xff);
  out.u16(Number.parseInt(found[1] as string, 16));
  out.u8(Number(found[2]) & 0xff);
  out.u8(data.length);
  out.put(data);
  out.align(8, begin);
}

export function formatEncap(bytes: Uint8Array, view: DataView, start: number): string {
  const name = headerNames.get(view.getUint32(start + at.newType, true)) ?? "UNKNOWN";
  const parts: string[] = [];
  const end = start + at.props + view.getUint32(start + at.propsSize, true);
  for (let from = start + at.props; from < end; from += ((bytes[from + 3] as number) + 7) & ~7) {
    if (bytes[from + 2] === mdType) parts.push(`md_type=${bytes[from + 4]}`);
    else {
      const data = bytes.subarray(from + 8, from + 8 + (bytes[from + 7] as number));
      const value = Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
      parts.push(
        `tlv(0x${view
          .getUint16(from + 4)
          .toString(16)
          .padStart(4, "0")},${bytes[from + 6]},0x${value})`,
      );
    }
  }
  return `encap(${name}${parts.length === 0 ? "" : `(${parts.join(",")})`})`;
}

/** What stands in decap's parentheses: nothing, or the packet type of the result. */
export function parseDecap(argument: string): number {
  const first = keyValues(argument)[0];
  if (first === undefined) return useNextProtocol;
  if (first.key !== "packet_type") throw new FlowSyntaxError(`Invalid decap argument: ${first.key}`);
  const [ns, type] = keyValues(first.value ?? "");
  if (ns?.key !== "ns") throw new FlowSyntaxError("Missing packet_type attribute ns");
  const namespace = Number(needNumber(ns.value ?? "", 16, "ns"));
  if (namespace > 1) throw new FlowSyntaxError(`Unsupported ns value: ${namespace}`);
  if (type?.key !== "type") throw new FlowSyntaxError("Missing packet_type attribute type");
  return namespace * 0x10000 + Number(needNumber(type.value ?? "", 16, "type"));
}

export function formatDecap(view: DataView, start: number): string {
  const type = view.getUint32(start + at.decapType, true);
  if (type === useNextProtocol) return "decap()";
  const id = type & 0xffff;
  return `decap(packet_type(ns=${type >>> 16},type=${id === 0 ? "0" : `0x${id.toString(16)}`}))`;
}
