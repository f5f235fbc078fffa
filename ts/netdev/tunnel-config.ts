import { formatAddress, isMapped, parseAddress } from "./address.js";
import { errno } from "./errno.js";
import type { TunnelLayers, TunnelType } from "./tunnel-types.js";

/** The options of a tunnel interface: read, judged, printed.  Pure. */

/** What a tunnel does with a packet's type: carries frames, carries what is in them, or lets the flow decide. */
export type PacketTypeMode = "legacy_l2" | "legacy_l3" | "ptap";

/** A value that is configured, or taken from and given to the flow. */
export type FlowOr<T> = T | "flow";

export interface TunnelKey {
  readonly present: boolean;
  readonly value: FlowOr<bigint>;
}

export interface TunnelConfig {
  readonly type: TunnelType;
  /** IPv6 or IPv4-mapped; undefined: any. */
  readonly local: FlowOr<Uint8Array> | undefined;
  readonly remote: FlowOr<Uint8Array>;
  readonly inKey: TunnelKey;
  readonly outKey: TunnelKey;
  readonly tos: number | "inherit";
  readonly ttl: number | "inherit";
  /** 0 for types without ports. */
  readonly dstPort: number;
  readonly csum: boolean;
  readonly seq: boolean;
  readonly dontFragment: boolean;
  readonly gbp: boolean;
  readonly gpe: boolean;
  readonly egressMark: number | undefined;
  readonly packetType: PacketTypeMode;
  readonly erspanVersion: FlowOr<number>;
  readonly erspanIndex: FlowOr<number>;
  readonly erspanDirection: FlowOr<number>;
  readonly erspanHardware: FlowOr<number>;
}

export interface ParsedTunnel {
  /** Undefined: the options cannot be used. */
  readonly config: TunnelConfig | undefined;
  /** For the log; of options that cannot be used, also for Interface.error. */
  readonly complaints: readonly string[];
  /** An errno value; 0 with a config. */
  readonly error: number;
}

const defaultTtl = 64;
const dscpMask = 0xfc;
const erspanIndexMax = 0xfffff;
const erspanHardwareMax = 0x3f;
/** Read by other programs than the switch. */
const ipsecKeys = ["remote_cert", "remote_name", "psk"];

/** A number as C reads it at the start of a text; 0 when there is none. */
function leadingNumber(text: string, base: 0 | 10 | 16): number {
  const hex = /^\s*([+-]?)0[xX]([0-9a-fA-F]+)/.exec(text);
  if (base !== 10 && hex !== null) return Number.parseInt(`${hex[1]}${hex[2]}`, 16);
  if (base === 0 && /^\s*[+-]?0[0-7]/.test(text)) return Number.parseInt(text, 8);
  const number = Number.parseInt(text, base === 16 ? 16 : 10);
  return Number.isNaN(number) ? 0 : number;
}

function wholeNumber(text: string): number | undefined {
  return /^\s*[+-]?(0[xX][0-9a-fA-F]+|\d+)$/.test(text) ? leadingNumber(text, 0) : undefined;
}

/** Thrown by the reading of one option: nothing further is looked at. */
class Refusal extends Error {
  constructor(
    sentence: string,
    readonly number: number,
  ) {
    super(sentence);
  }
}

/** What the options say, before defaults and what follows from several of them. */
class Draft {
  readonly complaints: string[] = [];
  local: FlowOr<Uint8Array> | undefined;
  remote: FlowOr<Uint8Array> | undefined;
  tos: number | "inherit" = 0;
  ttl: number | "inherit" = 0;
  dstPort: number;
  csum = false;
  seq = false;
  dontFragment = true;
  gbp = false;
  gpe = false;
  egressMark: number | undefined;
  erspanVersion: FlowOr<number> = 0;
  erspanIndex: FlowOr<number> = 0;
  erspanDirection: FlowOr<number> = 0;
  erspanHardware: FlowOr<number> = 0;

  constructor(
    readonly name: string,
    readonly type: TunnelType,
  ) {
    this.dstPort = type.dstPort ?? 0;
  }

  /** Notes what does not keep the tunnel from working. */
  complain(text: string): void {
    this.complaints.push(`${this.name}: ${text}`);
  }

  refuse(text: string, number: number = errno.invalid): never {
    throw new Refusal(`${this.name}: ${text}`, number);
  }
}

type Reader = (draft: Draft, value: string) => void;

function address(draft: Draft, value: string, key: string): FlowOr<Uint8Array> | undefined {
  if (value === "flow") return "flow";
  const bytes = parseAddress(value);
  if (bytes !== undefined) return bytes;
  draft.complain(`bad ${draft.type.name} '${key}'`);
  return undefined;
}

function isMulticast(bytes: Uint8Array): boolean {
  return isMapped(bytes) ? ((bytes[12] as number) & 0xf0) === 0xe0 : bytes[0] === 0xff;
}

