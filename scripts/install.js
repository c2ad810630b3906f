/**
 * What npm runs where the package is installed: builds the addon, unless a prebuilt one loads.
 *
 * @module
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import process, { env, execPath, stderr } from 'node:process';

const { status, error } = spawnSync('node-gyp-build', { stdio: 'inherit', env: { JOBS: 'max', ...env } });
if (error) stderr.write(`${error.message}: npm puts it on PATH\n`);
if (status !== 0) {
  process.exitCode = 1;
  // The command says what is missing; a clone has none before its first build.
  if (existsSync('dist')) spawnSync(execPath, ['dist/cli/main.js', 'info'], { stdio: 'inherit' });
  else stderr.write('Expected a C++17 compiler with OpenMP, make and python3, with which to build the native addon\n');
}
