/** The spanning tree protocol of one bridge, IEEE 802.1D-1998 clause 8: no sockets and no clock in it.  `now` is
 *  milliseconds on a monotonic clock.
 *
 *  Functions take a state and return a step: the new state, the BPDUs to send, what to log, and whether learned addresses
 *  must be forgotten.  Inside, a step works on a copy that it may change; procedures have the names of the standard's. */
import {
  type BpduFields,
  type BridgeId,
  bpduFields,
  bpduHeader,
  bpduSize,
  bpduType,
  bridgeId,
  composeBpdu,
  composeTopologyChange,
  msOfTicks,
  ticksOfMs,
} from "./bpdu.js";

export interface StpSettings {
  readonly name: string;
  readonly address: bigint;
  readonly priority: number;
  /** As asked for; what is used keeps the standard's relations. */
  readonly helloMs: number;
  readonly maxAgeMs: number;
  readonly forwardDelayMs: number;
}

export interface StpPortSettings {
  readonly name: string;
  /** 1 to 255. */
  readonly number: number;
  readonly priority: number;
  readonly pathCost: number;
  readonly carrier: boolean;
}

export type StpPortState = "disabled" | "blocking" | "listening" | "learning" | "forwarding";
export type StpPortRole = "root" | "designated" | "alternate" | "disabled";

/** When a timer was started; undefined while it does not run. */
type Started = number | undefined;

export interface StpPort extends StpPortSettings {
  readonly state: StpPortState;
  /** When it came into it. */
  readonly enteredMs: number;
  readonly designatedRoot: BridgeId;
  readonly designatedCost: number;
  readonly designatedBridge: BridgeId;
  readonly designatedPort: number;
  readonly acknowledges: boolean;
  readonly configPending: boolean;
  readonly messageAge: Started;
  readonly forwardDelay: Started;
  readonly hold: Started;
  readonly txCount: number;
  readonly rxCount: number;
  readonly errorCount: number;
}

export interface StpTimes {
  readonly helloMs: number;
  readonly maxAgeMs: number;
  readonly forwardDelayMs: number;
}

export interface StpState {
  readonly settings: StpSettings;
  readonly bridgeId: BridgeId;
  /** In use: the root's. */
  readonly times: StpTimes;
  /** Those that count when this bridge is the root. */
  readonly ownTimes: StpTimes;
  readonly designatedRoot: BridgeId;
  readonly rootPathCost: number;
  /** Number of the port that leads to the root. */
  readonly rootPort: number | undefined;
  readonly changeDetected: boolean;
  readonly change: boolean;
  readonly hello: Started;
  readonly tcn: Started;
  readonly changeTimer: Started;
  /** By ascending number. */
  readonly ports: readonly StpPort[];
}

export interface StpTransmission {
  readonly port: string;
  readonly pdu: Uint8Array;
}

export interface StpNote {
  readonly level: "dbg" | "info" | "warn";
  readonly text: string;
}

export interface StpStep {
  readonly state: StpState;
  readonly transmissions: readonly StpTransmission[];
  readonly notes: readonly StpNote[];
  /** Where hosts are may have changed. */
  readonly flush: boolean;
}

const flag = { change: 0x01, acknowledge: 0x80 } as const;
const holdMs = 1000;
const messageAgeIncrement = 1;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Port = Mutable<StpPort>;
interface Draft {
  readonly state: Omit<Mutable<StpState>, "ports"> & { ports: Port[] };
  readonly now: number;
  readonly transmissions: StpTransmission[];
  readonly notes: StpNote[];
  flush: boolean;
}

const begin = (state: StpState, now: number): Draft => ({
  state: { ...state, ports: state.ports.map((port) => ({ ...port })) },
  now,
  transmissions: [],
  notes: [],
  flush: false,
});
const end = ({ state, transmissions, notes, flush }: Draft): StpStep => ({ state, transmissions, notes, flush });

const portId = (port: StpPortSettings): number => (port.priority << 8) | port.number;
const isRoot = (state: StpState): boolean => state.bridgeId === state.designatedRoot;
const isDesignated = (state: StpState, port: StpPort): boolean =>
  port.designatedBridge === state.bridgeId && port.designatedPort === portId(port);
const enabled = (draft: Draft): Port[] => draft.state.ports.filter(({ state }) => state !== "disabled");

export const stpForwards = (state: StpPortState): boolean => state === "forwarding";
export const stpLearns = (state: StpPortState): boolean => state === "learning" || state === "forwarding";

/** The identifier that a port shows to others and in the database. */
export const stpPortId = portId;

