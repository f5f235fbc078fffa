/** The commands of `sluice ofctl` about groups. */
import {
  FlowSyntaxError,
  formatErrorMessage,
  formatGroup,
  formatGroupFeatures,
  formatGroupStats,
  type GroupMod,
  groupCommand,
  groupNumber,
  heading,
  type Message,
  parseGroup,
  parseGroupLine,
} from "../openflow/index.js";
import { Failure } from "./failure.js";
import { acceptedNames, readLines } from "./ofctl-flows.js";
import { onConnection, portsOf } from "./ofctl-names.js";
import type { OfctlCall } from "./ofctl-rows.js";
import { dump } from "./ofctl-switch.js";

/** Commands that only versions have whose buckets are numbered, as an error names them. */
const bucketCommands: Readonly<Record<number, string>> = {
  [groupCommand.insertBucket]: "insert-bucket",
  [groupCommand.removeBucket]: "remove-bucket",
};

function sendGroups(call: OfctlCall, mods: readonly GroupMod[]): Promise<number> {
  return onConnection(call, call.args[0] ?? "", async (connection) => {
    for (const mod of mods) {
      const late = bucketCommands[mod.command];
      if (late !== undefined && connection.version > 1 && connection.version < 6) {
        // Each in ovs-ofctl's words.
        const format = connection.version === 2 ? "OpenFlow11" : `OXM-OpenFlow1${connection.version - 1}`;
        const usable = "none of the usable flow formats (OpenFlow10,NXM,OXM-OpenFlow15)";
        throw new Failure(
          mod.buckets.length > 0
            ? `${late} needs OpenFlow 1.5 or later ('-O OpenFlow15')`
            : `${usable} is among the allowed flow formats (${format})`,
        );
      }
      const error = await connection.order(mod);
      if (error?.type !== "error") continue;
      process.stderr.write(formatErrorMessage(error));
      return 1;
    }
    return 0;
  });
}

/** Each line is a group, or a command and a group if `command` is undefined. */
async function sendFile(call: OfctlCall, file: string, command: number | undefined): Promise<number> {
  const { ports } = await acceptedNames(call, call.args[0] ?? "");
  const mods: GroupMod[] = [];
  for (const [index, line] of readLines(file).entries()) {
    const text = line.replace(/#.*$/, "").trim();
    if (text === "") continue;
    try {
      mods.push(command === undefined ? parseGroupLine(text, ports) : parseGroup(text, command, ports));
    } catch (error) {
      if (error instanceof FlowSyntaxError) throw new Failure(`${file}:${index + 1}: ${error.message}`);
      throw error;
    }
  }
  return sendGroups(call, mods);
}

async function changeGroup(call: OfctlCall, command: number): Promise<number> {
  const [name = "", text = ""] = call.args;
  if (text === "-") return sendFile(call, text, command === groupCommand.add ? undefined : command);
  const { ports } = await acceptedNames(call, name);
  return sendGroups(call, [parseGroup(text, command, ports)]);
}

export const addGroup = (call: OfctlCall): Promise<number> => changeGroup(call, groupCommand.add);
export const addGroups = (call: OfctlCall): Promise<number> => sendFile(call, call.args[1] ?? "", undefined);
export const modGroup = (call: OfctlCall): Promise<number> =>
  changeGroup(call, call.options.mayCreate ? groupCommand.addOrModify : groupCommand.modify);
export const delGroups = (call: OfctlCall): Promise<number> => changeGroup(call, groupCommand.delete);
export const insertBuckets = (call: OfctlCall): Promise<number> => changeGroup(call, groupCommand.insertBucket);
export const removeBuckets = (call: OfctlCall): Promise<number> => changeGroup(call, groupCommand.removeBucket);

function groupIdOf(call: OfctlCall, text: string): number {
  const word = text.toLowerCase();
  if (word === "any" || word === "all") return groupNumber[word];
  if (/^\d+$/.test(text) && Number(text) <= 0xffffffff) return Number(text);
  const valid = "(Valid group IDs are 32-bit nonnegative integers or the keywords ANY or ALL.)";
  call.remark("ofp_group", "WARN", `${text} is not a valid group ID.  ${valid}`);
  return groupNumber.all;
}

/** What names no group is passed over, as by ovs-ofctl; before OpenFlow 1.5 the switch tells all. */
export async function dumpGroups(call: OfctlCall): Promise<number> {
  const [name = "", text = ""] = call.args;
  const id = text === "" ? groupNumber.all : groupIdOf(call, text);
  const replies: (Message & { readonly type: "group_desc_reply" })[] = [];
  await dump(call, { type: "group_desc_request", id }, (reply) => {
    if (reply.type === "group_desc_reply") replies.push(reply);
  });
  const shown = call.options.names ?? process.stdout.isTTY === true;
  const ports = shown ? await portsOf(call, name) : undefined;
  for (const reply of replies) {
    const groups = reply.groups.map((group) => ` ${formatGroup(group, reply.version, ports)}\n`).join("");
    process.stdout.write(`${heading(`${reply.version === 1 ? "NXST" : "OFPST"}_GROUP_DESC reply`, reply)}\n${groups}`);
  }
  return 0;
}

export async function dumpGroupStats(call: OfctlCall): Promise<number> {
  const [name = "", text = ""] = call.args;
  const { ports } = await acceptedNames(call, name);
  const { groupId: id } = parseGroup(text, groupCommand.delete, ports);
  return dump(call, { type: "group_stats_request", id }, (reply) => {
    if (reply.type !== "group_stats_reply") return;
    const groups = reply.groups.map(formatGroupStats).join("");
    process.stdout.write(`${heading(`${reply.version === 1 ? "NXST" : "OFPST"}_GROUP reply`, reply)}\n${groups}`);
  });
}

export function dumpGroupFeatures(call: OfctlCall): Promise<number> {
  return dump(call, { type: "group_features_request" }, (reply) => {
    if (reply.type !== "group_features_reply") return;
    const title = `${reply.version < 3 ? "NXST" : "OFPST"}_GROUP_FEATURES reply`;
    process.stdout.write(`${heading(title, reply)}${formatGroupFeatures(reply, reply.version)}`);
  });
}
