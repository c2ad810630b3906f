/**
 * Programs in Python, which is not everywhere.
 *
 * @module
 */
import { spawnSync } from 'node:child_process';
import type { Context } from 'mocha';

/** Skips a test, and says why, where there is no python3. */
export function needsPython(context: Context): void {
  if (spawnSync('python3', ['--version']).status === 0) return;
  console.log('      skipped: there is no python3');
  context.skip();
}
