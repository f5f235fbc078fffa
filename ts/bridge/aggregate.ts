import type { Timer } from "../clock/index.js";
import type { Logger, LogSource } from "../log/index.js";
import {
  type BondCounts,
  type BundleBond,
  learnedAddresses,
  type Ofproto,
  outputAction,
  sendOwnPacket,
} from "../ofproto/index.js";
import type { PortRow } from "../ovsdb/index.js";
import {
  accountLoads,
  type BondLink,
  type BondState,
  type BondStep,
  bondDue,
  bondPolicy,
  bucketOf,
  configureBond,
  configureLacp,
  isBalanced,
  type LacpState,
  type LacpStatus,
  lacpAddress,
  lacpCarrierChanged,
  lacpCarrierUp,
  mayEnable,
  rebalance,
  rebalanceDue,
  receiveLacp,
  runBond,
  runLacp,
  slowProtocols,
  usesLbOutput,
} from "../protocols/index.js";
import { wantedBond, wantedLacp, wantedLacpMember, wantedLookMs } from "./aggregate-rows.js";
import type { Mac } from "./bridge-address.js";
import { LacpKeeper, type LacpKeeperOptions, lacpOfFrame } from "./lacp-keeper.js";

/** A port with LACP, several members, or both: drives the state machines by the devices and the clock, and carries out
 *  what they say. */

export interface AggregateMember {
  readonly name: string;
  readonly ofport: number;
  readonly mac: Uint8Array;
  readonly carrier: boolean;
  /** Whether what watches its link lets it be used. */
  readonly mayEnable: boolean;
  readonly carrierResets: number;
  readonly config: ReadonlyMap<string, string> | undefined;
}

export interface AggregateOptions extends LacpKeeperOptions {
  readonly ofproto: Ofproto;
  readonly log: LogSource;
  /** The members as they are now. */
  readonly members: (port: string) => readonly AggregateMember[];
  /** What the datapath has counted of the port, a bond that is balanced; undefined before it knows. */
  readonly counted: (port: string) => BondCounts | undefined;
  /** Looks at the members' links; `asksDevices`: by what the devices themselves say. */
  readonly look: (port: string, asksDevices: boolean) => void;
  /** Which members carry packets changed, or what the database shows of them. */
  readonly changed: (port: string) => void;
}

const rarp = 0x8035;
const vlanType = 0x8100;
const noPort = 0xffffffff;

const macText = (mac: Uint8Array): string => [...mac].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
const word = (value: number): number[] => [value >>> 8, value & 0xff];

export class Aggregate {
  readonly name: string;
  bond: BondState | undefined;
  lacp: LacpState | undefined;
  readonly #options: AggregateOptions;
  readonly #bondLog: Logger;
  readonly #lacpLog: Logger;
  readonly #configLog: Logger;
  readonly #keeper: LacpKeeper;
  readonly #resets = new Map<string, number>();
  #timer: Timer | undefined;
  #looks: Timer | undefined;
  /** PDUs came, and what follows from them is soon done. */
  #soon: Timer | undefined;
  #lookMs = 0;
  #shown = "";
  #warned = "";

  constructor(name: string, options: AggregateOptions) {
    this.name = name;
    this.#options = options;
    this.#bondLog = options.log("bond");
    this.#lacpLog = options.log("lacp");
    this.#configLog = options.log("bridge");
    this.#keeper = new LacpKeeper(options);
  }

