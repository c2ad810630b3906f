import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { after, Countdown } from '../../lib/support/duration.js';

describe('after', () => {
  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout'] });
  });
  afterEach(() => {
    mock.timers.reset();
  });

  it('waits longer than a timer of Node can', () => {
    let calls = 0;
    after(5_000_000, () => calls++);
    const parts = [2 ** 31 - 1, 2 ** 31 - 1];
    for (const part of parts) mock.timers.tick(part);
    mock.timers.tick(5e9 - 2 * (2 ** 31 - 1) - 1);
    assert.equal(calls, 0);
    mock.timers.tick(1);
    mock.timers.tick(2 ** 31 - 1);
    assert.equal(calls, 1);
  });

  it('calls nothing when it is cancelled, however late', () => {
    let calls = 0;
    const cancel = after(5_000_000, () => calls++);
    for (let i = 0; i < 4000; i++) mock.timers.tick(1_000_000);
    cancel();
    for (let i = 0; i < 4000; i++) mock.timers.tick(1_000_000);
    after(Infinity, () => calls++);
    mock.timers.tick(2 ** 31);
    assert.equal(calls, 0);
  });
});

describe('Countdown', () => {
  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout'] });
  });
  afterEach(() => {
    mock.timers.reset();
  });

  it('does not count the time of promises, several of them at once', async () => {
    let calls = 0;
    const countdown = new Countdown(10, () => calls++);
    const resolves: ((value: number) => void)[] = [];
    const waits = [1, 2].map(() => countdown.without(new Promise<number>((resolve) => resolves.push(resolve))));
    mock.timers.tick(100_000);
    resolves[0]!(5);
    assert.equal(await waits[0], 5);
    mock.timers.tick(100_000);
    resolves[1]!(6);
    assert.equal(await waits[1], 6);
    await assert.rejects(countdown.without(Promise.reject(new Error('no'))), /^Error: no$/);
    assert.equal(calls, 0);
    mock.timers.tick(10_000);
    assert.equal(calls, 1);
    await countdown.without(Promise.resolve());
    mock.timers.tick(100_000);
    assert.equal(calls, 1);
  });

  it('counts what passed before a promise', async () => {
    // What passes here is the time of this process, which no test can turn forward.
    const ms = mock.method(performance, 'now', () => 0);
    try {
      let calls = 0;
      const countdown = new Countdown(10, () => calls++);
      ms.mock.mockImplementation(() => 4000);
      const first = countdown.without(Promise.resolve());
      ms.mock.mockImplementation(() => 7000);
      await Promise.all([first, countdown.without(Promise.resolve())]);
      mock.timers.tick(5999);
      assert.equal(calls, 0);
      mock.timers.tick(1);
      assert.equal(calls, 1);
    } finally {
      ms.mock.restore();
    }
  });

  it('calls nothing when it is cancelled, also within a promise', async () => {
    let calls = 0;
    const countdowns = [1, 2].map(() => new Countdown(10, () => calls++));
    countdowns[0]!.cancel();
    const wait = countdowns[1]!.without(Promise.resolve());
    countdowns[1]!.cancel();
    await wait;
    mock.timers.tick(100_000);
    assert.equal(calls, 0);
  });
});
