/** Managers: where the database is offered, beside a real ovsdb-server that is told the same. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { noOvs, withPair } from "./pair.js";
import { freePort, missing, type Switch, startSluice, until } from "./switch.js";

/** Somebody who is dialled, takes a lock, and keeps what is said. */
async function manager(): Promise<{ server: Server; sockets: Socket[]; port: number; heard: string[] }> {
  const heard: string[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.on("data", (data) => heard.push(String(data)));
    socket.write('{"id":1,"method":"lock","params":["mine"]}{"id":2,"method":"list_dbs","params":[]}');
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, sockets, port: (server.address() as AddressInfo).port, heard };
}

/** Target to `is_connected` and the keys and values of `status`, without times. */
function managers(under: Switch, names: ReadonlyMap<string, string>): Record<string, string> {
  const rows = JSON.parse(
    under.ok("ovs-vsctl", "-f", "json", "--columns=target,is_connected,status", "list", "Manager"),
  );
  const entries = rows.data.map(([target, connected, [, status]]: [string, boolean, [string, [string, string][]]]) => {
    // A peer that is probed at this moment is idle.
    const told = status.map(([key, value]) =>
      key.startsWith("sec_") ? key : `${key}=${value.replace("IDLE", "ACTIVE")}`,
    );
    const port = /\d{2,}(?=:|$)/.exec(target)?.[0] ?? "";
    return [
      names.get(target) ?? target,
      `${connected} ${told
        .sort()
        .join(" ")
        .replaceAll(port || "-", "PORT")}`,
    ];
  });
  return Object.fromEntries(entries.sort());
}

if (noOvs !== undefined) console.log(`skip: managers beside Open vSwitch: ${noOvs}`);
else {
  test("each kind of manager gets the database, and its row tells the same as with ovsdb-server", async () => {
    await withPair(async ({ theirs, both }) => {
      theirs.ok(
        "ovs-appctl",
        "-t",
        "ovsdb-server",
        "ovsdb-server/add-remote",
        "db:Open_vSwitch,Open_vSwitch,manager_options",
      );
      const told: Record<string, string>[] = [];
      const shown: string[] = [];
      for (const under of both) {
        const { server, sockets, port, heard } = await manager();
        const names = new Map<string, string>();
        const name = (as: string, target: string): string => {
          names.set(target, as);
          return target;
        };
        const passive = await freePort();
        const listening = name("passive", `ptcp:${passive}:127.0.0.1`);
        const dead = name("dead", `tcp:127.0.0.1:${await freePort()}`);
        under.ok("ovs-vsctl", "set-manager", listening, name("live", `tcp:127.0.0.1:${port}`), dead, "nonsense:1");
        await until(`${under.kind} dials and answers`, 15, () => heard.join("").includes('["Open_vSwitch","_Server"]'));
        assert.ok(heard.join("").includes('"locked":true'));
        await until(`${under.kind} says so`, 10, () => managers(under, names)["live"]?.startsWith("true") === true);
        told.push(managers(under, names));
        const over = `--db=tcp:127.0.0.1:${passive}`;
        let show = under.ok("ovs-vsctl", over, "show").split("\n").slice(1).join("\n");
        for (const [target, as] of names) show = show.replaceAll(target, as);
        shown.push(
          show
            .split(/(?= {4}Manager)/)
            .map((part) => part.trim())
            .sort()
            .join("\n"),
        );
        under.ok("ovs-vsctl", over, "set", "Open_vSwitch", ".", "external_ids:by=manager");

        for (const socket of sockets.splice(0)) socket.end();
        await until(`${under.kind} dials again`, 15, () => sockets.length > 0);
        await until(`${under.kind} tells why`, 10, () =>
          (managers(under, names)["live"] ?? "").includes("sec_since_disconnect"),
        );
        told.push(managers(under, names));

        under.ok("ovs-vsctl", "del-manager");
        await until(`${under.kind} lets go`, 10, () => under.run("ovs-vsctl", "-t", "2", over, "show").status !== 0);
        for (const socket of sockets) socket.destroy();
        server.close();
      }
      assert.equal(told[0], told[2]);
      assert.equal(told[1], told[3]);
      assert.is(shown[0], shown[1]);
    });
  });
}

const skipTls = missing({ tools: ["ovs-pki", "ovs-vsctl", "openssl"] });
if (skipTls !== undefined) console.log(`skip: managers over TLS: ${skipTls}`);
else {
  test("managers over TLS use the database's SSL row, also when it comes after them", async () => {
    const under = await startSluice({ dummy: true });
    const pki = mkdtempSync(join(tmpdir(), "sluice-managers-"));
    try {
      const run = (...args: string[]): void => {
        execFileSync("ovs-pki", ["-b", "-d", join(pki, "pki"), "-l", join(pki, "log"), ...args], {
          cwd: pki,
          stdio: "ignore",
        });
      };
      run("init");
      run("req+sign", "sw", "switch");
      run("req+sign", "ctl", "controller");
      const file = (name: string): string => join(pki, name);
      const port = await freePort();
      under.ok("ovs-vsctl", "set-manager", `pssl:${port}:127.0.0.1`);
      const client = [
        "-t",
        "3",
        `--db=ssl:127.0.0.1:${port}`,
        "-p",
        file("ctl-privkey.pem"),
        "-c",
        file("ctl-cert.pem"),
      ];
      const trusted = [...client, "-C", file("pki/switchca/cacert.pem"), "show"];
      assert.is.not(under.run("ovs-vsctl", ...trusted).status, 0, "there are no certificates yet");
      copyFileSync(file("sw-privkey.pem"), file("key.pem"));
      copyFileSync(file("sw-cert.pem"), file("cert.pem"));
      under.ok("ovs-vsctl", "set-ssl", file("key.pem"), file("cert.pem"), file("pki/controllerca/cacert.pem"));
      await until("a manager over TLS", 15, () => under.run("ovs-vsctl", ...trusted).status === 0);
      const stranger = [
        "-t",
        "3",
        `--db=ssl:127.0.0.1:${port}`,
        "-p",
        file("sw-privkey.pem"),
        "-c",
        file("sw-cert.pem"),
      ];
      const refused = under.run("ovs-vsctl", ...stranger, "-C", file("pki/switchca/cacert.pem"), "show");
      assert.is.not(refused.status, 0, "a client whose CA is another is refused");

      run("req+sign", "newer", "switch");
      copyFileSync(file("newer-privkey.pem"), file("key.pem"));
      copyFileSync(file("newer-cert.pem"), file("cert.pem"));
      const subject = (): Promise<string> =>
        new Promise((resolve) => {
          const files = { key: readFileSync(file("ctl-privkey.pem")), cert: readFileSync(file("ctl-cert.pem")) };
          const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...files }, () => {
            resolve(String(socket.getPeerCertificate().subject.CN));
            socket.destroy();
          });
          socket.on("error", () => resolve(""));
        });
      await until("a certificate that was renewed is used", 15, async () => (await subject()).startsWith("newer"));
    } finally {
      rmSync(pki, { recursive: true, force: true });
      await under.stop();
    }
  });
}

test.run();
