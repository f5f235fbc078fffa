import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { type DropCount, drops } from "../datapath/index.js";
import type { Ofprotos } from "./ofprotos.js";

/** The command that shows which packets were dropped, where and why. */

interface NamedDrop extends Omit<DropCount, "packets"> {
  readonly port: string;
  readonly packets: number;
}

/** What is nobody's: packets of the control plane, and those of ports that are gone. */
const noPort = "(no port)";

/** The port of the datapath; of tunnels, what they share. */
function portName(all: Ofprotos, dpPort: number): string {
  if (dpPort === 0) return noPort;
  for (const ofproto of all.all())
    for (const port of ofproto.ports()) if (port.spec.dpPort === dpPort) return port.spec.dpName ?? port.name;
  return `port ${dpPort}`;
}

function namedDrops(all: Ofprotos, only: readonly string[]): readonly NamedDrop[] {
  const named = drops(all.datapath).drops.map(({ packets, ...drop }) => ({
    ...drop,
    port: portName(all, drop.dpPort),
    packets: Number(packets),
  }));
  for (const name of only) {
    const exists = all.all().some((ofproto) => ofproto.ports().some((port) => port.name === name));
    if (!exists) throw new UnixctlError(`${name}: no such port`, { port: name });
  }
  return only.length === 0 ? named : named.filter(({ port }) => only.includes(port));
}

function dropText(found: readonly NamedDrop[]): string {
  const ports = [...new Set(found.map(({ port }) => port))];
  return ports
    .map((port) => {
      const lines = found
        .filter((drop) => drop.port === port)
        .map(({ reason, packets }) => `  ${reason.padEnd(24)} ${packets}\n`);
      return `${port}:\n${lines.join("")}`;
    })
    .join("");
}

export function dropCommands(all: Ofprotos): readonly UnixctlCommand[] {
  return [
    {
      name: "sluice/drops",
      usage: "[PORT]...",
      minArgs: 0,
      maxArgs: 64,
      handler: (args) => {
        const found = namedDrops(all, args);
        return { text: dropText(found), json: found };
      },
    },
  ];
}
