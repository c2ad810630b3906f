import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeCifar10 } from '../lib/data/cifar10.js';
import { synthetic } from '../lib/data/synthetic.js';
import { Model } from '../lib/model.js';
import { cnn } from '../lib/network/cnn.js';

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs the command; `onOutput` sees what it has printed so far and may send it a signal. */
function deepzero(args: readonly string[], onOutput?: (text: string, kill: (signal: NodeJS.Signals) => void) => void) {
  const main = join(import.meta.dirname, '..', 'lib', 'cli', 'main.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', main, ...args]);
  const text = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (part: string) => {
      text[name] += part;
      onOutput?.(text.stdout + text.stderr, (signal) => child.kill(signal));
    });
  }
  return new Promise<Ended>((resolve) => {
    child.on('close', (code) => {
      resolve({ code, ...text });
    });
  });
}

function lastLine(text: string): Record<string, unknown> {
  return JSON.parse(text.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>;
}

const CNN = ['--network', 'cnn', '--depth', '1'];

describe('deepzero', function () {
  this.timeout(120_000);
  let folder: string;
  let data: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'deepzero-cli-'));
    data = join(folder, 'data');
    await writeCifar10(data, synthetic({ train: 100, test: 30 }));
  });

  after(() => rm(folder, { recursive: true }));

  it('info says what runs here, as JSON on the last line', async () => {
    const { code, stdout } = await deepzero(['info', '--json']);
    assert.equal(code, 0);
    assert.equal(typeof lastLine(stdout)['version'], 'string');
  });

  it('every command has --help', async () => {
    const names = ['train', 'prune', 'eval', 'gradcheck', 'data', 'info'];
    const ended = await Promise.all(names.map((name) => deepzero([name, '--help'])));
    for (const { code, stdout } of ended) {
      assert.equal(code, 0);
      assert.match(stdout, /^Usage: deepzero/);
    }
  });

  it('gradcheck holds the engine against the reference', async () => {
    const args = ['gradcheck', ...CNN, '--data', data, '--batch-size', '8', '--mu', '1e-3', '--count', '6', '--json'];
    const { code, stdout, stderr } = await deepzero(args);
    assert.equal(code, 0, stderr);
    const { entries, relativeError, cosine } = lastLine(stdout);
    assert.equal((entries as object[]).length, 6);
    assert(Number(relativeError) < 1e-3 && Number(cosine) > 0.999999);
    const chosen = join(folder, 'coordinates.json');
    await writeFile(chosen, JSON.stringify([{ name: 'fc.weight', index: 3 }]));
    const named = await deepzero([...args.slice(0, -3), '--coordinates', chosen, '--json']);
    assert.equal(named.code, 0, named.stderr);
    const [entry] = lastLine(named.stdout)['entries'] as { name: string; index: number }[];
    assert.deepEqual([entry?.name, entry?.index], ['fc.weight', 3]);
  });

  it('train, stopped by Ctrl-C and resumed, ends with the bits of a run that was not; eval reads the weights', async () => {
    const options = ['train', ...CNN, '--data', data, '--sparsity', '0.5', '--batch-size', '20', '--steps', '6'];
    const more = ['--grasp-queries', '4', '--samples-per-class', '2'];
    const whole = join(folder, 'whole');
    const parts = join(folder, 'parts');
    const ended = await deepzero([...options, ...more, '--out', whole, '--json']);
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(lastLine(ended.stdout)['steps'], 6);

    let sent = false;
    const stopped = await deepzero([...options, ...more, '--out', parts], (text, kill) => {
      if (!sent && /step 2\/6/.test(text)) {
        sent = true;
        kill('SIGINT');
      }
    });
    if (stopped.code !== 0) {
      assert.equal(stopped.code, 130, stopped.stderr);
      assert.match(stopped.stdout + stopped.stderr, /train --resume/);
      const resumed = await deepzero(['train', '--resume', parts]);
      assert.equal(resumed.code, 0, resumed.stderr);
    }
    const weights = join(whole, 'model.safetensors');
    assert.deepEqual(await readFile(join(parts, 'model.safetensors')), await readFile(weights));
    assert.equal((await readFile(join(parts, 'log.jsonl'), 'utf8')).trim().split('\n').length, 6);

    const evaluated = await deepzero(['eval', '--weights', weights, '--data', data, '--json']);
    assert.equal(evaluated.code, 0, evaluated.stderr);
    assert.deepEqual(Object.keys(lastLine(evaluated.stdout)).sort(), ['accuracy', 'count', 'loss']);
  });

  it('prune writes ratios that respect the sparsity', async () => {
    const out = join(folder, 'ratios.json');
    const small = ['--grasp-queries', '4', '--samples-per-class', '2', '--sparsity', '0.8'];
    const { code, stdout, stderr } = await deepzero([
      'prune',
      ...CNN,
      '--data',
      data,
      ...small,
      '--out',
      out,
      '--json',
    ]);
    assert.equal(code, 0, stderr);
    assert.equal(typeof lastLine(stdout)['layers'], 'object');
    assert.match(await readFile(out, 'utf8'), /fc\.weight/);
  });

  describe('says in one line what is wrong with', () => {
    const wrong: [string, () => Promise<string[]> | string[], RegExp][] = [
      ['an unknown option', () => ['train', '--sparsty', '0.9'], /--sparsty.*--sparsity/],
      ['an unknown command', () => ['trian'], /Unknown command "trian".*"train"/],
      ['mu 0', () => ['train', ...CNN, '--mu', '0'], /mu to be a finite number > 0, received 0/],
      ['sparsity 1', () => ['train', ...CNN, '--sparsity', '1'], /sparsity to be .* < 1, received 1/],
      ['a depth that no ResNet has', () => ['info', '--network', 'resnet', '--depth', '21'], /6n \+ 2/],
      [
        'a batch larger than the data set',
        () => ['train', ...CNN, '--data', data, '--batch-size', '101'],
        /at most 100/,
      ],
      ['a missing folder', () => ['train', ...CNN, '--data', join(folder, 'none')], /none: folder does not exist/],
      [
        'a truncated batch',
        async () => {
          const copy = join(folder, 'truncated');
          await writeCifar10(copy, synthetic({ train: 20, test: 5 }));
          await appendFile(join(copy, 'test_batch.bin'), 'x');
          return ['train', ...CNN, '--data', copy];
        },
        /test_batch\.bin: .*truncated/,
      ],
      [
        'an output folder below a file',
        async () => {
          const file = join(folder, 'file');
          await writeFile(file, '');
          return ['train', ...CNN, '--data', data, '--batch-size', '10', '--out', join(file, 'run')];
        },
        /not a directory/,
      ],
      [
        'weights that are not finite',
        async () => {
          using model = new Model(cnn({ depth: 1 }));
          model.tensor('fc.bias')[2] = NaN;
          const file = join(folder, 'nan.safetensors');
          await model.save(file);
          return ['eval', '--weights', file, '--data', data];
        },
        /fc\.bias\[2\] to be finite/,
      ],
      [
        'a corrupt checkpoint',
        async () => {
          const run = join(folder, 'corrupt');
          await mkdir(run);
          const args = ['train', ...CNN, '--data', data, '--estimator', 'rge', '--queries', '2', '--steps', '1'];
          await rm(run, { recursive: true });
          assert.equal((await deepzero([...args, '--batch-size', '10', '--out', run])).code, 0);
          const checkpoint = join(run, 'run.safetensors');
          const bytes = await readFile(checkpoint);
          bytes[bytes.length - 1]! ^= 1;
          await writeFile(checkpoint, bytes);
          return ['train', '--resume', run];
        },
        /run\.safetensors: is damaged/,
      ],
    ];
    for (const [what, makeArgs, message] of wrong) {
      it(what, async () => {
        const { code, stderr } = await deepzero(await makeArgs());
        assert(code === 1 || code === 2, `exit code ${code}`);
        assert.match(stderr, message);
        assert.match(stderr, /^deepzero: [^\n]*\n$/m);
        assert.doesNotMatch(stderr, /\n\s+at /);
      });
    }
  });

  it('leaves no temporary files', async () => {
    const files = await readdir(folder, { recursive: true });
    assert.deepEqual(
      files.filter((file) => file.endsWith('.tmp')),
      [],
    );
  });
});
