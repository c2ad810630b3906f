/**
 * Node's binaries of other versions and processors, as npm's registry has them.
 *
 * @module
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { outputOf, root } from './run.js';

/** One version of each line that the package supports; in `package.json` the oldest is `engines.node`. */
export const NODE_VERSIONS = ['20.20.2', '22.23.3', '24.21.0', '26.10.0'] as const;

/** The binary of a version of Node, which is downloaded once to `build/nodes/`. */
export function nodeBinary(version: string, architecture: string = process.arch): string {
  const name = `node-${process.platform}-${architecture}`;
  const folder = join(root, 'build/nodes', `${name}-${version}`);
  const binary = join(folder, 'node_modules', name, 'bin/node');
  if (existsSync(binary)) return binary;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
  // --force, because npm refuses a package of another processor.
  const options = ['--force', '--prefer-offline', '--no-audit', '--no-fund', '--no-save', '--ignore-scripts'];
  outputOf('npm', ['install', '--silent', ...options, `${name}@${version}`], { cwd: folder });
  return binary;
}
