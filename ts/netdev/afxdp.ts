/** AF_XDP ports: what their options mean, what is told of an open one, and what to do about one that does not open. */
import type { PortInfo, XskInfo } from "../datapath/generated/records.js";

const modes = ["best-effort", "native-with-zerocopy", "native", "generic"] as const;
/** Names of `port_info.xdp_mode`. */
const modesInUse = [undefined, "native-with-zerocopy", "native", "generic"] as const;
const queuesMax = 15;

export interface AfxdpConfig {
  readonly nRxq: number;
  readonly mode: (typeof modes)[number];
  readonly useNeedWakeup: boolean;
}

/** Reads Interface.options; a string says what cannot be meant. */
export function readAfxdp(name: string, options: ReadonlyMap<string, string>): AfxdpConfig | string {
  const wanted = options.get("xdp-mode") ?? "best-effort";
  const mode = modes.find((each) => each === wanted.toLowerCase());
  const number = Number.parseInt(options.get("n_rxq") ?? "1", 10);
  const nRxq = Math.max(1, Number.isNaN(number) ? 1 : number);
  if (nRxq > queuesMax) return `${name}: Too big 'n_rxq' (${nRxq} > ${queuesMax}).`;
  if (mode === undefined) return `${name}: Incorrect xdp-mode (${wanted}).`;
  return { nRxq, mode, useNeedWakeup: options.get("use-need-wakeup")?.toLowerCase() !== "false" };
}

/** What the driver takes. */
export function afxdpOptions(config: AfxdpConfig): Map<string, string> {
  return new Map([
    ["n_rxq", String(config.nRxq)],
    ["xdp-mode", config.mode],
    ["use-need-wakeup", String(config.useNeedWakeup)],
  ]);
}

/** What `dpif/show` tells after the type. */
export function afxdpShown(config: AfxdpConfig, info: PortInfo | undefined): string {
  const inUse = modesInUse[info?.xdpMode ?? 0] ?? "unknown";
  return `n_rxq=${config.nRxq}, use-need-wakeup=${config.useNeedWakeup}, xdp-mode=${config.mode}, xdp-mode-in-use=${inUse}`;
}

/** Keys of Interface.status beside the driver's. */
export function afxdpStatus(info: PortInfo | undefined): [string, string][] {
  const mode = modesInUse[info?.xdpMode ?? 0];
  if (mode === undefined) return [];
  return [
    ["use-need-wakeup", String(info?.xdpUseNeedWakeup === 1)],
    ["xdp-mode", mode],
  ];
}

/** Interface.statistics beside the device's. */
export function afxdpStatistics(sockets: readonly XskInfo[]): [string, number][] {
  return sockets.flatMap((socket, queue): [string, number][] => [
    [`xsk_queue_${queue}_rx_dropped`, Number(socket.rxDropped)],
    [`xsk_queue_${queue}_rx_fill_ring_empty_descs`, Number(socket.rxFillRingEmptyDescs)],
    [`xsk_queue_${queue}_rx_invalid_descs`, Number(socket.rxInvalidDescs)],
    [`xsk_queue_${queue}_rx_ring_full`, Number(socket.rxRingFull)],
    [`xsk_queue_${queue}_tx_invalid_descs`, Number(socket.txInvalidDescs)],
    [`xsk_queue_${queue}_tx_ring_empty_descs`, Number(socket.txRingEmptyDescs)],
  ]);
}

/** What to do about an errno value of opening the device, or undefined when its words say it all. */
export function afxdpRemedy(name: string, error: number, config: AfxdpConfig): string | undefined {
  const queues = config.nRxq === 1 ? "queue 0" : `queues 0 to ${config.nRxq - 1}`;
  switch (error) {
    case 1:
    case 13:
      return "AF_XDP needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF";
    case 16:
      return `the device has an XDP program of another; 'ip link set dev ${name} xdp off' takes it off`;
    case 98:
      return `another program has an AF_XDP socket on ${queues} of the device; it must close it`;
    case 22:
      return `the device lacks one of ${queues} (ethtool -L ${name} changes how many it has), or the kernel is older than Linux 5.9`;
    case 34:
      return `the MTU of the device or of its peer is too great for XDP mode ${config.mode}; lower it or use xdp-mode=generic`;
    case 38:
    case 97:
      return "the kernel was built without AF_XDP (CONFIG_XDP_SOCKETS) or bpf(2)";
    case 95:
      return `its driver has no XDP mode ${config.mode}; use xdp-mode=best-effort`;
    case 12:
    case 105:
      return `${queues} need 16 MB of locked memory each; raise the limit of locked memory (ulimit -l, LimitMEMLOCK=)`;
    default:
      return undefined;
  }
}
