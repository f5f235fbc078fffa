import { isIPv4 } from "node:net";
import { type ControllerOptions, type InBandAddress, parseTarget } from "../connmgr/index.js";
import type { ControllerRow, Idl, VswitchTables } from "../ovsdb/index.js";

/** What the rows of controllers and managers ask of a bridge's connections.  Pure. */

const dscpDefault = 48;
const dscpMax = 63;
const queueSizeMax = 512;
const queueSizeDefault = 100;
const managerPort = 6640;

/** `bridgeConfig`: other_config of the bridge. */
export function controllerOptions(row: ControllerRow, bridgeConfig: ReadonlyMap<string, string>): ControllerOptions {
  const outOfBand = row.connection_mode === "out-of-band" || bridgeConfig.get("disable-in-band") === "true";
  return {
    target: row.target,
    type: row.type,
    maxBackoffMs: row.max_backoff,
    probeMs: row.inactivity_probe,
    rateLimit: row.controller_rate_limit,
    burstLimit: row.controller_burst_limit,
    enableAsync: row.enable_async_messages,
    queueSize: queueSize(row, bridgeConfig),
    dscp: whole(row.other_config.get("dscp"), 0, dscpMax) ?? dscpDefault,
    inBand: !outOfBand,
  };
}

function queueSize(row: ControllerRow, bridgeConfig: ReadonlyMap<string, string>): number {
  const own = row.controller_queue_size;
  if (own !== undefined && own >= 1 && own <= queueSizeMax) return own;
  return whole(bridgeConfig.get("controller-queue-size"), 1, queueSizeMax) ?? queueSizeDefault;
}

/** `other_config:in-band-queue`; undefined for none. */
export function inBandQueue(bridgeConfig: ReadonlyMap<string, string>): number | undefined {
  return whole(bridgeConfig.get("in-band-queue"), 0, 0xffffffff);
}

/** Managers that the database may have to be reached through the bridges, sorted.  The host itself always is. */
export function inBandManagers(idl: Idl<VswitchTables>): readonly InBandAddress[] {
  const found = new Map<string, InBandAddress>();
  for (const uuid of idl.table("Open_vSwitch").first()?.manager_options ?? []) {
    const row = idl.table("Manager").get(uuid);
    if (row === undefined || row.connection_mode === "out-of-band") continue;
    const target = parseTarget(withPort(row.target), "/");
    if (target === undefined || target.passive || target.kind === "unix") continue;
    if (isIPv4(target.host) && target.host !== "127.0.0.1") {
      found.set(row.target, { ip: target.host, port: target.port });
    }
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, address]) => address);
}

/** A manager's target with the port that it has when it names none. */
function withPort(target: string): string {
  return /^(tcp|ssl):[^:]+$/.test(target) ? `${target}:${managerPort}` : target;
}

function whole(text: string | undefined, least: number, most: number): number | undefined {
  if (text === undefined || !/^-?\d+$/.test(text)) return undefined;
  const value = Number(text);
  return value >= least && value <= most ? value : undefined;
}
