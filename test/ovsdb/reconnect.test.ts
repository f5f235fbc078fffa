import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ReconnectState } from "../../ts/ovsdb/reconnect.js";
import * as reconnect from "../../ts/ovsdb/reconnect.js";

const timing = reconnect.defaultTiming;

test("failures double the wait, up to the longest", () => {
  let now = 0;
  let state: ReconnectState = reconnect.enable(reconnect.voidState, now);
  const waits: number[] = [];
  for (let i = 0; i < 6; i++) {
    assert.is(reconnect.due(state, now, timing), "connect");
    state = reconnect.connecting(state, now);
    now += 1;
    state = reconnect.disconnected(state, now, timing);
    const at = reconnect.deadline(state, timing) as number;
    waits.push(at - now);
    assert.is(reconnect.due(state, at - 1, timing), undefined);
    now = at;
  }
  assert.equal(waits, [1000, 2000, 4000, 8000, 8000, 8000]);
});

test("a connection that lasted begins again with the shortest wait, and one that did not goes on doubling", () => {
  let state: ReconnectState = reconnect.enable(reconnect.voidState, 0);
  state = reconnect.disconnected(reconnect.connecting(state, 0), 0, timing);
  state = reconnect.disconnected(reconnect.connecting(state, 1000), 1000, timing);
  assert.is(state.name === "BACKOFF" && state.backoffMs, 2000);
  const brief = reconnect.disconnected(reconnect.connected(reconnect.connecting(state, 3000), 3000), 3100, timing);
  assert.is(brief.name === "BACKOFF" && brief.backoffMs, 4000);
  const up = reconnect.activity(reconnect.connected(reconnect.connecting(state, 3000), 3000), 9000);
  const long = reconnect.disconnected(up, 9001, timing);
  assert.is(long.name === "BACKOFF" && long.backoffMs, 1000);
});

test("silence causes a probe, and silence after it the end; an answer saves the connection", () => {
  let state: ReconnectState = reconnect.connected(reconnect.connecting(reconnect.enable(reconnect.voidState, 0), 0), 0);
  assert.is(reconnect.due(state, 4999, timing), undefined);
  assert.is(reconnect.due(state, 5000, timing), "probe");
  state = reconnect.probed(state, 5000);
  assert.is(state.name, "IDLE");
  assert.is(reconnect.due(state, 9999, timing), undefined);
  assert.is(reconnect.due(state, 10_000, timing), "disconnect");
  assert.is(reconnect.activity(state, 9000).name, "ACTIVE");
  assert.is(reconnect.deadline(state, { ...timing, probeMs: 0 }) === undefined, false);
  assert.is(reconnect.deadline(reconnect.activity(state, 9000), { ...timing, probeMs: 0 }), undefined);
});

test("an attempt that takes too long is given up", () => {
  const state = reconnect.connecting(reconnect.enable(reconnect.voidState, 0), 0);
  assert.is(reconnect.due(state, 999, timing), undefined);
  assert.is(reconnect.due(state, 1000, timing), "disconnect");
});

test.run();
