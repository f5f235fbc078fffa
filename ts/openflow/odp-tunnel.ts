import { FlowSyntaxError } from "./error.js";
import { type FieldPlan, KeyMatch, planOf } from "./key-match.js";
import { keyMember, keyStages } from "./tables/key.js";
import { keyValues } from "./text-match.js";
import { formatIpv4, formatIpv6, hex, parseIpv4, parseIpv6, parseNumber, toBig, tunnelFlags } from "./text-value.js";

/** The tunnel of a flow as the datapath's commands write it: `tunnel(tun_id=0x1,src=1.1.1.1,dst=2.2.2.2,flags(key))`. */

type Print = "dec" | "hex" | "ipv4" | "ipv6";

interface Member {
  readonly name: string;
  readonly plan: FieldPlan;
  readonly print: Print;
}

const member = (name: string, field: string, print: Print): Member => ({ name, plan: planOf(field), print });

const tunId = member("tun_id", "tun_id", "hex");
const ttl = member("ttl", "tun_ttl", "dec");
const outer: readonly Member[] = [
  tunId,
  member("src", "tun_src", "ipv4"),
  member("dst", "tun_dst", "ipv4"),
  member("ipv6_src", "tun_ipv6_src", "ipv6"),
  member("ipv6_dst", "tun_ipv6_dst", "ipv6"),
  member("tos", "tun_tos", "hex"),
  ttl,
];
const flags = planOf("tun_flags");
const flagBit = { oam: 1, df: 2, csum: 4, key: 8 } as const;

/** Parts of the tunnel that only one protocol has. */
const gbp: readonly Member[] = [member("id", "tun_gbp_id", "dec"), member("flags", "tun_gbp_flags", "hex")];
const erspanVersion = member("ver", "tun_erspan_ver", "dec");
const erspanIndex = member("idx", "tun_erspan_idx", "hex");
const erspan2: readonly Member[] = [member("dir", "tun_erspan_dir", "dec"), member("hwid", "tun_erspan_hwid", "hex")];
const gtpu: readonly Member[] = [
  member("flags", "tun_gtpu_flags", "hex"),
  member("msgtype", "tun_gtpu_msgtype", "dec"),
];

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

/** How much is printed: what the match looks at, everything with its mask, or the values alone. */
export type TunnelPrint = "match" | "verbose" | "action";

function printOne(bytes: Uint8Array, print: Print): string {
  switch (print) {
    case "dec":
      return String(toBig(bytes));
    case "hex":
      return hex(toBig(bytes));
    case "ipv4":
      return formatIpv4(bytes);
    case "ipv6":
      return formatIpv6(bytes);
  }
}

function put(parts: string[], match: KeyMatch, one: Member, print: TunnelPrint): void {
  const value = printOne(match.wireBytes(one.plan), one.print);
  if (print === "action" || match.isExact(one.plan)) {
    parts.push(`${one.name}=${one.name === "tun_id" && value === "0" ? "0x0" : value}`);
    return;
  }
  if (match.isWild(one.plan) && print !== "verbose") return;
  const mask = match.wireBytes(one.plan, match.mask);
  const maskText = one.print === "dec" ? hex(toBig(mask)) : printOne(mask, one.print);
  parts.push(`${one.name}=${value}/${maskText}`);
}

function flagText(match: KeyMatch, print: TunnelPrint, hasKey: boolean): string | undefined {
  const value = match.number(flags) & ~flagBit.key;
  const all = hasKey ? value | flagBit.key : value;
  if (print === "action") return `flags(${tunnelFlags.filter((_name, bit) => ((all >> bit) & 1) === 1).join("|")})`;
  const mask = (match.maskNumber(flags) & ~flagBit.key) | (hasKey && !match.isWild(tunId.plan) ? flagBit.key : 0);
  const text = tunnelFlags
    .map((name, bit) => (((mask >> bit) & 1) === 0 ? "" : `${(all >> bit) & 1 ? "+" : "-"}${name}`))
    .join("");
  return text === "" ? undefined : `flags(${text})`;
}

const presentAt = keyMember("tun_metadata_present").offset;
const optionsAt = keyMember("tun_metadata").offset;
const optionsRoom = keyMember("tun_metadata").size;

