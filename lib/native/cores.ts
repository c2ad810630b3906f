/**
 * How many threads this process may sensibly use: containers often allow fewer cores than the machine has, and
 * threads beyond the allowance only wait for each other.
 *
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { dirname, join } from 'node:path';

/**
 * The cores this process may use: the smaller of its CPU affinity and the CPU quota of its control group, rounded up, at
 * least 1.
 *
 * @example availableCores()   // 2 in `docker run --cpus 1.5` on a machine of 64
 */
export function availableCores(): number {
  return Math.max(1, Math.min(affinity('/'), Math.ceil(cpuQuota('/'))));
}

/**
 * The cores that any thread of this process may run on. One thread's answer, as `os.availableParallelism()` gives, is not
 * enough: under OMP_PROC_BIND, OMP_PLACES or GOMP_CPU_AFFINITY the OpenMP runtime binds the thread that loads it to one core,
 * and threads started by that thread inherit the binding. V8's own threads are older and keep the process's affinity.
 *
 * @param root Where the file system starts; only tests have another.
 */
export function affinity(root: string): number {
  const tasks = join(root, 'proc/self/task');
  const cores = new Set<number>();
  for (const thread of entries(tasks)) {
    const [, list = ''] = /^Cpus_allowed_list:\s*(\S+)$/m.exec(read(join(tasks, thread, 'status'))) ?? [];
    for (const range of list.split(',')) {
      const [first = NaN, last = first] = range.split('-').map((core) => Number.parseInt(core, 10));
      for (let core = first; core <= last; core++) cores.add(core);
    }
  }
  return cores.size > 0 ? cores.size : availableParallelism();
}

/** The most threads a model may have. */
export const MOST_THREADS = 1024;

/**
 * Default number of threads of a model: `OMP_NUM_THREADS` as OpenMP programs read it (a list's first entry counts, the others
 * are of nested parallel regions), but at most 1024; `availableCores()` where the variable is unset or not valid.
 *
 * @example defaultThreads()   // 4 under OMP_NUM_THREADS=4,3,2
 */
export function defaultThreads(): number {
  const [first] = threadCounts(process.env['OMP_NUM_THREADS'] ?? '');
  return first === undefined ? availableCores() : Math.min(first, MOST_THREADS);
}

/** The entries of an OpenMP list of thread counts; none if libgomp refuses the list: a single bad entry is enough. */
function threadCounts(list: string): number[] {
  const counts = list.split(',');
  const valid = counts.every((count) => {
    // What C's strtoul and isspace take, of values that a signed long holds.
    const [, digits] = /^[ \t\n\v\f\r]*\+?(\d+)[ \t\n\v\f\r]*$/.exec(count) ?? [];
    return digits !== undefined && BigInt(digits) > 0n && BigInt(digits) < 2n ** 63n;
  });
  return valid ? counts.map(Number) : [];
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

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
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
