/**
 * Jobs on the compute thread, at the native surface: stopping, failing, progress, threads and the ends of processes.
 *
 * @module
 */
import assert from 'node:assert/strict';
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { getEventListeners, once } from 'node:events';
import { root } from '../../scripts/run.js';
import { native, type NativeError, type NativeNetwork } from '../../lib/native/addon.js';
import { runJob } from '../../lib/native/jobs.js';
import { endlessJob, makeNetwork, request, shortJob } from '../helpers/native-jobs.js';
import { startWorker } from '../helpers/start-worker.js';
import { HANG_MS } from '../helpers/hang.js';

/** Runs a module in a Node process of its own. */
function child(text: string, env: Record<string, string | undefined> = {}): SpawnSyncReturns<string> {
  const args = ['--import', 'tsx', '--input-type=module', '-e', text];
  const settings = { cwd: root, encoding: 'utf8', timeout: HANG_MS, env: { ...process.env, ...env } } as const;
  return spawnSync(process.execPath, args, settings);
}

const IMPORT_JOBS = "import { makeNetwork, request, endlessJob } from './test/helpers/native-jobs.ts';";
const IMPORT_NATIVE = "import { native } from './lib/native/addon.ts';";

/** A module that averages so many images of 64×64 in a job; without the loader of TypeScript, it starts at once. */
function poolingJob(count: number, threads = 1): string {
  return `import { createRequire } from 'node:module';
    const native = createRequire(${JSON.stringify(root)})('node-gyp-build')(${JSON.stringify(root)});
    const network = new native.Network([1, 64, 64], [{ kind: 'averagePool', inputs: [0], kernel: [64, 64], stride: 1 }]);
    const [images, targets, none] = [${count} * 64 * 64, ${count}, 0].map((length) => new Float32Array(length));
    const point = { parameters: none, statistics: none, images, targets, count: ${count} };
    await network.evaluate({ ...point, loss: 'mean-squared-error', training: true, threads: ${threads} }).promise;`;
}

/** Runs a module in so much of address space; it prints code and message of what it throws. */
function inFourGigabytes(module: string): { stdout: string; stderr: string } {
  const text = `process.on('uncaughtException', ({ code, message }) => console.log(code, message));
    ${module}`;
  const limited = 'ulimit -v 4000000; exec "$0" --input-type=module -e "$1"';
  const settings = { cwd: root, encoding: 'utf8', timeout: HANG_MS } as const;
  return spawnSync('sh', ['-c', limited, process.execPath, text], settings);
}

async function rejection(promise: Promise<unknown>): Promise<NativeError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof Error, 'the promise was resolved');
  return error as NativeError;
}

/** An endless job, once it has reported progress, and so runs. */
async function runningJob(network: NativeNetwork): Promise<{ promise: Promise<unknown>; cancel(): void }> {
  return new Promise((resolve, reject) => {
    const job = network.randomized(endlessJob(), () => {
      resolve(job);
    });
    job.promise.catch(reject);
  });
}

