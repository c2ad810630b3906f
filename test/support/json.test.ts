import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { FileError } from '../../lib/support/errors.js';
import { parseJson, readJson } from '../../lib/support/json.js';
import { withFolder } from '../helpers/tiny.js';

const nested = (levels: number): string => '[{"a":'.repeat(levels / 2) + '1' + '}]'.repeat(levels / 2);

describe('readJson', () => {
  it('names the file of content that is not JSON, in one line without control characters', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'a.json');
      await writeFile(file, '{"a": \u001b[31mred\n}');
      await assert.rejects(readJson(file), (error: unknown) => {
        assert.ok(error instanceof FileError, String(error));
        assert.match(error.message, /a\.json: is not JSON: [ -~]*$/);
        return true;
      });
    });
  });
});

describe('parseJson', () => {
  it('reads up to 500 levels, and brackets within strings are none', () => {
    assert.equal(JSON.stringify(parseJson(nested(500), 'x')), nested(500));
    const text = JSON.stringify({ brackets: '[{'.repeat(1000), quoted: '\\"[\\\\' });
    assert.equal(JSON.stringify(parseJson(text, 'x')), text);
    const flat = `[${'[],'.repeat(1000)}[]]`;
    assert.equal(JSON.stringify(parseJson(flat, 'x')), flat);
  });

  it('refuses more, by the file and the part', () => {
    for (const levels of [502, 1_000_000]) {
      assert.throws(() => parseJson(nested(levels), 'some.json', 'the header'), {
        name: 'FileError',
        message: 'some.json: the header has objects and lists nested more than 500 deep',
      });
    }
  });
});
