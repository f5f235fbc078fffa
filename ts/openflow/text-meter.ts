import { bandType, meterCommand, meterFlag } from "./codec-meter.js";
import { FlowSyntaxError } from "./error.js";
import type { MeterBand, MeterConfig, MeterFeaturesReply, MeterMod, MeterStats } from "./message.js";
import { formatDuration } from "./text-flow.js";
import { bitNames } from "./text-switch.js";
import { needNumber } from "./text-value.js";

/** Meters as text, the way ovs-ofctl reads and prints them. */

/** Numbers of meters that are not a bridge's own. */
export const meterNumbers = { max: 0xffff0000, slowpath: 0xfffffffd, controller: 0xfffffffe, all: 0xffffffff } as const;
const names: Readonly<Record<string, number>> = {
  all: meterNumbers.all,
  controller: meterNumbers.controller,
  slowpath: meterNumbers.slowpath,
};
const flagWords = ["kbps", "pktps", "burst", "stats"];
const bandWords: Readonly<Record<string, number>> = { drop: bandType.drop, dscp_remark: bandType.dscpRemark };
const bandNames = [undefined, "drop", "dscp_remark"];

/** `meter=1`, `meter:controller`. */
export function formatMeterId(id: number, separator: string): string {
  if (id <= meterNumbers.max) return `meter${separator}${id}`;
  const name = Object.keys(names).find((word) => names[word] === id);
  return `meter${separator}${name ?? "unknown"}`;
}

function formatBand(flags: number, { type, rate, burstSize, precLevel }: MeterBand): string {
  const burst = (flags & meterFlag.burst) === 0 ? "" : ` burst_size=${burstSize}`;
  const level = type === bandType.dscpRemark ? ` prec_level=${precLevel}` : "";
  return `\ntype=${bandNames[type] ?? type} rate=${rate}${burst}${level}`;
}

export function formatMeter({ meterId, flags, bands }: MeterConfig): string {
  const words = bitNames(flags, flagWords);
  const others = flags & ~0xf;
  if (others !== 0) words.push(`flags:0x${others.toString(16)}`);
  const said = words.map((word) => `${word} `).join("");
  return `${formatMeterId(meterId, "=")} ${said}bands=${bands.map((band) => formatBand(flags, band)).join("")}\n`;
}

export function formatMeterStats(stats: MeterStats): string {
  const duration = formatDuration(stats.durationSec, stats.durationNsec);
  const counts = `flow_count:${stats.flowCount} packet_in_count:${stats.packetInCount} byte_in_count:${stats.byteInCount}`;
  const bands = stats.bands.map(
    ({ packetCount, byteCount }, index) => `${index}: packet_count:${packetCount} byte_count:${byteCount}\n`,
  );
  return `${formatMeterId(stats.meterId, ":")} ${counts} duration:${duration}s bands:\n${bands.join("")}`;
}

export function formatMeterFeatures({
  maxMeters,
  maxBands,
  maxColor,
  bandTypes,
  capabilities,
}: MeterFeaturesReply): string {
  const list = (bits: number, words: readonly (string | undefined)[]): string => bitNames(bits, words).join(" ") || "0";
  return (
    `\nmax_meter:${maxMeters} max_bands:${maxBands} max_color:${maxColor}\n` +
    `band_types: ${list(bandTypes, bandNames)}\ncapabilities: ${list(capabilities, flagWords)}\n`
  );
}

const commandWords = ["ADD", "MOD", "DEL"];

export function formatMeterMod({ command, meter }: MeterMod): string {
  return ` ${commandWords[command] ?? `cmd:${command}`} ${formatMeter(meter)}`;
}

/** Words between commas, spaces and equals signs. */
function* wordsOf(text: string): Generator<string> {
  for (const word of text.split(/[=,\s]+/)) if (word !== "") yield word;
}

function valueAfter(words: Iterator<string>, name: string): string {
  const next = words.next();
  if (next.done === true) throw new FlowSyntaxError(`field ${name} missing value`);
  return next.value;
}

