import assert from 'node:assert/strict';

import { didYouMean, escaped, FileError, inline, label, quote, show } from '../../lib/support/errors.js';

const LONG = 'x'.repeat(5000);

describe('a text from a file in a message', () => {
  it('has no control characters', () => {
    const text = 'a\u001b[31mb\r\nc\u0085d\u2028e\u202ef';
    const visible = 'a\\u001b[31mb\\u000d\\u000ac\\u0085d\\u2028e\\u202ef';
    assert.equal(escaped(text), visible);
    assert.equal(inline(text), visible);
    for (const message of [quote(text), label(text), show(text), show([text]), didYouMean(text, [`${text}g`])]) {
      assert.match(message, /"[ -~]*"/);
      assert.doesNotMatch(message, /[\p{Cc}\p{Cf}\p{Zl}]/u);
    }
    assert.doesNotMatch(new FileError(`${text}.json`, 'is damaged').message, /\p{Cc}/u);
  });

  it('is short', () => {
    for (const message of [quote(LONG), inline(LONG), label(LONG), show(LONG), didYouMean('z', [LONG])]) {
      assert.ok(message.length < 150 && message.includes('…'), message);
    }
    const known = Array.from({ length: 1000 }, (_, i) => `layer${i}.weight`);
    assert.match(didYouMean('z', known), /^; known are layer0\.weight, .*, layer29\.weight and 970 more$/);
  });

  it('is quoted unless it is plain', () => {
    assert.deepEqual(['fc.bias', 'a b', '', 'ü'].map(label), ['fc.bias', '"a b"', '""', '"ü"']);
  });
});
