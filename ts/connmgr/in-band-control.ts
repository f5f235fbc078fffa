import type { Clock, Timer } from "../clock/index.js";
import type { Logger } from "../log/index.js";
import type { Ofproto, SystemFlow } from "../ofproto/index.js";
import { parseActions, parseMatch } from "../openflow/index.js";
import {
  type InBandRemote,
  type InBandRule,
  inBandChange,
  inBandRules,
  localRefreshMs,
  nextHopRefreshMs,
} from "./in-band.js";
import type { FindNextHop } from "./next-hop.js";

/** Keeps a bridge's in-band rules as its remotes and the host's addresses want them. */

export interface InBandAddress {
  readonly ip: string;
  readonly port: number;
}

export interface InBandOptions {
  readonly ofproto: Ofproto;
  readonly clock: Clock;
  /** Of module in_band. */
  readonly log: Logger;
  readonly findNextHop: FindNextHop;
}

export class InBandControl {
  readonly #options: InBandOptions;
  readonly #log: Logger;
  #addresses: readonly InBandAddress[] = [];
  #remotes: readonly InBandRemote[] = [];
  #remotesDue = 0;
  #queue: number | undefined;
  #rules: readonly InBandRule[] = [];
  #timer: Timer | undefined;

  constructor(options: InBandOptions) {
    this.#options = options;
    this.#log = options.log.limited(60, 60);
  }

  get isActive(): boolean {
    return this.#addresses.length > 0;
  }

  /** Takes the whole list of remotes; none ends it. */
  set(addresses: readonly InBandAddress[], queue: number | undefined): void {
    const same =
      addresses.length === this.#addresses.length &&
      addresses.every(({ ip, port }, index) => {
        const before = this.#addresses[index];
        return before?.ip === ip && before.port === port;
      });
    if (queue !== this.#queue) {
      // The rules are all made anew, with the other action.
      this.#apply([]);
      this.#queue = queue;
    }
    if (!same) {
      this.#addresses = addresses;
      this.#remotes = [];
      this.#remotesDue = 0;
    }
    this.#run();
  }

  /** All flows are gone. */
  flushed(): void {
    this.#rules = [];
    if (this.isActive) this.#run();
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #run(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (!this.isActive) {
      this.#apply([]);
      return;
    }
    const now = this.#options.clock.monotonic();
    if (now >= this.#remotesDue) {
      this.#remotes = this.#addresses.map((address) => this.#look(address));
      this.#remotesDue = now + nextHopRefreshMs(this.#remotes);
    }
    this.#apply(inBandRules(this.#localMac(), this.#remotes));
    this.#timer = this.#options.clock.after(localRefreshMs, () => this.#run());
  }

  #look(address: InBandAddress): InBandRemote {
    const hop = this.#options.findNextHop(address.ip);
    if (!hop.found) {
      const { name } = this.#options.ofproto;
      this.#log.warn(`${name}: cannot find route for controller (${address.ip}): ${hop.error}`);
    }
    return { ...address, nextHopMac: hop.found ? hop.mac : undefined };
  }

  #localMac(): string | undefined {
    const { ofproto } = this.#options;
    const mac = ofproto.findPort(ofproto.name)?.device.hwAddr;
    if (mac === undefined || mac.every((byte) => byte === 0)) return undefined;
    return [...mac].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
  }

  #apply(rules: readonly InBandRule[]): void {
    const { remove, add } = inBandChange(this.#rules, rules);
    for (const rule of remove) this.#options.ofproto.removeSystemFlow(this.#flow(rule));
    for (const rule of add) this.#options.ofproto.addSystemFlow(this.#flow(rule));
    this.#rules = rules;
  }

  #flow(rule: InBandRule): SystemFlow {
    const actions = this.#queue === undefined ? "NORMAL" : `set_queue:${this.#queue},NORMAL`;
    return { table: 0, priority: rule.priority, match: parseMatch(rule.match), actions: parseActions(actions) };
  }
}
