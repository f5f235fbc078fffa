import * as fs from "node:fs";
import * as net from "node:net";
import * as path from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Json, JsonObject, Remote } from "../../ts/ovsdb/index.js";
import { listen, Server, Store, serveRemote } from "../../ts/ovsdb/index.js";
import { printSorted } from "../../ts/ovsdb/json.js";
import {
  allTypesSchema,
  connectTo,
  eventually,
  missingOracle,
  PlainClient,
  startReal,
  temporaryDirectory,
} from "./oracle.js";
import { randomSource } from "./random-transaction.js";

const schema = allTypesSchema();

interface Fixture {
  readonly directory: string;
  readonly server: Server;
  readonly store: Store;
  readonly socket: string;
}

function served(run: (fixture: Fixture) => Promise<void>): () => Promise<void> {
  return async () => {
    const directory = temporaryDirectory();
    const server = new Server();
    const store = Store.memory(schema);
    server.add(store);
    const socket = path.join(directory, "db.sock");
    const remote: Remote = await listen(server, `punix:${socket}`);
    try {
      await run({ directory, server, store, socket });
    } finally {
      await remote.close();
      server.close();
      fs.rmSync(directory, { recursive: true, force: true });
    }
  };
}

const insert = (row: JsonObject): Json => ({ op: "insert", table: "I", row });

test(
  "a wait really waits: until it holds, until its time is up, or until it is cancelled",
  served(async ({ socket }) => {
    const [waiter, writer] = [await connectTo(socket), await connectTo(socket)];
    const wait = (a: number, timeout?: number): Json => ({
      op: "wait",
      table: "I",
      where: [["a", "==", a]],
      columns: ["a"],
      until: "==",
      rows: [{ a }],
      ...(timeout === undefined ? {} : { timeout }),
    });
    let done = false;
    const waiting = waiter.transact("All", wait(1), insert({ a: 2 })).then((results) => {
      done = true;
      return results;
    });
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.not(done);
    await writer.transact("All", insert({ a: 1 }));
    assert.equal(((await waiting) as readonly Json[])[0], {});
    const started = performance.now();
    const late = (await waiter.transact("All", wait(9, 60))) as readonly JsonObject[];
    assert.is(late[0]?.["error"], "timed out");
    assert.match(String(late[0]?.["details"]), /^"wait" timed out after (5[5-9]|[6-9][0-9]|[0-9]{3}) ms$/);
    assert.ok(performance.now() - started >= 55);
    const cancelled = waiter.request("transact", ["All", wait(9)]);
    waiter.channel.send({ id: null, method: "cancel", params: [3] });
    assert.equal(await cancelled, { id: 3, error: "canceled" });
    waiter.channel.close();
    writer.channel.close();
  }),
);

test(
  "a client that does not read holds no more than the contents, and is told of the last state when it reads again",
  served(async ({ socket, server }) => {
    const slow = net.connect({ path: socket });
    await new Promise((resolve) => slow.once("connect", resolve));
    slow.write(JSON.stringify({ id: 1, method: "monitor", params: ["All", "m", { T: { columns: ["s"] } }] }));
    await new Promise((resolve) => setTimeout(resolve, 50));
    slow.pause();
    const writer = new PlainClient(server.connect());
    await writer.transact("All", { op: "insert", table: "T", row: { is3: 1 } });
    for (let i = 0; i < 3000; i++) {
      await writer.transact("All", { op: "update", table: "T", where: [], row: { s: `${i}-${"x".repeat(5000)}` } });
    }
    const memory = process.memoryUsage().rss;
    assert.ok(memory < 1e9);
    let text = "";
    slow.setEncoding("utf8");
    slow.on("data", (chunk: string) => {
      text = (text + chunk).slice(-20_000);
    });
    slow.resume();
    await eventually(() => text.includes('"2999-'));
    assert.is(server.sessionCount, 2);
    slow.destroy();
  }),
);

