/** Settings of the database that change nothing here, and why.  Whoever sets one is told once, in the log, and the reference
 *  of the database lists them.  Pure. */

/** Of `other_config`, in one of the database's tables. */
export interface UnusedSetting {
  readonly table: "Open_vSwitch" | "Bridge" | "Interface";
  readonly key: string;
  /** The value that asks for nothing. */
  readonly plain: string;
  readonly why: string;
}

const noHardware = "no flow is offloaded to hardware";
const ownThread = "a packet that no cache knows is translated by the thread that received it";
const noWalk =
  "a cached flow is checked when a packet meets it after a change, not by threads that walk over all flows";
const ownCaches = "the caches before the megaflows decide for themselves what they take in";
const ownBuffers = "each port of DPDK has buffers of its own";
const offloads = "ports that can segment and sum do, and for those that cannot it is done";

function of(table: UnusedSetting["table"], key: string, plain: string, why: string): UnusedSetting {
  return { table, key, plain, why };
}

export const unusedSettings: readonly UnusedSetting[] = [
  of("Open_vSwitch", "hw-offload", "false", noHardware),
  of("Open_vSwitch", "n-offload-threads", "1", noHardware),
  of("Open_vSwitch", "offload-rebalance", "false", noHardware),
  of("Open_vSwitch", "tc-policy", "none", noHardware),
  of("Open_vSwitch", "n-handler-threads", "0", ownThread),
  of("Open_vSwitch", "n-revalidator-threads", "0", noWalk),
  of("Open_vSwitch", "max-revalidator", "500", noWalk),
  of("Open_vSwitch", "min-revalidate-pps", "5", noWalk),
  of("Open_vSwitch", "emc-insert-inv-prob", "100", ownCaches),
  of("Open_vSwitch", "smc-enable", "false", ownCaches),
  of("Open_vSwitch", "userspace-tso-enable", "true", offloads),
  of("Open_vSwitch", "per-port-memory", "true", ownBuffers),
  of("Open_vSwitch", "shared-mempool-config", "", ownBuffers),
  of("Open_vSwitch", "tx-flush-interval", "0", "what a turn of a thread collected for a port is sent at its end"),
  of("Open_vSwitch", "ipsec_skb_mark", "", "it is for tunnels of the kernel's datapath"),
  of("Bridge", "rstp-ageing-time", "300", "Open vSwitch keeps it and does nothing with it, either"),
  of("Interface", "emc-enable", "true", ownCaches),
];

/** What is asked for in vain by the rows of `configs`, which are `other_config` of each table. */
export function askedInVain(
  configs: Readonly<Record<UnusedSetting["table"], readonly ReadonlyMap<string, string>[]>>,
): readonly { readonly setting: UnusedSetting; readonly value: string }[] {
  return unusedSettings.flatMap((setting) => {
    const values = configs[setting.table].map((config) => config.get(setting.key) ?? setting.plain);
    const value = values.find((each) => each !== setting.plain);
    return value === undefined ? [] : [{ setting, value }];
  });
}
