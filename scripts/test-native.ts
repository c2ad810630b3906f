/**
 * Builds the native core and its tests with CMake alone, without Node, and runs them.
 *
 *     tsx scripts/test-native.ts [--compiler clang++] [--sanitize address,undefined]
 *
 * Another compiler than the default one is optional: where it, or its OpenMP, is not installed, this says so and fails nothing.
 *
 * @module
 */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { filesUnder, outputOf, root, run, script } from './run.js';

const { values: options } = parseArgs({ options: { compiler: { type: 'string' }, sanitize: { type: 'string' } } });
const settings = [
  ...(options.compiler === undefined ? [] : [`-DCMAKE_CXX_COMPILER=${options.compiler}`]),
  ...(options.sanitize === undefined ? [] : [`-DSANITIZE=${options.sanitize}`]),
];
const folder = ['build/core', options.compiler, options.sanitize?.replace(',', '-')].filter(Boolean).join('-');

await script(() => {
  if (options.compiler !== undefined && !hasOpenMp(options.compiler)) {
    console.log(`NOT CHECKED: the core built by ${options.compiler}, for want of it or its omp.h`);
    return;
  }
  run('cmake', ['-S', '.', '-B', folder, '-DDEEPZERO_TESTS=ON', ...settings, '--log-level=WARNING']);
  run('cmake', ['--build', folder, '--parallel', String(availableParallelism())]);
  // Sanitizers add inline functions of theirs; Apple's nm prints other letters.
  if (options.sanitize === undefined && process.platform !== 'darwin') checkKernelObjects();
  run('ctest', ['--test-dir', folder, '--verbose']);
});

function hasOpenMp(compiler: string): boolean {
  const input = '#include <omp.h>\n';
  return spawnSync(compiler, ['-fopenmp', '-fsyntax-only', '-x', 'c++', '-'], { input }).status === 0;
}

/**
 * An inline function that a kernel's object file defines was compiled with that kernel's instruction set, and may become
 * the one copy that the linker keeps for all code: on a processor without the instructions it crashes. Templates of the
 * instruction set's own namespace are its own.
 */
function checkKernelObjects(): void {
  const objects = filesUnder(folder).filter((file) => /kernels_\w+\.dir.*\.o$/.test(file));
  if (objects.length === 0) throw new Error(`Expected object files of kernels in ${folder}, found none`);
  const shared = outputOf('nm', ['-A', '-C', '--defined-only', ...objects.map((file) => join(root, file))])
    .split('\n')
    .filter((line) => / [WV] /.test(line) && !/ [WV] (?:\S+ )?deepzero::(?:avx512|avx2|portable)::/.test(line));
  if (shared.length > 0)
    throw new Error(`Expected kernels to define no shared inline functions, found\n${shared.join('\n')}`);
}
