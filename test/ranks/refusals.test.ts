import assert from 'node:assert/strict';
import type { Context } from 'mocha';
import { native } from '../../lib/native/addon.js';
import { COMMAND, TINY } from '../helpers/command.js';
import { inMode, launch, Launched, LAUNCHERS, type Launcher, linesOf, needsLaunchers } from '../helpers/ranks.js';

/** Two ranks with variables, and the one line that they print. */
const REFUSALS: [string, Launcher, Record<string, string>, RegExp][] = [
  [
    'a library that is not there',
    'mpirun.mpich',
    { DEEPZERO_MPI: '/nonexistent/libmpi.so' },
    /^deepzero: Expected the launcher's MPI library, received \/nonexistent\/libmpi\.so: cannot open shared object file: .*$/,
  ],
  [
    'a library that is none of MPI',
    'mpirun.openmpi',
    { DEEPZERO_MPI: 'libm.so.6' },
    /^deepzero: Expected the launcher's MPI library, received libm\.so\.6: expected an MPI library, found no MPI_Init_thread .*$/,
  ],
  [
    "another MPI's library, whose ranks would be alone",
    'mpirun.openmpi',
    { DEEPZERO_MPI: 'libmpich.so.12' },
    /^deepzero: Expected MPI to connect .*, received rank 0 of 1 where the launcher started rank 0 of 2: set DEEPZERO_MPI to .*$/,
  ],
  [
    'a patience that is no number',
    'mpirun.mpich',
    { DEEPZERO_RANKS_PATIENCE: 'much' },
    /^deepzero: Expected DEEPZERO_RANKS_PATIENCE to be a number of seconds > 0 and at most 1e6, received "much"$/,
  ],
  [
    'a switch that is not off',
    'mpirun.mpich',
    { DEEPZERO_RANKS: 'on' },
    /^deepzero: Expected DEEPZERO_RANKS to be off or not set, received "on"$/,
  ],
];

/** What another launcher's library needs. */
function needsBoth(context: Context): void {
  needsLaunchers(context, 'mpirun.openmpi', 'mpirun.mpich');
}