/** A value of ERSPAN: `flow`, or a number that `isRight`. */
function erspan(draft: Draft, value: string, base: 10 | 16, what: string, isRight: (number: number) => boolean) {
  if (value === "flow") return "flow" as const;
  const number = leadingNumber(value, base);
  if (!isRight(number)) draft.refuse(`invalid erspan ${what}: ${value}`);
  return number;
}

const readers: Readonly<Record<string, Reader>> = {
  remote_ip: (draft, value) => {
    draft.remote = address(draft, value, "remote_ip");
    if (draft.remote instanceof Uint8Array && isMulticast(draft.remote))
      draft.refuse(`multicast remote_ip=${value} not allowed`);
  },
  local_ip: (draft, value) => {
    draft.local = address(draft, value, "local_ip");
  },
  tos: (draft, value) => {
    const number = wholeNumber(value);
    if (value === "inherit") draft.tos = "inherit";
    else if (number !== undefined && number === (number & dscpMask)) draft.tos = number;
    else draft.complain(`invalid TOS ${value}`);
  },
  ttl: (draft, value) => {
    draft.ttl = value === "inherit" ? "inherit" : leadingNumber(value, 10) & 0xff;
  },
  df_default: (draft, value) => {
    if (value === "false") draft.dontFragment = false;
  },
  egress_pkt_mark: (draft, value) => {
    draft.egressMark = leadingNumber(value, 10) >>> 0;
  },
  erspan_idx: (draft, value) => {
    draft.erspanIndex = erspan(draft, value, 16, "index", (number) => number >= 0 && number <= erspanIndexMax);
  },
  erspan_ver: (draft, value) => {
    draft.erspanVersion = erspan(draft, value, 10, "version", (number) => number === 1 || number === 2);
    if (value === "flow") draft.erspanIndex = draft.erspanDirection = draft.erspanHardware = "flow";
  },
  erspan_dir: (draft, value) => {
    draft.erspanDirection = erspan(draft, value, 10, "direction", (number) => number === 0 || number === 1);
  },
  erspan_hwid: (draft, value) => {
    draft.erspanHardware = erspan(
      draft,
      value,
      16,
      "hardware ID",
      (number) => number >= 0 && number <= erspanHardwareMax,
    );
  },
  payload_type: (draft, value) => {
    if (value !== "mpls" && value !== "ip" && wholeNumber(value) === undefined)
      draft.refuse(`invalid payload_type: ${value}`);
  },
};

/** Options that only some types have. */
const typeReaders: readonly (readonly [key: string, has: (type: TunnelType) => boolean, read: Reader])[] = [
  [
    "dst_port",
    (type) => type.dstPort !== undefined,
    (draft, value) => {
      draft.dstPort = leadingNumber(value, 10) & 0xffff;
    },
  ],
  [
    "csum",
    (type) => type.csum,
    (draft, value) => {
      if (value === "true") draft.csum = true;
    },
  ],
  [
    "seq",
    (type) => type.seq,
    (draft, value) => {
      if (value === "true") draft.seq = true;
    },
  ],
  [
    "exts",
    (type) => type.name === "vxlan",
    (draft, value) => {
      for (const word of value.split(",").filter((one) => one !== "")) {
        if (word === "gbp") draft.gbp = true;
        else if (word === "gpe") draft.gpe = true;
        else draft.complain(`unknown extension '${word}'`);
      }
    },
  ],
];

/** Options that are read after the others. */
const laterKeys = ["key", "in_key", "out_key", "packet_type"];

/** Keys of Interface.options that a tunnel of the type understands. */
export function tunnelOptions(type: TunnelType): readonly string[] {
  const own = typeReaders.filter(([, has]) => has(type)).map(([key]) => key);
  return [...Object.keys(readers), ...own, ...laterKeys, ...ipsecKeys];
}

function layersOf(draft: Draft): TunnelLayers {
  return draft.gpe ? "both" : draft.type.layers;
}

function readPacketType(draft: Draft, value: string | undefined): PacketTypeMode {
  const layers = layersOf(draft);
  const named = draft.type.name !== "vxlan" ? draft.type.name : draft.gpe ? "VXLAN-GPE" : "VXLAN (without GPE)";
  switch (value) {
    case undefined:
      return layers === "l3" ? "legacy_l3" : "legacy_l2";
    case "legacy_l2":
      if (layers === "l3") draft.refuse(`legacy_l2 configured on ${named} tunnel that cannot carry L2 traffic`);
      return value;
    case "legacy_l3":
      if (layers === "l2") draft.refuse(`legacy_l3 configured on ${named} tunnel that cannot carry L3 traffic`);
      return value;
    case "ptap":
      return value;
    default:
      return draft.refuse(`unknown packet_type '${value}'`);
  }
}

function readKey(options: ReadonlyMap<string, string>, name: string): TunnelKey {
  const text = options.get(name) ?? options.get("key");
  if (text === undefined) return { present: false, value: 0n };
  if (text === "flow") return { present: true, value: "flow" };
  const digits = /^\s*(0[xX][0-9a-fA-F]+|\d+)/.exec(text)?.[1];
  if (digits === undefined) return { present: true, value: 0n };
  const octal = /^0[0-7]+$/.test(digits);
  return { present: true, value: BigInt.asUintN(64, BigInt(octal ? `0o${digits.slice(1)}` : digits)) };
}

