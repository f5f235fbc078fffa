/** LLDP's state machine and frames, without a switch. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  createLldp,
  enableLldp,
  formatAutoAttach,
  formatLldpCounts,
  formatMappings,
  judgeMappings,
  type LldpState,
  lldpDue,
  mapLldp,
  nameLldp,
  receiveLldp,
  runLldp,
} from "../../ts/protocols/index.js";
import { decodeLldp, lldpFrame } from "../../ts/protocols/lldp-pdu.js";
import { seeded } from "../differential/random.js";

const mac = Uint8Array.of(0x50, 0x54, 0, 0, 0, 1);
const other = Uint8Array.of(0x50, 0x54, 0, 0, 0, 2);
const make = (): LldpState => createLldp("p1", mac, "a switch", 0);

/** A frame as another switch of ours would send it. */
function frameOf(
  portId: string,
  mappings: ReadonlyMap<number, number> = new Map(),
  description = "another",
): Uint8Array {
  return lldpFrame(other, {
    chassisId: other,
    portId,
    ttl: 120,
    systemName: "",
    systemDescription: description,
    mappings: [...mappings].map(([isid, vlan]) => ({ isid, vlan })),
  });
}

/** The same with other bytes from 'at' on. */
const changed = (frame: Uint8Array, at: number, ...bytes: readonly number[]): Uint8Array =>
  Uint8Array.from(frame, (byte, index) => bytes[index - at] ?? byte);

test("what a frame says is read back", () => {
  const frame = frameOf("eth7", new Map([[70000, 5]]));
  const { remote, unrecognized, notes } = decodeLldp(frame, "p1");
  assert.equal(remote?.chassisId, other);
  assert.is(new TextDecoder().decode(remote?.portId), "eth7");
  assert.is(remote?.ttl, 120);
  assert.is(remote?.systemDescription, "another");
  assert.equal(remote?.element?.mac, other);
  assert.is(remote?.element?.type, 14);
  assert.equal(remote?.mappings, [{ isid: 70000, vlan: 5, status: 0 }]);
  assert.is(unrecognized, 0);
  assert.equal(
    notes.map(({ level }) => level),
    ["info", "info"],
  );
});

test("a frame is sent every five seconds while it is enabled", () => {
  let state = make();
  assert.is(lldpDue(state), 5000);
  assert.is(runLldp(state, mac, 4999).frame, undefined);
  const first = runLldp(state, mac, 5000);
  assert.equal(first.frame?.subarray(6, 12), mac);
  state = first.state;
  assert.is(lldpDue(state), 10000);
  assert.is(state.counts.tx, 1);
  assert.is(lldpDue(enableLldp(state, false, 6000)), Number.POSITIVE_INFINITY);
  assert.is(lldpDue(enableLldp(state, true, 6000)), 11000);
});

test("mappings come in order, stay as they were asked for, and tell the VLANs that are to come and go", () => {
  const first = mapLldp(
    make(),
    new Map([
      [9, 90],
      [3, 30],
    ]),
  );
  assert.equal(first.vlans, [
    { vlan: 30, add: true },
    { vlan: 90, add: true },
  ]);
  const second = mapLldp(
    first.state,
    new Map([
      [3, 31],
      [1, 10],
    ]),
  );
  assert.equal(second.vlans, [
    { vlan: 90, add: false },
    { vlan: 10, add: true },
  ]);
  assert.equal(
    second.state.mappings.map(({ isid, vlan }) => [isid, vlan]),
    [
      [3, 30],
      [1, 10],
    ],
  );
  assert.equal(
    mapLldp(
      second.state,
      new Map([
        [3, 31],
        [1, 10],
      ]),
    ).vlans,
    [],
  );
});

test("a name stays until there is another, a description does not", () => {
  const named = nameLldp(make(), "n", "d");
  assert.is(nameLldp(named, undefined, "e").systemName, "n");
  assert.is(nameLldp(named, undefined, "e").systemDescription, "e");
});

