/** The state machines of the rapid spanning tree protocol, IEEE 802.1D-2004 clauses 17.23 to 17.31.  Each function takes
 *  what transitions there are now, and returns whether there were any; `move` goes on until none is left.  Procedures
 *  have the names of clause 17.21's. */
import { bpduType, composeBpdu, composeTopologyChange, ticksPerSecond } from "./bpdu.js";
import { type Message, type Priority, type RstpPort, type RstpState, rstpTimes, type Times } from "./rstp-state.js";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
export type Port = Mutable<RstpPort>;
export interface Draft {
  readonly state: Omit<Mutable<RstpState>, "ports"> & { ports: Port[] };
  readonly transmissions: { readonly port: string; readonly pdu: Uint8Array }[];
  /** Ports behind which addresses must be forgotten. */
  readonly flush: Set<string>;
}

const flag = {
  change: 0x01,
  proposal: 0x02,
  roles: 0x0c,
  learning: 0x10,
  forwarding: 0x20,
  agreement: 0x40,
  acknowledge: 0x80,
} as const;
const roleBits = { alternate: 0x04, backup: 0x04, root: 0x08, designated: 0x0c, disabled: 0 } as const;
/** More turns than any sequence of transitions takes. */
const turnsMax = 1000;

export const portIdOf = (port: Pick<RstpPort, "priority" | "number">): number => (port.priority << 8) | port.number;

/** Below 0: `a` is better. */
export function comparePriorities(a: Priority, b: Priority): number {
  if (a.root !== b.root) return a.root < b.root ? -1 : 1;
  if (a.cost !== b.cost) return a.cost - b.cost;
  if (a.bridge !== b.bridge) return a.bridge < b.bridge ? -1 : 1;
  return a.port - b.port;
}

const sameTimes = (a: Times, b: Times): boolean =>
  a.messageAge === b.messageAge && a.maxAge === b.maxAge && a.hello === b.hello && a.forwardDelay === b.forwardDelay;

const isRapid = (draft: Draft): boolean => draft.state.settings.version >= 2;
const isEnabled = (port: Port): boolean => port.carrier && port.adminState;
const forwardDelay = (port: Port): number =>
  port.sendRstp ? port.designatedTimes.hello : port.designatedTimes.forwardDelay;
const edgeDelay = (port: Port): number => (port.pointToPoint ? rstpTimes.migrate : port.designatedTimes.maxAge);
const allSynced = ({ state }: Draft): boolean =>
  state.ports.every(
    (port) => port.selected && port.role === port.selectedRole && (port.role === "root" || port.synced),
  );
const reRooted = ({ state }: Draft, port: Port): boolean =>
  state.ports.every((other) => other === port || other.rrWhile === 0);

export function move(draft: Draft): void {
  for (let turn = 0; turn < turnsMax; turn++) {
    let moved = selectRoles(draft);
    for (const port of draft.state.ports) {
      for (const machine of machines) moved = machine(draft, port) || moved;
    }
    if (!moved) return;
  }
}

/** Port role selection, 17.28. */
function selectRoles(draft: Draft): boolean {
  const { ports } = draft.state;
  if (!ports.some(({ reselect }) => reselect)) return false;
  for (const port of ports) port.reselect = false;
  updateRoles(draft);
  for (const port of ports) port.selected = true;
  return true;
}

function updateRoles(draft: Draft): void {
  const { state } = draft;
  const own: Priority = { root: state.bridgeId, cost: 0, bridge: state.bridgeId, port: 0 };
  const address = (id: bigint): bigint => id & 0xffff_ffff_ffffn;
  let [best, root]: [Priority, Port | undefined] = [own, undefined];
  for (const port of state.ports) {
    if (port.infoIs !== "received" || address(port.portPriority.bridge) === address(state.bridgeId)) continue;
    const path = { ...port.portPriority, cost: port.portPriority.cost + port.pathCost };
    const order = comparePriorities(path, best);
    if (order > 0 || (order === 0 && root !== undefined && portIdOf(port) > portIdOf(root))) continue;
    [best, root] = [path, port];
  }
  state.rootPriority = best;
  state.rootPortId = root === undefined ? 0 : portIdOf(root);
  state.rootTimes = root === undefined ? state.times : { ...root.portTimes, messageAge: root.portTimes.messageAge + 1 };
  for (const port of state.ports) {
    port.designatedPriority = { ...best, bridge: state.bridgeId, port: portIdOf(port) };
    port.designatedTimes = { ...state.rootTimes, hello: state.times.hello };
    port.selectedRole = chooseRole(draft, port, root);
  }
}

