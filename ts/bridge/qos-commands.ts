/** Commands of ovs-appctl that show how interfaces' sending is shaped. */
import { type UnixctlCommand, UnixctlError } from "../appctl/index.js";
import { type DeviceQos, errnoWords, type Netdev, type QosQueue } from "../netdev/index.js";

/** `find` gives the device of an interface of any bridge. */
export function qosCommands(find: (name: string) => Netdev | undefined): readonly UnixctlCommand[] {
  const interfaceOf = ([name = ""]: readonly string[]): Netdev => {
    const netdev = find(name);
    if (netdev === undefined) throw new UnixctlError("no such interface");
    return netdev;
  };
  return [
    {
      name: "qos/show-types",
      usage: "interface",
      minArgs: 1,
      maxArgs: 1,
      handler: (args) => {
        const { name, qos } = interfaceOf(args);
        const types = qos?.types ?? [];
        if (types.length === 0) return `No QoS types supported for interface: ${name}\n`;
        return types.map((type) => `QoS type: ${type}\n`).join("");
      },
    },
    { name: "qos/show", usage: "interface", minArgs: 1, maxArgs: 1, handler: (args) => show(interfaceOf(args)) },
  ];
}

function show({ name, qos }: Netdev): string {
  const shown = qos?.show() ?? { type: "", details: new Map<string, string>() };
  if (typeof shown === "number")
    throw new UnixctlError(`${name}: failed to retrieve QOS configuration (${errnoWords(shown)})\n`);
  if (qos === undefined || shown.type === "") return `QoS not configured on ${name}\n`;
  const details = [...shown.details].map(([key, value]) => `${key}: ${value}\n`);
  const queues = qos.queues().map((queue) => showQueue(queue, qos));
  return [`QoS: ${name} ${shown.type}\n`, ...details, ...queues].join("");
}

function showQueue({ number, details }: QosQueue, qos: DeviceQos): string {
  const head = number === 0 ? "\nDefault:\n" : `\nQueue ${number}:\n`;
  const settings = [...details].map(([key, value]) => `  ${key}: ${value}\n`);
  const counted = qos.queueCounters(number);
  const counters =
    typeof counted === "number"
      ? [`  Failed to get statistics for queue ${number}: ${errnoWords(counted)}`]
      : [
          `  tx_packets: ${counted.txPackets}\n`,
          `  tx_bytes: ${counted.txBytes}\n`,
          `  tx_errors: ${counted.txErrors}\n`,
        ];
  return [head, ...settings, ...counters].join("");
}
