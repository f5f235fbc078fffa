/** What Open vSwitch calls a failure: the C library's words for an errno, which Node has only by name. */

const words: Readonly<Record<string, string>> = {
  EACCES: "Permission denied",
  EADDRINUSE: "Address already in use",
  EADDRNOTAVAIL: "Cannot assign requested address",
  ECONNABORTED: "Software caused connection abort",
  ECONNREFUSED: "Connection refused",
  ECONNRESET: "Connection reset by peer",
  EHOSTUNREACH: "No route to host",
  EMFILE: "Too many open files",
  ENETUNREACH: "Network is unreachable",
  ENOENT: "No such file or directory",
  ENOTFOUND: "Name or service not known",
  EAI_AGAIN: "Temporary failure in name resolution",
  ENOTSOCK: "Socket operation on non-socket",
  EPERM: "Operation not permitted",
  EPIPE: "Broken pipe",
  EPROTO: "Protocol error",
  ETIMEDOUT: "Connection timed out",
};

export const protocolError = "Protocol error";
export const connectionReset = "Connection reset by peer";
export const endOfFile = "End of file";

/** The words for an error that a socket gave. */
export function errorWords(error: unknown): string {
  if (typeof error === "object" && error !== null) {
    const code = "code" in error && typeof error.code === "string" ? error.code : "";
    const known = words[code];
    if (known !== undefined) return known;
    if (error instanceof Error) return error.message;
  }
  return String(error);
}
