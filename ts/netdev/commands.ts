/** Commands of ovs-appctl for test devices. */
import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { composePacket, type QueryTarget } from "../datapath/index.js";
import { FlowSyntaxError, type PortNames, parseDatapathMatch } from "../openflow/index.js";
import type { Netdev, Netdevs } from "./netdev.js";

/** `changed` is told after a device's state was set. */
export function deviceCommands(
  netdevs: Netdevs,
  datapath: QueryTarget,
  changed: (netdev: Netdev) => void,
): readonly UnixctlCommand[] {
  const dummy = (name: string): Netdev => {
    const netdev = netdevs.find(name);
    if (netdev === undefined || !netdev.type.dummy) throw new UnixctlError("no such dummy netdev");
    return netdev;
  };
  const names: PortNames = {
    numberOf: (name) => netdevs.find(name)?.dpPort,
    nameOf: (port) => netdevs.byDpPort(port)?.name,
  };
  if (netdevs.policy.dummy === "none") return [];
  return [
    {
      name: "netdev-dummy/receive",
      usage: "name [--qid queue_id] packet|flow [--len packet_len]",
      minArgs: 2,
      maxArgs: Number.POSITIVE_INFINITY,
      handler: ([name = "", ...rest]) => {
        const netdev = dummy(name);
        let queue = 0;
        const words = [...rest];
        if (words[0] === "--qid") {
          queue = Number(words[1]);
          if (!Number.isInteger(queue) || queue < 0) throw new UnixctlError(`${words[1] ?? ""}: bad queue id`);
          words.splice(0, 2);
        }
        for (let index = 0; index < words.length; index++) {
          const word = words[index] ?? "";
          const next = words[index + 1];
          const length = next === "--len" ? Number(words[index + 2]) : undefined;
          if (next === "--len") index += 2;
          netdev.receive(frameOf(word, length, datapath, names), queue);
        }
        return "";
      },
    },
    {
      name: "netdev-dummy/conn-state",
      usage: "[netdev]",
      minArgs: 0,
      maxArgs: 1,
      handler: ([name]) => {
        const chosen =
          name === undefined ? netdevs.all().filter((netdev) => netdev.type.dummy) : [dummyNamed(netdevs, name)];
        return chosen.map((netdev) => `${netdev.name}: ${connState(netdev)}\n`).join("");
      },
    },
    {
      name: "netdev-dummy/set-admin-state",
      usage: "[netdev] up|down",
      minArgs: 1,
      maxArgs: 2,
      handler: (args) => {
        const state = args.at(-1) ?? "";
        if (state !== "up" && state !== "down") throw new UnixctlError("Invalid Admin State");
        const chosen =
          args.length === 2
            ? [dummyNamed(netdevs, args[0] ?? "")]
            : netdevs.all().filter((netdev) => netdev.type.dummy);
        for (const netdev of chosen) {
          netdev.setUp(state === "up");
          changed(netdev);
        }
        return "OK";
      },
    },
  ];
}

function connState(netdev: Netdev): string {
  return netdev.stream === undefined ? "unknown" : netdev.stream.connected ? "connected" : "disconnected";
}

function dummyNamed(netdevs: Netdevs, name: string): Netdev {
  const netdev = netdevs.find(name);
  if (netdev === undefined || !netdev.type.dummy) throw new UnixctlError("Unknown Dummy Interface");
  return netdev;
}

/** A frame from its bytes in hexadecimal, or composed from the text of a datapath flow. */
function frameOf(text: string, length: number | undefined, datapath: QueryTarget, names: PortNames): Uint8Array {
  const digits = text.replace(/\s+/g, "");
  if (/^[0-9a-fA-F]+$/.test(digits) && digits.length % 2 === 0) {
    return Uint8Array.from({ length: digits.length / 2 }, (_, index) =>
      Number.parseInt(digits.slice(2 * index, 2 * index + 2), 16),
    );
  }
  try {
    const frame = composePacket(datapath, parseDatapathMatch(digits, names), length);
    // One that is longer than asked for is not what was asked for.
    if (length !== undefined && frame.length > length) throw new UnixctlError("bad packet or flow syntax");
    return frame;
  } catch (error) {
    if (!(error instanceof FlowSyntaxError)) throw error;
    throw new UnixctlError("bad packet or flow syntax");
  }
}
