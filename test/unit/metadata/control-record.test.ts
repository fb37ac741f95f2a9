import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeControl, encodeControl } from '../../../src/metadata/control-record.ts';

describe('a control record', () => {
  it('gives back any key and any value, the empty one included', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 200 });
    fc.assert(
      fc.property(text, fc.uint8Array({ maxLength: 300 }), (key, value) => {
        const decoded = decodeControl(encodeControl(key, value));
        expect(decoded.key).toBe(key);
        expect(Buffer.from(decoded.value)).toEqual(Buffer.from(value));
      }),
    );
  });

  it('that was cut off is damage, not another record', () => {
    const payload = encodeControl('session\u0000device', Uint8Array.of());
    for (let length = 0; length < payload.length; length += 1) {
      expect(() => decodeControl(payload.subarray(0, length))).toThrow(
        expect.objectContaining({ code: 'RING_DAMAGED' }),
      );
    }
  });
});
