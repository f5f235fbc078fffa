import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { findBridge } from "./appctl-datapath.js";
import type { Ofproto } from "./ofproto.js";
import type { Ofprotos } from "./ofprotos.js";

/** What a datapath can do, as Open vSwitch names it: `dpif/show-dp-features` and Datapath.capabilities tell all rows,
 *  and tests turn off those that can be turned: `dpif/set-dp-features`. */
interface Feature {
  readonly name: string;
  readonly title: string;
  readonly value: boolean | number;
  /** Of what can be turned off. */
  readonly turned?: { isOn(ofproto: Ofproto): boolean; turn(ofproto: Ofproto, on: boolean): void };
}

const row = (name: string, title: string, value: boolean | number): Feature => ({ name, title, value });

const features: readonly Feature[] = [
  row("masked_set_action", "Masked set action", true),
  {
    ...row("tnl_push_pop", "Tunnel push pop", true),
    turned: {
      isOn: (ofproto) => !ofproto.settings.kernelTunnels,
      turn: (ofproto, on) => ofproto.changeSettings({ kernelTunnels: !on }),
    },
  },
  row("ufid", "Ufid", true),
  row("trunc", "Truncate action", true),
  row("clone", "Clone action", true),
  row("sample_nesting", "Sample nesting", 10),
  row("ct_eventmask", "Conntrack eventmask", false),
  row("ct_clear", "Conntrack clear", false),
  row("max_hash_alg", "Max dp_hash algorithm", 1),
  row("check_pkt_len", "Check pkt length action", true),
  row("ct_timeout", "Conntrack timeout policy", false),
  row("explicit_drop_action", "Explicit Drop action", true),
  row("lb_output_action", "Optimized Balance TCP mode", true),
  row("ct_zero_snat", "Conntrack all-zero IP SNAT", false),
  row("add_mpls", "MPLS Label add", true),
  row("max_vlan_headers", "Max VLAN headers", 2),
  row("max_mpls_depth", "Max MPLS depth", 3),
  row("recirc", "Recirc", true),
  row("ct_state", "CT state", false),
  row("ct_zone", "CT zone", false),
  row("ct_mark", "CT mark", false),
  row("ct_label", "CT label", false),
  row("ct_state_nat", "CT state NAT", false),
  row("ct_orig_tuple", "CT orig tuple", false),
  row("ct_orig_tuple6", "CT orig tuple for IPv6", false),
  row("nd_ext", "IPv6 ND Extension", true),
];

/** Datapath.capabilities. */
export function datapathCapabilities(): ReadonlyMap<string, string> {
  return new Map(features.map(({ name, value }) => [name, String(value)]));
}

function show(feature: Feature, ofproto: Ofproto): string {
  const isOn = feature.turned?.isOn(ofproto) ?? feature.value;
  return `${feature.name} (${feature.title}) : [run time]:${isOn}, [boot time]:${feature.value}\n`;
}

function showAll(ofproto: Ofproto): string {
  return features
    .map(({ title, value, turned }) => {
      const now = turned?.isOn(ofproto) ?? value;
      return `${title}: ${typeof now === "number" ? now : now ? "Yes" : "No"}\n`;
    })
    .join("");
}

function setFeature(all: Ofprotos, bridge: string, name: string | undefined, value: string | undefined): string {
  const ofproto = findBridge(all, bridge);
  if (name === undefined) return features.map((feature) => show(feature, ofproto)).join("");
  const feature = features.find((each) => each.name === name);
  if (feature === undefined) return "Unexpected support field";
  if (value === undefined) return show(feature, ofproto);
  const word = value.toLowerCase();
  if (word !== "true" && word !== "false") return "Boolean value expected";
  if (feature.turned === undefined) return "Unexpected support field";
  // The bridges of a datapath share it.
  for (const other of all.all())
    if (other.datapathType === ofproto.datapathType) feature.turned.turn(other, word === "true");
  return "";
}

export function featureCommands(all: Ofprotos): readonly UnixctlCommand[] {
  return [
    {
      name: "dpif/show-dp-features",
      usage: "bridge",
      minArgs: 1,
      maxArgs: 1,
      handler: ([bridge = ""]) => showAll(findBridge(all, bridge)),
    },
    {
      name: "dpif/set-dp-features",
      usage: "bridge",
      minArgs: 1,
      maxArgs: 3,
      handler: ([bridge, name, value]) => {
        if (bridge === undefined) throw new UnixctlError("no such bridge");
        return setFeature(all, bridge, name, value);
      },
    },
  ];
}
