/**
 * Loading the addon.
 *
 * @module
 */
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { version } from '../../lib/support/version.js';
import { outputOf, root } from '../../scripts/run.js';
import { withFolder } from '../helpers/tiny.js';

/** Tries to load the addon of each folder, and prints the messages. */
const PROGRAM = `
  const { native } = await import('./lib/native/addon.ts');
  const messages = process.argv.slice(1).map((folder) => {
    process.env.DEEPZERO_PREBUILD = folder;
    try { return native.isa; } catch (error) { return error.message; }
  });
  console.log(JSON.stringify(messages));`;

function replaced(addon: Buffer, from: string, to: string): Buffer {
  const at = addon.indexOf(from, 0, 'latin1');
  assert.ok(at >= 0 && from.length === to.length, `${from} is not in the addon`);
  const copy = Buffer.from(addon);
  for (let next = at; next >= 0; next = copy.indexOf(from, next, 'latin1')) copy.write(to, next, 'latin1');
  return copy;
}

describe('the loader of the addon', () => {
  it('says why an addon does not load, for real ones that cannot', function () {
    // The changes below are to an ELF file.
    if (process.platform !== 'linux') this.skip();
    return withFolder(async (folder) => {
      const addon = await readFile(join(root, 'build/Release/deepzero.node'));
      const otherProcessor = Buffer.from(addon);
      otherProcessor[18] = process.arch === 'arm64' ? 0x3e : 0xb7;
      const other = process.arch === 'arm64' ? 'x64' : 'arm64';
      const [, glibc] = /\0(GLIBC_2\.\d\d)\0/.exec(addon.toString('latin1')) ?? [];
      const cases: [name: string, addon: Buffer | undefined, message: RegExp][] = [
        ['none', undefined, /no prebuilt addon for \w+-\w+ came with the package/],
        ['libgomp', replaced(addon, 'libgomp.so.1\0', 'libgomp.so.9\0'), /lacks OpenMP's library, libgomp\.so\.9/],
        [
          'glibc',
          replaced(addon, `${glibc}\0`, `${glibc?.replace('2.', '9.')}\0`),
          /needs glibc 9\.\d\d, and this system has 2\./,
        ],
        ['processor', otherProcessor, new RegExp(`it was built for linux-${other}, and this Node is for linux-`)],
        ['empty', addon.subarray(0, 0), /the file is damaged/],
        [
          'version',
          replaced(addon, `\0${version}\0`, `\0${version.replace(/\d/, '9')}\0`),
          /it was built for deepzero 9\./,
        ],
        ['right', addon, /^(avx512|avx2|portable)$/],
      ];
      for (const [name, bytes] of cases) {
        await mkdir(join(folder, name, 'build/Release'), { recursive: true });
        if (bytes) await writeFile(join(folder, name, 'build/Release/deepzero.node'), bytes);
      }
      const folders = cases.map(([name]) => join(folder, name));
      const args = ['--import', 'tsx', '--input-type=module', '-e', PROGRAM, '--', ...folders];
      const messages = JSON.parse(outputOf(process.execPath, args)) as string[];
      assert.equal(messages.length, cases.length);
      for (const [i, [name, , expected]] of cases.entries()) assert.match(messages[i]!, expected, name);
    });
  });
});
