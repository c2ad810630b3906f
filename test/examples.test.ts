import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { chmod, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { mean } from '../lib/support/statistics.js';
import { HANG_MS } from './helpers/hang.js';
import { withServer } from './helpers/loss-server.js';
import { withFolder } from './helpers/tiny.js';

/** @param path Where programs are looked for. */
async function example(name: string, args: readonly string[], path = process.env['PATH']!): Promise<string> {
  const file = fileURLToPath(new URL(`../examples/${name}.ts`, import.meta.url));
  const settings = { env: { ...process.env, PATH: path }, timeout: HANG_MS };
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', file, ...args], settings);
  return stdout;
}

describe('examples', () => {
  it('black-box: learns what has no derivative', async () => {
    const stdout = await example('black-box', ['20']);
    const losses = [...stdout.matchAll(/^step \d+ {2}loss (\S+)$/gm)].map(([, loss]) => Number(loss));
    assert.equal(losses.length, 20);
    assert.ok(mean(losses.slice(-5)) < mean(losses.slice(0, 5)) - 0.3, losses.join());
    assert.match(stdout, /^loss \S+ after \d+ evaluations\. The budget of 20 steps is used up\.$/m);
  });

  it('optical-mesh: sorts waves that it was not trained on, with the same noise in every run', async () => {
    const stdout = await example('optical-mesh', ['40']);
    const [, before, after] = /before (\S+) %[^]*after {2}(\S+) %/.exec(stdout)!.map(Number);
    assert.ok(before! < 40 && after! > 85, stdout);
    const [first, second] = await Promise.all([example('optical-mesh', ['2']), example('optical-mesh', ['2'])]);
    assert.match(first, /^step 1 {2}loss \S+ {2}signal over noise \d+\.\d$/m);
    assert.equal(first, second);
  });

  it('amplifier: reaches its gain at less power, also when ngspice dies', async function () {
    if (spawnSync('ngspice', ['--version']).error) {
      console.log('      ngspice is not installed: apt-get install ngspice');
      this.skip();
    }
    const stdout = await example('amplifier', []);
    const [before, after] = [...stdout.matchAll(/^gain (\S+) dB, (\S+) V, (\S+) mW/gm)].map((found) =>
      found.map(Number),
    );
    assert.ok(before![1]! < 30 && before![3]! > 80, stdout);
    assert.ok(after![1]! >= 40 && after![2]! >= 2 && after![3]! < 25, stdout);
    await withFolder(async (folder) => {
      // Ends after some of its commands, once.
      const mortal = `#!/bin/sh
PATH=\${PATH#*:}
if [ -e '${folder}/died' ]; then exec ngspice "$@"; fi
touch '${folder}/died'
dd bs=1 count=3000 2>/dev/null | ngspice "$@"`;
      await writeFile(join(folder, 'ngspice'), mortal);
      await chmod(join(folder, 'ngspice'), 0o755);
      const [undisturbed, disturbed] = [
        await example('amplifier', ['120']),
        await example('amplifier', ['120'], `${folder}${delimiter}${process.env['PATH']!}`),
      ].map((text) => text.split('\n'));
      assert.deepEqual(disturbed!.slice(0, 2), undisturbed!.slice(0, 2));
      const failed = (lines: string[]): number => Number(/(\d+) failed/.exec(lines[2]!)![1]);
      assert.equal(failed(disturbed!), failed(undisturbed!) + 1);
    });
  });

  it('remote: minimises what a server computes', async () => {
    const { stdout, calls } = await withServer(
      ({ number, answer, send }) => (number === 5 ? send('', 503) : answer()),
      async ({ url, calls }) => ({ stdout: await example('remote', [url, '40']), calls }),
    );
    const losses = [...stdout.matchAll(/^step \d+ {2}loss (\S+)$/gm)].map(([, loss]) => Number(loss));
    assert.equal(losses.length, 40);
    assert.ok(losses.at(-1)! < 0.5, losses.join());
    assert.match(stdout, /^x \S+ \S+ \S+, 281 evaluations, 0 failed\. The budget of 40 steps is used up\.$/m);
    assert.equal(calls.length, 42);
  });

  it('mujoco: teaches the swimmer to swim', async () => {
    const stdout = await example('mujoco', ['100']);
    const [, before, after] = /before (\S+)$[^]*after (\S+), 10?\d+ episodes$/m.exec(stdout)!.map(Number);
    assert.ok(before! < 50 && after! > 200, stdout);
  });

  it('cifar10-resnet20: says what is wrong before it computes', async () => {
    await assert.rejects(
      example('cifar10-resnet20', ['none', '0.9', 'many']),
      /Expected EPOCHS to be a finite number > 0, received many/,
    );
    await assert.rejects(example('cifar10-resnet20', ['none']), /none: folder does not exist/);
  });
});
