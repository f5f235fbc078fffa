import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { BatchBuilder, datapathStats, megaflows, syncStats } from "../datapath/index.js";
import { datapathViews, none } from "./appctl-datapath.js";
import { nowOf } from "./appctl-flows.js";
import type { DatapathLog } from "./datapath-log.js";
import type { Ofprotos } from "./ofprotos.js";

/** Commands about the caches: upcall/..., revalidator/... */

function flush(all: Ofprotos): void {
  new BatchBuilder().megaflowFlush().commit(all.datapath);
}

export function upcallCommands(all: Ofprotos, log: DatapathLog): readonly UnixctlCommand[] {
  /** Open vSwitch may ask its datapath for identities alone; the log then does not show what a pass saw. */
  let terse = true;
  let most = 0n;

  const show = (): string => {
    const { nFlows, flowLimit } = datapathStats(all.datapath);
    if (nFlows > most) most = nFlows;
    return datapathViews(all)
      .map(
        (view) =>
          `${view.name}:\n  flows         : (current ${nFlows}) (avg ${nFlows}) (max ${most}) (limit ${flowLimit})\n` +
          `  dump duration : 1ms\n  ufid enabled : ${terse}\n\n  1: (keys ${nFlows})\n`,
      )
      .join("");
  };
  const setMegaflows = (on: boolean): string => {
    all.settings.change({ megaflows: on });
    flush(all);
    return `megaflows ${on ? "enabled" : "disabled"}`;
  };
  const setTerse = (on: boolean, text: string): string => {
    terse = on;
    return `Datapath dumping tersely using UFID ${text}`;
  };

  return [
    none("upcall/show", "", show),
    none("upcall/disable-megaflows", "", () => setMegaflows(false)),
    none("upcall/enable-megaflows", "", () => setMegaflows(true)),
    none("upcall/disable-ufid", "", () => setTerse(false, "disabled")),
    none("upcall/enable-ufid", "", () => setTerse(true, "enabled for supported datapaths")),
    {
      name: "upcall/set-flow-limit",
      usage: "flow-limit-number",
      minArgs: 1,
      maxArgs: 1,
      handler: ([text = ""]) => {
        const flowLimit = Number(/^\s*\d+/.exec(text)?.[0] ?? 0);
        if (flowLimit === 0) throw new UnixctlError(`${text}: the flow limit is a number from 1`);
        all.settings.change({ flowLimit });
        return `set flow_limit to ${flowLimit}\n`;
      },
    },
    none("revalidator/wait", "", () => {
      syncStats(all.datapath);
      if (!terse) for (const flow of megaflows(all.datapath)) log.dumped(flow, nowOf(all));
      return "";
    }),
    none("revalidator/purge", "", () => {
      flush(all);
      return "";
    }),
  ];
}
