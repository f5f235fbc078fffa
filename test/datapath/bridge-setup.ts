/** A bridge on a datapath, for the tests of this room: ports, and flows that match everything. */

import { flowCommand } from "../../ts/datapath/generated/records.js";
import { BatchBuilder, type Datapath } from "../../ts/datapath/index.js";
import { actionController, actionOutput, opcode } from "../../ts/openflow/generated/opcodes.js";

export const anyPort = 0xffffffff;
/** The match of every packet. */
export const matchAll = new Uint8Array(16);

/** The match of packets that came in on an OpenFlow port: the key's first word, in network order. */
export function matchInPort(port: number): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 1, true);
  view.setUint32(16, port);
  view.setUint32(24, 0xffffffff);
  return bytes;
}

function action(code: number, size: number, write: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, code, true);
  view.setUint16(2, size, true);
  write(view);
  return bytes;
}

export const output = (port: number): Uint8Array =>
  action(opcode.output, actionOutput.size, (view) => view.setUint32(actionOutput.port, port, true));

export const toController = (maxLen = 0xffff): Uint8Array =>
  action(opcode.controller, actionController.size, (view) => {
    view.setUint16(actionController.maxLen, maxLen, true);
    view.setUint8(actionController.reason, 1);
  });

export function addFlow(
  batch: BatchBuilder,
  priority: number,
  actions: Uint8Array,
  more: { cookie?: bigint; idle?: number; flags?: number; inPort?: number; match?: Uint8Array } = {},
): BatchBuilder {
  return batch.flowMod(
    {
      bridge: 1,
      table: 0,
      command: flowCommand.add,
      flowFlags: more.flags ?? 0,
      priority,
      outPort: anyPort,
      outGroup: anyPort,
      importance: 0,
      cookie: 0n,
      cookieMask: 0n,
      newCookie: more.cookie ?? 0n,
      idleTimeoutS: more.idle ?? 0,
      hardTimeoutS: 0,
      origin: 0,
    },
    more.match ?? (more.inPort === undefined ? matchAll : matchInPort(more.inPort)),
    actions,
  );
}

/** Bridge 1 with OpenFlow ports 1, 2, ... of the same datapath numbers; each is a class, a name and configuration. */
export function makeBridge(
  datapath: Datapath,
  ports: readonly (readonly [portClass: number, name: string, config?: Readonly<Record<string, string>>])[],
): void {
  const batch = new BatchBuilder();
  batch.bridgeAdd({ bridge: 1, nTables: 254 });
  ports.forEach(([portClass, name, config], index) => {
    batch.portOpen(index + 1, portClass, name, config ?? {});
    batch.ofportSet({
      bridge: 1,
      ofpPort: index + 1,
      dpPort: index + 1,
      config: 0,
      linkDown: 0,
      packetTypeMode: 0,
      peerBridge: 0,
      peerOfpPort: 0,
      mtu: 0,
      tunnelSize: 0,
      spanningFlags: 0,
      monitorFlags: 0,
      bfdDstMac: new Uint8Array(6),
      bfdIp: new Uint8Array(4),
      nDscps: 0,
    });
  });
  batch.commit(datapath);
}

/** A frame of 60 bytes from host `from`: UDP over IPv4. */
export function udpFrame(from: number): Uint8Array {
  const frame = new Uint8Array(60);
  frame.set([
    2,
    0,
    0,
    0,
    0,
    2,
    2,
    0,
    0,
    0,
    0,
    from,
    8,
    0,
    0x45,
    0,
    0,
    46,
    0,
    0,
    0,
    0,
    64,
    17,
    0,
    0,
    10,
    0,
    0,
    from,
    10,
    0,
    0,
    200,
    0,
    7,
    0,
    9,
    0,
    26,
  ]);
  return frame;
}
