/** Messages that cannot be: what Sluice answers to each, beside what the real Open vSwitch answers.  Every message goes down
 *  a connection that stays, so that an answer which ends the connection shows, too. */
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { messages } from "../../ts/openflow/tables/messages.js";
import { noOvs, withPair } from "./pair.js";
import type { Switch } from "./switch.js";

if (noOvs !== undefined) console.log(`skip: openflow errors: ${noOvs}`);
const maybe = noOvs === undefined ? test : test.skip;

const versions = [1, 2, 3, 4, 5, 6] as const;
const nicira = 0x2320;
const onf = 0x4f4e4600;

interface Case {
  readonly name: string;
  readonly version: number;
  readonly bytes: Uint8Array;
}

function message(version: number, type: number, body: readonly number[] | Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + body.length);
  bytes.set([version, type, bytes.length >> 8, bytes.length & 0xff, 0, 0, 0x12, 0x34]);
  bytes.set(body, 8);
  return bytes;
}

const u16 = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff];
const u32 = (value: number): number[] => [...u16(value >>> 16), ...u16(value & 0xffff)];

/** The headers of a message of that row behind the first eight bytes, and its type. */
function headers(version: number, space: string, number: number): readonly [type: number, head: number[]] {
  const request = version === 1 ? 16 : 18;
  const stat = (type: number): number[] => [...u16(type), ...u16(0), ...(version === 1 ? [] : u32(0))];
  switch (space) {
    case "nicira":
      return [4, [...u32(nicira), ...u32(number)]];
    case "onf":
      return [4, [...u32(onf), ...u32(number)]];
    case "multipart_request":
      return [request, stat(number)];
    case "nicira_request":
      return [request, [...stat(0xffff), ...u32(nicira), ...u32(number), ...(version === 1 ? u32(0) : [])]];
    case "onf_request":
      return [request, [...stat(0xffff), ...u32(onf), ...u32(number)]];
    default:
      return [number, []];
  }
}

/** Each kind with a body that is too short by one byte, too long by one, and not there. */
function wrongLengths(): Case[] {
  const cases: Case[] = [];
  for (const row of messages) {
    if (row.space.endsWith("_reply") || row.name.startsWith("multipart_") || row.name === "hello") continue;
    for (const version of versions) {
      if (version < row.from || version > row.to) continue;
      const [type, head] = headers(version, row.space, row.number);
      const sizes = new Set([row.bodyMin - 1, row.bodyMin + (row.bodyStep === 1 ? 0 : 1)]);
      if (row.bodyMin > 0) sizes.add(0);
      for (const size of sizes) {
        if (size < 0 || (row.bodyStep === 1 && size >= row.bodyMin)) continue;
        const body = [...head, ...new Array<number>(size).fill(0)];
        cases.push({ name: `${row.space} ${row.name} body ${size}`, version, bytes: message(version, type, body) });
      }
    }
  }
  return cases;
}

/** Types, experimenters, subtypes and statistics that nobody knows. */
function unknown(): Case[] {
  return versions.flatMap((version) => {
    const request = version === 1 ? 16 : 18;
    const stat = (type: number): number[] => [...u16(type), ...u16(0), ...(version === 1 ? [] : u32(0))];
    const of = (name: string, type: number, body: number[]): Case => ({
      name,
      version,
      bytes: message(version, type, body),
    });
    return [
      of("type 40", 40, []),
      of("type 200", 200, []),
      of("experimenter", 4, [...u32(0x1234), ...u32(1)]),
      of("nicira subtype", 4, [...u32(nicira), ...u32(9999)]),
      of("onf subtype", 4, [...u32(onf), ...u32(9999)]),
      of("experimenter cut short", 4, [0, 0]),
      of("statistics", request, stat(0x7000)),
      of("statistics of an experimenter", request, [...stat(0xffff), ...u32(0x1234), ...u32(0), ...u32(0)]),
      of("nicira statistics", request, [...stat(0xffff), ...u32(nicira), ...u32(999), ...u32(0)]),
      of("statistics cut short", request, [0]),
    ];
  });
}

