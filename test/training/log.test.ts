import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { readLog } from '../../lib/training/log.js';
import { withFolder } from '../helpers/tiny.js';

describe('readLog', () => {
  it('refuses a line that is torn, of another step or nested deeply, by file and number', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'log.jsonl');
      const deep = '[{"a":'.repeat(1e5) + '1' + '}]'.repeat(1e5);
      const first = '{"step":0,"loss":1}';
      for (const line of ['{"st', '{"step":2,"loss":1}', `{"step":1,"loss":1,"deep":${deep}}`, '7', '\u001b[2J']) {
        await writeFile(file, `${first}\n${line}\n`);
        await assert.rejects(readLog(file), {
          name: 'FileError',
          message: `${file}: expected line 2 to be the log entry of step 1`,
        });
        assert.deepEqual(await readLog(file, 1), [JSON.parse(first)]);
      }
    });
  });
});
