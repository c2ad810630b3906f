/**
 * Simulators for tests, built from their source when they are first asked for.
 *
 * @module
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/run.js';

/** The path of test/native/simulators/linear.c, built with these definitions. */
export function linearSimulator(...definitions: string[]): string {
  const folder = join(root, 'build/simulators');
  const path = join(folder, `linear${definitions.map((definition) => `-${definition}`).join('')}.so`);
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  const temporary = `${path}.${process.pid}`;
  const include = ['-I', join(root, 'native')];
  const flags = ['-O2', '-shared', '-fPIC', ...include, ...definitions.map((definition) => `-D${definition}`)];
  execFileSync('cc', [...flags, join(root, 'test/native/simulators/linear.c'), '-o', temporary]);
  renameSync(temporary, path);
  return path;
}