/** Requests that are whole, about what is not there or cannot be. */
function impossible(): Case[] {
  const cases: Case[] = [];
  const add = (version: number, name: string, type: number, body: readonly number[]): void => {
    cases.push({ name, version, bytes: message(version, type, body) });
  };
  for (const version of versions) {
    add(version, "set_config flags", 9, [...u16(0x80), ...u16(0)]);
    if (version >= 3) add(version, "role", 24, [...u32(9), ...u32(0), ...u32(0), ...u32(0)]);
    if (version >= 2) add(version, "table_mod of table 254", 17, [254, 0, 0, 0, ...u32(0)]);
    if (version >= 5) {
      add(version, "bundle commit without open", 33, [...u32(7), ...u16(4), ...u16(0)]);
      add(version, "bundle close without open", 33, [...u32(7), ...u16(2), ...u16(0)]);
      add(version, "bundle discard without open", 33, [...u32(7), ...u16(6), ...u16(0)]);
      add(version, "bundle reply", 33, [...u32(7), ...u16(1), ...u16(0)]);
      add(version, "bundle_add without a message", 34, [...u32(7), ...u16(0), ...u16(0)]);
      const inner = (type: number, xid: number, v: number = version): number[] => [v, type, ...u16(8), ...u32(xid)];
      const bundle = [...u32(7), ...u16(0), ...u16(0)];
      add(version, "bundle_add of a barrier", 34, [...bundle, ...inner(20, 0x1234)]);
      add(version, "bundle_add of an unknown type", 34, [...bundle, ...inner(99, 0x1234)]);
      add(version, "bundle_add of another xid", 34, [...bundle, ...inner(14, 1)]);
      add(version, "bundle_add of another version", 34, [...bundle, ...inner(14, 0x1234, version - 1)]);
      add(version, "table_mod with an unknown property", 17, [0, 0, 0, 0, ...u32(0), ...u16(9), ...u16(8), ...u32(0)]);
      add(version, "table_mod with eviction flags", 17, [0, 0, 0, 0, ...u32(0), ...u16(2), ...u16(8), ...u32(1)]);
      add(version, "queue_desc of no port", 18, [...u16(15), ...u16(0), ...u32(0), ...u32(77), ...u32(0xffffffff)]);
    }
  }
  return cases;
}

/** One connection: sends a message and an echo request, and gives what came before the echo reply. */
class Client {
  readonly #socket: Socket;
  #buffer = Buffer.alloc(0);
  #closed = false;
  #wake: () => void = () => undefined;

  constructor(path: string, version: number) {
    this.#socket = connect(path);
    this.#socket.on("error", () => undefined);
    this.#socket.on("close", () => {
      this.#closed = true;
      this.#wake();
    });
    this.#socket.on("data", (data: Buffer) => {
      this.#buffer = Buffer.concat([this.#buffer, data]);
      this.#wake();
    });
    const hello = [version, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 8, ...u32(1 << version)];
    this.#socket.write(Uint8Array.from(hello));
  }

  async ask(bytes: Uint8Array): Promise<string[]> {
    this.#socket.write(bytes);
    this.#socket.write(Uint8Array.from([bytes[0] ?? 0, 2, 0, 8, 0, 0, 0xee, 0xee]));
    const answers: string[] = [];
    const until = Date.now() + 10_000;
    for (;;) {
      const size = this.#buffer.length >= 8 ? this.#buffer.readUInt16BE(2) : 0;
      if (size >= 8 && this.#buffer.length >= size) {
        const answer = this.#buffer.subarray(0, size);
        this.#buffer = this.#buffer.subarray(size);
        if (answer[1] === 3 && answer.readUInt32BE(4) === 0xeeee) return answers;
        // Only errors are compared: what an answer that is not one says is other tests' concern.
        if (answer[1] === 1) answers.push(answer.toString("hex"));
        continue;
      }
      if (this.#closed) return [...answers, "closed"];
      const left = until - Date.now();
      if (left <= 0) return [...answers, "silent"];
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}

async function answersOf(under: Switch, cases: readonly Case[]): Promise<string[]> {
  const clients = new Map<number, Client>();
  const answers: string[] = [];
  for (const { version, bytes } of cases) {
    const client = clients.get(version) ?? new Client(join(under.directory, "br0.mgmt"), version);
    clients.set(version, client);
    const said = await client.ask(bytes);
    answers.push(said.join(" "));
    if (said.at(-1) === "closed" || said.at(-1) === "silent") {
      client.close();
      clients.delete(version);
    }
  }
  for (const client of clients.values()) client.close();
  return answers;
}

maybe("messages that cannot be get the error that Open vSwitch gives, with the same bytes of the request", async () => {
  const cases = [...wrongLengths(), ...unknown(), ...impossible()];
  assert.ok(cases.length >= 300, `${cases.length} cases`);
  await withPair(async (pair) => {
    for (const under of pair.both)
      under.ok("ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy");
    const [ours = [], theirs = []] = await Promise.all(pair.both.map((under) => answersOf(under, cases)));
    const wrong = cases.flatMap(({ name, version }, index) =>
      ours[index] === theirs[index]
        ? []
        : [`1.${version - 1} ${name}\n  ours   ${ours[index]}\n  theirs ${theirs[index]}`],
    );
    assert.is(wrong.join("\n"), "");
  });
});

test.run();
