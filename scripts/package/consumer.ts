/**
 * Folders that install the tarball, as users do.
 *
 * @module
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { outputOf } from '../run.js';

const DEPENDENCIES = ['commander', 'get-east-asian-width', 'node-addon-api', 'node-gyp-build', 'valibot'];

/** Installs the tarball in a new folder by npm; the install script builds the addon. */
export function installFromSource(folder: string, tarball: string): void {
  prepare(folder);
  // Nested, the headers of node-addon-api are at the same relative path as in a clone, so that ccache knows what was compiled there.
  const nested = ['--install-strategy=nested', tarball];
  // Or else node-gyp-build would use a prebuilt addon, if the tarball has one.
  const env = { ...process.env, npm_config_build_from_source: 'true' };
  outputOf('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', ...nested], { cwd: folder, env });
  checkPackages(folder, ['deepzero']);
  checkPackages(join(folder, 'node_modules/deepzero'), DEPENDENCIES);
  if (!existsSync(join(folder, 'node_modules/deepzero/build/config.gypi'))) {
    throw new Error('Expected the install script to have built the addon through node-gyp');
  }
}

/** The same by another Node, where PATH has no compiler, no make and no python3; returns the seconds that it took. */
export function installPrebuilt(folder: string, tarball: string, node: string): number {
  prepare(folder);
  const start = performance.now();
  const args = [npm(), 'install', '--prefer-offline', '--no-audit', '--no-fund', tarball];
  outputOf(node, args, { cwd: folder, env: withoutCompiler(folder, node) });
  const seconds = (performance.now() - start) / 1000;
  checkPackages(folder, [...DEPENDENCIES, 'deepzero']);
  if (existsSync(join(folder, 'node_modules/deepzero/build'))) {
    throw new Error('Expected the prebuilt addon to be used, found one that was built');
  }
  return seconds;
}

/**
 * Tries the same with a tarball that has no prebuilt addon, and returns what npm printed.
 *
 * @throws Error if it succeeds.
 */
export function failToInstall(folder: string, tarball: string): string {
  prepare(folder);
  const args = [npm(), 'install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel', 'error', tarball];
  const env = withoutCompiler(folder, process.execPath);
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: folder, env, encoding: 'utf8' });
  if (status === 0) throw new Error('Expected npm not to install a package without an addon or a compiler');
  return stderr;
}

/** An environment whose PATH has a shell and Node alone. */
function withoutCompiler(folder: string, node: string): NodeJS.ProcessEnv {
  const programs = join(folder, 'bin');
  mkdirSync(programs);
  symlinkSync('/bin/sh', join(programs, 'sh'));
  symlinkSync(node, join(programs, 'node'));
  return { ...process.env, PATH: programs };
}

/** npm's program, without the shell that starts it. */
function npm(): string {
  const started = process.env['npm_execpath'];
  if (started?.endsWith('npm-cli.js') === true) return started;
  return realpathSync(join(dirname(process.execPath), 'npm'));
}

function prepare(folder: string): void {
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
}

function checkPackages(folder: string, expected: readonly string[]): void {
  const installed = readdirSync(join(folder, 'node_modules')).filter((name) => !name.startsWith('.'));
  if (installed.sort().join() !== [...expected].sort().join()) {
    throw new Error(`Expected a consumer to get ${expected.join(', ')} alone, found ${installed.join(', ')}`);
  }
}