export function stpRole(state: StpState, port: StpPort): StpPortRole {
  if (state.rootPort === port.number) return "root";
  if (isDesignated(state, port)) return "designated";
  return port.state === "disabled" ? "disabled" : "alternate";
}

/** The cost of a path by a link's speed, in megabits a second. */
export function stpCostOfSpeed(mbps: number): number {
  const costs = [
    [10_000, 2],
    [1000, 4],
    [100, 19],
    [16, 62],
    [10, 100],
    [4, 250],
  ] as const;
  return costs.find(([speed]) => mbps >= speed)?.[1] ?? 2;
}

const clamp = (value: number, min: number, max: number): number => (value < min ? min : value > max ? max : value);

function timesOf(settings: StpSettings): StpTimes {
  const helloMs = clamp(settings.helloMs, 1000, 10_000);
  const maxAgeMs = clamp(settings.maxAgeMs, Math.max(2 * (helloMs + 1000), 6000), 40_000);
  return { helloMs, maxAgeMs, forwardDelayMs: clamp(settings.forwardDelayMs, maxAgeMs / 2 + 1000, 30_000) };
}

function newState(settings: StpSettings, now: number): StpState {
  const own = bridgeId(settings.priority, settings.address);
  const times = timesOf(settings);
  return {
    settings,
    bridgeId: own,
    times,
    ownTimes: times,
    designatedRoot: own,
    rootPathCost: 0,
    rootPort: undefined,
    changeDetected: false,
    change: false,
    hello: now,
    tcn: undefined,
    changeTimer: undefined,
    ports: [],
  };
}

/** The state with other settings; ports come, go and change as `ports` says. */
export function configureStp(
  before: StpState | undefined,
  settings: StpSettings,
  ports: readonly StpPortSettings[],
  now: number,
): StpStep {
  const draft = begin(before ?? newState(settings, now), now);
  const { state } = draft;
  state.settings = settings;
  setBridgeId(draft, bridgeId(settings.priority, settings.address));
  state.ownTimes = timesOf(settings);
  if (isRoot(state)) state.times = state.ownTimes;
  for (const port of [...state.ports]) {
    if (ports.some(({ name, number }) => name === port.name && number === port.number)) continue;
    disable(draft, port);
    state.ports.splice(state.ports.indexOf(port), 1);
  }
  for (const wanted of ports) configurePort(draft, wanted);
  return end(draft);
}

function configurePort(draft: Draft, wanted: StpPortSettings): void {
  const { state } = draft;
  let port = state.ports.find(({ number }) => number === wanted.number);
  if (port === undefined) {
    port = newPort(wanted, draft.now);
    state.ports.push(port);
    state.ports.sort((a, b) => a.number - b.number);
    becomeDesignated(draft, port);
  }
  setCarrier(draft, port, wanted.carrier);
  setPriority(draft, port, wanted.priority);
  if (port.pathCost !== wanted.pathCost) {
    port.pathCost = wanted.pathCost;
    updateConfiguration(draft);
    selectStates(draft);
  }
}

function newPort(wanted: StpPortSettings, now: number): Port {
  return {
    ...wanted,
    carrier: false,
    state: "disabled",
    enteredMs: now,
    designatedRoot: 0n,
    designatedCost: 0,
    designatedBridge: 0n,
    designatedPort: 0,
    acknowledges: false,
    configPending: false,
    messageAge: undefined,
    forwardDelay: undefined,
    hold: undefined,
    txCount: 0,
    rxCount: 0,
    errorCount: 0,
  };
}

/** The port's link came or went. */
export function stpCarrierChanged(state: StpState, name: string, carrier: boolean, now: number): StpStep {
  const draft = begin(state, now);
  const port = draft.state.ports.find((each) => each.name === name);
  if (port !== undefined) setCarrier(draft, port, carrier);
  return end(draft);
}

/** An administrator says that the topology changed. */
export function stpTopologyChange(state: StpState, now: number): StpStep {
  const draft = begin(state, now);
  detectChange(draft);
  return end(draft);
}

/** A BPDU came by a port. */
export function receiveStp(state: StpState, name: string, pdu: Uint8Array, now: number): StpStep {
  const draft = begin(state, now);
  const port = draft.state.ports.find((each) => each.name === name);
  if (port === undefined || port.state === "disabled") return end(draft);
  const fault = take(draft, port, pdu);
  if (fault === undefined) port.rxCount += 1;
  else {
    port.errorCount += 1;
    draft.notes.push({ level: "warn", text: `${state.settings.name}: ${fault}` });
  }
  return end(draft);
}

