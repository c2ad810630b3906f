import assert from 'node:assert/strict';
import { checkRequirements, readRequirements, requirements } from '../../scripts/prebuild/requirements.js';

/** As `objdump -p` prints it. */
const PRINTED = `
Dynamic Section:
  NEEDED               libgomp.so.1
  NEEDED               libc.so.6
  INIT                 0x0000000000010c30

Version References:
  required from libgomp.so.1:
    0x042623d5 0x00 22 GOMP_4.5
    0x042628d0 0x00 13 GOMP_1.0
  required from libc.so.6:
    0x06969189 0x00 16 GLIBC_2.29
    0x0d696913 0x00 29 GLIBC_2.3
    0x09691a75 0x00 04 GLIBC_2.2.5
`;

describe('what a prebuilt addon needs', () => {
  it('is read as libraries and the newest version of each set of symbols', () => {
    const found = readRequirements(PRINTED);
    assert.deepEqual(found, { libraries: ['libgomp.so.1', 'libc.so.6'], versions: { GOMP: '4.5', GLIBC: '2.29' } });
    checkRequirements('addon', found);
  });

  for (const [from, to, named] of [
    ['GLIBC_2.29', 'GLIBC_2.32', 'GLIBC_2.32'],
    ['GOMP_4.5', 'GOMP_5.0', 'GOMP_5.0'],
    ['GLIBC_2.29', 'GLIBCXX_3.4', 'GLIBCXX_3.4'],
    ['libc.so.6', 'libstdc++.so.6', 'libstdc++.so.6'],
  ] as const) {
    it(`is refused where it is ${named}`, () => {
      const found = readRequirements(PRINTED.replace(from, to));
      assert.throws(
        () => {
          checkRequirements('addon', found);
        },
        new Error(
          `Expected addon to need glibc and libgomp alone, at most GLIBC_2.31, GOMP_4.5, OMP_4.5; it also needs ${named}`,
        ),
      );
    });
  }

  it('is found in a real shared object', () => {
    if (process.platform !== 'linux') return;
    const { libraries, versions } = requirements('build/Release/deepzero.node');
    assert.ok(libraries.includes('libgomp.so.1') && versions['GLIBC'] !== undefined);
  });
});
