import {
  command,
  continuationSize,
  error,
  readContinuation,
  resumeSize,
  writeContinuation,
  writeResume,
} from "../datapath/generated/records.js";
import { pad8 } from "../datapath/index.js";
import { matchInPort, noContinuation, OpenFlowError } from "../openflow/index.js";
import type { Continuation, PacketIn } from "../openflow/message.js";
import { CommandBatch } from "./abi-batch.js";
import { wholeMatch } from "./abi-match.js";
import type { Ofproto } from "./ofproto.js";
import { packetOutError } from "./packet-out.js";

/** Packets that paused for a controller and go on when it says so. */

/** What the datapath's record says, for the bridge with that UUID. */
export function continuationOfRecord(bytes: Uint8Array, bridge: Uint8Array, dpPort: number): Continuation {
  const record = readContinuation(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0);
  const stackAt = continuationSize + pad8(record.matchSize);
  const actionSetAt = stackAt + pad8(record.stackSize);
  const actionsAt = actionSetAt + pad8(record.actionSetSize);
  return {
    bridge,
    stack: stackValues(bytes.subarray(stackAt, stackAt + record.stackSize)),
    mirrors: record.mirrors,
    isTracked: record.isTracked !== 0,
    actionSet: bytes.subarray(actionSetAt, actionSetAt + record.actionSetSize),
    actions: bytes.subarray(actionsAt, actionsAt + record.actionsSize),
    dpPort,
  };
}

/** The values of a stack, in which each is followed by its size, the last one first. */
function stackValues(stack: Uint8Array): Uint8Array[] {
  const values: Uint8Array[] = [];
  for (let end = stack.length; end > 0; ) {
    const size = stack[end - 1] as number;
    values.push(stack.subarray(end - 1 - size, end - 1));
    end -= size + 1;
  }
  return values;
}

function stackOfValues(values: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from([...values].reverse().flatMap((value) => [...value, value.length]));
}

/** Goes on with a packet.  Throws OpenFlowError. */
export function resumePacket(ofproto: Ofproto, packetIn: PacketIn): void {
  const { packet } = packetIn;
  const continuation = packetIn.continuation ?? noContinuation;
  const bridge = ofproto.owner.byUuid(continuation.bridge);
  if (bridge === undefined) throw new OpenFlowError("NXR_STALE", "the bridge that the packet was in is gone");
  const match = wholeMatch(packetIn.match);
  const stack = stackOfValues(continuation.stack);
  const { actionSet, actions, dpPort } = continuation;
  const fixed = new Uint8Array(continuationSize);
  writeContinuation(new DataView(fixed.buffer), 0, {
    bridge: bridge.bridge,
    inPort: matchInPort(match),
    table: 0,
    isTracked: continuation.isTracked ? 1 : 0,
    isBond: 0,
    hasActionSet: actionSet.length > 0 ? 1 : 0,
    mirrors: continuation.mirrors,
    matchSize: match.length,
    stackSize: stack.length,
    actionSetSize: actionSet.length,
    actionsSize: actions.length,
  });
  const parts = [fixed, match, stack, actionSet, actions];
  const batch = new CommandBatch(resumeSize + packet.length + 1024);
  batch.add(
    resumeSize,
    (view, at) =>
      writeResume(view, at, {
        type: command.resume,
        flags: 0,
        size: 0,
        dpPort,
        continuationSize: parts.reduce((sum, part) => sum + pad8(part.length), 0),
        packetSize: packet.length,
      }),
    ...parts,
    packet,
  );
  const code = batch.submit(ofproto.datapath, true).error(0);
  if (code === error.noSuchBridge) throw new OpenFlowError("NXR_STALE", "the bridge that the packet was in is gone");
  if (code !== 0) throw new OpenFlowError(packetOutError(code), "the datapath refused to resume", { error: code });
}