/** What must hold between options. */
function checkAddresses(draft: Draft): FlowOr<Uint8Array> {
  const { remote, local, type } = draft;
  if (remote === undefined || (remote !== "flow" && remote.every((byte) => byte === 0)))
    return draft.refuse(`${type.name} type requires valid 'remote_ip' argument`);
  if (local === "flow" && remote !== "flow")
    return draft.refuse(`${type.name} type requires 'remote_ip=flow' with 'local_ip=flow'`);
  if (local instanceof Uint8Array && remote !== "flow" && isMapped(local) !== isMapped(remote))
    return draft.refuse("'remote_ip' and 'local_ip' has to be of the same address family");
  return remote;
}

/** Reads the options of tunnel interface `name`. */
export function parseTunnel(name: string, type: TunnelType, options: ReadonlyMap<string, string>): ParsedTunnel {
  const draft = new Draft(name, type);
  try {
    for (const [key, value] of options) {
      const own = typeReaders.find(([one, has]) => one === key && has(type))?.[2];
      const read = own ?? readers[key];
      if (read !== undefined) read(draft, value);
      else if (!laterKeys.includes(key) && !ipsecKeys.includes(key))
        draft.complain(`unknown ${type.name} argument '${key}'`);
    }
    const packetType = readPacketType(draft, options.get("packet_type"));
    const remote = checkAddresses(draft);
    const config: TunnelConfig = {
      type,
      local: draft.local,
      remote,
      inKey: readKey(options, "in_key"),
      outKey: readKey(options, "out_key"),
      tos: draft.tos,
      ttl: draft.ttl === 0 ? defaultTtl : draft.ttl,
      dstPort: draft.dstPort,
      csum: draft.csum,
      seq: draft.seq,
      dontFragment: draft.dontFragment,
      gbp: draft.gbp,
      gpe: draft.gpe,
      egressMark: draft.egressMark,
      packetType,
      erspanVersion: draft.erspanVersion,
      erspanIndex: draft.erspanIndex,
      erspanDirection: draft.erspanDirection,
      erspanHardware: draft.erspanHardware,
    };
    return { config, complaints: draft.complaints, error: 0 };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { config: undefined, complaints: [...draft.complaints, error.message], error: error.number };
  }
}

function keyWords(config: TunnelConfig): [string, string][] {
  const { inKey, outKey } = config;
  if (inKey.value === "flow" && outKey.value === "flow") return [["key", "flow"]];
  if (inKey.present && outKey.present && inKey.value === outKey.value) return [["key", String(inKey.value)]];
  const words: [string, string][] = [];
  if (inKey.present) words.push(["in_key", String(inKey.value)]);
  if (outKey.present) words.push(["out_key", String(outKey.value)]);
  return words;
}

function erspanWords(config: TunnelConfig): [string, string][] {
  const hex = (value: FlowOr<number>): string => (value === "flow" ? value : `0x${value.toString(16)}`);
  const { erspanVersion, erspanIndex, erspanDirection, erspanHardware } = config;
  const words: [string, string][] = [["erspan_ver", String(erspanVersion)]];
  if (erspanVersion === 1 || erspanVersion === "flow") words.push(["erspan_idx", hex(erspanIndex)]);
  if (erspanVersion === 2 || erspanVersion === "flow")
    words.push(["erspan_dir", String(erspanDirection)], ["erspan_hwid", hex(erspanHardware)]);
  return words;
}

/** The options that are not as they are by default, sorted: `key=5, remote_ip=1.1.1.1`. */
export function formatTunnel(config: TunnelConfig): string {
  const { type } = config;
  const words: [string, string][] = [
    ["remote_ip", config.remote === "flow" ? "flow" : formatAddress(config.remote)],
    ...keyWords(config),
  ];
  if (config.local !== undefined)
    words.push(["local_ip", config.local === "flow" ? "flow" : formatAddress(config.local)]);
  if (config.ttl !== defaultTtl) words.push(["ttl", String(config.ttl)]);
  if (config.tos !== 0) words.push(["tos", config.tos === "inherit" ? "inherit" : `0x${config.tos.toString(16)}`]);
  if (config.dstPort !== 0 && config.dstPort !== type.dstPort) words.push(["dst_port", String(config.dstPort)]);
  if (config.csum) words.push(["csum", "true"]);
  if (config.seq) words.push(["seq", "true"]);
  const usual = type.layers === "l3" && !config.gpe ? "legacy_l3" : "legacy_l2";
  if (config.packetType !== usual) words.push(["packet_type", config.packetType]);
  if (!config.dontFragment) words.push(["df_default", "false"]);
  if (config.egressMark !== undefined) words.push(["egress_pkt_mark", String(config.egressMark)]);
  if (type.name.includes("erspan")) words.push(...erspanWords(config));
  return words
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join(", ");
}
