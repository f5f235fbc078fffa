import { megaflowChange } from "../datapath/generated/records.js";
import type { DatapathEvents, Megaflow } from "../datapath/index.js";
import { matchInPort } from "../openflow/index.js";
import type { FlowWords } from "./flow-words.js";
import { formatMegaflow, formatMegaflowStats, formatUfid } from "./megaflow-text.js";
import type { Ofprotos } from "./ofprotos.js";

/** What happens in the caches, in the log of those who debug: a miss and the megaflow that it made (module dpif_netdev),
 *  and changes that the configuration brought (module dpif).  Lines are those of Open vSwitch. */
export class DatapathLog {
  readonly #all: Ofprotos;
  readonly #words: FlowWords;
  readonly #netdev;
  readonly #dpif;

  constructor(all: Ofprotos, words: FlowWords) {
    this.#all = all;
    this.#words = words;
    this.#netdev = all.log("dpif_netdev").limited(600, 600);
    this.#dpif = all.log("dpif").limited(600, 600);
  }

  /** Has the datapath tell, or not, as the levels of the log are now. */
  followLevels(): void {
    this.#all.settings.change({ tell: this.#netdev.enabled("dbg") || this.#dpif.enabled("dbg") });
  }

  miss(event: DatapathEvents["miss"]): void {
    if (!this.#netdev.enabled("dbg")) return;
    const name = this.#datapathType(event.dpPort);
    const flow = this.#words.match(event.key, undefined, undefined);
    const key = this.#words.datapathKey(event.key, undefined);
    this.#netdev.dbg(`ovs-${name}: miss upcall:\n${key}\n${flow}`);
  }

  megaflow(event: Megaflow): void {
    switch (event.change) {
      case megaflowChange.add:
        if (this.#netdev.enabled("dbg")) this.#netdev.dbg(`flow_add: ${this.#added(event)}`);
        break;
      case megaflowChange.modify:
        if (this.#dpif.enabled("dbg")) this.#dpif.dbg(`${this.#dpifName(event)}: put[modify] ${this.#whole(event)}`);
        break;
      case megaflowChange.delete:
        if (this.#dpif.enabled("dbg")) this.#dpif.dbg(`${this.#dpifName(event)}: flow_del ${this.#deleted(event)}`);
        break;
    }
  }

  /** A megaflow that a pass of the caches saw. */
  dumped(flow: Megaflow, now: number): void {
    if (!this.#dpif.enabled("dbg")) return;
    const text = formatMegaflow(flow, this.#words, { now, names: undefined, more: true, dpctl: false });
    this.#dpif.dbg(`${this.#dpifName(flow)}: flow_dump ${text}`);
  }

  #added(flow: Megaflow): string {
    const match = this.#words.datapathMatch(flow.match, undefined, false, flow.key);
    return `${formatUfid(flow)} mega_${formatUfid(flow)} ${match}, actions:${this.#actions(flow)}`;
  }

  #whole(flow: Megaflow): string {
    const match = this.#words.datapathMatch(flow.match, undefined, true, flow.key);
    return `${formatUfid(flow)} ${match}, actions:${this.#actions(flow)}`;
  }

  #deleted(flow: Megaflow): string {
    const stats = formatMegaflowStats(flow, Number(flow.usedMs));
    return `${formatUfid(flow)} ${this.#words.datapathKey(flow.key, undefined)}, ${stats}`;
  }

  #actions(flow: Megaflow): string {
    return this.#words.datapathActions(flow.actions, undefined, flow.match);
  }

  #dpifName(flow: Megaflow): string {
    const type = this.#datapathType(matchInPort(flow.match));
    return `${type}@ovs-${type}`;
  }

  #datapathType(dpPort: number): string {
    const owner = this.#all.all().find((one) => one.ports().some((port) => port.spec.dpPort === dpPort));
    return owner?.datapathType ?? "netdev";
  }
}
