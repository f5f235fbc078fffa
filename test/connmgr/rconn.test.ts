import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  accepted,
  connected,
  connecting,
  deadline,
  disconnected,
  due,
  effectiveProbeMs,
  failureMs,
  isAdmitted,
  probed,
  type RconnState,
  received,
  start,
  voidRconn,
} from "../../ts/connmgr/rconn.js";

const timing = { maxBackoffMs: 8000, probeMs: 5000 };

/** Runs a script of `word argument` lines and returns the transcript: time, state, backoff, and remarks. */
function transcript(script: string): string {
  let now = 0;
  let state: RconnState = voidRconn(now);
  const lines: string[] = [];
  const take = (step: { state: RconnState; remarks: readonly { text: string }[] }): void => {
    state = step.state;
    for (const remark of step.remarks) lines.push(`  ${remark.text}`);
  };
  for (const line of script.trim().split("\n")) {
    const [word, argument] = line.trim().split(" ");
    if (word === "start") state = start(state, now);
    else if (word === "wait") now = argument === undefined ? (deadline(state, timing) ?? now) : now + Number(argument);
    else if (word === "run") {
      const action = due(state, now, timing);
      lines.push(`  action ${action}`);
      if (action === "connect") take(connecting(state, now, timing));
      else if (action === "probe") take(probed(state, now));
      else if (action === "timeout") take(disconnected(state, { cause: "timeout" }, now, timing));
    } else if (word === "connected") take(connected(state, now));
    else if (word === "fail") take(disconnected(state, { cause: "refused", error: "Connection refused" }, now, timing));
    else if (word === "drop") take(disconnected(state, { cause: "dropped", error: "Protocol error" }, now, timing));
    else if (word === "accept") state = accepted(now);
    else if (word === "close") take(disconnected(state, { cause: "closed" }, now, timing));
    else if (word === "receive") state = received(state, argument === "admits", now);
    else throw new Error(line);
    lines.push(
      `${now} ${line.trim()}: ${state.name} backoff=${state.backoffMs} admitted=${isAdmitted(state)} failure=${failureMs(state, now)}`,
    );
  }
  return lines.join("\n");
}

test("refused connections back off 1, 2, 4, 8 seconds and then stay quiet", () => {
  assert.is(
    transcript("start\nrun\nfail\nwait\nrun\nfail\nwait\nrun\nfail\nwait\nrun\nfail\nwait\nrun\nfail\nwait\nrun"),
    `0 start: BACKOFF backoff=0 admitted=false failure=0
  action connect
  connecting...
0 run: CONNECTING backoff=0 admitted=false failure=0
  connection failed (Connection refused)
  waiting 1 seconds before reconnect
0 fail: BACKOFF backoff=1000 admitted=false failure=0
1000 wait: BACKOFF backoff=1000 admitted=false failure=1000
  action connect
  connecting...
1000 run: CONNECTING backoff=1000 admitted=false failure=1000
  connection failed (Connection refused)
  waiting 2 seconds before reconnect
1000 fail: BACKOFF backoff=2000 admitted=false failure=1000
3000 wait: BACKOFF backoff=2000 admitted=false failure=3000
  action connect
  connecting...
3000 run: CONNECTING backoff=2000 admitted=false failure=3000
  connection failed (Connection refused)
  waiting 4 seconds before reconnect
3000 fail: BACKOFF backoff=4000 admitted=false failure=3000
7000 wait: BACKOFF backoff=4000 admitted=false failure=7000
  action connect
  connecting...
7000 run: CONNECTING backoff=4000 admitted=false failure=7000
  connection failed (Connection refused)
  continuing to retry connections in the background but suppressing further logging
7000 fail: BACKOFF backoff=8000 admitted=false failure=7000
15000 wait: BACKOFF backoff=8000 admitted=false failure=15000
  action connect
15000 run: CONNECTING backoff=8000 admitted=false failure=15000
  connection failed (Connection refused)
15000 fail: BACKOFF backoff=8000 admitted=false failure=15000
23000 wait: BACKOFF backoff=8000 admitted=false failure=23000
  action connect
23000 run: CONNECTING backoff=8000 admitted=false failure=23000`,
  );
});

