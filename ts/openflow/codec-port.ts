import type { ByteReader, ByteWriter } from "./bytes.js";
import { OpenFlowError } from "./error.js";
import type { PortDesc, PortMod, PortStats } from "./message.js";
import { isPort, portFrom10, portTo10 } from "./oxm.js";

/** Ports, and their counters. */

/** A port number as the version carries it: 16 bits in OpenFlow 1.0, 32 bits later. */
export function readPort(reader: ByteReader, version: number): number {
  if (version === 1) return portFrom10(reader.u16());
  const port = reader.u32();
  if (!isPort(port))
    throw new OpenFlowError("OFPBAC_BAD_OUT_PORT", `${port} is neither a port nor a reserved port`, { port });
  return port;
}

export function writePort(out: ByteWriter, port: number, version: number): void {
  if (version === 1) out.u16(portTo10(port));
  else out.u32(port);
}

/** Features of OpenFlow 1.0 above the common seven bits lie four lower than in 1.1. */
const featuresFrom10 = (bits: number): number => (bits & 0x7f) | ((bits & 0xf80) << 4);
const featuresTo10 = (bits: number): number => (bits & 0x7f) | ((bits & 0xf800) >> 4);
/** The bits that mean something. */
const config10 = 0x7f;
const state10 = 0x301;
const config11 = 0x65;
const state11 = 0x7;

export function readPortDesc(reader: ByteReader, version: number): PortDesc {
  if (version === 1) {
    const port = portFrom10(reader.u16());
    const hwAddr = reader.copy(6);
    const name = reader.text(16);
    const config = reader.u32() & config10;
    const state = reader.u32() & state10;
    const [current, advertised, supported, peer] = [reader.u32(), reader.u32(), reader.u32(), reader.u32()].map(
      featuresFrom10,
    ) as [number, number, number, number];
    return {
      port,
      hwAddr,
      name,
      config,
      state,
      current,
      advertised,
      supported,
      peer,
      currentSpeedKbps: 0,
      maxSpeedKbps: 0,
    };
  }
  const start = reader.position;
  const port = reader.u32();
  const length = version >= 5 ? reader.u16() : 64;
  reader.skip(version >= 5 ? 2 : 4);
  if (version >= 5 && (length < 40 || length > reader.end - start))
    throw new OpenFlowError("OFPBRC_BAD_LEN", `a port description has length ${length}`);
  const hwAddr = reader.copy(6);
  reader.skip(2);
  const name = reader.text(16);
  const base = { port, hwAddr, name, config: reader.u32() & config11, state: reader.u32() & state11 };
  const numbers = { current: 0, advertised: 0, supported: 0, peer: 0, currentSpeedKbps: 0, maxSpeedKbps: 0 };
  const read = (): void => {
    numbers.current = reader.u32();
    numbers.advertised = reader.u32();
    numbers.supported = reader.u32();
    numbers.peer = reader.u32();
    numbers.currentSpeedKbps = reader.u32();
    numbers.maxSpeedKbps = reader.u32();
  };
  if (version < 5) read();
  else {
    eachProperty(reader, start + length, (type, end) => {
      if (type === 0 && end - reader.position === 28) {
        reader.skip(4);
        read();
      }
    });
  }
  return { ...base, ...numbers };
}

/** Properties up to `end`: `visit` gets the type and the end of each, and reads from the reader as it likes. */
export function eachProperty(reader: ByteReader, end: number, visit: (type: number, end: number) => void): void {
  while (reader.position < end) {
    const start = reader.position;
    if (end - start < 4) throw new OpenFlowError("OFPBPC_BAD_LEN", "a property is cut short");
    const type = reader.u16();
    const length = reader.u16();
    if (length < 4 || start + length > end)
      throw new OpenFlowError("OFPBPC_BAD_LEN", `property ${type} has length ${length}`);
    visit(type, start + length);
    reader.position = Math.min(end, start + ((length + 7) & ~7));
  }
}

