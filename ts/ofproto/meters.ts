import {
  command,
  error,
  type MeterBandInfo,
  type MeterInfo,
  meterBandInfoSize,
  meterBandSize,
  meterInfoSize,
  meterModSize,
  meter as meterNumber,
  query,
  readMeterBandInfo,
  readMeterInfo,
  writeMeterBand,
  writeMeterMod,
} from "../datapath/generated/records.js";
import { bandType, meterCommand, meterFlag, OpenFlowError } from "../openflow/index.js";
import type { MessageBody, MeterConfig, MeterMod, MeterStats } from "../openflow/message.js";
import { CommandBatch } from "./abi-batch.js";
import { errorText } from "./flow-mods.js";
import { dumpObjects } from "./object-dump.js";
import type { Ofproto } from "./ofproto.js";

/** Meters: they live in the datapath; here they are checked and told. */

/** What every bridge's meters can do. */
export const meterFeatures = {
  maxMeters: 262144,
  bandTypes: 1 << bandType.drop,
  capabilities: meterFlag.kbps | meterFlag.pktps | meterFlag.burst | meterFlag.stats,
  maxBands: 8,
  maxColor: 0,
} as const;

/** A meter as the datapath tells it. */
export interface MeterRecord extends MeterInfo {
  readonly bands: readonly MeterBandInfo[];
}

const replySize = 32 * 1024;
/** Meters in one message: each has at most 8 bands, and 168 bytes. */
const perMessage = 256;

/** The meters of a bridge in order of their numbers, or the one of that number if there is one. */
export function* dumpMeters(ofproto: Ofproto, id: number = meterNumber.all): Generator<MeterRecord> {
  for (const { view, at } of dumpObjects(ofproto, query.meterDump, id, replySize)) {
    const info = readMeterInfo(view, at);
    const bands = Array.from({ length: info.nBands }, (_, band) =>
      readMeterBandInfo(view, at + meterInfoSize + band * meterBandInfoSize),
    );
    yield { ...info, bands };
  }
}

const hasMeter = (ofproto: Ofproto, id: number): boolean => dumpMeters(ofproto, id).next().done !== true;

/** What is wrong with a meter whatever others there are. */
function checkNumber(meter: MeterConfig): void {
  const { meterId, bands } = meter;
  const isVirtual = meterId === meterNumber.slowpath || meterId === meterNumber.controller;
  if (meterId === 0 || (meterId > meterNumber.max && !isVirtual)) {
    throw new OpenFlowError("OFPMMFC_INVALID_METER", `${meterId} is not a meter's number`, { meter: meterId });
  }
  if (bands.length > meterFeatures.maxBands) {
    throw new OpenFlowError("OFPMMFC_OUT_OF_BANDS", `a meter has at most ${meterFeatures.maxBands} bands`);
  }
}

/** What the datapath cannot do, found after it is known that the meter may be added or changed. */
function checkAbility(meter: MeterConfig): OpenFlowError | undefined {
  const { flags, bands } = meter;
  if ((flags & (meterFlag.kbps | meterFlag.pktps)) === 0) {
    return new OpenFlowError("OFPMMFC_BAD_FLAGS", "a meter counts kilobits or packets", { flags });
  }
  if (bands.length === 0) return new OpenFlowError("OFPMMFC_OUT_OF_BANDS", "a meter has at least one band");
  if (bands.some((band) => band.rate === 0)) {
    return new OpenFlowError("OFPMMFC_BAD_RATE", "a band's rate is not 0");
  }
  if ((flags & ~meterFeatures.capabilities) !== 0) {
    return new OpenFlowError("OFPMMFC_BAD_FLAGS", `meter flags ${flags} are not all known`, { flags });
  }
  if (bands.some((band) => band.type !== bandType.drop)) {
    return new OpenFlowError("OFPMMFC_BAD_BAND", "only bands that drop packets are supported");
  }
  return undefined;
}

