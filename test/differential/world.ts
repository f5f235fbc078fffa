/** Random lives of a bridge: groups, meters and flows of every version of OpenFlow, that change between packets. */
import {
  bytesOf,
  chooseAction,
  hex,
  ipv4,
  isIp4,
  isIp6,
  lastTable,
  macs,
  matchText,
  networkLayer,
  outputAction,
  type Protocol,
  ports,
  protocolNumber,
  protocols,
  setAction,
  u16,
  vlans,
} from "./generate.js";
import type { Random } from "./random.js";
import type { Arrivals, Step } from "./steps.js";

/** What this life is about; what it is not about is left out, so that failures stay small. */
interface Theme {
  readonly fragments: boolean;
  readonly learn: boolean;
  readonly nsh: boolean;
  /** Packets may recirculate, and then there are no action sets: Open vSwitch 3.1 dies of an assertion in
   *  recirc_alloc_id__() when it freezes a packet whose action set is longer than the actions that are left. */
  readonly recirculates: boolean;
  /** Packets go to a controller, and then no tags are pushed: Open vSwitch 3.1 parses a packet again that it sends up
   *  (dp_execute_userspace_action()), no deeper than its limit of tags, and of one with more takes the network header to
   *  be where it is not, so that later actions write over other bytes. */
  readonly controllers: boolean;
  readonly meters: readonly number[];
  readonly groups: readonly number[];
}

const versions = ["OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"] as const;
type Version = (typeof versions)[number];
const atLeast = (version: Version, least: Version): boolean => version >= least;

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

