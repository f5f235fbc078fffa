/** OpenFlow: messages, matches, actions and flows as bytes, objects and ovs-ofctl text.  Pure; runs in a browser. */
export { FlowSyntaxError, OpenFlowError } from "./error.js";
export type * from "./message.js";
export { type ErrorName, type ErrorRow, errorByWire, errorRow, errors } from "./tables/errors.js";
export { ofpp, type PortRow, portMax, reservedPorts } from "./tables/ports.js";
