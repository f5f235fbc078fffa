/** What was in bridges, as files that ovs-ofctl reads as well: BRIDGE.flows, BRIDGE.groups, BRIDGE.meters and
 *  BRIDGE.tlv-map, and a list of the bridges with the OpenFlow versions that each was read with. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errorWords } from "../connmgr/socket-error.js";
import {
  type FlowMod,
  formatFlow,
  formatGroup,
  formatMeter,
  groupCommand,
  meterCommand,
  parseFlow,
  parseGroup,
  parseMeter,
  parseTlvMappings,
  withTlvMap,
} from "../openflow/index.js";
import { Failure } from "./failure.js";
import { mapOf } from "./ofctl-connection.js";
import type { SavedBridge } from "./saved-bridge.js";

const listName = "bridges.json";

export function writeSaved(directory: string, bridges: readonly SavedBridge[]): void {
  const write = (name: string, lines: readonly string[]): void => {
    writeFileSync(join(directory, name), lines.map((line) => `${line}\n`).join(""), { mode: 0o600 });
  };
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (const { name, version, options, meters, groups, flows } of bridges) {
      const mapped = options.map(
        (one) => `{class=${one.optionClass},type=${one.optionType},len=${one.length}}->tun_metadata${one.index}`,
      );
      write(`${name}.tlv-map`, mapped.length === 0 ? [] : [mapped.join(",")]);
      write(
        `${name}.meters`,
        meters.map((meter) => formatMeter(meter).trim().replaceAll("\n", " ")),
      );
      write(
        `${name}.groups`,
        groups.map((group) => formatGroup(group, version)),
      );
      const lines = withTlvMap(mapOf(options), () =>
        flows.map((flow) => formatFlow({ ...flow, ...neverUsed, cookie: flow.newCookie }, { noStats: true })),
      );
      write(`${name}.flows`, lines);
    }
    // Last: a directory without it is not whole.
    write(listName, [JSON.stringify({ bridges: bridges.map(({ name, version }) => ({ name, version })) })]);
  } catch (error) {
    const remedy = "give a directory that can be written, with `sluice ctl save DIRECTORY`";
    throw new Failure(`cannot save to ${directory} (${errorWords(error)}): ${remedy}`);
  }
}

const neverUsed = {
  ...{ durationSec: 0, durationNsec: 0, packetCount: 0n, byteCount: 0n },
  ...{ idleAge: undefined, hardAge: undefined },
};

/** A flow that names no table is one of the first. */
const inTable = (flow: FlowMod): FlowMod => (flow.tableId === anyTable ? { ...flow, tableId: 0 } : flow);
const anyTable = 255;

export function readSaved(directory: string): SavedBridge[] {
  const lines = (name: string): string[] => {
    const text = readFileSync(join(directory, name), "utf8");
    return text.split("\n").filter((line) => line.trim() !== "");
  };
  try {
    const list = JSON.parse(lines(listName).join("")) as { bridges: { name: string; version: number }[] };
    return list.bridges.map(({ name, version }) => {
      const options = parseTlvMappings(lines(`${name}.tlv-map`)[0] ?? "");
      return {
        name,
        version,
        options,
        meters: lines(`${name}.meters`).map((line) => parseMeter(line, meterCommand.add).meter),
        ...withTlvMap(mapOf(options), () => ({
          groups: lines(`${name}.groups`).map((line) => parseGroup(line, groupCommand.add)),
          flows: lines(`${name}.flows`).map((line) => inTable(parseFlow(line, 0))),
        })),
      };
    });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Failure(`cannot read what was saved in ${directory} (${why}): was it made by \`sluice ctl save\`?`);
  }
}
