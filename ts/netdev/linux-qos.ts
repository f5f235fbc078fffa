import { readFileSync } from "node:fs";
import { askTc, BatchBuilder, type BatchTarget, type QueryTarget } from "../datapath/index.js";
import type { Logger } from "../log/index.js";
import {
  type Classes,
  type Details,
  type Discipline,
  defaultDiscipline,
  disciplines,
  noopDiscipline,
  otherDiscipline,
  queuesMax,
  rootClass,
  type Settings,
  type ShapedDevice,
} from "./disciplines.js";
import { errno, errnoWords } from "./errno.js";
import type { DeviceQos, QosQueue, ShownQos } from "./qos.js";
import {
  countersOf,
  decodeString,
  decodeTc,
  encodeString,
  encodeTc,
  handle,
  handleText,
  rootParent,
  type TcCounters,
  type TcMessage,
  tcAttribute,
  tcFlags,
  tcType,
} from "./tc-message.js";
import { parseTcClock, type TcClock } from "./tc-rate.js";

let clock: TcClock | undefined;

/** The kernel's clock for queueing, which stays as it is while the kernel runs. */
export function hostTcClock(): TcClock {
  if (clock === undefined) {
    let text: string | undefined;
    try {
      text = readFileSync("/proc/net/psched", "utf8");
    } catch {
      // Without it, bursts are as coarse as they once were.
    }
    clock = parseTcClock(text);
  }
  return clock;
}

/** A device of the host, whose sending the kernel shapes.
 *
 *  What is there is asked of the kernel once, when it is first needed; from then on it is what we made of it.  A discipline
 *  stays when its port goes, and is taken over when the port comes back. */

export interface LinuxQosOptions {
  readonly name: string;
  readonly datapath: BatchTarget & QueryTarget;
  /** 0: there is no such device now. */
  readonly ifindex: () => number;
  readonly device: () => ShapedDevice;
  readonly now: () => number;
  readonly log: Logger;
}

interface Queue {
  readonly settings: Settings;
  readonly createdMs: number;
}

interface Current {
  readonly discipline: Discipline;
  readonly settings: Settings;
  readonly queues: Map<number, Queue>;
}

const root = handle(1, 0);
const queueHandle = (number: number): number => handle(1, number + 1);

/** The number of the queue that a class is; undefined for the class that queues are in, and for others. */
function queueOf(message: TcMessage): number | undefined {
  const minor = message.handle & 0xffff;
  return message.handle >>> 16 === 1 && minor > 0 && minor <= queuesMax ? minor - 1 : undefined;
}

export class LinuxQos implements DeviceQos {
  readonly types = disciplines.map(({ name }) => name);
  readonly #options: LinuxQosOptions;
  #current: Current | undefined;

  constructor(options: LinuxQosOptions) {
    this.#options = options;
  }

  show(): ShownQos | number {
    const current = this.#look();
    if (typeof current === "number") return current;
    return { type: current.discipline.name, details: current.discipline.shown(current.settings) };
  }

  set(type: string, details: Details): number {
    const wanted = type === "" ? defaultDiscipline : disciplines.find(({ name }) => name === type);
    if (wanted === undefined) return errno.notSupported;
    if (wanted === noopDiscipline) {
      this.#current = { discipline: defaultDiscipline, settings: {}, queues: new Map() };
      return 0;
    }
    const current = this.#look();
    if (typeof current === "number") return current;
    if (current.discipline === wanted) return this.#change(current, details);
    const removed = this.#remove();
    if (removed !== 0) {
      this.#warn(`Failed to delete existing qdisc: ${errnoWords(removed)}`);
      return removed;
    }
    this.#current = undefined;
    const installed = this.#install(wanted, details);
    if (installed !== 0) this.#warn(`Failed to install new qdisc: ${errnoWords(installed)}`);
    return installed;
  }

  queues(): readonly QosQueue[] {
    const current = this.#look();
    const classes = typeof current === "number" ? undefined : current.discipline.classes;
    if (typeof current === "number" || classes === undefined) return [];
    return [...current.queues].map(([number, { settings, createdMs }]) => ({
      number,
      details: classes.shown(settings),
      createdMs,
    }));
  }

