import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';

export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca: string | undefined;
}

/** One thing to say about a file, with the configuration key that names it. */
export interface TlsProblem {
  readonly severity: 'error' | 'warning';
  readonly key: keyof TlsFiles;
  /** Without a full stop. */
  readonly message: string;
  readonly remedy: string;
}

/** What the files hold, as Node's TLS takes it. */
export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
  readonly ca: string | undefined;
  /** Of the certificate, in wall clock milliseconds. */
  readonly endsMs: number;
}

export interface TlsReading {
  /** Undefined where there are errors. */
  readonly material: TlsMaterial | undefined;
  readonly problems: readonly TlsProblem[];
}

const DAY_MS = 86_400_000;
/** An expiry that is nearer than this, or than a quarter of the certificate's life, is worth a word. */
const SOON_MS = 14 * DAY_MS;

/**
 * Reads and examines the files of one listener. A certificate that has ended, or has not begun, is a
 * warning and no error: a gateway without a clock chip may be the one who is wrong, and one that
 * refuses to start takes no measurements at all.
 */
export async function readTlsFiles(files: TlsFiles, wallMs: number): Promise<TlsReading> {
  const reader = new Reader(files);
  const cert = await reader.text('cert');
  const key = await reader.text('key');
  const ca = files.ca === undefined ? undefined : await reader.text('ca');
  const certificate = cert === undefined ? undefined : reader.certificates('cert', cert);
  const privateKey = key === undefined ? undefined : reader.privateKey(key);
  if (ca !== undefined) reader.certificates('ca', ca);
  if (certificate !== undefined && privateKey !== undefined) {
    reader.checkPair(certificate, privateKey);
  }
  const { problems } = reader;
  const isSound = problems.length === 0;
  if (!isSound || cert === undefined || key === undefined || certificate === undefined) {
    return { material: undefined, problems };
  }
  reader.checkUse({ cert, key, ca });
  if (problems.length > 0) return { material: undefined, problems };
  reader.checkValidity(certificate, wallMs);
  const endsMs = certificate.validToDate.getTime();
  return { material: { cert, key, ca, endsMs }, problems };
}

/** What there is to say about the files now. */
export async function examineTlsFiles(files: TlsFiles): Promise<readonly TlsProblem[]> {
  return (await readTlsFiles(files, Date.now())).problems;
}

class Reader {
  readonly problems: TlsProblem[] = [];
  readonly #files: TlsFiles;

  constructor(files: TlsFiles) {
    this.#files = files;
  }

  async text(key: keyof TlsFiles): Promise<string | undefined> {
    const path = this.#files[key] ?? '';
    try {
      return await readFile(path, 'utf8');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const reason =
        code === 'ENOENT'
          ? 'does not exist'
          : code === 'EACCES'
            ? 'may not be read by this user'
            : `cannot be read (${code ?? String(error)})`;
      this.#error(key, `${path} ${reason}`, 'Check the path and the permissions of the file.');
      return undefined;
    }
  }

  /** The first of the certificates in a file; reading the others finds what is broken. */
  certificates(key: 'cert' | 'ca', text: string): X509Certificate | undefined {
    const path = this.#files[key] ?? '';
    const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
    let first: X509Certificate | undefined;
    try {
      for (const block of blocks) {
        const certificate = new X509Certificate(block);
        first ??= certificate;
      }
    } catch {
      // What OpenSSL says of it ("asn1 encoding routines::…") helps nobody who edits a file.
      this.#error(key, `${path} has a certificate that is damaged`, 'Copy the file again, whole.');
      return undefined;
    }
    if (first === undefined) {
      const remedy = 'Name a PEM file: it has a line "-----BEGIN CERTIFICATE-----".';
      this.#error(key, `${path} has no certificate in it`, remedy);
    }
    return first;
  }

  privateKey(text: string): KeyObject | undefined {
    const path = this.#files.key;
    try {
      return createPrivateKey(text);
    } catch (error) {
      const isEncrypted =
        /ENCRYPTED/.test(text) ||
        (error as NodeJS.ErrnoException).code === 'ERR_MISSING_PASSPHRASE';
      if (isEncrypted) {
        const remedy = `Take the passphrase off with "openssl pkey -in ${path} -out NEW", mode 0600.`;
        this.#error('key', `${path} is protected by a passphrase`, remedy);
      } else {
        const remedy = 'Name the PEM file of the key that the certificate was requested with.';
        this.#error('key', `${path} has no private key in it that can be used`, remedy);
      }
      return undefined;
    }
  }

  checkPair(certificate: X509Certificate, key: KeyObject): void {
    if (certificate.checkPrivateKey(key)) return;
    this.#error(
      'key',
      `${this.#files.key} is not the key of the certificate in ${this.#files.cert}`,
      'Name the key that the certificate was requested with; the certificate itself comes first in its file.',
    );
  }

  /** What only OpenSSL itself knows, such as keys that are too short for it. */
  checkUse(material: { cert: string; key: string; ca: string | undefined }): void {
    const { cert, key, ca } = material;
    try {
      createSecureContext({ cert, key, ...(ca === undefined ? {} : { ca }) });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const remedy = 'Make a new key (RSA of 2048 bits or more, or P-256) and certificate.';
      this.#error('cert', `${this.#files.cert} cannot be used: ${reason}`, remedy);
    }
  }

  checkValidity(certificate: X509Certificate, wallMs: number): void {
    const path = this.#files.cert;
    const { validFromDate, validToDate } = certificate;
    const soonMs = Math.min(SOON_MS, (validToDate.getTime() - validFromDate.getTime()) / 4);
    const renew = 'Renew it: the new file is taken up while the broker runs.';
    const clock = `By this machine's clock it is ${day(new Date(wallMs))}.`;
    if (wallMs >= validToDate.getTime()) {
      this.#warning(`${path} ended on ${day(validToDate)}, and clients refuse it`, renew, clock);
    } else if (wallMs < validFromDate.getTime()) {
      const remedy = 'Set the clock, or wait until then.';
      this.#warning(`${path} begins only on ${day(validFromDate)}`, remedy, clock);
    } else if (validToDate.getTime() - wallMs < soonMs) {
      this.#warning(`${path} ends on ${day(validToDate)}`, renew, clock);
    }
  }

  #warning(message: string, ...remedy: readonly string[]): void {
    this.problems.push({ severity: 'warning', key: 'cert', message, remedy: remedy.join(' ') });
  }

  #error(key: keyof TlsFiles, message: string, remedy: string): void {
    this.problems.push({ severity: 'error', key, message, remedy });
  }
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}
