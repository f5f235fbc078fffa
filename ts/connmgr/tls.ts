import { readFileSync, statSync, writeFileSync } from "node:fs";
import { createSecureContext, type SecureContextOptions, type SecureVersion, type TLSSocket } from "node:tls";
import type { Logger } from "../log/index.js";

/** The keys and certificates of this process.  They are files, which may change at any time: every handshake uses what
 *  is in them at that moment, so that a certificate is renewed by writing it. */

/** Where they are; the database's SSL row or the command line says so. */
export interface TlsFileNames {
  readonly privateKey?: string | undefined;
  readonly certificate?: string | undefined;
  /** `none`: peers are not verified. */
  readonly caCert?: string | undefined;
  /** When the CA certificate's file is missing, the first peer's CA is trusted and written there. */
  readonly bootstrap?: boolean | undefined;
  /** Sent to peers along with the certificate. */
  readonly peerCaCert?: string | undefined;
}

export interface TlsPolicy {
  /** Comma-separated, as `--ssl-protocols` takes them. */
  readonly protocols?: string | undefined;
  readonly ciphers?: string | undefined;
}

/** What one handshake uses. */
export interface TlsSession {
  readonly options: SecureContextOptions;
  readonly verify: boolean;
  /** The peer's CA is to be learnt from this connection. */
  readonly bootstrap: boolean;
}

/** It cannot be used until somebody configures it. */
export class TlsNotConfigured extends Error {
  readonly code = "TLS_NOT_CONFIGURED";
}

const versions: Readonly<Record<string, SecureVersion>> = {
  TLSV1: "TLSv1",
  "TLSV1.1": "TLSv1.1",
  "TLSV1.2": "TLSv1.2",
  "TLSV1.3": "TLSv1.3",
};
const defaultCiphers = "HIGH:!aNULL:!MD5";

interface FileState {
  readonly name: string;
  readonly stamp: string;
  readonly text: string;
}

/** Key, certificate and CA certificate, read anew when they changed.  A file that cannot be read leaves what was read
 *  before in force. */
export class TlsStore {
  readonly #log: Logger;
  readonly #policy: TlsPolicy;
  #names: TlsFileNames;
  readonly #files = new Map<string, FileState>();
  readonly #failed = new Map<string, string>();
  #made: { readonly key: string; readonly session: TlsSession } | undefined;

  /** `log`: of module stream_ssl. */
  constructor(log: Logger, names: TlsFileNames = {}, policy: TlsPolicy = {}) {
    this.#log = log;
    this.#names = names;
    this.#policy = checkedPolicy(policy, log);
  }

  /** Takes other file names. */
  setNames(names: TlsFileNames): void {
    this.#names = { ...this.#names, ...names };
  }

