import { CisternError } from '../base/errors.ts';
import type { UplinkRecord } from './sink.ts';

type Part = (record: UplinkRecord) => string;

/**
 * A name made from a record: text with `{node}`, `{stream}`, `{partition}`, `{topic}`,
 * `{topic[n]}` (the n-th level, from 0), `{topic[n:]}` (the levels from the n-th on), `{client_id}`
 * and `{property:NAME}` (the first user property of that name). What a record does not have
 * becomes ''.
 */
export class Template {
  readonly #parts: readonly Part[];
  /** Most templates are `{topic}`, and this runs for each record. */
  readonly #isTopic: boolean;

  /** Throws CONFIG_INVALID for a placeholder that does not exist. */
  constructor(text: string, node: string) {
    this.#isTopic = text === '{topic}';
    this.#parts = text
      .split(/(\{[^{}]*\})/)
      .filter((piece) => piece !== '')
      .map((piece) => (piece.startsWith('{') ? placeholder(piece, node) : () => piece));
  }

  render(record: UplinkRecord): string {
    if (this.#isTopic) return record.topic;
    let name = '';
    for (const part of this.#parts) name += part(record);
    return name;
  }
}

function placeholder(piece: string, node: string): Part {
  const name = piece.slice(1, -1);
  if (name === 'node') return () => node;
  if (name === 'topic') return (record) => record.topic;
  if (name === 'stream') return (record) => record.stream;
  if (name === 'partition') return (record) => String(record.partition);
  if (name === 'client_id') return (record) => record.clientId;
  const level = /^topic\[(\d{1,5})\]$/.exec(name)?.[1];
  if (level !== undefined) return (record) => record.topic.split('/')[Number(level)] ?? '';
  const from = /^topic\[(\d{1,3}):\]$/.exec(name)?.[1];
  if (from !== undefined) {
    return (record) => record.topic.split('/').slice(Number(from)).join('/');
  }
  const property = /^property:(.+)$/.exec(name)?.[1];
  if (property !== undefined) {
    return (record) => record.userProperties.find(([key]) => key === property)?.[1] ?? '';
  }
  throw new CisternError('CONFIG_INVALID', `There is no placeholder ${piece}.`, {
    remedy:
      'Known are {node}, {stream}, {partition}, {topic}, {topic[n]}, {topic[n:]}, {client_id}, ' +
      '{property:NAME}.',
  });
}
