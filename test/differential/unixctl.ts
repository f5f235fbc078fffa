/** A connection to a daemon's control socket, kept open: thousands of commands without a process each. */
import { connect, type Socket } from "node:net";

export interface Unixctl {
  /** Resolves with the reply, or `error: ` and the error. */
  call(method: string, ...params: string[]): Promise<string>;
  close(): void;
}

export function openUnixctl(path: string): Promise<Unixctl> {
  const socket: Socket = connect(path);
  const waiting: { done: (reply: string) => void; failed: (error: Error) => void }[] = [];
  let buffer = "";
  socket.setEncoding("utf8");
  socket.on("data", (text: string) => {
    buffer += text;
    for (let end = endOfObject(buffer); end > 0; end = endOfObject(buffer)) {
      const reply = JSON.parse(buffer.slice(0, end)) as { result: string | null; error: string | null };
      buffer = buffer.slice(end);
      waiting.shift()?.done(reply.error === null ? (reply.result ?? "") : `error: ${reply.error}`);
    }
  });
  // A daemon that dies answers nothing more.
  let isGone = false;
  socket.on("close", () => {
    isGone = true;
    for (const { failed } of waiting.splice(0)) failed(new Error(`${path}: the daemon is gone`));
  });
  let id = 0;
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("connect", () => {
      resolve({
        call: (method, ...params) =>
          new Promise((done, failed) => {
            if (isGone) {
              failed(new Error(`${path}: the daemon is gone`));
              return;
            }
            waiting.push({ done, failed });
            socket.write(JSON.stringify({ id: id++, method, params }));
          }),
        close: () => socket.destroy(),
      });
    });
  });
}

/** Index just past the first whole JSON object in `text`, or 0. */
function endOfObject(text: string): number {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < text.length; index++) {
    const c = text[index];
    if (inString) {
      if (c === "\\") index += 1;
      else if (c === '"') inString = false;
    } else if (c === '"') inString = true;
    else if (c === "{") depth += 1;
    else if (c === "}" && --depth === 0) return index + 1;
  }
  return 0;
}
