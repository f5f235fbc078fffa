/** Flows as objects, for programs that would rather not put text together.  They become ovs-ofctl's text, so that an
 *  object and a line mean the same. */

/** A value of a match field: what ovs-ofctl takes after `=`, masks included (`10.0.0.0/8`). */
export type FieldValue = string | number | bigint;

export type ActionSpec =
  | { readonly type: "output"; readonly port: number | string }
  | { readonly type: "normal" | "flood" | "all" | "in_port" | "local" | "drop" | "strip_vlan" | "dec_ttl" | "clear_actions" | "exit" }
  | { readonly type: "controller"; readonly maxLength?: number }
  | { readonly type: "set_field"; readonly field: string; readonly value: FieldValue }
  | { readonly type: "move"; readonly from: string; readonly to: string }
  | { readonly type: "push_vlan"; readonly ethertype?: number }
  | { readonly type: "resubmit"; readonly port?: number | string; readonly table?: number }
  | { readonly type: "goto_table"; readonly table: number }
  | { readonly type: "write_metadata"; readonly value: FieldValue; readonly mask?: FieldValue }
  | { readonly type: "write_actions"; readonly actions: readonly ActionSpec[] };

export interface FlowSpec {
  readonly table?: number;
  readonly priority?: number;
  readonly cookie?: bigint | number;
  readonly idleTimeout?: number;
  readonly hardTimeout?: number;
  readonly importance?: number;
  readonly sendFlowRemoved?: boolean;
  readonly checkOverlap?: boolean;
  /** By field name as ovs-fields(7) has them; a protocol keyword such as `tcp` takes the value true. */
  readonly match?: Readonly<Record<string, FieldValue | true>>;
  readonly actions: readonly ActionSpec[];
}

export function actionText(action: ActionSpec): string {
  switch (action.type) {
    case "output":
      return `output:${action.port}`;
    case "controller":
      return action.maxLength === undefined ? "controller" : `controller:${action.maxLength}`;
    case "set_field":
      return `set_field:${action.value}->${action.field}`;
    case "move":
      return `move:${action.from}->${action.to}`;
    case "push_vlan":
      return `push_vlan:0x${(action.ethertype ?? 0x8100).toString(16)}`;
    case "resubmit":
      return `resubmit(${action.port ?? ""},${action.table ?? ""})`;
    case "goto_table":
      return `goto_table:${action.table}`;
    case "write_metadata":
      return `write_metadata:${action.value}${action.mask === undefined ? "" : `/${action.mask}`}`;
    case "write_actions":
      return `write_actions(${action.actions.map(actionText).join(",")})`;
    default:
      return action.type;
  }
}

/** The line of ovs-ofctl that says the same. */
export function flowSpecText(flow: FlowSpec): string {
  const words: string[] = [];
  const add = (name: string, value: FieldValue | undefined): void => {
    if (value !== undefined) words.push(`${name}=${value}`);
  };
  add("table", flow.table);
  add("priority", flow.priority);
  add("cookie", flow.cookie === undefined ? undefined : `0x${flow.cookie.toString(16)}`);
  add("idle_timeout", flow.idleTimeout);
  add("hard_timeout", flow.hardTimeout);
  add("importance", flow.importance);
  if (flow.sendFlowRemoved === true) words.push("send_flow_rem");
  if (flow.checkOverlap === true) words.push("check_overlap");
  for (const [name, value] of Object.entries(flow.match ?? {})) words.push(value === true ? name : `${name}=${value}`);
  const actions = flow.actions.length === 0 ? "drop" : flow.actions.map(actionText).join(",");
  return `${words.join(",")}${words.length === 0 ? "" : ","}actions=${actions}`;
}
