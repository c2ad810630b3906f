/**
 * Makes the prebuilt addons of the package, `prebuilds/linux-x64/deepzero.glibc.node` and the same for arm64, with Debian
 * 11's compilers.
 *
 *     tsx scripts/prebuild.ts [x64] [arm64]      both by default; as root, on Linux x64
 *
 * @module
 */
import { copyFileSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { ARCHITECTURES, compiler, debian11, GNU, runMounted, type Architecture } from './prebuild/debian11.js';
import { checkRequirements, requirements } from './prebuild/requirements.js';
import { root, script } from './run.js';

await script(() => {
  const chosen = process.argv.slice(2);
  const unknown = chosen.find((name) => !ARCHITECTURES.some((architecture) => architecture === name));
  if (unknown !== undefined) throw new Error(`Expected one of ${ARCHITECTURES.join(', ')}, received "${unknown}"`);
  for (const architecture of ARCHITECTURES) {
    if (chosen.length === 0 || chosen.includes(architecture)) prebuild(architecture);
  }
});

function prebuild(architecture: Architecture): void {
  const folder = debian11();
  const build = `build/prebuild-${architecture}`;
  const settings = [
    '-DDEEPZERO_ADDON=ON',
    '-DDEEPZERO_PREBUILD=ON',
    '-DCMAKE_SYSTEM_NAME=Linux',
    `-DCMAKE_SYSTEM_PROCESSOR=${GNU[architecture].processor}`,
    `-DCMAKE_CXX_COMPILER=${compiler(folder, architecture)}`,
    // CMake would look for the files of these libraries outside the root.
    ...['-DOpenMP_CXX_FLAGS=-fopenmp', '-DOpenMP_CXX_LIB_NAMES=gomp', '-DOpenMP_gomp_LIBRARY=gomp'],
  ];
  runMounted(folder, 'cmake', ['-S', '.', '-B', build, '--log-level=WARNING', ...settings]);
  const jobs = String(availableParallelism());
  runMounted(folder, 'cmake', ['--build', build, '--target', 'deepzero', '--parallel', jobs]);

  const built = join(root, build, 'deepzero.node');
  const needed = requirements(built);
  checkRequirements(built, needed);
  const file = join(root, `prebuilds/linux-${architecture}/deepzero.glibc.node`);
  mkdirSync(dirname(file), { recursive: true });
  copyFileSync(built, `${file}.tmp`);
  renameSync(`${file}.tmp`, file);
  const versions = Object.entries(needed.versions).map(([set, version]) => `${set}_${version}`);
  console.log(`${file}: ${statSync(file).size} bytes, needs ${[...needed.libraries, ...versions].join(', ')}`);
}
