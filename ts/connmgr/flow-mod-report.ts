/** Says now and then in the log how many flow_mods a connection sent: ten seconds after the first, and after that no
 *  sooner than a minute after the last report was due.  Pure. */

export interface FlowModReport {
  readonly adds: number;
  readonly deletes: number;
  readonly modifications: number;
  readonly firstAt: number;
  readonly lastAt: number;
  /** When the report is due; undefined while there is nothing to tell. */
  readonly dueAt: number | undefined;
  /** No report is due before this. */
  readonly quietUntil: number;
}

export const noFlowMods: FlowModReport = {
  adds: 0,
  deletes: 0,
  modifications: 0,
  firstAt: 0,
  lastAt: 0,
  dueAt: undefined,
  quietUntil: Number.NEGATIVE_INFINITY,
};

const delayMs = 10_000;
const pauseMs = 60_000;

export type FlowModKind = "adds" | "deletes" | "modifications";

/** OFPFC: 0 add, 1 and 2 modify, 3 and 4 delete. */
export function flowModKind(command: number): FlowModKind {
  if (command === 0) return "adds";
  return command <= 2 ? "modifications" : "deletes";
}

/** `count` flow_mods of one kind came. */
export function flowModsCame(report: FlowModReport, kind: FlowModKind, count: number, now: number): FlowModReport {
  const counted = { ...report, [kind]: report[kind] + count, lastAt: now };
  if (report.dueAt !== undefined) return counted;
  const dueAt = Math.max(now + delayMs, report.quietUntil);
  return { ...counted, firstAt: now, dueAt, quietUntil: dueAt + pauseMs };
}

/** The sentence that is due at `now`, and the state without what it told. */
export function takeFlowModReport(
  report: FlowModReport,
  now: number,
): { readonly report: FlowModReport; readonly sentence: string | undefined } {
  if (report.dueAt === undefined || now < report.dueAt) return { report, sentence: undefined };
  return { report: { ...noFlowMods, quietUntil: report.quietUntil }, sentence: flowModSentence(report, now) };
}

/** Undefined when there is nothing to tell. */
export function flowModSentence(report: FlowModReport, now: number): string | undefined {
  const total = report.adds + report.deletes + report.modifications;
  if (total === 0) return undefined;
  const ago = Math.floor((now - report.firstAt) / 1000);
  const interval = Math.floor((report.lastAt - report.firstAt) / 1000);
  let when = `${ago} s ago`;
  if (interval === ago) when = `in the last ${ago} s`;
  else if (interval !== 0) when = `in the ${interval} s starting ${ago} s ago`;
  const kinds = (["adds", "deletes", "modifications"] as const)
    .filter((kind) => report[kind] > 0)
    .map((kind) => `${report[kind]} ${kind}`);
  return `${total} flow_mods ${when} (${kinds.join(", ")})`;
}
