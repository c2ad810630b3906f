import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { checkGreetings } from '../../lib/ranks/join.js';
import { checkConnection, checkLaunch, launchOf, rankIn } from '../../lib/ranks/launch.js';

const OPEN_MPI = { OMPI_COMM_WORLD_RANK: '1', OMPI_COMM_WORLD_SIZE: '3' };
const MPICH = { PMI_RANK: '0', PMI_SIZE: '2' };
const SLURM = { SLURM_PROCID: '2', SLURM_STEP_NUM_TASKS: '4' };

const refused = (message: RegExp) => ({ name: 'InvalidArgumentError', message });

describe('the launcher that started a process', () => {
  it('is known by its variables, which say the rank and the library', () => {
    assert.deepEqual(launchOf(OPEN_MPI), { rank: 1, count: 3, descriptor: undefined, libraries: ['libmpi.so.40'] });
    assert.deepEqual(launchOf(MPICH), {
      rank: 0,
      count: 2,
      descriptor: undefined,
      libraries: ['libmpich.so.12', 'libmpi.so.12'],
    });
    const pmix = launchOf({ ...SLURM, PMIX_RANK: '2' });
    assert.deepEqual(pmix, {
      rank: 2,
      count: 4,
      descriptor: undefined,
      libraries: ['libmpi.so.40', 'libmpich.so.12', 'libmpi.so.12'],
    });
    // Open MPI's mpirun within an allocation of Slurm, and srun --mpi=pmi2.
    assert.equal(launchOf({ ...SLURM, PMIX_RANK: '1', ...OPEN_MPI })?.count, 3);
    assert.equal(launchOf({ ...SLURM, PMI_RANK: '2', PMI_SIZE: '4' })?.count, 4);
    // A relative of MPICH that says no count.
    assert.equal(launchOf({ PMI_RANK: '7' })?.count, undefined);
    assert.deepEqual([OPEN_MPI, MPICH, SLURM, {}].map(rankIn), [1, 0, 2, 0]);
  });

  it('is none for a process that is alone', () => {
    for (const alone of [
      {},
      { OMPI_COMM_WORLD_RANK: '0', OMPI_COMM_WORLD_SIZE: '1' },
      { PMI_RANK: '0', PMI_SIZE: '1' },
      { SLURM_PROCID: '0', SLURM_STEP_NUM_TASKS: '1' },
      // A script of sbatch, which starts once.
      { SLURM_PROCID: '0', SLURM_NTASKS: '8' },
      { PMI_RANK: '' },
    ]) {
      assert.equal(launchOf(alone), undefined, JSON.stringify(alone));
    }
  });

  it('gives way to DEEPZERO_MPI', () => {
    const DEEPZERO_MPI = '/opt/mpi/libmpi.so';
    assert.deepEqual(launchOf({ ...MPICH, DEEPZERO_MPI }), {
      rank: 0,
      count: 2,
      descriptor: undefined,
      libraries: [DEEPZERO_MPI],
    });
    assert.equal(launchOf({ DEEPZERO_MPI }), undefined);
  });

  it('must connect its processes', () => {
    assert.throws(
      () => launchOf(SLURM),
      refused(/^Expected srun to connect its 4 processes by MPI, .* add --mpi=pmix /),
    );
    // Neither a descriptor that is closed nor one of a file.
    const file = openSync('/dev/null', 'r');
    for (const PMI_FD of ['1048575', String(file)]) {
      assert.throws(
        () => {
          checkConnection(launchOf({ ...MPICH, PMI_FD })!);
        },
        refused(/^Expected the process .* to be node itself, /),
      );
      checkConnection(launchOf({ ...OPEN_MPI, PMI_FD })!);
    }
    closeSync(file);
  });
});

describe('what MPI connected', () => {
  const library = 'MPICH Version: 4.0.2';

  it('must be what the launcher started', () => {
    const libraries = ['x'];
    checkLaunch({ rank: 1, count: 3, libraries }, { rank: 1, count: 3, library });
    checkLaunch({ rank: 1, count: undefined, libraries }, { rank: 1, count: 3, library });
    for (const [rank, count, started] of [
      [1, 3, 'rank 1 of 3'],
      [0, 2, 'rank 0 of 2'],
      [5, undefined, 'rank 5'],
    ] as const) {
      assert.throws(
        () => {
          checkLaunch({ rank, count, libraries }, { rank: 0, count: 1, library });
        },
        refused(new RegExp(`received rank 0 of 1 where .* started ${started}: set DEEPZERO_MPI .* not "${library}"$`)),
      );
    }
  });

  const greeting = { version: '1.0.0', isa: 'avx512', supported: ['avx512', 'avx2', 'portable'], host: 'a' };

  it('must be of one version and one instruction set', () => {
    checkGreetings([greeting, { ...greeting, host: 'b' }]);
    checkGreetings([greeting]);
    assert.throws(
      () => {
        checkGreetings([greeting, greeting, { ...greeting, version: '1.0.1', host: 'c' }]);
      },
      refused(/same version of deepzero, received 1\.0\.0 on rank 0 \(a\) and 1\.0\.1 on rank 2 \(c\)$/),
    );
    const older = { ...greeting, isa: 'avx2', supported: ['avx2', 'portable'], host: 'b' };
    assert.throws(
      () => {
        checkGreetings([greeting, older]);
      },
      refused(/received avx512 on rank 0 \(a\) and avx2 on rank 1 \(b\): set DEEPZERO_ISA=avx2 on all of them$/),
    );
    const oldest = { ...greeting, isa: 'portable', supported: ['portable'] };
    assert.throws(
      () => {
        checkGreetings([older, greeting, oldest]);
      },
      refused(/set DEEPZERO_ISA=portable on all/),
    );
  });
});
