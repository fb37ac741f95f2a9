import { parse, TomlError } from 'smol-toml';
import { CisternError } from '../base/errors.ts';
import { reportAddressClashes, reportLoops } from './address-rules.ts';
import {
  defaultListener,
  openListenerProblem,
  readAdmin,
  readAuth,
  readLimits,
  readListeners,
  readLog,
  readNode,
  readStorage,
} from './broker-sections.ts';
import { readStreams, readUplinks, reportTwinClients } from './data-sections.ts';
import { type ExamineAuth, reportAccess, reportAuthFiles } from './access-rules.ts';
import type { ConfigIssue } from './issue.ts';
import { formatIssue } from './issue.ts';
import { MAX_LISTENERS, RETAINED_SHARE } from './defaults.ts';
import { findKeyLines } from './key-lines.ts';
import { reportNotYet } from './not-yet.ts';
import { address, anyText, dataPath } from './parsers.ts';
import { reportUnreadableSecrets, type SecretCheck } from './secret-rules.ts';
import { reportPolicies, reportQuotas, reportUnreachableFilters } from './stream-rules.ts';
import { IssueLog, TableReader } from './table-reader.ts';
import { type ExamineTls, reportTls } from './tls-rules.ts';
import type { Config, ListenerConfig } from './types.ts';
import { describeSize } from './units.ts';

/** What the command line says; each wins over the file. */
export interface ConfigOverrides {
  readonly data?: string | undefined;
  readonly listen?: string | undefined;
  readonly passwordFile?: string | undefined;
}

export interface LoadOptions {
  /** Without it there is no file, and the defaults hold. */
  readonly path?: string | undefined;
  readonly overrides?: ConfigOverrides;
  /** Where secrets are looked for; absent: they are not tried. */
  readonly secrets?: SecretCheck;
  /** Looks at the certificates of listeners; absent: they are not looked at. */
  readonly examineTls?: ExamineTls;
  /** Looks into password files, ACLs and JWKS; absent: they are not tried. */
  readonly examineAuth?: ExamineAuth;
  /** Reads a whole UTF-8 file; rejects where it cannot. */
  readText(path: string): Promise<string>;
}

export interface LoadedConfig {
  readonly config: Config;
  /** What is accepted and should be known nevertheless. */
  readonly warnings: readonly ConfigIssue[];
}

/**
 * Reads, checks and completes the configuration. Fails with CONFIG_NOT_FOUND where the file cannot
 * be read, and with CONFIG_INVALID whose message has every error in it, two lines each: where and
 * what, then the remedy.
 */
export async function loadConfig(options: LoadOptions): Promise<LoadedConfig> {
  const { path, overrides = {} } = options;
  const source = path === undefined ? '' : await readSource(path, options);
  const document = parseDocument(source, path);
  const issues = new IssueLog(path, findKeyLines(source));
  const config = readDocument(document, path, overrides, issues);
  if (options.secrets) await reportUnreadableSecrets(config, options.secrets, issues);
  if (options.examineTls) await reportTls(config, options.examineTls, issues);
  if (options.examineAuth) {
    const isOption = overrides.passwordFile !== undefined;
    const passwordKey = isOption ? '--password-file' : 'auth.password_file';
    await reportAuthFiles(config, { examine: options.examineAuth, passwordKey }, issues);
  }
  const errors = issues.all('error');
  if (errors.length > 0) throw invalid(errors);
  return { config, warnings: issues.all('warning') };
}

async function readSource(path: string, options: LoadOptions): Promise<string> {
  try {
    return await options.readText(path);
  } catch (cause) {
    throw new CisternError('CONFIG_NOT_FOUND', `The configuration ${path} cannot be read.`, {
      cause,
      remedy: 'Check the path given with --config, and that this user may read it.',
    });
  }
}

