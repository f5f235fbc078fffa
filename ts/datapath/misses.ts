import {
  dumpQuerySize,
  type MissInfo,
  type MissRule,
  missRuleSize,
  missRulesQuerySize,
  query,
  readMissInfo,
  readMissRule,
  writeDumpQuery,
  writeMissRulesQuery,
} from "./generated/records.js";
import { dumpRecords, type QueryTarget, queryRecord } from "./queries.js";

/** A rule that megaflows of a port come from. */
export interface FloodedRule extends MissRule {
  /** In the ABI's form. */
  readonly match: Uint8Array;
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** What misses of each port came to. */
export function* missStats(target: QueryTarget): Generator<MissInfo, void> {
  const asked = queryRecord(dumpQuerySize, (view, size) =>
    writeDumpQuery(view, 0, { type: query.missStats, flags: 0, size, cursor: 0n }),
  );
  for (const record of dumpRecords(target, asked)) yield readMissInfo(viewOf(record), 0);
}

/** The rules that most megaflows of a port come from, the worst first. */
export function* floodedRules(target: QueryTarget, dpPort: number): Generator<FloodedRule, void> {
  const asked = queryRecord(missRulesQuerySize, (view, size) =>
    writeMissRulesQuery(view, 0, { type: query.missRules, flags: 0, size, cursor: 0n, dpPort }),
  );
  for (const record of dumpRecords(target, asked)) {
    const rule = readMissRule(viewOf(record), 0);
    yield { ...rule, match: record.subarray(missRuleSize, missRuleSize + rule.matchSize) };
  }
}