function chooseRole(draft: Draft, port: Port, root: Port | undefined): RstpPort["selectedRole"] {
  const order = comparePriorities(port.designatedPriority, port.portPriority);
  switch (port.infoIs) {
    case "disabled":
      return "disabled";
    case "aged":
      port.updtInfo = true;
      return "designated";
    case "mine":
      if (order !== 0 || !sameTimes(port.portTimes, port.designatedTimes)) port.updtInfo = true;
      return "designated";
    case "received":
      port.updtInfo = port !== root && order < 0;
      if (port === root) return "root";
      if (order < 0) return "designated";
      return port.portPriority.bridge === draft.state.bridgeId ? "backup" : "alternate";
  }
}

/** Port receive, 17.23. */
function receive(_draft: Draft, port: Port): boolean {
  if (!isEnabled(port)) {
    const isIdle = port.message === undefined && port.edgeDelayWhile === rstpTimes.migrate;
    port.message = undefined;
    port.rcvdMsg = port.rcvdRstp = port.rcvdStp = false;
    port.edgeDelayWhile = rstpTimes.migrate;
    return !isIdle;
  }
  if (port.message === undefined || port.rcvdMsg) return false;
  if (port.message.kind === "rapid") port.rcvdRstp = true;
  else port.rcvdStp = true;
  port.operEdge = false;
  port.rcvdMsg = true;
  port.edgeDelayWhile = rstpTimes.migrate;
  return true;
}

/** Bridge detection, 17.25. */
function detectBridge(_draft: Draft, port: Port): boolean {
  if (port.operEdge) {
    if (isEnabled(port) || port.adminEdge) return false;
    port.operEdge = false;
    return true;
  }
  const isAlone = port.edgeDelayWhile === 0 && port.autoEdge && port.sendRstp && port.proposing;
  if (!isAlone && (isEnabled(port) || !port.adminEdge)) return false;
  port.operEdge = true;
  return true;
}

/** Port information, 17.27. */
function inform(draft: Draft, port: Port): boolean {
  if (!isEnabled(port)) {
    if (port.infoIs === "disabled") return false;
    port.rcvdMsg = port.proposing = port.proposed = port.agree = port.agreed = false;
    port.rcvdInfoWhile = 0;
    port.infoIs = "disabled";
    reselect(port);
    return true;
  }
  if (port.infoIs === "disabled") {
    port.infoIs = "aged";
    reselect(port);
    return true;
  }
  if (port.selected && port.updtInfo) {
    port.proposing = port.proposed = false;
    const isAsGood = port.infoIs === "mine" && comparePriorities(port.designatedPriority, port.portPriority) <= 0;
    port.agreed &&= isAsGood;
    port.synced &&= port.agreed;
    port.portPriority = port.designatedPriority;
    port.portTimes = port.designatedTimes;
    port.updtInfo = false;
    port.infoIs = "mine";
    port.newInfo = true;
    return true;
  }
  if (port.infoIs === "received" && port.rcvdInfoWhile === 0 && !port.updtInfo && !port.rcvdMsg) {
    port.infoIs = "aged";
    reselect(port);
    return true;
  }
  if (!port.rcvdMsg || port.updtInfo || port.message === undefined) return false;
  take(draft, port, port.message);
  port.rcvdMsg = false;
  port.message = undefined;
  return true;
}

function reselect(port: Port): void {
  port.reselect = true;
  port.selected = false;
}

