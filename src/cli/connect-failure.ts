export interface ConnectFailure {
  readonly message: string;
  readonly remedy: string;
}

const WRONG_PLACE = 'Start one with "cistern run", or name another with -h and -p.';
/** Codes of Node and OpenSSL for a certificate that nobody we trust has signed. */
const UNTRUSTED = /SELF_SIGNED|ISSUER|SIGNATURE|CERT_UNTRUSTED|CERT_CHAIN|INVALID_CA/;
const OUT_OF_DATE = /CERT_HAS_EXPIRED|CERT_NOT_YET_VALID/;
const OTHER_NAME = /ALTNAME/;
/** What the peer says of our own certificate, or of our having none. */
const ALERT_ABOUT_OURS = /ALERT.*(CERT|UNKNOWN_CA|HANDSHAKE_FAILURE)/;
/** Nobody took the connection. */
const NOBODY = /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|ENOENT/;

/**
 * Why there is no connection, and what to do about it. A `cause` of undefined means that the peer
 * closed the connection without a word.
 */
export function describeConnectFailure(
  cause: unknown,
  where: string,
  isSecure: boolean,
): ConnectFailure {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  // Node ends some with advice on its own options, which are none of ours.
  const reason =
    cause === undefined ? 'the connection was closed' : describeError(cause).split(';', 1)[0];
  const certificate = `The certificate of the broker at ${where}`;
  if (ALERT_ABOUT_OURS.test(code)) {
    return {
      message: `The broker at ${where} wants another certificate from us: ${reason}.`,
      remedy: 'Name one that it trusts with --cert, and its key with --key.',
    };
  }
  if (UNTRUSTED.test(code)) {
    return {
      message: `${certificate} is not trusted: ${reason}.`,
      remedy:
        'Name who signed it with --cafile, or add them to whom this system trusts and use ' +
        '--tls-use-os-certs.',
    };
  }
  if (OUT_OF_DATE.test(code)) {
    return {
      message: `${certificate} is not valid today: ${reason}.`,
      remedy: 'Check the clock of this machine, or have the certificate renewed.',
    };
  }
  if (OTHER_NAME.test(code)) {
    return {
      message: `${certificate} is for another host: ${reason}.`,
      remedy: 'Name the host with -h as the certificate has it, or do not check it: --insecure.',
    };
  }
  const message = `No broker answers at ${where}: ${reason}.`;
  if (NOBODY.test(code) || isTimeout(cause)) return { message, remedy: WRONG_PLACE };
  const remedy = isSecure
    ? 'The port may be one without TLS: leave out the TLS options, or name another with -p.'
    : 'The port may want TLS: give --cafile or --tls-use-os-certs, or name another with -p.';
  return { message, remedy };
}

/** MQTT.js gives up by itself when nothing comes. */
function isTimeout(cause: unknown): boolean {
  return cause instanceof Error && /timeout/.test(cause.message);
}

/** Node gives an error without a message where it tried several addresses. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message !== '') return error.message;
  return 'code' in error ? String(error.code) : error.name;
}
