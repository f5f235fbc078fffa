import { shapeKind } from "../datapath/generated/records.js";
import { BatchBuilder, type BatchTarget, type QueryTarget, type ShapeRates, shapeStats } from "../datapath/index.js";
import type { Logger } from "../log/index.js";
import { errno, errnoWords } from "./errno.js";
import { type DeviceQos, longOf, type QosQueue, type ShownQos } from "./qos.js";
import type { TcCounters } from "./tc-message.js";

/** A device of DPDK's: what it is to send beyond its rates is dropped by the datapath, as Open vSwitch does it there. */

export interface PolicerQosOptions {
  readonly name: string;
  readonly dpPort: number;
  readonly datapath: BatchTarget & QueryTarget;
  readonly now: () => number;
  readonly log: Logger;
}

type Details = ReadonlyMap<string, string>;

interface Queue {
  readonly rates: ShapeRates;
  readonly createdMs: number;
}

interface Current {
  readonly type: PolicerType;
  readonly rates: ShapeRates;
  readonly queues: Map<number, Queue>;
}

const policerTypes = ["egress-policer", "trtcm-policer"] as const;
type PolicerType = (typeof policerTypes)[number];
const noRates: ShapeRates = { cir: 0n, cbs: 0n, eir: 0n, ebs: 0n };
function ratesOf(type: PolicerType, details: Details): ShapeRates {
  const [cir, cbs] = [longOf(details, "cir"), longOf(details, "cbs")];
  if (type === "egress-policer") return { ...noRates, cir, cbs };
  return { cir, cbs, eir: longOf(details, "eir"), ebs: longOf(details, "ebs") };
}

/** Whether DPDK would take them: a rate needs a bucket, and the only one of a port needs a rate. */
function isUsable(type: PolicerType, { cir, cbs, eir, ebs }: ShapeRates): boolean {
  if (type === "egress-policer") return cir !== 0n && cbs !== 0n;
  return (cir === 0n || cbs !== 0n) && (eir === 0n || ebs !== 0n);
}

const sameRates = (a: ShapeRates, b: ShapeRates): boolean =>
  a.cir === b.cir && a.cbs === b.cbs && a.eir === b.eir && a.ebs === b.ebs;

function shown(type: PolicerType, { cir, cbs, eir, ebs }: ShapeRates): Details {
  const rows: readonly (readonly [string, bigint])[] =
    type === "egress-policer"
      ? [
          ["cir", cir],
          ["cbs", cbs],
        ]
      : [
          ["cir", cir],
          ["eir", eir],
          ["cbs", cbs],
          ["ebs", ebs],
        ];
  return new Map(rows.map(([key, value]) => [key, String(value)]));
}

export class PolicerQos implements DeviceQos {
  readonly types: readonly string[] = policerTypes;
  readonly #options: PolicerQosOptions;
  #current: Current | undefined;

  constructor(options: PolicerQosOptions) {
    this.#options = options;
  }

  show(): ShownQos {
    if (this.#current === undefined) return { type: "", details: new Map() };
    const { type, rates } = this.#current;
    return { type, details: shown(type, rates) };
  }

  set(name: string, details: Details): number {
    const type = policerTypes.find((known) => known === name);
    const rates = type === undefined ? noRates : ratesOf(type, details);
    if (type !== undefined && this.#current?.type === type && sameRates(rates, this.#current.rates)) return 0;
    const error =
      type === undefined ? (name === "" ? 0 : errno.notSupported) : isUsable(type, rates) ? 0 : errno.invalid;
    if (error !== 0) {
      const text = `Failed to set QoS type ${name} on port ${this.#options.name}: ${errnoWords(error)}`;
      this.#options.log.err(text, { name: this.#options.name });
    }
    // What cannot be leaves nothing of what was.
    const wanted = error === 0 && type !== undefined ? { type, rates, queues: new Map<number, Queue>() } : undefined;
    if (wanted === undefined && this.#current === undefined) return error;
    this.#shape(wanted);
    this.#current = wanted;
    return error;
  }

  queues(): readonly QosQueue[] {
    if (this.#current === undefined) return [];
    const { type, queues } = this.#current;
    return [...queues].map(([number, { rates, createdMs }]) => ({ number, details: shown(type, rates), createdMs }));
  }

  setQueue(number: number, details: Details): number {
    if (this.#current?.type !== "trtcm-policer") return errno.notSupported;
    const { queues } = this.#current;
    // A queue 0 that nobody asked for is as the port.
    const rates = number === 0 && details.size === 0 ? this.#current.rates : ratesOf("trtcm-policer", details);
    if (!isUsable("trtcm-policer", rates)) {
      this.deleteQueue(number);
      const text = `Failed to set QoS queue ${number} on port ${this.#options.name}: ${errnoWords(errno.invalid)}`;
      this.#options.log.err(text, { name: this.#options.name });
      return errno.invalid;
    }
    const before = queues.get(number);
    if (before !== undefined && sameRates(before.rates, rates)) return 0;
    this.#setQueue(number, rates);
    queues.set(number, { rates, createdMs: before?.createdMs ?? this.#options.now() });
    return 0;
  }

  deleteQueue(number: number): number {
    if (this.#current?.type !== "trtcm-policer") return errno.notSupported;
    if (this.#current.queues.delete(number)) this.#setQueue(number, undefined);
    return 0;
  }

  queueCounters(number: number): TcCounters | number {
    if (this.#current?.type !== "trtcm-policer") return errno.notSupported;
    return this.allCounters().get(number) ?? errno.invalid;
  }

  allCounters(): ReadonlyMap<number, TcCounters> {
    const rows = this.#current === undefined ? [] : shapeStats(this.#options.datapath, this.#options.dpPort);
    return new Map(
      rows.map(({ queue, nBytes, nPackets, nErrors }) => [
        queue,
        { txBytes: nBytes, txPackets: nPackets, txErrors: nErrors },
      ]),
    );
  }

  #shape(wanted: Current | undefined): void {
    const { type, rates } = wanted ?? { type: undefined, rates: noRates };
    const kind =
      type === undefined ? shapeKind.none : type === "egress-policer" ? shapeKind.committed : shapeKind.queues;
    new BatchBuilder().portShape(this.#options.dpPort, { kind, ...rates }).commit(this.#options.datapath);
  }

  #setQueue(number: number, rates: ShapeRates | undefined): void {
    new BatchBuilder().shapeQueue(this.#options.dpPort, number, rates).commit(this.#options.datapath);
  }
}
