/** Queueing disciplines of the kernel that QoS.type may name: what their settings mean, and how the kernel is told.  Pure.
 *
 *  Rates are in bits a second in the database and in bytes a second here, as in the kernel. */
import { longOf } from "./qos.js";
import { decodeAttributes, encodeAttributes, encodeWords, wordAt } from "./tc-message.js";
import {
  burstTicks,
  isLongRate,
  microsecondsToTicks,
  rateSpec,
  rateTable,
  type TcClock,
  ticksToBytes,
} from "./tc-rate.js";

export type Details = ReadonlyMap<string, string>;
export type Settings = Readonly<Record<string, number>>;

/** What a discipline must know of the device that it is for. */
export interface ShapedDevice {
  readonly mtu: number | undefined;
  /** Bytes a second that it can send. */
  readonly speed: number;
  readonly clock: TcClock;
}

/** A discipline whose queues are classes of the kernel's.  Queue n is class 1:n+1, and all are below class 1:fffe. */
export interface Classes {
  /** Of the class that all queues are in. */
  root(settings: Settings): Settings;
  /** Undefined: not on a device without MTU. */
  settings(details: Details, qos: Settings, device: ShapedDevice): Settings | undefined;
  encode(settings: Settings, device: ShapedDevice): Uint8Array;
  decode(options: Uint8Array, device: ShapedDevice): Settings | undefined;
  shown(settings: Settings): Details;
  /** What a class is, for the log. */
  describe(settings: Settings): string;
}

export interface Discipline {
  /** As QoS.type says. */
  readonly name: string;
  /** As the kernel says; undefined: it is not the kernel's. */
  readonly kernelName: string | undefined;
  readonly queues: number;
  settings(details: Details, device: ShapedDevice): Settings;
  /** TCA_OPTIONS; undefined: the settings cannot be. */
  encode(settings: Settings, device: ShapedDevice): Uint8Array | undefined;
  /** Settings of one that was there before us. */
  decode(options: Uint8Array, device: ShapedDevice): Settings | undefined;
  shown(settings: Settings): Details;
  /** What it is, for the log; undefined: nothing is told of its own. */
  describe?(settings: Settings, device: ShapedDevice): string;
  readonly classes?: Classes;
}

/** Classes that a discipline may have. */
export const queuesMax = 0xf000;
/** Minor number of the class that all queues are in. */
export const rootClass = 0xfffe;
const wordMax = 0xffffffff;

const numberOf = (details: Details, key: string): number => Number(longOf(details, key));

const word = (details: Details, key: string, fallback: number): number => {
  const value = numberOf(details, key) % (wordMax + 1);
  return value === 0 ? fallback : value;
};
/** Of a rate in bits, whole bytes. */
const rate = (details: Details, key: string): number => Math.floor(numberOf(details, key) / 8);
const texts = (settings: Settings): Details =>
  new Map(Object.entries(settings).map(([key, value]) => [key, String(value)]));

/** Settings that are words in attributes of their own. */
function wordDiscipline(
  name: string,
  kernelName: string,
  rows: readonly (readonly [key: string, attribute: number, fallback: number])[],
): Discipline {
  return {
    name,
    kernelName,
    queues: 0,
    settings: (details) => Object.fromEntries(rows.map(([key, , fallback]) => [key, word(details, key, fallback)])),
    encode: (settings) =>
      encodeAttributes(rows.map(([key, type]) => ({ type, value: encodeWords(settings[key] ?? 0) }))),
    decode: (options) => {
      const attributes = decodeAttributes(options);
      const found = rows.map(([key, type]) => [key, wordAt(attributes.get(type), 0)] as const);
      return found.some(([, value]) => value === undefined) ? undefined : (Object.fromEntries(found) as Settings);
    },
    shown: texts,
    describe: (settings) => rows.map(([key]) => `${key} ${settings[key] ?? 0}`).join(", "),
  };
}

const codel = wordDiscipline("linux-codel", "codel", [
  ["target", 1, 5000],
  ["limit", 2, 10240],
  ["interval", 3, 100_000],
]);

const fqCodel = wordDiscipline("linux-fq_codel", "fq_codel", [
  ["target", 1, 5000],
  ["limit", 2, 10240],
  ["interval", 3, 1_000_000],
  ["flows", 5, 1024],
  ["quantum", 6, 1514],
]);

const sfq: Discipline = {
  name: "linux-sfq",
  kernelName: "sfq",
  queues: 0,
  settings: (details, { mtu }) => ({
    quantum: word(details, "quantum", mtu ?? 0),
    perturb: word(details, "perturb", 10),
  }),
  // struct tc_sfq_qopt: what is 0 is the kernel's choice.
  encode: ({ quantum = 0, perturb = 0 }) => encodeWords(quantum, perturb, 0, 0, 0),
  decode: (options) => {
    const [quantum, perturb] = [wordAt(options, 0), wordAt(options, 4)];
    return quantum === undefined || perturb === undefined ? undefined : { quantum, perturb };
  },
  shown: texts,
  describe: ({ quantum = 0, perturb = 0 }) => `quantum ${quantum}, perturb ${perturb}`,
};

