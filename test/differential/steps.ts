/** What is done to a switch, one step at a time, as text that a person can run again by hand. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The switch's map of Geneve options, the same for all lives: where maps changed, Open vSwitch 3.1 crashed in some of them,
 *  for a reason that was not found. */
export const tlvMap =
  "{class=0xffff,type=0,len=4}->tun_metadata0,{class=0xffff,type=0x81,len=8}->tun_metadata1,{class=0x102,type=1,len=32}->tun_metadata2";

export type Step =
  | {
      readonly kind: "ofctl";
      readonly version: string;
      readonly command: string;
      /** What follows the bridge's name. */
      readonly words: readonly string[];
      /** Options before the command. */
      readonly options?: readonly string[];
    }
  | { readonly kind: "flows"; readonly version: string; readonly bundle: boolean; readonly lines: readonly string[] }
  /** Frames that arrive at once: of several ports in no order between them. */
  | {
      readonly kind: "frames";
      readonly arrivals: readonly Arrivals[];
      /** A controller answers for some before anything else happens. */
      readonly settles?: boolean;
      /** Each waits for the one before. */
      readonly inTurn?: boolean;
    }
  /** Time passes. */
  | { readonly kind: "time"; readonly ms: number };

export interface Arrivals {
  readonly port: number;
  readonly frames: readonly string[];
}

const quoted = (word: string): string => (/^[\w.,:=/-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

function commandsOf(step: Step): string[] {
  switch (step.kind) {
    case "ofctl":
      return [
        ["ovs-ofctl", "-O", step.version, ...(step.options ?? []), step.command, "br0", ...step.words]
          .map(quoted)
          .join(" "),
      ];
    case "flows":
      return [
        `ovs-ofctl -O ${step.version}${step.bundle ? " --bundle" : ""} add-flows br0 - <<'END'`,
        ...step.lines,
        "END",
      ];
    case "frames":
      return step.arrivals.map(({ port, frames }) => `ovs-appctl netdev-dummy/receive p${port} ${frames.join(" ")}`);
    case "time":
      return [`ovs-appctl time/warp ${step.ms} 1000`];
  }
}

/** A shell script that does the steps to the switch that OVS_RUNDIR names, and shows what came of them. */
export function writeScript(seed: number, steps: readonly Step[], difference: string): string {
  const ports = [1, 2, 3, 4].map(
    (n) =>
      `-- add-port br0 p${n} -- set interface p${n} type=dummy ofport_request=${n} options:tx_pcap="$OVS_RUNDIR/tx${n}.pcap"`,
  );
  const path = join(mkdtempSync(join(tmpdir(), "differential-")), `seed-${seed}.sh`);
  const lines = [
    "#!/bin/sh",
    "# Run it with OVS_RUNDIR set to a switch started with --enable-dummy --disable-system: Sluice, then Open vSwitch.",
    ...difference.split("\n").map((line) => `# ${line}`),
    "ovs-vsctl --if-exists del-br br0 -- add-br br0 -- set bridge br0 datapath_type=dummy fail_mode=secure \\",
    `  ${ports.join(" \\\n  ")}`,
    `ovs-ofctl -O OpenFlow13 add-tlv-map br0 '${tlvMap}'`,
    "ovs-appctl time/stop",
    ...steps.flatMap((step) => [...commandsOf(step), "ovs-appctl revalidator/purge"]),
    "ovs-ofctl -O OpenFlow15 dump-flows br0",
    "ovs-ofctl -O OpenFlow15 dump-groups br0",
    "ovs-ofctl -O OpenFlow15 dump-group-stats br0",
    "ovs-ofctl -O OpenFlow15 meter-stats br0",
    `for n in 1 2 3 4; do tcpdump -nexr "$OVS_RUNDIR/tx$n.pcap"; done`,
  ];
  writeFileSync(path, `${lines.join("\n")}\n`, { mode: 0o755 });
  return path;
}

/** The fewest steps found, in at most `triesMax` tries, that still make `fails` true: whole steps are left out first,
 *  then of what is left the parts. */
export async function shrink(
  steps: readonly Step[],
  fails: (steps: readonly Step[]) => Promise<boolean>,
  triesMax: number,
): Promise<readonly Step[]> {
  const tries = { left: triesMax };
  const whole = await fewest(steps, fails, tries);
  const split = whole.flatMap(parts);
  return (await fails(split)) ? fewest(split, fails, tries) : whole;
}

/** Halves are left out, then quarters, and so on. */
async function fewest(
  steps: readonly Step[],
  fails: (steps: readonly Step[]) => Promise<boolean>,
  tries: { left: number },
): Promise<readonly Step[]> {
  let best = steps;
  for (let size = Math.ceil(best.length / 2); size >= 1 && tries.left > 0; size = Math.floor(size / 2)) {
    for (let at = 0; at < best.length && tries.left > 0; ) {
      const less = [...best.slice(0, at), ...best.slice(at + size)];
      tries.left -= 1;
      if (await fails(less)) best = less;
      else at += size;
    }
  }
  return best;
}

/** A step that does many things as steps that do one each. */
function parts(step: Step): Step[] {
  switch (step.kind) {
    case "ofctl":
    case "time":
      return [step];
    case "flows":
      return step.bundle ? [step] : step.lines.map((line) => ({ ...step, lines: [line] }));
    case "frames":
      return step.arrivals.flatMap(({ port, frames }) =>
        frames.map((frame): Step => ({ ...step, arrivals: [{ port, frames: [frame] }] })),
      );
  }
}
