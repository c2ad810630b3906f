/**
 * Runs the arm64 build under QEMU: the native tests, and a training run, whose weights are compared with this processor's.
 *
 *     tsx scripts/test-arm64.ts      as root, on Linux x64, with the package qemu-user; half an hour for the tests alone
 *
 * @module
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NODE_VERSIONS, nodeBinary } from './nodes.js';
import { build, prebuild } from './prebuild/build.js';
import { debian11, GNU } from './prebuild/debian11.js';
import { outputOf, root, run, script } from './run.js';

/** The most by which a weight of the trained CNN may differ, as a fraction of its tensor's scale of about 1. */
const ROUNDING = 1e-5;

await script(() => {
  const qemu = ['qemu-aarch64', '-L', join(debian11(), 'usr', GNU.arm64.tuple)];
  outputOf('qemu-aarch64', ['--version']);

  prebuild('x64');
  prebuild('arm64');
  const folder = mkdtempSync(join(tmpdir(), 'deepzero-arm64-'));
  try {
    const node = nodeBinary(NODE_VERSIONS[0], 'arm64');
    const [one, two] = [1, 2].map((threads) => trained(folder, [...qemu, node], threads)) as [
      Float32Array,
      Float32Array,
    ];
    if (Buffer.compare(new Uint8Array(one.buffer), new Uint8Array(two.buffer)) !== 0) {
      throw new Error('Expected the same weights for one and two threads on arm64');
    }
    console.log('arm64: the same weights for one and two threads');
    for (const isa of ['portable', undefined]) {
      const here = trained(folder, [process.execPath], 2, isa);
      const apart = here.reduce((most, weight, i) => Math.max(most, Math.abs(weight - one[i]!)), 0);
      console.log(
        `arm64 and x64 (${isa ?? 'best instruction set'}): weights differ by at most ${apart.toExponential(1)}`,
      );
      if (!(apart <= ROUNDING)) throw new Error(`Expected a difference of at most ${ROUNDING}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }

  const tests = join(build('arm64', 'deepzero_tests'), 'deepzero_tests');
  const [emulator, ...options] = qemu;
  run(emulator!, [...options, tests], { env: { ...process.env, OMP_WAIT_POLICY: 'passive' } });
});

/** The CNN's weights after twenty steps by the prebuilt addon. */
function trained(folder: string, [command, ...args]: readonly string[], threads: number, isa?: string): Float32Array {
  const file = join(folder, 'weights');
  const program = join(root, 'scripts/prebuild/train-cnn.js');
  const env = { ...process.env, PREBUILDS_ONLY: '1', ...(isa === undefined ? {} : { DEEPZERO_ISA: isa }) };
  run(command!, [...args, program, file, String(threads)], { env });
  return new Float32Array(new Uint8Array(readFileSync(file)).buffer);
}