test("a silent peer is probed after 5 seconds and dropped after 5 more", () => {
  assert.is(
    transcript("start\nrun\nconnected\nwait\nrun\nwait\nrun"),
    `0 start: BACKOFF backoff=0 admitted=false failure=0
  action connect
  connecting...
0 run: CONNECTING backoff=0 admitted=false failure=0
  connected
0 connected: ACTIVE backoff=0 admitted=true failure=0
5000 wait: ACTIVE backoff=0 admitted=true failure=0
  action probe
  idle 5 seconds, sending inactivity probe
5000 run: IDLE backoff=0 admitted=true failure=0
10000 wait: IDLE backoff=0 admitted=true failure=0
  action timeout
  no response to inactivity probe after 5 seconds, disconnecting
10000 run: BACKOFF backoff=1000 admitted=false failure=10000`,
  );
});

test("an answer to the probe makes the connection active again", () => {
  const text = transcript("start\nrun\nconnected\nwait\nrun\nwait 100\nreceive\nwait\nrun");
  assert.ok(text.includes("5100 receive: ACTIVE"));
  assert.ok(text.endsWith("10100 run: IDLE backoff=0 admitted=true failure=0"));
});

test("only a message that admits, or thirty seconds, resets the failure clock", () => {
  const text = transcript(
    "start\nwait 1000\nrun\nconnected\nwait 1000\nreceive\nwait 1000\nreceive admits\nclose\nwait 3000\nrun",
  );
  assert.ok(text.includes("2000 receive: ACTIVE backoff=0 admitted=false failure=2000"), text);
  assert.ok(text.includes("3000 receive admits: ACTIVE backoff=0 admitted=true failure=0"));
  assert.ok(text.includes("6000 wait 3000: BACKOFF backoff=1000 admitted=false failure=3000"));
  const patient = transcript("start\nwait 1000\nrun\nconnected\nwait 30000\nreceive");
  assert.ok(patient.endsWith("31000 receive: ACTIVE backoff=0 admitted=true failure=0"));
});

test("a stream that breaks before the hellos is no failed attempt: the first wait is one second, unsaid", () => {
  assert.is(
    transcript("start\nrun\nwait 3\ndrop\nwait\nrun\nwait 3\ndrop"),
    `0 start: BACKOFF backoff=0 admitted=false failure=0
  action connect
  connecting...
0 run: CONNECTING backoff=0 admitted=false failure=0
3 wait 3: CONNECTING backoff=0 admitted=false failure=3
  connection dropped (Protocol error)
3 drop: BACKOFF backoff=1000 admitted=false failure=3
1003 wait: BACKOFF backoff=1000 admitted=false failure=1003
  action connect
  connecting...
1003 run: CONNECTING backoff=1000 admitted=false failure=1003
1006 wait 3: CONNECTING backoff=1000 admitted=false failure=1006
  connection dropped (Protocol error)
  waiting 2 seconds before reconnect
1006 drop: BACKOFF backoff=2000 admitted=false failure=1006`,
  );
});

test("whoever opened a connection to us has a second for its hello, and is never called back", () => {
  const text = transcript("accept\nwait\nrun\nrun");
  assert.is(
    text,
    `0 accept: CONNECTING backoff=0 admitted=false failure=0
1000 wait: CONNECTING backoff=0 admitted=false failure=1000
  action timeout
  connection timed out
1000 run: DISCONNECTED backoff=0 admitted=false failure=1000
  action undefined
1000 run: DISCONNECTED backoff=0 admitted=false failure=1000`,
  );
});

test("an attempt is given up after a second, or the backoff", () => {
  const text = transcript("start\nrun\nwait\nrun\nwait\nrun\nwait");
  assert.ok(text.includes("1000 run: BACKOFF backoff=1000"));
  assert.ok(text.endsWith("3000 wait: CONNECTING backoff=1000 admitted=false failure=3000"), text);
});

test("probes come every 5 seconds at most, and never when turned off", () => {
  assert.is(effectiveProbeMs(1000), 5000);
  assert.is(effectiveProbeMs(15000), 15000);
  assert.is(effectiveProbeMs(0), 0);
});

test.run();
