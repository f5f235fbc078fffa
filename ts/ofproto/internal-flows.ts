import { flowFlag, packetInReason } from "../datapath/generated/records.js";
import { ByteWriter } from "../openflow/bytes.js";
import { ofpp } from "../openflow/index.js";
import { KeyMatch, planOf } from "../openflow/key-match.js";
import type { FlowMod } from "../openflow/message.js";
import { controllerAction, outputAction } from "./abi-actions.js";
import { everything } from "./abi-match.js";
import { internalTable } from "./flow-mods.js";

/** Rules that the switch makes for itself. */
export interface SystemFlow {
  readonly table: number;
  /** Above 65535: hidden from controllers. */
  readonly priority: number;
  readonly match: Uint8Array;
  readonly actions: Uint8Array;
}

/** No actions: drop. */
const nothing = new Uint8Array(0);

function exactly(field: string, value: number): Uint8Array {
  const match = new KeyMatch();
  match.setNumber(planOf(field), value);
  const out = new ByteWriter();
  match.write(out);
  return out.finish();
}

/** IMPLICIT_MISS: a table miss that no rule asked for. */
const implicitMiss = packetInReason.implicitMiss;

/** Table 254: where packets go that no table matched or that recirculate. */
export const internalFlows: readonly SystemFlow[] = [
  { table: internalTable, priority: 0, match: exactly("reg0", 1), actions: controllerAction(implicitMiss) },
  { table: internalTable, priority: 0, match: exactly("reg0", 2), actions: nothing },
  { table: internalTable, priority: 0, match: exactly("reg0", 3), actions: nothing },
  { table: internalTable, priority: 2, match: exactly("recirc_id", 0), actions: nothing },
];

/** Every packet switched as a switch without controllers does. */
export function normalFlow(priority: number): SystemFlow {
  return { table: 0, priority, match: everything, actions: outputAction(ofpp.NORMAL) };
}

/** The flow_mod that adds (0) or strictly deletes (4) the rule. */
export function systemFlowMod(flow: SystemFlow, command: 0 | 4): FlowMod {
  const hidden = flow.table === internalTable || flow.priority > 0xffff;
  return {
    type: "flow_mod",
    standard: true,
    command,
    tableId: flow.table,
    priority: flow.priority,
    cookie: 0n,
    cookieMask: 0n,
    newCookie: 0n,
    modifyCookie: false,
    idleTimeout: 0,
    hardTimeout: 0,
    bufferId: 0xffffffff,
    outPort: 0xffffffff,
    outGroup: 0xffffffff,
    importance: 0,
    flags: hidden ? flowFlag.hidden | flowFlag.readOnly : 0,
    match: flow.match,
    actions: flow.actions,
  };
}