function encodeBands(meter: MeterConfig): Uint8Array {
  const bytes = new Uint8Array(meter.bands.length * meterBandSize);
  const view = new DataView(bytes.buffer);
  meter.bands.forEach((band, index) => {
    writeMeterBand(view, index * meterBandSize, { rate: band.rate, burstSize: band.burstSize });
  });
  return bytes;
}

/** Adds, changes or deletes a meter.  Throws OpenFlowError. */
export function modifyMeter(ofproto: Ofproto, mod: Omit<MeterMod, "type">): void {
  const { meter } = mod;
  const deletes = mod.command === meterCommand.delete;
  if (!deletes) {
    checkNumber(meter);
    const inability = checkAbility(meter);
    if (inability !== undefined) {
      const mayBe = hasMeter(ofproto, meter.meterId) === (mod.command === meterCommand.modify);
      throw mayBe ? inability : wrongPresence(mod.command, meter.meterId);
    }
  }
  const batch = new CommandBatch(meterModSize + 256);
  batch.add(
    meterModSize,
    (view, at) =>
      writeMeterMod(view, at, {
        type: command.meterMod,
        flags: 0,
        size: 0,
        bridge: ofproto.bridge,
        command: mod.command,
        meter: meter.meterId,
        meterFlags: meter.flags,
        nBands: deletes ? 0 : meter.bands.length,
      }),
    deletes ? new Uint8Array(0) : encodeBands(meter),
  );
  const code = batch.submit(ofproto.datapath, true).error(0);
  if (code === error.exists || code === error.noSuchMeter) throw wrongPresence(mod.command, meter.meterId);
  if (code === error.noMemory) throw new OpenFlowError("OFPMMFC_OUT_OF_METERS", "there is no room for another meter");
  if (code !== 0) throw new OpenFlowError("OFPMMFC_UNKNOWN", `the datapath says ${errorText(code)}`, { error: code });
  if (deletes) ofproto.owner.drainChanges();
}

function wrongPresence(kind: number, meter: number): OpenFlowError {
  return kind === meterCommand.add
    ? new OpenFlowError("OFPMMFC_METER_EXISTS", `there is a meter ${meter} already`, { meter })
    : new OpenFlowError("OFPMMFC_UNKNOWN_METER", `there is no meter ${meter}`, { meter });
}

function configOf(meter: MeterRecord): MeterConfig {
  const bands = meter.bands.map(({ rate, burstSize }) => ({ type: bandType.drop, rate, burstSize, precLevel: 0 }));
  return { meterId: meter.meter, flags: meter.meterFlags, bands };
}

function statsOf(meter: MeterRecord): MeterStats {
  const durationMs = Number(meter.nowMs - meter.createdMs);
  return {
    meterId: meter.meter,
    flowCount: meter.nFlows,
    packetInCount: meter.nPackets,
    byteInCount: meter.nBytes,
    durationSec: Math.floor(durationMs / 1000),
    durationNsec: (durationMs % 1000) * 1_000_000,
    bands: meter.bands.map(({ nPackets, nBytes }) => ({ packetCount: nPackets, byteCount: nBytes })),
  };
}

/** Answers to a request for configuration or counters of meters.  Throws OpenFlowError when the one asked for is not
 *  there. */
export function* meterReplies(
  ofproto: Ofproto,
  type: "meter_config_reply" | "meter_stats_reply",
  id: number,
): Generator<MessageBody> {
  if (id !== meterNumber.all && !hasMeter(ofproto, id)) {
    throw new OpenFlowError("OFPMMFC_UNKNOWN_METER", `there is no meter ${id}`, { meter: id });
  }
  let meters: MeterRecord[] = [];
  const reply = (more: boolean): MessageBody =>
    type === "meter_config_reply"
      ? { type, more, meters: meters.map(configOf) }
      : { type, more, meters: meters.map(statsOf) };
  for (const meter of dumpMeters(ofproto, id)) {
    if (meters.length === perMessage) {
      yield reply(true);
      meters = [];
    }
    meters.push(meter);
  }
  yield reply(false);
}
