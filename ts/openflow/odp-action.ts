import { constantSets } from "../datapath/tables/constants.js";
import { datapathLayouts, type Layout, memberOffset } from "./abi.js";
import { KeyMatch } from "./key-match.js";
import { formatLabel, labelStack } from "./label-stack.js";
import type { AbiMatch } from "./message.js";
import { formatAttribute, settable } from "./odp-flow.js";
import { formatTunnelPush } from "./odp-push.js";
import { formatReport } from "./odp-report.js";
import { formatTunnelSet } from "./odp-tunnel.js";
import { datapathOpcodes } from "./tables/opcodes.js";
import { formatEth, type PortNames } from "./text-value.js";

/** Actions of the datapath as text: `push_vlan(vid=5,pcp=0),2`. */

const opcode = Object.fromEntries(datapathOpcodes.map((row) => [row.name, row.opcode])) as Readonly<
  Record<string, number>
>;
const layoutOf = (name: string): Layout => datapathLayouts.get(opcode[name] as number) as Layout;
const offset = (name: string, member: string): number => memberOffset(layoutOf(name), member);
const at = {
  port: offset("output", "dp_port"),
  truncated: offset("trunc", "max_len"),
  pushedType: offset("push_mpls", "ethertype"),
  pushedWhole: offset("push_mpls", "whole"),
  lse: offset("push_mpls", "lse"),
  poppedType: offset("pop_mpls", "ethertype"),
  length: offset("check_pkt_len", "pkt_len"),
  greater: offset("check_pkt_len", "greater_size"),
  tpid: offset("push_vlan", "tpid"),
  tci: offset("push_vlan", "tci"),
  matchSize: offset("set", "match_size"),
  cloneSize: offset("clone", "actions_size"),
  sampleSize: offset("sample", "actions_size"),
  sampleProbability: offset("sample", "probability"),
  maxLen: offset("controller", "max_len"),
  reason: offset("controller", "reason"),
  cookie: offset("controller", "cookie"),
  id: offset("controller", "controller_id"),
  paused: offset("controller", "recirc_id"),
  recirc: offset("recirc", "recirc_id"),
  bond: offset("lb_output", "bond_id"),
  hash: offset("hash", "algorithm"),
  basis: offset("hash", "basis"),
  tunnelWords: offset("tunnel_set", "words"),
  tunnelPort: offset("tunnel_set", "dst_port"),
  tunnelOptionsSize: offset("tunnel_set", "options_size"),
  tunnelOptions: offset("tunnel_set", "words") + 64,
  popPort: offset("tunnel_pop", "dp_port"),
  meter: offset("meter", "meter"),
  ethSrc: offset("push_eth", "src"),
  ethDst: offset("push_eth", "dst"),
  protocol: offset("protocol", "protocol"),
  nshSize: offset("push_nsh", "header_size"),
};

const hashAlgorithms = constantSets.find((set) => set.prefix === "hash_algorithm")?.rows ?? [];

const protocolNames = new Map(
  constantSets.find((set) => set.prefix === "protocol")?.rows.map((row) => [row.value, row.name]),
);

const scratch = new KeyMatch();

/** A set action.  `labels` is the packet's label stack before it, outermost first, and becomes that after it. */
function formatSet(
  bytes: Uint8Array,
  start: number,
  view: DataView,
  flow: AbiMatch | undefined,
  labels: number[],
): string[] {
  const match = scratch;
  if (flow !== undefined) match.read(flow);
  else match.clear();
  const type = match.ethType;
  const proto = match.ipProto;
  match.read(bytes, start + layoutOf("set").size, view.getUint32(start + at.matchSize, true));
  const [entry] = labelStack(match);
  if (entry !== undefined && entry.mask !== 0) {
    labels[0] = (((labels[0] ?? 0) & ~entry.mask) | entry.value) >>> 0;
    return [`set(mpls(${formatLabel(labels[0])}))`];
  }
  return settable.flatMap((row) => {
    if (!means(row.name, type, proto)) return [];
    const text = formatAttribute(match, { ...row, parts: row.parts.filter((part) => part.print !== "frag") }, false);
    return text === undefined ? [] : [`set(${text})`];
  });
}

/** Which of the attributes that share bytes of the key a set action means, in a flow of this Ethernet type and IP
 *  protocol (-1: not known, and then the commonest). */
