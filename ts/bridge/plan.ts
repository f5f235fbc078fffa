/** What must be done to a running switch so that it is as wanted, in the order that it must be done in.  Pure.
 *
 *  The order is part of the behaviour: everything that goes, in all bridges, goes before anything is made, because a name
 *  or a number that one bridge gives up may be what another waits for; and of the interfaces to be made, those that ask
 *  for a number come first. */
import type { WantedBridge, WantedInterface, WantedPort } from "./wanted.js";

export interface RunningInterface {
  readonly name: string;
  readonly port: string;
  readonly type: string;
  /** The options it was opened with, when a change of them needs it to be opened anew; else empty. */
  readonly options: ReadonlyMap<string, string>;
  readonly ofport: number;
}

export interface RunningBridge {
  readonly name: string;
  readonly datapathType: string;
  readonly interfaces: ReadonlyMap<string, RunningInterface>;
}

export type Step =
  | { readonly kind: "deleteBridge"; readonly bridge: string }
  | { readonly kind: "deleteInterface"; readonly bridge: string; readonly name: string }
  | { readonly kind: "createBridge"; readonly wanted: WantedBridge }
  | {
      readonly kind: "addInterface";
      readonly bridge: string;
      readonly port: WantedPort;
      readonly wanted: WantedInterface;
      readonly requested: number | undefined;
    };

const localPort = 65534;
const highestPort = 0xfeff;

function usable(number: number | undefined): number | undefined {
  return number !== undefined && number >= 1 && number <= highestPort ? number : undefined;
}

/** The number that an interface asks for. */
const requestedOfport = (wanted: WantedInterface): number | undefined => usable(wanted.row?.ofport_request);

/** The number that an interface should have: what it asks for, else what it had. */
export function pickOfport(wanted: WantedInterface): number | undefined {
  return requestedOfport(wanted) ?? usable(wanted.row?.ofport);
}

function sameOptions(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
}

/** Interfaces that more than one bridge wants.  As in Open vSwitch none has them until one alone is left. */
export function contested(wanted: ReadonlyMap<string, WantedBridge>): ReadonlySet<string> {
  const seen = new Map<string, string>();
  const several = new Set<string>();
  for (const bridge of wanted.values()) {
    for (const port of bridge.ports.values()) {
      for (const { name } of port.interfaces) {
        if ((seen.get(name) ?? bridge.name) !== bridge.name) several.add(name);
        seen.set(name, bridge.name);
      }
    }
  }
  return several;
}

/** `reopens` tells whether an interface must be opened anew because its options changed. */
export function plan(
  running: ReadonlyMap<string, RunningBridge>,
  wanted: ReadonlyMap<string, WantedBridge>,
  reopens: (running: RunningInterface, wanted: WantedInterface) => boolean = (was, is) =>
    !sameOptions(was.options, is.row?.options ?? new Map()),
): Step[] {
  const deletions: Step[] = [];
  const creations: Step[] = [];
  const first: Step[] = [];
  const second: Step[] = [];
  const several = contested(wanted);
  for (const bridge of running.values()) {
    if (wanted.get(bridge.name)?.datapathType !== bridge.datapathType)
      deletions.push({ kind: "deleteBridge", bridge: bridge.name });
  }
  for (const bridge of wanted.values()) {
    const before = running.get(bridge.name);
    const kept = before?.datapathType === bridge.datapathType ? before : undefined;
    if (kept === undefined) creations.push({ kind: "createBridge", wanted: bridge });
    const gone = kept === undefined ? new Set<string>() : doomed(kept, bridge, several, reopens);
    for (const name of gone) deletions.push({ kind: "deleteInterface", bridge: bridge.name, name });
    for (const port of bridge.ports.values()) {
      for (const iface of port.interfaces) {
        if (several.has(iface.name)) continue;
        if (kept?.interfaces.has(iface.name) === true && !gone.has(iface.name)) continue;
        const requested = iface.name === bridge.name ? localPort : pickOfport(iface);
        (iface.row?.ofport_request === undefined ? second : first).push({
          kind: "addInterface",
          bridge: bridge.name,
          port,
          wanted: iface,
          requested,
        });
      }
    }
  }
  return [...deletions, ...creations, ...first, ...second];
}

/** Interfaces that must go, or go and come back with another type, option or number. */
function doomed(
  running: RunningBridge,
  wanted: WantedBridge,
  several: ReadonlySet<string>,
  reopens: (running: RunningInterface, wanted: WantedInterface) => boolean,
): Set<string> {
  const byName = new Map<string, { readonly port: string; readonly wanted: WantedInterface }>();
  for (const port of wanted.ports.values()) {
    for (const iface of port.interfaces)
      if (!several.has(iface.name)) byName.set(iface.name, { port: port.name, wanted: iface });
  }
  const holder = new Map([...running.interfaces.values()].map((iface) => [iface.ofport, iface.name]));
  const gone = new Set<string>();
  for (const iface of running.interfaces.values()) {
    const want = byName.get(iface.name);
    if (
      want === undefined ||
      want.port !== iface.port ||
      want.wanted.type !== iface.type ||
      reopens(iface, want.wanted)
    ) {
      gone.add(iface.name);
      continue;
    }
    const number = iface.name === running.name ? localPort : requestedOfport(want.wanted);
    if (number === undefined || number === iface.ofport) continue;
    const victim = holder.get(number);
    const rival = victim === undefined ? undefined : byName.get(victim)?.wanted;
    // Two that ask for the same number: the one that has it keeps it.
    if (rival !== undefined && requestedOfport(rival) === number) continue;
    gone.add(iface.name);
    if (victim !== undefined) gone.add(victim);
  }
  return gone;
}
