import { OpenFlowError } from "../openflow/index.js";
import type { PortMod } from "../openflow/message.js";
import type { Ofproto } from "./ofproto.js";
import { changeableConfig, type OfPort, portConfig } from "./port.js";
import type { Requester } from "./requester.js";

/** Changes of a port's configuration that controllers ask for. */

/** The port that the port_mod is about.  Throws OpenFlowError when there is none such. */
export function checkPortMod(ofproto: Ofproto, mod: PortMod): OfPort {
  const port = ofproto.port(mod.port);
  if (port === undefined)
    throw new OpenFlowError("OFPPMFC_BAD_PORT", `there is no port ${mod.port}`, { port: mod.port });
  if (!mod.hwAddr.every((byte, index) => byte === port.device.hwAddr[index])) {
    throw new OpenFlowError("OFPPMFC_BAD_HW_ADDR", `port ${port.name} has another hardware address`, {
      port: mod.port,
    });
  }
  return port;
}

export function applyPortMod(ofproto: Ofproto, mod: PortMod, requester: Requester): void {
  const port = checkPortMod(ofproto, mod);
  const toggled = (mod.config ^ port.config) & mod.mask & changeableConfig;
  if (toggled !== 0) ofproto.setPortConfig(port, port.config ^ toggled, requester);
  if ((toggled & portConfig.portDown) === 0) return;
  const up = (mod.config & portConfig.portDown) === 0;
  if (port.spec.setUp !== undefined) port.spec.setUp(up);
  else ofproto.updatePort(port.name, { up });
}