test(
  "garbage closes its own connection and no other, and a million bad messages leave memory as it was",
  served(async ({ socket, server }) => {
    const good = await connectTo(socket);
    const random = randomSource(11);
    const bad = [
      "x",
      "[]",
      "{}",
      '{"method":5}',
      '{"id":1,"result":1,"error":null}',
      '{"method":"echo","id":1}',
      "\u0000\u0001",
      '{"a":',
      `{"a":${"[".repeat(1500)}`,
    ];
    for (const text of bad) {
      const socketBad = net.connect({ path: socket });
      socketBad.on("error", () => undefined);
      const closed = new Promise((resolve) => socketBad.once("close", resolve));
      socketBad.end(text);
      await closed;
    }
    const flood = await connectTo(socket);
    const before = process.memoryUsage().heapUsed;
    const methods = [
      "frob",
      "transact",
      "monitor",
      "get_schema",
      "lock",
      "monitor_cancel",
      "convert",
      "monitor_cond_change",
      "unlock",
      "set_db_change_aware",
    ];
    const params: readonly Json[] = [
      [],
      ["All"],
      ["All", 5],
      ["All", 1, 1],
      [{}],
      ["zz"],
      ["All", { op: "x" }],
      [null, null, null],
    ];
    const total = Number(process.env["SLUICE_BAD_MESSAGES"] ?? 100_000);
    for (let i = 0; i < total; i++) {
      const method = methods[Math.floor(random() * methods.length)] as string;
      const answer = flood.request(method, params[Math.floor(random() * params.length)] as readonly Json[]);
      if (i % 500 === 0) {
        await answer;
      }
    }
    const reply = await flood.request("echo", ["still", "there"]);
    assert.equal(reply["result"], ["still", "there"]);
    const grown = (process.memoryUsage().heapUsed - before) / total;
    console.log(`${total} bad messages, ${grown.toFixed(0)} bytes of heap each before collection`);
    assert.equal((await good.request("echo", []))["result"], []);
    assert.is(server.sessionCount, 2);
    good.channel.close();
    flood.channel.close();
  }),
);

test(
  "locks go from one client to the next, by unlock, by theft and by leaving",
  served(async ({ socket }) => {
    const [a, b] = [await connectTo(socket), await connectTo(socket)];
    assert.equal((await a.request("lock", ["x"]))["result"], { locked: true });
    assert.equal((await b.request("lock", ["x"]))["result"], { locked: false });
    await a.request("unlock", ["x"]);
    await eventually(() => b.notifications.length === 1);
    assert.equal(b.notifications[0], { id: null, method: "locked", params: ["x"] });
    assert.equal((await a.request("steal", ["x"]))["result"], { locked: true });
    await eventually(() => b.notifications.length === 2);
    assert.equal(b.notifications[1], { id: null, method: "stolen", params: ["x"] });
    a.channel.close();
    await eventually(() => b.notifications.length === 3);
    assert.equal(await b.transact("All", { op: "assert", lock: "x" }), [{}]);
    b.channel.close();
  }),
);

test(
  "convert tells clients that know of it, and disconnects the others",
  served(async ({ socket, store }) => {
    const [aware, other] = [await connectTo(socket), await connectTo(socket)];
    await aware.request("set_db_change_aware", [true]);
    await aware.request("monitor", ["All", "m", { I: {} }]);
    const next = { ...schema, version: "1.1.0" };
    assert.equal((await aware.request("convert", ["All", next]))["result"], {});
    await eventually(() => other.closed);
    assert.equal(aware.notifications, [{ id: null, method: "monitor_canceled", params: ["m"] }]);
    assert.is(store.schema.version, "1.1.0");
    const row = { op: "select", table: "Database", where: [["name", "==", "All"]], columns: ["schema"] };
    assert.match(JSON.stringify(await aware.transact("_Server", row)), /1\.1\.0/);
    aware.channel.close();
  }),
);

test(
  "a manager's connection is made, made again, and shows its state",
  served(async ({ server }) => {
    const peer = net.createServer();
    await new Promise<void>((resolve) => peer.listen(0, "127.0.0.1", resolve));
    const port = (peer.address() as net.AddressInfo).port;
    const connection = new Promise<net.Socket>((resolve) => peer.once("connection", resolve));
    const remote = await serveRemote(server, `tcp:127.0.0.1:${port}`);
    const socket = await connection;
    const reply = new Promise<string>((resolve) => socket.once("data", (data) => resolve(data.toString())));
    socket.write('{"id":1,"method":"list_dbs","params":[]}');
    assert.is(await reply, '{"id":1,"result":["All","_Server"],"error":null}');
    assert.is(remote.status().state, "ACTIVE");
    assert.ok(remote.status().connected);
    const second = new Promise<net.Socket>((resolve) => peer.once("connection", resolve));
    socket.destroy();
    await eventually(() => remote.status().state === "BACKOFF");
    (await second).destroy();
    await remote.close();
    await new Promise((resolve) => peer.close(resolve));
  }),
);