function netemWords(settings: Settings, { clock }: ShapedDevice): readonly [number, number, number] {
  const { latency = 0, limit = 0, loss = 0 } = settings;
  return [microsecondsToTicks(clock, latency), limit, Math.floor(wordMax * (loss / 100))];
}

const netem: Discipline = {
  name: "linux-netem",
  kernelName: "netem",
  queues: 0,
  settings: (details) => ({
    latency: word(details, "latency", 0),
    limit: word(details, "limit", 1000),
    loss: word(details, "loss", 0),
  }),
  // struct tc_netem_qopt; the loss is a part of all words.
  encode: (settings, device) =>
    (settings["loss"] ?? 0) > 100 ? undefined : encodeWords(...netemWords(settings, device), 0, 0, 0),
  decode: (options) => {
    const [latency, limit, loss] = [wordAt(options, 0), wordAt(options, 4), wordAt(options, 8)];
    return latency === undefined || limit === undefined || loss === undefined ? undefined : { latency, limit, loss };
  },
  shown: texts,
  // The log has the kernel's numbers.
  describe: (settings, device) => {
    const [latency, limit, loss] = netemWords(settings, device);
    return `latency ${latency}, limit ${limit}, loss ${loss}`;
  },
};

/** Of disciplines with classes, which have one setting: as much as the device can, if the database does not say less. */
const maxRate = {
  settings: (details: Details, { speed }: ShapedDevice): Settings => ({
    maxRate: rate(details, "max-rate") || speed,
  }),
  shown: ({ maxRate = 0 }: Settings): Details => new Map([["max-rate", String(8 * maxRate)]]),
};

function shownRates({ minRate = 0, maxRate = 0 }: Settings): Map<string, string> {
  const shown = new Map([["min-rate", String(8 * minRate)]]);
  if (minRate !== maxRate) shown.set("max-rate", String(8 * maxRate));
  return shown;
}

const htbAttribute = { parameters: 1, init: 2, ceilTable: 3, rateTable: 4, rate64: 6, ceil64: 7 } as const;
const rateToQuantum = 10;
/** Added to an MTU, covers every header that comes before. */
const headerRoom = 64;

function encodeHtbClass(settings: Settings, { mtu = 0, clock }: ShapedDevice): Uint8Array {
  const { minRate = 0, maxRate = 0, burst = 0, priority = 0 } = settings;
  const [spec, ceil] = [rateSpec(minRate, mtu), rateSpec(maxRate, mtu)];
  // A quantum less than a frame makes the kernel complain; told, it is not taken from the rate.
  const quantum = minRate / rateToQuantum < mtu ? mtu : 0;
  const words = encodeWords(
    burstTicks(clock, minRate, mtu, burst),
    burstTicks(clock, maxRate, mtu, burst),
    quantum,
    0,
    priority,
  );
  const long = (type: number, value: number): { type: number; value: Uint8Array }[] =>
    isLongRate(value) ? [{ type, value: new Uint8Array(BigUint64Array.of(BigInt(value)).buffer) }] : [];
  return encodeAttributes([
    ...long(htbAttribute.rate64, minRate),
    ...long(htbAttribute.ceil64, maxRate),
    { type: htbAttribute.parameters, value: Uint8Array.of(...spec, ...ceil, ...words) },
    { type: htbAttribute.rateTable, value: rateTable(clock, minRate, mtu) },
    { type: htbAttribute.ceilTable, value: rateTable(clock, maxRate, mtu) },
  ]);
}

function decodeHtbClass(options: Uint8Array, { clock }: ShapedDevice): Settings | undefined {
  const attributes = decodeAttributes(options);
  const parameters = attributes.get(htbAttribute.parameters);
  const rateOf = (offset: number, type: number): number | undefined => {
    const long = attributes.get(type);
    if (long === undefined || long.length < 8) return wordAt(parameters, offset);
    return (wordAt(long, 4) ?? 0) * (wordMax + 1) + (wordAt(long, 0) ?? 0);
  };
  const [minRate, maxRate] = [rateOf(8, htbAttribute.rate64), rateOf(20, htbAttribute.ceil64)];
  const [buffer, priority] = [wordAt(parameters, 24), wordAt(parameters, 40)];
  if (minRate === undefined || maxRate === undefined || buffer === undefined || priority === undefined)
    return undefined;
  return { minRate, maxRate, burst: ticksToBytes(clock, minRate, buffer), priority };
}