export function writePortDesc(out: ByteWriter, port: PortDesc, version: number): void {
  if (version === 1) {
    out.u16(portTo10(port.port));
    out.put(port.hwAddr);
    out.text(port.name, 16);
    out.u32(port.config & config10);
    out.u32(port.state & state10);
    for (const bits of [port.current, port.advertised, port.supported, port.peer]) out.u32(featuresTo10(bits));
    return;
  }
  out.u32(port.port);
  if (version >= 5) {
    out.u16(72);
    out.zeros(2);
  } else out.zeros(4);
  out.put(port.hwAddr);
  out.zeros(2);
  out.text(port.name, 16);
  out.u32(port.config & config11);
  out.u32(port.state & state11);
  if (version >= 5) {
    out.u16(0);
    out.u16(32);
    out.zeros(4);
  }
  for (const value of [
    port.current,
    port.advertised,
    port.supported,
    port.peer,
    port.currentSpeedKbps,
    port.maxSpeedKbps,
  ])
    out.u32(value);
}

export function readPortMod(reader: ByteReader, version: number): PortMod {
  if (version === 1) {
    const port = portFrom10(reader.u16());
    const hwAddr = reader.copy(6);
    const config = reader.u32();
    const mask = reader.u32();
    const advertise = featuresFrom10(reader.u32());
    reader.skip(4);
    return { type: "port_mod", port, hwAddr, config: config & config10, mask: mask & config10, advertise };
  }
  const port = readPort(reader, version);
  reader.skip(4);
  const hwAddr = reader.copy(6);
  reader.skip(2);
  const config = reader.u32() & config11;
  const mask = reader.u32() & config11;
  let advertise = 0;
  if (version < 5) {
    advertise = reader.u32();
    reader.skip(4);
  } else {
    eachProperty(reader, reader.end, (type, end) => {
      if (type === 0xffff)
        throw new OpenFlowError("OFPBPC_BAD_EXPERIMENTER", "a port_mod's experimenter property is unknown");
      if (type !== 0) throw new OpenFlowError("OFPBPC_BAD_TYPE", `a port_mod has no property ${type}`);
      if (end - reader.position !== 4)
        throw new OpenFlowError("OFPBPC_BAD_LEN", "a port_mod's ethernet property has the wrong length");
      advertise = reader.u32();
    });
  }
  return { type: "port_mod", port, hwAddr, config, mask, advertise };
}

export function writePortMod(out: ByteWriter, body: PortMod, version: number): void {
  writePort(out, body.port, version);
  if (version > 1) out.zeros(4);
  out.put(body.hwAddr);
  if (version > 1) out.zeros(2);
  out.u32(version > 1 ? body.config & config11 : body.config);
  out.u32(version > 1 ? body.mask & config11 : body.mask);
  if (version >= 5) {
    if (body.advertise === 0) return;
    out.u16(0);
    out.u16(8);
    out.u32(body.advertise);
    return;
  }
  out.u32(version === 1 ? featuresTo10(body.advertise) : body.advertise);
  out.zeros(4);
}

/** The experimenter that gave port statistics of OpenFlow 1.4 two properties, which Open vSwitch sends. */
const intel = { vendor: 0xaa01, rfc2819: 1, custom: 2 } as const;
const sizes = ["1_to_64", "65_to_127", "128_to_255", "256_to_511", "512_to_1023", "1024_to_1522", "1523_to_max"];

/** Counters of RFC 2819 in the order in which messages hold them: the direction, and the name. */
export const rfc2819Counters: readonly (readonly [direction: "rx" | "tx", name: string])[] = [
  ...sizes.map((size) => ["rx", `${size}_packets`] as const),
  ...sizes.map((size) => ["tx", `${size}_packets`] as const),
  ["tx", "multicast_packets"],
  ["rx", "broadcast_packets"],
  ["tx", "broadcast_packets"],
  ["rx", "undersized_errors"],
  ["rx", "oversize_errors"],
  ["rx", "rx_fragmented_errors"],
  ["rx", "rx_jabber_errors"],
];

const unknown = 0xffffffffffffffffn;

/** A property of port statistics of that experimenter, up to `end`. */
function readIntel(reader: ByteReader, end: number): Pick<PortStats, "rfc2819" | "custom"> {
  if (end - reader.position < 12 || reader.u32() !== intel.vendor) return {};
  const kind = reader.u32();
  if (kind === intel.rfc2819) {
    if (end - reader.position !== 4 + 8 * rfc2819Counters.length)
      throw new OpenFlowError("OFPBPC_BAD_LEN", "counters of RFC 2819 have the wrong length");
    reader.skip(4);
    const values = rfc2819Counters.map(() => reader.u64());
    return values.every((value) => value === unknown) ? {} : { rfc2819: values };
  }
  if (kind !== intel.custom) return {};
  reader.skip(2);
  const custom: (readonly [string, bigint])[] = [];
  for (let left = reader.u16(); left > 0; left--) {
    const size = reader.position < end ? reader.u8() : 0;
    if (reader.position + size + 8 > end)
      throw new OpenFlowError("OFPBPC_BAD_LEN", "a counter of the device is cut short");
    const name = reader.text(size);
    custom.push([name, reader.u64()]);
  }
  return custom.length === 0 ? {} : { custom };
}

