import assert from 'node:assert/strict';
import type { Box } from '../../lib/boxes/box.js';
import type { HttpBoxOptions } from '../../lib/boxes/http.js';
import { httpBox } from '../../lib/boxes/http.js';
import { cge } from '../../lib/estimators/cge.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import type { MinimizeOptions } from '../../lib/training/minimize.js';
import { minimize } from '../../lib/training/minimize.js';
import type { MinimizeResult } from '../../lib/training/search-options.js';
import { clientLoss } from '../helpers/clients.js';
import type { Call } from '../helpers/loss-server.js';
import { withServer } from '../helpers/loss-server.js';

const START = [3, -1, 0.5];
const OPTIONS: MinimizeOptions = {
  estimator: cge({ mu: 1e-3, central: true }),
  optimizer: sgd({ lr: 0.1 }),
  budget: { steps: 3 },
};

interface Ended {
  result: MinimizeResult;
  calls: Call[];
}

function run(
  handle: (call: Call) => unknown,
  box: HttpBoxOptions = {},
  options: Partial<MinimizeOptions> = {},
): Promise<Ended> {
  return withServer(handle, async ({ url, calls }) => {
    const result = await minimize(httpBox(`${url}/loss?key=1`, box), START, { ...OPTIONS, ...options });
    return { result, calls };
  });
}

