import assert from 'node:assert/strict';

import type { Schedule } from '../../lib/optimizers/schedules.js';
import { asSchedule, constant, cosine, step } from '../../lib/optimizers/schedules.js';

const near = (actual: number, expected: number): void => {
  assert.ok(Math.abs(actual - expected) <= 1e-12, `${actual} is not ${expected}`);
};

/** The rates of a whole run. */
const run = (schedule: Schedule, stepsPerEpoch: number, epochs: number): number[] =>
  Array.from({ length: stepsPerEpoch * epochs }, (_, i) => schedule.at({ step: i, stepsPerEpoch, epochs }));

describe('schedules', () => {
  it('constant is the same everywhere, and a plain number stands for it', () => {
    assert.deepEqual(run(constant(0.25), 2, 2), [0.25, 0.25, 0.25, 0.25]);
    assert.deepEqual(asSchedule(0.25).config, constant(0.25).config);
    const schedule = cosine({ peak: 1 });
    assert.equal(asSchedule(schedule), schedule);
  });

  it('cosine climbs linearly to the peak over the warm-up', () => {
    const rates = run(cosine({ peak: 0.8, warmupEpochs: 2 }), 4, 10);
    for (let i = 0; i < 8; i++) near(rates[i]!, (0.8 * (i + 1)) / 8);
    near(rates[8]!, 0.8);
    assert.ok(rates[9]! < 0.8);
  });

  it('cosine falls from peak to floor, halfway in the middle, and stays there', () => {
    const schedule = cosine({ peak: 1, warmupEpochs: 1, floor: 0.2 });
    const rates = run(schedule, 10, 5).slice(10);
    near(rates[0]!, 1);
    near(rates[10]!, 0.6 + 0.4 * Math.SQRT1_2);
    near(rates[20]!, 0.6);
    near(rates[30]!, 0.6 - 0.4 * Math.SQRT1_2);
    for (let i = 1; i < rates.length; i++) assert.ok(rates[i]! < rates[i - 1]! && rates[i]! > 0.2);
    near(schedule.at({ step: 50, stepsPerEpoch: 10, epochs: 5 }), 0.2);
    near(schedule.at({ step: 90, stepsPerEpoch: 10, epochs: 5 }), 0.2);
  });

  it('cosine only climbs in a run no longer than its warm-up, and takes fractions of epochs', () => {
    const schedule = cosine({ peak: 1, warmupEpochs: 3 });
    const rates = Array.from({ length: 5 }, (_, i) => schedule.at({ step: i, stepsPerEpoch: 4, epochs: 1.25 }));
    rates.forEach((rate, i) => {
      near(rate, (i + 1) / 12);
    });
    near(cosine({ peak: 1, warmupEpochs: 0.5 }).at({ step: 0, stepsPerEpoch: 4, epochs: 1 }), 0.5);
  });

  it('cosine is at its floor after the end, whatever the warm-up', () => {
    for (const warmupEpochs of [2, 3]) {
      const schedule = cosine({ peak: 1, warmupEpochs, floor: 0.1 });
      for (const step of [10, 11, 20]) assert.equal(schedule.at({ step, stepsPerEpoch: 5, epochs: 2 }), 0.1);
    }
  });

  it('every warm-up stays at or below the peak', () => {
    const schedules = [cosine({ peak: 1, warmupEpochs: 0.1 }), step({ initial: 1, every: 1, warmupEpochs: 0.1 })];
    for (const schedule of schedules) near(schedule.at({ step: 0, stepsPerEpoch: 3, epochs: 2 }), 1);
  });

  it('step decays exactly at multiples of its epochs', () => {
    const rates = run(step({ initial: 0.1, every: 2, factor: 0.5 }), 3, 6);
    rates.forEach((rate, i) => {
      near(rate, i < 6 ? 0.1 : i < 12 ? 0.05 : 0.025);
    });
  });

  it('step warms up without moving its decays', () => {
    const rates = run(step({ initial: 1, every: 2, factor: 0.1, warmupEpochs: 1 }), 4, 4);
    [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 0.1].forEach((expected, i) => {
      near(rates[i]!, expected);
    });
  });

  it('decays at the thirds of a run, though their product is a little above a whole number', () => {
    const thirds = step({ initial: 1, every: 50 / 3 });
    const decayed = [3249, 3250, 6499, 6500].map((at) => thirds.at({ step: at, stepsPerEpoch: 195, epochs: 50 }));
    assert.deepEqual(decayed, [1, 0.1, 0.1, 0.1 ** 2]);
  });

  it('describes kind and options, defaults included', () => {
    assert.deepEqual(cosine({ peak: 0.1 }).config, { kind: 'cosine', peak: 0.1, warmupEpochs: 0, floor: 0 });
    assert.deepEqual(step({ initial: 0.1, every: 3 }).config, {
      kind: 'step',
      initial: 0.1,
      every: 3,
      factor: 0.1,
      warmupEpochs: 0,
    });
    const schedule = step({ initial: 0.1, every: 3 });
    assert.deepEqual(JSON.parse(JSON.stringify(schedule.config)), schedule.config);
  });

  it('refuses what makes no sense', () => {
    const refusals: [() => unknown, string][] = [
      [() => constant(0), 'Expected lr to be a finite number > 0, received 0'],
      [() => cosine({ peak: Number.NaN }), 'Expected peak to be a finite number > 0, received NaN'],
      [() => cosine({ peak: 0.1, floor: 0.2 }), 'Expected floor to be at most peak, 0.1, received 0.2'],
      [() => cosine({ peak: 0.1, warmupEpochs: -1 }), 'Expected warmupEpochs to be a finite number >= 0, received -1'],
      [
        () => cosine({ peak: 0.1, warmup: 3 } as never),
        'Unknown option "warmup" in cosine; known are peak, warmupEpochs, floor',
      ],
      [() => step({ initial: 0.1, every: 0 }), 'Expected every to be a finite number > 0, received 0'],
      [() => step({ initial: 0.1, every: 1, factor: 2 }), 'Expected factor to be a number > 0 and <= 1, received 2'],
      [() => step({ initial: 0.1, evry: 1 } as never), 'Unknown option "evry" in step; did you mean "every"?'],
      [() => asSchedule('fast' as never), 'Expected lr to be a finite number > 0 or a schedule, received "fast"'],
      [() => asSchedule(undefined as never), 'Expected lr to be a finite number > 0 or a schedule, received undefined'],
    ];
    for (const [action, message] of refusals) assert.throws(action, { code: 'DEEPZERO_INVALID_ARGUMENT', message });
  });
});
