import { createRequire } from "node:module";
import { type AddressInfo, createServer, getDefaultAutoSelectFamily, setDefaultAutoSelectFamily } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { connectStream } from "../../ts/ovsdb/transport.js";

// The module itself, for the function that sockets resolve names by.
const dns = createRequire(import.meta.url)("node:dns") as { lookup: unknown };
const handshake = 0x16;

test("TLS to a name of two addresses, of which the first refuses, does not take the process down", async () => {
  const { lookup } = dns;
  const autoSelect = getDefaultAutoSelectFamily();
  const server = createServer();
  const hello = new Promise<number | undefined>((resolve) => {
    server.on("connection", (socket) => {
      socket
        .on("error", () => {})
        .once("data", (data) => {
          resolve(data[0]);
          socket.destroy();
        });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const addresses = [
    { address: "::1", family: 6 },
    { address: "127.0.0.1", family: 4 },
  ];
  setDefaultAutoSelectFamily(true);
  dns.lookup = (_name: string, options: { all?: boolean }, done: (...results: unknown[]) => void): void => {
    if (options.all === true) done(null, addresses);
    else done(null, "127.0.0.1", 4);
  };
  try {
    const { port } = server.address() as AddressInfo;
    const security = (): { context: object; verify: boolean; learn: undefined } => ({
      context: {},
      verify: false,
      learn: undefined,
    });
    const stream = connectStream({ kind: "ssl", host: "two.example", port }, security, () => {});
    stream.on("error", () => {});
    assert.is(await hello, handshake);
    stream.destroy();
  } finally {
    dns.lookup = lookup;
    setDefaultAutoSelectFamily(autoSelect);
    server.close();
  }
});

test.run();
