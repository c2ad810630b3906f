/**
 * File systems that only a test sees.
 *
 * @module
 */
import { spawnSync } from 'node:child_process';

/** A shell in which a file system can be mounted that nobody else sees, where the machine allows it. */
export const MOUNTING_SHELL = ['unshare', '-rm', 'sh', '-c'] as const;

export function canMount(): boolean {
  const [program, ...parameters] = MOUNTING_SHELL;
  return spawnSync(program, [...parameters, 'mount -t tmpfs none /mnt']).status === 0;
}
