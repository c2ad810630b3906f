import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Box } from '../../lib/boxes/box.js';
import { Messages, readAnswer, SENDS } from '../../lib/boxes/messages.js';
import { cge } from '../../lib/estimators/cge.js';
import { rge } from '../../lib/estimators/rge.js';
import { direction } from '../../lib/objectives/directions.js';
import type { Query } from '../../lib/objectives/query.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import { minimize } from '../../lib/training/minimize.js';
import { needsPython } from '../helpers/python.js';

const page = readFileSync('docs/protocol.md', 'utf8');

/** The lines of a block, by the words after its fence. */
function block(fence: string): string[] {
  const [, text] = new RegExp(`^\`\`\`${fence}\n(.*?)^\`\`\`$`, 'ms').exec(page) ?? [];
  assert.ok(text !== undefined, fence);
  return text.trimEnd().split('\n');
}

interface Vector {
  seed: number;
  distribution: 'gaussian';
  perTensor: boolean;
  entries: number[];
}

const vectors = block('json vectors').map((line) => JSON.parse(line) as Vector);
const TENSORS = [
  { name: 'w', shape: [4], offset: 0, size: 4, maskable: true },
  { name: 'b', shape: [2], offset: 4, size: 2, maskable: true },
];

function assertNear(actual: readonly number[], expected: readonly number[]): void {
  assert.equal(actual.length, expected.length);
  for (const [i, value] of expected.entries())
    assert.ok(Math.abs(actual[i]! - value) < 1e-14, `${actual[i]!} ${value}`);
}

describe('docs/protocol.md', () => {
  it('shows the messages that are sent', async () => {
    const options = { optimizer: sgd({ lr: 0.1 }), budget: { steps: 1 }, seed: 1 };
    const runs: Query[][] = [];
    for (const estimator of [cge({ mu: 0.5 }), rge({ mu: 0.5, queries: 1 })]) {
      const queries: Query[] = [];
      runs.push(queries);
      const answer: Box['answer'] = (asked) => (queries.push(...asked), Promise.resolve([1]));
      await minimize({ answer }, { w: [[3, -1]], b: [0.5] }, { ...options, estimator });
    }
    for (const send of SENDS) {
      const sent = runs.flatMap((queries) => {
        const messages = new Messages(send);
        return queries
          .flatMap((query) => [messages.base(query), messages.query(query)])
          .map((message) => JSON.stringify(message));
      });
      for (const line of block(`json ${send}`)) assert.ok(sent.includes(line), line);
    }
    assert.deepEqual(block('json greeting'), [JSON.stringify(new Messages('point').greeting(runs[0]![0]!))]);
    const request = JSON.parse(block('json request')[0]!.replace('[…]', '[]')) as Record<string, unknown>;
    assert.deepEqual(Object.keys(request), ['deepzero', 'send', 'tensors', 'bases', 'queries']);
  });

  it('shows answers', () => {
    const answers = block('json answers').map((line) => readAnswer(JSON.parse(line)).answer);
    assert.deepEqual(answers, [0.25, { failed: 'no light on the detector' }, { infeasible: 'too hot' }]);
    const response = JSON.parse(block('json response')[0]!) as { answers: unknown[] };
    assert.deepEqual(readAnswer(response.answers[0]), { id: '0.b', answer: 18.5 });
  });

  it('has the directions that are drawn', () => {
    assert.ok(vectors.length > 0);
    for (const { entries, ...draw } of vectors) {
      const drawn = direction(TENSORS, { ...draw, stream: 'directions', index: 3 }, 2);
      assertNear([...drawn], entries);
    }
  });

  it('draws them in Python', function () {
    needsPython(this);
    const program = `${block('python').join('\n')}
import json, sys
for draw in json.load(sys.stdin):
    print(json.dumps(direction(draw, ${JSON.stringify(TENSORS.map(({ offset, size }) => ({ offset, size })))})))`;
    const draws = vectors.map((vector) => ({ ...vector, stream: 5, index: 3, query: 2 }));
    const printed = execFileSync('python3', ['-c', program], { input: JSON.stringify(draws), encoding: 'utf8' });
    for (const [i, line] of printed.trimEnd().split('\n').entries()) {
      assertNear(JSON.parse(line) as number[], vectors[i]!.entries);
    }
  });
});
