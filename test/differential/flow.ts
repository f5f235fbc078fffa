/** Random groups, meters and flows as text that ovs-ofctl takes. */
import {
  chooseAction,
  hex,
  ipv4,
  isIp4,
  isIp6,
  lastTable,
  macs,
  matchText,
  outputAction,
  type Protocol,
  ports,
  protocols,
  setAction,
  vlans,
} from "./generate.js";
import type { Random } from "./random.js";
import {
  encapActions,
  finTimeout,
  flowOptions,
  mplsFlow,
  rareAction,
  tagFlow,
  tunnelAction,
  tunnelMatch,
} from "./repertoire.js";
import { atLeast, type Theme, type Version } from "./theme.js";

/** Ports, types and checksums are not set where fragments are about: of a later fragment Open vSwitch rewrites payload
 *  bytes where they would be. */
function settable(protocol: Protocol, theme: Theme): Protocol {
  if (!theme.fragments) return protocol;
  return isIp4(protocol) ? "ip" : isIp6(protocol) ? "ipv6" : protocol;
}

function setOne(random: Random, protocol: Protocol, theme: Theme): string {
  // The tag's presence is not known here, so only what needs none: pushes come with their VLAN.
  for (;;) {
    const text = setAction(random, settable(protocol, theme), { hasVlan: false, normal: false });
    if (!text.startsWith("push_vlan") || (!theme.controllers && random.chance(0.5))) return text;
  }
}

function bucketActions(random: Random, theme: Theme, below: number): string {
  const out: string[] = [];
  if (random.chance(0.4)) out.push(`set_field:${random.pick(macs)}->eth_dst`);
  if (random.chance(0.2)) out.push(`load:${hex(random.below(3))}->NXM_NX_REG${random.below(3)}[]`);
  if (!theme.controllers && random.chance(0.2))
    out.push(`push_vlan:0x8100,set_field:${4096 + random.pick(vlans)}->vlan_vid`);
  const chained = theme.groups.filter((id) => id < below);
  out.push(
    random.pick([
      () => `output:${random.pick(ports)}`,
      () => `output:${random.pick(ports)}`,
      () => `output:NXM_NX_REG${random.below(3)}[0..2]`,
      () => (chained.length > 0 ? `group:${random.pick(chained)}` : "in_port"),
      () => `resubmit(,${lastTable})`,
      () => "drop",
    ])(),
  );
  return out.filter((text) => text !== "drop").join(",") || "drop";
}

function bucket(random: Random, type: string, theme: Theme, id: number): string {
  const words = [
    ...(type === "select" ? [`weight:${random.pick([1, 1, 2, 10, 0])}`] : []),
    ...(type === "ff" ? [`watch_port:${random.pick(ports)}`] : []),
    `actions=${bucketActions(random, theme, id)}`,
  ];
  return `bucket=${words.join(",")}`;
}

export function groupText(random: Random, id: number, theme: Theme, version: Version): string {
  // A selection without a method is by the datapath's hash, which takes a recirculation.
  const selects = theme.recirculates || atLeast(version, "OpenFlow15") ? ["select", "select"] : [];
  const type = random.pick(["all", "indirect", "ff", ...selects]);
  const count = type === "indirect" ? 1 : random.below(5);
  const method =
    type === "select" && atLeast(version, "OpenFlow15")
      ? random.pick([
          ...(theme.recirculates
            ? ["", ",selection_method=dp_hash", ",selection_method=dp_hash,selection_method_param=7"]
            : []),
          ",selection_method=hash",
          ",selection_method=hash,fields(ip_src)",
          ",selection_method=hash,fields(eth_src,eth_dst)",
          ",selection_method=hash,selection_method_param=5,fields(ip_dst=255.255.255.0)",
        ])
      : "";
  const buckets = Array.from({ length: count }, () => bucket(random, type, theme, id));
  return [`group_id=${id},type=${type}${method}`, ...buckets].join(",");
}

export function meterText(random: Random, id: number): string {
  const burst = random.chance(0.5) ? ` burst_size=${random.pick([1, 5, 30])}` : "";
  const bands = [
    `type=drop rate=${random.pick([1, 3, 10, 40])}${burst}`,
    ...(random.chance(0.3) ? [`type=drop rate=${random.pick([2, 20, 100])}${burst}`] : []),
  ];
  return `meter=${id} ${random.pick(["pktps", "pktps", "kbps"])}${burst === "" ? "" : " burst"} stats bands=${bands.join(",")}`;
}

function learnAction(random: Random): string {
  const table = random.below(lastTable + 1);
  return random.pick([
    () =>
      `learn(table=${table},priority=${700 + random.below(3)},NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])`,
    () =>
      `learn(table=${table},cookie=0x77,priority=9,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_SRC[],load:NXM_OF_IN_PORT[]->NXM_NX_REG1[0..15])`,
    () =>
      `learn(table=${table},priority=650,eth_type=0x800,NXM_OF_IP_DST[]=NXM_OF_IP_SRC[],load:0x2->NXM_NX_REG0[0..3])`,
    () =>
      `learn(table=${table},limit=3,result_dst=NXM_NX_REG2[0],priority=8,NXM_OF_ETH_SRC[],NXM_OF_IN_PORT[],output:NXM_NX_REG0[0..15])`,
  ])();
}

function controllerAction(random: Random): string {
  return random.pick([
    "controller",
    `controller:${random.pick([0, 20, 64])}`,
    "controller(reason=invalid_ttl)",
    `controller(userdata=01.02.0${random.below(10)})`,
  ]);
}

