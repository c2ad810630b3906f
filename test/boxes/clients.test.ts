import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Box } from '../../lib/boxes/box.js';
import { httpBox } from '../../lib/boxes/http.js';
import { processBox } from '../../lib/boxes/process.js';
import { cge } from '../../lib/estimators/cge.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import type { MinimizeOptions } from '../../lib/training/minimize.js';
import { minimize } from '../../lib/training/minimize.js';
import { clientLoss } from '../helpers/clients.js';
import { needsPython } from '../helpers/python.js';
import { leavingNothing } from '../helpers/resources.js';

const START = [3, -1, 0.5];
const OPTIONS: MinimizeOptions = {
  estimator: cge({ mu: 1e-3, central: true }),
  optimizer: sgd({ lr: 0.1 }),
  budget: { steps: 5 },
};

/** Fails unless a run over a box goes as one over the function does, but for the last bits: versions of Python differ in sums. */
async function assertSame(box: Box): Promise<void> {
  const [ours, theirs] = [await minimize(clientLoss, START, OPTIONS), await minimize(box, START, OPTIONS)];
  assert.deepEqual({ ...theirs, x: 0, loss: 0 }, { ...ours, x: 0, loss: 0 });
  for (const [i, value] of ours.x.entries())
    assert.ok(Math.abs(theirs.x[i]! - value) < 1e-9, `${theirs.x[i]!} ${value}`);
}

describe('the clients in examples/clients', () => {
  it('loss.py answers a process box, with the losses of the same function here', async function () {
    needsPython(this);
    await leavingNothing(async () => {
      const box = processBox('python3', ['loss.py'], { processes: 2, cwd: 'examples/clients' });
      await assertSame(box);
    });
  });

  it('loss.py says what went wrong', async function () {
    needsPython(this);
    // It can only be asked for points.
    const box = processBox('python3', ['examples/clients/loss.py'], { send: 'changes' });
    await assert.rejects(
      minimize(box, START, OPTIONS),
      /^RefusedStepError: There is no loss at the unperturbed point, query 0\.b: KeyError\('x'\)$/,
    );
  });

  it('server.py answers an HTTP box that has its token', async function () {
    needsPython(this);
    const server = spawn('python3', ['examples/clients/server.py', '0', 'secret'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const [line] = (await once(server.stdout, 'data')) as [Buffer];
      const url = `http://127.0.0.1:${Number(line.toString())}`;
      await leavingNothing(async () => {
        const box = httpBox(url, { token: 'secret', batch: 3, parallel: 2 });
        await assertSame(box);
        const wrong = minimize(httpBox(url, { token: 'guess' }), START, OPTIONS);
        await assert.rejects(
          wrong,
          /There is no loss at the unperturbed point, query 0\.b: http:\S+: status 401 Unauthorized: "\{\}"$/,
        );
      });
    } finally {
      const ended = once(server, 'close');
      server.kill('SIGKILL');
      await ended;
    }
  });
});
