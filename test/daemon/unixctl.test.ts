import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type UnixctlCommand, UnixctlError } from "../../ts/appctl/index.js";
import { openSocketPath } from "../../ts/daemon/socket-path.js";
import { CommandTable, UnixctlServer } from "../../ts/daemon/unixctl.js";

const row = (name: string, handler: UnixctlCommand["handler"], minArgs = 0, maxArgs = 0): UnixctlCommand => ({
  name,
  usage: minArgs > 0 ? "ARG" : "",
  minArgs,
  maxArgs,
  handler,
});

interface Context {
  directory: string;
  path: string;
  server: UnixctlServer;
  steps: string[];
  release: () => void;
}

const test = suite<Context>("unixctl");

test.before.each(async (context) => {
  context.directory = mkdtempSync(join(tmpdir(), "sluice-unixctl-"));
  context.path = join(context.directory, "x.ctl");
  context.steps = [];
  const held = new Promise<void>((resolve) => {
    context.release = resolve;
  });
  const commands = new CommandTable();
  commands.add(
    row("version", () => "Sluice"),
    row("echo", (args) => args.join("+"), 1, 2),
    row("slow", () => held.then(() => "slow\n")),
    row("refuse", () => {
      throw new UnixctlError("no such bridge");
    }),
    row("data", () => ({ text: "a:1\n", json: { a: 1 } })),
    row("broken", () => {
      throw new TypeError("ours");
    }),
  );
  context.server = await UnixctlServer.listen({
    path: context.path,
    commands,
    beforeCommand: () => void context.steps.push("settle"),
    beforeReply: () => void context.steps.push("reply"),
  });
});