const htb: Discipline = {
  name: "linux-htb",
  kernelName: "htb",
  queues: queuesMax,
  ...maxRate,
  // struct tc_htb_glob: version 3, and what is of no queue goes to class 1:1.
  encode: () => encodeAttributes([{ type: htbAttribute.init, value: encodeWords(3, rateToQuantum, 1, 0, 0) }]),
  decode: () => ({ maxRate: 0 }),
  classes: {
    root: ({ maxRate = 0 }) => ({ minRate: maxRate, maxRate, burst: 0, priority: 0 }),
    settings: (details, { maxRate: most = 0 }, { mtu }) => {
      if (mtu === undefined) return undefined;
      // Below an MTU a second nothing would be sent.
      const minRate = Math.min(Math.max(rate(details, "min-rate"), mtu), most);
      return {
        minRate,
        maxRate: Math.min(Math.max(rate(details, "max-rate") || most, minRate), most),
        burst: Math.max(rate(details, "burst"), mtu + headerRoom),
        priority: word(details, "priority", 0),
      };
    },
    encode: encodeHtbClass,
    decode: decodeHtbClass,
    shown: (settings) => {
      const { burst = 0, priority = 0 } = settings;
      const shown = shownRates(settings).set("burst", String(8 * burst));
      return priority === 0 ? shown : shown.set("priority", String(priority));
    },
    describe: ({ minRate = 0, maxRate = 0, burst = 0, priority = 0 }) =>
      `min_rate=${minRate} max_rate=${maxRate} burst=${burst} prio=${priority}`,
  },
};

const hfscAttribute = { realTime: 1, linkShare: 2, upperLimit: 3 } as const;

function decodeHfscClass(options: Uint8Array): Settings | undefined {
  const attributes = decodeAttributes(options);
  const curve = (type: number): readonly (number | undefined)[] =>
    [0, 4, 8].map((offset) => wordAt(attributes.get(type), offset));
  const [realTime, linkShare, upperLimit] = [
    curve(hfscAttribute.realTime),
    curve(hfscAttribute.linkShare),
    curve(hfscAttribute.upperLimit),
  ];
  const minRate = linkShare[2];
  const maxRate = upperLimit[2];
  // Only what we would have made: straight lines, of which the first two are one.
  const isStraight = [realTime, linkShare, upperLimit].every(([first, delay]) => first === 0 && delay === 0);
  if (minRate === undefined || maxRate === undefined || !isStraight) return undefined;
  return realTime[2] !== minRate || minRate > maxRate ? undefined : { minRate, maxRate };
}

const hfsc: Discipline = {
  name: "linux-hfsc",
  kernelName: "hfsc",
  queues: queuesMax,
  settings: (details, device) => ({ maxRate: Math.min(maxRate.settings(details, device)["maxRate"] ?? 0, wordMax) }),
  shown: maxRate.shown,
  // struct tc_hfsc_qopt: what is of no queue goes to class 1:1.
  encode: () => Uint8Array.of(1, 0),
  decode: () => ({ maxRate: 0 }),
  classes: {
    root: ({ maxRate = 0 }) => ({ minRate: maxRate, maxRate }),
    settings: (details, { maxRate: most = 0 }) => {
      const minRate = Math.min(Math.max(rate(details, "min-rate"), 1), most);
      const asked = details.has("max-rate") ? rate(details, "max-rate") : most;
      return { minRate, maxRate: Math.min(Math.max(asked, minRate), most) };
    },
    encode: ({ minRate = 0, maxRate = 0 }) =>
      encodeAttributes([
        { type: hfscAttribute.realTime, value: encodeWords(0, 0, minRate) },
        { type: hfscAttribute.linkShare, value: encodeWords(0, 0, minRate) },
        { type: hfscAttribute.upperLimit, value: encodeWords(0, 0, maxRate) },
      ]),
    decode: decodeHfscClass,
    shown: shownRates,
    describe: ({ minRate = 0, maxRate = 0 }) => `min-rate ${minRate}bps, max-rate ${maxRate}bps`,
  },
};

const nothing = {
  queues: 0,
  settings: (): Settings => ({}),
  encode: (): undefined => undefined,
  decode: (): Settings => ({}),
  shown: (): Details => new Map(),
};

/** The kernel's own choice: what QoS.type "" is. */
export const defaultDiscipline: Discipline = { ...nothing, name: "", kernelName: undefined };
/** Whatever is there, left as it is. */
export const noopDiscipline: Discipline = { ...nothing, name: "linux-noop", kernelName: undefined };
/** One that is none of ours. */
export const otherDiscipline: Discipline = { ...nothing, name: "linux-other", kernelName: undefined };

/** Those that QoS.type may name. */
export const disciplines: readonly Discipline[] = [htb, hfsc, sfq, codel, fqCodel, netem, noopDiscipline];