describe('ranks refuse', () => {
  it('what cannot work, in one line', async function () {
    needsBoth(this);
    await Promise.all(
      REFUSALS.map(async ([what, launcher, env, message]) => {
        const outcome = await launch(launcher, 2, inMode('nothing'), { env }).outcome();
        assert.notEqual(outcome.code, 0, what);
        // It is that of rank 0, unless another one waited for it in vain.
        const line = linesOf(outcome)
          .join('\n')
          .replace(/^deepzero: rank \d+ on [^ ]+: /, 'deepzero: ');
        assert.match(line, message);
        // The program does not begin.
        assert.doesNotMatch(outcome.stdout, /ranks/, what);
      }),
    );
  });

  it('a program between the launcher and node, in one line', async function () {
    needsLaunchers(this, 'mpirun.mpich');
    const program = ['node_modules/.bin/tsx', ...inMode('nothing').slice(1)];
    // The last one inherits its connection: more descriptors are open than are closed for it.
    const outcome = await launch('mpirun.mpich', 4, program).outcome();
    assert.notEqual(outcome.code, 0);
    assert.match(linesOf(outcome).join('\n'), /^deepzero: Expected the process .* to be node itself, .*$/);
  });

  it('unequal instruction sets, in one line', async function () {
    needsBoth(this);
    if (!native.supportedIsas.includes('avx2')) this.skip();
    const message =
      /^deepzero: Expected all ranks to use the same instruction set, received portable on rank 0 \(.*\) and avx2 on rank 1 \(.*\): set DEEPZERO_ISA=\w+ on all of them$/;
    const parts = (options: (isa: string) => string[]): string[][] =>
      ['portable', 'avx2'].map((isa) => ['-n', '1', ...options(isa), ...inMode('nothing')]);
    for (const [launcher, options] of [
      ['mpirun.openmpi', (isa) => ['-x', `DEEPZERO_ISA=${isa}`]],
      ['mpirun.mpich', (isa) => ['-env', 'DEEPZERO_ISA', isa]],
    ] as [Launcher, (isa: string) => string[]][]) {
      const outcome = await new Launched(launcher, parts(options), {}).outcome();
      assert.equal(outcome.code, 1);
      assert.match(linesOf(outcome).join('\n'), message);
    }
  });

  it('what one of them alone finds, which says so', async function () {
    needsBoth(this);
    const cases: [Launcher, string, string, string][] = [
      ['mpirun.mpich', 'DEEPZERO_MPI', '/nonexistent/libmpi.so', "Expected the launcher's MPI library, received "],
      ['mpirun.mpich', 'DEEPZERO_MPI', 'libmpi.so.40', 'Expected MPI to connect '],
      ['mpirun.openmpi', 'DEEPZERO_MPI', 'libmpich.so.12', 'Expected MPI to connect '],
      ['mpirun.mpich', 'DEEPZERO_RANKS_PATIENCE', 'much', 'Expected DEEPZERO_RANKS_PATIENCE to be '],
    ];
    await Promise.all(
      cases.map(async ([launcher, name, value, message]) => {
        const own = launcher === 'mpirun.mpich' ? ['-env', name, value] : ['-x', `${name}=${value}`];
        const parts = [[], own].map((options) => ['-n', '1', ...options, ...inMode('nothing')]);
        const outcome = await new Launched(launcher, parts, {}).outcome();
        assert.notEqual(outcome.code, 0);
        assert.match(linesOf(outcome).join('\n'), new RegExp(`^deepzero: rank 1 on .*: ${message}.*$`), launcher);
      }),
    );
  });

  it('to wait longer than the patience for one that does not join', async function () {
    needsBoth(this);
    const parts = [inMode('nothing'), ['sleep', '10000']].map((program) => ['-n', '1', ...program]);
    await Promise.all(
      LAUNCHERS.map(async (launcher) => {
        const outcome = await new Launched(launcher, parts, { env: { DEEPZERO_RANKS_PATIENCE: '2' } }).outcome();
        assert.notEqual(outcome.code, 0);
        assert.match(linesOf(outcome).join('\n'), /^deepzero: Expected all ranks to join within 2 s, .*$/, launcher);
      }),
    );
  });

  it('back-propagation, for which they would do nothing', async function () {
    needsLaunchers(this, 'mpirun.mpich');
    const args = ['train', ...TINY, '--estimator', 'first-order', '--data', 'synthetic', '--steps', '1'];
    const outcome = await launch('mpirun.mpich', 2, [...COMMAND, ...args]).outcome();
    assert.equal(outcome.code, 2);
    assert.match(
      linesOf(outcome).join('\n'),
      /^deepzero: Expected --estimator to have queries that 2 ranks can share, .*$/,
    );
  });
});

describe('processes of a launcher', () => {
  it('are on their own where DEEPZERO_RANKS is off', async function () {
    needsLaunchers(this, 'mpirun.mpich');
    const { code, stdout } = await launch('mpirun.mpich', 3, inMode('nothing'), {
      env: { DEEPZERO_RANKS: 'off' },
    }).outcome();
    assert.deepEqual([code, stdout], [0, '1 ranks\n'.repeat(3)]);
  });

  it('are no ranks if a rank has started them', async function () {
    needsBoth(this);
    for (const launcher of ['mpirun.openmpi', 'mpirun.mpich'] as const) {
      const { code, stdout, stderr } = await launch(launcher, 2, inMode('starts')).outcome();
      assert.deepEqual([code, stderr], [0, '']);
      const { ranks, first, child, second } = JSON.parse(stdout) as Record<string, unknown>;
      assert.deepEqual([ranks, child, second], [2, { ranks: 1, first }, first]);
    }
  });

  it("keep what they had before, such as V8's handler of WebAssembly's traps", async function () {
    needsBoth(this);
    for (const launcher of ['mpirun.openmpi', 'mpirun.mpich'] as const) {
      const { code, stdout } = await launch(launcher, 2, inMode('traps')).outcome();
      assert.deepEqual([code, stdout], [0, 'memory access out of bounds\n']);
    }
  });
});
