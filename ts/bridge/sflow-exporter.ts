import type { Clock, Timer } from "../clock/index.js";
import type { Sample } from "../datapath/index.js";
import {
  addressBytes,
  Collectors,
  outputCode,
  parseTarget,
  SflowAgent,
  type SwitchSample,
  type TunnelSample,
} from "../export/index.js";
import type { LogSource } from "../log/index.js";
import { datapathOutcome, type OuterHeader, tunnelOfWords } from "../openflow/index.js";
import type { SFlowRow } from "../ovsdb/index.js";
import type { Bridge, OpenInterface } from "./bridge.js";

/** sFlow of one bridge: samples from the datapath and counters of ports, to the collectors of its row. */

export interface SflowSettings {
  readonly targets: readonly string[];
  readonly sampling: number;
  readonly pollingS: number;
  readonly header: number;
  readonly agent: string | undefined;
  readonly subId: number;
  /** Address by which a controller is reached: the last resort for the agent's own. */
  readonly controlIp: string | undefined;
}

export interface SflowSurroundings {
  readonly bridge: Bridge;
  readonly clock: Clock;
  readonly log: LogSource;
  /** The address of a host's device. */
  readonly deviceAddress: (name: string) => Uint8Array | undefined;
  /** The address that the host would use towards another. */
  readonly sourceFor: (address: Uint8Array) => Uint8Array | undefined;
  readonly switchSample: () => SwitchSample;
  /** Whether this bridge is the one that tells of the switch as a whole. */
  readonly tellsOfSwitch: () => boolean;
}

export const sflowPort = 6343;

export function sflowSettings(row: SFlowRow, subId: number, controlIp: string | undefined): SflowSettings {
  return {
    targets: [...row.targets].sort(),
    sampling: row.sampling ?? 400,
    pollingS: row.polling ?? 30,
    header: row.header ?? 128,
    agent: row.agent,
    subId,
    controlIp,
  };
}

export class SflowExporter {
  readonly settings: SflowSettings;
  readonly #around: SflowSurroundings;
  readonly #collectors: Collectors;
  readonly #agent: SflowAgent;
  readonly #timer: Timer;
  #ticks = 0;

  private constructor(settings: SflowSettings, around: SflowSurroundings, collectors: Collectors, address: Uint8Array) {
    this.settings = settings;
    this.#around = around;
    this.#collectors = collectors;
    const { subId, sampling } = settings;
    this.#agent = new SflowAgent({ address, subId, sampling, startedMs: around.clock.monotonic() });
    this.#timer = around.clock.every(1000, () => this.#tick());
  }

  /** Undefined, with a word in the log, if there is nobody to send to or no address to send as. */
  static open(settings: SflowSettings, around: SflowSurroundings): SflowExporter | undefined {
    if (settings.targets.length === 0 || settings.sampling === 0) return undefined;
    const log = around.log("sflow");
    const collectors = new Collectors(settings.targets, sflowPort, around.log("collectors").limited(5, 5));
    if (collectors.size === 0) {
      log.warn("no collectors could be initialized, sFlow disabled");
      return undefined;
    }
    const address = agentAddress(settings, around);
    if (address === undefined) {
      log.err("could not determine IP address for sFlow agent");
      collectors.close();
      return undefined;
    }
    log.info(`creating sFlow agent ${settings.subId}`);
    return new SflowExporter(settings, around, collectors, address);
  }

  /** Of 2**32 - 1 packets, how many are sampled. */
  get probability(): number {
    return Math.max(1, Math.floor(0xffffffff / this.settings.sampling));
  }

