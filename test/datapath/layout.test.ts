/** C's layout of every record against TypeScript's: a program with all of C's offsets is compiled and asked. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import * as generated from "../../ts/datapath/generated/records.js";
import { constantSets } from "../../ts/datapath/tables/constants.js";
import { records } from "../../ts/datapath/tables/records.js";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");
const camel = (name: string): string => name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
const typescript = generated as unknown as Readonly<Record<string, unknown>>;

/** Compiles and runs a program that prints the lines; returns what it printed. */
function askC(expressions: readonly string[]): string[] {
  const directory = mkdtempSync(join(tmpdir(), "sluice-layout-"));
  try {
    const lines = expressions.map((expression) => `    printf("%lld\\n", (long long) (${expression}));`);
    const source = `#include <stdio.h>\n#include "sluice/datapath.h"\nint\nmain(void)\n{\n${lines.join("\n")}\n    return 0;\n}\n`;
    const file = join(directory, "layout.c");
    const program = join(directory, "layout");
    writeFileSync(file, source);
    execFileSync("cc", ["-std=c11", `-I${join(root, "native", "include")}`, "-o", program, file], { stdio: "pipe" });
    return execFileSync(program, { encoding: "utf8" }).trim().split("\n");
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("every record has the same size and offsets in C and in TypeScript", () => {
  const wanted: [expression: string, value: unknown][] = [];
  for (const record of records) {
    const offsets = typescript[`${camel(record.name)}Offsets`] as Readonly<Record<string, number>>;
    wanted.push([`sizeof(struct sluice_${record.name})`, typescript[`${camel(record.name)}Size`]]);
    for (const [field] of record.fields) {
      wanted.push([`offsetof(struct sluice_${record.name}, ${field})`, offsets[camel(field)]]);
    }
  }
  const values = askC(wanted.map(([expression]) => expression));
  assert.ok(wanted.length > 300);
  wanted.forEach(([expression, value], index) => {
    assert.is(Number(values[index]), value, expression);
  });
});

test("every constant has the same value in C and in TypeScript", () => {
  const wanted = constantSets.flatMap((set) => {
    const constants = typescript[camel(set.prefix)] as Readonly<Record<string, number>>;
    return set.rows.map(
      (row) => [`SLUICE_${set.prefix}_${row.name}`.toUpperCase(), constants[camel(row.name)]] as const,
    );
  });
  const values = askC(wanted.map(([expression]) => expression));
  wanted.forEach(([expression, value], index) => {
    assert.is(Number(values[index]), value, expression);
  });
});

test("the event ring lies where TypeScript looks for it", () => {
  const members = ["tail", "head", "size", "n_dropped", "armed", "data"];
  const values = askC(members.map((member) => `offsetof(struct sluice_ring, ${member})`));
  assert.equal(values.map(Number), [0, 64, 128, 136, 264, 320]);
});

test.run();