function means(name: string, type: number, proto: number): boolean {
  switch (name) {
    case "ipv6":
      return type === 0x86dd || type < 0;
    case "ipv4":
      return type === 0x0800 || type < 0;
    case "nsh":
      return type === 0x894f;
    case "arp":
      return type === 0x0806 || type === 0x8035;
    case "tcp":
      return proto === 6 || proto < 0;
    case "udp":
      return proto === 17;
    case "sctp":
      return proto === 132;
    case "icmp":
      return proto === 1;
    case "icmpv6":
    case "nd":
      return proto === 58;
    default:
      return true;
  }
}

/** Prints datapath actions; none is `drop`.  `flow` is the match that they belong to: it tells a TCP port from a UDP one. */
export function formatDatapathActions(
  actions: Uint8Array,
  names?: PortNames,
  flow?: AbiMatch,
  outerLabels?: readonly number[],
): string {
  const labels = outerLabels === undefined ? labelsOf(flow) : [...outerLabels];
  const view = new DataView(actions.buffer, actions.byteOffset, actions.byteLength);
  const parts: string[] = [];
  const portName = (port: number): string => names?.nameOf(port) ?? String(port);
  for (let start = 0; start < actions.length; ) {
    const number = view.getUint16(start, true);
    const size = view.getUint16(start + 2, true);
    if (size < 8 || start + size > actions.length) throw new Error(`datapath action at ${start} has size ${size}`);
    switch (number) {
      case opcode["output"]: {
        const port = view.getUint32(start + at.port, true);
        parts.push(names?.nameOf(port) ?? String(port));
        break;
      }
      case opcode["trunc"]:
        parts.push(`trunc(${view.getUint32(start + at.truncated, true)})`);
        break;
      case opcode["push_mpls"]: {
        labels.unshift(view.getUint32(start + at.lse, true));
        const name = view.getUint16(start + at.pushedWhole, true) === 0 ? "push_mpls" : "add_mpls";
        parts.push(
          `${name}(${formatLabel(labels[0] as number)},eth_type=0x${view.getUint16(start + at.pushedType, true).toString(16)})`,
        );
        break;
      }
      case opcode["pop_mpls"]:
        labels.shift();
        parts.push(`pop_mpls(eth_type=0x${view.getUint16(start + at.poppedType, true).toString(16)})`);
        break;
      case opcode["check_pkt_len"]: {
        const from = start + layoutOf("check_pkt_len").size;
        const middle = from + view.getUint32(start + at.greater, true);
        const branch = (first: number, end: number): string =>
          formatDatapathActions(actions.subarray(first, end), names, flow, labels);
        parts.push(
          `check_pkt_len(size=${view.getUint32(start + at.length, true)},` +
            `gt(${branch(from, middle)}),le(${branch(middle, start + size)}))`,
        );
        break;
      }
      case opcode["controller"]: {
        const paused = view.getUint32(start + at.paused, true);
        parts.push(
          `userspace(pid=0,controller(reason=${view.getUint8(start + at.reason)},dont_send=0,continuation=${paused === 0 ? 0 : 1},recirc_id=${paused === 0 ? 1 : paused},` +
            `rule_cookie=${formatCookie(view.getBigUint64(start + at.cookie, true))},controller_id=${view.getUint16(start + at.id, true)},` +
            `max_len=${view.getUint32(start + at.maxLen, true)}))`,
        );
        break;
      }
      case opcode["set"]:
        parts.push(...formatSet(actions, start, view, flow, labels));
        break;
      case opcode["push_vlan"]: {
        const tpid = view.getUint16(start + at.tpid, true);
        const tci = view.getUint16(start + at.tci, true);
        parts.push(
          `push_vlan(${tpid === 0x8100 ? "" : `tpid=0x${tpid.toString(16).padStart(4, "0")},`}vid=${tci & 0xfff},pcp=${tci >> 13})`,
        );
        break;
      }
      case opcode["pop_vlan"]:
        parts.push("pop_vlan");
        break;
      case opcode["push_eth"]:
        parts.push(
          `push_eth(src=${formatEth(actions, start + at.ethSrc)},dst=${formatEth(actions, start + at.ethDst)})`,
        );
        break;
      case opcode["pop_eth"]:
        parts.push("pop_eth");
        break;
      case opcode["push_nsh"]: {
        const from = start + layoutOf("push_nsh").size;
        parts.push(formatPushNsh(actions.subarray(from, from + view.getUint32(start + at.nshSize, true))));
        break;
      }
      case opcode["pop_nsh"]:
        parts.push("pop_nsh()");
        break;
      case opcode["clone"]: {
        const from = start + layoutOf("clone").size;
        const nested = actions.subarray(from, from + view.getUint32(start + at.cloneSize, true));
        const text = formatDatapathActions(nested, names, flow, labels);
        // What goes up through a meter is a sample of everything, as Open vSwitch says it.
        parts.push(
          /^meter\(\d+\),userspace\(/.test(text) ? `sample(sample=100.0%,actions(${text}))` : `clone(${text})`,
        );
        break;
      }
      case opcode["sample"]: {
        const from = start + layoutOf("sample").size;
        const nested = actions.subarray(from, from + view.getUint32(start + at.sampleSize, true));
        const percent = ((100 * view.getUint32(start + at.sampleProbability, true)) / 0xffffffff).toFixed(1);
        parts.push(`sample(sample=${percent}%,actions(${formatDatapathActions(nested, names, flow, labels)}))`);
        break;
      }
      case opcode["report"]:
        parts.push(formatReport(actions, start));
        break;
      case opcode["recirc"]:
        parts.push(`recirc(0x${view.getUint32(start + at.recirc, true).toString(16)})`);
        break;
      case opcode["lb_output"]:
        parts.push(`lb_output(${view.getUint32(start + at.bond, true)})`);
        break;
      case opcode["hash"]: {
        const algorithm = hashAlgorithms[view.getUint32(start + at.hash, true)]?.name;
        parts.push(`hash(${algorithm}(${view.getUint32(start + at.basis, true)}))`);
        break;
      }
      case opcode["tunnel_set"]: {
        const words = actions.subarray(start + at.tunnelWords, start + at.tunnelWords + 64);
        const optionsFrom = start + at.tunnelOptions;
        const options = actions.subarray(optionsFrom, optionsFrom + view.getUint16(start + at.tunnelOptionsSize, true));
        parts.push(formatTunnelSet(words, view.getUint16(start + at.tunnelPort, true), options));
        break;
      }
      case opcode["tunnel_push"]:
        parts.push(formatTunnelPush(actions, start, portName));
        break;
      case opcode["tunnel_pop"]:
        parts.push(`tnl_pop(${portName(view.getUint32(start + at.popPort, true))})`);
        break;
      case opcode["meter"]:
        parts.push(`meter(${view.getUint32(start + at.meter, true)})`);
        break;
      case opcode["protocol"]:
        parts.push(
          `userspace(pid=0,slow_path(${protocolNames.get(view.getUint32(start + at.protocol, true)) ?? "action"}))`,
        );
        break;
      case opcode["drop"]:
      case opcode["keep_hash"]:
        break;
      default:
        parts.push("userspace(pid=0,slow_path(action))");
    }
    start += size;
  }
  return parts.length === 0 ? "drop" : parts.join(",");
}

/** `push_nsh(flags=0,ttl=63,mdtype=1,np=3,spi=0x1234,si=255,c1=0x1,c2=0x0,c3=0x0,c4=0x0)` of the header's bytes. */
function formatPushNsh(header: Uint8Array): string {
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const first = view.getUint16(0);
  const path = view.getUint32(4);
  const type = header[2] as number;
  const parts = [
    `flags=${(first >> 12) & 3}`,
    `ttl=${(first >> 6) & 0x3f}`,
    `mdtype=${type}`,
    `np=${header[3]}`,
    `spi=0x${(path >>> 8).toString(16)}`,
    `si=${path & 0xff}`,
  ];
  if (type === 1) {
    for (let index = 1; index <= 4; index++) parts.push(`c${index}=0x${view.getUint32(4 + 4 * index).toString(16)}`);
  } else if (type === 2 && header.length > 8) {
    parts.push(`md2=0x${Array.from(header.subarray(8), (byte) => byte.toString(16).padStart(2, "0")).join("")}`);
  }
  return `push_nsh(${parts.join(",")})`;
}

const formatCookie = (cookie: bigint): string => (cookie === 0n ? "0" : `0x${cookie.toString(16)}`);

function labelsOf(flow: AbiMatch | undefined): number[] {
  if (flow === undefined) return [];
  scratch.read(flow);
  return labelStack(scratch).map((entry) => entry.value);
}