/** Geneve options as a packet has them: `geneve({class=0xffff,type=0,len=4,0xa})`. */
function formatOptions(match: KeyMatch, print: TunnelPrint): string | undefined {
  const size = Math.min(match.u16(presentAt + 6), optionsRoom);
  const seen = print !== "match" || match.mask.subarray(presentAt, optionsAt + optionsRoom).some((byte) => byte !== 0);
  if (size === 0 || !seen) return undefined;
  const option = (number: number): string => (number === 0 ? "0" : `0x${number.toString(16)}`);
  let text = "";
  for (let position = optionsAt; position + 4 <= optionsAt + size; ) {
    const length = 4 * ((match.value[position + 3] as number) & 0x1f);
    const parts = [`class=${option(match.u16(position))}`, `type=${option(match.value[position + 2] as number)}`];
    parts.push(`len=${length}`);
    const value = match.value.subarray(position + 4, position + 4 + length);
    const mask = match.mask.subarray(position + 4, position + 4 + length);
    const exact = print === "action" || mask.every((byte) => byte === 0xff);
    if (length > 0 && (print !== "match" || mask.some((byte) => byte !== 0)))
      parts.push(`${hex(toBig(value))}${exact ? "" : `/${hex(toBig(mask))}`}`);
    text += `{${parts.join(",")}}`;
    position += 4 + length;
  }
  return `geneve(${text})`;
}

function parseOptions(match: KeyMatch, text: string): void {
  let size = 0;
  for (const [, inside = ""] of text.matchAll(/\{([^}]*)\}/g)) {
    const found = /^class=(\w+)(?:\/\w+)?,type=(\w+)(?:\/\w+)?,len=(\d+)(?:\/\w+)?(?:,(\w+)(?:\/(\w+))?)?$/.exec(
      inside.replace(/\s/g, ""),
    );
    const length = Number(found?.[3] ?? -1);
    const value = found?.[4] === undefined ? 0n : parseNumber(found[4]);
    const mask = found?.[5] === undefined ? -1n : parseNumber(found[5]);
    if (found === null || length % 4 !== 0 || length > 124 || value === undefined || mask === undefined)
      throw new FlowSyntaxError(`syntax error at geneve(${text})`);
    const from = optionsAt + size;
    size += 4 + length;
    if (size > optionsRoom - 4) throw new FlowSyntaxError(`geneve(${text}): too many options`);
    match.setU16(from, Number(found[1]), 0xffff);
    match.setU16(from + 2, (Number(found[2]) << 8) | (length / 4), 0xff1f);
    for (let index = 0; index < length; index++) {
      const shift = BigInt(8 * (length - 1 - index));
      const bits = Number((mask >> shift) & 0xffn);
      match.mask[from + 4 + index] = bits;
      match.value[from + 4 + index] = Number((value >> shift) & 0xffn) & bits;
    }
  }
  match.setU16(presentAt + 6, size, 0xffff);
}

/** What stands between the parentheses; empty when the match looks at nothing. */
function tunnelParts(match: KeyMatch, print: TunnelPrint, dstPort: number): string[] {
  const parts: string[] = [];
  const hasKey = (match.number(flags) & flagBit.key) !== 0 || !isZero(match.wireBytes(tunId.plan));
  for (const one of outer) {
    // An attribute that the datapath does not have is not told, whatever looks at it.
    const isThere = one === ttl || (one === tunId ? hasKey : !isZero(match.wireBytes(one.plan)));
    if (isThere) put(parts, match, one, print);
  }
  if (dstPort !== 0) parts.push(`tp_dst=${dstPort}`);
  else if (print === "verbose") parts.push("tp_src=0/0", "tp_dst=0/0");
  const nest = (name: string, members: readonly Member[]): string => {
    const inner: string[] = [];
    for (const one of members) put(inner, match, one, print);
    return inner.length === 0 ? "" : `${name}(${inner.join(",")})`;
  };
  const groups: string[] = [];
  if (gbp.some((one) => !isZero(match.wireBytes(one.plan)))) {
    const text = nest("gbp", gbp);
    if (text !== "") groups.push(`vxlan(${text})`);
  }
  const version = match.number(erspanVersion.plan);
  if (version === 1) groups.push(nest("erspan", [erspanVersion, erspanIndex]));
  else if (version === 2) groups.push(nest("erspan", [erspanVersion, ...erspan2]));
  if (gtpu.every((one) => !isZero(match.wireBytes(one.plan)))) groups.push(nest("gtpu", gtpu));
  const options = formatOptions(match, print);
  if (options !== undefined) groups.push(options);
  parts.push(...groups.filter((text) => text !== ""));
  const flagsText = flagText(match, print, hasKey);
  if (flagsText !== undefined) parts.push(flagsText);
  return parts;
}

