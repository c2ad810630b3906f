/**
 * Which launcher started this process, from the variables that it leaves.
 *
 * @module
 */
import { fstatSync, readFileSync, readlinkSync } from 'node:fs';

import { InvalidArgumentError, quote } from '../support/errors.js';

/** A process that a launcher started beside others. */
export interface Launch {
  /** How the launcher numbers it, from 0. */
  readonly rank: number;
  /** How many it started; undefined where it does not say. */
  readonly count: number | undefined;
  /** Of the connection that it must have inherited, if the launcher says one. */
  readonly descriptor?: number | undefined;
  /** Names or paths of MPI's library, of which the first that loads is taken. */
  readonly libraries: readonly string[];
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** Set to the path of MPI's library, it is used instead of those that the launcher's usually are. */
export const LIBRARY_VARIABLE = 'DEEPZERO_MPI';

const OPEN_MPI = ['libmpi.so.40'];
const MPICH = ['libmpich.so.12', 'libmpi.so.12'];

/** What each launcher sets: the variables of its rank, its count and its connection's descriptor; the libraries that understand it. */
const LAUNCHERS = [
  // Open MPI's mpirun.
  { rank: 'OMPI_COMM_WORLD_RANK', count: 'OMPI_COMM_WORLD_SIZE', connection: undefined, libraries: OPEN_MPI },
  // MPICH's mpirun and its relatives', srun --mpi=pmi2.
  { rank: 'PMI_RANK', count: 'PMI_SIZE', connection: 'PMI_FD', libraries: MPICH },
  // srun --mpi=pmix.
  { rank: 'PMIX_RANK', count: 'SLURM_STEP_NUM_TASKS', connection: undefined, libraries: [...OPEN_MPI, ...MPICH] },
] as const;

/** The number of this process among those of its launcher; 0 where there is none. */
export function rankIn(environment: Environment): number {
  const ranks = [...LAUNCHERS.map(({ rank }) => rank), 'SLURM_PROCID'].map((name) => integerOf(environment[name]));
  return ranks.find((rank) => rank !== undefined) ?? 0;
}

/**
 * How this process was started; undefined if it is alone.
 *
 * @throws InvalidArgumentError if srun started several processes that MPI would not connect.
 */
export function launchOf(environment: Environment): Launch | undefined {
  const chosen = environment[LIBRARY_VARIABLE];
  for (const { rank, count, connection, libraries } of LAUNCHERS) {
    const own = integerOf(environment[rank]);
    if (own === undefined) continue;
    const all = integerOf(environment[count]);
    if (all === 1) return undefined;
    const descriptor = connection === undefined ? undefined : integerOf(environment[connection]);
    return { rank: own, count: all, descriptor, libraries: chosen === undefined ? libraries : [chosen] };
  }
  const tasks = integerOf(environment['SLURM_STEP_NUM_TASKS']) ?? 1;
  if (tasks > 1) {
    throw new InvalidArgumentError(
      `Expected srun to connect its ${tasks} processes by MPI, received none of ${LAUNCHERS.map(({ rank }) => rank).join(', ')}: ` +
        'add --mpi=pmix for Open MPI or --mpi=pmi2 for MPICH; srun --mpi=list says what there is (DEEPZERO_RANKS=off lets every process ' +
        'run on its own)',
    );
  }
  return undefined;
}

/**
 * Refuses what MPI connected if it is not what the launcher started.
 *
 * @param library What MPI says of itself.
 */
export function checkLaunch({ rank, count }: Launch, found: { rank: number; count: number; library: string }): void {
  if (rank === found.rank && (count === undefined || count === found.count)) return;
  const started = count === undefined ? `rank ${rank}` : `rank ${rank} of ${count}`;
  throw new InvalidArgumentError(
    `Expected MPI to connect the processes that the launcher started, received rank ${found.rank} of ${found.count} where the launcher ` +
      `started ${started}: set ${LIBRARY_VARIABLE} to the path of the launcher's own MPI library, which is not ${quote(found.library)}`,
  );
}

/** Refuses a process that did not inherit the connection which MPICH's launcher gave to the one that it started. */
export function checkConnection({ descriptor }: Launch): void {
  if (descriptor === undefined || isSocket(descriptor)) return;
  throw new InvalidArgumentError(
    'Expected the process that the launcher starts to be node itself, received one that it started, without the connection to the ' +
      'launcher: type mpirun node …, for TypeScript mpirun node --import tsx …, instead of npx or tsx',
  );
}

/** The process that the launcher itself started, by its connection: this one, or one that started it. */
export function launchedProcess({ descriptor }: Launch): number {
  if (descriptor === undefined || isSocket(descriptor)) return process.pid;
  for (let pid = process.ppid; pid > 1; pid = parentOf(pid)) if (isSocketOf(pid, descriptor)) return pid;
  return process.pid;
}

function isSocket(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isSocket();
  } catch {
    return false;
  }
}

/** Of another process; false where there is no `/proc`. */
function isSocketOf(pid: number, descriptor: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/fd/${descriptor}`).startsWith('socket:');
  } catch {
    return false;
  }
}

function parentOf(pid: number): number {
  try {
    const [, parent] = /\) \w (\d+) /.exec(readFileSync(`/proc/${pid}/stat`, 'latin1')) ?? [];
    return Number(parent ?? 0);
  } catch {
    return 0;
  }
}

function integerOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}
