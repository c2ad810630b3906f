import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { workerBox } from '../../lib/boxes/worker.js';
import { cge } from '../../lib/estimators/cge.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import type { MinimizeOptions } from '../../lib/training/minimize.js';
import { minimize } from '../../lib/training/minimize.js';
import type { MinimizeResult } from '../../lib/training/search-options.js';
import { clientLoss } from '../helpers/clients.js';
import { queryOf } from '../helpers/queries.js';
import { leavingNothing, until } from '../helpers/resources.js';
import { withFolder } from '../helpers/tiny.js';

const START = [3, -1, 0.5];
const OPTIONS: MinimizeOptions = {
  estimator: cge({ mu: 1e-3, central: true }),
  optimizer: sgd({ lr: 0.1 }),
  budget: { steps: 3 },
};

/** A module whose loss is that of `clientLoss`, but once. It appends to the file `log`, beside it, what is going on. */
const MODULE = (wrong: string, at: string): string => `
import { appendFileSync, openSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
const log = (text) => appendFileSync(new URL('log', import.meta.url), text + '\\n');
const first = () => { try { openSync(new URL('done', import.meta.url), 'wx'); return true; } catch { return false; } };
log('loaded');
export default async function loss(x, { id, step, sample, signal }) {
  const value = x.reduce((sum, entry, i) => sum + (i + 1) * (entry - 1) ** 2, 0);
  if (id === ${JSON.stringify(at)} && first()) { ${wrong} }
  return value;
}`;

interface Ended {
  result: MinimizeResult;
  reasons: string[];
  /** Workers that were started. */
  started: number;
}

/** Minimises over workers that do something wrong once, in one query. */
function run(wrong: string, options: Partial<MinimizeOptions> = {}, workers = 1): Promise<Ended> {
  return withFolder((folder) =>
    leavingNothing(async () => {
      const file = join(folder, 'loss.mjs');
      await writeFile(file, MODULE(wrong, '1.c1+'));
      const journal = join(folder, 'answers.jsonl');
      const box = workerBox(pathToFileURL(file), { workers });
      const result = await minimize(box, START, { ...OPTIONS, ...options, journal });
      const lines = (await readFile(journal, 'utf8')).trimEnd().split('\n').slice(1);
      const reasons = lines.flatMap((line) => (JSON.parse(line) as { failed?: string }).failed ?? []);
      const log = await readFile(join(folder, 'log'), 'utf8');
      return { result, reasons, started: log.split('loaded').length - 1 };
    }),
  );
}