  sample(event: Sample): void {
    const interfaces = [...this.#around.bridge.interfaces.values()];
    const view = new DataView(event.packet.buffer, event.packet.byteOffset, event.packet.byteLength);
    const input = interfaces.find((iface) => iface.ofport === (event.inPort & 0xffff));
    const output = interfaces.find((iface) => iface.netdev.dpPort === event.outPort);
    const outcome = datapathOutcome(event.actions, labelsOf(view));
    const isOne = event.nOutputs === 1;
    const words = new Uint8Array(event.tunnel.buffer, event.tunnel.byteOffset, event.tunnel.byteLength);
    const tagged = event.packet.length >= 16 && [0x8100, 0x88a8].includes(view.getUint16(12));
    this.#send(
      this.#agent.flow(
        {
          frameSize: event.totalSize,
          header: event.packet,
          input: input === undefined ? 0 : ifindexOf(input),
          output: outputCode(event.nOutputs, output === undefined ? 0 : ifindexOf(output)),
          inTci: tagged ? view.getUint16(14) & ~0x1000 : 0,
          outTci: swap16(event.vlanTci) & ~0x1000,
          tunnelIn: withProtocol(tunnelOfWords(words), input),
          tunnelOut: isOne ? withProtocol(outcome.tunnel, output) : undefined,
          labels: isOne ? outcome.labels : undefined,
        },
        this.#around.clock.monotonic(),
      ),
    );
  }

  close(): void {
    this.#timer.cancel();
    this.#send(this.#agent.flush(this.#around.clock.monotonic()));
    this.#collectors.close();
  }

  #tick(): void {
    const { pollingS } = this.settings;
    if (pollingS > 0 && ++this.#ticks % pollingS === 0) this.#poll();
    this.#send(this.#agent.flush(this.#around.clock.monotonic()));
  }

  #poll(): void {
    const { bridge, clock, switchSample, tellsOfSwitch } = this.#around;
    const local = (iface: OpenInterface): number => (iface.name === bridge.name ? 1 : 0);
    const ports = [...bridge.interfaces.values()].sort((a, b) => local(a) - local(b));
    for (const iface of ports) {
      const ifindex = ifindexOf(iface);
      if (ifindex === 0) continue;
      const state = iface.netdev.last;
      this.#send(
        this.#agent.port(
          {
            ifindex,
            name: iface.name,
            datapathId: bridge.ofproto.datapathId,
            ofpPort: iface.ofport,
            speedBps: state.speedMbps === undefined ? 100_000_000n : BigInt(state.speedMbps) * 1_000_000n,
            direction: state.duplex === undefined ? 0 : state.duplex === "full" ? 1 : 2,
            adminUp: state.up,
            operUp: state.carrier,
            counters: bridge.statistics(iface),
          },
          clock.monotonic(),
        ),
      );
    }
    if (tellsOfSwitch()) this.#send(this.#agent.switch(switchSample(), clock.monotonic()));
  }

  #send(datagram: Uint8Array | undefined): void {
    if (datagram !== undefined) this.#collectors.send(datagram);
  }
}

function ifindexOf(iface: OpenInterface): number {
  return iface.netdev.last.ifindex;
}

const swap16 = (value: number): number => ((value & 0xff) << 8) | (value >> 8);

/** Protocols of tunnels by interface type, where the tunnel itself does not tell. */
const protocols: ReadonlyMap<string, number> = new Map([
  ["gre", 47],
  ["vxlan", 17],
  ["geneve", 17],
  ["lisp", 17],
]);

function withProtocol(tunnel: OuterHeader | undefined, port: OpenInterface | undefined): TunnelSample | undefined {
  if (tunnel === undefined) return undefined;
  return { ...tunnel, protocol: tunnel.protocol || (protocols.get(port?.type ?? "") ?? 0) };
}

/** The label stack of a frame, outermost first. */
function labelsOf(view: DataView): number[] {
  let at = 12;
  while (at + 6 <= view.byteLength && [0x8100, 0x88a8].includes(view.getUint16(at))) at += 4;
  if (at + 2 > view.byteLength || ![0x8847, 0x8848].includes(view.getUint16(at))) return [];
  const labels: number[] = [];
  for (at += 2; at + 4 <= view.byteLength && labels.length < 3; at += 4) {
    labels.push(view.getUint32(at));
    if ((view.getUint32(at) & 0x100) !== 0) break;
  }
  return labels;
}

/** The row's own, then that towards a collector, then that towards a controller. */
function agentAddress(settings: SflowSettings, around: SflowSurroundings): Uint8Array | undefined {
  if (settings.agent !== undefined) {
    const own = around.deviceAddress(settings.agent) ?? addressBytes(settings.agent);
    if (own !== undefined) return own;
  }
  for (const text of settings.targets) {
    const host = parseTarget(text, sflowPort)?.host;
    const target = host === undefined ? undefined : addressBytes(host);
    const source = target === undefined ? undefined : around.sourceFor(target);
    if (source !== undefined) return source;
  }
  return settings.controlIp === undefined ? undefined : addressBytes(settings.controlIp);
}
