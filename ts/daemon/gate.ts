/** A daemon that is to take another one's place loads everything, says so, and waits until the other one is gone: whoever
 *  exchanges them listens on a socket, whose path is in a variable, and closes the connection when it is time. */
import { connect } from "node:net";

export const gateVariable = "SLUICE_START_GATE";

/** Resolves when there is nobody to wait for any more. */
export function waitAtGate(env: Readonly<Record<string, string | undefined>>): Promise<void> {
  const path = env[gateVariable];
  if (path === undefined || path === "") return Promise.resolve();
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.resume();
    socket.once("error", () => resolve());
    socket.once("close", () => resolve());
  });
}

/** Whether this process was started to take another one's place. */
export function hasGate(env: Readonly<Record<string, string | undefined>>): boolean {
  return (env[gateVariable] ?? "") !== "";
}
