/**
 * Programs that a launcher of MPI starts several times.
 *
 * @module
 */
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';
import type { Context } from 'mocha';
import type { Outcome } from './command.js';
import { outcomeOf, RANKS_PROGRAM } from './command.js';
import { HANG_MS } from './hang.js';
import { isRunning, until } from './resources.js';

export type Launcher = 'mpirun.openmpi' | 'mpirun.mpich';

export const LAUNCHERS: readonly Launcher[] = ['mpirun.openmpi', 'mpirun.mpich'];

/** More ranks than cores, each on any core. */
const OPTIONS: Record<Launcher, readonly string[]> = {
  'mpirun.openmpi': ['--oversubscribe', '--bind-to', 'none'],
  'mpirun.mpich': [],
};

/** The packages of Debian and Ubuntu. */
const PACKAGES: Record<Launcher, string> = { 'mpirun.openmpi': 'openmpi-bin', 'mpirun.mpich': 'mpich' };

/** Skips a test, and says why, where one of the launchers is missing. */
export function needsLaunchers(context: Context, ...launchers: readonly Launcher[]): void {
  for (const launcher of launchers) {
    if (!spawnSync(launcher, ['--version']).error) continue;
    console.log(`      skipped: ${launcher} is not installed: apt-get install ${PACKAGES[launcher]}`);
    context.skip();
  }
}

/** By it a launcher and all that it starts are found. */
const MARK = 'DEEPZERO_TEST_RANKS';

const RANK_VARIABLES = ['OMPI_COMM_WORLD_RANK', 'PMI_RANK'];

let launches = 0;
const started = new Set<Launched>();

/** A test that fails may leave ranks that compute. */
afterEach(() => {
  for (const launched of started) launched.kill();
  started.clear();
});

export interface LaunchSettings {
  readonly env?: Record<string, string>;
  /** What stands before the launcher, which is then the last of its arguments. */
  readonly within?: readonly [string, ...string[]];
}

/** A launcher that runs, and its ranks. */
export class Launched {
  readonly child: ChildProcessWithoutNullStreams;
  readonly #mark = `${MARK}=${process.pid}.${launches++}`;
  readonly #outcome: Promise<Outcome>;
  #stdout = '';

  /** @param parts For each the number of its ranks, or options that say it, and the program with its arguments. */
  constructor(launcher: Launcher, parts: readonly (readonly string[])[], { env, within = ['env'] }: LaunchSettings) {
    const [file, ...before] = within;
    const all = parts.flatMap((part, i) => (i === 0 ? part : [':', ...part]));
    const root = { OMPI_ALLOW_RUN_AS_ROOT: '1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1' };
    const [name, value] = this.#mark.split('=') as [string, string];
    this.child = spawn(file, [...before, launcher, ...OPTIONS[launcher], ...all], {
      env: { ...process.env, ...root, ...env, [name]: value },
      timeout: HANG_MS,
    });
    this.child.stdout.on('data', (chunk: Buffer) => (this.#stdout += chunk.toString()));
    this.#outcome = outcomeOf(this.child);
    started.add(this);
  }

  /** Kills what runs: ranks take no notice of signals that ask. */
  kill(): void {
    for (const { pid } of this.processes()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
  }

  /** What it has printed on standard output so far. */
  get stdout(): string {
    return this.#stdout;
  }

  /** Whether the launcher has ended; its ranks may still run. */
  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Processes that run: the launcher, what it needs, the ranks, and what those have started. */
  processes(): { pid: number; rank: number | undefined }[] {
    return readdirSync('/proc')
      .map(Number)
      .filter((pid) => pid > 0 && isRunning(pid))
      .flatMap((pid) => {
        const variables = environmentOf(pid);
        if (!variables.includes(this.#mark)) return [];
        const text = variables.find((variable) => RANK_VARIABLES.includes(variable.split('=')[0]!));
        return { pid, rank: text === undefined ? undefined : Number(text.split('=')[1]) };
      });
  }

  /** The process of a rank that runs. */
  pidOf(rank: number): number {
    return this.processes().find((one) => one.rank === rank)!.pid;
  }

  /** Waits until the launcher and all of its processes have ended. What it printed is as on a terminal without colours. */
  async outcome(): Promise<Outcome> {
    const { code, stdout, stderr } = await this.#outcome;
    await until(() => this.processes().length === 0);
    const plain = (text: string): string => stripVTControlCharacters(text).replaceAll('\r\n', '\n');
    return { code, stdout: plain(stdout), stderr: plain(stderr) };
  }
}

function environmentOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

/** Starts so many ranks of a program: with its first arguments, `COMMAND` or `RANKS_PROGRAM`. */
export function launch(
  launcher: Launcher,
  ranks: number,
  program: readonly string[],
  settings: LaunchSettings = {},
): Launched {
  return new Launched(launcher, [['-n', String(ranks), ...program]], settings);
}

/** The test program in one of its modes. */
export const inMode = (mode: string): string[] => [process.execPath, RANKS_PROGRAM, mode];

/** The lines of standard error that are the library's. */
export const linesOf = ({ stderr }: Outcome): string[] =>
  stderr.split('\n').filter((line) => line.startsWith('deepzero: '));