test.after.each(async ({ server, directory, release }) => {
  release();
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Sends text and resolves to what came back, and whether the server closed the connection. */
function say(path: string, text: string, waitMs = 100): Promise<{ out: string; closed: boolean }> {
  return new Promise((resolve) => {
    let out = "";
    const address = openSocketPath(path);
    const socket = connect({ path: address.path }, () => socket.write(text));
    const timer = setTimeout(() => {
      socket.destroy();
      resolve({ out, closed: false });
    }, waitMs);
    socket.on("data", (data) => {
      out += data.toString();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      address.close();
      clearTimeout(timer);
      resolve({ out, closed: true });
    });
  });
}

const request = (id: unknown, method: string, ...params: unknown[]): string => JSON.stringify({ id, method, params });

test("replies follow each other in the order of the requests", async ({ path, release }) => {
  const answer = say(path, request(0, "slow") + request("x", "version") + request(2, "echo", "a", "b"));
  setTimeout(release, 20);
  const { out, closed } = await answer;
  assert.is(
    out,
    '{"id":0,"result":"slow\\n","error":null}{"id":"x","result":"Sluice\\n","error":null}{"id":2,"result":"a+b\\n","error":null}',
  );
  assert.not(closed);
});

test("a slow command holds up only its own connection", async ({ path }) => {
  const slow = say(path, request(0, "slow"), 150);
  assert.is((await say(path, request(1, "version"), 50)).out, '{"id":1,"result":"Sluice\\n","error":null}');
  assert.is((await slow).out, "");
});

test("what the user did wrong is answered in Open vSwitch's words", async ({ path }) => {
  const error = async (method: string, ...params: unknown[]): Promise<unknown> =>
    (JSON.parse((await say(path, request(1, method, ...params), 50)).out) as { error: unknown }).error;
  assert.is(
    await error("nope"),
    '"nope" is not a valid command (use "list-commands" to see a list of valid commands)\n',
  );
  assert.is(await error("echo"), '"echo" command requires at least 1 arguments\n');
  assert.is(await error("echo", "1", "2", "3"), '"echo" command takes at most 2 arguments\n');
  assert.is(await error("echo", 1), '"echo" command has non-string argument\n');
  assert.is(await error("refuse"), "no such bridge\n");
  assert.is(await error("broken"), "ours\n");
});

test("what is no request closes that connection and no other", async ({ path }) => {
  const bad = [
    "garbage",
    "[1]",
    '{"id":null,"method":"version","params":[]}',
    '{"id":1}',
    '{"id":1,"method":"version"}',
    '{"id":1,"method":"version","params":{}}',
    '{"id":5,"method":"version","params":[],"foo":1}',
    '{"id":0,"method":"version","params":[}]}',
    `{"id":0,"method":"${"x".repeat(2 << 20)}`,
  ];
  const other = connect({ path });
  for (const text of bad) assert.equal(await say(path, text, 1000), { out: "", closed: true }, text.slice(0, 60));
  const reply = new Promise<string>((resolve) => other.once("data", (data) => resolve(data.toString())));
  other.write(request(1, "version"));
  assert.match(await reply, /Sluice/);
  other.destroy();
});

test("list-commands is sorted and padded", async ({ path }) => {
  const { out } = await say(path, request(1, "list-commands"), 50);
  const lines = (JSON.parse(out) as { result: string }).result.split("\n");
  assert.is(lines[0], "The available commands are:");
  assert.is(lines[3], `  ${"echo".padEnd(23)} ARG`);
  assert.equal(
    lines.slice(1, -1).map((line) => line.trim().split(" ")[0]),
    ["broken", "data", "echo", "list-commands", "refuse", "slow", "version"],
  );
});

test("--format json lasts for the connection and marks plain replies", async ({ path }) => {
  const ask = request(0, "set-options", "--format", "json") + request(1, "version") + request(2, "data");
  assert.is(
    (await say(path, ask, 50)).out,
    '{"id":0,"result":"","error":null}{"id":1,"result":{"reply-format":"plain","reply":"Sluice\\n"},"error":null}{"id":2,"result":{"a":1},"error":null}',
  );
  assert.is((await say(path, request(2, "data"), 50)).out, '{"id":2,"result":"a:1\\n","error":null}');
});

test("a configuration under way is waited for before each command", async ({ path, steps }) => {
  await say(path, request(1, "version") + request(2, "version"), 50);
  assert.equal(steps, ["settle", "reply", "settle", "reply"]);
});

test("a client that leaves early is no trouble, and what it had asked is still done", async ({ path, release }) => {
  const socket = connect({ path });
  socket.end(request(1, "slow"));
  const reply = new Promise<string>((resolve) => socket.once("data", (data) => resolve(data.toString())));
  setTimeout(release, 10);
  assert.match(await reply, /slow/);
});

test("a hundred thousand bad messages leave nothing behind", async ({ path }) => {
  const one = JSON.stringify({ id: 1, method: "nope", params: ["y".repeat(100)] });
  const before = process.memoryUsage().rss;
  await new Promise<void>((resolve) => {
    let got = 0;
    const socket = connect({ path });
    socket.on("data", (data) => {
      got += data.toString().split('{"id"').length - 1;
      if (got >= 99_000) resolve(socket.destroy() as unknown as undefined);
    });
    const batch = one.repeat(1000);
    let sent = 0;
    const send = (): void => {
      while (sent < 100) {
        sent++;
        if (!socket.write(batch)) return void socket.once("drain", send);
      }
    };
    send();
  });
  assert.ok(process.memoryUsage().rss - before < 150e6);
});

test("a socket that was left behind is replaced, and the new one is for owner and group", async ({ directory }) => {
  const path = join(directory, "old.ctl");
  writeFileSync(path, "");
  const server = await UnixctlServer.listen({ path, commands: new CommandTable() });
  assert.is(statSync(path).mode & 0o007, 0);
  await server.close();
  assert.not(existsSync(path));
});

test("a path longer than a socket address works", async ({ directory }) => {
  const deep = join(directory, "d".repeat(100));
  mkdirSync(deep);
  const path = join(deep, "long.ctl");
  const server = await UnixctlServer.listen({ path, commands: new CommandTable() });
  assert.match((await say(path, request(1, "list-commands"), 50)).out, /available commands/);
  await server.close();
});

test.run();