/** Returns what is wrong with the BPDU. */
function take(draft: Draft, port: Port, pdu: Uint8Array): string | undefined {
  const header = bpduHeader(pdu);
  if (header === undefined) return `received runt ${pdu.length}-byte BPDU`;
  if (header.protocol !== 0) return `received BPDU with unexpected protocol ID ${header.protocol}`;
  if (header.version !== 0) {
    const text = `${draft.state.settings.name}: received BPDU with unexpected protocol version ${header.version}`;
    draft.notes.push({ level: "dbg", text });
  }
  switch (header.type) {
    case bpduType.config:
      if (pdu.length < bpduSize.config) return `received config BPDU with invalid size ${pdu.length}`;
      takeConfig(draft, port, bpduFields(pdu));
      return undefined;
    case bpduType.topologyChange:
      if (pdu.length !== bpduSize.topologyChange) return `received TCN BPDU with invalid size ${pdu.length}`;
      if (isDesignated(draft.state, port)) {
        detectChange(draft);
        port.acknowledges = true;
        transmitConfig(draft, port);
      }
      return undefined;
    default:
      return `received BPDU of unexpected type ${header.type}`;
  }
}

function takeConfig(draft: Draft, port: Port, config: BpduFields): void {
  const { state, now } = draft;
  if (config.messageAge >= config.maxAge) {
    const ages = `message age (${config.messageAge}) greater than max age (${config.maxAge})`;
    draft.notes.push({ level: "warn", text: `${state.settings.name}: received config BPDU with ${ages}` });
    return;
  }
  if (!supersedes(state, port, config)) {
    if (isDesignated(state, port)) transmitConfig(draft, port);
    return;
  }
  const wasRoot = isRoot(state);
  port.designatedRoot = config.rootId;
  port.designatedCost = config.rootPathCost;
  port.designatedBridge = config.bridgeId;
  port.designatedPort = config.portId;
  port.messageAge = now - msOfTicks(config.messageAge);
  updateConfiguration(draft);
  selectStates(draft);
  if (wasRoot && !isRoot(state)) {
    state.hello = undefined;
    if (state.changeDetected) {
      state.changeTimer = undefined;
      transmitTopologyChange(draft);
      state.tcn = now;
    }
  }
  if (state.rootPort !== port.number) return;
  state.times = {
    helloMs: msOfTicks(config.helloTime),
    maxAgeMs: msOfTicks(config.maxAge),
    forwardDelayMs: msOfTicks(config.forwardDelay),
  };
  state.change = (config.flags & flag.change) !== 0;
  generateConfigs(draft);
  if ((config.flags & flag.acknowledge) !== 0) {
    state.changeDetected = false;
    state.tcn = undefined;
  }
  if (state.change) draft.flush = true;
}

/** Whether what a BPDU says is better than what the port knows, or news from the same one. */
function supersedes(state: StpState, port: StpPort, config: BpduFields): boolean {
  if (config.rootId !== port.designatedRoot) return config.rootId < port.designatedRoot;
  if (config.rootPathCost !== port.designatedCost) return config.rootPathCost < port.designatedCost;
  if (config.bridgeId !== port.designatedBridge) return config.bridgeId < port.designatedBridge;
  return config.bridgeId !== state.bridgeId || config.portId <= port.designatedPort;
}

/** Does what is due. */
export function runStp(before: StpState, now: number): StpStep {
  const draft = begin(before, now);
  const { state } = draft;
  const expired = (started: Started, timeoutMs: number): boolean => started !== undefined && now - started >= timeoutMs;
  if (expired(state.hello, state.times.helloMs)) {
    generateConfigs(draft);
    state.hello = now;
  }
  if (expired(state.tcn, state.ownTimes.helloMs)) {
    transmitTopologyChange(draft);
    state.tcn = now;
  }
  if (expired(state.changeTimer, state.times.maxAgeMs + state.times.forwardDelayMs)) {
    state.changeTimer = undefined;
    state.changeDetected = false;
    state.change = false;
  }
  for (const port of enabled(draft)) {
    if (expired(port.messageAge, state.times.maxAgeMs)) {
      port.messageAge = undefined;
      messageAged(draft, port);
    }
  }
  for (const port of enabled(draft)) {
    if (expired(port.forwardDelay, state.times.forwardDelayMs)) {
      port.forwardDelay = undefined;
      forwardDelayed(draft, port);
    }
    if (expired(port.hold, holdMs)) {
      port.hold = undefined;
      if (port.configPending) transmitConfig(draft, port);
    }
  }
  return end(draft);
}