/** The attribute of a flow, or undefined when the flow is of no tunnel. */
export function formatTunnelMatch(match: KeyMatch, verbose: boolean): string | undefined {
  const hasEnd = ["tun_dst", "tun_ipv6_dst"].some((name) => !isZero(match.wireBytes(planOf(name))));
  const parts = hasEnd ? tunnelParts(match, verbose ? "verbose" : "match", 0) : [];
  return parts.length === 0 ? undefined : `tunnel(${parts.join(",")})`;
}

/** A set action's: `words` are the key's words of the tunnel. */
export function formatTunnelSet(words: Uint8Array, dstPort: number, options: Uint8Array): string {
  const match = new KeyMatch();
  match.value.set(options.subarray(0, optionsRoom), optionsAt);
  match.setU16(presentAt + 6, options.length, 0xffff);
  match.value.set(words, 8 * keyStages.tunnel);
  return `set(tunnel(${tunnelParts(match, "action", dstPort).join(",")}))`;
}

const nested: Readonly<Record<string, readonly Member[]>> = {
  gbp,
  erspan: [erspanVersion, erspanIndex, ...erspan2],
  gtpu,
};

/** A flow that has the attribute of the key has a key, whatever its flags say. */
function parseFlags(match: KeyMatch, text: string, hasKey: boolean): void {
  let value = hasKey ? flagBit.key : 0;
  let mask = /^[+-]/.test(text) ? value : 0xf;
  for (const [, sign, name] of text.matchAll(/([+-]?)([a-z]+)\|?/g)) {
    const index = tunnelFlags.indexOf(name ?? "");
    if (index < 0) throw new FlowSyntaxError(`flags(${text}): unknown tunnel flag`);
    if (sign !== "-") value |= 1 << index;
    if (sign !== "") mask |= 1 << index;
  }
  match.setNumber(flags, value, mask);
}

function parseMember(match: KeyMatch, one: Member, text: string): void {
  const number = (word: string): Uint8Array | undefined => {
    const value = parseNumber(word);
    if (value === undefined || value >> BigInt(8 * one.plan.bytes) !== 0n) return undefined;
    return Uint8Array.from({ length: one.plan.bytes }, (_, index) =>
      Number((value >> BigInt(8 * (one.plan.bytes - 1 - index))) & 255n),
    );
  };
  const parse = one.print === "ipv4" ? parseIpv4 : one.print === "ipv6" ? parseIpv6 : number;
  const [left = "", right] = text.split("/");
  const value = parse(left);
  const mask = right === undefined ? undefined : parse(right);
  if (value === undefined || (right !== undefined && mask === undefined))
    throw new FlowSyntaxError(`${text}: bad value for ${one.name}`);
  match.setWire(one.plan, Uint8Array.of(...value, ...(mask ?? [])), 0, mask === undefined ? -1 : one.plan.bytes);
}

/** Reads what stands between the parentheses. */
export function parseTunnel(match: KeyMatch, text: string): void {
  const members = [...keyValues(text)];
  const hasKey = members.some(({ key }) => key === tunId.name);
  for (const { key, value, parens } of members) {
    const group = nested[key];
    const one = outer.find((each) => each.name === key);
    if (key === "flags" && parens && value !== undefined) parseFlags(match, value, hasKey);
    else if (key === "geneve" && parens && value !== undefined) parseOptions(match, value);
    else if (key === "vxlan" && parens && value !== undefined) parseTunnel(match, value);
    else if (group !== undefined && parens && value !== undefined) {
      for (const inner of keyValues(value)) {
        const part = group.find((each) => each.name === inner.key);
        if (part === undefined || inner.value === undefined)
          throw new FlowSyntaxError(`syntax error at ${key}(${value})`);
        parseMember(match, part, inner.value);
      }
    } else if (one !== undefined && value !== undefined && !parens) parseMember(match, one, value);
    else if (key !== "tp_src" && key !== "tp_dst")
      // The UDP ports of the outer header are not part of a flow: no flow is told from another by them.
      throw new FlowSyntaxError(`syntax error at tunnel(${text})`);
  }
}