test("neighbours are known by system and port, and what is known of a system is known of all of its ports", () => {
  let state = make();
  for (const frame of [frameOf("a"), frameOf("b"), frameOf("a"), frameOf("a", new Map(), "changed")])
    state = receiveLldp(state, frame).state;
  assert.is(state.neighbors.length, 2);
  assert.equal(
    state.neighbors.map(({ systemDescription }) => systemDescription),
    ["changed", "changed"],
  );
  assert.equal([state.counts.rx, state.counts.inserted, state.counts.discarded], [4, 2, 0]);
  assert.match(formatAutoAttach(state), /Primary Server Id: 50:54:00:00:00:02\n.*Descr: changed\n.*System Id: 50:54/);
  assert.match(formatLldpCounts(state), /^Statistics: p1\n {2}tx cnt: 0\n {2}rx cnt: 4\n/);
});

test("who sends ever new names is dropped and counted", () => {
  let state = make();
  for (let i = 0; i < 300; i++) state = receiveLldp(state, frameOf(`n${i}`)).state;
  assert.is(state.neighbors.length, 256);
  assert.is(state.counts.dropped, 44);
});

test("the status of a mapping is what a neighbour says", () => {
  const frame = frameOf(
    "a",
    new Map([
      [7, 70],
      [8, 80],
    ]),
  );
  // The status is the upper four bits before the VLAN: of the first mapping 2, active.
  const at = frame.length - 2 - 10;
  let state = mapLldp(make(), new Map([[7, 70]])).state;
  assert.match(formatMappings(state), /^7 {8}70 {3}Switch {6}Pending {4}$/m);
  state = receiveLldp(state, changed(frame, at, 0x20)).state;
  const judged = judgeMappings(state);
  assert.match(formatMappings(judged.state), /^7 {8}70 {3}Switch {6}Active {5}$/m);
  assert.equal(
    judged.notes.map(({ text }) => text),
    [
      "h_rport: isid=7, vlan=70, status=2",
      "Setting status for ISID=7 to 2",
      "h_rport: isid=8, vlan=80, status=0",
      "Couldn't find mapping for I-SID=8",
    ],
  );
});

test("frames that are wrong are discarded, and the log says why", () => {
  const good = frameOf("a", new Map([[7, 70]]));
  const why = (frame: Uint8Array): string | undefined => receiveLldp(make(), frame).notes.at(-1)?.text;
  assert.is(why(changed(good, 14, 0x04)), "second TLV should be a port ID on p1, not 2");
  assert.is(why(changed(good, 16, 0)), "unknown subtype for tlv id received on p1");
  assert.is(why(good.subarray(0, 30)), "frame too short for tlv received on p1");
  assert.is(why(good.subarray(0, good.length - 2)), "some mandatory tlv are missing for frame received on p1");
  assert.is(why(good.subarray(0, 24)), "tlv header too short received on p1");
  assert.is(why(changed(good, good.length - 1, 1)), "frame too short for tlv received on p1");
  const unknown = Uint8Array.of(...good.subarray(0, good.length - 2), 0x12, 0, 0, 0);
  assert.is(why(unknown), "unknown tlv (9) received on p1");
  for (const frame of [unknown, good.subarray(0, 30), good.subarray(0, 10)]) {
    const { state } = receiveLldp(make(), frame);
    assert.equal([state.counts.discarded, state.neighbors.length], [1, 0]);
  }
  assert.is(receiveLldp(make(), changed(good, 5, 0)).state.counts.discarded, 0);
});

test("no bytes make it fail", () => {
  const seed = Number(process.env.SLUICE_SEED ?? 20_260);
  const random = seeded(seed);
  const good = frameOf("a", new Map([[7, 70]]));
  for (let i = 0; i < 20_000; i++) {
    const frame = good.slice(0, random.chance(0.5) ? good.length : random.below(good.length + 1));
    for (let n = random.below(4); n > 0; n--)
      if (frame.length > 14) frame[14 + random.below(frame.length - 14)] = random.below(256);
    const { state } = receiveLldp(make(), frame);
    assert.is(state.counts.rx, 1, `SLUICE_SEED=${seed}`);
  }
});

test.run();
