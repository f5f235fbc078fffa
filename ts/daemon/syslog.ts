import { createSocket } from "node:dgram";
import type { ProcessCalls } from "./process-calls.js";

/** Where syslog messages go: the local daemon's socket, another Unix socket, a UDP address, or nowhere. */
export interface SyslogSink {
  /** `priority` is facility and severity. */
  send(priority: number, line: string): void;
  close(): void;
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"] as const;

/** What syslog(3) puts in front: `<30>Nov 20 12:00:00 ovs-vswitchd: `. */
function header(priority: number, program: string, at: Date): string {
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map((n) => String(n).padStart(2, "0")).join(":");
  return `<${priority}>${months[at.getMonth()]} ${String(at.getDate()).padStart(2, " ")} ${time} ${program}: `;
}

const nowhere: SyslogSink = { send: () => {}, close: () => {} };

function unixSink(calls: ProcessCalls, path: string, frame: (priority: number, line: string) => string): SyslogSink {
  return {
    // A missing or full daemon is not our business: syslog is best effort everywhere.
    send: (priority, line) => void calls.sendDatagram(path, Buffer.from(frame(priority, line))),
    close: () => {},
  };
}

function udpSink(host: string, port: number, frame: (priority: number, line: string) => string): SyslogSink {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  socket.on("error", () => {});
  socket.unref();
  return {
    send: (priority, line) => socket.send(Buffer.from(frame(priority, line)), port, host, () => {}),
    close: () => socket.close(),
  };
}

/** Opens what `--syslog-method` names: `libc`, `null`, `unix:FILE` or `udp:IP:PORT`; undefined when it is none of these. */
export function openSyslog(method: string, program: string, calls: ProcessCalls): SyslogSink | undefined {
  if (method === "null") return nowhere;
  if (method === "libc") {
    return unixSink(calls, "/dev/log", (priority, line) => header(priority, program, new Date()) + line);
  }
  if (method.startsWith("unix:")) {
    return unixSink(calls, method.slice(5), (priority, line) => header(priority, program, new Date()) + line);
  }
  const udp = /^udp:\[?([^\]]+?)\]?:(\d+)$/.exec(method);
  if (udp === null) return undefined;
  return udpSink(udp[1]!, Number(udp[2]), (priority, line) => `<${priority}>${line}`);
}

/** For `--syslog-target=HOST:PORT`: the lines come formatted as RFC 5424 wants them. */
export function openSyslogTarget(target: string): SyslogSink | undefined {
  const match = /^\[?([^\]]+?)\]?(?::(\d+))?$/.exec(target);
  return match === null ? undefined : udpSink(match[1]!, Number(match[2] ?? "514"), (_, line) => line);
}
