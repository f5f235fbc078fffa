/** In-band control: the connections to controllers may run through the bridge that they control, so rules above all
 *  that controllers can set let them pass.  Pure: from addresses to rules.  Addresses are IPv4 only. */

export interface InBandRemote {
  readonly ip: string;
  readonly port: number;
  /** Of the next hop towards it; undefined while that is not known. */
  readonly nextHopMac: string | undefined;
}

export interface InBandRule {
  readonly priority: number;
  /** In ovs-ofctl's form. */
  readonly match: string;
}

/** One set for a bridge, one for each next hop, two for each remote.  The order among them means nothing, since all do
 *  the same; different priorities only tell them apart when one looks. */
export const inBandPriority = {
  fromLocalDhcp: 180000,
  toLocalArp: 180001,
  fromLocalArp: 180002,
  toNextHopArp: 180003,
  fromNextHopArp: 180004,
  toRemoteArp: 180005,
  fromRemoteArp: 180006,
  toRemoteTcp: 180007,
  fromRemoteTcp: 180008,
} as const;

const request = 1;
const reply = 2;

/** The rules, each once.  `localMac`: of the bridge's local port; undefined when it has none. */
export function inBandRules(localMac: string | undefined, remotes: readonly InBandRemote[]): InBandRule[] {
  const rules = new Map<string, InBandRule>();
  const add = (priority: number, match: string): void => {
    if (!rules.has(match)) rules.set(match, { priority, match });
  };
  if (remotes.length > 0 && localMac !== undefined) {
    add(inBandPriority.fromLocalDhcp, `in_port=LOCAL,udp,dl_src=${localMac},tp_src=68,tp_dst=67`);
    add(inBandPriority.toLocalArp, `arp,dl_dst=${localMac},arp_op=${reply}`);
    add(inBandPriority.fromLocalArp, `arp,dl_src=${localMac},arp_op=${request}`);
  }
  for (const { nextHopMac } of remotes) {
    if (nextHopMac === undefined) continue;
    add(inBandPriority.toNextHopArp, `arp,dl_dst=${nextHopMac},arp_op=${reply}`);
    add(inBandPriority.fromNextHopArp, `arp,dl_src=${nextHopMac},arp_op=${request}`);
  }
  for (const { ip, port } of remotes) {
    add(inBandPriority.toRemoteArp, `arp,arp_op=${reply},arp_tpa=${ip}`);
    add(inBandPriority.fromRemoteArp, `arp,arp_op=${request},arp_spa=${ip}`);
    add(inBandPriority.toRemoteTcp, `tcp,nw_dst=${ip},tp_dst=${port}`);
    add(inBandPriority.fromRemoteTcp, `tcp,nw_src=${ip},tp_src=${port}`);
  }
  return [...rules.values()];
}

/** What has to be removed and added to come from one set of rules to another. */
export function inBandChange(
  before: readonly InBandRule[],
  after: readonly InBandRule[],
): { readonly remove: readonly InBandRule[]; readonly add: readonly InBandRule[] } {
  const text = (rule: InBandRule): string => `${rule.priority} ${rule.match}`;
  const had = new Set(before.map(text));
  const has = new Set(after.map(text));
  return { remove: before.filter((rule) => !has.has(text(rule))), add: after.filter((rule) => !had.has(text(rule))) };
}

/** When a remote's next hop is looked for again: soon while it is unknown. */
export function nextHopRefreshMs(remotes: readonly InBandRemote[]): number {
  return remotes.some((remote) => remote.nextHopMac === undefined) ? 1000 : 10_000;
}

/** How often the local port's address is looked at. */
export const localRefreshMs = 1000;