/** When `runStp` has something to do next. */
export function stpDue(state: StpState): number {
  const { times, ownTimes } = state;
  const at = (started: Started, timeoutMs: number): number =>
    started === undefined ? Number.POSITIVE_INFINITY : started + timeoutMs;
  return Math.min(
    at(state.hello, times.helloMs),
    at(state.tcn, ownTimes.helloMs),
    at(state.changeTimer, times.maxAgeMs + times.forwardDelayMs),
    ...state.ports
      .filter((port) => port.state !== "disabled")
      .flatMap((port) => [
        at(port.messageAge, times.maxAgeMs),
        at(port.forwardDelay, times.forwardDelayMs),
        at(port.hold, holdMs),
      ]),
  );
}

function messageAged(draft: Draft, port: Port): void {
  const wasRoot = isRoot(draft.state);
  const text = `bridge: ${draft.state.settings.name}, port: ${port.name}, message age timer expired`;
  draft.notes.push({ level: "dbg", text });
  becomeDesignated(draft, port);
  updateConfiguration(draft);
  selectStates(draft);
  if (isRoot(draft.state) && !wasRoot) becomeRoot(draft);
}

function forwardDelayed(draft: Draft, port: Port): void {
  if (port.state === "listening") {
    setState(draft, port, "learning");
    port.forwardDelay = draft.now;
  } else if (port.state === "learning") {
    setState(draft, port, "forwarding");
    if (enabled(draft).some((each) => each.designatedBridge === draft.state.bridgeId)) detectChange(draft);
  }
}

function setBridgeId(draft: Draft, id: BridgeId): void {
  const { state } = draft;
  if (id === state.bridgeId) return;
  const wasRoot = isRoot(state);
  for (const port of enabled(draft)) if (isDesignated(state, port)) port.designatedBridge = id;
  state.bridgeId = id;
  updateConfiguration(draft);
  selectStates(draft);
  if (isRoot(state) && !wasRoot) becomeRoot(draft);
}

function setCarrier(draft: Draft, port: Port, carrier: boolean): void {
  port.carrier = carrier;
  if (!carrier) disable(draft, port);
  else if (port.state === "disabled") {
    becomeDesignated(draft, port);
    setState(draft, port, "blocking");
    port.acknowledges = port.configPending = false;
    port.messageAge = port.forwardDelay = port.hold = undefined;
    port.txCount = port.rxCount = port.errorCount = 0;
    selectStates(draft);
  }
}

function disable(draft: Draft, port: Port): void {
  if (port.state === "disabled") return;
  const wasRoot = isRoot(draft.state);
  becomeDesignated(draft, port);
  setState(draft, port, "disabled");
  port.acknowledges = port.configPending = false;
  port.messageAge = port.forwardDelay = undefined;
  updateConfiguration(draft);
  selectStates(draft);
  if (isRoot(draft.state) && !wasRoot) becomeRoot(draft);
}

function setPriority(draft: Draft, port: Port, priority: number): void {
  const { state } = draft;
  if (port.priority === priority) return;
  const wasDesignated = isDesignated(state, port);
  port.priority = priority;
  if (wasDesignated) port.designatedPort = portId(port);
  if (state.bridgeId === port.designatedBridge && portId(port) < port.designatedPort) {
    becomeDesignated(draft, port);
    selectStates(draft);
  }
}

function becomeRoot(draft: Draft): void {
  const { state } = draft;
  state.times = state.ownTimes;
  detectChange(draft);
  state.tcn = undefined;
  generateConfigs(draft);
  state.hello = draft.now;
}

function updateConfiguration(draft: Draft): void {
  selectRoot(draft);
  const { state } = draft;
  for (const port of enabled(draft)) {
    const isBetter =
      state.rootPathCost < port.designatedCost ||
      (state.rootPathCost === port.designatedCost &&
        (state.bridgeId < port.designatedBridge ||
          (state.bridgeId === port.designatedBridge && portId(port) <= port.designatedPort)));
    if (isDesignated(state, port) || port.designatedRoot !== state.designatedRoot || isBetter)
      becomeDesignated(draft, port);
  }
}

function selectRoot(draft: Draft): void {
  const { state } = draft;
  let root: Port | undefined;
  for (const port of enabled(draft)) {
    if (isDesignated(state, port) || port.designatedRoot >= state.bridgeId) continue;
    if (root === undefined || leadsBetter(port, root)) root = port;
  }
  state.rootPort = root?.number;
  state.designatedRoot = root?.designatedRoot ?? state.bridgeId;
  state.rootPathCost = root === undefined ? 0 : root.designatedCost + root.pathCost;
}

