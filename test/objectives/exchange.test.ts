import assert from 'node:assert/strict';
import { Exchange } from '../../lib/objectives/exchange.js';
import { queriesOf, queryOf } from '../helpers/queries.js';

const unlimited = (retries = 2): Exchange => new Exchange({ retries, limit: Infinity });
const idsOf = (queries: readonly { id: string }[]): string[] => queries.map(({ id }) => id);

describe('Exchange', () => {
  it('refuses a query that is being asked, and one that comes twice', async () => {
    const exchange = unlimited();
    const outcomes = exchange.post(queriesOf(2));
    const message =
      /Query "0\.b" is being asked already: coordinates must be distinct, and an estimate of a step be awaited/;
    assert.throws(() => exchange.post(queriesOf(1)), { name: 'InvalidArgumentError', message });
    assert.throws(() => unlimited().post([...queriesOf(1), ...queriesOf(1)]), message);
    for (const { id } of exchange.ask(2)) exchange.tell(id, 1);
    assert.deepEqual(await outcomes, [1, 1]);
  });

  it('asks first again what is urgent, the others last', () => {
    const exchange = unlimited();
    void exchange.post(queriesOf(4), { urgent: 1 });
    assert.deepEqual(idsOf(exchange.ask(2)), ['0.b', '0.c1+']);
    exchange.tell('0.c1+', { failed: 'no' });
    exchange.tell('0.b', { failed: 'no' });
    assert.deepEqual(idsOf(exchange.ask(9)), ['0.b', '0.c2+', '0.c3+', '0.c1+']);
  });

  it('asks no more of what is lost', async () => {
    const exchange = unlimited(0);
    const outcomes = exchange.post(queriesOf(4), { isLost: (_, at) => at === 1 });
    exchange.ask(3);
    exchange.tell('0.c2+', { failed: 'no' });
    exchange.tell('0.c1+', { infeasible: 'hot' });
    assert.deepEqual(await outcomes, [undefined, { infeasible: 'hot' }, { failed: 'no' }, undefined]);
    assert.ok(!exchange.isWaiting);
    assert.deepEqual(exchange.ask(9), []);
  });

  it('takes an answer once that comes after the query was given up, and uses it no more', async () => {
    const exchange = unlimited();
    const outcomes = exchange.post(queriesOf(3));
    const [query] = exchange.ask(2);
    const signal = exchange.signalOf(query!);
    assert.ok(!signal.aborted);
    exchange.fail(new Error('enough'));
    await assert.rejects(outcomes, /enough/);
    assert.match(String(signal.reason), /enough/);
    exchange.tell('0.b', 1);
    assert.ok(!exchange.expects('0.b'));
    const message = /Expected the id of a query that was asked for and has no answer yet/;
    for (const id of ['0.b', '0.c2+'])
      assert.throws(() => {
        exchange.tell(id, 1);
      }, message);
    assert.deepEqual(exchange.counts, { evaluations: 2, failed: 0 });
    exchange.tell('0.c1+', { failed: 'too late' });
    assert.deepEqual(exchange.counts, { evaluations: 2, failed: 1 });
  });

  it('hands out the queries of one group at a time, and ends its calls where it is lost', async () => {
    const exchange = unlimited(0);
    const lost = exchange.post(queriesOf(4), { isLost: (_, at) => at === 0 });
    const other = exchange.post([queryOf('1.b'), queryOf('1.c0+')]);
    const [base] = exchange.ask(1);
    assert.deepEqual(idsOf(exchange.ask(9)), ['0.c1+', '0.c2+', '0.c3+']);
    const [second] = exchange.ask(9);
    const signals = [base!, second!].map((query) => exchange.signalOf(query));
    exchange.tell('0.b', { infeasible: 'hot' });
    await lost;
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [true, false],
    );
    for (const id of ['1.b', '1.c0+']) exchange.tell(id, 1);
    assert.deepEqual(await other, [1, 1]);
  });

  it('refuses queries once it is over', async () => {
    const exchange = unlimited();
    exchange.close();
    await assert.rejects(exchange.post(queriesOf(1)), /^Error: The run was closed$/);
  });

  it('fails by the budget only when nothing is in flight', async () => {
    const exchange = new Exchange({ retries: 5, limit: 3 });
    const outcomes = exchange.post(queriesOf(2));
    exchange.ask(9);
    exchange.tell('0.b', { failed: 'no' });
    assert.deepEqual(idsOf(exchange.ask(9)), ['0.b']);
    exchange.tell('0.c1+', { failed: 'no' });
    assert.deepEqual(exchange.ask(9), []);
    assert.ok(exchange.isWaiting);
    exchange.tell('0.b', 1);
    assert.deepEqual(exchange.ask(9), []);
    await assert.rejects(outcomes, { name: 'BudgetError' });
    assert.equal(exchange.left, 0);
  });
});
