import { execFileSync } from "node:child_process";
import { errnoText } from "./errno.js";
import type { ProcessCalls } from "./process-calls.js";

/** Capabilities that a switch keeps when it is not root: to bind low ports, to pin memory, and to work with devices. */
const kept = { netBindService: 10n, netBroadcast: 11n, netAdmin: 12n, netRaw: 13n, ipcLock: 14n };

interface Account {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

/** A line of a name service, by getent(1), which asks what the machine is set up to ask. */
function lookUp(database: "passwd" | "group", name: string): readonly string[] | undefined {
  try {
    return execFileSync("getent", [database, name], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
      .trim()
      .split(":");
  } catch {
    return undefined;
  }
}

/** Reads `user`, `user:group` or `:group`.  A string says what is wrong. */
function account(spec: string): Account | string {
  const [userName = "", groupName] = spec.split(":", 2);
  let uid = process.getuid?.() ?? 0;
  let gid = process.getgid?.() ?? 0;
  let groups: number[] = [];
  if (userName !== "") {
    const row = lookUp("passwd", userName);
    if (row === undefined) return `user ${userName} not found, aborting.`;
    uid = Number(row[2]);
    gid = Number(row[3]);
    const list = lookUp("initgroups" as "group", userName);
    groups = list?.[0]?.split(/\s+/).slice(1).map(Number) ?? [];
  }
  if (groupName !== undefined && groupName !== "") {
    const row = lookUp("group", groupName);
    if (row === undefined) return `group ${groupName} not found, aborting.`;
    gid = Number(row[2]);
  }
  return { uid, gid, groups: groups.includes(gid) ? groups : [gid, ...groups] };
}

/** Becomes the user that `--user` names, keeping the capabilities of a switch.  A string says why not. */
export function changeUser(spec: string, calls: ProcessCalls): string | undefined {
  if (process.geteuid?.() !== 0) return "--user is only for a daemon that root starts, aborting.";
  const wanted = account(spec);
  if (typeof wanted === "string") return wanted;
  const mask = Object.values(kept).reduce((sum, bit) => sum | (1n << bit), 0n);
  const status = calls.becomeUser(wanted.uid, wanted.gid, wanted.groups, mask);
  return status < 0 ? `fail to switch user ${spec}, aborting (${errnoText(status)})` : undefined;
}