describe('httpBox', () => {
  let whole: MinimizeResult;
  before(async () => {
    whole = await minimize(clientLoss, START, OPTIONS);
  });

  it('yields the bits of the function, in batches, by every way to send', async () => {
    for (const [box, sizes] of [
      [{}, [7, 7, 7, 1]],
      [{ batch: 3, parallel: 2 }, undefined],
      [{ send: 'changes', batch: 4 }, [4, 3, 4, 3, 4, 3, 1]],
      [{ send: 'seed', batch: 1 }, Array<number>(22).fill(1)],
    ] as [HttpBoxOptions, number[] | undefined][]) {
      const { result, calls } = await run((call) => call.answer(), box);
      assert.deepEqual(result, whole);
      if (sizes)
        assert.deepEqual(
          calls.map(({ content }) => content.queries.length),
          sizes,
        );
      for (const { request, content } of calls) {
        assert.equal(request.url, '/loss?key=1');
        assert.equal(request.headers['content-type'], 'application/json');
        assert.equal(content.bases?.length, box.send === undefined ? undefined : 1);
      }
    }
  });

  it('sends a token and headers', async () => {
    const { calls } = await run((call) => call.answer(), { token: 'se.cret', headers: { 'X-Run': 'a b' } });
    assert.equal(calls[0]!.request.headers.authorization, 'Bearer se.cret');
    assert.equal(calls[0]!.request.headers['x-run'], 'a b');
  });

  it('tries again, without a count, where there is no response, and where the server is busy or away', async () => {
    const wrongs: ((call: Call) => unknown)[] = [
      ({ request }) => request.socket.destroy(),
      ({ send }) => send('slow down', 429, { 'retry-after': '0' }),
      ({ send }) => send('', 502),
      ({ send }) => send('x'.repeat(1e5), 503),
      ({ send }) => send({}, 504, { 'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT' }),
    ];
    for (const wrong of wrongs) {
      const { result, calls } = await run((call) => (call.number === 2 ? wrong : call.answer)(call));
      assert.deepEqual(result, whole);
      assert.equal(calls.length, 5);
      assert.deepEqual(calls[2]!.content, calls[1]!.content);
    }
  });

  const once: [string, (call: Call) => unknown, RegExp, failed?: number][] = [
    ['with status 500', ({ send }) => send('oh\nno', 500), /status 500 Internal Server Error: "oh\\nno"$/],
    ['with status 401', ({ send }) => send({}, 401), /status 401 Unauthorized: "\{\}"$/],
    ['with nothing', ({ send }) => send('', 204), /expected the response to be JSON, received ""$/],
    ['what is no JSON', ({ send }) => send('<html>'), /expected the response to be JSON, received "<html>"$/],
    ['without answers', ({ send }) => send([]), /expected the response to be \{ "answers": \[ … \] \}$/],
    ['a number', ({ send }) => send({ answers: [1] }), /expected an object with an id$/],
    ['twice', ({ send, answers }) => send({ answers: [...answers(), answers()[1]] }), /answers "1\.c0\+" twice$/],
    [
      'another',
      ({ send, answers }) => send({ answers: [...answers(), { id: '0.b', loss: 1 }] }),
      /answers "0\.b", which it was not asked$/,
    ],
    ['half', ({ send, answers }) => send({ answers: answers().slice(0, 3) }), /the response has no answer to it/, 4],
    [
      'NaN',
      ({ send, answers }) => send(JSON.stringify({ answers: answers() }).replace(/"loss":[^}]*/, '"loss":NaN')),
      /the answer is "NaN", not a number/,
      1,
    ],
    [
      'failures',
      ({ send, answers }) =>
        send({ answers: answers().map((answer, i) => (i === 6 ? { id: '1.c2-', failed: 'no light' } : answer)) }),
      /no light/,
      1,
    ],
    [
      'too much',
      ({ send, answers }) => send({ answers: answers(), more: 'x'.repeat(2 ** 20) }),
      /the response has more than 1048576 bytes, the option maxBytes$/,
    ],
    [
      'without end',
      ({ response }) => {
        response.writeHead(200);
        const more = (): void =>
          void response.write('x'.repeat(65536), (error) => {
            if (!error && !response.destroyed) setImmediate(more);
          });
        more();
      },
      /the response has more than 1048576 bytes, the option maxBytes$/,
    ],
    [
      'and dies half-way',
      ({ response }) => {
        response.writeHead(200, { 'content-length': '100' });
        response.write('{"answers":[', () => response.destroy());
      },
      /127\.0\.0\.1:\d+: (other side closed|.*ECONNRESET|aborted)$/,
    ],
    [
      'by a redirect that is a GET',
      ({ send }) => send('', 303, { location: '/other' }),
      /it redirects to http:\/\/127\.0\.0\.1:\d+\/other with status 303; only 307 and 308 within its origin are followed$/,
    ],
    ['by a redirect to nowhere', ({ send }) => send('', 307), /it redirects to nowhere with status 307/],
    [
      'by a redirect elsewhere',
      ({ send }) => send('', 307, { location: 'http://localhost:1/?key=1' }),
      /it redirects to http:\/\/localhost:1\/ with status 307/,
    ],
  ];
  for (const [how, wrong, reason, failed = 7] of once) {
    it(`asks again where a server answers ${how}`, async () => {
      const reasons: unknown[] = [];
      const { result } = await withServer(
        (call) => (call.number === 2 ? wrong : call.answer)(call),
        async ({ url, calls }) => {
          const box = httpBox(url, { retries: 0 });
          const listened: Box = {
            batch: box.batch!,
            async answer(queries, context) {
              const answers = await box.answer(queries, context);
              reasons.push(...answers.flatMap((answer) => (typeof answer === 'number' ? [] : Object.values(answer))));
              return answers;
            },
          };
          return { result: await minimize(listened, START, OPTIONS), calls };
        },
      );
      assert.deepEqual(result, { ...whole, failed, evaluations: whole.evaluations + failed });
      assert.match(String(reasons[0]), reason);
      assert.equal(reasons.length, failed);
    });
  }

  it('ends with a clear error where a server is never of use', async () => {
    const name = 'RefusedStepError';
    const options = { retries: 1 };
    await assert.rejects(
      run(({ send }) => send('no', 503), { retries: 2 }, options),
      {
        name,
        message:
          /^There is no loss at the unperturbed point, query 0\.b: http:\/\/127\.0\.0\.1:\d+: status 503 Service Unavailable: "no" \(3 attempts\)$/,
      },
    );
    const address = await withServer(
      () => undefined,
      ({ url }) => Promise.resolve(url),
    );
    await assert.rejects(minimize(httpBox(address, { retries: 0 }), START, { ...OPTIONS, ...options }), {
      name,
      message:
        /^There is no loss at the unperturbed point, query 0\.b: http:\/\/127\.0\.0\.1:\d+: connect ECONNREFUSED 127\.0\.0\.1:\d+$/,
    });
    // A redirect in a circle.
    await assert.rejects(
      run(({ send }) => send('', 308, { location: '/loss' }), {}, { retries: 0 }),
      {
        name,
        message: /it redirects more than 5 times$/,
      },
    );
  });

  it('follows a redirect within the origin, and sends nothing to another', async () => {
    const { result } = await run(({ request, send, answer }) => {
      if (request.url === '/there') answer();
      else send('', 307, { location: '/there' });
    });
    assert.deepEqual(result, whole);
    await withServer(
      ({ answer }) => answer(),
      async ({ url, calls }) => {
        const refused = run(({ send }) => send('', 308, { location: url }), { token: 'secret' }, { retries: 0 });
        await assert.rejects(
          refused,
          (error: Error) => /it redirects to/.test(error.message) && !/secret/.test(error.message),
        );
        assert.equal(calls.length, 0);
      },
    );
  });

  it('ends a request when its time is up, and asks again', async () => {
    // The headers alone, then nothing; and nothing at all.
    for (const hang of [
      ({ response }: Call) => {
        response.writeHead(200).flushHeaders();
      },
      () => undefined,
    ]) {
      const { result, calls } = await run(
        (call) => {
          (call.number === 1 ? hang : call.answer)(call);
        },
        {},
        { timeout: 1, retries: 1000 },
      );
      assert.ok(result.failed >= 7);
      assert.deepEqual({ ...result, failed: 0, evaluations: whole.evaluations }, whole);
      assert.ok(calls[0]!.response.destroyed);
    }
  });

  it('ends with the run, in a request or between two attempts', async () => {
    for (const handle of [() => undefined, ({ send }: Call) => send('', 503, { 'retry-after': '30' })]) {
      const controller = new AbortController();
      const { result } = await run(
        (call) => {
          handle(call);
          setImmediate(() => {
            controller.abort();
          });
        },
        { parallel: 2, batch: 2 },
        { signal: controller.signal },
      );
      assert.deepEqual([result.stopped, result.failed], ['signal', 0]);
    }
  });

  it('refuses wrong options', () => {
    const cases: [() => Box, RegExp][] = [
      [() => httpBox('losses.example'), /Expected url to be an http or https URL, received "losses\.example"/],
      [() => httpBox('file:///etc/passwd'), /Expected url to be an http or https URL/],
      [() => httpBox('http://me:secret@host'), /^Expected url to be without a user name and a password; give a token/],
      [() => httpBox('http://host', { batch: 0 }), /Expected batch to be an integer >= 1/],
      [() => httpBox('http://host', { retries: -1 }), /Expected retries to be an integer from 0 to 100/],
      [
        () => httpBox('http://host', { token: 'a\r\nb: c' }),
        /Expected token to be printable characters without spaces/,
      ],
      [
        () => httpBox('http://host', { headers: { 'a b': 'c' } }),
        /Expected headers to be an object of headers' values by name/,
      ],
      [() => httpBox('http://host', { headers: { a: 'b\nc' } }), /Expected headers to be/],
      [() => httpBox('http://host', { maxBytes: 0.5 }), /Expected maxBytes to be an integer >= 1/],
      [() => httpBox('http://host', { timeout: 1 } as never), /Unknown option "timeout" in httpBox/],
    ];
    for (const [make, message] of cases) assert.throws(make, { name: 'InvalidArgumentError', message });
  });
});

