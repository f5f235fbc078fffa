/** Going into the background without fork(2), which Node does not have: the process that the user started runs the same
 *  command again as a child of its own session, waits until the child says that it is ready, and ends.
 *
 *  The child is told what it is by two variables, and says "ready" by a byte on the pipe at descriptor 3. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, writeSync } from "node:fs";
import { constants } from "node:os";
import type { Readable } from "node:stream";
import type { ProcessCalls } from "./process-calls.js";

/** What this process is: started by the user, the one that watches, or the one that works. */
export type Role = "starter" | "monitor" | "worker";

const roleVariable = "SLUICE_DAEMON_ROLE";
const readyDescriptor = 3;

/** How this program is run again. */
export interface Respawn {
  readonly command: string;
  readonly args: readonly string[];
}

export function roleOf(env: Readonly<Record<string, string | undefined>>): Role {
  const role = env[roleVariable];
  return role === "monitor" || role === "worker" ? role : "starter";
}

export interface Spawned {
  readonly child: ChildProcess;
  /** Resolves when the child has said that it is ready; never, when it ends before. */
  readonly ready: Promise<void>;
  readonly ended: Promise<{ readonly status: number | null; readonly signal: NodeJS.Signals | null }>;
}

/** How often a worker has crashed before this one, which its monitor knows. */
export const crashesVariable = "SLUICE_CRASHES";

/** Starts this program again.  A child that detaches gets a session of its own; standard streams are shared until it
 *  gives them up, so that its last words before it is ready reach the user. */
export function spawnRole(role: Role, respawn: Respawn, newSession: boolean): Spawned {
  const child = spawn(respawn.command, [...respawn.args], {
    detached: newSession,
    stdio: ["inherit", "inherit", "inherit", "pipe"],
    env: { ...process.env, [roleVariable]: role },
  });
  const pipe = child.stdio[readyDescriptor] as Readable;
  const ready = new Promise<void>((resolve) => pipe.once("data", () => resolve()));
  const ended = new Promise<Awaited<Spawned["ended"]>>((resolve) => {
    child.once("error", () => resolve({ status: 1, signal: null }));
    child.once("exit", (status, signal) => resolve({ status, signal }));
  });
  return { child, ready, ended };
}

/** What the starter does: 0 once the child is ready, or what became of it.  The text is for standard error. */
export async function waitForChild(spawned: Spawned): Promise<{ readonly status: number; readonly stderr: string }> {
  const outcome = await Promise.race([spawned.ready, spawned.ended]);
  // The child lives on; nothing of it may keep this process.
  spawned.child.unref();
  spawned.child.stdio[readyDescriptor]?.destroy();
  if (outcome === undefined) return { status: 0, stderr: "" };
  if (outcome.signal === null) return { status: outcome.status ?? 1, stderr: "" };
  return { status: 1, stderr: `fork child died before signaling startup (killed (${signalName(outcome.signal)}))` };
}

/** Tells whoever started this process that it is ready, and lets go of the terminal. */
export function announceReady(role: Role, calls: ProcessCalls, keepStreams: boolean): void {
  if (role === "starter") return;
  try {
    writeSync(readyDescriptor, "\0");
    closeSync(readyDescriptor);
  } catch {
    // The starter was killed while it waited: nobody is left to tell.
  }
  if (!keepStreams) calls.discardStandardStreams();
}

/** strsignal(3) for the signals that end processes. */
export function signalName(signal: NodeJS.Signals): string {
  const names: Readonly<Partial<Record<NodeJS.Signals, string>>> = {
    SIGABRT: "Aborted",
    SIGALRM: "Alarm clock",
    SIGBUS: "Bus error",
    SIGFPE: "Floating point exception",
    SIGHUP: "Hangup",
    SIGILL: "Illegal instruction",
    SIGINT: "Interrupt",
    SIGKILL: "Killed",
    SIGPIPE: "Broken pipe",
    SIGSEGV: "Segmentation fault",
    SIGTERM: "Terminated",
    SIGXCPU: "CPU time limit exceeded",
    SIGXFSZ: "File size limit exceeded",
  };
  return names[signal] ?? `signal ${constants.signals[signal]}`;
}
