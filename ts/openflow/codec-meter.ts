import type { ByteReader, ByteWriter } from "./bytes.js";
import { OpenFlowError } from "./error.js";
import type {
  MeterBand,
  MeterConfig,
  MeterConfigReply,
  MeterFeaturesReply,
  MeterMod,
  MeterStats,
  MeterStatsReply,
} from "./message.js";

/** Messages about meters. */

export const meterCommand = { add: 0, modify: 1, delete: 2 } as const;
export const meterFlag = { kbps: 1, pktps: 2, burst: 4, stats: 8 } as const;
export const bandType = { drop: 1, dscpRemark: 2 } as const;
/** Bytes of a band of any known type. */
const bandSize = 16;

const badLength = (sentence: string): OpenFlowError => new OpenFlowError("OFPBRC_BAD_LEN", sentence);

function readBands(reader: ByteReader, end: number): MeterBand[] {
  const bands: MeterBand[] = [];
  while (end - reader.position >= bandSize) {
    const type = reader.u16();
    const length = reader.u16();
    if (length !== bandSize) throw badLength(`a meter's band has a length of ${length} bytes`);
    if (type !== bandType.drop && type !== bandType.dscpRemark) {
      throw new OpenFlowError("OFPMMFC_BAD_BAND", `bands of type ${type} are unknown`, { type });
    }
    const rate = reader.u32();
    const burstSize = reader.u32();
    const level = reader.u8();
    reader.skip(3);
    bands.push({ type, rate, burstSize, precLevel: type === bandType.dscpRemark ? level : 0 });
  }
  if (reader.position !== end) throw badLength("a meter's bands end early");
  return bands;
}

function writeBands(out: ByteWriter, bands: readonly MeterBand[]): void {
  for (const band of bands) {
    out.u16(band.type);
    out.u16(bandSize);
    out.u32(band.rate);
    out.u32(band.burstSize);
    out.u8(band.precLevel);
    out.zeros(3);
  }
}

export function readMeterMod(reader: ByteReader): MeterMod {
  const command = reader.u16();
  const flags = reader.u16();
  const meterId = reader.u32();
  if (command > meterCommand.delete) {
    throw new OpenFlowError("OFPMMFC_BAD_COMMAND", `there is no meter command ${command}`, { command });
  }
  if (command === meterCommand.delete) {
    reader.rest();
    return { type: "meter_mod", command, meter: { meterId, flags: 0, bands: [] } };
  }
  const units = meterFlag.kbps | meterFlag.pktps;
  if ((flags & units) === units) {
    throw new OpenFlowError("OFPMMFC_BAD_FLAGS", "a meter counts kilobits or packets, not both", { flags });
  }
  return { type: "meter_mod", command, meter: { meterId, flags, bands: readBands(reader, reader.end) } };
}

export function writeMeterMod(out: ByteWriter, body: MeterMod): void {
  out.u16(body.command);
  out.u16(body.command === meterCommand.delete ? 0 : body.meter.flags);
  out.u32(body.meter.meterId);
  writeBands(out, body.meter.bands);
}

function readItem<Item>(reader: ByteReader, length: number, start: number, read: (end: number) => Item): Item {
  const end = start + length;
  if (end > reader.end || end < reader.position) throw badLength(`a meter has a length of ${length} bytes`);
  return read(end);
}

function readConfig(reader: ByteReader): MeterConfig {
  const start = reader.position;
  const length = reader.u16();
  const flags = reader.u16();
  const meterId = reader.u32();
  return readItem(reader, length, start, (end) => ({ meterId, flags, bands: readBands(reader, end) }));
}

function readStats(reader: ByteReader): MeterStats {
  const start = reader.position;
  const meterId = reader.u32();
  const length = reader.u16();
  reader.skip(6);
  const counts = {
    meterId,
    flowCount: reader.u32(),
    packetInCount: reader.u64(),
    byteInCount: reader.u64(),
    durationSec: reader.u32(),
    durationNsec: reader.u32(),
  };
  return readItem(reader, length, start, (end) => {
    const bands: MeterStats["bands"][number][] = [];
    while (reader.position < end) bands.push({ packetCount: reader.u64(), byteCount: reader.u64() });
    if (reader.position !== end) throw badLength("a meter's band counters end early");
    return { ...counts, bands };
  });
}

export function readMeterConfigReply(reader: ByteReader, more: boolean): MeterConfigReply {
  const meters: MeterConfig[] = [];
  while (reader.left > 0) meters.push(readConfig(reader));
  return { type: "meter_config_reply", more, meters };
}

export function writeMeterConfigReply(out: ByteWriter, body: MeterConfigReply): void {
  for (const meter of body.meters) {
    out.u16(8 + bandSize * meter.bands.length);
    out.u16(meter.flags);
    out.u32(meter.meterId);
    writeBands(out, meter.bands);
  }
}

export function readMeterStatsReply(reader: ByteReader, more: boolean): MeterStatsReply {
  const meters: MeterStats[] = [];
  while (reader.left > 0) meters.push(readStats(reader));
  return { type: "meter_stats_reply", more, meters };
}

export function writeMeterStatsReply(out: ByteWriter, body: MeterStatsReply): void {
  for (const meter of body.meters) {
    out.u32(meter.meterId);
    out.u16(40 + 16 * meter.bands.length);
    out.zeros(6);
    out.u32(meter.flowCount);
    out.u64(meter.packetInCount);
    out.u64(meter.byteInCount);
    out.u32(meter.durationSec);
    out.u32(meter.durationNsec);
    for (const band of meter.bands) {
      out.u64(band.packetCount);
      out.u64(band.byteCount);
    }
  }
}

export function readMeterFeaturesReply(reader: ByteReader, more: boolean): MeterFeaturesReply {
  const body: MeterFeaturesReply = {
    type: "meter_features_reply",
    more,
    maxMeters: reader.u32(),
    bandTypes: reader.u32(),
    capabilities: reader.u32(),
    maxBands: reader.u8(),
    maxColor: reader.u8(),
  };
  reader.skip(2);
  return body;
}

export function writeMeterFeaturesReply(out: ByteWriter, body: MeterFeaturesReply): void {
  out.u32(body.maxMeters);
  out.u32(body.bandTypes);
  out.u32(body.capabilities);
  out.u8(body.maxBands);
  out.u8(body.maxColor);
  out.zeros(2);
}
