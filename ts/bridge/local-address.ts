import { isIPv4 } from "node:net";
import type { Logger } from "../log/index.js";
import type { ControllerRow } from "../ovsdb/index.js";
import type { Bridge } from "./bridge.js";

/** A controller's row may ask for an address, a mask and a gateway of the bridge's local port, so that the controller
 *  can be reached through the bridge. */

/** Calls of the operating system; each returns 0 or a negative errno. */
export interface LocalAddressCalls {
  setAddress(device: string, address: string, mask: string): number;
  addGateway(address: string): number;
}

export function configureLocalAddress(bridge: Bridge, row: ControllerRow, calls: LocalAddressCalls, log: Logger): void {
  const { local_ip: address, local_netmask: asked, local_gateway: gateway } = row;
  const local = bridge.interfaces.get(bridge.name);
  if (local === undefined || !local.netdev.isHostDevice || address === undefined || !isIPv4(address)) return;
  if (!local.netdev.last.up) {
    local.netdev.setUp(true);
    bridge.refresh(bridge.name);
  }
  const mask = asked !== undefined && isIPv4(asked) && asked !== "0.0.0.0" ? asked : classMask(address);
  if (calls.setAddress(bridge.name, address, mask) === 0) {
    log.info(`bridge ${bridge.name}: configured IP address ${address}, netmask ${mask}`);
  }
  if (gateway === undefined || !isIPv4(gateway) || gateway === "0.0.0.0") return;
  if (calls.addGateway(gateway) === 0) log.info(`bridge ${bridge.name}: configured gateway ${gateway}`);
}

/** The mask of an address's class, of the time before masks. */
export function classMask(address: string): string {
  const first = Number(address.split(".")[0]);
  if (first < 128) return "255.0.0.0";
  if (first < 192) return "255.255.0.0";
  return first < 224 ? "255.255.255.0" : "0.0.0.0";
}
