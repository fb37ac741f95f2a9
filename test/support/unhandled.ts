import { afterAll, beforeAll } from 'vitest';

/** Rejections that nobody handled while the tests of the file ran: in the broker each would end it. */
export function collectUnhandled(): readonly unknown[] {
  const unhandled: unknown[] = [];
  const keep = (reason: unknown): void => {
    unhandled.push(reason);
  };
  beforeAll(() => {
    process.on('unhandledRejection', keep);
  });
  afterAll(() => {
    process.off('unhandledRejection', keep);
  });
  return unhandled;
}
