import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { findBridge } from "./appctl-datapath.js";
import type { Ofproto } from "./ofproto.js";
import type { Ofprotos } from "./ofprotos.js";

/** What a datapath can do, which tests turn off: `dpif/set-dp-features`.  Each row is a feature that can be turned. */
interface Feature {
  readonly name: string;
  readonly title: string;
  isOn(ofproto: Ofproto): boolean;
  turn(ofproto: Ofproto, on: boolean): void;
}

const features: readonly Feature[] = [
  {
    name: "tnl_push_pop",
    title: "Tunnel push pop",
    isOn: (ofproto) => !ofproto.settings.kernelTunnels,
    turn: (ofproto, on) => ofproto.changeSettings({ kernelTunnels: !on }),
  },
];

function show(feature: Feature, ofproto: Ofproto): string {
  return `${feature.name} (${feature.title}) : [run time]:${feature.isOn(ofproto)}, [boot time]:true\n`;
}

function setFeature(all: Ofprotos, bridge: string, name: string | undefined, value: string | undefined): string {
  const ofproto = findBridge(all, bridge);
  if (name === undefined) return features.map((feature) => show(feature, ofproto)).join("");
  const feature = features.find((each) => each.name === name);
  if (feature === undefined) return "Unexpected support field";
  if (value === undefined) return show(feature, ofproto);
  const word = value.toLowerCase();
  if (word !== "true" && word !== "false") return "Boolean value expected";
  // The bridges of a datapath share it.
  for (const other of all.all()) if (other.datapathType === ofproto.datapathType) feature.turn(other, word === "true");
  return "";
}

export function featureCommands(all: Ofprotos): readonly UnixctlCommand[] {
  return [
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
