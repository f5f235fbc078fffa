/** Truncated, oversized and random bytes on every socket: an error or a closed connection, and nothing else. */
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { seeded } from "../differential/random.js";
import { missing, type Switch, sleep, startSluice } from "./switch.js";

const seed = Number(process.env.BAD_INPUT_SEED ?? 20261120);
const million = process.env.BAD_INPUT_LONG === "1";
const reason = missing({ tools: ["ovs-vsctl", "ovs-ofctl", "ovs-appctl"] });
if (reason !== undefined) console.log(`skip: bad input: ${reason}`);
const maybe = reason === undefined ? test : test.skip;

/** Writes the chunks, then waits until the peer closes or is silent for a while; returns what it answered. */
function talk(path: string, chunks: readonly Uint8Array[], quietMs = 150): Promise<Buffer> {
  return new Promise((resolve) => {
    const answers: Buffer[] = [];
    const socket = connect(path);
    let timer = setTimeout(() => socket.destroy(), 5000);
    const rest = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => socket.destroy(), quietMs);
    };
    socket.on("connect", () => {
      for (const chunk of chunks) socket.write(chunk);
      rest();
    });
    socket.on("data", (data) => {
      answers.push(data);
      rest();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(Buffer.concat(answers));
    });
  });
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const hello = Uint8Array.of(4, 0, 0, 8, 0, 0, 0, 1);

function openflow(version: number, type: number, body: Uint8Array, length = 8 + body.length): Uint8Array {
  const message = new Uint8Array(8 + body.length);
  message.set([version, type, length >> 8, length & 0xff, 0, 0, 0, 9]);
  message.set(body, 8);
  return message;
}

async function healthy(under: Switch): Promise<void> {
  assert.ok(under.alive(), "the daemon is up");
  under.ok("ovs-vsctl", "-t", "10", "get", "bridge", "br0", "datapath_id");
  under.ok("ovs-ofctl", "-t", "10", "show", "br0");
  under.ok("ovs-appctl", "-T", "10", "version");
}

async function withBridge(
  body: (under: Switch, sockets: Record<"database" | "openflow" | "control", string>) => Promise<void>,
): Promise<void> {
  const under = await startSluice({ dummy: true });
  try {
    under.ok("ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy");
    await body(under, {
      database: join(under.directory, "db.sock"),
      openflow: join(under.directory, "br0.mgmt"),
      control: join(under.directory, `ovs-vswitchd.${under.pid}.ctl`),
    });
  } finally {
    await under.stop();
  }
}

maybe("random bytes on every socket leave the switch and other connections as they were", async () => {
  const random = seeded(seed);
  const bytes = (n: number): Uint8Array => Uint8Array.from({ length: n }, () => random.below(256));
  await withBridge(async (under, sockets) => {
    const bystander = connect(sockets.openflow);
    bystander.on("error", () => {});
    bystander.write(hello);
    await sleep(200);
    for (const path of Object.values(sockets)) {
      for (let n = 0; n < 30; n++) await talk(path, [bytes(1 + random.below(3000))], 30);
    }
    await talk(sockets.database, [text(`{"method":"transact","params":["Open_vSwitch",${"[".repeat(100_000)}`)]);
    await talk(sockets.database, [text(`{"id":0,"method":"echo","params":["${"x".repeat(1 << 20)}"]}`)]);
    await talk(sockets.control, [text('{"id":0,"method":17,"params":null}')]);
    await talk(sockets.control, [text(`{"id":0,"method":"${"v".repeat(1 << 20)}","params":[]}`)]);
    await healthy(under);
    assert.not.ok(bystander.destroyed, "the bystander's connection is open");
    let answered = false;
    bystander.on("data", () => {
      answered = true;
    });
    bystander.write(openflow(4, 2, text("echo")));
    await sleep(300);
    assert.ok(answered, "the bystander is answered");
    bystander.destroy();
  });
  console.log(`seed ${seed}`);
});

maybe("truncated and mutated OpenFlow messages of every type are answered or end the connection", async () => {
  const random = seeded(seed + 1);
  await withBridge(async (under, sockets) => {
    for (const version of [1, 4, 5, 6]) {
      for (let type = 0; type < 36; type++) {
        const body = Uint8Array.from({ length: random.below(120) }, () => (random.chance(0.5) ? 0 : random.below(256)));
        await talk(
          sockets.openflow,
          [
            openflow(version, 0, new Uint8Array(0)),
            openflow(version, type, body),
            openflow(version, type, body.subarray(0, body.length >> 1)),
            openflow(version, type, body, 7),
          ],
          15,
        );
      }
    }
    const answer = await talk(sockets.openflow, [hello, openflow(4, 14, new Uint8Array(20))]);
    assert.ok(answer.length > 20 && answer.includes(Buffer.from([4, 1])), "a truncated flow_mod gets an error");
    await healthy(under);
  });
  console.log(`seed ${seed + 1}`);
});

maybe("many bad messages do not grow the daemon", async () => {
  const count = million ? 1_000_000 : 60_000;
  const perWrite = 2000;
  await withBridge(async (under, sockets) => {
    const bad = openflow(4, 14, new Uint8Array(20));
    const burst = Buffer.concat(Array.from({ length: perWrite }, () => bad));
    const flood = (path: string, first: Uint8Array, data: Buffer, times: number): Promise<void> =>
      new Promise((resolve, reject) => {
        const socket = connect(path);
        socket.on("error", reject);
        socket.on("data", () => {});
        socket.write(first);
        let left = times;
        const next = (): void => {
          if (left-- === 0) {
            socket.end();
            resolve();
            return;
          }
          if (socket.write(data)) setImmediate(next);
          else socket.once("drain", next);
        };
        next();
      });
    const unknown = Buffer.from('{"id":1,"method":"nonsense","params":[]}'.repeat(perWrite));
    const round = async (times: number): Promise<void> => {
      await flood(sockets.openflow, hello, burst, times);
      await flood(sockets.database, new Uint8Array(0), unknown, times);
      await flood(sockets.control, new Uint8Array(0), unknown, times);
      await sleep(1000);
    };
    await round(5);
    const before = under.residentKiB();
    await round(Math.ceil(count / perWrite / 3));
    await healthy(under);
    const after = under.residentKiB();
    console.log(`${count} bad messages: resident memory from ${before} to ${after} KiB`);
    assert.ok(after - before < 60_000, `resident memory grew from ${before} to ${after} KiB`);
  });
});

test.run();
