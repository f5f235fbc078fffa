import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type FailController,
  failOpenIdle,
  failOpenPriority,
  stepFailOpen,
  triggerMs,
} from "../../ts/connmgr/fail-mode.js";
import { FramingError, MessageFramer } from "../../ts/connmgr/framer.js";
import { effectiveRate, PacketInSchedule } from "../../ts/connmgr/packet-in-schedule.js";
import { claim } from "../../ts/connmgr/role.js";
import { parseTarget } from "../../ts/connmgr/target.js";
import {
  defaultVersions,
  describe,
  disagreement,
  negotiate,
  peerVersions,
  versionsOf,
} from "../../ts/connmgr/version.js";

const controller = (more: Partial<FailController>): FailController => ({
  failureMs: 0,
  isConnected: false,
  isAdmitted: false,
  probeMs: 5000,
  ...more,
});

test("a standalone bridge fails open after three probe intervals", () => {
  assert.is(triggerMs([controller({})]), 15000);
  assert.is(triggerMs([controller({ probeMs: 1000 })]), 3000);
  assert.is(triggerMs([controller({ probeMs: 0 })]), 1000);
  assert.is(triggerMs([controller({ probeMs: 1000 }), controller({ probeMs: 4000 })]), 12000);
  const wait = stepFailOpen(failOpenIdle, "standalone", [controller({ failureMs: 14999 })], 0);
  assert.equal(wait.actions, []);
  const enter = stepFailOpen(failOpenIdle, "standalone", [controller({ failureMs: 15000 })], 0);
  assert.equal(enter.actions, [{ do: "enter", failureMs: 15000 }]);
  assert.is(failOpenPriority, 15790320);
});

test("the least failed of several controllers decides, and secure bridges never fail open", () => {
  const controllers = [controller({ failureMs: 60000 }), controller({ failureMs: 1000 })];
  assert.equal(stepFailOpen(failOpenIdle, "standalone", controllers, 0).actions, []);
  assert.equal(stepFailOpen(failOpenIdle, "secure", [controller({ failureMs: 60000 })], 0).actions, []);
  assert.equal(stepFailOpen(failOpenIdle, "standalone", [], 0).actions, []);
});

test("while a controller is connected but silent, fake packet-ins go every two seconds; admission recovers", () => {
  let step = stepFailOpen(failOpenIdle, "standalone", [controller({ failureMs: 15000 })], 0);
  const trying = [controller({ failureMs: 16000, isConnected: true })];
  step = stepFailOpen(step.state, "standalone", trying, 1000);
  assert.equal(step.actions, []);
  step = stepFailOpen(step.state, "standalone", trying, 2999);
  assert.equal(step.actions, []);
  step = stepFailOpen(step.state, "standalone", trying, 3000);
  assert.equal(step.actions, [{ do: "bogus_packet_in" }]);
  assert.equal(stepFailOpen(step.state, "secure", trying, 3050).actions, [{ do: "recover" }]);
  step = stepFailOpen(step.state, "standalone", [controller({ failureMs: 75000, isConnected: true })], 3060);
  assert.equal(step.actions, []);
  step = stepFailOpen(step.state, "standalone", [controller({ failureMs: 76000, isConnected: true })], 3070);
  assert.equal(step.actions, [{ do: "still", failureMs: 76000 }]);
  step = stepFailOpen(step.state, "standalone", [controller({ isConnected: true, isAdmitted: true })], 3100);
  assert.equal(step.actions, [{ do: "recover" }]);
  assert.not.ok(step.state.active);
});

test("messages come out whole however the stream was cut", () => {
  const messages = [8, 9, 300, 8, 65535].map((size, index) => {
    const bytes = new Uint8Array(size).fill(index + 1);
    new DataView(bytes.buffer).setUint16(2, size);
    return bytes;
  });
  const stream = Buffer.concat(messages);
  for (const step of [1, 3, 7, 8, 100, 4096, stream.length]) {
    const framer = new MessageFramer();
    const out: Uint8Array[] = [];
    for (let at = 0; at < stream.length; at += step) {
      framer.push(stream.subarray(at, Math.min(stream.length, at + step)));
      for (let message = framer.next(); message !== undefined; message = framer.next()) out.push(message.slice());
    }
    assert.equal(
      out.map((message) => message.length),
      messages.map((message) => message.length),
    );
    assert.is(Buffer.compare(Buffer.concat(out), stream), 0);
    assert.is(framer.size, 0);
  }
});

