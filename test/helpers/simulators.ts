/**
 * Simulators for tests, built from their source when they are first asked for and when it has changed.
 *
 * @module
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/run.js';

/** The path of test/native/simulators/linear.c, built with these definitions. */
export function linearSimulator(...definitions: string[]): string {
  const folder = join(root, 'build/simulators');
  const path = join(folder, `linear${definitions.map((definition) => `-${definition}`).join('')}.so`);
  const source = join(root, 'test/native/simulators/linear.c');
  const sources = [source, join(root, 'native/include/deepzero_simulator.h')].map(changeOf);
  if (changeOf(path) > Math.max(...sources)) return path;
  mkdirSync(folder, { recursive: true });
  const temporary = `${path}.${process.pid}`;
  const include = ['-I', join(root, 'native')];
  const flags = ['-O2', '-shared', '-fPIC', ...include, ...definitions.map((definition) => `-D${definition}`)];
  execFileSync('cc', [...flags, source, '-o', temporary]);
  renameSync(temporary, path);
  return path;
}

/** When a file was changed; −∞ if there is none. */
function changeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? -Infinity;
}