/** What becomes of a BPDU: states RECEIVE to OTHER. */
function take(draft: Draft, port: Port, message: Message): void {
  if (message.kind === "tcn") {
    port.rcvdTcn = true;
    return;
  }
  const bits = message.kind === "config" ? flag.roles : message.flags & flag.roles;
  const order = comparePriorities(message.priority, port.portPriority);
  if (bits !== flag.roles) {
    if (order < 0) return;
    recordAgreement(draft, port, message);
    setTcFlags(port, message);
    return;
  }
  const isSameSource =
    message.priority.bridge === port.portPriority.bridge && message.priority.port === port.portPriority.port;
  const isNews = order !== 0 || !sameTimes(message.times, port.portTimes);
  if (isNews && (order < 0 || isSameSource || order === 0)) {
    port.agreed = port.proposing = false;
    recordProposal(port, message);
    setTcFlags(port, message);
    port.agree &&= port.infoIs === "received" && order <= 0;
    recordAgreement(draft, port, message);
    port.synced &&= port.agreed;
    port.portPriority = message.priority;
    port.portTimes = message.times;
    updateRcvdInfoWhile(port);
    port.infoIs = "received";
    reselect(port);
  } else if (order === 0 && port.infoIs === "received") {
    recordProposal(port, message);
    setTcFlags(port, message);
    recordAgreement(draft, port, message);
    updateRcvdInfoWhile(port);
  } else if (order > 0 && message.kind === "rapid" && (message.flags & flag.learning) !== 0) {
    port.disputed = true;
    port.agreed = false;
  }
}

function recordProposal(port: Port, message: Message): void {
  if (message.kind === "rapid" && (message.flags & flag.proposal) !== 0) port.proposed = true;
}

function recordAgreement(draft: Draft, port: Port, message: Message): void {
  port.agreed =
    isRapid(draft) && port.pointToPoint && message.kind === "rapid" && (message.flags & flag.agreement) !== 0;
  if (port.agreed) port.proposing = false;
}

function setTcFlags(port: Port, message: Message): void {
  if (message.kind === "tcn") return;
  if ((message.flags & flag.change) !== 0) port.rcvdTc = true;
  if (message.kind === "config" && (message.flags & flag.acknowledge) !== 0) port.rcvdTcAck = true;
}

function updateRcvdInfoWhile(port: Port): void {
  const { messageAge, maxAge, hello } = port.portTimes;
  port.rcvdInfoWhile = messageAge + 1 <= maxAge ? 3 * hello : 0;
}

/** Port role transitions, 17.29. */
function transition(draft: Draft, port: Port): boolean {
  if (!port.selected || port.updtInfo) return false;
  if (port.role !== port.selectedRole) {
    port.role = port.selectedRole;
    if (port.role === "root") port.rrWhile = port.designatedTimes.forwardDelay;
    else if (port.role !== "designated") port.learn = port.forward = false;
    port.isSettled = port.role === "root" || port.role === "designated";
    return true;
  }
  switch (port.role) {
    case "root":
      return beRoot(draft, port);
    case "designated":
      return beDesignated(port);
    default:
      return beBlocked(draft, port);
  }
}

function beRoot(draft: Draft, port: Port): boolean {
  const mayHurry = reRooted(draft, port) && port.rbWhile === 0 && isRapid(draft);
  if (port.proposed && !port.agree) {
    for (const each of draft.state.ports) each.sync = true;
    port.proposed = false;
  } else if ((allSynced(draft) && !port.agree) || (port.proposed && port.agree)) {
    port.proposed = port.sync = false;
    port.agree = port.newInfo = true;
  } else if (!port.forward && !port.reRoot) {
    for (const each of draft.state.ports) each.reRoot = true;
  } else if ((port.fdWhile === 0 || mayHurry) && port.learn && !port.forward) {
    port.fdWhile = 0;
    port.forward = true;
  } else if ((port.fdWhile === 0 || mayHurry) && !port.learn) {
    port.fdWhile = forwardDelay(port);
    port.learn = true;
  } else if (port.reRoot && port.forward) {
    port.reRoot = false;
  } else if (port.rrWhile !== port.designatedTimes.forwardDelay) {
    port.rrWhile = port.designatedTimes.forwardDelay;
  } else {
    return false;
  }
  return true;
}

