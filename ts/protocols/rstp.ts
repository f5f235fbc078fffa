/** The rapid spanning tree protocol of one bridge, IEEE 802.1D-2004 clause 17: its variables, and what happens to them
 *  from outside.  No sockets and no clock in it; `now` is milliseconds on a monotonic clock, timers count seconds as the
 *  standard's do.  The machines themselves are in rstp-machines.ts.
 *
 *  Functions take a state and return a step: the new state, the BPDUs to send, and the ports behind which addresses must
 *  be forgotten. */
import { bpduFields, bpduHeader, bpduSize, bpduType, bridgeId, ticksPerSecond } from "./bpdu.js";
import { type Draft, move, type Port, portIdOf } from "./rstp-machines.js";
import {
  type RstpPort,
  type RstpPortSettings,
  type RstpSettings,
  type RstpState,
  type RstpStep,
  rstpTimes,
} from "./rstp-state.js";

const migrateTime = rstpTimes.migrate;
const second = 1000;

const begin = (state: RstpState): Draft => ({
  state: { ...state, ports: state.ports.map((port) => ({ ...port })) },
  transmissions: [],
  flush: new Set(),
});

function end(draft: Draft): RstpStep {
  move(draft);
  return { state: draft.state, transmissions: draft.transmissions, flush: [...draft.flush] };
}

function newState(settings: RstpSettings, now: number): RstpState {
  const own = bridgeId(settings.priority, settings.address);
  const times = timesOf(settings);
  const vector = { root: own, cost: 0, bridge: own, port: 0 };
  return {
    settings,
    bridgeId: own,
    times,
    rootPriority: vector,
    rootPortId: 0,
    rootTimes: times,
    ticked: now,
    ports: [],
  };
}

const timesOf = (settings: RstpSettings): RstpState["times"] => ({
  messageAge: 0,
  maxAge: settings.maxAge,
  hello: rstpTimes.hello,
  forwardDelay: settings.forwardDelay,
});

/** The state with other settings; ports come, go and change as `ports` says. */
export function configureRstp(
  before: RstpState | undefined,
  settings: RstpSettings,
  ports: readonly RstpPortSettings[],
  now: number,
): RstpStep {
  const isSameVersion = before?.settings.version === settings.version;
  const draft = begin(before !== undefined && isSameVersion ? before : newState(settings, now));
  const { state } = draft;
  const own = bridgeId(settings.priority, settings.address);
  const times = timesOf(settings);
  const isChanged =
    own !== state.bridgeId ||
    times.maxAge !== state.times.maxAge ||
    times.forwardDelay !== state.times.forwardDelay ||
    state.ports.some(({ name }) => !ports.some((port) => port.name === name));
  state.settings = settings;
  state.bridgeId = own;
  state.times = times;
  state.ports = state.ports.filter(({ name }) => ports.some((port) => port.name === name));
  if (isChanged) for (const port of state.ports) reselect(port);
  for (const wanted of ports) {
    const port = state.ports.find(({ name }) => name === wanted.name);
    if (port === undefined) state.ports.push(newPort(wanted, settings));
    else changePort(port, wanted);
  }
  state.ports.sort((a, b) => a.number - b.number);
  return end(draft);
}

function reselect(port: Port): void {
  port.reselect = true;
  port.selected = false;
}

function changePort(port: Port, wanted: RstpPortSettings): void {
  const isChanged =
    port.number !== wanted.number || port.priority !== wanted.priority || port.pathCost !== wanted.pathCost;
  const checks = wanted.migrationCheck && !port.migrationCheck;
  Object.assign(port, wanted);
  if (checks) port.mcheck = true;
  if (isChanged) reselect(port);
}

/** A port as all machines leave it that begin. */
function newPort(wanted: RstpPortSettings, settings: RstpSettings): Port {
  const nobody = { root: 0n, cost: 0, bridge: 0n, port: 0 };
  const times = { messageAge: 0, maxAge: settings.maxAge, hello: rstpTimes.hello, forwardDelay: settings.forwardDelay };
  return {
    ...wanted,
    ...{ role: "disabled", selectedRole: "disabled", infoIs: "disabled", isSettled: false, state: "discarding" },
    ...{ message: undefined, sendRstp: settings.version >= 2, migration: "checking", changes: "inactive" },
    ...{ rcvdMsg: false, rcvdRstp: false, rcvdStp: false, mcheck: wanted.migrationCheck },
    ...{ rcvdTc: false, rcvdTcn: false, rcvdTcAck: false, tcProp: false, tcAck: false },
    ...{ portPriority: nobody, portTimes: times, designatedPriority: nobody, designatedTimes: times },
    ...{ proposing: false, proposed: false, agree: false, agreed: false, disputed: false },
    ...{ learn: false, forward: false, learning: false, forwarding: false },
    ...{ sync: true, synced: false, reRoot: true, selected: false, reselect: true, updtInfo: false, newInfo: true },
    operEdge: wanted.adminEdge,
    edgeDelayWhile: migrateTime,
    fdWhile: settings.maxAge,
    helloWhen: rstpTimes.hello,
    mdelayWhile: migrateTime,
    rbWhile: 0,
    rcvdInfoWhile: 0,
    rrWhile: settings.forwardDelay,
    tcWhile: 0,
    txCount: 0,
    sent: 0,
    received: 0,
    errors: 0,
    uptime: 0,
  } satisfies RstpPort;
}