test(
  "requests on sessions get the answers that ovsdb-server gives",
  served(async ({ socket, directory }) => {
    const missing = missingOracle();
    if (missing !== undefined) {
      console.log(`skipped: ${missing}`);
      return;
    }
    const real = await startReal(directory, schema);
    const [ours, theirs] = [await connectTo(socket), await connectTo(real.socket)];
    const row = {
      op: "insert",
      table: "T",
      uuid: "20000000-0000-4000-8000-000000000001",
      row: { is3: 1, ss: ["set", ["a", "b"]], m: ["map", [["k", "v"]]] },
    };
    const all = { T: [{ columns: ["ss", "m", "i", "os"] }] };
    const requests: readonly (readonly [string, readonly Json[]])[] = [
      ["echo", [1, { a: "b" }]],
      ["frob", []],
      ["list_dbs", []],
      ["get_schema", ["zz"]],
      ["get_schema", []],
      ["get_schema", [5]],
      ["transact", []],
      ["transact", ["zz"]],
      ["transact", ["All"]],
      ["transact", ["_Server", { op: "delete", table: "Database", where: [] }]],
      ["lock", ["a"]],
      ["lock", ["a"]],
      ["lock", ["a b"]],
      ["unlock", ["a"]],
      ["unlock", ["a"]],
      ["steal", ["a"]],
      ["lock", []],
      ["set_db_change_aware", [5]],
      ["monitor_cancel", [5]],
      ["monitor", ["All", "v1", { T: { columns: ["ss", "m", "i", "os"] } }]],
      ["monitor", ["All", "v1", {}]],
      ["monitor_cond", ["All", "v2", all]],
      ["monitor_cond_since", ["All", "v3", all, "00000000-0000-0000-0000-000000000000"]],
      ["monitor_cond", ["All", "cond", { T: [{ columns: ["i"], where: [["i", ">", 5]] }] }]],
      [
        "monitor",
        [
          "All",
          "quiet",
          {
            T: [
              { columns: ["i"], select: { initial: false, modify: false } },
              { columns: ["os"], select: { insert: false } },
            ],
          },
        ],
      ],
      ["monitor_cond", ["All", "x", { zz: {} }]],
      ["monitor_cond", ["All", "x", { T: { columns: ["zz"] } }]],
      ["monitor_cond", ["All", "x", { T: { columns: ["i"], select: { foo: true } } }]],
      ["monitor_cond", ["All", "x", { T: [{ columns: ["i"] }, { columns: ["i"] }] }]],
      ["transact", ["All", row]],
      ["transact", ["All", { op: "update", table: "T", where: [], row: { i: 6, os: "x" } }]],
      [
        "transact",
        [
          "All",
          {
            op: "mutate",
            table: "T",
            where: [],
            mutations: [
              ["ss", "insert", "c"],
              ["ss", "delete", "a"],
              ["m", "insert", ["map", [["k2", "v2"]]]],
            ],
          },
        ],
      ],
      [
        "transact",
        ["All", { op: "update", table: "T", where: [], row: { m: ["map", [["k", "w"]]], os: ["set", []] } }],
      ],
      ["monitor_cond_change", ["cond", "cond2", { T: [{ where: [false] }] }]],
      ["monitor_cond_change", ["cond2", "cond2", { T: [{ where: [["i", "==", 6]] }] }]],
      ["monitor_cond_change", ["cond2", "cond2", { T: { where: false } }]],
      ["monitor_cond_change", [9, 9, {}]],
      ["transact", ["All", { op: "update", table: "T", where: [], row: { i: 7 } }]],
      ["transact", ["All", { op: "delete", table: "T", where: [] }]],
      ["monitor_cancel", ["v1"]],
      ["convert", ["All", {}]],
      ["convert", ["All", { name: "Al", tables: {} }]],
    ];
    for (const [method, params] of requests) {
      const [us, them] = [await ours.request(method, params), await theirs.request(method, params)];
      assert.equal(us, them, `${method} ${JSON.stringify(params)}`);
    }
    // Which of several monitors is told first is not defined.
    const byMonitor = (client: PlainClient): string[] => {
      const told = client.notifications.map((message) => message["params"] as readonly Json[]);
      return ["v1", "v2", "v3", "cond", "cond2", "quiet"].flatMap((id) =>
        told.filter((params) => params[0] === id).map(printSorted),
      );
    };
    assert.is(byMonitor(ours).join("\n"), byMonitor(theirs).join("\n"));
    assert.is(ours.notifications.length, theirs.notifications.length);
    console.log(`${requests.length} requests and ${theirs.notifications.length} notifications compared`);
    ours.channel.close();
    theirs.channel.close();
    await real.stop();
  }),
);

test.run();
