import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { targetOf } from '../../../lib/native/loading/binary.js';
import { explain, type Failure } from '../../../lib/native/loading/explain.js';
import {
  managerOf,
  missingTools,
  readDistributions,
  thisSystem,
  type System,
} from '../../../lib/native/loading/system.js';
import { root } from '../../../scripts/run.js';
import { withFolder } from '../../helpers/tiny.js';

const DEBIAN: System = {
  platform: 'linux',
  arch: 'x64',
  glibc: '2.36',
  distributions: ['debian'],
  missingTools: [],
  manager: 'npm',
  installing: false,
  rosetta: false,
};
const FEDORA = { distributions: ['rocky', 'rhel', 'centos', 'fedora'] };
const MAC = { platform: 'darwin', arch: 'arm64', glibc: undefined, distributions: [] };
const file = 'node_modules/deepzero/deepzero.node';
const NPM = '"npm install-scripts approve deepzero" if npm blocked the install script, then "npm rebuild deepzero"';

/** A failure, the system it happens on where that differs from Debian, and what the message says. */
const CASES: Readonly<Record<string, [Failure, Partial<System>, string]>> = {
  'without a prebuilt addon or a compiler': [
    { reason: 'No native build was found' },
    { arch: 'riscv64', missingTools: ['a C++ compiler', 'make'] },
    'no prebuilt addon for linux-riscv64 came with the package, and the install script, which builds one, did not run or failed. ' +
      `Build it after "apt-get install g++ make python3" (missing: a C++ compiler, make): ${NPM}`,
  ],
  'while it is installed': [
    { reason: 'No native build was found' },
    { ...FEDORA, installing: true, missingTools: ['python3'] },
    'no prebuilt addon for linux-x64 came with the package, and it could not be built. ' +
      'Build it after "dnf install gcc-c++ make python3" (missing: python3): install deepzero again',
  ],
  'where npm blocked the install script': [
    { reason: 'No native build was found' },
    MAC,
    `no prebuilt addon for darwin-arm64 came with the package, and the install script, which builds one, did not run or failed. Build it with a C++17 compiler with OpenMP, make and python3: ${NPM}`,
  ],
  'where pnpm blocked it': [
    { reason: 'No native build was found' },
    { manager: 'pnpm' },
    'no prebuilt addon for linux-x64 came with the package, and the install script, which builds one, did not run or failed. Build it with a C++17 compiler with OpenMP, make and python3: ' +
      '"pnpm approve-builds" if pnpm blocked the install script, then "pnpm rebuild deepzero"',
  ],
  'in a clone': [
    { reason: 'No native build was found' },
    { manager: 'clone' },
    'no prebuilt addon for linux-x64 came with the package, and the install script, which builds one, did not run or failed. ' +
      'Build it with a C++17 compiler with OpenMP, make and python3: "npm install"',
  ],
  'without an addon on musl': [
    { reason: 'No native build was found' },
    { glibc: undefined, distributions: ['alpine'], missingTools: ['make'] },
    'prebuilt addons need glibc, this system has musl, and the install script, which builds one, did not run or failed. ' +
      'Use an image with glibc, such as node:22-slim. ' +
      `Build it after "apk add g++ make python3" (missing: make): ${NPM}; that has not been tried with musl`,
  ],
  'with an addon of glibc on musl': [
    { reason: 'Error loading shared library ld-linux-x86-64.so.2: No such file or directory', file },
    { glibc: undefined, distributions: ['alpine'] },
    `it needs glibc, and this system has musl (${file}). Use an image with glibc, such as node:22-slim. ` +
      `Build it with a C++17 compiler with OpenMP, make and python3: ${NPM}; that has not been tried with musl`,
  ],
  'without libgomp on Debian': [
    { reason: 'libgomp.so.1: cannot open shared object file: No such file or directory', file },
    {},
    `this system lacks OpenMP's library, libgomp.so.1 (${file}). Install it: "apt-get install libgomp1"`,
  ],
  'without libgomp on Rocky Linux': [
    { reason: 'libgomp.so.1: cannot open shared object file: No such file or directory', file },
    FEDORA,
    `this system lacks OpenMP's library, libgomp.so.1 (${file}). Install it: "dnf install libgomp"`,
  ],
  'without libgomp on an unknown distribution': [
    { reason: 'libgomp.so.1: cannot open shared object file: No such file or directory', file },
    { distributions: ['other'] },
    `this system lacks OpenMP's library, libgomp.so.1 (${file}). Install it: "apt-get install libgomp1" or "dnf install libgomp", or what is like it here`,
  ],
  'without libomp on macOS': [
    { reason: 'dlopen(deepzero.node, 0x0001): Library not loaded: /opt/homebrew/opt/libomp/lib/libomp.dylib', file },
    MAC,
    `this system lacks OpenMP's library, libomp.dylib (${file}). Install it: "brew install libomp"`,
  ],
  'where libgomp finds no static memory': [
    { reason: '/lib/aarch64-linux-gnu/libgomp.so.1: cannot allocate memory in static TLS block', file },
    {},
    `libraries that were loaded before have used up the memory that libgomp.so.1 needs (${file}). ` +
      'Import deepzero before other packages with native code, or start node with LD_PRELOAD=libgomp.so.1',
  ],
  'where glibc is too old': [
    { reason: "/lib/libm.so.6: version `GLIBC_2.29' not found (required by deepzero.node)", file },
    { glibc: '2.28' },
    `it needs glibc 2.29, and this system has 2.28 (${file}). Build it with a C++17 compiler with OpenMP, make and python3: ${NPM}`,
  ],
  'where the C++ library is too old': [
    { reason: "libstdc++.so.6: version `GLIBCXX_3.4.30' not found (required by deepzero.node)", file },
    {},
    `it needs GLIBCXX_3.4.30, and the libraries of this system are older (${file}). Build it with a C++17 compiler with OpenMP, make and python3: ${NPM}`,
  ],
  'built for another processor': [
    { reason: 'cannot open shared object file', file, target: { platform: 'linux', arch: 'arm64' } },
    {},
    `it was built for linux-arm64, and this Node is for linux-x64; was node_modules copied from another machine? (${file}). ` +
      'Install it again: "rm -rf node_modules && npm install"',
  ],
  'built for arm64, under Rosetta': [
    { reason: 'incompatible architecture', file, target: { platform: 'darwin', arch: 'arm64' } },
    { ...MAC, arch: 'x64', rosetta: true },
    `it was built for darwin-arm64, and this Node is for darwin-x64 (${file}). Node runs under Rosetta: use a Node for arm64. ` +
      'Install it again: "rm -rf node_modules && npm install"',
  ],
  'built for another version': [
    { reason: '', file, version: '0.0.9' },
    { manager: 'clone' },
    `it was built for deepzero 0.0.9, and this is deepzero 0.1.0 (${file}). Build it again: "rm -rf build/Release && npm install"`,
  ],
  damaged: [
    { reason: `${file}: file too short`, file },
    { manager: 'pnpm' },
    `the file is damaged (${file}). Install it again: "rm -rf node_modules && pnpm install"`,
  ],
  'on a file system without programs': [
    { reason: `${file}: failed to map segment from shared object`, file },
    {},
    `its file system forbids programs (mounted with noexec) (${file}). Install the package on another file system, or mount this one with exec`,
  ],
  'for a reason that is not known': [
    { reason: 'undefined symbol: \u001b[31mf\nmore', file },
    {},
    `undefined symbol: \\u001b[31mf (${file}). Build it with a C++17 compiler with OpenMP, make and python3: ${NPM}`,
  ],
};

