import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { cpus } from 'node:os';
import { availableCores, cpuQuota, defaultThreads, processorName } from '../../lib/native/cores.js';
import { withFolder } from '../helpers/tiny.js';

/** The quota under a root with these files. */
async function quotaOf(files: Record<string, string>): Promise<number> {
  return withFolder(async (root) => {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
    return cpuQuota(root);
  });
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

  it('has at least one core, and lets OMP_NUM_THREADS decide on threads', () => {
    assert.ok(Number.isInteger(availableCores()) && availableCores() >= 1);
    const before = process.env['OMP_NUM_THREADS'];
    try {
      process.env['OMP_NUM_THREADS'] = '7';
      assert.equal(defaultThreads(), 7);
      process.env['OMP_NUM_THREADS'] = '20000';
      assert.equal(defaultThreads(), 1024);
      for (const nonsense of ['0', '-1', '2.5', 'all', '']) {
        process.env['OMP_NUM_THREADS'] = nonsense;
        assert.equal(defaultThreads(), availableCores());
      }
    } finally {
      if (before === undefined) delete process.env['OMP_NUM_THREADS'];
      else process.env['OMP_NUM_THREADS'] = before;
    }
  });
});
