import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { mean } from '../lib/support/statistics.js';

async function example(name: string, args: readonly string[]): Promise<string> {
  const file = fileURLToPath(new URL(`../examples/${name}.ts`, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', file, ...args]);
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

  it('cifar10-resnet20: says what is wrong before it computes', async () => {
    await assert.rejects(
      example('cifar10-resnet20', ['none', '0.9', 'many']),
      /Expected EPOCHS to be a finite number > 0, received many/,
    );
    await assert.rejects(example('cifar10-resnet20', ['none']), /none: folder does not exist/);
  });
});