function beDesignated(port: Port): boolean {
  const mayPass =
    (port.fdWhile === 0 || port.agreed || port.operEdge) && (port.rrWhile === 0 || !port.reRoot) && !port.sync;
  const mustStop = (port.sync && !port.synced) || (port.reRoot && port.rrWhile !== 0) || port.disputed;
  const isStill = !port.learning && !port.forwarding;
  if (!port.forward && !port.agreed && !port.proposing && !port.operEdge) {
    port.proposing = port.newInfo = true;
    port.edgeDelayWhile = edgeDelay(port);
  } else if (((isStill || port.agreed || port.operEdge) && !port.synced) || (port.sync && port.synced)) {
    port.rrWhile = 0;
    port.synced = true;
    port.sync = false;
  } else if (port.rrWhile === 0 && port.reRoot) {
    port.reRoot = false;
  } else if (mustStop && !port.operEdge && (port.learn || port.forward)) {
    port.learn = port.forward = port.disputed = false;
    port.fdWhile = forwardDelay(port);
  } else if (mayPass && port.learn && !port.forward) {
    port.forward = true;
    port.fdWhile = 0;
    port.agreed = port.sendRstp;
  } else if (mayPass && !port.learn) {
    port.learn = true;
    port.fdWhile = forwardDelay(port);
  } else {
    return false;
  }
  return true;
}

/** Disabled, alternate and backup ports. */
function beBlocked(draft: Draft, port: Port): boolean {
  const delay = port.role === "disabled" ? port.designatedTimes.maxAge : forwardDelay(port);
  if (!port.isSettled) {
    if (port.learning || port.forwarding) return false;
    port.isSettled = true;
  } else if (port.role !== "disabled" && port.proposed && !port.agree) {
    for (const each of draft.state.ports) each.sync = true;
    port.proposed = false;
    return true;
  } else if (port.role !== "disabled" && ((allSynced(draft) && !port.agree) || (port.proposed && port.agree))) {
    port.proposed = false;
    port.agree = port.newInfo = true;
    return true;
  } else if (port.role === "backup" && port.rbWhile !== 2 * port.designatedTimes.hello) {
    port.rbWhile = 2 * port.designatedTimes.hello;
    return true;
  } else if (port.fdWhile === delay && !port.sync && !port.reRoot && port.synced) {
    return false;
  }
  port.fdWhile = delay;
  port.synced = true;
  port.rrWhile = 0;
  port.sync = port.reRoot = false;
  return true;
}

/** Port state transitions, 17.30. */
function changeState(_draft: Draft, port: Port): boolean {
  const next =
    port.state === "discarding"
      ? port.learn
        ? "learning"
        : "discarding"
      : port.state === "learning"
        ? port.learn
          ? port.forward
            ? "forwarding"
            : "learning"
          : "discarding"
        : port.forward
          ? "forwarding"
          : "discarding";
  if (next === port.state) return false;
  port.state = next;
  port.learning = next !== "discarding";
  port.forwarding = next === "forwarding";
  return true;
}

/** Topology change, 17.31. */
function tellChange(draft: Draft, port: Port): boolean {
  const isActiveRole = port.role === "root" || port.role === "designated";
  const isTold = port.rcvdTc || port.rcvdTcn || port.rcvdTcAck || port.tcProp;
  switch (port.changes) {
    case "inactive":
      if (!port.learn) return false;
      port.changes = "learning";
      port.rcvdTc = port.rcvdTcn = port.rcvdTcAck = port.tcProp = false;
      return true;
    case "learning":
      if (isActiveRole && port.forward && !port.operEdge) {
        port.changes = "active";
        newTcWhile(draft, port);
        propagate(draft, port);
        port.newInfo = true;
      } else if (!isActiveRole && !port.learn && !port.learning && !isTold) {
        port.changes = "inactive";
        draft.flush.add(port.name);
        port.tcWhile = 0;
        port.tcAck = false;
      } else if (isTold) {
        port.rcvdTc = port.rcvdTcn = port.rcvdTcAck = port.tcProp = false;
      } else {
        return false;
      }
      return true;
    case "active":
      return passChangeOn(draft, port, isActiveRole);
  }
}

