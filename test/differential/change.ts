/** What is done to a bridge between packets. */
import { actions, flowText, groupText, meterText, type Numbering } from "./flow.js";
import { frameText } from "./frame.js";
import { hex, lastTable, macs, matchText, ports, protocols } from "./generate.js";
import type { Random } from "./random.js";
import type { Step } from "./steps.js";
import { type Theme, type Version, versions } from "./theme.js";

export function change(random: Random, theme: Theme, cookies: Numbering): Step {
  const version = random.pick(versions);
  const late = random.pick(["OpenFlow13", "OpenFlow15"] as const);
  const ofctl = (of: Version, command: string, words: string[], options: string[] = []): Step => ({
    kind: "ofctl",
    version: of,
    command,
    words,
    options,
  });
  const choices: (() => Step)[] = [
    () => ofctl(version, "add-flow", [flowText(random, version, theme, cookies)]),
    () => {
      const protocol = random.pick(protocols);
      return ofctl(version, "mod-flows", [
        `${[`table=${random.below(4)}`, ...matchText(random, protocol).slice(0, 1)].join(",")} actions=${actions(random, lastTable, protocol, version, theme)}`,
      ]);
    },
    () => ofctl(version, "del-flows", [matchText(random, random.pick(protocols)).slice(0, 2).join(",") || "table=2"]),
    () =>
      ofctl(version, "del-flows", [`cookie=${hex(random.below(cookies.next))}/${random.pick(["-1", "0xf", "0x3"])}`]),
    () => ofctl(version, "del-flows", [`out_port=${random.pick(ports)},table=${random.below(4)}`]),
    () => ({
      kind: "flows",
      version: late,
      bundle: true,
      // In one life (seed 4737) Open vSwitch 3.1 did not modify what the bundle had added before; the cause was not found.
      lines: [...random.pick([[], ["modify"], ["modify", "modify"]]), "add", "add"].map(
        (command) => `${command} ${flowText(random, late, theme, cookies)}`,
      ),
    }),
  ];
  if (theme.groups.length > 0) {
    const id = random.pick(theme.groups);
    choices.push(
      () => ofctl(late, "mod-group", [groupText(random, id, theme, late)]),
      () => ofctl(late, "del-groups", [`group_id=${id}`]),
      () => ofctl(late, "add-group", [groupText(random, id, theme, late)]),
    );
    // Of a group that hashes in the datapath Open vSwitch 3.1 then uses the buckets that the message brings, and no others.
    if (!theme.recirculates)
      choices.push(
        () =>
          ofctl("OpenFlow15", "insert-buckets", [
            `group_id=${id},command_bucket_id=${random.pick(["first", "last"])},bucket=bucket_id=${9 + random.below(9)},weight:3,actions=output:${random.pick(ports)}`,
          ]),
        () =>
          ofctl("OpenFlow15", "remove-buckets", [
            `group_id=${id},command_bucket_id=${random.pick(["first", "last", "1"])}`,
          ]),
      );
  }
  if (theme.meters.length > 0) {
    const id = random.pick(theme.meters);
    choices.push(
      () => ofctl("OpenFlow13", "mod-meter", [meterText(random, id)]),
      () => ofctl("OpenFlow13", "del-meter", [`meter=${id}`]),
      () => ofctl("OpenFlow13", "add-meter", [meterText(random, id)]),
    );
  }
  if (theme.fragments)
    choices.push(() => ofctl(version, "set-frags", [random.pick(["normal", "drop", "nx-match", "reassemble"])]));
  return random.chance(0.35) ? rareChange(random, theme, version, cookies.next) : random.pick(choices)();
}

function packetOut(random: Random, theme: Theme, version: Version): Step {
  const actions = random.pick([
    `output:${random.pick(ports)}`,
    "resubmit(,0)",
    `set_field:${random.pick(macs)}->eth_dst,resubmit(,${random.below(lastTable + 1)})`,
    "controller",
    "table",
    "all",
    ...(theme.groups.length > 0 ? [`group:${random.pick(theme.groups)}`] : []),
  ]);
  const inPort = random.pick([...ports, "local", "controller"]);
  return {
    kind: "ofctl",
    version,
    command: "packet-out",
    words: [`in_port=${inPort} packet=${frameText(random, theme)} actions=${actions}`],
  };
}

/** Something that is done seldom. */
function rareChange(random: Random, theme: Theme, version: Version, cookiesUsed: number): Step {
  const ofctl = (command: string, words: string, ...flags: string[]): Step => ({
    kind: "ofctl",
    version,
    command,
    words: [words],
    options: flags,
  });
  const some = (): string =>
    [`table=${random.below(lastTable + 1)}`, ...matchText(random, random.pick(protocols))].join(",");
  const cookie = (): string => `cookie=${hex(random.below(cookiesUsed))}/${random.pick(["-1", "0xf", "0x7"])}`;
  return random.pick([
    () => ofctl("mod-flows", `${some()},priority=${10 + random.below(9) * 64} actions=output:1`, "--strict"),
    () => ofctl("del-flows", `${some()},priority=${10 + random.below(9) * 64}`, "--strict"),
    () => ofctl("mod-flows", `table=${random.below(lastTable + 1)},priority=0 actions=output:2`, "--strict"),
    () => ofctl("mod-flows", `${cookie()},table=${random.below(lastTable + 1)} actions=output:3`),
    () => ofctl("add-flow", `check_overlap,${some()},priority=${74 + random.below(3)} actions=drop`),
    () => ofctl("del-flows", `out_group=${1 + random.below(4)}`),
    () => packetOut(random, theme, version),
    () => packetOut(random, theme, version),
    ...(theme.timeouts ? [(): Step => ({ kind: "time", ms: random.pick([4000, 12_000, 50_000]) })] : []),
  ])();
}