function writeIntel(out: ByteWriter, { rfc2819, custom = [] }: PortStats): void {
  out.u16(0xffff);
  out.u16(16 + 8 * rfc2819Counters.length);
  out.u32(intel.vendor);
  out.u32(intel.rfc2819);
  out.zeros(4);
  rfc2819Counters.forEach((_, index) => {
    out.u64(rfc2819?.[index] ?? unknown);
  });
  if (custom.length === 0) return;
  const names = custom.map(([name]) => new TextEncoder().encode(name).subarray(0, 255));
  const size = names.reduce((sum, name) => sum + 1 + name.length + 8, 16);
  out.u16(0xffff);
  out.u16(size);
  out.u32(intel.vendor);
  out.u32(intel.custom);
  out.zeros(2);
  out.u16(custom.length);
  custom.forEach(([, value], index) => {
    const name = names[index]!;
    out.u8(name.length);
    out.put(name);
    out.u64(value);
  });
  out.zeros(-size & 7);
}

export function readPortStats(reader: ByteReader, version: number): PortStats {
  const start = reader.position;
  const length = version >= 5 ? reader.u16() : 0;
  if (version >= 5) reader.skip(2);
  const port = version === 1 ? portFrom10(reader.u16()) : reader.u32();
  let durationSec = 0;
  let durationNsec = 0;
  if (version === 1) reader.skip(6);
  else if (version < 5) reader.skip(4);
  else {
    durationSec = reader.u32();
    durationNsec = reader.u32();
  }
  const main = {
    rxPackets: reader.u64(),
    txPackets: reader.u64(),
    rxBytes: reader.u64(),
    txBytes: reader.u64(),
    rxDropped: reader.u64(),
    txDropped: reader.u64(),
    rxErrors: reader.u64(),
    txErrors: reader.u64(),
  };
  const ethernet = { rxFrameErr: unknown, rxOverErr: unknown, rxCrcErr: unknown, collisions: unknown };
  const read = (): void => {
    ethernet.rxFrameErr = reader.u64();
    ethernet.rxOverErr = reader.u64();
    ethernet.rxCrcErr = reader.u64();
    ethernet.collisions = reader.u64();
  };
  let more: Pick<PortStats, "rfc2819" | "custom"> = {};
  if (version < 5) {
    read();
    if (version >= 4) {
      durationSec = reader.u32();
      durationNsec = reader.u32();
    }
  } else {
    if (start + length > reader.end || start + length < reader.position)
      throw new OpenFlowError("OFPBRC_BAD_LEN", `port statistics have length ${length}`);
    eachProperty(reader, start + length, (type, end) => {
      if (type === 0 && end - reader.position === 36) {
        reader.skip(4);
        read();
      } else if (type === 0xffff) more = { ...more, ...readIntel(reader, end) };
    });
  }
  return { port, durationSec, durationNsec, ...main, ...ethernet, ...more };
}

export function writePortStats(out: ByteWriter, stats: PortStats, version: number): void {
  const start = out.position;
  if (version >= 5) out.zeros(4);
  writePort(out, stats.port, version);
  if (version === 1) out.zeros(6);
  else if (version < 5) out.zeros(4);
  else {
    out.u32(stats.durationSec);
    out.u32(stats.durationNsec);
  }
  for (const value of [
    stats.rxPackets,
    stats.txPackets,
    stats.rxBytes,
    stats.txBytes,
    stats.rxDropped,
    stats.txDropped,
    stats.rxErrors,
    stats.txErrors,
  ])
    out.u64(value);
  if (version >= 5) {
    out.u16(0);
    out.u16(40);
    out.zeros(4);
  }
  for (const value of [stats.rxFrameErr, stats.rxOverErr, stats.rxCrcErr, stats.collisions]) out.u64(value);
  if (version === 4) {
    out.u32(stats.durationSec);
    out.u32(stats.durationNsec);
  }
  if (version < 5) return;
  writeIntel(out, stats);
  out.view.setUint16(start, out.position - start);
}
