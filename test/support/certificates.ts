import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface CertificateRequest {
  /** In OpenSSL's form, such as `/CN=device-1`. */
  readonly subject: string;
  /** Such as `DNS:localhost,IP:127.0.0.1`. */
  readonly alternativeNames?: string;
  /** `YYYYMMDDHHMMSSZ`; default: a day from now. */
  readonly endsAt?: string;
}

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** Name and address of a server on this machine. */
const LOCAL_NAMES = 'DNS:localhost,IP:127.0.0.1';

/** An authority of one test, made by openssl in a temporary folder; no key outlives the test. */
export class Authority {
  readonly folder: string;
  /** Its own certificate. */
  readonly ca: string;
  readonly #key: string;
  #issued = 0;

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'cistern-certificates-'));
    this.ca = join(this.folder, 'ca.pem');
    this.#key = this.#newKey('ca');
    const subject = ['-subj', '/CN=Authority of a test'];
    this.#openssl('req', '-x509', '-key', this.#key, '-days', '2', ...subject, '-out', this.ca);
  }

  get caText(): string {
    return readFileSync(this.ca, 'utf8');
  }

  issue(request: CertificateRequest): CertificateFiles {
    this.#issued += 1;
    const name = `certificate-${this.#issued}`;
    const key = this.#newKey(name);
    const csr = join(this.folder, `${name}.csr`);
    const cert = join(this.folder, `${name}.pem`);
    const extensions = join(this.folder, `${name}.ext`);
    const { alternativeNames, endsAt } = request;
    const names = alternativeNames === undefined ? '' : `subjectAltName=${alternativeNames}\n`;
    writeFileSync(extensions, `basicConstraints=CA:FALSE\n${names}`);
    this.#openssl('req', '-new', '-utf8', '-key', key, '-subj', request.subject, '-out', csr);
    const index = join(this.folder, `${name}.index`);
    writeFileSync(index, '');
    const configuration = join(this.folder, `${name}.conf`);
    writeFileSync(
      configuration,
      [
        '[ca]\ndefault_ca=this\n[this]',
        `database=${index}`,
        `new_certs_dir=${this.folder}`,
        'rand_serial=yes\ndefault_md=sha256\npolicy=any\nunique_subject=no\nutf8=yes',
        '[any]\ncommonName=optional\norganizationName=optional\n',
      ].join('\n'),
    );
    const ends =
      endsAt === undefined ? ['-days', '1'] : ['-startdate', '20200101000000Z', '-enddate', endsAt];
    const signer = ['-cert', this.ca, '-keyfile', this.#key];
    const files = ['-in', csr, '-out', cert, '-extfile', extensions];
    this.#openssl(
      'ca',
      '-batch',
      '-notext',
      '-config',
      configuration,
      ...signer,
      ...ends,
      ...files,
    );
    return { cert, key };
  }

  /** For a server on loopback. */
  issueServer(more: Partial<CertificateRequest> = {}): CertificateFiles {
    return this.issue({ subject: '/CN=localhost', alternativeNames: LOCAL_NAMES, ...more });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #newKey(name: string): string {
    const path = join(this.folder, `${name}.key`);
    this.#openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', path);
    return path;
  }

  #openssl(...args: readonly string[]): void {
    execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  }
}
