import assert from 'node:assert/strict';
import { counted, Output, table } from '../../lib/cli/output.js';
import { textWidth } from '../../lib/cli/width.js';
import { formatDuration } from '../../lib/support/duration.js';
import { describeMachine } from '../../lib/native/machine.js';
import { ProgressMeter } from '../../lib/cli/train/progress.js';

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

  it('has no loss to show before the first step, and no time left without a prediction', () => {
    const meter = new ProgressMeter(40);
    assert.equal(meter.line(0), ' 0/40 steps');
    assert.match(meter.line(0, 0.5), /^ 0\/40 steps \+ 50 % {2}ETA \S+ \S+$/);
    assert.equal(new ProgressMeter(40, { secondsPerStep: 60 }).line(0), ' 0/40 steps  ETA 40 min');
  });

  /** The seconds left that a line shows. */
  const etaOf = (line: string): number => {
    const [, value, unit] = /ETA ([\d.,]+) (\w+)/.exec(line)!;
    return Number(value!.replace(',', '')) * { ms: 0.001, s: 1, min: 60, h: 3600 }[unit!]!;
  };

  // Steps of five minutes, which the prediction takes to be longer or shorter, on a machine that is slower at times.
  for (const [what, predicted, secondsOf] of [
    ['right', 300, () => 300],
    ['half of the truth', 150, () => 300],
    ['twice the truth', 600, () => 300],
    ['right for steps that vary', 300, (step: number) => 300 * (1 + 0.1 * Math.sin(7 * step))],
    ['right for quick steps', 0.3, () => 0.3],
    ['a tenth of quick steps', 0.03, () => 0.3],
    [
      'right for quick steps on a machine that is busy for seconds',
      0.4,
      (step: number) => 0.3 + 0.2 * (Math.floor(step / 20) % 2),
    ],
  ] as const) {
    it(`predicts the end within 20 % after a minute, where the predicted cost is ${what}`, () => {
      const [total, testEvery, testSeconds] = [secondsOf(0) > 1 ? 30 : 3000, 5, 0.05 * secondsOf(0)];
      let time = 100;
      // The first tenth of the queries takes a third of the time.
      const share = (queries: number): number => (queries < 0.1 ? queries / 0.3 : 1 / 3 + ((queries - 0.1) * 2) / 2.7);
      const ends: number[] = [];
      for (let [step, end] = [0, time]; step < total; step++) {
        end += secondsOf(step) + (step % testEvery === testEvery - 1 ? testSeconds : 0);
        ends.push(end);
      }
      const meter = new ProgressMeter(total, { secondsPerStep: predicted, shareOf: share, now: () => time });
      const begun = time;
      let checked = 0;
      const check = (step: number, within: number): void => {
        const left = ends.at(-1)! - time;
        if (time - begun < 60 || left < 300) return;
        const eta = etaOf(meter.line(step, within));
        assert.ok(Math.abs(eta - left) <= 0.2 * left, `${eta} s instead of ${left} s at step ${step} + ${within}`);
        checked++;
      };
      for (let step = 0; step < total; step++) {
        const [start, seconds] = [time, secondsOf(step)];
        for (let within = 0.025; within < 1; within += 0.025) {
          time = start + share(within) * seconds;
          check(step, within);
        }
        time = ends[step]!;
        meter.add({ step, epoch: 0, loss: 1, lr: 1, queries: 9, seconds, queriesPerSecond: 9 / seconds });
        if (step < total - 1) check(step + 1, 0);
      }
      assert.ok(checked > 100);
    });
  }
});

describe('Output', () => {
  /** An output to a stream, what it has written, and its time. */
  const outputTo = (stream: { isTTY: boolean; columns?: number }, env: Record<string, string> = {}) => {
    const writes: string[] = [];
    const fake = { columns: 80, ...stream, write: (text: string) => writes.push(text) > 0 };
    const clock = { time: 0 };
    const output = new Output(false, { stream: fake, env, now: () => clock.time });
    return { output, writes, clock, fake };
  };

  it('rewrites a status in place by one write, at most every 50 ms, and erases it for a line', () => {
    const { output, writes, clock } = outputTo({ isTTY: true });
    output.status('one', { fraction: 0.5 });
    output.status('too soon');
    clock.time = 0.06;
    output.status('two');
    output.line('stays');
    output.clearStatus();
    assert.deepEqual(writes, ['\r[====>   ]  one\x1b[J', '\rtwo\x1b[J', '\r\x1b[Jstays\n']);
  });

  it('writes lines without control characters to files, dumb terminals and continuous integration', () => {
    for (const [stream, env] of [
      [{ isTTY: false }, {}],
      [{ isTTY: true }, { TERM: 'dumb' }],
      [{ isTTY: true }, { CI: 'true' }],
    ] as const) {
      const { output, writes, clock } = outputTo(stream, env);
      for (; clock.time < 60; clock.time++)
        output.status(`at ${clock.time}\u001b[2J`, { change: 'small', fraction: 0.1 });
      output.line('end');
      output.clearStatus();
      assert.deepEqual(writes, ['at 0\\u001b[2J\n', 'at 30\\u001b[2J\n', 'end\n']);
    }
    const { output, writes } = outputTo({ isTTY: true }, { CI: 'false', TERM: 'xterm' });
    output.status('x');
    assert.deepEqual(writes, ['\rx\x1b[J']);
  });

  it('shows as many whole parts as fit, also of wide characters, and follows a change of the width', () => {
    const { output, writes, clock, fake } = outputTo({ isTTY: true, columns: 21 });
    const show = (text: string): string => {
      clock.time += 1;
      output.status(text);
      return writes.at(-1)!;
    };
    assert.equal(show('loss 2.301  lr 0.00012  epoch 3'), '\rloss 2.301\x1b[J');
    assert.equal(show('123456789 123456789 123'), '\r123456789 123456789 \x1b[J');
    assert.equal(show('漢字漢字漢字漢字漢字漢字'), '\r漢字漢字漢字漢字漢字\x1b[J');
    fake.columns = 7;
    // The terminal has broken twenty columns into three rows.
    assert.equal(show('一二  三'), '\x1b[2A\r一二\x1b[J');
    fake.columns = 120;
    clock.time += 1;
    output.status('x', { fraction: 1 });
    assert.equal(writes.at(-1), '\r[==================]  x\x1b[J');
  });

  it('aligns columns by the width that a terminal gives characters', () => {
    assert.deepEqual(['漢字', 'e\u0301', '👩‍🔬', 'ab', '✔️'].map(textWidth), [4, 1, 2, 2, 2]);
    assert.equal(
      table([
        ['name', 'n'],
        ['漢字', '12'],
        ['e\u0301e\u0301', '1'],
      ]),
      'name   n\n漢字  12\ne\u0301e\u0301     1',
    );
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
