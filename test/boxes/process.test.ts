import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import type { Box } from '../../lib/boxes/box.js';
import type { ProcessBoxOptions } from '../../lib/boxes/process.js';
import { processBox } from '../../lib/boxes/process.js';
import { cge } from '../../lib/estimators/cge.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import type { MinimizeOptions } from '../../lib/training/minimize.js';
import { minimize } from '../../lib/training/minimize.js';
import type { MinimizeResult } from '../../lib/training/search-options.js';
import { CLIENT, clientLoss, numbersIn } from '../helpers/clients.js';
import { queryOf } from '../helpers/queries.js';
import { isRunning, leavingNothing, until } from '../helpers/resources.js';
import { withFolder } from '../helpers/tiny.js';

const START = [3, -1, 0.5];
const OPTIONS: MinimizeOptions = {
  estimator: cge({ mu: 1e-3, central: true }),
  optimizer: sgd({ lr: 0.1 }),
  budget: { steps: 3 },
};

interface Place {
  folder: string;
  files: { PIDS: string; DONE: string; HANGS: string; BASES: string };
}

/** Does something with clients, of which none may be left. */
async function withClients<T>(use: (place: Place) => Promise<T>): Promise<T> {
  return withFolder(async (folder) => {
    const place = (name: string): string => join(folder, name);
    const files = { PIDS: place('pids'), DONE: place('done'), HANGS: place('hangs'), BASES: place('bases') };
    try {
      return await leavingNothing(() => use({ folder, files }));
    } finally {
      await allEnded(files.PIDS);
    }
  });
}

/** Waits until no process runs whose id is in a file: a killed child of a client ends a little after the client. */
async function allEnded(file: string): Promise<void> {
  await until(async () => !(await numbersIn(file)).some(isRunning));
}

interface Ended {
  result: MinimizeResult;
  pids: number[];
  /** The base points that they were sent. */
  bases: number[];
  /** Of the failures, from the journal. */
  reasons: string[];
}

/** Minimises over clients that do HOW once, at the query AT. */
function run(
  env: Record<string, string>,
  { processes = 1, send = 'point', ...options }: Partial<MinimizeOptions> & ProcessBoxOptions = {},
): Promise<Ended> {
  return withClients(async ({ folder, files }) => {
    const box = processBox(...CLIENT, { processes, send, env: { ...files, ...env } });
    const journal = join(folder, 'answers.jsonl');
    const result = await minimize(box, START, { ...OPTIONS, ...options, journal });
    const lines = (await readFile(journal, 'utf8')).trimEnd().split('\n').slice(1);
    const reasons = lines.flatMap((line) => (JSON.parse(line) as { failed?: string }).failed ?? []);
    return { result, pids: await numbersIn(files.PIDS), bases: await numbersIn(files.BASES), reasons };
  });
}

