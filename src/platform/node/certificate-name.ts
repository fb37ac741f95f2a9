import type { PeerCertificate } from 'node:tls';

/**
 * The user name in a verified client certificate: the first common name, or the first of the
 * alternative names that is a DNS name, else an e-mail address, else a URI. Undefined where there is
 * none that could be an MQTT user name.
 */
export function userNameOf(certificate: PeerCertificate, from: 'cn' | 'san'): string | undefined {
  const name = from === 'cn' ? commonName(certificate) : alternativeName(certificate);
  // [MQTT-1.5.4-2]: no U+0000. Other control characters would be a trap in logs and rule files.
  return name === undefined || name === '' || /[\p{Cc}\uFFFD]/u.test(name) ? undefined : name;
}

function commonName({ subject }: PeerCertificate): string | undefined {
  // A subject with several of them comes as an array, which the types do not say.
  const names = subject.CN as string | readonly string[] | undefined;
  return typeof names === 'string' ? names : names?.[0];
}

function alternativeName({ subjectaltname }: PeerCertificate): string | undefined {
  const names = splitAlternativeNames(subjectaltname ?? '');
  for (const kind of ['DNS', 'email', 'URI']) {
    const found = names.find((name) => name.kind === kind);
    if (found !== undefined) return found.value;
  }
  return undefined;
}

/**
 * Takes Node's text form apart: `DNS:a, email:b@c, URI:"d, DNS:e"`. A value with a comma or a quote
 * in it is written as a JSON string, so that nobody can hide one name within another.
 */
function splitAlternativeNames(text: string): { readonly kind: string; readonly value: string }[] {
  const names: { kind: string; value: string }[] = [];
  for (const [, kind = '', quoted, plain = ''] of text.matchAll(
    /([^:,\s][^:,]*):(?:("(?:[^"\\]|\\.)*")|([^,]*))(?:, |$)/gy,
  )) {
    names.push({ kind, value: quoted === undefined ? plain : (JSON.parse(quoted) as string) });
  }
  return names;
}