function passChangeOn(draft: Draft, port: Port, isActiveRole: boolean): boolean {
  if (!isActiveRole || port.operEdge) {
    port.changes = "learning";
    port.rcvdTc = port.rcvdTcn = port.rcvdTcAck = port.tcProp = false;
  } else if (port.rcvdTcn || port.rcvdTc) {
    if (port.rcvdTcn) newTcWhile(draft, port);
    port.rcvdTcn = port.rcvdTc = false;
    if (port.role === "designated") port.tcAck = true;
    propagate(draft, port);
  } else if (port.tcProp) {
    newTcWhile(draft, port);
    draft.flush.add(port.name);
    port.tcProp = false;
  } else if (port.rcvdTcAck) {
    port.tcWhile = 0;
    port.rcvdTcAck = false;
  } else {
    return false;
  }
  return true;
}

function newTcWhile({ state }: Draft, port: Port): void {
  if (port.tcWhile !== 0) return;
  port.tcWhile = port.sendRstp ? port.designatedTimes.hello + 1 : state.rootTimes.maxAge + state.rootTimes.forwardDelay;
  if (port.sendRstp) port.newInfo = true;
}

function propagate({ state }: Draft, port: Port): void {
  for (const each of state.ports) if (each !== port) each.tcProp = true;
}

/** Port transmit, 17.26. */
function transmit(draft: Draft, port: Port): boolean {
  if (!port.selected || port.updtInfo || !isEnabled(port) || port.role === "disabled") return false;
  if (port.helloWhen === 0) {
    port.newInfo ||= port.role === "designated" || (port.role === "root" && port.tcWhile !== 0);
    port.helloWhen = port.designatedTimes.hello;
    return true;
  }
  if (!port.newInfo || port.txCount >= draft.state.settings.transmitHoldCount) return false;
  if (!port.sendRstp && port.role !== "designated" && port.role !== "root") return false;
  port.newInfo = false;
  const isTcn = !port.sendRstp && port.role === "root";
  draft.transmissions.push({ port: port.name, pdu: isTcn ? composeTopologyChange() : composeConfig(port) });
  port.txCount += 1;
  port.sent += 1;
  if (!isTcn) port.tcAck = false;
  port.helloWhen = port.designatedTimes.hello;
  return true;
}

function composeConfig(port: Port): Uint8Array {
  const { designatedPriority: priority, designatedTimes: times } = port;
  const rapid =
    roleBits[port.role] |
    (port.proposing && port.role === "designated" ? flag.proposal : 0) |
    (port.learning ? flag.learning : 0) |
    (port.forwarding ? flag.forwarding : 0) |
    (port.agree ? flag.agreement : 0);
  const change = port.tcWhile !== 0 ? flag.change : 0;
  return composeBpdu(port.sendRstp ? 2 : 0, port.sendRstp ? bpduType.rapid : bpduType.config, {
    flags: change | (port.sendRstp ? rapid : port.tcAck ? flag.acknowledge : 0),
    rootId: priority.root,
    rootPathCost: priority.cost,
    bridgeId: priority.bridge,
    portId: priority.port,
    messageAge: times.messageAge * ticksPerSecond,
    maxAge: times.maxAge * ticksPerSecond,
    helloTime: times.hello * ticksPerSecond,
    forwardDelay: times.forwardDelay * ticksPerSecond,
  });
}

/** Port protocol migration, 17.24. */
function migrate(draft: Draft, port: Port): boolean {
  const isOff = !isEnabled(port);
  switch (port.migration) {
    case "checking":
      if (isOff && port.mdelayWhile !== rstpTimes.migrate) port.mdelayWhile = rstpTimes.migrate;
      else if (port.mdelayWhile === 0) sense(port);
      else return false;
      return true;
    case "sensing":
      if (isOff || port.mcheck || (isRapid(draft) && !port.sendRstp && port.rcvdRstp)) {
        port.migration = "checking";
        port.mcheck = false;
        port.sendRstp = isRapid(draft);
      } else if (port.sendRstp && port.rcvdStp) {
        port.migration = "selecting";
        port.sendRstp = false;
      } else {
        return false;
      }
      port.mdelayWhile = rstpTimes.migrate;
      return true;
    case "selecting":
      if (port.mdelayWhile !== 0 && !isOff && !port.mcheck) return false;
      sense(port);
      return true;
  }
}

function sense(port: Port): void {
  port.migration = "sensing";
  port.rcvdRstp = port.rcvdStp = false;
}

const machines = [receive, detectBridge, inform, transition, changeState, tellChange, transmit, migrate] as const;