  configure(row: PortRow, bridgeMac: Mac): void {
    const { clock } = this.#options;
    const members = this.#members();
    const now = clock.monotonic();
    const warnings: string[] = [];
    const settings = wantedLacp(row, members.length, bridgeMac, (text) => warnings.push(text));
    if (members.length > 1 && row.bond_mode === undefined)
      warnings.push(
        `port ${row.name}: Using the default bond_mode active-backup. Note that in previous versions, the default bond_mode was balance-slb`,
      );
    this.#watch(members.length > 1 ? wantedLookMs(row, (text) => warnings.push(text)) : 0);
    if (warnings.join() !== this.#warned) for (const text of warnings) this.#configLog.warn(text);
    this.#warned = warnings.join();
    if (settings === undefined) this.#keeper.close();
    else if (this.lacp !== undefined) this.lacp = this.#keeper.sync(this.lacp);
    this.lacp =
      settings === undefined
        ? undefined
        : configureLacp(
            this.lacp,
            settings,
            members.map(({ name, config, ofport }) => wantedLacpMember(name, config, ofport)),
            now,
          );
    if (members.length > 1)
      this.#take(
        configureBond(this.bond, wantedBond(row), this.#links(members), this.#status(), row.bond_active_slave, now),
      );
    else this.bond = undefined;
    this.run();
  }

  /** Brings everything up to the present. */
  run(): void {
    const { clock } = this.#options;
    const members = this.#members();
    const now = clock.monotonic();
    if (this.lacp !== undefined) this.lacp = this.#keeper.sync(this.lacp);
    this.#followCarriers(members, now);
    if (this.lacp !== undefined) this.#runLacp(members, now);
    if (this.bond !== undefined) {
      this.#take(runBond(this.bond, this.#links(members), this.#status(), now));
      if (now >= rebalanceDue(this.bond)) this.#rebalance(this.bond, now);
    }
    const lacp = this.lacp?.members.map(({ name, status }) => [status, this.lacpLets(name)]);
    const shown = JSON.stringify([this.bundle(), this.bond?.activeMac, lacp]);
    if (shown !== this.#shown) {
      this.#shown = shown;
      this.#options.changed(this.name);
    }
    this.#keeper.schedule(
      () => {
        if (this.lacp !== undefined) this.lacp = this.#keeper.sync(this.lacp);
        return this.lacp;
      },
      () => {
        this.#arm();
      },
    );
    this.#arm();
  }

