import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  traceKind,
  traceNote,
  traceNoteText,
  traceStepSize,
  writeTraceStep,
} from "../../ts/datapath/generated/records.js";
import { formatTrace, readTrace, type TraceTree, type TraceWords, traceTree } from "../../ts/ofproto/index.js";

/** Texts stand in for matches and actions, so that the layout is tested by itself. */
const bytes = (text: string): Uint8Array => {
  const out = new Uint8Array((text.length + 7) & ~7);
  out.set(new TextEncoder().encode(text));
  return out;
};
const text = (from: Uint8Array): string => new TextDecoder().decode(from).replace(/\0+$/, "");
const words: TraceWords = {
  match: text,
  flow: text,
  actions: text,
  datapathActions: (actions) => text(actions) || "drop",
  bridgeName: (bridge) => `br${bridge}`,
  portName: (_bridge, port) => `p${port}`,
  subfield: (field) => `FIELD${field}[]`,
  value: (_field, _bits, value) => `0x${value.toString(16)}`,
};

interface Step {
  readonly kind: keyof typeof traceKind;
  readonly depth?: number;
  readonly match?: string;
  readonly actions?: string;
  readonly table?: number;
  readonly bridge?: number;
  readonly priority?: number;
  readonly cookie?: bigint;
  readonly code?: number;
  readonly a?: bigint;
  readonly b?: bigint;
  readonly c?: bigint;
}

function steps(...list: readonly Step[]): Uint8Array[] {
  return list.map((step) => {
    const match = bytes(step.match ?? "");
    const actions = bytes(step.actions ?? "");
    const record = new Uint8Array(traceStepSize + match.length + actions.length);
    writeTraceStep(new DataView(record.buffer), 0, {
      type: 9,
      flags: 0,
      size: record.length,
      kind: traceKind[step.kind],
      depth: step.depth ?? 0,
      code: step.code ?? 0,
      table: step.table ?? 0,
      bridge: step.bridge ?? 0,
      priority: step.priority ?? 0,
      cookie: step.cookie ?? 0n,
      a: step.a ?? 0n,
      b: step.b ?? 0n,
      c: step.c ?? 0n,
      d: 0n,
      matchSize: match.length,
      actionsSize: actions.length,
    });
    record.set(match, traceStepSize);
    record.set(actions, traceStepSize + match.length);
    return record;
  });
}

const treeOf = (records: Uint8Array[]): TraceTree => traceTree(readTrace(records), words);

const end: readonly Step[] = [
  { kind: "flow", match: "flow" },
  { kind: "finalFlow", a: 1n },
  { kind: "megaflow", match: "mega" },
  { kind: "datapathActions", actions: "2" },
];

test("what an action in the middle of a list leads to is set in; what the last one leads to is not", () => {
  const tree = treeOf(
    steps(
      { kind: "bridge", bridge: 0 },
      { kind: "rule", depth: 1, match: "ip", priority: 100, cookie: 0x12n },
      { kind: "action", depth: 2, actions: "resubmit(,1)" },
      { kind: "rule", depth: 3, table: 1, match: "reg0=0x5", priority: 10 },
      { kind: "action", depth: 4, actions: "output:3" },
      { kind: "bridge", depth: 5, bridge: 1 },
      { kind: "rule", depth: 6, priority: 0 },
      { kind: "action", depth: 7, actions: "NORMAL" },
      { kind: "note", depth: 8, code: traceNote.noLearnedMac },
      { kind: "action", depth: 4, actions: "resubmit(,2)" },
      { kind: "rule", depth: 5, table: 2, match: "udp", priority: 32768 },
      { kind: "action", depth: 2, actions: "output:1" },
      { kind: "note", depth: 3, code: traceNote.learnedSource, a: 0x505400000005n, b: 7n, c: 9n },
      { kind: "action", depth: 2, actions: "resubmit(,4)" },
      { kind: "miss", depth: 3, table: 4, code: traceNote.missDrop },
      ...end,
    ),
  );
  assert.is(
    formatTrace(tree),
    `Flow: flow

bridge("br0")
-------------
 0. ip, priority 100, cookie 0x12
    resubmit(,1)
     1. reg0=0x5, priority 10
            output:3

            bridge("br1")
            -------------
                 0. priority 0
                    NORMAL
                     -> no learned MAC for destination, flooding
            resubmit(,2)
         2. udp, priority 32768
            drop
    output:1
     -> learned that 50:54:00:00:00:05 is on port p7 in VLAN 9
    resubmit(,4)
 4. No match.
    drop

Final flow: unchanged
Megaflow: mega
Datapath actions: 2
`,
  );
});

test("the action set stands at the end of the first table's list, and failures are told", () => {
  const tree = treeOf(
    steps(
      { kind: "bridge" },
      { kind: "rule", depth: 1, priority: 5 },
      { kind: "action", depth: 2, actions: "resubmit(,3)" },
      { kind: "rule", depth: 3, table: 3, priority: 7 },
      { kind: "action", depth: 4, actions: "goto_table:5" },
      { kind: "miss", depth: 5, table: 5, code: traceNote.missDrop },
      { kind: "actionSet" },
      { kind: "action", depth: 1, actions: "output:1" },
      { kind: "note", depth: 2, code: traceNote.outputSuppressed },
      { kind: "flow", match: "flow" },
      { kind: "finalFlow", match: "final" },
      { kind: "megaflow", match: "mega" },
      { kind: "datapathActions" },
      { kind: "error", code: 6 },
    ),
  );
  assert.is(
    formatTrace(tree),
    `Flow: flow

bridge("br0")
-------------
 0. priority 5
    resubmit(,3)
     3. priority 7
            goto_table:5
         5. No match.
            drop
--. Executing action set:
    output:1
     >> skipping output to input port

Final flow: final
Megaflow: mega
Datapath actions: drop
Translation failed (Recursion too deep), packet is dropped.
`,
  );
});

test("the remarks that the log tells too come before all others", () => {
  const isWarning = (code: number): boolean => traceNoteText.get(code)?.startsWith(">>>>") === true;
  const warnings = Object.values(traceNote).filter(isWarning);
  assert.is(Math.max(...warnings), traceNote.truncPatch);
  for (const code of Object.values(traceNote))
    assert.is(isWarning(code), code <= traceNote.truncPatch, `remark ${code}`);
});

test.run();