function readNumber(text: string): number {
  const number = /^(0[xX][0-9a-fA-F]+|\d+)$/.test(text) ? Number(text) : Number.NaN;
  if (!(number <= 0xffffffff)) throw new FlowSyntaxError(`invalid numeric format ${text}`);
  return number;
}

function meterNumber(text: string): number {
  const id = names[text] ?? readNumber(text);
  if (names[text] === undefined && (id === 0 || id > meterNumbers.max))
    throw new FlowSyntaxError("invalid value for meter");
  return id;
}

/** `meter=1`, `meter=controller`: of a query or a deletion. */
export function parseMeterId(text: string): number {
  let id = 0;
  const words = wordsOf(text);
  for (let word = words.next(); word.done !== true; word = words.next()) {
    const value = valueAfter(words, word.value);
    if (word.value !== "meter") throw new FlowSyntaxError(`unknown keyword ${word.value}`);
    id = meterNumber(value);
  }
  if (id === 0) throw new FlowSyntaxError("must specify 'meter'");
  return id;
}

function checkBand(flags: number, { type, rate, burstSize, precLevel }: MeterBand): void {
  if (type === bandType.dscpRemark && precLevel === 0)
    throw new FlowSyntaxError("'dscp_remark' band must have 'prec_level'");
  if (type !== bandType.dscpRemark && precLevel !== 0)
    throw new FlowSyntaxError("Only 'dscp_remark' band may have 'prec_level'");
  if (rate === 0) throw new FlowSyntaxError("band must have 'rate'");
  const bursts = (flags & meterFlag.burst) !== 0;
  if (bursts && burstSize === 0) throw new FlowSyntaxError("band must have 'burst_size' when 'burst' flag is set");
  if (!bursts && burstSize !== 0) throw new FlowSyntaxError("band may have 'burst_size' only when 'burst' flag is set");
}

function parseBands(text: string): MeterBand[] {
  const bands: { type: number; rate: number; burstSize: number; precLevel: number }[] = [];
  const words = wordsOf(text);
  for (let word = words.next(); word.done !== true; word = words.next()) {
    const name = word.value;
    const value = valueAfter(words, name);
    const band = bands.at(-1);
    if (name === "type") {
      const type = bandWords[value];
      if (type === undefined) throw new FlowSyntaxError(`field ${name} unknown value ${value}`);
      bands.push({ type, rate: 0, burstSize: 0, precLevel: 0 });
    } else if (band === undefined) throw new FlowSyntaxError("band must start with the 'type' keyword");
    else if (name === "rate") band.rate = readNumber(value);
    else if (name === "burst_size") band.burstSize = readNumber(value);
    else if (name === "prec_level") band.precLevel = Number(needNumber(value, 8, name));
    else throw new FlowSyntaxError(`unknown keyword ${name}`);
  }
  if (bands.length === 0) throw new FlowSyntaxError("meter must have bands");
  return bands;
}

/** `meter=1 pktps burst bands=type=drop rate=10 burst_size=5`, of a command that adds or modifies. */
export function parseMeter(text: string, command: number): MeterMod {
  if (command === meterCommand.delete)
    return { type: "meter_mod", command, meter: { meterId: parseMeterId(text), flags: 0, bands: [] } };
  const found = /^(.*?)band[^=]*=(.*)$/s.exec(text);
  if (found === null) throw new FlowSyntaxError("must specify bands");
  let meterId = 0;
  let flags = 0;
  const words = wordsOf(found[1] ?? "");
  for (let word = words.next(); word.done !== true; word = words.next()) {
    const flag = flagWords.indexOf(word.value);
    if (flag >= 0) {
      flags |= 1 << flag;
      continue;
    }
    const value = valueAfter(words, word.value);
    if (word.value !== "meter") throw new FlowSyntaxError(`unknown keyword ${word.value}`);
    meterId = meterNumber(value);
  }
  if (meterId === 0) throw new FlowSyntaxError("must specify 'meter'");
  if (flags === 0) throw new FlowSyntaxError("meter must specify either 'kbps' or 'pktps'");
  const bands = parseBands(found[2] ?? "");
  for (const band of bands) checkBand(flags, band);
  return { type: "meter_mod", command, meter: { meterId, flags, bands } };
}
