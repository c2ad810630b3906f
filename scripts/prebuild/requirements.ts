/**
 * What a prebuilt addon asks of the system that loads it: shared libraries, and versions of their symbols.
 *
 * @module
 */
import { outputOf } from '../run.js';

/** The system libraries that may be needed: glibc's, and OpenMP's. */
const LIBRARIES = /^(?:ld-linux-[\w-]+|libc|libm|libdl|libpthread|librt|libgomp)\.so\.\d$/;

/** The newest versions that may be needed: Debian 11's glibc, and GCC 4.9's libgomp. */
const NEWEST: Readonly<Record<string, string>> = { GLIBC: '2.31', GOMP: '4.5', OMP: '4.5' };

export interface Requirements {
  libraries: string[];
  /** The newest version of each set of symbols, as in `{ GLIBC: '2.29', GOMP: '4.5' }`. */
  versions: Record<string, string>;
}

/** What a shared object needs, from its dynamic section. */
export function requirements(file: string): Requirements {
  return readRequirements(outputOf('objdump', ['-p', file]));
}

/** The same from what `objdump -p` prints. */
export function readRequirements(printed: string): Requirements {
  const libraries = [...printed.matchAll(/^ {2}NEEDED +(\S+)$/gm)].map(([, name]) => name!);
  const versions: Record<string, string> = {};
  for (const [, set, version] of printed.matchAll(/^ {4}0x\S+ 0x\S+ \d+ ([A-Z]+)_([\d.]+)$/gm)) {
    const known = versions[set!];
    if (known === undefined || newer(version!, known)) versions[set!] = version!;
  }
  return { libraries, versions };
}

/** @throws Error if a shared object needs more than every supported system has. */
export function checkRequirements(file: string, { libraries, versions }: Requirements): void {
  const strange = libraries.filter((name) => !LIBRARIES.test(name));
  const tooNew = Object.entries(versions)
    .filter(([set, version]) => NEWEST[set] === undefined || newer(version, NEWEST[set]))
    .map(([set, version]) => `${set}_${version}`);
  if (strange.length > 0 || tooNew.length > 0) {
    const most = Object.entries(NEWEST).map(([set, version]) => `${set}_${version}`);
    throw new Error(
      `Expected ${file} to need glibc and libgomp alone, at most ${most.join(', ')}; it also needs ` +
        [...strange, ...tooNew].join(', '),
    );
  }
}

function newer(one: string, other: string): boolean {
  return one.localeCompare(other, 'en', { numeric: true }) > 0;
}