test("messages come out whole whoever reads them late", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 8, max: 40 }), { maxLength: 20 }),
      fc.array(fc.tuple(fc.nat(60), fc.nat(3)), { minLength: 1 }),
      (sizes, steps) => {
        const messages = sizes.map((size, index) => {
          const bytes = new Uint8Array(size).fill(index + 1);
          new DataView(bytes.buffer).setUint16(2, size);
          return bytes;
        });
        const stream = Buffer.concat(messages);
        const framer = new MessageFramer();
        const out: Uint8Array[] = [];
        let at = 0;
        const read = (most: number): void => {
          for (let count = 0; count < most && framer.advance(); count++)
            out.push(framer.bytes.subarray(framer.start, framer.end));
        };
        for (const [size, reads] of steps) {
          framer.push(stream.subarray(at, at + size));
          at = Math.min(stream.length, at + size);
          assert.is(framer.size, at - Buffer.concat(out).length);
          read(reads);
        }
        framer.push(stream.subarray(at));
        assert.is(framer.ready, out.length < messages.length);
        read(messages.length);
        assert.equal(out, messages);
      },
    ),
  );
});

test("a length below eight bytes ends the stream", () => {
  const framer = new MessageFramer();
  framer.push(Uint8Array.of(4, 0, 0, 7));
  assert.throws(
    () => framer.next(),
    (error: unknown) => error instanceof FramingError && error.length === 7,
  );
});

test("versions are negotiated by bitmap, or by the lower of two maxima", () => {
  assert.is(negotiate(defaultVersions, peerVersions(4, undefined)), 4);
  assert.is(negotiate(defaultVersions, peerVersions(9, 0b110000)), 5);
  assert.is(negotiate(versionsOf(["OpenFlow10", "OpenFlow13"]), peerVersions(6, undefined)), 4);
  assert.is(negotiate(versionsOf(["OpenFlow10", "OpenFlow13"]), peerVersions(3, undefined)), 1);
  assert.is(negotiate(versionsOf(["OpenFlow13"]), peerVersions(1, undefined)), undefined);
  assert.is(negotiate(defaultVersions, peerVersions(0, undefined)), undefined);
  assert.is(describe(defaultVersions), "version 0x06 and earlier");
  assert.is(
    disagreement(versionsOf(["OpenFlow10", "OpenFlow13"]), peerVersions(6, 0b1000100)),
    "We support versions 0x01, 0x04, you support versions 0x02, 0x06, no common versions.",
  );
});

test("an older claim of a role is stale, with wrap-around", () => {
  assert.equal(claim({ id: undefined }, 5n), { id: 5n });
  assert.is(claim({ id: 5n }, 4n), undefined);
  assert.equal(claim({ id: 5n }, 5n), { id: 5n });
  assert.equal(claim({ id: 0xffffffffffffffffn }, 1n), { id: 1n });
});

test("targets are read as the database writes them", () => {
  assert.equal(parseTarget("tcp:127.0.0.1", "/run"), { kind: "tcp", passive: false, host: "127.0.0.1", port: 6653 });
  assert.equal(parseTarget("tcp:[::1]:1234", "/run"), { kind: "tcp", passive: false, host: "::1", port: 1234 });
  assert.equal(parseTarget("ptcp:", "/run"), { kind: "tcp", passive: true, host: undefined, port: 6653 });
  assert.equal(parseTarget("ptcp:0:127.0.0.1", "/run"), { kind: "tcp", passive: true, host: "127.0.0.1", port: 0 });
  assert.equal(parseTarget("punix:x", "/run"), { kind: "unix", passive: true, path: "/run/x" });
  assert.equal(parseTarget("ssl:h:1", "/run"), { kind: "ssl", passive: false, host: "h", port: 1 });
  for (const wrong of ["", "tcp:", "tcp:h:99999", "ptcp:x", "unix:", "foo:bar", "none"]) {
    assert.is(parseTarget(wrong, "/run"), undefined, wrong);
  }
});

test("packet-ins above the rate wait, fairly between ports; the longest queue loses its oldest", () => {
  const rate = effectiveRate(100, undefined);
  assert.equal(rate, { rate: 100, burst: 25 });
  const schedule = new PacketInSchedule<string>(rate, 0, () => 0);
  for (let index = 0; index < 25; index++) assert.is(schedule.offer(1, `free${index}`, 0), `free${index}`);
  for (let index = 0; index < 24; index++) assert.is(schedule.offer(1, `a${index}`, 0), undefined);
  assert.is(schedule.offer(2, "b0", 0), undefined);
  assert.is(schedule.backlog, 25);
  assert.is(schedule.offer(2, "b1", 0), undefined);
  assert.is(schedule.dropped, 1);
  assert.is(schedule.deadline(0), 10);
  assert.equal(schedule.run(40), ["a1", "b0", "a2", "b1"]);
  assert.is(schedule.bypassed, 25);
  assert.is(schedule.queued, 26);
});

test.run();
