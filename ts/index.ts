/** Sluice as a library: a switch inside your program.
 *
 *  ```ts
 *  import { createSwitch } from "sluice";
 *
 *  const sw = await createSwitch({ clock: "virtual" });
 *  const br = sw.addBridge("br0");
 *  const a = br.addPort("a");
 *  const b = br.addPort("b");
 *  br.addFlow("in_port=a,actions=output:b");
 *  a.send(frame);
 *  const out = await b.receive();
 *  console.log(br.dumpFlows(), br.trace("in_port=a,icmp").text);
 *  await sw.dispose();
 *  ``` */

export type { DropCount, PacketAccounts } from "./datapath/index.js";
export { NetdevError } from "./netdev/index.js";
export type { Flood, FloodRule } from "./ofproto/index.js";
export {
  type PacketInEvent,
  PortError,
  type TraceInput,
  type TraceNode,
  type TraceResult,
  type TraceTree,
} from "./ofproto/index.js";
export { type Action, type Flow, FlowSyntaxError, type Match, OpenFlowError } from "./openflow/index.js";
export { createSwitch, Switch, SwitchError, type SwitchOptions } from "./switch.js";
export { type BridgeSpec, type FlowEntry, type PortSpec, SwitchBridge } from "./switch-bridge.js";
export { PortSilentError, type PortStatistics, SwitchPort } from "./switch-port.js";
