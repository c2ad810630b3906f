/**
 * Builds with Debian 11's compilers.
 *
 * @module
 */
import { copyFileSync, existsSync, mkdirSync, renameSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { root } from '../run.js';
import { compiler, debian11, GNU, runMounted, type Architecture } from './debian11.js';
import { checkRequirements, requirements } from './requirements.js';

/** Builds a target of CMakeLists.txt for a processor, and returns the folder that it is in. */
export function build(architecture: Architecture, target: 'deepzero' | 'deepzero_tests'): string {
  const folder = debian11();
  const out = `build/debian11-${architecture}`;
  const settings = [
    '-DDEEPZERO_ADDON=ON',
    '-DDEEPZERO_PREBUILD=ON',
    '-DDEEPZERO_TESTS=ON',
    '-DCMAKE_SYSTEM_NAME=Linux',
    `-DCMAKE_SYSTEM_PROCESSOR=${GNU[architecture].processor}`,
    `-DCMAKE_C_COMPILER=${compiler(folder, architecture, 'gcc')}`,
    `-DCMAKE_CXX_COMPILER=${compiler(folder, architecture, 'g++')}`,
    // CMake would look for the files of these libraries outside the root.
    ...['-DOpenMP_CXX_FLAGS=-fopenmp', '-DOpenMP_CXX_LIB_NAMES=gomp', '-DOpenMP_gomp_LIBRARY=gomp'],
  ];
  // Settings that name a compiler, given again, would have everything built again.
  if (!existsSync(join(root, out, 'Makefile'))) {
    runMounted(folder, 'cmake', ['-S', '.', '-B', out, '-G', 'Unix Makefiles', '--log-level=WARNING', ...settings]);
  }
  const jobs = String(availableParallelism());
  runMounted(folder, 'cmake', ['--build', out, '--target', target, '--parallel', jobs]);
  return join(root, out);
}

/**
 * Builds a prebuilt addon, checks what it needs of a system, and puts it where node-gyp-build finds it.
 *
 * @returns what it needs.
 */
export function prebuild(architecture: Architecture): { file: string; needs: string[] } {
  const built = join(build(architecture, 'deepzero'), 'deepzero.node');
  const needed = requirements(built);
  checkRequirements(built, needed);
  const file = join(root, `prebuilds/linux-${architecture}/deepzero.glibc.node`);
  mkdirSync(dirname(file), { recursive: true });
  copyFileSync(built, `${file}.tmp`);
  renameSync(`${file}.tmp`, file);
  const versions = Object.entries(needed.versions).map(([set, version]) => `${set}_${version}`);
  return { file, needs: [...needed.libraries, ...versions] };
}
