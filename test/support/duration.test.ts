import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { after } from '../../lib/support/duration.js';

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