describe('the message about an addon', () => {
  for (const [name, [failure, system, message]] of Object.entries(CASES)) {
    it(`says what is missing and what to type: ${name}`, () => {
      const expected = `deepzero's native addon did not load: ${message}`;
      assert.equal(explain(failure, { ...DEBIAN, ...system }, '0.1.0'), expected);
    });
  }
});

describe('what decides whether the addon loads', () => {
  it('is read from this system', () => {
    const system = thisSystem(root);
    assert.deepEqual([system.platform, system.arch, system.manager], [process.platform, process.arch, 'clone']);
    if (process.platform === 'linux') assert.match(system.glibc ?? '', /^2\.\d+$/);
  });

  it('tells npm, pnpm and a clone by the path', () => {
    assert.equal(managerOf('/a/node_modules/deepzero/'), 'npm');
    assert.equal(managerOf('/a/node_modules/.pnpm/deepzero@0.1.0/node_modules/deepzero/'), 'pnpm');
    assert.equal(managerOf('/a/deepzero/'), 'clone');
  });

  it('names the tools that no folder of PATH has', () =>
    withFolder(async (folder) => {
      await writeFile(join(folder, 'g++'), '', { mode: 0o755 });
      await writeFile(join(folder, 'make'), '', { mode: 0o644 });
      assert.deepEqual(missingTools(`/none:${folder}`), ['make', 'python3']);
    }));

  it('reads the distribution and those that it is like', () =>
    withFolder(async (folder) => {
      const release = join(folder, 'os-release');
      await writeFile(release, 'NAME="Rocky Linux"\nID="rocky"\nVERSION_ID="9"\nID_LIKE="rhel centos fedora"\n');
      assert.deepEqual(readDistributions(release), ['rocky', 'rhel', 'centos', 'fedora']);
      await writeFile(release, 'ID=debian\n');
      assert.deepEqual(readDistributions(release), ['debian']);
      assert.deepEqual(readDistributions(join(folder, 'none')), []);
    }));

  it('reads the target of a shared object', () =>
    withFolder(async (folder) => {
      const written = async (bytes: number[]): Promise<string> => {
        await mkdir(folder, { recursive: true });
        await writeFile(join(folder, 'addon'), Uint8Array.from(bytes));
        return join(folder, 'addon');
      };
      const elf = (machine: number): number[] => [
        0x7f,
        0x45,
        0x4c,
        0x46,
        2,
        1,
        1,
        ...Array<number>(11).fill(0),
        machine,
        0,
      ];
      assert.deepEqual(targetOf(await written(elf(0xb7))), { platform: 'linux', arch: 'arm64' });
      assert.deepEqual(targetOf(await written(elf(0x99))), { platform: 'linux', arch: 'ELF machine 153' });
      const machO = [0xcf, 0xfa, 0xed, 0xfe, 0x07, 0, 0, 0x01, ...Array<number>(12).fill(0)];
      assert.deepEqual(targetOf(await written(machO)), { platform: 'darwin', arch: 'x64' });
      assert.equal(targetOf(await written([1, 2, 3])), undefined);
      assert.equal(targetOf(join(folder, 'none')), undefined);
      assert.deepEqual(targetOf(process.execPath), { platform: process.platform, arch: process.arch });
    }));
});
