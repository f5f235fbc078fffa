import { isAbsolute, join, resolve } from "node:path";

/** Where an OpenFlow connection goes or comes from: `tcp:HOST[:PORT]`, `unix:PATH`, `ssl:HOST[:PORT]` and their passive
 *  forms `ptcp:[PORT][:HOST]`, `punix:PATH`, `pssl:[PORT][:HOST]`. */

export const openflowPort = 6653;

export type Target =
  | { readonly kind: "tcp" | "ssl"; readonly passive: false; readonly host: string; readonly port: number }
  | { readonly kind: "tcp" | "ssl"; readonly passive: true; readonly host: string | undefined; readonly port: number }
  | { readonly kind: "unix"; readonly passive: boolean; readonly path: string };

/** Reads a target; undefined when it is none.  Relative socket paths lie in `runDirectory`. */
export function parseTarget(text: string, runDirectory: string): Target | undefined {
  const colon = text.indexOf(":");
  if (colon < 0) return undefined;
  const scheme = text.slice(0, colon);
  const rest = text.slice(colon + 1);
  switch (scheme) {
    case "tcp":
    case "ssl":
      return activeInet(scheme, rest);
    case "ptcp":
    case "pssl":
      return passiveInet(scheme === "ptcp" ? "tcp" : "ssl", rest);
    case "unix":
    case "punix":
      if (rest === "") return undefined;
      return {
        kind: "unix",
        passive: scheme === "punix",
        path: isAbsolute(rest) ? resolve(rest) : join(runDirectory, rest),
      };
    default:
      return undefined;
  }
}

function activeInet(kind: "tcp" | "ssl", rest: string): Target | undefined {
  const [host, port] = splitHost(rest);
  const number = port === "" ? openflowPort : parsePort(port);
  if (host === "" || number === undefined || number === 0) return undefined;
  return { kind, passive: false, host, port: number };
}

function passiveInet(kind: "tcp" | "ssl", rest: string): Target | undefined {
  const colon = rest.indexOf(":");
  const portText = colon < 0 ? rest : rest.slice(0, colon);
  const hostText = colon < 0 ? "" : unbracket(rest.slice(colon + 1));
  const port = portText === "" ? openflowPort : parsePort(portText);
  if (port === undefined) return undefined;
  return { kind, passive: true, host: hostText === "" ? undefined : hostText, port };
}

/** `HOST`, `HOST:PORT`, `[V6]`, `[V6]:PORT`. */
function splitHost(text: string): [host: string, port: string] {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed !== null) return [bracketed[1] ?? "", bracketed[2] ?? ""];
  const colon = text.lastIndexOf(":");
  if (colon < 0 || text.indexOf(":") !== colon) return [text, ""];
  return [text.slice(0, colon), text.slice(colon + 1)];
}

function unbracket(text: string): string {
  return text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text;
}

function parsePort(text: string): number | undefined {
  if (!/^\d{1,5}$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65535 ? port : undefined;
}
