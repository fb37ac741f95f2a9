import { equalInConstantTime } from '../base/constant-time.ts';
import type { Http, HttpListener, HttpRequest, HttpResponse } from '../platform/http.ts';
import { formatMetrics, METRICS_CONTENT_TYPE } from './metrics.ts';
import type { Status } from './status.ts';

/** What the admin server shows. Called at each request, in the turn that answers it. */
export interface AdminSource {
  status(): Status;
  /**
   * True while clients are accepted, otherwise why not, in one sentence. An upstream that is down is
   * no reason: the gateway's whole purpose is to accept then.
   */
  ready(): true | string;
}

export interface AdminOptions {
  /** `host:port`. */
  readonly listen: string;
  /** Read anew at each request, so that it can be changed without a restart; absent: none is asked. */
  readonly token?: (() => Promise<string>) | undefined;
  readonly source: AdminSource;
  readonly http: Http;
}

type Route = (source: AdminSource) => HttpResponse;

/** Everything there is; all of it is read-only. */
const ROUTES: ReadonlyMap<string, Route> = new Map<string, Route>([
  ['/healthz', () => text(200, 'ok')],
  ['/readyz', ready],
  ['/metrics', metrics],
  ['/api/v1/status', status],
]);

/** Probes come from an orchestrator without secrets, and learn nothing but a yes or no. */
const OPEN_PATHS: ReadonlySet<string> = new Set(['/healthz', '/readyz']);

/** Fails with PORT_IN_USE, LISTEN_FAILED, or CONFIG_INVALID where the token cannot be read. */
export async function startAdmin(options: AdminOptions): Promise<HttpListener> {
  // A token that is not there is found at the start, not at the first visit.
  await options.token?.();
  return options.http.serve(options.listen, (request) => answer(request, options));
}

async function answer(request: HttpRequest, options: AdminOptions): Promise<HttpResponse> {
  const route = ROUTES.get(request.path);
  if (!route) return text(404, 'not found');
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { ...text(405, 'only GET is possible here'), headers: { allow: 'GET, HEAD' } };
  }
  if (options.token && !OPEN_PATHS.has(request.path)) {
    const refusal = await refuse(request, options.token);
    if (refusal) return refusal;
  }
  return route(options.source);
}

async function refuse(
  request: HttpRequest,
  readToken: () => Promise<string>,
): Promise<HttpResponse | undefined> {
  let token: string;
  try {
    token = await readToken();
  } catch (error) {
    return text(500, `the admin token cannot be read: ${error instanceof Error ? error.name : ''}`);
  }
  const given = /^Bearer +(\S+) *$/i.exec(request.authorization ?? '')?.[1] ?? '';
  if (equalInConstantTime(given, token)) return undefined;
  return {
    ...text(401, 'a token is needed: Authorization: Bearer TOKEN'),
    headers: { 'www-authenticate': 'Bearer realm="cistern"' },
  };
}

function ready(source: AdminSource): HttpResponse {
  const answer = source.ready();
  return answer === true ? text(200, 'ready') : text(503, answer);
}

function status(source: AdminSource): HttpResponse {
  const body = `${JSON.stringify(source.status(), null, 2)}\n`;
  return { status: 200, contentType: 'application/json; charset=utf-8', body };
}

function metrics(source: AdminSource): HttpResponse {
  return { status: 200, contentType: METRICS_CONTENT_TYPE, body: formatMetrics(source.status()) };
}

function text(code: number, body: string): HttpResponse {
  return { status: code, contentType: 'text/plain; charset=utf-8', body: `${body}\n` };
}
