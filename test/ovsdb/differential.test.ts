import * as fs from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Json } from "../../ts/ovsdb/index.js";
import { Server, Store } from "../../ts/ovsdb/index.js";
import { isArray, isObject, printSorted } from "../../ts/ovsdb/json.js";
import { handMade } from "./hand-made.js";
import type { RealServer } from "./oracle.js";
import { allTypesSchema, connectTo, missingOracle, PlainClient, startReal, temporaryDirectory } from "./oracle.js";
import { randomSource, TransactionSource } from "./random-transaction.js";

const missing = missingOracle();
const schema = allTypesSchema();

interface Pair {
  readonly real: PlainClient;
  readonly ours: PlainClient;
  readonly close: () => Promise<void>;
}

async function startPair(): Promise<Pair> {
  const directory = temporaryDirectory();
  const server: RealServer = await startReal(directory, schema);
  const sluice = new Server();
  sluice.add(Store.memory(schema));
  const real = await connectTo(server.socket);
  const ours = new PlainClient(sluice.connect());
  return {
    real,
    ours,
    close: async () => {
      real.channel.close();
      sluice.close();
      await server.stop();
      fs.rmSync(directory, { recursive: true });
    },
  };
}

/** The order of selected rows is not defined. */
function withSortedRows(result: Json): Json {
  if (isObject(result) && isArray(result["rows"])) {
    return { rows: result["rows"].map((row) => printSorted(row)).sort() };
  }
  return result;
}

/** Ids that the servers make up differ, and which of two rows with the same key comes first is not defined. */
function comparable(results: Json): string {
  return printSorted(isArray(results) ? results.map(withSortedRows) : results)
    .replaceAll(/(?!20000000)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, "U")
    .replaceAll(/ {2}First row, with UUID.*?(?=","error")/g, "")
    .replaceAll(/timed out after [0-9]+ ms/g, "timed out after N ms");
}

/** Of several rows that violate something, which one is named is not defined either. */
function withoutClash(results: string): string {
  return results
    .replaceAll(/identical values .*?(?=","error")/g, "identical values")
    .replaceAll(/(column \w+ row) [-0-9a-f]+ (references nonexistent row) [-0-9a-fU]+ /g, "$1 R $2 R ")
    .replaceAll(/row [-0-9a-f]+ because of [0-9]+/g, "row R because of N")
    .replaceAll(/(reference\(s\) to .*? row) [-0-9a-f]+/g, "$1 R");
}

const tables = ["T", "C", "W", "I", "L"];

async function contents(client: PlainClient, source: TransactionSource): Promise<string> {
  const selects = tables.map((table) => ({ op: "select", table, where: [], columns: source.columns(table) }));
  return comparable(await client.transact("All", ...selects));
}

test("hand-made transactions get the results that ovsdb-server gives", async () => {
  if (missing !== undefined) {
    console.log(`skipped: ${missing}`);
    return;
  }
  const pair = await startPair();
  let compared = 0;
  let different = 0;
  for (const operations of handMade) {
    const theirs = comparable(await pair.real.transact("All", ...operations));
    const ours = comparable(await pair.ours.transact("All", ...operations));
    if (ours !== theirs) {
      console.log(`${printSorted(operations)}\n  ovsdb-server: ${theirs}\n  ours:         ${ours}`);
      different++;
    }
    compared++;
  }
  assert.is(different, 0);
  console.log(`${compared} hand-made transactions compared`);
  await pair.close();
});

test("random transactions get the results that ovsdb-server gives, and leave the same contents", async () => {
  if (missing !== undefined) {
    console.log(`skipped: ${missing}`);
    return;
  }
  const seed = Number(process.env["SLUICE_SEED"] ?? 20261120);
  const pair = await startPair();
  const source = new TransactionSource(randomSource(seed), schema);
  let failed = 0;
  const total = Number(process.env["SLUICE_TRANSACTIONS"] ?? 600);
  for (let i = 0; i < total; i++) {
    const operations = source.transaction();
    const theirs = withoutClash(comparable(await pair.real.transact("All", ...operations)));
    const ours = withoutClash(comparable(await pair.ours.transact("All", ...operations)));
    assert.is(ours, theirs, `seed ${seed}, transaction ${i}: ${printSorted(operations)}`);
    failed += theirs.includes('"error"') ? 1 : 0;
    assert.is(
      await contents(pair.ours, source),
      await contents(pair.real, source),
      `seed ${seed}, contents after ${i}: ${printSorted(operations)}`,
    );
  }
  console.log(`${total} random transactions compared, of which ${failed} failed alike (seed ${seed})`);
  await pair.close();
});

test.run();
