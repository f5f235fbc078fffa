import type { Clock } from "../clock/index.js";
import type { NetflowRecords } from "../datapath/index.js";
import { Collectors, Netflow, type NetflowOptions } from "../export/index.js";
import type { Logger, LogSource } from "../log/index.js";
import type { NetFlowRow } from "../ovsdb/index.js";

/** NetFlow of one bridge: records of flows from the datapath to the collectors of its row. */

export interface NetflowSettings extends NetflowOptions {
  readonly targets: readonly string[];
  /** As the row says it: 0 for the default, and what is below it is none. */
  readonly activeTimeoutS: number;
}

const timeoutDefaultS = 600;

/** The engine type and id that a datapath has if nobody says others: halves of a hash of its name. */
const dummyEngine = { engineType: 204, engineId: 62 };
const netdevEngine = { engineType: 47, engineId: 209 };

/** Interface numbers that an engine id leaves room for, without those that OpenFlow reserves. */
const portsMax = 508;

export function netflowSettings(row: NetFlowRow, isDummy: boolean): NetflowSettings {
  const engine = isDummy ? dummyEngine : netdevEngine;
  return {
    targets: [...row.targets].sort(),
    engineType: row.engine_type ?? engine.engineType,
    engineId: row.engine_id ?? engine.engineId,
    addIdToInterface: row.add_id_to_interface,
    activeTimeoutS: row.active_timeout,
  };
}

export class NetflowExporter {
  readonly #bridge: string;
  readonly #clock: Clock;
  readonly #log: LogSource;
  readonly #impossible: Logger;
  readonly #netflow: Netflow;
  #settings: NetflowSettings;
  #collectors: Collectors;

  constructor(settings: NetflowSettings, bridge: string, nPorts: number, clock: Clock, log: LogSource) {
    this.#bridge = bridge;
    this.#clock = clock;
    this.#log = log;
    this.#impossible = log("netflow").limited(1, 1);
    this.#settings = settings;
    this.#netflow = new Netflow(settings);
    this.#collectors = this.#open();
    this.#warn(nPorts);
  }

  get activeTimeoutS(): number {
    const { activeTimeoutS } = this.#settings;
    return activeTimeoutS > 0 ? activeTimeoutS : timeoutDefaultS;
  }

  configure(settings: NetflowSettings, nPorts: number): void {
    if (JSON.stringify(settings) === JSON.stringify(this.#settings)) return;
    this.#settings = settings;
    this.#netflow.configure(settings);
    this.#collectors.close();
    this.#collectors = this.#open();
    this.#warn(nPorts);
  }

  records({ uptimeMs, flows }: NetflowRecords): void {
    const datagrams = this.#netflow.datagrams(flows, uptimeMs, this.#clock.wall(), ({ nBytes }) => {
      this.#impossible.warn(`impossible byte counter ${nBytes}`);
    });
    for (const datagram of datagrams) this.#collectors.send(datagram);
  }

  close(): void {
    this.#collectors.close();
  }

  #open(): Collectors {
    return new Collectors(this.#settings.targets, undefined, this.#log("collectors").limited(5, 5));
  }

  #warn(nPorts: number): void {
    const log = this.#log("bridge");
    const { activeTimeoutS, addIdToInterface, engineId } = this.#settings;
    const about = `bridge ${this.#bridge}:`;
    if (activeTimeoutS < 0) {
      const instead = `using default instead (${timeoutDefaultS} seconds)`;
      log.warn(`${about} active timeout interval set to negative value, ${instead}`);
    }
    if (!addIdToInterface) return;
    if (engineId > 0x7f) {
      const remedy = "choose an engine id less than 128";
      log.warn(`${about} NetFlow port mangling may conflict with another vswitch, ${remedy}`);
    }
    if (nPorts > portsMax) {
      const when = `when more than ${portsMax} ports are used`;
      log.warn(`${about} NetFlow port mangling will conflict with another port ${when}`);
    }
  }
}
