import type { RunningSwitch, SwitchSurroundings } from "./switch.js";

/** A switch without bridges: it only tells the database that its configuration has been seen.  For the process's own
 *  tests, and what stands in where no datapath can be had. */
export async function startIdleSwitch({ idl }: SwitchSurroundings): Promise<RunningSwitch> {
  return {
    commands: [],
    run: async () => {
      const root = idl.table("Open_vSwitch").first();
      if (!idl.hasLock || root === undefined || root.cur_cfg === root.next_cfg) return;
      const txn = idl.transaction();
      txn.set("Open_vSwitch", root.uuid, { cur_cfg: root.next_cfg });
      await txn.commit();
    },
    runDevices: () => {},
    memoryUsage: () => ({}),
    counters: () => ({ bridge_reconfigure: 0 }),
    close: async () => {},
  };
}
