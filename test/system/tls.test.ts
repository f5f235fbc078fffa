/** OpenFlow over TLS, with certificates from ovs-pki: both sides verify, files are read anew at each handshake, a missing
 *  CA certificate is learnt when that was asked for. */
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { missing, type Switch, startSluice, until } from "./switch.js";

const test = suite("tls");
const skip = missing({ tools: ["ovs-pki", "ovs-vsctl", "ovs-ofctl", "openssl"] });

const hello = Uint8Array.of(4, 0, 0, 8, 0, 0, 0, 1);
let pki: string;

/** Makes a key and a certificate `NAME-privkey.pem` and `NAME-cert.pem`, signed by the CA for `kind`. */
function makePair(name: string, kind: "switch" | "controller"): void {
  execFileSync("ovs-pki", ["-b", "-d", join(pki, "pki"), "-l", join(pki, "log"), "req+sign", name, kind], {
    cwd: pki,
    stdio: "ignore",
  });
}

const file = (name: string): string => join(pki, name);
const text = (name: string): string => readFileSync(file(name), "utf8");

/** A controller that says hello and no more; `names` collects what the certificates of those who came are made out to. */
async function controller(
  sendsCa: boolean,
  trusted: string,
): Promise<{ server: Server; port: number; names: string[] }> {
  const names: string[] = [];
  const sockets = new Set<TLSSocket>();
  const cert = text("ctl-cert.pem") + (sendsCa ? text("pki/controllerca/cacert.pem") : "");
  const server = createServer(
    { key: text("ctl-privkey.pem"), cert, ca: text(trusted), requestCert: true, rejectUnauthorized: true },
    (socket) => {
      sockets.add(socket);
      names.push(String(socket.getPeerCertificate().subject.CN));
      socket.on("error", () => undefined);
      socket.write(hello);
    },
  );
  server.on("close", () => {
    for (const socket of sockets) socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, port: (server.address() as AddressInfo).port, names };
}

function useSwitchFiles(under: Switch, from: string): void {
  copyFileSync(file(`${from}-privkey.pem`), join(under.directory, "key.pem"));
  copyFileSync(file(`${from}-cert.pem`), join(under.directory, "cert.pem"));
}

function setSsl(under: Switch, ...options: string[]): void {
  const ours = (name: string): string => join(under.directory, name);
  under.ok("ovs-vsctl", "-t", "20", ...options, "set-ssl", ours("key.pem"), ours("cert.pem"), ours("ca.pem"));
}

const addBridge = (under: Switch, target: string): string =>
  under.ok(
    "ovs-vsctl",
    "-t",
    "20",
    "add-br",
    "br0",
    "--",
    "set",
    "bridge",
    "br0",
    "datapath_type=dummy",
    "--",
    "set-controller",
    "br0",
    target,
  );

if (skip !== undefined) console.log(`skip: TLS, ${skip}`);
else {
  test.before(() => {
    pki = mkdtempSync(join(tmpdir(), "sluice-pki-"));
    execFileSync("ovs-pki", ["-d", join(pki, "pki"), "-l", join(pki, "log"), "init"], { cwd: pki, stdio: "ignore" });
    makePair("sw", "switch");
    makePair("renewed", "switch");
    makePair("ctl", "controller");
  });
  test.after(() => rmSync(pki, { recursive: true, force: true }));

  test("both sides verify, and a renewed certificate is used by the next handshake", async () => {
    const { server, port, names } = await controller(false, "pki/switchca/cacert.pem");
    const under = await startSluice({ dummy: true });
    try {
      useSwitchFiles(under, "sw");
      copyFileSync(file("pki/controllerca/cacert.pem"), join(under.directory, "ca.pem"));
      setSsl(under);
      addBridge(under, `ssl:127.0.0.1:${port}`);
      await until("the switch has connected", 20, () => names.length === 1);
      useSwitchFiles(under, "renewed");
      under.ok("ovs-appctl", "bridge/reconnect", "br0");
      await until("the switch has connected again", 20, () => names.length === 2);
      assert.match(names[0] ?? "", /^sw /);
      assert.match(names[1] ?? "", /^renewed /);
      assert.match(under.log(), `rconn|INFO|br0<->ssl:127.0.0.1:${port}: connected`);
    } finally {
      await under.stop();
      server.close();
    }
  });

  test("a controller whose certificate is another CA's is not spoken to", async () => {
    const { server, port } = await controller(false, "pki/switchca/cacert.pem");
    const under = await startSluice({ dummy: true });
    try {
      useSwitchFiles(under, "sw");
      // The wrong CA: the one of switches.
      copyFileSync(file("pki/switchca/cacert.pem"), join(under.directory, "ca.pem"));
      setSsl(under);
      addBridge(under, `ssl:127.0.0.1:${port}`);
      await until("the handshake has failed", 20, () => under.log().includes("certificate verify failed"));
      await until("that was taken as a broken connection", 20, () =>
        under.log().includes("connection dropped (Protocol error)"),
      );
      assert.not.match(under.log(), `br0<->ssl:127.0.0.1:${port}: connected`);
    } finally {
      await under.stop();
      server.close();
    }
  });

  test("a passive TLS service asks its callers for certificates", async () => {
    const under = await startSluice({ dummy: true });
    const probe = await controller(false, "pki/switchca/cacert.pem");
    const { port } = probe;
    await new Promise<void>((resolve) => probe.server.close(() => resolve()));
    try {
      useSwitchFiles(under, "sw");
      copyFileSync(file("pki/controllerca/cacert.pem"), join(under.directory, "ca.pem"));
      setSsl(under);
      addBridge(under, `pssl:${port}:127.0.0.1`);
      const ask = (...keys: string[]) =>
        under.run("ovs-ofctl", "--timeout=10", ...keys, "show", `ssl:127.0.0.1:${port}`);
      const peer = `--ca-cert=${file("pki/switchca/cacert.pem")}`;
      const good = ask(`--private-key=${file("ctl-privkey.pem")}`, `--certificate=${file("ctl-cert.pem")}`, peer);
      assert.match(good.stdout, "OFPT_FEATURES_REPLY", good.stderr);
      const bad = ask(`--private-key=${file("sw-privkey.pem")}`, `--certificate=${file("sw-cert.pem")}`, peer);
      assert.is.not(bad.status, 0);
      await until("the log tells of it", 5, () => under.log().includes("stream_ssl|WARN|SSL_accept: "));
    } finally {
      await under.stop();
    }
  });

  test("a CA certificate that is not there yet is learnt from the first controller, and trusted from then on", async () => {
    const { server, port, names } = await controller(true, "pki/switchca/cacert.pem");
    const under = await startSluice({ dummy: true });
    try {
      useSwitchFiles(under, "sw");
      setSsl(under, "--bootstrap");
      addBridge(under, `ssl:127.0.0.1:${port}`);
      await until("the CA certificate is there", 20, () => existsSync(join(under.directory, "ca.pem")));
      await until("the switch has connected", 20, () => under.log().includes(`br0<->ssl:127.0.0.1:${port}: connected`));
      assert.ok(names.length >= 1);
      const fingerprint = (path: string): string =>
        execFileSync("openssl", ["x509", "-noout", "-fingerprint", "-in", path], { encoding: "utf8" });
      assert.is(fingerprint(join(under.directory, "ca.pem")), fingerprint(file("pki/controllerca/cacert.pem")));
      assert.match(under.log(), "stream_ssl|INFO|successfully bootstrapped CA cert to");
      assert.match(under.log(), "killing successful connection to retry using CA cert");
    } finally {
      await under.stop();
      server.close();
    }
  });

  test("the command line's files are used when the database has none, and its absence is told", async () => {
    const { server, port, names } = await controller(false, "pki/switchca/cacert.pem");
    const bare = await startSluice({ dummy: true });
    try {
      addBridge(bare, `ssl:127.0.0.1:${port}`);
      await until("the log says what is missing", 20, () =>
        bare.log().includes("stream_ssl|ERR|Private key must be configured to use SSL"),
      );
      assert.match(bare.log(), "connection failed (Protocol not available)");
    } finally {
      await bare.stop();
    }
    const args = [
      `--private-key=${file("sw-privkey.pem")}`,
      `--certificate=${file("sw-cert.pem")}`,
      `--ca-cert=${file("pki/controllerca/cacert.pem")}`,
    ];
    const under = await startSluice({ dummy: true, args });
    try {
      addBridge(under, `ssl:127.0.0.1:${port}`);
      await until("the switch has connected", 20, () => names.length === 1);
    } finally {
      await under.stop();
      server.close();
    }
  });
}

test.run();