describe('httpBox with several URLs', () => {
  it('goes on where one of the servers dies in the middle', async () => {
    const whole = await minimize(clientLoss, START, OPTIONS);
    const options = { batch: 2, parallel: 2, retries: 0, token: 'secret' };
    await withServer(
      ({ answer }) => answer(),
      (one) =>
        withServer(
          (call) => (call.number > 2 ? call.request.socket.destroy() : call.answer()),
          async (two) => {
            const box = httpBox([one.url, new URL(two.url)], options);
            assert.deepEqual([box.parallel, box.batch], [4, 2]);
            const result = await minimize(box, START, OPTIONS);
            assert.ok(result.failed > 0);
            assert.deepEqual(result, {
              ...whole,
              failed: result.failed,
              evaluations: whole.evaluations + result.failed,
            });
            for (const { calls } of [one, two]) {
              assert.ok(calls.length > 2);
              assert.ok(calls.every(({ request }) => request.headers.authorization === 'Bearer secret'));
            }
          },
        ),
    );
  });

  it('refuses lists that are wrong, and names the entry', () => {
    const url = 'http://host';
    const cases: [() => Box, RegExp][] = [
      [() => httpBox([]), /^Expected url to be a URL or a non-empty list of URLs, received \[\]$/],
      [() => httpBox([url, 'host']), /^Expected url\[1\] to be an http or https URL, received "host"$/],
      [() => httpBox([url, 'http://me:secret@host']), /^Expected url\[1\] to be without a user name and a password/],
      [() => httpBox([[url]] as never), /^Expected url\[0\] to be an http or https URL, received \["http:\/\/host"\]$/],
      [() => httpBox([url], { parallel: 0 }), /^Expected parallel to be an integer >= 1, received 0$/],
    ];
    for (const [make, message] of cases) assert.throws(make, { name: 'InvalidArgumentError', message });
  });
});
