import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { affinity, availableCores, cpuQuota, defaultThreads, processorName } from '../../lib/native/cores.js';
import { outputOf, root } from '../../scripts/run.js';
import { withFolder } from '../helpers/tiny.js';

/** What a function says of a file system that has these files. */
async function withFiles<T>(files: Record<string, string>, ask: (root: string) => T): Promise<T> {
  return withFolder(async (root) => {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
    return ask(root);
  });
}

const quotaOf = (files: Record<string, string>): Promise<number> => withFiles(files, cpuQuota);

/**
 * `availableCores()` of another process, on its main thread and in a worker that it starts, once the addon, and with it the
 * OpenMP runtime, is loaded.
 */
function coresOfChild(env: Record<string, string>, ...launcher: string[]): unknown {
  const module = `
    import { Worker } from 'node:worker_threads';
    import { native } from './lib/native/addon.ts';
    import { availableCores } from './lib/native/cores.ts';
    native.isa;
    const here = availableCores();
    const worker = new Worker(\`
      import { parentPort } from 'node:worker_threads';
      import { tsImport } from 'tsx/esm/api';
      tsImport('./lib/native/cores.ts', 'file://${root}').then((cores) => parentPort.postMessage(cores.availableCores()));
    \`, { eval: true });
    worker.once('message', (there) => console.log(JSON.stringify([here, there])));`;
  const [command, ...args] = [...launcher, process.execPath, '--import', 'tsx', '--input-type=module', '-e', module];
  return JSON.parse(outputOf(command, args, { env: { ...process.env, ...env } }));
}

describe('machine', () => {
  it('tells processors of one name apart, where the system does', () =>
    withFolder(async (root) => {
      const name = cpus()[0]!.model;
      assert.equal(processorName(root), name);
      await mkdir(join(root, 'proc'));
      const lines = ['cpu family\t: 26', 'model\t\t: 2', 'model name\t: AMD EPYC'];
      await writeFile(join(root, 'proc/cpuinfo'), `${lines.join('\n')}\n`);
      assert.equal(processorName(root), `${name} (family 26, model 2)`);
    }));

  it('reads the quota of a control group of version 2', async () => {
    const group = { 'proc/self/cgroup': '0::/\n' };
    assert.equal(await quotaOf({ ...group, 'sys/fs/cgroup/cpu.max': '150000 100000\n' }), 1.5);
    assert.equal(await quotaOf({ ...group, 'sys/fs/cgroup/cpu.max': 'max 100000\n' }), Infinity);
  });

  it('takes the smallest quota from the group up to the root', async () => {
    const group = { 'proc/self/cgroup': '0::/outer/inner\n', 'sys/fs/cgroup/outer/inner/cpu.max': 'max 100000\n' };
    assert.equal(await quotaOf({ ...group, 'sys/fs/cgroup/outer/cpu.max': '200000 100000\n' }), 2);
  });

  it('reads the quota of a control group of version 1, also where its path is not mounted', async () => {
    const group = { 'proc/self/cgroup': '5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n' };
    const folder = 'sys/fs/cgroup/cpu';
    const files = (quota: string) => ({
      ...group,
      [`${folder}/cpu.cfs_quota_us`]: quota,
      [`${folder}/cpu.cfs_period_us`]: '100000\n',
    });
    assert.equal(await quotaOf(files('300000\n')), 3);
    assert.equal(await quotaOf(files('-1\n')), Infinity);
  });

  it('finds no quota where there are no control groups', async () => {
    assert.equal(await quotaOf({}), Infinity);
  });

  it('counts the cores that any thread of the process may run on', async () => {
    const files = {
      'proc/self/task/7/status': 'Name:\tnode\nCpus_allowed:\t1\nCpus_allowed_list:\t0\nMems_allowed:\t1\n',
      'proc/self/task/8/status': 'Name:\tV8Worker\nCpus_allowed_list:\t0-2,5,8-9\n',
      'proc/self/task/9/status': '',
    };
    assert.equal(await withFiles(files, affinity), 6);
    assert.equal(await withFiles({}, affinity), availableParallelism());
  });

  for (const [name, value] of [
    ['OMP_PROC_BIND', 'true'],
    ['OMP_PROC_BIND', 'close'],
    ['OMP_PLACES', 'cores'],
    ['GOMP_CPU_AFFINITY', '0-1'],
  ] as const) {
    it(`counts every core under ${name}=${value}, which binds the thread that loads the addon`, () => {
      assert.deepEqual(coresOfChild({ [name]: value }), [availableCores(), availableCores()]);
    });
  }

  it('counts only the cores that taskset allows', () => {
    const [, first] = /^Cpus_allowed_list:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))!;
    assert.deepEqual(coresOfChild({}, 'taskset', '-c', first!), [1, 1]);
    assert.deepEqual(coresOfChild({ OMP_PROC_BIND: 'true' }, 'taskset', '-c', first!), [1, 1]);
  });

  it('has at least one core, and lets OMP_NUM_THREADS decide on threads', () => {
    assert.ok(Number.isInteger(availableCores()) && availableCores() >= 1);
    const before = process.env['OMP_NUM_THREADS'];
    try {
      process.env['OMP_NUM_THREADS'] = '7';
      assert.equal(defaultThreads(), 7);
      process.env['OMP_NUM_THREADS'] = '20000';
      assert.equal(defaultThreads(), 1024);
      for (const four of ['4,3,2', ' 4 , 3 ', '+4', '04', '\t4\n', '4,9223372036854775807']) {
        process.env['OMP_NUM_THREADS'] = four;
        assert.equal(defaultThreads(), 4, four);
      }
      const refused = [
        '0',
        '-1',
        '2.5',
        'all',
        '',
        ' ',
        '4,',
        ',4',
        '4,0',
        '4,x',
        '4 3',
        '0x4',
        '4,9223372036854775808',
      ];
      for (const nonsense of refused) {
        process.env['OMP_NUM_THREADS'] = nonsense;
        assert.equal(defaultThreads(), availableCores(), nonsense);
      }
    } finally {
      if (before === undefined) delete process.env['OMP_NUM_THREADS'];
      else process.env['OMP_NUM_THREADS'] = before;
    }
  });
});
