/**
 * A root folder with Debian 11 and its compilers, so that what they build runs wherever glibc 2.31 or newer is.
 *
 * @module
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { outputOf, root, run } from '../run.js';

/** The processors that prebuilt addons are for, by Node's names. */
export const ARCHITECTURES = ['x64', 'arm64'] as const;
export type Architecture = (typeof ARCHITECTURES)[number];

/** GNU's names of them: of compilers, folders and CMake's variable. */
export const GNU: Readonly<Record<Architecture, { processor: string; tuple: string }>> = {
  x64: { processor: 'x86_64', tuple: 'x86_64-linux-gnu' },
  arm64: { processor: 'aarch64', tuple: 'aarch64-linux-gnu' },
};

const MIRROR = process.env['DEBIAN_MIRROR'] ?? 'http://deb.debian.org/debian';
const PACKAGES = 'g++,g++-aarch64-linux-gnu';

/**
 * The root folder: made by debootstrap, in a minute or two, where it does not exist yet.
 *
 * @throws Error with what to type, if this is not root or debootstrap is missing.
 */
export function debian11(): string {
  const folder = process.env['DEEPZERO_DEBIAN11'] ?? join(root, 'build/debian11');
  if (process.getuid?.() !== 0) throw new Error('Expected to run as root, which debootstrap and chroot require: sudo');
  if (existsSync(join(folder, 'usr/bin/aarch64-linux-gnu-g++'))) return folder;
  if (outputOf('sh', ['-c', 'command -v debootstrap || true']).trim() === '') {
    throw new Error('Expected debootstrap to be installed: apt-get install debootstrap');
  }
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  run('debootstrap', ['--variant=minbase', `--include=${PACKAGES}`, 'bullseye', folder, MIRROR]);
  return folder;
}

/**
 * A program outside that runs the root's compiler on the package's folder, which must be mounted in the root. Kernels are compiled
 * by this system's compiler: they use no library, and GCC 12 makes them for AVX2 up to 1.6 times as fast as Debian 11's GCC 10.
 */
export function compiler(folder: string, architecture: Architecture, name: 'gcc' | 'g++'): string {
  const { tuple } = GNU[architecture];
  const file = join(root, 'build', `debian11-${tuple}-${name}`);
  const text = `#!/bin/sh
case " $* " in *" -DDEEPZERO_ISA="*) exec ${tuple}-${name} "$@" ;; esac
exec chroot '${folder}' /bin/sh -c 'cd "$0" && exec ${tuple}-${name} "$@"' "$PWD" "$@"
`;
  writeFileSync(file, text, { mode: 0o755 });
  return file;
}

/** Runs a program with the package's folder mounted in the root at its own path; the mount ends with the program. */
export function runMounted(folder: string, command: string, args: readonly string[]): void {
  const inside = join(folder, root);
  mkdirSync(inside, { recursive: true });
  const mounted = `mount --bind '${root}' '${inside}' && exec "$0" "$@"`;
  run('unshare', ['--mount', 'sh', '-c', mounted, command, ...args]);
}
