/**
 * Joins the processes that a launcher of MPI started beside this one, when the library is imported. Rank 0 goes on with its program;
 * every other rank runs none of it: it computes what rank 0 asks for until that ends, and then ends too.
 *
 * @module
 */
import { hostname } from 'node:os';
import { isMainThread } from 'node:worker_threads';

import { native } from '../native/addon.js';
import type { NativeRanksStarted } from '../native/ranks.js';
import { escaped, InvalidArgumentError, quote } from '../support/errors.js';
import { version } from '../support/version.js';
import type { Environment, Launch } from './launch.js';
import { checkConnection, checkLaunch, launchedProcess, launchOf, rankIn } from './launch.js';

/** Set to `off`, every process that a launcher starts is on its own. */
const RANKS_VARIABLE = 'DEEPZERO_RANKS';
/** Seconds for which rank 0 waits for an answer beyond the time of its own share, > 0. */
const PATIENCE_VARIABLE = 'DEEPZERO_RANKS_PATIENCE';
const DEFAULT_PATIENCE = 600;
/**
 * UCX carries the messages of many an MPI. While it starts it replaces `malloc`, under which V8's threads lose memory, and the handler
 * of SIGSEGV, by which V8 notices traps of WebAssembly. Both serve what is not needed here.
 */
const UCX_SETTINGS = { UCX_MEM_EVENTS: 'no', UCX_ERROR_SIGNALS: '' };
/** Set by a process that has joined: what it starts inherits the launcher's variables, and is no rank. */
const JOINED_VARIABLE = 'DEEPZERO_RANKS_JOINED';

/** Exit code of a process that cannot join. */
const FAILED = 1;
/** How long rank 1 that cannot join waits for rank 0 to say why, in milliseconds, and rank 2 for rank 1, and so on. */
const GRACE_MS = 3000;
const MOST_GRACES = 10;

/**
 * How many processes share the queries of estimates: 1 unless a launcher of MPI, `mpirun` or `srun`, started this program several times.
 *
 * @example console.log(`${rankCount()} ranks of ${defaultThreads()} threads`)
 */
export function rankCount(): number {
  return native.ranks.count();
}

/** What ranks must have in common. */
interface Greeting {
  readonly version: string;
  readonly isa: string;
  readonly supported: readonly string[];
  readonly host: string;
}

/** What all ranks find wrong, and know that the others do. */
class WrongRanksError extends InvalidArgumentError {}

/** Set once a launcher is known to have started this process, */
let launched: Launch | undefined;
/** and once MPI connects it with the others. */
let isConnected = false;

function join(): void {
  const { env } = process;
  // Worker threads compute on the process's one compute thread, which has joined.
  if (!isMainThread || env[RANKS_VARIABLE] === 'off' || env[JOINED_VARIABLE] !== undefined) return;
  try {
    const launch = launchOf(env);
    if (!launch) return;
    launched = launch;
    checkConnection(launch);
    checkSwitch(env);
    const patience = patienceOf(env);
    env[JOINED_VARIABLE] = 'yes';
    meet(launch, patience);
  } catch (error) {
    refuse(error as Error);
  }
}

function meet(launch: Launch, patience: number): void {
  const { isa, supportedIsas: supported } = native;
  for (const [name, value] of Object.entries(UCX_SETTINGS)) process.env[name] ??= value;
  const found = start(launch, patience);
  checkLaunch(launch, found);
  isConnected = true;
  process.once('exit', leave);
  const greeting: Greeting = { version, isa, supported, host: hostname() };
  checkGreetings(native.ranks.agree(JSON.stringify(greeting)).map((text) => JSON.parse(text) as Greeting));
  if (found.rank === 0) {
    if (found.count > 1) native.ranks.lead();
    return;
  }
  // What ends the whole program ends rank 0 first, which saves what is to be saved.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  native.ranks.follow();
  process.exit(0);
}

/** Ends this process. Rank 0 says what all ranks find wrong. What a rank may have found alone it says itself, and ends the others. */
function refuse(error: Error): never {
  const rank = rankIn(process.env);
  const isCommon = error instanceof WrongRanksError;
  // A rank may not know whether all find the same. A launcher ends all of them once rank 0, which does not wait, has spoken and ended.
  if (!isConnected) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, graceOf(rank));
  if (rank === 0 || !isCommon) tell(error);
  if (!isCommon) endAll();
  process.exit(FAILED);
}

