/** Threads that poll ports on cores of their own: which there are, what each polls, and what that costs. */
export { pmdCommands } from "./commands.js";
export { type CpuTopology, madeUpTopology } from "./cores.js";
export { machineTopology } from "./machine.js";
export { PmdThreads, type PolledPort } from "./threads.js";
