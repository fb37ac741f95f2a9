import { readFileSync } from 'node:fs';

/** Anonymous memory of a process in bytes, what no file backs (RssAnon, proc(5)). */
export function anonymousBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = /^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kib === undefined) throw new Error(`no RssAnon of process ${pid}`);
  return Number(kib) * 1024;
}
