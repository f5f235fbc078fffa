import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { parseEth } from "../openflow/index.js";
import {
  type BondState,
  bondBuckets,
  bucketOf,
  enableMember,
  formatBond,
  formatLacp,
  formatLacpCounts,
  type LacpState,
  listBond,
  migrate,
  setActiveMember,
} from "../protocols/index.js";
import type { Aggregate } from "./aggregate.js";

/** The commands of `ovs-appctl` about bonds and LACP. */

interface Bonded {
  readonly aggregate: Aggregate;
  readonly bond: BondState;
}

export function aggregateCommands(all: () => readonly Aggregate[], now: () => number): readonly UnixctlCommand[] {
  const bonds = (): readonly Bonded[] =>
    all().flatMap((aggregate) => (aggregate.bond === undefined ? [] : [{ aggregate, bond: aggregate.bond }]));
  const find = (name = ""): Bonded => {
    const found = bonds().find(({ bond }) => bond.settings.name === name);
    if (found === undefined) throw new UnixctlError("no such bond");
    return found;
  };
  const member = ({ bond }: Bonded, name = ""): BondState["members"][number] => {
    const found = bond.members.find((other) => other.name === name);
    if (found === undefined) throw new UnixctlError("no such member");
    return found;
  };
  const lacps = (name: string | undefined): readonly LacpState[] => {
    const states = all().flatMap(({ lacp }) => (lacp === undefined ? [] : [lacp]));
    const asked = name === undefined ? states : states.filter(({ settings }) => settings.name === name);
    if (name !== undefined && asked.length === 0) throw new UnixctlError("no such lacp object");
    return asked;
  };
  const setActive: UnixctlCommand["handler"] = ([port, name]) => {
    const found = find(port);
    if (!member(found, name).enabled) throw new UnixctlError("cannot make disabled member active");
    if (found.bond.active === name) return "no change";
    found.aggregate.take(setActiveMember(found.bond, name ?? ""));
    return "done";
  };
  const enable =
    (enabled: boolean): UnixctlCommand["handler"] =>
    ([port, name]) => {
      const found = find(port);
      found.aggregate.take(enableMember(found.bond, member(found, name).name, enabled));
      return enabled ? "enabled" : "disabled";
    };
  const row = (
    name: string,
    usage: string,
    minArgs: number,
    maxArgs: number,
    handler: UnixctlCommand["handler"],
  ): UnixctlCommand => ({ name, usage, minArgs, maxArgs, handler });
  return [
    row("bond/list", "", 0, 0, () => {
      const lines = bonds().map(({ aggregate, bond }) => listBond(bond, aggregate.bondId()));
      return `bond\ttype\trecircID\tmembers\n${lines.join("")}`;
    }),
    row("bond/show", "[port]", 0, 1, ([name]) =>
      (name === undefined ? bonds() : [find(name)])
        .map(({ aggregate, bond }) => formatBond(aggregate.measure() ?? bond, aggregate.bondId(), now()))
        .join(""),
    ),
    row("bond/migrate", "port hash member", 3, 3, ([port, hash = "", name]) => {
      const found = find(port);
      if (found.bond.settings.mode !== "balance-slb") throw new UnixctlError("not an SLB bond");
      if (!/^\d*$/.test(hash)) throw new UnixctlError("bad hash");
      const to = member(found, name);
      if (!to.enabled) throw new UnixctlError("cannot migrate to disabled member");
      found.aggregate.take({
        state: migrate(found.bond, Number(hash) % bondBuckets, to.name),
        notes: [],
        teach: false,
      });
      return "migrated";
    }),
    row("bond/set-active-member", "port member", 2, 2, setActive),
    row("bond/enable-member", "port member", 2, 2, enable(true)),
    row("bond/disable-member", "port member", 2, 2, enable(false)),
    row("bond/set-active-slave", "", 2, 2, setActive),
    row("bond/enable-slave", "", 2, 2, enable(true)),
    row("bond/disable-slave", "", 2, 2, enable(false)),
    row("bond/hash", "mac [vlan] [basis]", 1, 3, ([text = "", vlan = "0", basis = "0"]) => {
      if (!/^\d+/.test(vlan)) throw new UnixctlError("invalid vlan");
      if (!/^\d+/.test(basis)) throw new UnixctlError("invalid basis");
      const mac = parseEth(text);
      if (mac === undefined) throw new UnixctlError("invalid mac");
      return String(bucketOf(mac, Number.parseInt(vlan, 10), Number.parseInt(basis, 10)));
    }),
    row("lacp/show", "[port]", 0, 1, ([name]) => lacps(name).map(formatLacp).join("")),
    row("lacp/show-stats", "[port]", 0, 1, ([name]) => lacps(name).map(formatLacpCounts).join("")),
  ];
}
