/**
 * How many threads this process may sensibly use: containers often allow fewer cores than the machine has, and
 * threads beyond the allowance only wait for each other.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { dirname, join } from 'node:path';

/**
 * The cores this process may use: the smaller of its CPU affinity (`os.availableParallelism()`) and the CPU quota of its
 * control group, rounded up, at least 1.
 *
 * @example availableCores()   // 2 in `docker run --cpus 1.5` on a machine of 64
 */
export function availableCores(): number {
  return Math.max(1, Math.min(availableParallelism(), Math.ceil(cpuQuota('/'))));
}

/** The most threads a model may have. */
export const MOST_THREADS = 1024;

/**
 * The threads a model uses when it is not told: `OMP_NUM_THREADS` if that is set to an integer of at least 1, as in any
 * OpenMP program, but at most 1024; otherwise `availableCores()`.
 */
export function defaultThreads(): number {
  const wish = process.env['OMP_NUM_THREADS'] ?? '';
  return /^[1-9]\d*$/.test(wish) ? Math.min(Number(wish), MOST_THREADS) : availableCores();
}

/**
 * The CPU quota, in cores, of the control groups (version 2 or 1) that this process is in; Infinity without one. A group's
 * quota binds the groups below it, so the smallest on the way up to the root counts.
 *
 * @param root Where the file system starts; only tests have another.
 */
export function cpuQuota(root: string): number {
  let cores = Infinity;
  for (const line of read(join(root, 'proc/self/cgroup')).split('\n')) {
    const [, controllers = '', ...path] = line.split(':');
    const version2 = controllers === '' && path.length > 0;
    if (!version2 && !controllers.split(',').includes('cpu')) continue;
    const top = join(root, 'sys/fs/cgroup', version2 ? '' : 'cpu');
    const quotaOf = version2 ? quotaOfVersion2 : quotaOfVersion1;
    for (let folder = join('/', path.join(':')); ; folder = dirname(folder)) {
      cores = Math.min(cores, quotaOf(join(top, folder)));
      if (folder === '/') break;
    }
  }
  return cores;
}

function quotaOfVersion2(folder: string): number {
  return quota(...read(join(folder, 'cpu.max')).trim().split(' '));
}

function quotaOfVersion1(folder: string): number {
  return quota(read(join(folder, 'cpu.cfs_quota_us')), read(join(folder, 'cpu.cfs_period_us')));
}

/** Version 2 writes "max", version 1 writes −1, where there is no quota; a missing file reads as ''. */
function quota(time = '', period = ''): number {
  const cores = Number.parseInt(time, 10) / Number.parseInt(period, 10);
  return cores > 0 ? cores : Infinity;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/**
 * The processor, as it calls itself; on Linux on x86 with its family and model, since a virtual machine's name for it may stand
 * for several generations.
 *
 * @param root Where the file system starts; only tests have another.
 * @example processorName()   // 'AMD EPYC (family 26, model 2)'
 */
export function processorName(root = '/'): string {
  const name = cpus()[0]?.model ?? 'unknown';
  const info = read(join(root, 'proc/cpuinfo'));
  const family = /^cpu family\s*: (\d+)$/m.exec(info)?.[1];
  const model = /^model\s*: (\d+)$/m.exec(info)?.[1];
  return family === undefined || model === undefined ? name : `${name} (family ${family}, model ${model})`;
}
