import type { Target } from "./target.js";

/** The database may be written from afar, so it may only name Unix sockets where they do no harm: in the run directory,
 *  and to listen on, only this bridge's own. */

/** Undefined when the target may be used, else the sentence for the log.  `text`: the target as the database has it. */
export function mayUseSocket(text: string, target: Target, runDirectory: string, bridge: string): string | undefined {
  const path = text.slice(text.indexOf(":") + 1);
  if (target.passive) {
    const allowed = `${runDirectory}/${bridge}.`;
    const rest = afterPrefix(path, allowed);
    if (rest !== undefined && !rest.includes("/")) return undefined;
    return (
      `bridge ${bridge}: Not adding Unix domain socket controller "${text}" due to possibility of overwriting local ` +
      `files. Instead, specify path in permitted format "punix:${allowed}*" or connect to ` +
      `"unix:${runDirectory}/${bridge}.mgmt" (which is always available without special configuration).`
    );
  }
  const allowed = `${runDirectory}/`;
  if (!path.includes("/") || afterPrefix(path, allowed) !== undefined) return undefined;
  return (
    `bridge ${bridge}: Not connecting to socket controller "${text}" due to possibility for remote exploit.  ` +
    `Instead, specify socket in permitted directory "unix:${allowed}" or connect to ` +
    `"unix:${runDirectory}/${bridge}.mgmt" (which is always available without special configuration).`
  );
}

/** What follows a prefix, where any number of slashes are as good as one; undefined when it does not begin with it. */
function afterPrefix(path: string, prefix: string): string | undefined {
  const plain = path.replace(/\/+/g, "/");
  if (plain.split("/").includes("..")) return undefined;
  const wanted = prefix.replace(/\/+/g, "/");
  return plain.startsWith(wanted) ? plain.slice(wanted.length) : undefined;
}