  setQueue(number: number, details: Details): number {
    const current = this.#look();
    if (typeof current === "number") return current;
    const { classes } = current.discipline;
    if (classes === undefined || number >= current.discipline.queues) return errno.invalid;
    const device = this.#options.device();
    const settings = classes.settings(details, current.settings, device);
    if (settings === undefined) {
      const kind = current.discipline.kernelName?.toUpperCase() ?? "";
      this.#options.log.warn(`cannot parse ${kind} class on device ${this.#options.name} that lacks MTU`);
      return errno.notSupported;
    }
    const error = this.#setClass(current.discipline, classes, queueHandle(number), handle(1, rootClass), settings);
    if (error !== 0) return error;
    current.queues.set(number, {
      settings,
      createdMs: current.queues.get(number)?.createdMs ?? this.#options.now(),
    });
    return 0;
  }

  deleteQueue(number: number): number {
    const current = this.#look();
    if (typeof current === "number") return current;
    if (current.discipline.classes === undefined) return errno.invalid;
    if (!current.queues.has(number)) return errno.noEntry;
    const error = this.#tell({ type: tcType.deleteClass, flags: tcFlags.none, handle: queueHandle(number) });
    if (error === 0) current.queues.delete(number);
    else {
      const text = `delete ${this.#options.name} class ${handleText(queueHandle(number))} failed (${errnoWords(error)})`;
      this.#options.log.warn(text, { name: this.#options.name });
    }
    return error;
  }

  queueCounters(number: number): TcCounters | number {
    const current = this.#look();
    if (typeof current === "number") return current;
    if (current.discipline.classes === undefined) return errno.notSupported;
    if (!current.queues.has(number)) return errno.noEntry;
    const found = this.#getClass(queueHandle(number), handle(1, rootClass));
    if (typeof found === "number") return found;
    return countersOf(found) ?? errno.protocol;
  }

  allCounters(): ReadonlyMap<number, TcCounters> {
    const counters = new Map<number, TcCounters>();
    const current = this.#look();
    if (typeof current === "number" || current.discipline.classes === undefined) return counters;
    for (const message of this.#dumpClasses()) {
      const number = queueOf(message);
      const counted = countersOf(message);
      if (number !== undefined && counted !== undefined) counters.set(number, counted);
    }
    return counters;
  }

  /** What is there: of the kernel, when we do not know yet. */
  #look(): Current | number {
    if (this.#current !== undefined) return this.#current;
    const answer = this.#ask({ type: tcType.getQdisc, flags: tcFlags.ask, parent: rootParent });
    if (typeof answer === "number" && answer !== errno.noEntry) {
      if (answer !== errno.noDevice) {
        this.#options.log.warn(`query ${this.#options.name} qdisc failed (${errnoWords(answer)})`);
      }
      return answer;
    }
    // The kernel says nothing of what it chose itself.
    const found = typeof answer === "number" ? undefined : answer[0];
    const kind = decodeString(found?.attributes.get(tcAttribute.kind));
    const discipline =
      found === undefined
        ? defaultDiscipline
        : (disciplines.find(({ kernelName }) => kernelName !== undefined && kernelName === kind) ?? otherDiscipline);
    const options = found?.attributes.get(tcAttribute.options) ?? new Uint8Array(0);
    this.#current = this.#takeOver(discipline, options);
    return this.#current;
  }

  #takeOver(discipline: Discipline, options: Uint8Array): Current {
    const device = this.#options.device();
    const queues = new Map<number, Queue>();
    const { classes } = discipline;
    if (classes === undefined) return { discipline, settings: discipline.decode(options, device) ?? {}, queues };
    const read = (message: TcMessage): Settings | undefined =>
      classes.decode(message.attributes.get(tcAttribute.options) ?? new Uint8Array(0), device);
    const top = this.#getClass(handle(1, rootClass), 0);
    const topSettings = typeof top === "number" ? undefined : read(top);
    for (const message of this.#dumpClasses()) {
      const number = queueOf(message);
      const settings = read(message);
      if (number !== undefined && settings !== undefined)
        queues.set(number, { settings, createdMs: this.#options.now() });
    }
    return { discipline, settings: { maxRate: topSettings?.["maxRate"] ?? 0 }, queues };
  }

  /** Other settings for the discipline that is there. */
  #change(current: Current, details: Details): number {
    const { discipline, queues } = current;
    const device = this.#options.device();
    const settings = discipline.settings(details, device);
    const isSame = JSON.stringify(settings) === JSON.stringify(current.settings);
    if (discipline === defaultDiscipline || (isSame && discipline.classes === undefined)) return 0;
    const error =
      discipline.classes === undefined
        ? this.#makeQdisc(discipline, settings, tcFlags.makeOrReplace)
        : this.#setRoot(discipline, discipline.classes, settings);
    if (error === 0) this.#current = { discipline, settings, queues };
    return error;
  }

