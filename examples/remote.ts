/**
 * Minimises a loss that a server computes: examples/clients/server.py, or any that speaks docs/protocol.md.
 *
 *     python3 examples/clients/server.py 8000 secret &
 *     TOKEN=secret npx tsx examples/remote.ts http://127.0.0.1:8000 [STEPS]
 */
import { adam, cge, httpBox, minimize } from 'deepzero';

const [url = 'http://127.0.0.1:8000', steps = '100'] = process.argv.slice(2);

const { x, evaluations, failed, message } = await minimize(
  httpBox(url, { token: process.env['TOKEN'] }),
  [3, -1, 0.5],
  {
    estimator: cge({ mu: 1e-4, central: true }),
    optimizer: adam({ lr: 0.1 }),
    budget: { steps: Number(steps) },
    // Of a request with all queries of a step, in seconds.
    timeout: 60,
    onStep: ({ step, loss }) => {
      console.log(`step ${step}  loss ${loss.toFixed(4)}`);
    },
  },
);
console.log(
  `x ${[...x].map((value) => value.toFixed(2)).join(' ')}, ${evaluations} evaluations, ${failed} failed. ${message}.`,
);