/** How long a rank that does not know whether others say the same waits for them, in milliseconds. */
function graceOf(rank: number): number {
  return GRACE_MS * Math.min(rank, MOST_GRACES);
}

/** Sees to it that no rank waits for this one for ever. */
function endAll(): void {
  if (isConnected) {
    process.off('exit', leave);
    native.ranks.abortAtExit(FAILED);
  } else if (launched) {
    // MPICH's launcher takes a process that exits before it has met others for one that needs none. A program between the launcher and
    // this process may handle any signal but this one.
    process.kill(launchedProcess(launched), 'SIGKILL');
  }
}

/** Starts the first library that loads. */
function start({ libraries, rank }: Launch, patience: number): NativeRanksStarted {
  const reasons: string[] = [];
  for (const library of libraries) {
    let found;
    try {
      // Rank 0 is the first to say that it has waited too long.
      found = native.ranks.start(library, patience + graceOf(rank) / 1000);
    } catch (error) {
      reasons.push((error as Error).message);
      continue;
    }
    if (found) return found;
    throw new Error(
      `Expected all ranks to join within ${patience} s, as long as ${PATIENCE_VARIABLE} says: one does not import deepzero, hangs, or is out of reach`,
    );
  }
  throw new Error(
    `Expected the launcher's MPI library, received ${reasons.join('; ')}: install it, or set DEEPZERO_MPI to its path ` +
      `(${RANKS_VARIABLE}=off lets every process run on its own)`,
  );
}

/** Refuses ranks whose results would differ. */
export function checkGreetings(greetings: readonly Greeting[]): void {
  const [first] = greetings;
  const other = (key: 'version' | 'isa'): number => greetings.findIndex((greeting) => greeting[key] !== first![key]);
  const described = (rank: number, key: 'version' | 'isa'): string =>
    `${greetings[rank]![key]} on rank ${rank} (${greetings[rank]!.host})`;
  const ofOtherVersion = other('version');
  if (ofOtherVersion > 0) {
    throw new WrongRanksError(
      `Expected all ranks to run the same version of deepzero, received ${described(0, 'version')} and ${described(ofOtherVersion, 'version')}`,
    );
  }
  const ofOtherIsa = other('isa');
  if (ofOtherIsa > 0) {
    const common = first!.supported.find((isa) => greetings.every(({ supported }) => supported.includes(isa)));
    throw new WrongRanksError(
      `Expected all ranks to use the same instruction set, received ${described(0, 'isa')} and ${described(ofOtherIsa, 'isa')}: ` +
        `set DEEPZERO_ISA=${common} on all of them`,
    );
  }
}

function checkSwitch(environment: Environment): void {
  const value = environment[RANKS_VARIABLE];
  if (value === undefined) return;
  throw new InvalidArgumentError(`Expected ${RANKS_VARIABLE} to be off or not set, received ${quote(value)}`);
}

function patienceOf(environment: Environment): number {
  const text = environment[PATIENCE_VARIABLE];
  if (text === undefined) return DEFAULT_PATIENCE;
  const seconds = Number(text);
  if (seconds > 0 && seconds <= 1e6) return seconds;
  throw new InvalidArgumentError(
    `Expected ${PATIENCE_VARIABLE} to be a number of seconds > 0 and at most 1e6, received ${quote(text)}`,
  );
}

/** Lets the other ranks go at the end of the process, however it ends. */
function leave(code: number): void {
  const exitCode = Math.min(code, 255);
  try {
    if (native.ranks.leave(exitCode)) return;
  } catch (error) {
    tell(error as Error);
  }
  native.ranks.abortAtExit(exitCode === 0 ? FAILED : exitCode);
}

function tell({ message }: Error): void {
  const rank = rankIn(process.env);
  const who = rank === 0 ? '' : `rank ${rank} on ${hostname()}: `;
  process.stderr.write(`deepzero: ${escaped(who + message)}\n`);
}

join();
