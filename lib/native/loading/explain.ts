/**
 * Why the addon did not load.
 *
 * @module
 */
import { escaped } from '../../support/errors.js';
import type { Target } from './binary.js';
import { building, installing, replacing } from './remedies.js';
import type { System } from './system.js';

export interface Failure {
  /** What was said by who tried to load it. */
  reason: string;
  /** The addon that was found; undefined without one. */
  file?: string | undefined;
  /** What that file was built for; undefined where its first bytes do not say. */
  target?: Target | undefined;
  /** The version of the package that it was built for, if it was loaded. */
  version?: string | undefined;
}

type Diagnosis = readonly [what: string, remedy: string];

/**
 * The message for a failure: what is missing, and what to type.
 *
 * @param expected The version of this package.
 */
export function explain(failure: Failure, system: System, expected: string): string {
  const [what, remedy] = failure.file === undefined ? notFound(system) : found(failure, system, expected);
  const file = failure.file === undefined ? '' : ` (${escaped(failure.file)})`;
  return `deepzero's native addon did not load: ${what}${file}. ${remedy}`;
}

function notFound(system: System): Diagnosis {
  const script = system.installing
    ? 'it could not be built'
    : 'the install script, which builds one, did not run or failed';
  if (isMusl(system)) return [`prebuilt addons need glibc, this system has musl, and ${script}`, withGlibc(system)];
  return [
    `no prebuilt addon for ${system.platform}-${system.arch} came with the package, and ${script}`,
    building(system),
  ];
}

function found({ reason, target, version }: Failure, system: System, expected: string): Diagnosis {
  const here = `${system.platform}-${system.arch}`;
  if (version !== undefined && version !== expected) {
    return [`it was built for deepzero ${escaped(version)}, and this is deepzero ${expected}`, replacing(system)];
  }
  if (target !== undefined && `${target.platform}-${target.arch}` !== here) {
    const built = `it was built for ${target.platform}-${target.arch}, and this Node is for ${here}`;
    if (system.rosetta) return [built, `Node runs under Rosetta: use a Node for arm64. ${replacing(system)}`];
    return [`${built}; was node_modules copied from another machine?`, replacing(system)];
  }
  if (isMusl(system)) return ['it needs glibc, and this system has musl', withGlibc(system)];
  for (const [pattern, diagnosis] of REASONS) {
    const match = pattern.exec(reason);
    if (match) return diagnosis(system, match[1] ?? '', match[2] ?? '');
  }
  return [escaped(reason.split('\n')[0] ?? ''), building(system)];
}

/** What loaders of shared objects say, and what it means here. */
const REASONS: readonly (readonly [RegExp, (system: System, one: string, other: string) => Diagnosis])[] = [
  [
    /static TLS block/,
    () => [
      'libraries that were loaded before have used up the memory that libgomp.so.1 needs',
      'Import deepzero before other packages with native code, or start node with LD_PRELOAD=libgomp.so.1',
    ],
  ],
  [
    /(libgomp\.so\.\d): cannot open|Library not loaded: \S*?(libomp\.dylib)/,
    (system, linux, macos) => [
      `this system lacks OpenMP's library, ${linux || macos}`,
      `Install it: ${installing('openmp', system)}`,
    ],
  ],
  [
    /version [`'](GLIBC)_([\d.]+)' not found/,
    (system, _, needed) => [
      `it needs glibc ${needed}, and this system has ${system.glibc ?? 'an older one'}`,
      building(system),
    ],
  ],
  [
    /version [`']([A-Z]+_[\d.]+)' not found \(required/,
    (system, needed) => [`it needs ${needed}, and the libraries of this system are older`, building(system)],
  ],
  [
    /(failed to map segment)|not permitted/,
    () => [
      'its file system forbids programs (mounted with noexec)',
      'Install the package on another file system, or mount this one with exec',
    ],
  ],
  [/invalid ELF header|file too short/, (system) => ['the file is damaged', replacing(system)]],
];

function isMusl({ platform, glibc }: System): boolean {
  return platform === 'linux' && glibc === undefined;
}

function withGlibc(system: System): string {
  return `Use an image with glibc, such as node:22-slim. ${building(system)}; that has not been tried with musl`;
}