  /** A frame of LACP's Ethernet type arrived, so long ago. */
  receive(member: string, frame: Uint8Array, agoMs: number): void {
    if (this.lacp === undefined) return;
    const { clock } = this.#options;
    const before = this.#keeper.sync(this.lacp);
    const now = clock.monotonic() - agoMs;
    const step = receiveLacp(before, member, lacpOfFrame(frame), now);
    this.lacp = step.state;
    this.#keeper.heard(member, frame, before, step.state);
    for (const { level, text } of step.notes) this.#lacpLog[level](text);
    // The other members' PDUs were sent at the same moment: who is attached is judged by all of them, or a member whose
    // PDU is the last would be out for a moment.
    this.#soon ??= clock.after(0, () => {
      this.#soon = undefined;
      this.run();
    });
  }

  /** What became of a command. */
  take(step: BondStep): void {
    this.#take(step);
    this.run();
  }

  /** The bond with its loads up to the present, as far as they are known between two rebalancings. */
  measure(): BondState | undefined {
    const { bond } = this;
    // What a bond hashes itself is counted while it goes; of what the datapath hashes the counters are read in time only.
    if (bond?.settings.mode === "balance-slb" && isBalanced(bond)) this.bond = this.#account(bond);
    return this.bond;
  }

  /** What the datapath knows the bond by; 0 if it hashes nothing. */
  bondId(): number {
    return this.#options.counted(this.name)?.id ?? 0;
  }

  #account(bond: BondState): BondState {
    const counts = this.#options.counted(this.name);
    return counts === undefined ? bond : accountLoads(bond, counts.bytes);
  }

  #rebalance(bond: BondState, now: number): void {
    const { state, notes, details } = rebalance(this.#account(bond), now);
    this.#take({ state, notes, details, teach: false });
  }

  /** For the datapath; undefined when it is no bond. */
  bundle(): BundleBond | undefined {
    const { bond } = this;
    if (bond === undefined) return undefined;
    const numbers = new Map(this.#members().map(({ name, ofport }) => [name, ofport]));
    const ofport = (name: string | undefined): number => numbers.get(name ?? "") ?? noPort;
    const policy = bondPolicy(bond);
    return {
      ...policy,
      active: bond.active === undefined ? undefined : ofport(bond.active),
      basis: bond.settings.basis,
      isBalanced: bond.settings.mode !== "active-backup",
      lbOutput: usesLbOutput(bond),
      allMembersActive: bond.settings.allMembersActive,
      enabled: bond.members.filter(({ enabled }) => enabled).map(({ name }) => ofport(name)),
      buckets: policy.output.startsWith("hash") ? bond.buckets.map(ofport) : [],
    };
  }

  /** Interface.lacp_current; undefined without LACP. */
  isCurrent(member: string): boolean | undefined {
    const found = this.lacp?.members.find(({ name }) => name === member);
    return found === undefined ? undefined : found.status !== "defaulted";
  }

  /** Whether LACP, if it is spoken, lets packets pass by the member. */
  lacpLets(name: string): boolean {
    if (this.lacp === undefined) return true;
    const member = this.lacp.members.find((other) => other.name === name);
    return member !== undefined && mayEnable(this.lacp, member);
  }

  /** Looks at links every so often; 0: no more. */
  #watch(ms: number): void {
    const { clock, look } = this.#options;
    if (ms === this.#lookMs) return;
    this.#lookMs = ms;
    this.#looks?.cancel();
    this.#looks = ms === 0 ? undefined : clock.every(ms, () => look(this.name, true));
    look(this.name, ms !== 0);
  }

  close(): void {
    this.#keeper.close();
    this.#timer?.cancel();
    this.#looks?.cancel();
    this.#soon?.cancel();
  }

  #members(): readonly AggregateMember[] {
    return this.#options.members(this.name);
  }

  #status(): LacpStatus {
    return this.lacp === undefined ? "off" : this.lacp.negotiated ? "negotiated" : "configured";
  }

  #links(members: readonly AggregateMember[]): readonly BondLink[] {
    return members.map(({ name, mac, carrier, mayEnable: lets }) => ({
      name,
      mac: macText(mac),
      carrier,
      mayEnable: carrier && lets && this.lacpLets(name),
    }));
  }

  #followCarriers(members: readonly AggregateMember[], now: number): void {
    for (const { name, carrier, carrierResets } of members) {
      const before = this.#resets.get(name);
      this.#resets.set(name, carrierResets);
      if (this.lacp === undefined) continue;
      if (before !== undefined && before !== carrierResets)
        this.lacp = lacpCarrierChanged(this.lacp, name, carrier, now);
      if (carrier) this.lacp = lacpCarrierUp(this.lacp, name);
    }
  }

  #runLacp(members: readonly AggregateMember[], now: number): void {
    if (this.lacp === undefined) return;
    const step = runLacp(this.lacp, now);
    this.lacp = step.state;
    for (const { level, text } of step.notes) this.#lacpLog[level](text);
    for (const { member, pdu } of step.transmissions) {
      const from = members.find(({ name }) => name === member);
      if (from === undefined) continue;
      const frame = Uint8Array.from([...lacpAddress, ...from.mac, ...word(slowProtocols), ...pdu]);
      this.#send(from.ofport, frame);
      this.#keeper.sent(member, from.ofport, frame);
    }
  }

  #take(step: BondStep): void {
    this.bond = step.state;
    for (const detail of step.details ?? []) this.#bondLog.dbg(detail);
    for (const note of step.notes) this.#bondLog.info(note);
    if (step.teach) this.#teach();
  }

  /** Tells the switches beyond by which member the hosts behind our other ports are reached now. */
  #teach(): void {
    const { ofproto } = this.#options;
    const members = this.#members();
    const bond = this.bundle();
    if (bond === undefined) return;
    let n = 0;
    for (const { mac: padded, vlan, ofpPort } of learnedAddresses(ofproto)) {
      if (members.some(({ ofport }) => ofport === ofpPort)) continue;
      const mac = padded.subarray(0, 6);
      const port = bond.output === "hashMac" ? bond.buckets[bucketOf(mac, vlan, bond.basis)] : bond.active;
      if (port === undefined || port === noPort) continue;
      const tag = vlan === 0 ? [] : [...word(vlanType), ...word(vlan)];
      const broadcast = new Uint8Array(6).fill(0xff);
      // A reverse ARP request of the host for its own address.
      const request = [...word(1), ...word(0x0800), 6, 4, ...word(3), ...mac, 0, 0, 0, 0, ...mac, 0, 0, 0, 0];
      this.#send(port, Uint8Array.from([...broadcast, ...mac, ...tag, ...word(rarp), ...request]));
      n += 1;
    }
    this.#bondLog.dbg(`bond ${this.name}: sent ${n} gratuitous learning packets`);
  }

  #send(ofport: number, frame: Uint8Array): void {
    sendOwnPacket(this.#options.ofproto, outputAction(ofport), frame);
  }

  #arm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const { clock } = this.#options;
    const due = Math.min(
      this.lacp === undefined ? Number.POSITIVE_INFINITY : this.#keeper.due(this.lacp),
      this.bond === undefined ? Number.POSITIVE_INFINITY : bondDue(this.bond),
    );
    if (due === Number.POSITIVE_INFINITY) return;
    this.#timer = clock.after(Math.max(1, due - clock.monotonic()), () => {
      this.run();
    });
  }
}
