import assert from 'node:assert/strict';
import { counted } from '../../lib/cli/output.js';
import { formatDuration } from '../../lib/support/duration.js';
import { describeMachine } from '../../lib/native/machine.js';
import { ProgressMeter } from '../../lib/cli/train-run.js';

describe('ProgressMeter', () => {
  it('keeps all but epoch and speed within 80 columns, on a run of days', () => {
    const meter = new ProgressMeter(9750);
    const step = { step: 9748, epoch: 49, loss: 2.3012, accuracy: 0.1234, lr: 1.2e-4, queries: 28_221 };
    meter.add({ ...step, seconds: 3600, queriesPerSecond: 12_345 });
    const line = meter.line(9648, 0.994);
    assert.match(
      line.slice(0, 79),
      /^9648\/9750 steps \+ 99 % {2}ETA 101 h {2}loss 2\.301 {2}accuracy 12\.3 % {2}lr 0\.00012( |$)/,
    );
    assert.match(line, /epoch 50 {2}12,345 queries\/s$/);
  });

  it('has no loss to show before the first step', () => {
    assert.equal(new ProgressMeter(40).line(0, 0.5), ' 0/40 steps + 50 %');
  });
});

describe('numbers in words', () => {
  it('has a singular, and no time of 0', () => {
    assert.deepEqual([counted(1, 'step'), counted(1234, 'step')], ['1 step', '1,234 steps']);
    assert.deepEqual([0.0004, 0.02, 3, 60, 3600 * 99.4, 3600 * 4466.1].map(formatDuration), [
      '0.4 ms',
      '20 ms',
      '3.0 s',
      '60 s',
      '99.4 h',
      '4,466 h',
    ]);
  });

  it('name the bound that a time was taken under', () => {
    const threads = 2;
    assert.match(describeMachine({ threads }), /^deepzero [\d.]+ \(\w+\), 2 of \d+ cores? of .+$/);
    assert.ok(describeMachine({ threads, memory: 1e8 }).endsWith(', within 100,000,000 bytes'));
  });
});