describe('processBox', () => {
  let whole: MinimizeResult;
  before(async () => {
    whole = await minimize(clientLoss, START, OPTIONS);
  });

  it('yields the bits of the function, from one process or several that live as long as the run', async () => {
    for (const processes of [1, 3]) {
      const { result, pids } = await run({}, { processes });
      assert.deepEqual(result, whole);
      assert.equal(pids.length, processes);
    }
  });

  const cases: [how: string, reason: RegExp, restarts?: boolean][] = [
    ['throws', /ended with exit code 1; its standard error ends: .*Error: broken client \| Node\.js/, true],
    ['ends', /ended with exit code 3; its standard error ends: first line \| last words$/, true],
    ['ends half-way', /ended with exit code 0$/, true],
    ['is killed', /ended by SIGTERM$/, true],
    ['closes its input', /node: closed its input$/, true],
    ['answers NaN', /^the answer is "NaN", not a number$/],
    ['answers -Infinity', /^the answer is "-Infinity", not a number$/],
    ['answers 1e999', /^the loss is Infinity$/],
    ['answers null', /^the answer is null, not a number$/],
    ['answers a text', /^the answer is "1", not a number$/],
    ['says why not', /^no light$/],
    ['answers twice', /answered "1\.c1\+"(, which it was not being asked| instead of "1\.c1-")$/, true],
    ['answers twice at once', /answered "1\.c1\+", which it was not being asked$/, true],
    ['answers another', /answered "1\.c1\+0" instead of "1\.c1\+"$/, true],
    ['answers nobody', /sent "\{\\"loss\\":\S+\}": expected an object with an id$/, true],
    ['answers both', /: expected one of loss, failed and infeasible$/, true],
    ['sends a list', /sent "\[1\]": expected an object with an id$/, true],
    ['sends no JSON', /sent "Loading the model \.\.\.": Unexpected token/, true],
    ['sends a deep list', /sent "\[\[\[/, true],
    ['sends a megabyte', /sent a line of more than 1048576 bytes$/, true],
    ['sends without end', /sent a line of more than 1048576 bytes$/, true],
    ['sends a long line', /sent a line of more than 1048576 bytes$/, true],
  ];

  for (const [how, reason, restarts = false] of cases) {
    it(`asks again where a client ${how}`, async () => {
      const { result, pids, reasons } = await run({ HOW: how, AT: '1.c1+' });
      assert.deepEqual(result, { ...whole, failed: 1, evaluations: whole.evaluations + 1 });
      assert.match(reasons.join('\n'), reason);
      assert.equal(pids.length, restarts ? 2 : 1);
    });
  }

  it('sends a base point once a step, and again to a new process', async () => {
    for (const [how, expected] of [
      ['', [0, 1, 2, 3]],
      ['ends', [0, 1, 1, 2, 3]],
    ] as const) {
      const { result, bases } = await run({ HOW: how, AT: '1.c1+' }, { send: 'changes' });
      assert.deepEqual({ ...result, failed: 0, evaluations: whole.evaluations }, whole);
      assert.deepEqual(bases, expected);
    }
  });

  it('replaces a client that ends between two queries', async () => {
    const { result, pids } = await run({ HOW: 'answers and ends', AT: '1.c1+' });
    // The next query fails if it is asked before the end is seen.
    assert.ok(result.failed <= 1);
    assert.deepEqual({ ...result, failed: 0, evaluations: whole.evaluations }, whole);
    assert.equal(pids.length, 2);
  });

  for (const [how, said] of [
    ['hangs', '; its standard error ends: waiting for hardware'],
    ['hangs and is busy', '; its standard error ends: busy'],
    ['hangs and has children', ''],
    ['hangs without output', ''],
  ] as const) {
    it(`kills a client that ${how}, once its time is up`, () =>
      withClients(async ({ files }) => {
        const box = processBox(...CLIENT, { env: { ...files, HOW: how } });
        const controller = new AbortController();
        const answered = box.answer([queryOf('0.b', START)], controller);
        await until(async () => (await readFile(files.HANGS, 'utf8').catch(() => '')) !== '');
        controller.abort(new Error('no answer within 60 s'));
        assert.deepEqual(await answered, [{ failed: `${CLIENT[0]}: no answer within 60 s${said}` }]);
        await allEnded(files.PIDS);
        // The file DONE says that it was so once.
        const next = await box.answer([queryOf('0.b', START)], new AbortController());
        assert.deepEqual(next, [clientLoss(START)]);
        await box.close?.();
      }));
  }

  it('ends with the run where a client hangs: by a timeout, by a signal, by the budget of seconds', async () => {
    const late = await run({ HOW: 'hangs', AT: '1.c1+' }, { timeout: 2, retries: 1000, processes: 2 });
    assert.ok(late.result.failed >= 1);
    assert.deepEqual({ ...late.result, failed: 0, evaluations: whole.evaluations }, whole);
    const controller = new AbortController();
    const aborted = await withClients(async ({ files }) => {
      const box = processBox(...CLIENT, { processes: 3, env: { ...files, HOW: 'hangs and is busy', DONE: '' } });
      const ended = minimize(box, START, { ...OPTIONS, signal: controller.signal });
      await until(async () => (await numbersIn(files.PIDS)).length === 3);
      controller.abort();
      return ended;
    });
    assert.deepEqual([aborted.stopped, aborted.failed], ['signal', 0]);
    const out = await run({ HOW: 'hangs and has children', DONE: '' }, { processes: 2, budget: { seconds: 1 } });
    assert.deepEqual([out.result.stopped, out.reasons], ['budget', []]);
  });

  it('ends with a clear error where clients never answer, the parameters unchanged', async () => {
    const always = { HOW: 'ends', DONE: '' };
    const name = 'RefusedStepError';
    const message =
      /^There is no loss at the unperturbed point, query 0\.b: .*node: ended with exit code 3; its standard error ends: first line/;
    await assert.rejects(run(always, { processes: 2 }), { name, message });
    // From step 1 on.
    const refused = await run({ ...always, AT: '1.b' });
    assert.equal(refused.result.stopped, 'failures');
    assert.match(
      refused.result.message,
      /^Step 1 was refused: There is no loss at the unperturbed point, query 1\.b: /,
    );
    const first = await minimize(clientLoss, START, { ...OPTIONS, budget: { steps: 1 } });
    assert.deepEqual([refused.result.steps, refused.reasons.length], [1, 3]);
    assert.ok(refused.result.loss >= first.loss);
  });

  it('ends clients with the run: those that do not end by themselves, and what they started', async () => {
    for (const how of ['does not end', 'has children']) {
      const { result, pids } = await run({ HOW: how, AT: '0.c0+' });
      assert.deepEqual(result, whole);
      assert.equal(pids.length, how === 'has children' ? 2 : 1);
    }
  });

  it('ends clients where a callback throws or an option is wrong', async () => {
    const onStep = (): never => assert.fail('no more');
    await assert.rejects(run({}, { processes: 3, onStep }), /no more/);
    await assert.rejects(run({}, { budget: {} }), /Expected budget/);
  });

  it('kills clients that are busy when this process exits', () =>
    withClients(async ({ files }) => {
      const program = `
import { existsSync } from 'node:fs';
import { processBox } from ${JSON.stringify(pathToFileURL('lib/boxes/process.ts').href)};
const box = processBox(...${JSON.stringify(CLIENT)}, { env: { HOW: 'hangs and is busy' } });
const base = Float64Array.of(1);
void box.answer([{ id: '0.b', step: 0, sample: 0, tensors: [], base, point: () => base }], new AbortController());
setInterval(() => existsSync(process.env.HANGS) && process.exit(), 10);`;
      const options = ['--import', 'tsx', '--input-type=module', '-e', program];
      await promisify(execFile)(process.execPath, options, { env: { ...process.env, ...files } });
      const pids = await numbersIn(files.PIDS);
      assert.equal(pids.length, 1);
      await until(() => !isRunning(pids[0]!));
    }));

  it('can be used again', () =>
    withClients(async ({ files }) => {
      const box = processBox(...CLIENT, { env: files });
      for (const _ of [1, 2]) assert.deepEqual(await minimize(box, START, OPTIONS), whole);
      assert.equal((await numbersIn(files.PIDS)).length, 2);
    }));

  it('says that it cannot start a process', async () => {
    const asked = (box: Box): Promise<MinimizeResult> => minimize(box, START, { ...OPTIONS, retries: 0 });
    await leavingNothing(async () => {
      for (const [box, reason] of [
        [processBox('no-such-program'), /0\.b: no-such-program: could not be started: spawn no-such-program ENOENT/],
        [processBox(...CLIENT, { cwd: '/no/folder' }), /could not be started: spawn .*node ENOENT/],
        [processBox('python3 x.py'), /ENOENT; its arguments are given apart from it, as a list$/],
        [processBox('/proc/version'), /could not be started: spawn \/proc\/version EACCES/],
        [processBox('node', ['\0']), /must be a string without null bytes/],
      ] as const) {
        await assert.rejects(asked(box), { name: 'RefusedStepError', message: reason });
      }
    });
  });

  it('refuses wrong options', () => {
    const cases: [() => Box, RegExp][] = [
      [() => processBox(''), /Expected command to be a non-empty string, received ""/],
      [() => processBox('node', 'x' as never), /Expected args to be a list of strings, received "x"/],
      [() => processBox('node', [1] as never), /Expected args\[0\] to be a string, received 1/],
      [() => processBox('node', [], { processes: 0 }), /Expected processes to be an integer >= 1, received 0/],
      [() => processBox('node', [], { env: { A: 1 } as never }), /Expected env to be an object of strings/],
      [() => processBox('node', [], { send: 'all' as never }), /Expected send to be one of point, changes, seed/],
      [() => processBox('node', [], { proceses: 1 } as never), /did you mean "processes"\?/],
    ];
    for (const [make, message] of cases) assert.throws(make, { name: 'InvalidArgumentError', message });
  });
});