describe('workerBox', () => {
  let whole: MinimizeResult;
  before(async () => {
    whole = await minimize(clientLoss, START, OPTIONS);
  });

  it('yields the bits of the function, from one worker or several that live as long as the run', async () => {
    for (const workers of [1, 3]) {
      const { result, started } = await run('', {}, workers);
      assert.deepEqual(result, whole);
      assert.equal(started, workers);
    }
  });

  const cases: [wrong: string, reason: RegExp, started: number][] = [
    ["throw new RangeError('out of reach');", /^RangeError: out of reach$/, 1],
    ['return NaN;', /^the loss is NaN$/, 1],
    ['return () => 1;', /^DataCloneError: /, 1],
    ["return { failed: 'no light' };", /^no light$/, 1],
    ['process.exit(4);', /^the worker ended with exit code 4$/, 2],
    [
      "setImmediate(() => { throw new Error('uncaught'); }); await new Promise(() => undefined);",
      /^Error: uncaught$/,
      2,
    ],
    ["Promise.reject(new Error('unhandled')); await new Promise(() => undefined);", /^Error: unhandled$/, 2],
  ];
  for (const [wrong, reason, started] of cases) {
    it(`asks again where a worker does ${wrong}`, async () => {
      const ended = await run(wrong);
      assert.deepEqual(ended.result, { ...whole, failed: 1, evaluations: whole.evaluations + 1 });
      assert.match(ended.reasons.join('\n'), reason);
      assert.equal(ended.started, started);
    });
  }

  it('is not misled by a module that writes to its thread', async () => {
    const { result } = await run('parentPort.postMessage({ number: 1, answer: 0 });');
    assert.deepEqual(result, whole);
  });

  it('replaces a worker that blocks, once its time is up', () =>
    withFolder((folder) =>
      leavingNothing(async () => {
        const file = join(folder, 'loss.mjs');
        await writeFile(file, MODULE("log('blocks'); for (;;);", '0.b'));
        // A path, from the folder of this process.
        const box = workerBox(relative(process.cwd(), file), { workers: 1 });
        const controller = new AbortController();
        const answered = box.answer([queryOf('0.b', START)], controller);
        await until(async () => (await readFile(join(folder, 'log'), 'utf8').catch(() => '')).includes('blocks'));
        controller.abort(new Error('no answer within 60 s'));
        assert.deepEqual(await answered, [{ failed: 'no answer within 60 s' }]);
        assert.deepEqual(await box.answer([queryOf('0.b', START)], new AbortController()), [clientLoss(START)]);
        await box.close?.();
      }),
    ));

  it('asks nothing of a worker that is being ended, though it has answered', () =>
    withFolder((folder) =>
      leavingNothing(async () => {
        const file = join(folder, 'loss.mjs');
        const answersLate = `
          log('asked');
          while (!existsSync(new URL('go', import.meta.url)));
          setImmediate(() => log('answered'));`;
        await writeFile(file, `import { existsSync } from 'node:fs';${MODULE(answersLate, '0.b')}`);
        const log = join(folder, 'log');
        const box = workerBox(file, { workers: 1 });
        const controller = new AbortController();
        const answer = box.answer([queryOf('0.b', START)], controller);
        await until(async () => (await readFile(log, 'utf8').catch(() => '')).includes('asked'));
        // Its answer is on its way, but this thread has not read it.
        writeFileSync(join(folder, 'go'), '');
        while (!readFileSync(log, 'utf8').includes('answered'));
        controller.abort(new Error('no answer within 60 s'));
        assert.deepEqual(await answer, [{ failed: 'no answer within 60 s' }]);
        assert.deepEqual(await box.answer([queryOf('0.b', START)], new AbortController()), [clientLoss(START)]);
        await box.close?.();
      }),
    ));

  it('ends with the run where workers never answer, by its budget of seconds', async () => {
    const { result, reasons } = await run('for (;;);', { budget: { seconds: 2 } }, 2);
    assert.deepEqual([result.stopped, reasons], ['budget', []]);
  });

  it('says what is wrong with a module', () =>
    withFolder((folder) =>
      leavingNothing(async () => {
        const options = { ...OPTIONS, retries: 0 };
        for (const [name, text, reason] of [
          [
            'none.mjs',
            'export const loss = 1;',
            /0\.b: TypeError: Expected the default export of file:.* to be a function$/,
          ],
          ['wrong.mjs', 'import "./nowhere.mjs";', /0\.b: Error: Cannot find module .*nowhere\.mjs/],
          ['syntax.mjs', 'export default (', /0\.b: SyntaxError: /],
          ['exits.mjs', 'process.exit(3);', /0\.b: the worker ended with exit code 3$/],
        ] as const) {
          const file = join(folder, name);
          await writeFile(file, text);
          const message = reason;
          await assert.rejects(minimize(workerBox(file, { workers: 1 }), START, options), {
            name: 'RefusedStepError',
            message,
          });
        }
        const file = join(folder, 'loss.mjs');
        await writeFile(file, MODULE('', ''));
        const sample = (): unknown => () => 'no clone of this';
        await assert.rejects(
          minimize(workerBox(file, { workers: 1 }), START, { ...options, sample }),
          /0\.b: DataCloneError: /,
        );
      }),
    ));

  it('refuses wrong options', () => {
    const name = 'InvalidArgumentError';
    assert.throws(() => workerBox('no/such.js'), { name: 'FileError', message: /no\/such\.js: file does not exist/ });
    assert.throws(() => workerBox(new URL('data:text/javascript,')), {
      name,
      message: /Expected file to be a path or/,
    });
    assert.throws(() => workerBox(3 as never), {
      name,
      message: /Expected file to be a path or a file's URL, received 3/,
    });
    assert.throws(() => workerBox(import.meta.filename, { workers: 0 }), {
      name,
      message: /workers to be an integer >= 1/,
    });
  });
});
