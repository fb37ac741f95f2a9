import type { OptionSpec } from './arguments.ts';

/** How many further arguments follow `-D COMMAND`: a user property has a name and a value. */
function propertyArguments(rest: readonly string[]): number {
  return rest[1] === 'user-property' ? 3 : 2;
}

/** Options that `pub` and `sub` share, named as those of mosquitto_pub and mosquitto_sub. */
export const CLIENT_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  host: { value: 'HOST', short: 'h', help: 'The broker. Default: 127.0.0.1' },
  port: { value: 'PORT', short: 'p', help: 'Default: 1883' },
  url: {
    value: 'URL',
    short: 'L',
    help: 'Such as mqtts://USER:PW@HOST/TOPIC or wss://HOST:PORT/PATH.',
  },
  cafile: { value: 'FILE', help: 'Speak TLS, and trust who is in this file (PEM).' },
  cert: { value: 'FILE', help: 'Our certificate (PEM), where the broker asks for one.' },
  key: { value: 'FILE', help: 'Its private key (PEM).' },
  insecure: { help: 'Do not check that the certificate is for this host.' },
  'tls-use-os-certs': { help: 'Speak TLS, and trust whom the system trusts.' },
  id: { value: 'ID', short: 'i', help: 'Client id. Default: made up.' },
  'id-prefix': { value: 'TEXT', short: 'I', help: 'Client id: the prefix and the process id.' },
  username: { value: 'NAME', short: 'u', help: 'User name.' },
  pw: { value: 'TEXT', short: 'P', help: 'Password.' },
  'protocol-version': {
    value: 'VERSION',
    short: 'V',
    help: 'mqttv5, mqttv311 or mqttv31. Default: mqttv311',
  },
  qos: { value: '0|1|2', short: 'q', help: 'Quality of service. Default: 0' },
  'disable-clean-session': { short: 'c', help: 'Keep the session when we go (needs -i).' },
  'session-expiry-interval': {
    value: 'SECONDS',
    short: 'x',
    help: 'How long it is kept (5.0). -1: for ever.',
  },
  keepalive: { value: 'SECONDS', short: 'k', help: 'Default: 60' },
  property: {
    value: 'COMMAND NAME VALUE',
    short: 'D',
    help: 'A property of 5.0, such as -D publish content-type text/csv.',
    more: propertyArguments,
  },
  'will-topic': { value: 'TOPIC', help: 'Where our will goes if we are cut off.' },
  'will-payload': { value: 'TEXT', help: 'What it says. Default: nothing.' },
  'will-qos': { value: '0|1|2', help: 'Default: 0' },
  'will-retain': { help: 'Retain it.' },
  debug: { short: 'd', help: 'Print each packet to standard error.' },
  quiet: { help: 'No warnings on standard error.' },
};

export const CLIENT_NOTE =
  'Exit code: 0 done, 1 the broker cannot be reached or refused something, 2 usage.';
