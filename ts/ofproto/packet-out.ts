import { command, error, packetOutSize, writePacketOut } from "../datapath/generated/records.js";
import { pad8 } from "../datapath/index.js";
import { type ErrorName, OpenFlowError } from "../openflow/index.js";
import type { PacketOut } from "../openflow/message.js";
import { CommandBatch } from "./abi-batch.js";
import { wholeMatch } from "./abi-match.js";
import { flowModError } from "./flow-mods.js";
import { anyPort } from "./flow-records.js";
import type { Ofproto } from "./ofproto.js";

/** Packets that controllers send. */

const noBuffer = 0xffffffff;

/** Appends the command that runs the actions on the packet.  Throws OpenFlowError. */
export function appendPacketOut(batch: CommandBatch, ofproto: Ofproto, message: Omit<PacketOut, "type">): void {
  if (message.bufferId !== noBuffer) {
    throw new OpenFlowError("OFPBRC_BUFFER_UNKNOWN", `buffer 0x${message.bufferId.toString(16)} does not exist`);
  }
  const match = wholeMatch(message.match);
  batch.add(
    packetOutSize,
    (view, at) =>
      writePacketOut(view, at, {
        type: command.packetOut,
        flags: 0,
        size: 0,
        bridge: ofproto.bridge,
        inPort: message.inPort,
        matchSize: pad8(match.length),
        actionsSize: pad8(message.actions.length),
        packetSize: message.packet.length,
        table: 0,
      }),
    match,
    message.actions,
    message.packet,
  );
}

/** The OpenFlow error for an error of the ABI. */
export function packetOutError(code: number): ErrorName {
  return code === error.badPacket ? "OFPBRC_BAD_PACKET" : flowModError(code);
}

/** Runs the actions on the packet.  Throws OpenFlowError. */
export function sendPacketOut(ofproto: Ofproto, message: Omit<PacketOut, "type">): void {
  const batch = new CommandBatch(packetOutSize + 256 + message.packet.length + message.actions.length);
  appendPacketOut(batch, ofproto, message);
  const code = batch.submit(ofproto.datapath, true).error(0);
  if (code !== 0) throw new OpenFlowError(packetOutError(code), "the datapath refused the packet-out", { error: code });
}

/** Sends a packet of the switch's own, which came in by no port.  Throws OpenFlowError. */
export function sendOwnPacket(ofproto: Ofproto, actions: Uint8Array, packet: Uint8Array): void {
  sendPacketOut(ofproto, { bufferId: noBuffer, inPort: anyPort, match: new Uint8Array(0), actions, packet });
}
