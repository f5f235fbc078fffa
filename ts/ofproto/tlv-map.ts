import { command, tlvMapSetSize, writeTlvEntry, writeTlvMapSet } from "../datapath/generated/records.js";
import { flowText, OpenFlowError, type TlvMap, tlvCommand, withTlvMap } from "../openflow/index.js";
import type { TlvTableMod } from "../openflow/message.js";
import type { CommandBatch } from "./abi-batch.js";
import { dumpFlows, everyFlow } from "./flow-records.js";

/** The map of Geneve options of a bridge: changed by controllers, kept from flows that use it, told to the datapath. */

/** What of a bridge the map concerns. */
interface TlvBridge {
  readonly datapath: Parameters<typeof dumpFlows>[0];
  readonly bridge: number;
  readonly tlvs: TlvMap;
}

const entrySize = 40;
const granulesMax = 32;

/** Numbers of the tun_metadata fields that flows match on or that their actions name. */
function fieldsInUse(ofproto: TlvBridge): Set<number> {
  const used = new Set<number>();
  for (const flow of dumpFlows(ofproto.datapath, ofproto.bridge, { ...everyFlow, includeHidden: true })) {
    const match = withTlvMap(ofproto.tlvs, () => flowText.match(flow.matchBytes, undefined, undefined));
    const text = `${match} ${flowText.actions(flow.actionsBytes, undefined)}`;
    for (const [, number] of text.matchAll(/tun_metadata(\d+)/gi)) used.add(Number(number));
  }
  return used;
}

/** The map that the bridge is to have.  Throws OpenFlowError. */
export function changedTlvMap(ofproto: TlvBridge, mod: TlvTableMod): TlvMap {
  const next = ofproto.tlvs.changed(mod);
  if (mod.command !== tlvCommand.add && ofproto.tlvs.entries().length > 0) {
    const used = fieldsInUse(ofproto);
    const removed = (mod.command === tlvCommand.clear ? ofproto.tlvs.entries() : mod.mappings).map(
      (entry) => entry.index,
    );
    const needed = removed.find((index) => used.has(index));
    if (needed !== undefined)
      throw new OpenFlowError("NXTTMFC_INVALID_TLV_DEL", `a flow uses tun_metadata${needed}`, { index: needed });
  }
  return next;
}

export function appendTlvMap(batch: CommandBatch, bridge: number, map: TlvMap): void {
  const entries = map.entries();
  const tail = new Uint8Array(entries.length * entrySize);
  const tailView = new DataView(tail.buffer);
  entries.forEach((entry, position) => {
    const granules = new Uint8Array(granulesMax);
    granules.set(entry.granules);
    writeTlvEntry(tailView, position * entrySize, {
      optionClass: entry.optionClass,
      optionType: entry.optionType,
      index: entry.index,
      nGranules: entry.granules.length,
      granules,
    });
  });
  batch.add(
    tlvMapSetSize,
    (view, at) =>
      writeTlvMapSet(view, at, { type: command.tlvMapSet, flags: 0, size: 0, bridge, nEntries: entries.length }),
    tail,
  );
}