  #install(discipline: Discipline, details: Details): number {
    const device = this.#options.device();
    const settings = discipline.settings(details, device);
    const { classes } = discipline;
    if (discipline !== defaultDiscipline) {
      const made = this.#makeQdisc(discipline, settings, tcFlags.make);
      if (made !== 0) return made;
      const topped = classes === undefined ? 0 : this.#setRoot(discipline, classes, settings);
      if (topped !== 0) return topped;
    }
    this.#current = { discipline, settings, queues: new Map() };
    return 0;
  }

  #makeQdisc(discipline: Discipline, settings: Settings, flags: number): number {
    const options = discipline.encode(settings, this.#options.device());
    if (options === undefined) {
      const text = `loss should be a percentage value between 0 to 100, loss was ${settings["loss"] ?? 0}`;
      this.#options.log.warn(text, { name: this.#options.name });
      return errno.invalid;
    }
    const error = this.#tell({ type: tcType.newQdisc, flags, handle: root, parent: rootParent }, discipline, options);
    const described = discipline.describe?.(settings, this.#options.device());
    if (error !== 0 && described !== undefined) {
      const text = `failed to replace ${this.#options.name} qdisc, ${described} error ${error}(${errnoWords(error)})`;
      this.#options.log.warn(text, { name: this.#options.name });
    }
    return error;
  }

  #setRoot(discipline: Discipline, classes: Classes, settings: Settings): number {
    return this.#setClass(discipline, classes, handle(1, rootClass), root, classes.root(settings));
  }

  #setClass(discipline: Discipline, classes: Classes, id: number, parent: number, settings: Settings): number {
    const options = classes.encode(settings, this.#options.device());
    const request = { type: tcType.newClass, flags: tcFlags.makeOrChange, handle: id, parent };
    const error = this.#tell(request, discipline, options);
    if (error !== 0) {
      const where = `class ${handleText(id)}, parent ${handleText(parent)}`;
      const text = `failed to replace ${this.#options.name} ${where}, ${classes.describe(settings)} (${errnoWords(error)})`;
      this.#options.log.warn(text, { name: this.#options.name });
    }
    return error;
  }

  /** Takes away what there is; where that is the kernel's own choice, there is nothing to take. */
  #remove(): number {
    const error = this.#tell({ type: tcType.deleteQdisc, flags: tcFlags.none, parent: rootParent });
    return error === errno.invalid || error === errno.noEntry ? 0 : error;
  }

  #getClass(id: number, parent: number): TcMessage | number {
    const answer = this.#ask({ type: tcType.getClass, flags: tcFlags.ask, handle: id, parent });
    const found = typeof answer === "number" ? answer : (answer[0] ?? errno.noEntry);
    if (typeof found === "number") {
      const where = `class ${handleText(id)} (parent ${handleText(parent)})`;
      this.#options.log.warn(`query ${this.#options.name} ${where} failed (${errnoWords(found)})`);
    }
    return found;
  }

  #dumpClasses(): readonly TcMessage[] {
    const answer = this.#ask({ type: tcType.getClass, flags: tcFlags.dump });
    return typeof answer === "number" ? [] : answer;
  }

  #tell(
    request: { readonly type: number; readonly flags: number; readonly handle?: number; readonly parent?: number },
    discipline?: Discipline,
    options?: Uint8Array,
  ): number {
    const ifindex = this.#options.ifindex();
    if (ifindex === 0) return errno.noDevice;
    const attributes =
      discipline?.kernelName === undefined || options === undefined
        ? []
        : [
            { type: tcAttribute.kind, value: encodeString(discipline.kernelName) },
            { type: tcAttribute.options, value: options },
          ];
    const message = encodeTc({ ...request, ifindex }, attributes);
    const [result] = new BatchBuilder().tcChange(message).submit(this.#options.datapath);
    if (result === undefined || result.error === 0) return 0;
    return result.systemError === 0 ? errno.invalid : result.systemError;
  }

  #ask(request: {
    readonly type: number;
    readonly flags: number;
    readonly handle?: number;
    readonly parent?: number;
  }): readonly TcMessage[] | number {
    const ifindex = this.#options.ifindex();
    if (ifindex === 0) return errno.noDevice;
    const answer = askTc(this.#options.datapath, encodeTc({ ...request, ifindex }));
    // A dump of another device's classes is not asked for, and yet not impossible.
    return typeof answer === "number" ? answer : decodeTc(answer).filter((message) => message.ifindex === ifindex);
  }

  #warn(text: string): void {
    this.#options.log.warn(`${this.#options.name}: ${text}`, { name: this.#options.name });
  }
}
