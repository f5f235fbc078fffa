import type { Clock, Timer } from "../clock/index.js";
import type { Logger, LogSource } from "../log/index.js";
import { type Ofproto, outputAction, sendOwnPacket } from "../ofproto/index.js";
import type { AutoAttachRow, InterfaceRow } from "../ovsdb/index.js";
import {
  createLldp,
  enableLldp,
  judgeMappings,
  type LldpNote,
  type LldpState,
  lldpDue,
  mapLldp,
  nameLldp,
  receiveLldp,
  runLldp,
} from "../protocols/index.js";
import { truth } from "./config-values.js";

/** LLDP and auto-attach on the interfaces of one bridge: drives the state machines by rows, frames and the clock, sends their
 *  frames, and gathers which VLANs ports are to carry. */

export interface DiscoveryDevice {
  readonly ofport: number;
  readonly mac: Uint8Array;
}

export interface DiscoveryOptions {
  readonly ofproto: Ofproto;
  readonly clock: Clock;
  readonly log: LogSource;
  readonly device: (name: string) => DiscoveryDevice | undefined;
  /** There are VLANs to be taken. */
  readonly vlansWait: () => void;
}

/** A change of the VLANs that a port of the database carries. */
export interface PortVlan {
  readonly port: string;
  readonly vlan: number;
  readonly add: boolean;
}

/** How Open vSwitch calls itself where nobody gave a description. */
const ownDescription = "openvswitch 3.1.0";

export class Discovery {
  readonly states = new Map<string, LldpState>();
  readonly #options: DiscoveryOptions;
  readonly #frameLog: Logger;
  readonly #mappingLog: Logger;
  readonly #bridgeLog: Logger;
  /** The text of each row's column when it was last looked at. */
  readonly #configured = new Map<string, string>();
  #mappings: ReadonlyMap<number, number> = new Map();
  #named: { readonly name: string | undefined; readonly description: string } = {
    name: undefined,
    description: ownDescription,
  };
  #vlans: PortVlan[] = [];
  #timer: Timer | undefined;

  constructor(options: DiscoveryOptions) {
    this.#options = options;
    this.#frameLog = options.log("lldp");
    this.#bridgeLog = options.log("bridge");
    this.#mappingLog = options.log("ovs_lldp");
  }

  /** Rows are those of interfaces that run.  As in Open vSwitch mappings and the name outlast the row of auto-attach. */
  configure(interfaces: readonly InterfaceRow[], row: AutoAttachRow | undefined): void {
    if (row !== undefined) {
      const description = row.system_description === "" ? ownDescription : row.system_description;
      this.#named = { name: row.system_name, description };
      this.#tellMappings(row.mappings);
      this.#mappings = row.mappings;
    } else {
      this.#named = { ...this.#named, description: ownDescription };
    }
    const wanted = new Set(interfaces.map(({ name }) => name));
    for (const name of [...this.states.keys()]) if (!wanted.has(name)) this.#remove(name);
    for (const one of interfaces) this.#configureInterface(one);
    this.#arm();
  }

  /** An interface goes away. */
  remove(name: string): void {
    this.#remove(name);
    this.#arm();
  }

  receive(name: string, frame: Uint8Array): void {
    const state = this.states.get(name);
    if (state?.enabled !== true) return;
    const { state: next, notes } = receiveLldp(state, frame);
    this.states.set(name, next);
    tell(this.#frameLog, notes);
  }

  /** Takes in what neighbours say of mappings, as who looks at them wants to know. */
  judge(): void {
    for (const [name, state] of this.states) {
      const { state: next, notes } = judgeMappings(state);
      this.states.set(name, next);
      tell(this.#mappingLog, notes);
    }
  }

  /** Changes of VLANs since the last call. */
  takeVlans(): readonly PortVlan[] {
    const taken = this.#vlans;
    this.#vlans = [];
    return taken;
  }

  /** Gives back what could not be done. */
  returnVlans(vlans: readonly PortVlan[]): void {
    this.#vlans = [...vlans, ...this.#vlans];
  }

  close(): void {
    this.#timer?.cancel();
  }

  #tellMappings(wanted: ReadonlyMap<number, number>): void {
    const told = (verb: string, isid: number, vlan: number): void => {
      this.#bridgeLog.info(`${verb} isid=${isid}, vlan=${vlan}`, { isid, vlan });
    };
    for (const [isid, vlan] of this.#mappings) if (!wanted.has(isid)) told("Deleting", isid, vlan);
    for (const [isid, vlan] of wanted) if (!this.#mappings.has(isid)) told("Adding", isid, vlan);
  }

  #configureInterface({ name, lldp }: InterfaceRow): void {
    const { ofproto, clock, device } = this.#options;
    const enabled = truth(lldp, "enable");
    const text = JSON.stringify([...lldp]);
    const mac = device(name)?.mac;
    let state = this.states.get(name);
    if (lldp.size === 0 || mac === undefined || (state === undefined && !enabled)) {
      this.#remove(name);
      return;
    }
    const now = clock.monotonic();
    if (state === undefined) state = createLldp(name, mac.slice(0, 6), ownDescription, now);
    else if (this.#configured.get(name) !== text) state = enableLldp(state, enabled, now);
    this.#configured.set(name, text);
    ofproto.setLldp(name, state.enabled);
    const mapped = mapLldp(nameLldp(state, this.#named.name, this.#named.description), this.#mappings);
    this.states.set(name, mapped.state);
    if (mapped.vlans.length === 0) return;
    this.#vlans.push(...mapped.vlans.map((vlan) => ({ port: name, ...vlan })));
    this.#options.vlansWait();
  }

  #remove(name: string): void {
    if (!this.states.delete(name)) return;
    this.#configured.delete(name);
    this.#options.ofproto.setLldp(name, false);
  }

  #run(): void {
    const now = this.#options.clock.monotonic();
    for (const [name, state] of this.states) {
      const device = this.#options.device(name);
      if (device === undefined) continue;
      const { state: next, frame } = runLldp(state, device.mac.subarray(0, 6), now);
      this.states.set(name, next);
      if (frame === undefined) continue;
      sendOwnPacket(this.#options.ofproto, outputAction(device.ofport), frame);
    }
    this.#arm();
  }

  #arm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const { clock } = this.#options;
    const due = Math.min(...[...this.states.values()].map(lldpDue));
    if (due === Number.POSITIVE_INFINITY) return;
    this.#timer = clock.after(Math.max(1, due - clock.monotonic()), () => {
      this.#run();
    });
  }
}

function tell(log: Logger, notes: readonly LldpNote[]): void {
  for (const { level, text } of notes) log[level](text);
}

/** The columns of a port after VLANs were added and taken away; undefined: they stay.  Open vSwitch makes a port that comes
 *  to its first VLAN a trunk, and one that loses its last an access port, since a trunk without VLANs carries all. */
export function trunksAfter(
  trunks: readonly number[],
  changes: readonly PortVlan[],
): { readonly trunks: number[]; readonly vlan_mode?: "access" | "trunk" } | undefined {
  let now = [...trunks];
  let mode: "access" | "trunk" | undefined;
  let isChanged = false;
  for (const { vlan, add } of changes) {
    if (now.includes(vlan) === add) continue;
    now = add ? [...now, vlan] : now.filter((one) => one !== vlan);
    isChanged = true;
    if (now.length === 0) mode = "access";
    if (now.length === 1) mode = "trunk";
  }
  if (!isChanged) return undefined;
  return mode === undefined ? { trunks: now } : { trunks: now, vlan_mode: mode };
}
