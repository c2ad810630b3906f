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

  it('cifar10-resnet20: says what is wrong before it computes', async () => {
    await assert.rejects(
      example('cifar10-resnet20', ['none', '0.9', 'many']),
      /Expected EPOCHS to be a finite number > 0, received many/,
    );
    await assert.rejects(example('cifar10-resnet20', ['none']), /none: folder does not exist/);
  });
});