describe('jobs', () => {
  let network: NativeNetwork;
  let expected: Float64Array;

  before(async () => {
    network = makeNetwork();
    ({ values: expected } = await network.coordinatewise(shortJob()).promise);
  });

  describe('stopping', () => {
    it('cancels a running job, and the network works on', async () => {
      const job = await runningJob(network);
      job.cancel();
      assert.equal((await rejection(job.promise)).code, 'DEEPZERO_CANCELLED');
      assert.deepEqual((await network.coordinatewise(shortJob()).promise).values, expected);
    });

    it('cancels a waiting job without waiting for the one that runs', async () => {
      const running = await runningJob(network);
      const waiting = network.evaluate(request());
      waiting.cancel();
      assert.equal((await rejection(waiting.promise)).code, 'DEEPZERO_CANCELLED');
      running.cancel();
      await rejection(running.promise);
    });

    it('takes a cancel after the end, or a second one, as nothing', async () => {
      const job = network.evaluate(request());
      await job.promise;
      job.cancel();
      job.cancel();
    });

    it('leaves nothing on the signal of a job that is done', async () => {
      const { signal } = new AbortController();
      const call = runJob(() => network.evaluate(request()), { signal });
      assert.equal(getEventListeners(signal, 'abort').length, 1);
      await call;
      assert.equal(getEventListeners(signal, 'abort').length, 0);
    });

    it('frees buffers only between jobs', async () => {
      const job = network.coordinatewise(shortJob());
      network.release();
      assert.deepEqual((await job.promise).values, expected);
      assert.deepEqual((await network.coordinatewise(shortJob()).promise).values, expected);
    });
  });

  describe('while one runs', () => {
    it('the event loop turns', async () => {
      const job = await runningJob(network);
      for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
      job.cancel();
      assert.equal((await rejection(job.promise)).code, 'DEEPZERO_CANCELLED');
    });

    it('progress grows towards the total', async () => {
      const reports: [number, number][] = [];
      await new Promise<void>((resolve) => {
        const job = network.randomized(endlessJob(), (done, total) => {
          if (reports.push([done, total]) === 3) resolve(rejection(job.promise).then(() => undefined));
          if (reports.length === 3) job.cancel();
        });
      });
      const done = reports.map(([count]) => count);
      assert.deepEqual(
        done.toSorted((a, b) => a - b),
        done,
      );
      for (const [count, total] of reports) assert.ok(count > 0 && count < total && total >= endlessJob().queries);
    });

    it('an exception from the progress callback stops it and is the rejection', async () => {
      const mine = new Error('mine');
      const job = network.randomized(endlessJob(), () => {
        throw mine;
      });
      assert.equal(await rejection(job.promise), mine);
      await network.evaluate(request()).promise;
    });

    it('changes to the arrays of its request change nothing', async () => {
      const changing = shortJob();
      const job = network.coordinatewise(changing);
      changing.parameters.fill(NaN);
      changing.images.fill(NaN);
      changing.labels?.fill(-1);
      changing.coordinates.fill(0xffff_ffff);
      assert.deepEqual((await job.promise).values, expected);
    });

    it('its own parameters are only read', async () => {
      const { promise, parameters } = ((job) => ({ ...network.coordinatewise(job), parameters: job.parameters }))(
        shortJob(),
      );
      await promise;
      assert.deepEqual(parameters, request().parameters);
    });
  });

  describe('losses that are not finite', () => {
    // w·x + b with x = (0, 0, 1): only a change to the third weight, already near the largest float, overflows.
    const linear = new native.Network([3, 1, 1], [{ kind: 'linear', inputs: [0], features: 1, bias: false }]);
    const overflowing = {
      parameters: Float32Array.of(0, 0, 3e38),
      statistics: new Float32Array(0),
      images: Float32Array.of(0, 0, 1),
      targets: Float32Array.of(0),
      count: 1,
      loss: 'mean-squared-error',
      training: true,
      threads: 2,
      mu: 1e38,
      central: false,
      reuse: 'layer',
    } as const;

    it('reject with the coordinate', async () => {
      const { promise } = linear.coordinatewise({ ...overflowing, coordinates: Uint32Array.of(0, 2) });
      const { code, coordinate } = await rejection(promise);
      assert.deepEqual({ code, coordinate }, { code: 'DEEPZERO_NON_FINITE', coordinate: 2 });
    });

    it('do not reject an estimate that leaves that coordinate out', async () => {
      const { promise } = linear.coordinatewise({ ...overflowing, coordinates: Uint32Array.of(0, 1) });
      assert.deepEqual((await promise).values, Float64Array.of(0, 0));
    });

    it('reject with −1 for the unperturbed loss', async () => {
      const parameters = Float32Array.of(0, 0, NaN);
      for (const job of [
        linear.evaluate({ ...overflowing, parameters }),
        linear.coordinatewise({ ...overflowing, parameters, coordinates: Uint32Array.of(0) }),
      ]) {
        const { code, coordinate } = await rejection(job.promise);
        assert.deepEqual({ code, coordinate }, { code: 'DEEPZERO_NON_FINITE', coordinate: -1 });
      }
    });
  });

  describe('requests that memory safety forbids', () => {
    const good = shortJob();
    const wrong: [string, object][] = [
      ['parameters', { parameters: good.parameters.slice(1) }],
      ['statistics', { statistics: new Float32Array(0) }],
      ['images', { images: good.images.slice(1) }],
      ['images', { images: new Float64Array(good.images) }],
      ['images', { count: good.count + 1 }],
      ['labels', { labels: good.labels?.slice(1) }],
      ['labels', { labels: undefined }],
      ['labels[0]', { labels: new Int32Array(good.count).fill(10) }],
      ['labels[0]', { labels: new Int32Array(good.count).fill(-1) }],
      ['targets', { loss: 'mean-squared-error', targets: new Float32Array(good.count) }],
      ['coordinates[1]', { coordinates: Uint32Array.of(0, good.parameters.length) }],
      ['count', { count: 0 }],
      ['count', { count: 1.5 }],
      ['threads', { threads: 0 }],
      ['mu', { mu: NaN }],
      ['loss', { loss: 'hinge' }],
      ['reuse', { reuse: 'some' }],
    ];
    for (const [what, change] of wrong) {
      it(`are refused: ${what} in ${JSON.stringify(Object.keys(change))}`, () => {
        assert.throws(() => network.coordinatewise({ ...good, ...change }), {
          code: 'DEEPZERO_INVALID_ARGUMENT',
          message: new RegExp(`^Expected ${what.replace(/[[\]]/g, '\\$&')} to be `),
        });
      });
    }

    it('are refused: parts of queries that an estimate does not have, and slopes that do not fit its directions', () => {
      const { queries: _, ...directions } = { ...endlessJob(), loss: 'none' as const };
      const part = { ...directions, queries: 5, first: 0, directions: 5, mark: 1 };
      const refused: [() => unknown, string][] = [
        [() => network.coordinateOutputs({ ...good, loss: 'none', mark: 0 }), 'mark'],
        [() => network.directionOutputs({ ...part, mark: 1.5 }), 'mark'],
        [() => network.directionOutputs({ ...part, first: 5 }), 'first'],
        [() => network.directionOutputs({ ...part, first: 1 }), 'directions'],
        [() => network.directionOutputs({ ...part, directions: 0 }), 'directions'],
        [() => network.combine({ ...part, slopes: new Float64Array(4) }), 'slopes'],
        [() => network.combine({ ...part, slopes: new Float32Array(5) as never }), 'slopes'],
      ];
      for (const [call, what] of refused) {
        assert.throws(call, { code: 'DEEPZERO_INVALID_ARGUMENT', message: new RegExp(`^Expected ${what} to be `) });
      }
    });

    it('are refused: a gradient in an unknown precision, or of parameters that are not there', () => {
      for (const change of [{ precision: 'half' }, { parameters: good.parameters.slice(1) }]) {
        assert.throws(() => network.gradient({ ...good, precision: 'single', ...(change as object) }), {
          code: 'DEEPZERO_INVALID_ARGUMENT',
        });
      }
    });
  });

  describe('worker threads', () => {
    it('compute at once, to the same bits as the main thread', async () => {
      const workers = [startWorker('short'), startWorker('short')];
      const answers = Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0] as Float64Array));
      const ends = Promise.all(workers.map(async (worker) => (await once(worker, 'exit'))[0] as number));
      assert.deepEqual(await answers, [expected, expected]);
      assert.deepEqual(await ends, [0, 0]);
    });

    it('can be terminated in mid-job, running or waiting, and free the compute thread', async () => {
      const running = startWorker('endless');
      await once(running, 'message');
      const waiting = startWorker('endless');
      await once(waiting, 'online');
      const mine = network.coordinatewise(shortJob());
      await Promise.all([running.terminate(), waiting.terminate()]);
      assert.deepEqual((await mine.promise).values, expected);
    });
  });

  describe('processes', () => {
    it('stay alive while a job runs, and end when none does', () => {
      const { stdout, status, signal } = child(
        `${IMPORT_JOBS} makeNetwork().evaluate(request()).promise.then(({ loss }) => console.log(loss > 0));`,
      );
      assert.deepEqual({ stdout, status, signal }, { stdout: 'true\n', status: 0, signal: null });
    });

    it('may exit in mid-job', () => {
      const { status, signal } = child(`${IMPORT_JOBS} makeNetwork().randomized(endlessJob(), () => process.exit(7));`);
      assert.deepEqual({ status, signal }, { status: 7, signal: null });
    });

    it('outlive workers that exit as soon as their job has resolved', () => {
      // The worker is gone while the compute thread still returns from its job: often in a hundred tries, as it is a race.
      const url = JSON.stringify(`data:text/javascript,${encodeURIComponent(`${poolingJob(1024)} process.exit();`)}`);
      const { stdout, status, signal } = child(
        `import { Worker } from 'node:worker_threads';
        for (let i = 0; i < 100; i++)
          await new Promise((resolve) => new Worker(new URL(${url})).on('exit', resolve));
        console.log('alive');`,
      );
      assert.deepEqual({ stdout, status, signal }, { stdout: 'alive\n', status: 0, signal: null });
    });

    it('get an error that says so when memory is out', () => {
      // 2.3 GB of images, to be copied where there is room for them once.
      const { stdout, stderr } = inFourGigabytes(poolingJob(140_000));
      assert.equal(stdout, 'DEEPZERO_NATIVE Not enough memory\n', stderr);
    });

    it('get an error that says so when threads are out', () => {
      const { stdout, stderr } = inFourGigabytes(poolingJob(16, 1024));
      assert.match(stdout, /^DEEPZERO_NATIVE 1024 threads could not be started, ask for fewer: .*\n$/, stderr);
    });

    it('outlive the only worker that had loaded the addon, and another that loads it again', () => {
      const { stdout, status, signal } = child(
        `import { once } from 'node:events';
        import { startWorker } from './test/helpers/start-worker.ts';
        for (let i = 0; i < 2; i++) {
          const worker = startWorker('short').on('message', ({ length }) => console.log(length));
          await once(worker, 'exit');
        }`,
      );
      assert.deepEqual({ stdout, status, signal }, { stdout: '100\n100\n', status: 0, signal: null });
    });
  });

  it("let OpenMP's threads wait asleep, unless told otherwise", () => {
    const shown = (env: Record<string, string | undefined>): string | undefined => {
      const waiting = { OMP_DISPLAY_ENV: 'verbose', OMP_WAIT_POLICY: undefined, GOMP_SPINCOUNT: undefined, ...env };
      const { stderr } = child(`${IMPORT_NATIVE} console.log(native.isa);`, waiting);
      return /GOMP_SPINCOUNT = '(\w+)'/.exec(stderr)?.[1];
    };
    assert.equal(shown({}), '0');
    assert.equal(shown({ GOMP_SPINCOUNT: '123' }), '123');
  });

  describe('DEEPZERO_ISA', () => {
    it('is the instruction set in use, or the best one is', () => {
      assert.equal(native.isa, process.env['DEEPZERO_ISA'] ?? native.supportedIsas[0]);
    });

    it('forces each that is supported', () => {
      for (const isa of native.supportedIsas) {
        assert.equal(child(`${IMPORT_NATIVE} console.log(native.isa);`, { DEEPZERO_ISA: isa }).stdout, `${isa}\n`);
      }
    });

    it('is an error that names the choices if unknown', () => {
      const { status, stderr } = child(`${IMPORT_NATIVE} console.log(native.isa);`, { DEEPZERO_ISA: 'sse' });
      const supported = native.supportedIsas.join(', ');
      assert.equal(status, 1);
      assert.ok(
        stderr.includes(
          `Expected DEEPZERO_ISA to be one of avx512, avx2, portable (supported here: ${supported}), received "sse"\n`,
        ),
        stderr,
      );
    });
  });
});
