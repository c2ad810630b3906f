import assert from 'node:assert/strict';
import fs from 'node:fs';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { cge } from '../../lib/estimators/cge.js';
import { FileError } from '../../lib/support/errors.js';
import { Journal } from '../../lib/objectives/journal.js';
import { rge } from '../../lib/estimators/rge.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import { minimize } from '../../lib/training/minimize.js';
import { Search } from '../../lib/training/search.js';
import { queryOf } from '../helpers/queries.js';
import { bits, withFolder } from '../helpers/tiny.js';

const START = [3, -1];
const OPTIONS = { estimator: cge({ mu: 1e-3 }), optimizer: sgd({ lr: 0.1 }), budget: { steps: 4 }, retries: 1 };
const bowl = (x: Float64Array): number => x[0]! ** 2 + 2 * x[1]! ** 2;

const withJournal = (use: (journal: string) => Promise<void>): Promise<void> =>
  withFolder((folder) => use(join(folder, 'answers.jsonl')));
const linesOf = async (file: string): Promise<string[]> => (await readFile(file, 'utf8')).split('\n');

/** Runs with a disk that takes so many more bytes. */
async function withSpace<T>(bytes: number, use: () => T | Promise<T>): Promise<T> {
  const { writeSync } = fs;
  let left = bytes;
  fs.writeSync = ((descriptor: number, data: Uint8Array, offset: number): number => {
    const part = Math.min(left, data.length - offset);
    if (part === 0) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    left -= part;
    return writeSync(descriptor, data, offset, part);
  }) as typeof fs.writeSync;
  syncBuiltinESMExports();
  try {
    return await use();
  } finally {
    fs.writeSync = writeSync;
    syncBuiltinESMExports();
  }
}

describe('the journal on a full disk', () => {
  it('refuses an answer, which can be told again, and has no part of a line', () =>
    withJournal(async (journal) => {
      const search = await Search.open(START, { ...OPTIONS, journal });
      const [query] = await search.ask();
      const before = await linesOf(journal);
      for (const space of [0, 5]) {
        await withSpace(space, () => {
          assert.throws(
            () => {
              search.tell(query!.id, 10);
            },
            (error) => error instanceof FileError && /answers\.jsonl: could not be written: ENOSPC/.test(error.message),
          );
        });
        assert.deepEqual(await linesOf(journal), before);
      }
      assert.equal(search.state().waiting, true);
      search.tell(query!.id, 10);
      const { length } = await linesOf(journal);
      assert.equal(length, before.length + 1);
      search.close();
      await assert.rejects(search.result, /The run was closed/);
    }));

  it('ends minimize with a FileError, and the same call goes on when there is space', () =>
    withJournal(async (journal) => {
      const whole = await minimize(bowl, START, OPTIONS);
      for (const parallel of [1, 3]) {
        const broken = withSpace(400, () => minimize(bowl, START, { ...OPTIONS, journal, parallel }));
        await assert.rejects(broken, { name: 'FileError', message: /could not be written: ENOSPC/ });
        const kept = await linesOf(journal);
        assert.equal(kept.at(-1), '');
        let calls = 0;
        const counted = (x: Float64Array): number => (calls++, bowl(x));
        const rest = await minimize(counted, START, { ...OPTIONS, journal, parallel });
        assert.equal(calls, whole.evaluations - (kept.length - 2));
        assert.equal(bits(rest.x), bits(whole.x));
        await writeFile(journal, '');
      }
    }));

  it('leaves no file open that it could not begin', () =>
    withJournal(async (journal) => {
      const descriptors = (): number => fs.readdirSync('/proc/self/fd').length;
      const before = descriptors();
      await assert.rejects(
        withSpace(3, () => Journal.open(journal, {})),
        { name: 'FileError' },
      );
      assert.equal(descriptors(), before);
      assert.equal(await readFile(journal, 'utf8'), '');
    }));
});

