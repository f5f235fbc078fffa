/** A device as the switch sees it: what it is, and what it counted.  Pure. */
import { isCustomStatistic, linkFeatures, type Netdev } from "../netdev/index.js";
import { noFeatures, type PortCounters, type PortDevice } from "../ofproto/index.js";

/** What it is, asked now. */
export function describe(netdev: Netdev): PortDevice {
  const state = netdev.state();
  const { current, currentSpeedKbps } = linkFeatures(state);
  return {
    hwAddr: state.mac,
    mtu: state.mtu ?? 0,
    up: state.up,
    carrier: state.carrier && state.up,
    features: { ...noFeatures, current, currentSpeedKbps },
  };
}

export function countersOf(statistics: ReadonlyMap<string, number>): PortCounters | undefined {
  if (statistics.size === 0) return undefined;
  // All bits set: the device does not count that.
  const at = (key: string): bigint => BigInt(statistics.get(key) ?? 0xffffffffffffffffn);
  const custom = [...statistics.keys()].filter(isCustomStatistic).map((key) => [key, at(key)] as const);
  return {
    ...(custom.length === 0 ? {} : { custom }),
    rxPackets: at("rx_packets"),
    txPackets: at("tx_packets"),
    rxBytes: at("rx_bytes"),
    txBytes: at("tx_bytes"),
    rxDropped: at("rx_dropped"),
    txDropped: at("tx_dropped"),
    rxErrors: at("rx_errors"),
    txErrors: at("tx_errors"),
    rxFrameErrors: at("rx_frame_err"),
    rxOverErrors: at("rx_over_err"),
    rxCrcErrors: at("rx_crc_err"),
    collisions: at("collisions"),
  };
}