function parseDocument(source: string, file: string | undefined): Record<string, unknown> {
  try {
    return parse(source);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The message goes on with an excerpt of the document, in which there may be a secret.
    const message = error.message.split('\n')[0] ?? '';
    throw invalid([
      {
        severity: 'error',
        file,
        line: error.line,
        key: `column ${error.column}`,
        message: message.replace(/^Invalid TOML document: /, 'this is not TOML: '),
        remedy: 'Text, sizes and durations go in quotes, and each key has one value.',
      },
    ]);
  }
}

function readDocument(
  document: Record<string, unknown>,
  file: string | undefined,
  overrides: ConfigOverrides,
  issues: IssueLog,
): Config {
  const root = new TableReader(document, '', issues);
  const command = new TableReader(
    {
      '--data': overrides.data,
      '--listen': overrides.listen,
      '--password-file': overrides.passwordFile,
    },
    '',
    issues,
  );
  const fileAuth = readAuth(root.table('auth'));
  const passwordFile = command.optional('--password-file', anyText);
  const auth = passwordFile === undefined ? fileAuth : { ...fileAuth, passwordFile };
  const storage = readStorage(root.table('storage'));
  const streams = readStreams(root);
  const config: Config = {
    file,
    node: readNode(root.table('node')),
    storage: { ...storage, path: command.value('--data', dataPath, storage.path) },
    admin: readAdmin(root.table('admin')),
    log: readLog(root.table('log')),
    auth,
    limits: readLimits(root.table('limits'), storage.segmentSizeBytes),
    listeners: overrideListeners(readListeners(root, auth), root, command),
    streams,
    uplinks: readUplinks(root, streams),
  };
  root.finish();
  reportUnreachableFilters(config.streams, issues);
  reportPolicies(config, issues);
  reportQuotas(config, issues);
  reportRetainedShare(root, config, issues);
  const from = root.has('listener') ? 'file' : 'default';
  reportAddressClashes(config, command.has('--listen') ? '--listen' : from, issues);
  reportLoops(config, issues);
  reportTwinClients(config.uplinks, issues);
  reportNotYet(document, issues);
  reportAccess(config, issues);
  return config;
}

/** Retained messages are carried on for ever, so a ring that they fill could not turn. */
function reportRetainedShare(root: TableReader, config: Config, issues: IssueLog): void {
  const most = config.storage.sizeBytes * RETAINED_SHARE;
  if (!root.table('limits').has('retained_bytes') || config.limits.retainedBytes <= most) return;
  issues.warning(
    'limits.retained_bytes',
    `is more than a quarter of the ring, so ${describeSize(most)} is what holds`,
    'Lower it, or let storage.size be larger.',
  );
}

/** One who tries it from the command line is told of the option first, and of the file after. */
const OPEN_LISTEN_REMEDY =
  'Add --password-file FILE (cistern passwd FILE USER makes it), or say in a configuration who may ' +
  'come in ([auth], or anonymous = true for everyone on that network), or keep it on 127.0.0.1.';

/**
 * `--listen` moves the first listener and closes the others, so that one who tries a configuration
 * beside the running broker opens one known port. What the first says about who may come in holds.
 */
function overrideListeners(
  listeners: readonly ListenerConfig[],
  root: TableReader,
  command: TableReader,
): readonly ListenerConfig[] {
  const listen = command.optional('--listen', address);
  const [first] = listeners;
  if (listen === undefined || first === undefined) return listeners;
  const written = root.tables('listener', { max: MAX_LISTENERS })[0]?.has('anonymous') === true;
  const anonymous = written ? first.anonymous : defaultListener(listen, first.auth).anonymous;
  const moved: ListenerConfig = { ...first, listen, anonymous };
  const problem = openListenerProblem(moved);
  if (problem) command.issues.error('--listen', problem.message, OPEN_LISTEN_REMEDY);
  return [moved];
}

function invalid(errors: readonly ConfigIssue[]): CisternError {
  const count = errors.length === 1 ? 'one error' : `${errors.length} errors`;
  const message = `The configuration has ${count}:\n${errors.map(formatIssue).join('\n')}`;
  return new CisternError('CONFIG_INVALID', message);
}
