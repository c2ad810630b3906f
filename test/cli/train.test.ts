import assert from 'node:assert/strict';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { spawn } from 'node:child_process';
import { copyFile, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from '../../lib/support/files.js';
import { temporaryIn } from '../../lib/support/writers.js';
import { native } from '../../lib/native/addon.js';
import { COMMAND, deepzero, fails, json, outcomeOf, start, TINY, writeImages } from '../helpers/command.js';
import { withFolder } from '../helpers/tiny.js';
import { readLog, RECIPE, timeless } from '../helpers/train-command.js';

/** Waits for an epoch's line, which follows its checkpoint closely. */
async function untilEpoch(child: ChildProcessWithoutNullStreams, epoch: number): Promise<void> {
  const line = new RegExp(`^ *${7 * epoch}/`, 'm');
  let printed = '';
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      printed += chunk.toString();
      if (line.test(printed)) resolve();
    });
    child.on('close', () => {
      reject(new Error(`ended before epoch ${epoch}: ${printed}`));
    });
  });
}

describe('deepzero train', () => {
  it('leaves options, ratios, log, checkpoint and weights, and says how it went', () =>
    withFolder(async (folder) => {
      const data = await writeImages(folder);
      const run = join(folder, 'run');
      const result = await json(['train', ...RECIPE, '--data', data, '--epochs', '2', '--out', run]);
      assert.deepEqual((await readdir(run)).sort(), [
        'config.json',
        'log.jsonl',
        'mask.safetensors',
        'model.safetensors',
        'ratios.json',
        'run.json',
        'run.safetensors',
        'status.json',
      ]);
      const log = await readLog(run);
      assert.deepEqual(
        log.map(({ step }) => step),
        Array.from({ length: 14 }, (_, i) => i),
      );
      assert.deepEqual(
        log.filter(({ test }) => test).map(({ step }) => step),
        [6, 13],
      );
      const { steps, test, weights } = result as { steps: number; test: object; weights: string };
      assert.equal(steps, 14);
      assert.deepEqual(test, log[13]!.test);
      assert.deepEqual(await json(['eval', '--weights', weights, '--data', data, '--batch-size', '8']), test);
      await json(['eval', '--weights', join(run, 'run.safetensors'), '--data', data]);

      await fails(
        ['train', ...RECIPE, '--data', data, '--out', run],
        1,
        /already holds a run: continue it with --resume/,
      );
      const before = await readFile(join(run, 'run.safetensors'));
      assert.equal((await json(['train', '--resume', run]))['steps'], 14);
      assert.deepEqual(await readFile(join(run, 'run.safetensors')), before);
      if (native.isa === 'portable') return;
      const elsewhere = await deepzero(['train', '--resume', run], { env: { DEEPZERO_ISA: 'portable' } });
      assert.match(elsewhere.stdout, /^The run was saved under \w+ and goes on under portable: .* the last bits/m);
    }));

  it('says before it starts what it will cost, and shows progress', () =>
    withFolder(async (folder) => {
      const data = await writeImages(folder);
      const { stdout, code } = await deepzero(['train', ...RECIPE, '--data', data, '--steps', '4'], { cwd: folder });
      assert.equal(code, 0);
      const cost = stdout.search(
        /^Cost with these ratios: \d+ queries, about \S+ ms a step; 4 steps, about .* in all\.$/m,
      );
      assert.match(stdout, /^Cost with the same sparsity in every layer: \d+ queries/m);
      const progress = stdout.search(
        /^4\/4 steps {2}done {2}loss \S+ {2}accuracy \S+ % {2}lr \S+ {2}epoch 1 {2}\S+ queries\/s/m,
      );
      assert.ok(cost >= 0 && progress > cost, stdout);
      assert.match(stdout, /^test accuracy \S+ %/m);
      assert.deepEqual(await readdir(join(folder, 'runs')), ['cnn1-synthetic-1']);
      await deepzero(['train', ...RECIPE, '--data', data, '--steps', '1'], { cwd: folder });
      assert.deepEqual((await readdir(join(folder, 'runs'))).sort(), ['cnn1-synthetic-1', 'cnn1-synthetic-2']);
    }));

  for (const estimator of ['cge', 'rge'] as const) {
    it(`trains by ${estimator}`, () =>
      withFolder(async (folder) => {
        const run = join(folder, 'run');
        const random = ['--queries', '5', '--distribution', 'sphere', '--per-tensor', '--scale', 'unbiased'];
        const queries = estimator === 'rge' ? [...random, '--central'] : [];
        const adam = ['--optimizer', 'adam', '--lr', '0.01', '--schedule', 'step'];
        const others = [...adam, '--batch-size', '8', '--steps', '2'];
        await json(['train', ...TINY, '--estimator', estimator, ...queries, ...others, '--out', run]);
        const expected = estimator === 'rge' ? 11 : 91;
        for (const step of await readLog(run)) assert.equal(step.queries, expected);
        assert.equal((await json(['train', '--resume', run]))['steps'], 2);
      }));
  }

  for (const [ratios, files] of [
    ['', 0],
    ['uniform', 0],
    ['random', 1],
    ['magnitude', 1],
    ['grasp', 1],
  ] as const) {
    it(`trains by first-order gradients, ${ratios === '' ? 'dense' : `sparse by ratios: ${ratios}`}`, () =>
      withFolder(async (folder) => {
        const run = join(folder, 'run');
        const sparse = ratios === '' ? [] : ['--sparsity', '0.5', '--ratios', ratios, '--redraw-every', '1'];
        const samples = ratios === 'grasp' ? ['--samples-per-class', '2'] : [];
        const length = ['--batch-size', '8', '--steps', '3', '--data', await writeImages(folder)];
        const args = ['train', ...TINY, '--estimator', 'first-order', ...sparse, ...samples, ...length, '--out', run];
        await json(args);
        const log = await readLog(run);
        assert.deepEqual(
          log.map(({ queries }) => queries),
          [1, 1, 1],
        );
        assert.equal((await readdir(run)).filter((name) => name === 'ratios.json').length, files);
        const { options } = JSON.parse(await readFile(join(run, 'config.json'), 'utf8')) as {
          options: { lr: number; sparsity: number };
        };
        assert.deepEqual([options.lr, options.sparsity], [0.1, ratios === '' ? 0 : 0.5]);
        assert.equal((await json(['train', '--resume', run]))['steps'], 3);
      }));
  }

  it('defaults to a learning rate that suits estimator and optimizer', () =>
    withFolder(async (folder) => {
      const data = await writeImages(folder);
      const rates = await Promise.all(
        [[], ['--optimizer', 'adam'], ['--estimator', 'rge', '--queries', '2']].map(async (options, i) => {
          const out = join(folder, String(i));
          const quick = ['--ratios', 'uniform', '--steps', '1', '--batch-size', '8'];
          const length = options.includes('rge') ? quick.slice(2) : quick;
          await json(['train', ...TINY, '--data', data, ...options, ...length, '--out', out]);
          return (JSON.parse(await readFile(join(out, 'config.json'), 'utf8')) as { options: { lr: number } }).options
            .lr;
        }),
      );
      assert.deepEqual(rates, [0.1, 1e-3, 1e-3]);
    }));

  it('needs the memory of a step, and leaves no folder where that is refused before it', () =>
    withFolder(async (folder) => {
      const out = join(folder, 'run');
      const length = ['--data', await writeImages(folder), '--steps', '2', '--out', out];
      const little =
        /Expected --memory to be at least [\d.]+MB for \d+ images on one thread, received 10KB: raise --memory, or use a smaller batch/;
      await fails(['train', ...RECIPE, ...length, '--memory', '10KB'], 2, little);
      assert.ok(!(await exists(out)));
      await fails(['train', ...RECIPE, ...length.slice(0, 4), '--memory', '10KB'], 2, little, { cwd: folder });
      assert.ok(!(await exists(join(folder, 'runs'))));
      assert.equal((await json(['train', ...RECIPE, ...length, '--memory', '1GB']))['steps'], 2);
      await fails(['train', '--resume', out, '--memory', '0.01MB'], 2, little);
      assert.equal((await json(['train', '--resume', out, '--memory', '1GB']))['steps'], 2);
    }));

  it('begins only in a folder without files of a run', () =>
    withFolder(async (folder) => {
      for (const name of ['ratios.json', 'run.safetensors', 'log.jsonl', 'model.safetensors']) {
        const run = join(folder, name, 'run');
        await mkdir(run, { recursive: true });
        await writeFile(join(run, name), '');
        await fails(
          ['train', ...RECIPE, '--out', run],
          1,
          new RegExp(`run: already holds ${name}: choose another --out$`),
        );
      }
    }));

  it('stops on Ctrl-C or kill -9, and resumes to the bits of an uninterrupted run', () =>
    withFolder(async (folder) => {
      const args = ['train', ...RECIPE, '--data', await writeImages(folder), '--epochs', '150'];
      const [whole, stopped, killed] = ['whole', 'it is stopped', 'killed'].map((name) => join(folder, name));
      await json([...args, '--out', whole!]);

      const child = start([...args, '--out', stopped!]);
      const outcome = outcomeOf(child);
      await untilEpoch(child, 3);
      child.kill('SIGINT');
      const { code, stderr } = await outcome;
      assert.deepEqual([code, stderr], [130, '']);
      const reached = (await readLog(stopped!)).length;
      await writeFile(temporaryIn(stopped!).replace(/-\d+-(\w+\.tmp)$/, '-1-$1'), 'left by a process that was killed');
      assert.ok(reached >= 21 && reached < 1050);

      const victim = start([...args, '--out', killed!]);
      const end = outcomeOf(victim);
      await untilEpoch(victim, 5);
      victim.kill('SIGKILL');
      await end;
      // A crash may leave lines after the checkpoint, the last one incomplete.
      await writeFile(join(killed!, 'log.jsonl'), '{"step":99,"loss":0}\n{"st', { flag: 'a' });

      for (const run of [stopped!, killed!]) {
        assert.equal((await json(['train', '--resume', run, '--threads', '1']))['steps'], 1050);
        assert.deepEqual(timeless(await readLog(run)), timeless(await readLog(whole!)));
        const [mine, its] = await Promise.all([run, whole!].map((path) => readFile(join(path, 'model.safetensors'))));
        assert.ok(mine!.equals(its!), run);
        assert.ok((await readdir(run)).every((name) => !name.endsWith('.tmp')));
      }
    }));

  it('locks its folder, treats two signals as one, and prints the command that resumes', () =>
    withFolder(async (folder) => {
      const args = ['train', ...RECIPE, '--data', await writeImages(folder), '--epochs', '5000', '--out', "it's here"];
      const child = start(args, { cwd: folder });
      const outcome = outcomeOf(child);
      await untilEpoch(child, 1);
      await fails(
        ['train', '--resume', "it's here"],
        1,
        new RegExp(`it's here: is in use by another run, .*; process ${child.pid} on .+ started it last$`),
        {
          cwd: folder,
        },
      );
      // Both are pending when the process goes on, in whichever order.
      for (const signal of ['SIGSTOP', 'SIGHUP', 'SIGINT', 'SIGCONT'] as const) child.kill(signal);
      const { code, stdout, stderr } = await outcome;
      assert.ok(code === 129 || code === 130, String(code));
      assert.equal(stderr, '');
      assert.match(
        stdout,
        /^Stopping: the steps done are kept; once more to quit at once\.\n(.*\n)?[\d,]+ of 35,000 steps are done and saved; .*\nStopped\. To continue:\n {2}deepzero train --resume 'it'\\''s here'\n$/m,
      );
    }));

  it('saves and ends quietly when nobody reads any more', () =>
    withFolder(async (folder) => {
      const run = join(folder, 'run');
      const child = start(['train', ...RECIPE, '--data', await writeImages(folder), '--epochs', '5000', '--out', run]);
      const closed = new Promise<number | null>((resolve) => child.on('close', resolve));
      let stderr = '';
      child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
      await untilEpoch(child, 1);
      child.stdout.destroy();
      assert.deepEqual([await closed, stderr], [141, '']);
      assert.ok((await readdir(run)).includes('run.safetensors'));
    }));

  it('names a damaged file of a run', () =>
    withFolder(async (folder) => {
      const run = join(folder, 'run');
      await json(['train', ...RECIPE, '--data', await writeImages(folder), '--steps', '2', '--out', run]);
      const resume = ['train', '--resume', run];
      const [checkpoint, config, ratios] = ['run.safetensors', 'config.json', 'ratios.json'].map((name) =>
        join(run, name),
      );

      await copyFile(checkpoint!, join(folder, 'copy'));
      const bytes = await readFile(checkpoint!);
      bytes[bytes.length - 1]! ^= 1;
      await writeFile(checkpoint!, bytes);
      await fails(resume, 1, /run\.safetensors: is damaged/);
      await truncate(checkpoint!, bytes.length - 100);
      await fails(resume, 1, /run\.safetensors: /);
      await writeFile(checkpoint!, 'x');
      await fails(resume, 1, /run\.safetensors: /);
      await copyFile(join(folder, 'copy'), checkpoint!);

      const options = JSON.parse(await readFile(config!, 'utf8')) as { options: Record<string, unknown> };
      const edits: [Record<string, unknown>, RegExp][] = [
        [{ lr: 0 }, /config\.json: expected options\.lr to be a finite number > 0, received 0$/],
        [{ epochs: '1' }, /config\.json: expected options\.epochs to be a finite number > 0 or null, received "1"$/],
        [{ epochs: undefined }, /options\.epochs to be a finite number > 0 or null, received undefined$/],
        [{ lr: [1] }, /config\.json: expected options\.lr to be a finite number > 0, received \[1\]$/],
        [{ lr: '0.1' }, /config\.json: expected options\.lr to be a finite number > 0, received "0\.1"$/],
        [{ lr: undefined }, /config\.json: expected options\.lr to be a finite number > 0, received undefined$/],
        [{ central: undefined }, /config\.json: expected options\.central to be true or false, received undefined$/],
        [{ lrr: 1 }, /config\.json: unknown "lrr" in options; did you mean "lr"\?$/],
        [{ steps: null }, /config\.json: expected one of options\.epochs and options\.steps to be null$/],
        [{ sparsity: 0.6 }, /ratios\.json: found with sparsity 0\.5, but config\.json has 0\.6$/],
        [{ graspQueries: 5 }, /ratios\.json: found with graspQueries 4, but config\.json has 5$/],
        [{ seed: 4 }, /ratios\.json: found with seed 3, but config\.json has 4$/],
        [
          { lr: 0.2 },
          /run\.safetensors: expected optimizer\.lr\.peak to be 0\.1, as when the run was saved, received 0\.2$/,
        ],
      ];
      for (const [edit, message] of edits) {
        await writeFile(config!, JSON.stringify({ ...options, options: { ...options.options, ...edit } }));
        await fails(resume, 1, message);
      }
      await writeFile(config!, JSON.stringify({ ...options, format: undefined }));
      await fails(
        resume,
        1,
        /config\.json: was written by another version \(no format, expected 1\): start a new run; /,
      );
      await writeFile(config!, JSON.stringify(options));
      const log = join(run, 'log.jsonl');
      const lines = await readFile(log, 'utf8');
      await writeFile(log, lines.slice(0, lines.indexOf('\n') + 1));
      await fails(resume, 1, /log\.jsonl: has 1 lines, expected one for each of the 2 steps done$/);
      await writeFile(log, 'x\n'.repeat(2));
      await fails(resume, 1, /log\.jsonl: expected line 1 to be the log entry of step 0$/);
      await rm(log);
      await fails(resume, 1, /log\.jsonl: file does not exist$/);
      await writeFile(log, lines);
      await rm(ratios!);
      await fails(resume, 1, /ratios\.json: file does not exist$/);
      await writeFile(ratios!, '{"layers": {"fc.weight": 0, "conv_layers.0.weight": 0}}');
      await fails(resume, 1, /ratios\.json: expected "ratios", received "layers", their former name: rename it$/);
      await writeFile(ratios!, '{"ratios": [0.5]}');
      await fails(resume, 1, /ratios\.json: expected ratios to be an object, received \[0\.5\]$/);
      await writeFile(ratios!, '{"ratios": {"fc.weight": 2, "conv_layers.0.weight": 0}}');
      await fails(resume, 1, /ratios\.json: expected ratios\["fc\.weight"\] to be a number from 0 to 1, received 2$/);
      await fails(['train', '--resume', join(folder, 'none')], 1, /none: no such file or directory$/);
    }));

  it('says where it cannot write, and leaves no part of a file', () =>
    withFolder(async (folder) => {
      const data = await writeImages(folder);
      await writeFile(join(folder, 'file'), '');
      await fails(
        ['train', ...RECIPE, '--data', data, '--out', join(folder, 'file', 'x')],
        1,
        /file\/x: not a directory$/,
      );

      // A limit of 512-byte blocks on every file written stands for a full disk: log and weights fit, the checkpoint does not.
      const run = join(folder, 'run');
      await mkdir(run);
      const limited = ['-c', 'ulimit -f 9; exec "$0" "$@"', ...COMMAND];
      const args = ['train', ...RECIPE, '--width', '8', '--data', data, '--steps', '3', '--out', run];
      const { code, stderr } = await outcomeOf(spawn('sh', [...limited, ...args]));
      assert.equal(code, 1);
      assert.match(stderr, /^deepzero: .*run\/run\.safetensors: file too large\n$/);
      const left = ['config.json', 'log.jsonl', 'mask.safetensors', 'ratios.json', 'run.json', 'status.json'];
      assert.deepEqual((await readdir(run)).sort(), left);
      const status = JSON.parse(await readFile(join(run, 'status.json'), 'utf8')) as { state: string; message: string };
      assert.equal(status.state, 'failed');
      assert.match(status.message, /run\.safetensors: file too large$/);
    }));
});
