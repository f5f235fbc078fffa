import * as fs from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { generate } from "../../tools/generate-ovsdb.js";
import type { JsonObject } from "../../ts/ovsdb/index.js";
import { OvsdbError, parseSchema, printSchema, vswitchSchema } from "../../ts/ovsdb/index.js";
import { printSorted } from "../../ts/ovsdb/json.js";

const installed = "/usr/share/openvswitch/vswitch.ovsschema";

test("the rows give the schema that Open vSwitch installs", () => {
  if (!fs.existsSync(installed)) {
    console.log(`skipped: ${installed} is not there (Debian: apt-get install openvswitch-switch)`);
    return;
  }
  const theirs = JSON.parse(fs.readFileSync(installed, "utf8")) as JsonObject;
  assert.is(printSorted(printSchema(parseSchema(vswitchSchema))), printSorted(printSchema(parseSchema(theirs))));
});

test("a schema survives being printed and parsed", () => {
  const printed = printSchema(parseSchema(vswitchSchema));
  assert.equal(printSchema(parseSchema(printed)), printed);
});

test("what is generated from the rows is what is in the checkout", () => {
  for (const [path, content] of generate()) {
    assert.is(fs.readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8"), content, path);
  }
});

for (const [claim, schema] of [
  ["a schema without a name", { tables: {} }],
  ["a table without columns", { name: "x", tables: { T: { columns: {} } } }],
  ["a column whose name begins with _", { name: "x", tables: { T: { columns: { _a: { type: "string" } } } } }],
  ["a type that does not exist", { name: "x", tables: { T: { columns: { a: { type: "text" } } } } }],
  [
    "min above max",
    {
      name: "x",
      tables: { T: { columns: { a: { type: { key: { type: "integer", minInteger: 5, maxInteger: 4 } } } } } },
    },
  ],
  [
    "a reference to nowhere",
    { name: "x", tables: { T: { columns: { a: { type: { key: { type: "uuid", refTable: "U" } } } } } } },
  ],
  [
    "an index on an unknown column",
    { name: "x", tables: { T: { columns: { a: { type: "string" } }, indexes: [["b"]] } } },
  ],
  ["a version that is not one", { name: "x", version: "1.2", tables: {} }],
  ["an unknown member", { name: "x", tables: {}, colour: "red" }],
] as const) {
  test(`${claim} is refused`, () => {
    assert.throws(
      () => parseSchema(schema as unknown as JsonObject),
      (error: unknown) => error instanceof OvsdbError,
    );
  });
}

test.run();
