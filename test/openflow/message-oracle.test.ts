import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { rfc2819Counters } from "../../ts/openflow/codec-port.js";
import {
  decodeMessage,
  encodeMessage,
  errors,
  formatMessage,
  inPortMatch,
  type MessageBody,
  type Version,
} from "../../ts/openflow/index.js";
import { readCorpus } from "./flow-corpus.js";
import {
  actions,
  failover,
  flowStats,
  group,
  groupMod,
  hashed,
  hwAddr,
  match,
  port,
  portCounters,
  times,
} from "./message-samples.js";

const installed = spawnSync("ovs-ofctl", ["--version"]).status === 0;
if (!installed) console.log("skipped: ovs-ofctl is not installed, so nothing is compared with it");

/** What ovs-ofctl prints for a stream of messages. */
function print(messages: readonly Uint8Array[]): string {
  const directory = mkdtempSync(join(tmpdir(), "openflow-oracle-"));
  try {
    const file = join(directory, "messages");
    writeFileSync(file, Buffer.concat(messages));
    return execFileSync("ovs-ofctl", ["ofp-parse", file], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const empty = new Uint8Array(0);

/** A message, and a piece of what ovs-ofctl prints for it. */
const bodies: readonly (readonly [MessageBody, string, (readonly Version[])?])[] = [
  [{ type: "hello", versions: 0x52 }, "version bitmap: 0x01, 0x04, 0x06"],
  [{ type: "echo_request", data: empty }, "OFPT_ECHO_REQUEST"],
  [{ type: "barrier_reply" }, "OFPT_BARRIER_REPLY"],
  [
    {
      type: "features_reply",
      datapathId: 0x1234n,
      nBuffers: 0,
      nTables: 254,
      auxiliaryId: 0,
      capabilities: 0xc7,
      actions: 0xfff,
      ports: [port],
    },
    "dpid:0000000000001234",
  ],
  [
    { type: "get_config_reply", fragMode: 0, invalidTtlToController: false, missSendLen: 128 },
    "frags=normal miss_send_len=128",
  ],
  [{ type: "set_config", fragMode: 1, invalidTtlToController: false, missSendLen: 0 }, "frags=drop miss_send_len=0"],
  [
    {
      type: "packet_in",
      format: "standard",
      bufferId: 0xffffffff,
      totalLen: 60,
      reason: 1,
      tableId: 3,
      cookie: 5n,
      match: inPortMatch(3),
      packet: new Uint8Array(60),
      userdata: empty,
    },
    "total_len=60 in_port=3 (via action) data_len=60",
  ],
  [
    {
      type: "packet_in",
      format: "nxt_packet_in",
      bufferId: 0xffffffff,
      totalLen: 60,
      reason: 0,
      tableId: 3,
      cookie: 5n,
      match: inPortMatch(3),
      packet: new Uint8Array(60),
      userdata: empty,
    },
    "table_id=3 cookie=0x5 total_len=60 in_port=3 (via no_match)",
  ],
  [
    {
      type: "packet_in",
      format: "nxt_packet_in2",
      bufferId: 0xffffffff,
      totalLen: 60,
      reason: 0,
      tableId: 3,
      cookie: 5n,
      match: inPortMatch(3),
      packet: new Uint8Array(60),
      userdata: Uint8Array.of(1, 2),
    },
    "userdata=01.02",
  ],
  [
    {
      type: "flow_removed",
      standard: true,
      reason: 1,
      tableId: 3,
      priority: 7,
      cookie: 9n,
      ...times,
      idleTimeout: 10,
      hardTimeout: 20,
      packetCount: 5n,
      byteCount: 6n,
      match,
    },
    "reason=hard",
  ],
  [
    {
      type: "flow_removed",
      standard: false,
      reason: 0,
      tableId: 3,
      priority: 7,
      cookie: 9n,
      ...times,
      idleTimeout: 10,
      hardTimeout: 20,
      packetCount: 5n,
      byteCount: 6n,
      match,
    },
    "reason=idle table_id=3 cookie:0x9 duration5.123s idle10 pkts5 bytes6",
    [1],
  ],
  [{ type: "port_status", reason: 2, port }, "MOD: 3(eth3): addr:00:11:22:33:44:55"],
  [
    { type: "packet_out", bufferId: 0xffffffff, inPort: 3, match: inPortMatch(3), actions, packet: new Uint8Array(60) },
    "in_port=3 actions=output:2,CONTROLLER:100 data_len=60",
  ],
  [{ type: "port_mod", port: 3, hwAddr, config: 1, mask: 1, advertise: 0 }, "port: 3: addr:00:11:22:33:44:55"],
  [{ type: "role_request", standard: false, role: 2, generationId: undefined }, "role=primary", [1]],
  [{ type: "role_request", standard: true, role: 3, generationId: 5n }, "role=secondary generation_id=5", [4, 5, 6]],
  [
    { type: "role_status", role: 2, reason: 0, generationId: 7n },
    "role=primary generation_id=7 reason=primary_request",
    [4, 5, 6],
  ],
  [{ type: "nxt_set_packet_in_format", value: 2 }, "NXT_SET_PACKET_IN_FORMAT"],
  [{ type: "nxt_flow_mod_table_id", value: 1 }, "enable", [1]],
  [{ type: "nxt_set_controller_id", value: 7 }, "id=7"],
  [
    { type: "desc_reply", manufacturer: "m", hardware: "h", software: "s", serial: "n", datapath: "d" },
    "Manufacturer: m",
  ],
  [
    { type: "aggregate_reply", standard: true, packetCount: 5n, byteCount: 6n, flowCount: 7 },
    "packet_count=5 byte_count=6 flow_count=7",
  ],
  [
    {
      type: "table_stats_reply",
      more: false,
      tables: [
        {
          tableId: 0,
          name: "classifier",
          activeCount: 5,
          lookupCount: 6n,
          matchedCount: 7n,
          maxEntries: 1000000,
          config: 0,
        },
      ],
    },
    "active=5, lookup=6, matched=7",
  ],
  [
    { type: "port_stats_reply", more: false, ports: [{ port: 3, ...portCounters, ...times }] },
    "rx pkts=1, bytes=3, drop=5, errs=7, frame=9, over=10, crc=11",
  ],
  [
    {
      type: "port_stats_reply",
      more: false,
      ports: [
        { port: 3, ...portCounters, ...times, rfc2819: rfc2819Counters.map((_, index) => BigInt(index)) },
        {
          port: 4,
          ...portCounters,
          ...times,
          custom: ["a", "b", "rx_c", "tx_q0_bytes"].map((name, index) => [name, BigInt(index)] as const),
        },
      ],
    },
    "rx pkts=1, bytes=3, drop=5, errs=7, frame=9, over=10, crc=11",
  ],
  [
    {
      type: "queue_stats_reply",
      more: false,
      queues: [{ port: 3, queue: 4, txBytes: 5n, txPackets: 6n, txErrors: 7n, ...times }],
    },
    "port 3 queue 4: bytes=5, pkts=6, errors=7",
  ],
  [{ ...groupMod, ...group }, "ADD group_id=5"],
  [{ ...groupMod, ...hashed, command: 1 }, "MOD group_id=5"],
  [{ ...groupMod, ...failover }, "type=ff"],
  [{ ...groupMod, command: 2, groupType: 0, groupId: 5, buckets: [], selection: undefined }, "DEL group_id=5"],
  [{ ...groupMod, ...group, command: 3, commandBucket: 0xfffffffe }, "INSERT_BUCKET", [1, 6]],
  [{ ...groupMod, ...group, command: 5, commandBucket: 7, buckets: [] }, "REMOVE_BUCKET", [1, 6]],
  [{ type: "group_stats_request", id: 5 }, "group_id=5"],
  [{ type: "group_stats_request", id: 0xfffffffc }, "group_id=ALL"],
  [{ type: "group_desc_request", id: 5 }, "group_id=5", [1, 6]],
  [{ type: "group_desc_reply", more: false, groups: [group, hashed, failover] }, "group_id=5,type=select"],
  [
    {
      type: "group_stats_reply",
      more: false,
      groups: [{ groupId: 5, refCount: 2, packetCount: 5n, byteCount: 6n, ...times, buckets: [] }],
    },
    "group_id=5",
  ],
  [{ type: "port_desc_reply", more: false, ports: [port] }, "3(eth3): addr:00:11:22:33:44:55"],
  [
    {
      type: "flow_stats_reply",
      standard: true,
      more: false,
      flows: [{ ...flowStats, idleAge: undefined }],
    },
    "cookie=0x9, duration=5.123s, table=3, n_packets=5, n_bytes=6, idle_timeout=10, ",
  ],
  [
    {
      type: "flow_stats_reply",
      standard: false,
      more: false,
      flows: [flowStats],
    },
    "idle_timeout=10, idle_age=4, priority=7,tcp,in_port=3,tp_dst=80 actions=output:2,CONTROLLER:100",
    [1],
  ],
  [
    {
      type: "flow_stats_request",
      standard: true,
      tableId: 3,
      outPort: 5,
      outGroup: 0xffffffff,
      cookie: 0n,
      cookieMask: 0n,
      match,
    },
    "table=3 out_port=5 tcp,in_port=3,tp_dst=80",
  ],
  [{ type: "queue_get_config_request", port: 3 }, "port=3", [1, 4]],
  [
    {
      type: "queue_get_config_reply",
      port: 3,
      queues: [{ port: 3, queue: 4, minRate: 500, maxRate: undefined }],
    },
    "queue 4: min_rate:50.0%",
    [1, 4],
  ],
  [{ type: "queue_desc_request", port: 3, queue: 9 }, "port=3 queue=9", [5, 6]],
  [
    {
      type: "queue_desc_reply",
      more: false,
      queues: [
        { port: 3, queue: 4, minRate: 500, maxRate: 750 },
        { port: 3, queue: 5, minRate: undefined, maxRate: undefined },
      ],
    },
    "queue 4: min_rate:50.0% max_rate:75.0%",
    [5, 6],
  ],
  [{ type: "table_mod", tableId: 3, config: 0, evictionFlags: undefined, vacancy: undefined }, "table_id=3", [4, 5, 6]],
];

const all: readonly Version[] = [1, 4, 5, 6];

test("ovs-ofctl prints our messages as what they say", () => {
  if (!installed) return;
  const wrong: string[] = [];
  for (const [body, piece, versions] of bodies) {
    for (const version of versions ?? all) {
      const text = print([encodeMessage(version, 5, body)]);
      if (text.includes(piece) && !text.includes("decode error")) continue;
      wrong.push(`${body.type} in ${version}: wanted ${piece}, got ${text}`);
    }
  }
  assert.is(wrong.join("\n"), "");
});

/** Kinds of which our text is only the heading. */
const headingOnly: readonly MessageBody["type"][] = [
  "flow_monitor_reply",
  "flow_monitor_request",
  "get_async_reply",
  "meter_mod",
  "queue_desc_reply",
  "queue_desc_request",
  "queue_get_config_reply",
  "queue_stats_reply",
  "set_async",
  "table_mod",
];

/** Without the flow that ovs-ofctl reads out of a packet's bytes, and without spaces at the ends of lines. */
function withoutPacket(text: string): string {
  return text.replace(/^(?:[a-z_0-9]+,)?vlan_tci=.*\n/gm, "").replace(/ +$/gm, "");
}

test("our text of a message is that of ovs-ofctl", () => {
  if (!installed) return;
  const wrong: string[] = [];
  for (const [body, , versions] of bodies) {
    for (const version of versions ?? all) {
      const bytes = encodeMessage(version, 5, body);
      const theirs = withoutPacket(print([bytes]));
      const ours = withoutPacket(formatMessage(bytes));
      const isEqual = headingOnly.includes(body.type) ? theirs.startsWith(ours.split(":")[0] ?? "?") : theirs === ours;
      if (!isEqual) wrong.push(`${body.type} in ${version}:\n--- ovs-ofctl\n${theirs}--- ours\n${ours}`);
    }
  }
  assert.is(wrong.join("\n"), "");
});

test("a message that cannot be read is shown by its bytes, as ovs-ofctl shows it", () => {
  const bytes = encodeMessage(4, 5, { type: "role_request", standard: true, role: 2, generationId: 1n });
  const cut = bytes.slice(0, 16);
  cut[3] = 16;
  const text = formatMessage(cut);
  assert.is(
    text,
    [
      "***decode error: OFPBRC_BAD_LEN***",
      "00000000  04 18 00 10 00 00 00 05-00 00 00 02 00 00 00 00 |................|",
      "",
    ].join("\n"),
  );
  if (installed) assert.is(print([cut]), text);
  const noises = Array.from({ length: 33 }, (_, more) =>
    Uint8Array.from({ length: 8 + more }, (_, index) => [4, 99, 0, 8 + more][index] ?? 7 * index),
  );
  if (installed) assert.is(noises.map((noise) => formatMessage(noise)).join(""), print(noises));
});

test("a message decoded and encoded again is the same bytes", () => {
  for (const [body, , versions] of bodies) {
    for (const version of versions ?? all) {
      const bytes = encodeMessage(version, 5, body);
      assert.equal(encodeMessage(version, 5, decodeMessage(bytes)), bytes, `${body.type} in ${version}`);
    }
  }
});

test("ovs-ofctl knows our errors by the same names", () => {
  if (!installed) return;
  const sent: string[] = [];
  const messages: Uint8Array[] = [];
  for (const row of errors) {
    for (const form of row.wire) {
      for (let version = form.from; version <= form.to; version++) {
        sent.push(row.name);
        messages.push(
          encodeMessage(version, 1, {
            type: "error",
            error: row.name,
            vendor: form.vendor,
            errorType: form.type,
            errorCode: form.code,
            data: empty,
          }),
        );
      }
    }
  }
  const printed = [...print(messages).matchAll(/^OFPT_ERROR.*: (\w+)$/gm)].map(([, name]) => name);
  assert.equal(printed, sent);
});

test("the expectations of flows.md are what ovs-ofctl prints", () => {
  if (!installed) return;
  const names = { 1: "OpenFlow10", 4: "OpenFlow13", 6: "OpenFlow15" } as const;
  for (const version of [1, 4, 6] as const) {
    const good = readCorpus().flatMap(({ input, expected }) => {
      const text = expected.find((one) => one.version === version)?.text ?? "";
      return text.startsWith("ADD") ? [{ input, text }] : [];
    });
    const directory = mkdtempSync(join(tmpdir(), "openflow-corpus-"));
    try {
      writeFileSync(join(directory, "flows"), `${good.map(({ input }) => input).join("\n")}\n`);
      const run = spawnSync(
        "ovs-ofctl",
        ["-O", names[version], "--no-names", "parse-flows", join(directory, "flows")],
        { encoding: "utf8" },
      );
      const printed = [...run.stdout.matchAll(/_FLOW_MOD.*?: (ADD.*)$/gm)].map(([, text]) => text);
      // One form serves a whole file; flows that another form would say differently are left out.
      const differ = good.filter(({ text }, index) => printed[index] !== text);
      assert.is(printed.length, good.length, run.stderr);
      assert.ok(version === 1 || differ.length === 0, differ.map(({ input }) => input).join("\n"));
    } finally {
      rmSync(directory, { recursive: true });
    }
  }
});

test.run();