describe('the journal', () => {
  it('asks again for the failures of a step that was refused', () =>
    withJournal(async (journal) => {
      const whole = await minimize(bowl, START, OPTIONS);
      let broken = true;
      let calls = 0;
      const loss = (x: Float64Array): number => {
        if (++calls > 7 && broken) throw new Error('no power');
        return bowl(x);
      };
      const refused = await minimize(loss, START, { ...OPTIONS, journal });
      assert.match(refused.message, /^Step 2 was refused: .*no power/);
      const again = await minimize(loss, START, { ...OPTIONS, journal });
      assert.match(again.message, /^Step 2 was refused: .*no power/);
      broken = false;
      const answered = calls;
      const rest = await minimize(loss, START, { ...OPTIONS, journal });
      assert.deepEqual([rest.loss, bits(rest.x)], [whole.loss, bits(whole.x)]);
      // What was paid for failures is still counted.
      assert.equal(rest.failed, again.failed);
      assert.equal(rest.evaluations, whole.evaluations + rest.failed);
      assert.equal(calls - answered, whole.evaluations - 7);
    }));

  it('keeps an answer that comes after the run was aborted', () =>
    withJournal(async (journal) => {
      const controller = new AbortController();
      const search = await Search.open(START, { ...OPTIONS, journal, signal: controller.signal });
      const queries = await search.ask(3);
      controller.abort();
      assert.equal((await search.result).stopped, 'signal');
      for (const query of queries) search.tell(query.id, bowl(query.point()));
      search.close();
      search.close();
      const asked: string[] = [];
      const logged = (x: Float64Array, { id }: { id: string }): number => (asked.push(id), bowl(x));
      await minimize(logged, START, { ...OPTIONS, journal, budget: { steps: 1 } });
      assert.deepEqual(asked, ['1.b']);
    }));

  it('is locked against a second run until it is closed', () =>
    withJournal(async (journal) => {
      const search = await Search.open(START, { ...OPTIONS, journal });
      const text = await readFile(journal, 'utf8');
      await appendFile(journal, '{"id":"0.b"');
      await assert.rejects(minimize(bowl, START, { ...OPTIONS, journal }), {
        name: 'FileError',
        message: /answers\.jsonl: is in use by another run, of this or another process$/,
      });
      assert.equal(await readFile(journal, 'utf8'), `${text}{"id":"0.b"`);
      search.close();
      await minimize(bowl, START, { ...OPTIONS, journal });
      {
        using other = await Search.open(START, { ...OPTIONS, journal });
        await other.result;
        await assert.rejects(minimize(bowl, START, { ...OPTIONS, journal }), /is in use by another run/);
      }
      await minimize(bowl, START, { ...OPTIONS, journal });
    }));

  it('is begun anew by a call with other options while it has no answer', () =>
    withJournal(async (journal) => {
      const none = { ...OPTIONS.estimator, queriesPerStep: () => 0 };
      const wrong: [object, RegExp][] = [
        [{ estimator: cge({ mu: 1e-3 }), resolution: 0.5 }, /Expected mu to be large enough/],
        [{ estimator: none }, /queriesPerStep/],
        [{ estimator: rge({ mu: 1, queries: 1e6 }) }, /Expected queries to be at most/],
      ];
      for (const [options, message] of wrong) {
        await assert.rejects(minimize(bowl, START, { ...OPTIONS, ...options, seed: 1, journal }), message);
        assert.equal((await linesOf(journal)).length, 2);
      }
      const { x } = await minimize(bowl, START, { ...OPTIONS, journal });
      assert.equal(bits(x), bits((await minimize(bowl, START, OPTIONS)).x));
      assert.equal((await linesOf(journal)).length, 1 + 13 + 1);
      await assert.rejects(minimize(bowl, START, { ...OPTIONS, seed: 1, journal }), /expected seed to be 0/);
    }));

  it('says that it is closed, not what the descriptor has become', () =>
    withJournal(async (journal) => {
      const search = await Search.open(START, { ...OPTIONS, journal });
      const [query] = await search.ask();
      search.close();
      await assert.rejects(search.result, /The run was closed/);
      assert.throws(
        () => {
          search.tell(query!.id, 1);
        },
        { name: 'FileError', message: /answers\.jsonl: is closed/ },
      );
    }));

  it('begins again where its first line was not written to the end, but overwrites no other file', () =>
    withJournal(async (journal) => {
      await minimize(bowl, START, { ...OPTIONS, journal });
      const text = await readFile(journal, 'utf8');
      for (const part of ['', '{', text.slice(0, 30)]) {
        await writeFile(journal, part);
        await minimize(bowl, START, { ...OPTIONS, journal });
        assert.equal(await readFile(journal, 'utf8'), text);
      }
      for (const other of ['no newline', '{"format":2', '{"id":']) {
        await writeFile(journal, other);
        await assert.rejects(minimize(bowl, START, { ...OPTIONS, journal }), /expected the journal of a run/);
        assert.equal(await readFile(journal, 'utf8'), other);
      }
    }));

  it('yields the answers of a query in the order in which they were written', () =>
    withJournal(async (file) => {
      const first = await Journal.open(file, {});
      const query = queryOf('0.c1+');
      first.record(query, { failed: 'no' });
      first.record(query, { infeasible: 'hot' });
      const others = [queryOf('1.c1+'), queryOf('10.c1+')];
      for (const other of others) first.record(other, { failed: 'no' });
      first.refuse(0);
      first.record(query, undefined);
      first.record(query, 3, true);
      first.close();
      first.refuse(1);
      const second = await Journal.open(file, {});
      const taken = Array.from({ length: 5 }, () => second.take(query));
      assert.deepEqual(
        taken.map((entry) => entry && [entry.answer, entry.isVoid, entry.isLate]),
        [
          [{ failed: 'no' }, true, false],
          [{ infeasible: 'hot' }, false, false],
          [undefined, false, false],
          [3, false, true],
          undefined,
        ],
      );
      assert.ok(others.every((other) => second.take(other)?.isVoid === false));
      second.close();
    }));
});
