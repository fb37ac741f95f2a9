import { StringDecoder } from 'node:string_decoder';
import { CisternError } from '../base/errors.ts';
import type { TextOutput } from './io.ts';

/** A terminal that hands over each key as it is pressed, and shows none. */
export interface SecretTerminal extends AsyncIterable<Uint8Array> {
  setRawMode(isRaw: boolean): unknown;
}

const INTERRUPT = '\x03';
const END_OF_INPUT = '\x04';
const ERASE_LINE = '\x15';
const BACKSPACES = ['\x7f', '\b'];

/**
 * Asks for each of `questions` in turn and resolves to the answers, which are not shown. Backspace and
 * Ctrl-U work; Ctrl-C, and an end of the input, fail with USAGE. The terminal is as before afterwards.
 */
export async function askSecrets(
  terminal: SecretTerminal,
  output: TextOutput,
  questions: readonly string[],
): Promise<string[]> {
  const answers: string[] = [];
  const decoder = new StringDecoder('utf8');
  let typed: string[] = [];
  terminal.setRawMode(true);
  output.write(questions[0] ?? '');
  try {
    for await (const chunk of terminal) {
      for (const key of decoder.write(Buffer.from(chunk))) {
        if (key === INTERRUPT || key === END_OF_INPUT) throw nothingGiven();
        if (key === '\r' || key === '\n') {
          answers.push(typed.join(''));
          typed = [];
          output.write(`\n${questions[answers.length] ?? ''}`);
          if (answers.length === questions.length) return answers;
        } else if (BACKSPACES.includes(key)) {
          typed.pop();
        } else if (key === ERASE_LINE) {
          typed = [];
        } else {
          typed.push(key);
        }
      }
    }
    throw nothingGiven();
  } finally {
    terminal.setRawMode(false);
  }
}

function nothingGiven(): CisternError {
  return new CisternError('USAGE', 'No password was given.');
}