export function actions(random: Random, table: number, protocol: Protocol, version: Version, theme: Theme): string {
  const apply: string[] = [];
  const later = (): number => table + 1 + random.below(lastTable - table);
  // Open vSwitch 3.1 dies of an assertion in ofproto_rule_remove__() when a group goes that a flow names twice.
  const groups = [...theme.groups];
  const freshGroup = (): string => `group:${groups.splice(random.below(groups.length), 1)[0]}`;
  for (let n = random.below(2); n > 0; n--) apply.push(setOne(random, protocol, theme));
  for (let n = 1 + random.below(2); n > 0; n--) {
    const choices: (() => string)[] = [
      () => outputAction(random, false),
      () => (table < lastTable ? `resubmit(,${later()})` : outputAction(random, false)),
      () => chooseAction(random),
      () => `output(port=${random.pick(ports)},max_len=${random.pick([14, 40, 64, 1500])})`,
      () => `clone(set_field:${random.pick(macs)}->eth_dst,output:${random.pick(ports)})`,
    ];
    if (atLeast(version, "OpenFlow11") && groups.length > 0)
      for (let weight = 0; weight < 4; weight++) choices.push(freshGroup);
    if (theme.rare) choices.push(() => rareAction(random, settable(protocol, theme), theme, table));
    if (theme.tunnels) choices.push(() => tunnelAction(random));
    if (theme.controllers) choices.push(() => controllerAction(random));
    // In one life (seed 64039) Open vSwitch 3.1 went on with an action that no flow has after a second pause.
    if (theme.pauses && !apply.includes("controller(pause)")) choices.push(() => "controller(pause)");
    if (theme.timeouts && protocol === "tcp") choices.push(() => finTimeout(random));
    if (theme.learn) choices.push(() => learnAction(random));
    if (theme.encaps && atLeast(version, "OpenFlow13")) choices.push(() => encapActions(random));
    apply.push(random.pick(choices)());
  }
  const instructions: string[] = [];
  if (atLeast(version, "OpenFlow13") && theme.meters.length > 0 && random.chance(0.4))
    apply.unshift(`meter:${random.pick(theme.meters)}`);
  if (atLeast(version, "OpenFlow11")) {
    if (random.chance(0.1)) instructions.push("clear_actions");
    if (!theme.recirculates && random.chance(0.3))
      instructions.push(`write_actions(${actionSet(random, protocol, theme, groups)})`);
    if (random.chance(0.15)) instructions.push(`write_metadata:${hex(random.below(4))}/0x3`);
    if (random.chance(0.35) && table < lastTable) instructions.push(`goto_table:${later()}`);
  }
  return [...(theme.recirculates ? controllersFirst(apply) : apply), ...instructions].join(",");
}

/** Where packets recirculate, controllers come first: of a controller action that is frozen twice Open vSwitch 3.1 tells
 *  the table and the cookie of another rule (freeze_unroll_actions() copies what restores them without noticing). */
function controllersFirst(apply: readonly string[]): string[] {
  const isController = (text: string): boolean => text.startsWith("controller");
  return [...apply.filter(isController), ...apply.filter((text) => !isController(text))];
}

/** Actions of a set in any order: the switch puts them in its own. */
function actionSet(random: Random, protocol: Protocol, theme: Theme, groups: readonly number[]): string {
  const out = [
    ...(random.chance(0.5) ? [`set_field:${random.pick(macs)}->eth_dst`] : []),
    ...(!theme.controllers && random.chance(0.3) ? ["push_vlan:0x8100"] : []),
    ...(random.chance(0.3) && (isIp4(protocol) || isIp6(protocol)) ? ["dec_ttl"] : []),
    ...(random.chance(0.3) && isIp4(protocol) ? [`set_field:${random.pick(ipv4)}->ip_dst`] : []),
    ...(random.chance(0.3) ? [`set_field:${hex(random.below(3))}->reg1`] : []),
    ...(random.chance(0.4) && groups.length > 0 ? [`group:${random.pick(groups)}`] : []),
    `output:${random.pick(ports)}`,
  ];
  for (let index = out.length - 1; index > 0; index--) {
    const other = random.below(index + 1);
    [out[index], out[other]] = [out[other] ?? "", out[index] ?? ""];
  }
  return out.join(",");
}

export interface Numbering {
  next: number;
}

export function flowText(random: Random, version: Version, theme: Theme, cookies: Numbering): string {
  const table = random.below(lastTable + 1);
  const protocol = random.pick(protocols);
  const cookie = cookies.next++;
  const head = [`table=${table}`, `cookie=${hex(cookie)}`, `priority=${10 + random.below(9) * 64 + (cookie % 64)}`];
  if (theme.rare || theme.timeouts) head.push(...flowOptions(random, theme, version));
  if (theme.mpls && random.chance(0.4)) {
    const flow = mplsFlow(random, theme, table);
    return `${[...head, ...flow.match].join(",")} actions=${flow.actions}`;
  }
  if (theme.rare && random.chance(0.15)) {
    const flow = tagFlow(random, table);
    return `${[...head, ...flow.match].join(",")} actions=${flow.actions}`;
  }
  const match = matchText(random, protocol);
  if (theme.tunnels && random.chance(0.2)) match.push(tunnelMatch(random));
  return `${[...head, ...match].join(",")} actions=${actions(random, table, protocol, version, theme)}`;
}

/** Flows that match everything, so that packets go somewhere. */
export function floorFlows(random: Random, version: Version, theme: Theme, cookies: Numbering): string[] {
  return Array.from({ length: lastTable + 1 }, (_, table) => table)
    .filter((table) => table === 0 || random.chance(0.7))
    .map((table) => {
      const cookie = hex(cookies.next++);
      return `table=${table},cookie=${cookie},priority=0 actions=${actions(random, table, "any", version, theme)}`;
    });
}
