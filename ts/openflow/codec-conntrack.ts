import type { ByteReader, ByteWriter } from "./bytes.js";
import { eachProperty } from "./codec-port.js";
import { OpenFlowError } from "./error.js";
import type { ConnectionTuple, CtFlush, CtFlushZone } from "./message.js";

/** Messages that make connection tracking forget. */

/** NXT_CT. */
const flushProperty = { orig: 0, reply: 1, zone: 2 } as const;
const tupleProperty = { src: 0, dst: 1, srcPort: 2, dstPort: 3, icmpId: 4, icmpType: 5, icmpCode: 6 } as const;
const ipProto = { icmp: 1, icmpv6: 58 } as const;
const addressSize = 16;
const noAddress = new Uint8Array(addressSize);

const mustBeZero = (): OpenFlowError => new OpenFlowError("NXBRC_MUST_BE_ZERO", "padding is not zero");
const badLength = (): OpenFlowError => new OpenFlowError("OFPBPC_BAD_LEN", "a property has the wrong length");

function skipZeros(reader: ByteReader, count: number): void {
  for (let at = 0; at < count; at++) if (reader.u8() !== 0) throw mustBeZero();
}

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);
const isMappedIpv4 = (address: Uint8Array): boolean =>
  isZero(address.subarray(0, 10)) && address[10] === 0xff && address[11] === 0xff;

/** Which family addresses belong to; undefined for the unspecified one. */
function familyOf(address: Uint8Array): 4 | 6 | undefined {
  if (isZero(address)) return undefined;
  return isMappedIpv4(address) ? 4 : 6;
}

class Family {
  #family: 4 | 6 | undefined;

  /** Addresses of one message are of one family. */
  agree(address: Uint8Array): void {
    const family = familyOf(address);
    if (this.#family !== undefined && family !== undefined && family !== this.#family)
      throw new OpenFlowError("OFPBPC_BAD_VALUE", "addresses of both IPv4 and IPv6 are given");
    this.#family = family;
  }
}

function readTuple(reader: ByteReader, end: number, family: Family): ConnectionTuple {
  const tuple = { src: noAddress, dst: noAddress, srcPort: 0, dstPort: 0, icmpId: 0, icmpType: 0, icmpCode: 0 };
  // Properties are nested at the next multiple of eight behind the header.
  if (end - reader.position < 4) throw badLength();
  reader.skip(4);
  eachProperty(reader, end, (type, propertyEnd) => {
    const size = propertyEnd - reader.position;
    const address = (): Uint8Array => {
      if (size < addressSize) throw badLength();
      const bytes = reader.copy(addressSize);
      family.agree(bytes);
      return bytes;
    };
    const u16 = (): number => {
      if (size < 2) throw badLength();
      return reader.u16();
    };
    const u8 = (): number => {
      if (size < 1) throw badLength();
      return reader.u8();
    };
    if (type === tupleProperty.src) tuple.src = address() as typeof noAddress;
    else if (type === tupleProperty.dst) tuple.dst = address() as typeof noAddress;
    else if (type === tupleProperty.srcPort) tuple.srcPort = u16();
    else if (type === tupleProperty.dstPort) tuple.dstPort = u16();
    else if (type === tupleProperty.icmpId) tuple.icmpId = u16();
    else if (type === tupleProperty.icmpType) tuple.icmpType = u8();
    else if (type === tupleProperty.icmpCode) tuple.icmpCode = u8();
  });
  return tuple;
}

export function readCtFlush(reader: ByteReader): CtFlush {
  const proto = reader.u8();
  skipZeros(reader, 7);
  const said: { orig: ConnectionTuple | undefined; reply: ConnectionTuple | undefined; zone: number | undefined } = {
    orig: undefined,
    reply: undefined,
    zone: undefined,
  };
  const family = new Family();
  eachProperty(reader, reader.end, (type, end) => {
    if (type === flushProperty.orig) said.orig = readTuple(reader, end, family);
    else if (type === flushProperty.reply) said.reply = readTuple(reader, end, family);
    else if (type === flushProperty.zone) {
      if (end - reader.position < 2) throw badLength();
      said.zone = reader.u16();
    }
  });
  return { type: "nxt_ct_flush", ipProto: proto, ...said };
}

/** Appends a property; what `write` puts in follows its header, and padding to 8 bytes follows that. */
function put(out: ByteWriter, type: number, write: () => void): void {
  const begin = out.position;
  out.u16(type);
  out.u16(0);
  write();
  out.view.setUint16(begin + 2, out.position - begin);
  out.align(8, begin);
}

/** Numbers of 16 bits are padded within the property. */
function putU16(out: ByteWriter, type: number, value: number): void {
  put(out, type, () => {
    out.u16(value);
    out.zeros(2);
  });
}

function writeTuple(out: ByteWriter, tuple: ConnectionTuple, proto: number): void {
  out.zeros(4);
  if (!isZero(tuple.src)) put(out, tupleProperty.src, () => out.put(tuple.src));
  if (!isZero(tuple.dst)) put(out, tupleProperty.dst, () => out.put(tuple.dst));
  if (proto === ipProto.icmp || proto === ipProto.icmpv6) {
    putU16(out, tupleProperty.icmpId, tuple.icmpId);
    put(out, tupleProperty.icmpType, () => out.u8(tuple.icmpType));
    put(out, tupleProperty.icmpCode, () => out.u8(tuple.icmpCode));
    return;
  }
  if (tuple.srcPort !== 0) putU16(out, tupleProperty.srcPort, tuple.srcPort);
  if (tuple.dstPort !== 0) putU16(out, tupleProperty.dstPort, tuple.dstPort);
}

export function writeCtFlush(out: ByteWriter, body: CtFlush): void {
  out.u8(body.ipProto);
  out.zeros(7);
  const { orig, reply, zone } = body;
  if (orig !== undefined) put(out, flushProperty.orig, () => writeTuple(out, orig, body.ipProto));
  if (reply !== undefined) put(out, flushProperty.reply, () => writeTuple(out, reply, body.ipProto));
  if (zone !== undefined) putU16(out, flushProperty.zone, zone);
}

export function readCtFlushZone(reader: ByteReader): CtFlushZone {
  skipZeros(reader, 6);
  return { type: "nxt_ct_flush_zone", zone: reader.u16() };
}

export function writeCtFlushZone(out: ByteWriter, body: CtFlushZone): void {
  out.zeros(6);
  out.u16(body.zone);
}