function groupText(random: Random, id: number, theme: Theme, version: Version): string {
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

function meterText(random: Random, id: number): string {
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

function nshActions(random: Random): string {
  return random.pick([
    `encap(nsh(md_type=1)),set_field:${hex(random.below(9) + 1)}->nsh_spi,set_field:${random.below(255)}->nsh_si,encap(ethernet),set_field:${random.pick(macs)}->eth_dst,output:${random.pick(ports)}`,
    `encap(nsh(md_type=1)),set_field:0x11->nsh_c1,dec_nsh_ttl,encap(ethernet),output:${random.pick(ports)}`,
    `encap(nsh(md_type=2,tlv(0x1000,10,0x12345678))),set_field:0x3->nsh_spi,encap(ethernet),output:${random.pick(ports)}`,
    `encap(nsh(md_type=1)),encap(ethernet),decap(),decap(),output:${random.pick(ports)}`,
  ]);
}

function controllerAction(random: Random): string {
  return random.pick([
    "controller",
    `controller:${random.pick([0, 20, 64])}`,
    "controller(reason=invalid_ttl)",
    `controller(userdata=01.02.0${random.below(10)})`,
  ]);
}

function actions(random: Random, table: number, protocol: Protocol, version: Version, theme: Theme): string {
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
    if (theme.controllers) choices.push(() => controllerAction(random));
    if (theme.learn) choices.push(() => learnAction(random));
    if (theme.nsh && atLeast(version, "OpenFlow13")) choices.push(() => nshActions(random));
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

interface Numbering {
  next: number;
}

function flowText(random: Random, version: Version, theme: Theme, cookies: Numbering): string {
  const table = random.below(lastTable + 1);
  const protocol = random.pick(protocols);
  const cookie = cookies.next++;
  const head = [`table=${table}`, `cookie=${hex(cookie)}`, `priority=${10 + random.below(9) * 64 + (cookie % 64)}`];
  const match = matchText(random, protocol);
  return `${[...head, ...match].join(",")} actions=${actions(random, table, protocol, version, theme)}`;
}

/** Flows that match everything, so that packets go somewhere. */
function floorFlows(random: Random, version: Version, theme: Theme, cookies: Numbering): string[] {
  return Array.from({ length: lastTable + 1 }, (_, table) => table)
    .filter((table) => table === 0 || random.chance(0.7))
    .map((table) => {
      const cookie = hex(cookies.next++);
      return `table=${table},cookie=${cookie},priority=0 actions=${actions(random, table, "any", version, theme)}`;
    });
}

function change(random: Random, theme: Theme, cookies: Numbering): Step {
  const version = random.pick(versions);
  const late = random.pick(["OpenFlow13", "OpenFlow15"] as const);
  const ofctl = (of: Version, command: string, words: string[], options: string[] = []): Step => ({
    kind: "ofctl",
    version: of,
    command,
    words,
    options,
  });
  const choices: (() => Step)[] = [
    () => ofctl(version, "add-flow", [flowText(random, version, theme, cookies)]),
    () => {
      const protocol = random.pick(protocols);
      return ofctl(version, "mod-flows", [
        `${[`table=${random.below(4)}`, ...matchText(random, protocol).slice(0, 1)].join(",")} actions=${actions(random, lastTable, protocol, version, theme)}`,
      ]);
    },
    () => ofctl(version, "del-flows", [matchText(random, random.pick(protocols)).slice(0, 2).join(",") || "table=2"]),
    () =>
      ofctl(version, "del-flows", [`cookie=${hex(random.below(cookies.next))}/${random.pick(["-1", "0xf", "0x3"])}`]),
    () => ofctl(version, "del-flows", [`out_port=${random.pick(ports)},table=${random.below(4)}`]),
    () => ({
      kind: "flows",
      version: late,
      bundle: true,
      lines: Array.from(
        { length: 3 },
        () => `${random.pick(["add", "add", "modify"])} ${flowText(random, late, theme, cookies)}`,
      ),
    }),
  ];
  if (theme.groups.length > 0) {
    const id = random.pick(theme.groups);
    choices.push(
      () => ofctl(late, "mod-group", [groupText(random, id, theme, late)]),
      () => ofctl(late, "del-groups", [`group_id=${id}`]),
      () => ofctl(late, "add-group", [groupText(random, id, theme, late)]),
      () =>
        ofctl("OpenFlow15", "insert-buckets", [
          `group_id=${id},command_bucket_id=${random.pick(["first", "last"])},bucket=bucket_id=${9 + random.below(9)},weight:3,actions=output:${random.pick(ports)}`,
        ]),
      () =>
        ofctl("OpenFlow15", "remove-buckets", [
          `group_id=${id},command_bucket_id=${random.pick(["first", "last", "1"])}`,
        ]),
    );
  }
  if (theme.meters.length > 0) {
    const id = random.pick(theme.meters);
    choices.push(
      () => ofctl("OpenFlow13", "mod-meter", [meterText(random, id)]),
      () => ofctl("OpenFlow13", "del-meter", [`meter=${id}`]),
      () => ofctl("OpenFlow13", "add-meter", [meterText(random, id)]),
    );
  }
  if (theme.fragments)
    choices.push(() => ofctl(version, "set-frags", [random.pick(["normal", "drop", "nx-match", "reassemble"])]));
  return random.pick(choices)();
}

/** One extension header of a random kind before what `next` tells.  No fragment is the whole of its packet: there Open
 *  vSwitch 3.1 leaves the checksum wrong when it sets an address (packet_rh_present() takes it for a later fragment). */
function extensionHeader(random: Random, next: number): { kind: number; bytes: number[] } {
  switch (random.below(4)) {
    case 0:
      return { kind: 0, bytes: [next, 0, 1, 4, 0, 0, 0, 0] };
    case 1:
      return { kind: 43, bytes: [next, 0, 0, 0, 0, 0, 0, 0] };
    case 2:
      return { kind: 60, bytes: [next, 1, 1, 12, ...new Array<number>(12).fill(0)] };
    default:
      return { kind: 44, bytes: [next, 0, ...u16(random.pick([1, 0xb8, 0xb9])), 0, 0, 0, 9] };
  }
}

function withExtensions(random: Random, protocol: Protocol, bytes: readonly number[]): number[] {
  let next = protocolNumber[protocol] ?? 200;
  let body = bytes.slice(40);
  for (let n = 1 + random.below(2); n > 0; n--) {
    const header = extensionHeader(random, next);
    body = [...header.bytes, ...body];
    next = header.kind;
  }
  return [...bytes.slice(0, 4), ...u16(body.length), next, ...bytes.slice(7, 40), ...body];
}

function frameText(random: Random, theme: Theme): string {
  const protocol = random.pick(protocols);
  const layer = networkLayer(random, protocol);
  let bytes = layer.bytes;
  if (isIp6(protocol) && theme.fragments && random.chance(0.5)) bytes = withExtensions(random, protocol, bytes);
  const tag = (type: number): number[] => [...u16(type), ...u16((random.below(8) << 13) | random.pick(vlans))];
  const tags = random.pick([
    [],
    [],
    [],
    tag(0x8100),
    [...tag(0x88a8), ...tag(0x8100)],
    [...tag(0x8100), ...tag(0x8100)],
  ]);
  const frame = [
    ...bytesOf(random.pick(macs)),
    ...bytesOf(random.pick(macs.slice(0, 3))),
    ...tags,
    ...u16(layer.type),
    ...bytes,
  ];
  while (frame.length < 60) frame.push(0);
  return frame.map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Frames sent at once: a test device's queue holds a hundred. */
const framesPerStep = 80;
const flowsPerStep = 6;

/** A life: groups, meters and flows, then packets and changes by turns. */
export function randomLife(random: Random, flows: number, packets: number): readonly Step[] {
  const learn = random.chance(0.25);
  const recirculates = random.chance(0.5);
  const theme: Theme = {
    fragments: random.chance(0.4),
    learn,
    nsh: recirculates && random.chance(0.5),
    recirculates,
    controllers: random.chance(0.5),
    meters: random.chance(0.4) ? [1, 2] : [],
    groups: random.chance(0.7) ? [1, 2, 3, 4] : [],
  };
  const version = random.pick(versions);
  const cookies: Numbering = { next: 1 };
  const steps: Step[] = [];
  for (const id of theme.groups)
    steps.push({
      kind: "ofctl",
      version: "OpenFlow15",
      command: "add-group",
      words: [groupText(random, id, theme, "OpenFlow15")],
    });
  for (const id of theme.meters)
    steps.push({ kind: "ofctl", version: "OpenFlow13", command: "add-meter", words: [meterText(random, id)] });
  const floor = floorFlows(random, version, theme, cookies);
  steps.push({ kind: "flows", version, bundle: false, lines: floor });
  // A flow that is refused ends its lot.
  for (let left = flows; left > 0; left -= flowsPerStep) {
    const lines = Array.from({ length: flowsPerStep }, () => flowText(random, version, theme, cookies));
    steps.push({ kind: "flows", version, bundle: false, lines });
  }
  for (let sent = 0; sent < packets; ) {
    const arrivals = arrive(random, theme);
    steps.push({ kind: "frames", arrivals });
    // A packet that teaches goes alone, and takes the time of many.
    sent += learn ? 40 : arrivals.reduce((sum, { frames }) => sum + frames.length, 0);
    if (random.chance(learn ? 0.1 : 0.5)) steps.push(change(random, theme, cookies));
  }
  return steps;
}

/** What a packet taught reaches cached flows when revalidators come round: then each goes alone.  Which packets a meter
 *  lets through depends on their order: then they come to one port. */
function arrive(random: Random, theme: Theme): Arrivals[] {
  const frames = (count: number): string[] => Array.from({ length: count }, () => frameText(random, theme));
  if (theme.learn) return [{ port: random.pick(ports), frames: frames(1) }];
  if (theme.meters.length > 0) return [{ port: random.pick(ports), frames: frames(framesPerStep) }];
  return ports.map((port) => ({ port, frames: frames(framesPerStep) }));
}
