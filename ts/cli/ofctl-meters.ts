/** The commands of `sluice ofctl` about meters and the map of tunnel options. */
import {
  formatErrorMessage,
  formatMeter,
  formatMeterFeatures,
  formatMeterStats,
  formatTlvTable,
  heading,
  type MessageBody,
  meterCommand,
  meterNumbers,
  parseMeter,
  parseMeterId,
  parseTlvMappings,
  tlvCommand,
} from "../openflow/index.js";
import { onConnection } from "./ofctl-names.js";
import type { OfctlCall } from "./ofctl-rows.js";
import { dump, orders } from "./ofctl-switch.js";

function changeMeter(call: OfctlCall, command: number): Promise<number> {
  const [, text = "meter=all"] = call.args;
  return orders(call, [parseMeter(text, command)]);
}
export const addMeter = (call: OfctlCall): Promise<number> => changeMeter(call, meterCommand.add);
export const modMeter = (call: OfctlCall): Promise<number> => changeMeter(call, meterCommand.modify);
export const delMeters = (call: OfctlCall): Promise<number> => changeMeter(call, meterCommand.delete);

const idOf = (call: OfctlCall): number => {
  const [, text] = call.args;
  return text === undefined ? meterNumbers.all : parseMeterId(text);
};

export function dumpMeters(call: OfctlCall): Promise<number> {
  return dump(call, { type: "meter_config_request", id: idOf(call) }, (reply) => {
    if (reply.type !== "meter_config_reply") return;
    const meters = reply.meters.map((meter) => formatMeter(meter)).join("\n");
    process.stdout.write(`${heading("OFPST_METER_CONFIG reply", reply)}\n${meters}`);
  });
}

export function meterStats(call: OfctlCall): Promise<number> {
  return dump(call, { type: "meter_stats_request", id: idOf(call) }, (reply) => {
    if (reply.type !== "meter_stats_reply") return;
    const meters = reply.meters.map((meter) => formatMeterStats(meter)).join("\n");
    process.stdout.write(`${heading("OFPST_METER reply", reply)}\n${meters}`);
  });
}

export function meterFeatures(call: OfctlCall): Promise<number> {
  return dump(call, { type: "meter_features_request" }, (reply) => {
    if (reply.type === "meter_features_reply")
      process.stdout.write(`${heading("OFPST_METER_FEATURES reply", reply)}${formatMeterFeatures(reply)}`);
  });
}

export function addTlvMap(call: OfctlCall): Promise<number> {
  const mappings = parseTlvMappings(call.args[1] ?? "");
  return orders(call, [{ type: "nxt_tlv_table_mod", command: tlvCommand.add, mappings }]);
}

/** Of those that are named, or of all. */
export function delTlvMap(call: OfctlCall): Promise<number> {
  const [, text] = call.args;
  const body: MessageBody =
    text === undefined
      ? { type: "nxt_tlv_table_mod", command: tlvCommand.clear, mappings: [] }
      : { type: "nxt_tlv_table_mod", command: tlvCommand.delete, mappings: parseTlvMappings(text) };
  return orders(call, [body]);
}

export function dumpTlvMap(call: OfctlCall): Promise<number> {
  return onConnection(call, call.args[0] ?? "", async (connection) => {
    const reply = await connection.ask({ type: "nxt_tlv_table_request" });
    if (reply.type === "error") process.stdout.write(formatErrorMessage(reply));
    else if (reply.type === "nxt_tlv_table_reply")
      process.stdout.write(`${heading("NXT_TLV_TABLE_REPLY", reply)}${formatTlvTable(reply)}`);
    return 0;
  });
}
