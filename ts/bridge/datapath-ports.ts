import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { datapathViews, type Ofprotos } from "../ofproto/index.js";

/** The commands of `ovs-appctl` that change ports of the datapath behind the database's back. */

const digits = /^\d+$/;

/** `remove` takes an interface out of its bridge until the next reconfiguration, and tells whether there was one. */
export function datapathPortCommands(
  all: Ofprotos,
  remove: (bridge: string, name: string) => boolean,
): readonly UnixctlCommand[] {
  return [
    {
      name: "dpctl/del-if",
      usage: "dp iface...",
      minArgs: 2,
      maxArgs: Number.POSITIVE_INFINITY,
      handler: ([dp = "", ...names]) => {
        const view = datapathViews(all).find((one) => one.name === dp || one.name.endsWith(`@${dp}`));
        if (view === undefined) throw new UnixctlError("ovs-vswitchd: opening datapath (No such device)");
        const failures = names.flatMap((name) => {
          const isOwn = name === "0" || name === `ovs-${view.type}`;
          if (isOwn) return [`ovs-vswitchd: deleting port ${name} from ${dp} failed (Invalid argument)`];
          const port = view.ofprotos
            .flatMap((ofproto) => ofproto.ports().map((one) => ({ bridge: ofproto.name, one })))
            .find(({ one }) => (digits.test(name) ? one.spec.dpPort === Number(name) : one.name === name));
          if (port !== undefined && port.one.spec.dpPort !== 0 && remove(port.bridge, port.one.name)) return [];
          return digits.test(name)
            ? [`ovs-vswitchd: deleting port ${name} from ${dp} failed (No such device)`]
            : [`ovs-vswitchd: no port named ${name}`];
        });
        if (failures.length > 0) throw new UnixctlError(failures.join("\n"));
        return "";
      },
    },
  ];
}