  /** For a handshake that begins now.  Throws TlsNotConfigured, which has been logged. */
  session(): TlsSession {
    const { privateKey, certificate, caCert, peerCaCert, bootstrap } = this.#names;
    const key = this.#read("SSL_use_PrivateKey_file", privateKey);
    const cert = this.#read("SSL_use_certificate_file", certificate);
    const verify = caCert !== "none";
    const learns = verify && bootstrap === true && caCert !== undefined && stampOf(caCert) === undefined;
    const ca = !verify || learns ? undefined : this.#read("SSL_CTX_load_verify_locations", caCert);
    const missing: string[] = [];
    if (key === undefined) missing.push("Private key must be configured to use SSL");
    if (cert === undefined) missing.push("Certificate must be configured to use SSL");
    if (verify && !learns && ca === undefined) missing.push("CA certificate must be configured to use SSL");
    for (const text of missing) this.#log.err(text);
    if (missing.length > 0) throw new TlsNotConfigured(missing[0]);
    const chain = peerCaCert === undefined ? undefined : this.#read("PEM_read_X509", peerCaCert);
    const stamps = [key, cert, ca, chain].map((file) => (file === undefined ? "" : `${file.name} ${file.stamp}`));
    const identity = [...stamps, String(verify), String(learns)].join("\n");
    if (this.#made?.key === identity) return this.#made.session;
    const session = { options: this.#options(key, cert, ca, chain), verify, bootstrap: learns };
    this.#made = { key: identity, session };
    return session;
  }

  /** Learns the CA from a peer that was not verified.  Returns whether it can be trusted from now on; the connection
   *  has to be made again either way. */
  learn(socket: TLSSocket): boolean {
    const path = this.#names.caCert;
    if (path === undefined) return false;
    let last = socket.getPeerX509Certificate();
    let count = last === undefined ? 0 : 1;
    while (last?.issuerCertificate !== undefined && last.issuerCertificate.fingerprint256 !== last.fingerprint256) {
      last = last.issuerCertificate;
      count++;
    }
    if (last === undefined) {
      this.#log.err("could not bootstrap CA cert: no certificate presented by peer");
      return false;
    }
    if (!last.checkIssued(last)) {
      this.#log.err("could not bootstrap CA cert: obtained certificate is not self-signed");
      if (count < 2) {
        this.#log.err(
          "only one certificate was received, so probably the peer is not configured to send its CA certificate",
        );
      }
      return false;
    }
    try {
      writeFileSync(path, last.toString(), { flag: "wx", mode: 0o444 });
    } catch (error) {
      if (codeOf(error) === "EEXIST") this.#log.info(`reading CA cert ${path} created by another process`);
      else this.#log.err(`could not bootstrap CA cert: creating ${path} failed: ${reasonOf(error)}`);
      return false;
    }
    this.#log.info(`successfully bootstrapped CA cert to ${path}`);
    const subject = `/${last.subject.split("\n").join("/")}`;
    this.#log.info(`Trusting CA cert from ${path} (${subject}) (fingerprint ${last.fingerprint.toLowerCase()})`);
    this.#log.info("killing successful connection to retry using CA cert");
    return true;
  }

  #options(
    key: FileState | undefined,
    cert: FileState | undefined,
    ca: FileState | undefined,
    chain: FileState | undefined,
  ): SecureContextOptions {
    const enabled = this.#policy.protocols?.split(",") as SecureVersion[] | undefined;
    const options: SecureContextOptions = {
      key: key?.text ?? "",
      cert: `${cert?.text ?? ""}\n${chain?.text ?? ""}`,
      ...(ca === undefined ? {} : { ca: ca.text }),
      ciphers: this.#policy.ciphers ?? defaultCiphers,
      // The newest version is always spoken, as by OpenSSL's own defaults; the option names the old ones.
      minVersion: enabled?.[0] ?? "TLSv1.2",
      maxVersion: "TLSv1.3",
    };
    try {
      createSecureContext(options);
    } catch (error) {
      this.#log.err(`Private key does not match certificate public key: ${reasonOf(error)}`);
      throw new TlsNotConfigured(reasonOf(error));
    }
    return options;
  }

  #read(what: string, name: string | undefined): FileState | undefined {
    if (name === undefined || name === "") return undefined;
    const before = this.#files.get(name);
    const stamp = stampOf(name);
    if (stamp !== undefined && before?.stamp === stamp) return before;
    try {
      const file = { name, stamp: stamp ?? "", text: readFileSync(name, "utf8") };
      this.#files.set(name, file);
      this.#failed.delete(name);
      return file;
    } catch (error) {
      const reason = reasonOf(error);
      // Told once for each reason, not at every handshake.
      if (this.#failed.get(name) !== reason) this.#log.err(`${what}: ${name}: ${reason}`);
      this.#failed.set(name, reason);
      return before;
    }
  }
}

/** Undefined when there is no such file. */
function stampOf(path: string): string | undefined {
  try {
    const { mtimeMs, size, ino } = statSync(path);
    return `${mtimeMs} ${size} ${ino}`;
  } catch {
    return undefined;
  }
}

/** Protocols become the lowest that is enabled. */
function checkedPolicy(policy: TlsPolicy, log: Logger): TlsPolicy {
  if (policy.protocols === undefined) return policy;
  const wanted: SecureVersion[] = [];
  for (const word of policy.protocols.split(/[\s,]+/).filter((text) => text !== "")) {
    const version = versions[word.toUpperCase()];
    if (version === undefined) log.err(`${word}: SSL protocol not recognized`);
    else wanted.push(version);
  }
  if (wanted.length === 0) log.err("SSL protocol settings invalid");
  wanted.sort();
  return { ...policy, protocols: wanted.length === 0 ? undefined : wanted.join(",") };
}

function codeOf(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
}

function reasonOf(error: unknown): string {
  if (codeOf(error) === "ENOENT") return "No such file or directory";
  if (codeOf(error) === "EACCES") return "Permission denied";
  return error instanceof Error ? error.message : String(error);
}