/** Whether `port` is a better way to the root than `other`. */
function leadsBetter(port: StpPort, other: StpPort): boolean {
  const [cost, otherCost] = [port.designatedCost + port.pathCost, other.designatedCost + other.pathCost];
  if (port.designatedRoot !== other.designatedRoot) return port.designatedRoot < other.designatedRoot;
  if (cost !== otherCost) return cost < otherCost;
  if (port.designatedBridge !== other.designatedBridge) return port.designatedBridge < other.designatedBridge;
  if (port.designatedPort !== other.designatedPort) return port.designatedPort < other.designatedPort;
  return portId(port) < portId(other);
}

function becomeDesignated({ state }: Draft, port: Port): void {
  port.designatedRoot = state.designatedRoot;
  port.designatedCost = state.rootPathCost;
  port.designatedBridge = state.bridgeId;
  port.designatedPort = portId(port);
}

function selectStates(draft: Draft): void {
  const { state } = draft;
  for (const port of enabled(draft)) {
    if (port.number !== state.rootPort && isDesignated(state, port)) {
      port.messageAge = undefined;
      makeForwarding(draft, port);
      continue;
    }
    port.acknowledges = port.configPending = false;
    if (port.number === state.rootPort) makeForwarding(draft, port);
    else makeBlocking(draft, port);
  }
}

function makeForwarding(draft: Draft, port: Port): void {
  if (port.state !== "blocking") return;
  setState(draft, port, "listening");
  port.forwardDelay = draft.now;
}

function makeBlocking(draft: Draft, port: Port): void {
  if (port.state === "blocking") return;
  if (stpLearns(port.state)) detectChange(draft);
  setState(draft, port, "blocking");
  port.forwardDelay = undefined;
}

function setState(draft: Draft, port: Port, state: StpPortState): void {
  port.state = state;
  port.enteredMs = draft.now;
}

function detectChange(draft: Draft): void {
  const { state, now } = draft;
  if (isRoot(state)) {
    state.change = true;
    state.changeTimer = now;
  } else if (!state.changeDetected) {
    transmitTopologyChange(draft);
    state.tcn = now;
  }
  draft.flush = true;
  state.changeDetected = true;
  draft.notes.push({ level: "info", text: `${state.settings.name}: detected topology change.` });
}

function generateConfigs(draft: Draft): void {
  for (const port of enabled(draft)) if (isDesignated(draft.state, port)) transmitConfig(draft, port);
}

function transmitConfig(draft: Draft, port: Port): void {
  const { state, now } = draft;
  const root = state.ports.find(({ number }) => number === state.rootPort);
  if (!isRoot(state) && root === undefined) return;
  const where = `bridge: ${state.settings.name}, port: ${port.name}`;
  if (port.hold !== undefined) {
    draft.notes.push({ level: "dbg", text: `${where}, transmit config bpdu pending` });
    port.configPending = true;
    return;
  }
  const ageMs = root?.messageAge === undefined ? 0 : now - root.messageAge;
  const messageAge = isRoot(state) ? 0 : ticksOfMs(ageMs) + messageAgeIncrement;
  const maxAge = ticksOfMs(state.times.maxAgeMs);
  if (messageAge >= maxAge) return;
  const config: BpduFields = {
    flags: (port.acknowledges ? flag.acknowledge : 0) | (state.change ? flag.change : 0),
    rootId: state.designatedRoot,
    rootPathCost: state.rootPathCost,
    bridgeId: state.bridgeId,
    portId: portId(port),
    messageAge,
    maxAge,
    helloTime: ticksOfMs(state.times.helloMs),
    forwardDelay: ticksOfMs(state.times.forwardDelayMs),
  };
  port.acknowledges = port.configPending = false;
  draft.notes.push({ level: "dbg", text: `${where}, transmit config bpdu` });
  send(draft, port, composeBpdu(0, bpduType.config, config));
  port.hold = now;
}

function transmitTopologyChange(draft: Draft): void {
  const { state } = draft;
  const root = state.ports.find(({ number }) => number === state.rootPort);
  if (root === undefined) return;
  draft.notes.push({ level: "dbg", text: `bridge: ${state.settings.name}, root port: ${root.name}, transmit tcn` });
  send(draft, root, composeTopologyChange());
}

function send(draft: Draft, port: Port, pdu: Uint8Array): void {
  draft.transmissions.push({ port: port.name, pdu });
  port.txCount += 1;
}