/** The port's link came or went. */
export function rstpCarrierChanged(before: RstpState, name: string, carrier: boolean): RstpStep {
  const draft = begin(before);
  const port = draft.state.ports.find((each) => each.name === name);
  if (port !== undefined) port.carrier = carrier;
  return end(draft);
}

/** An administrator says that the topology changed. */
export function rstpTopologyChange(before: RstpState): RstpStep {
  const draft = begin(before);
  for (const port of draft.state.ports) if (port.changes === "active") port.rcvdTc = true;
  return end(draft);
}

/** Does what is due: every second the timers count down by one. */
export function runRstp(before: RstpState, now: number): RstpStep {
  if (now < rstpDue(before)) return { state: before, transmissions: [], flush: [] };
  const draft = begin(before);
  draft.state.ticked = now;
  const timers = [
    "edgeDelayWhile",
    "fdWhile",
    "helloWhen",
    "mdelayWhile",
    "rbWhile",
    "rcvdInfoWhile",
    "rrWhile",
    "tcWhile",
    "txCount",
  ] as const;
  for (const port of draft.state.ports) {
    for (const timer of timers) if (port[timer] > 0) port[timer] -= 1;
    port.uptime += 1;
  }
  return end(draft);
}

/** When `runRstp` has something to do next. */
export const rstpDue = (state: RstpState): number => state.ticked + second;

/** A BPDU came by a port. */
export function receiveRstp(before: RstpState, name: string, pdu: Uint8Array): RstpStep {
  const draft = begin(before);
  const port = draft.state.ports.find((each) => each.name === name);
  if (port === undefined || !port.carrier || !port.adminState) return end(draft);
  const message = parse(before, port, pdu);
  if (message === undefined) port.errors += 1;
  else {
    port.received += 1;
    port.message = message;
  }
  return end(draft);
}

/** Undefined: the BPDU is not one that counts, clause 9.3.4. */
function parse(state: RstpState, port: Port, pdu: Uint8Array): RstpPort["message"] {
  const header = bpduHeader(pdu);
  if (header === undefined || header.protocol !== 0) return undefined;
  if (header.type === bpduType.topologyChange) return { kind: "tcn" };
  const isRapid = header.type === bpduType.rapid;
  if (!isRapid && header.type !== bpduType.config) return undefined;
  if (pdu.length < (isRapid ? bpduSize.rapid : bpduSize.config)) return undefined;
  const fields = bpduFields(pdu);
  const isOwn = fields.bridgeId === state.bridgeId && fields.portId === portIdOf(port);
  if (!isRapid && (fields.messageAge >= fields.maxAge || isOwn)) return undefined;
  const seconds = (ticks: number): number => Math.floor(ticks / ticksPerSecond);
  return {
    // One that does not say whose role it is counts as a plain one.
    kind: isRapid && (fields.flags & 0x0c) !== 0 ? "rapid" : "config",
    flags: fields.flags,
    priority: { root: fields.rootId, cost: fields.rootPathCost, bridge: fields.bridgeId, port: fields.portId },
    times: {
      messageAge: seconds(fields.messageAge),
      maxAge: seconds(fields.maxAge),
      hello: Math.max(1, seconds(fields.helloTime)),
      forwardDelay: seconds(fields.forwardDelay),
    },
  };
}

/** The cost of a path by a link's speed, in megabits a second: table 17-3. */
export function rstpCostOfSpeed(mbps: number): number {
  const costs = [
    [10_000_000, 2],
    [1_000_000, 20],
    [100_000, 200],
    [10_000, 2000],
    [1000, 20_000],
    [100, 200_000],
    [10, 2_000_000],
    [1, 20_000_000],
  ] as const;
  return costs.find(([speed]) => mbps >= speed)?.[1] ?? 2000;
}
