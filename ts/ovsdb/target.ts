/** Connection methods as users write them: `unix:FILE`, `tcp:HOST:PORT`, `ssl:HOST:PORT`, and their passive forms. */

export type Target =
  | { readonly kind: "unix" | "punix"; readonly path: string }
  | { readonly kind: "tcp" | "ssl"; readonly host: string; readonly port: number }
  /** `host` is the address to listen at; empty for all. */
  | { readonly kind: "ptcp" | "pssl"; readonly host: string; readonly port: number };

/** A connection method that cannot be understood. */
export class TargetError extends Error {
  readonly code = "bad-target";
}

/** Port of OVSDB. */
export const defaultPort = 6640;

function parsePort(text: string, target: string, min: number): number {
  const port = text === "" ? defaultPort : Number(text);
  if (!/^[0-9]*$/.test(text) || port < min || port > 65535) {
    throw new TargetError(
      `"${target}" has a port that is not a number from ${min} to 65535; write for example tcp:127.0.0.1:${defaultPort}.`,
    );
  }
  return port;
}

/** Splits `a:b` at a colon outside of brackets, which are taken away. */
function splitHost(text: string): readonly [string, string] {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed !== null) {
    return [bracketed[1] as string, bracketed[2] ?? ""];
  }
  const colon = text.indexOf(":");
  return colon < 0 ? [text, ""] : [text.slice(0, colon), text.slice(colon + 1)];
}

/** @throws TargetError */
export function parseTarget(target: string): Target {
  const colon = target.indexOf(":");
  const kind = target.slice(0, Math.max(colon, 0));
  const rest = target.slice(colon + 1);
  switch (kind) {
    case "unix":
    case "punix":
      if (rest === "") {
        throw new TargetError(`"${target}" lacks a path; write for example ${kind}:/run/openvswitch/db.sock.`);
      }
      return { kind, path: rest };
    case "tcp":
    case "ssl": {
      const [host, port] = splitHost(rest);
      if (host === "") {
        throw new TargetError(`"${target}" lacks an address; write for example ${kind}:127.0.0.1:${defaultPort}.`);
      }
      return { kind, host, port: parsePort(port, target, 1) };
    }
    case "ptcp":
    case "pssl": {
      const at = rest.indexOf(":");
      const port = at < 0 ? rest : rest.slice(0, at);
      const address = at < 0 ? "" : rest.slice(at + 1);
      return {
        kind,
        host: splitHost(address.startsWith("[") ? address : `[${address}]`)[0],
        port: parsePort(port, target, 0),
      };
    }
    default:
      throw new TargetError(`"${target}" is not a connection method; use unix:, tcp:, ssl:, punix:, ptcp: or pssl:.`);
  }
}

/** Whether one waits for connections there, instead of making them. */
export function isPassive(target: Target): boolean {
  return target.kind.startsWith("p");
}

/** The same of a method as users write it, which need not be one. */
export function isPassiveTarget(target: string): boolean {
  return /^p(?:unix|tcp|ssl):/.test(target);
}

/** Splits a list such as `tcp:a:6640,tcp:b:6640` into its members. */
export function splitRemotes(remotes: string): readonly string[] {
  return remotes
    .split(/,(?=(?:unix|tcp|ssl):)/)
    .map((remote) => remote.trim())
    .filter((remote) => remote !== "");
}
