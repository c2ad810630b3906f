import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { firstOrder } from '../../lib/estimators/first-order.js';
import { forwardGradient } from '../../lib/estimators/forward-gradient.js';
import type { OutputsLoss } from '../../lib/model/losses.js';
import { outputsLoss } from '../../lib/model/losses.js';
import { Model } from '../../lib/model/model.js';
import { NonFiniteLossError } from '../../lib/model/non-finite.js';
import { grasp } from '../../lib/pruning/grasp.js';
import { InvalidArgumentError } from '../../lib/support/errors.js';
import { readSafetensors } from '../../lib/support/safetensors.js';
import { crossEntropy, meanCrossEntropy } from '../helpers/outputs.js';
import { bits, tinyNetwork, tinyTensors, whole, withFolder } from '../helpers/tiny.js';

const batch = whole(tinyTensors(20));
const MU = 5e-3;
const every = Uint32Array.from({ length: 99 }, (_, i) => i);
const POSITION = { seed: 1, step: 0, epoch: 0 };

/** A loss of many queries, given with the index of the first of them. */
function counting(losses: (outputs: readonly Float64Array[], first: number) => unknown): OutputsLoss {
  let count = 0;
  return {
    name: 'counting',
    losses: (outputs) => {
      const first = count;
      count += outputs.length;
      return losses(outputs, first) as number[];
    },
  };
}

/** Losses of 1, but of one query. */
const except = (at: number, value: unknown): OutputsLoss =>
  counting((outputs, first) => outputs.map((_, i) => (first + i === at ? value : 1)));

const along = (loss: OutputsLoss, more: object = {}): Promise<unknown> => {
  const model = new Model(tinyNetwork(), { seed: 1, loss, threads: 2 });
  return model.coordinatewise(batch, { mu: MU, coordinates: every, ...more });
};

describe('a loss of outputs', () => {
  it('is the model’s, and has a name that is no built-in one’s', () => {
    using model = new Model(tinyNetwork(), { loss: crossEntropy });
    assert.equal(model.loss, crossEntropy);
    assert.equal(crossEntropy.name, 'our cross-entropy');
    const refused: [() => unknown, RegExp][] = [
      [() => outputsLoss('', meanCrossEntropy), /Expected name to be a non-empty string, received ""/],
      [() => outputsLoss('cross-entropy', meanCrossEntropy), /Expected name to be another name than .* built-in losses, received "cross-entropy"/], // prettier-ignore
      [() => outputsLoss('mine', 7 as never), /Expected loss to be a function of outputs and batch, received 7/],
    ];
    const losses = (): number[] => [];
    const options: [unknown, RegExp][] = [
      [{ name: 'mean-squared-error', losses }, /Expected loss\.name to be another name than/],
      [{ losses }, /Expected loss\.name to be a non-empty string, received undefined/],
      [{ name: 'mine' }, /Expected loss\.losses to be a function, as that of outputsLoss\(…\), received undefined/],
      [
        7,
        /Expected loss to be one of cross-entropy, .*, a loss of outputs, from outputsLoss\(…\), or of rollouts, from rollout\(…\), received 7/,
      ],
      [meanCrossEntropy, /or of rollouts, from rollout\(…\), received a function/],
    ];
    for (const [loss, message] of options) refused.push([() => new Model(tinyNetwork(), { loss: loss as OutputsLoss }), message]); // prettier-ignore
    for (const [make, message] of refused) {
      assert.throws(make, (error) => error instanceof InvalidArgumentError && message.test(error.message));
    }
  });

  it('has no derivative: what needs one refuses it by name', async () => {
    using model = new Model(tinyNetwork(), { loss: crossEntropy });
    const refusals: [() => Promise<unknown>, RegExp][] = [
      [() => model.gradient(batch), /^Back-propagation requires a built-in loss, .*: "our cross-entropy" is a loss of outputs$/], // prettier-ignore
      [() => firstOrder().estimate(model, batch, POSITION), /"our cross-entropy" is a loss of outputs$/],
      [() => grasp(model, tinyTensors(), { sparsity: 0.5, samplesPerClass: 2 }), /"our cross-entropy" is a loss/],
      [() => forwardGradient({ queries: 2 }).estimate(model, batch, POSITION), /Model with a built-in loss/],
      [() => forwardGradient({ queries: 9 }).sample(2).estimate(model, batch, POSITION), /Model with a built-in loss/],
    ];
    for (const [call, message] of refusals) await assert.rejects(call, { name: 'InvalidArgumentError', message });
  });

  it('that answers something else than numbers is refused', async () => {
    const refused: [OutputsLoss, RegExp][] = [
      [counting((outputs) => outputs.slice(1).map(() => 1)), /^Expected the result of the loss "counting" to be a list of \d+ numbers, received (an array|\[1)/], // prettier-ignore
      [counting(() => undefined), /to be a list of \d+ numbers, received undefined$/],
      [counting(() => 1), /to be a list of \d+ numbers, received 1$/],
      [counting((outputs) => 'x'.repeat(outputs.length)), /to be a list of \d+ numbers, received "x+"$/],
      [except(2, '1'), /^Expected number 2 of the result of the loss "counting" to be a number, received "1"$/],
      [except(0, undefined), /number 0 of the result of the loss "counting" to be a number, received undefined$/],
      [outputsLoss('text', () => 'low' as never), /number 0 of the result of the loss "text" to be a number, received "low"$/], // prettier-ignore
    ];
    for (const [loss, message] of refused) {
      await assert.rejects(along(loss), { name: 'InvalidArgumentError', message });
    }
  });

  it('that is not finite is named with its coordinate or direction', async () => {
    const named = async (call: Promise<unknown>, message: RegExp, coordinate: object | null): Promise<void> => {
      await assert.rejects(call, (error) => {
        assert.ok(error instanceof NonFiniteLossError, String(error));
        assert.match(error.message, message);
        assert.deepEqual(error.coordinate, coordinate);
        return true;
      });
    };
    await named(along(except(0, NaN)), /^Expected a finite loss, but it is NaN at the parameters themselves; check/, null); // prettier-ignore
    const third = { name: 'conv.weight', index: 2 };
    await named(along(except(3, Infinity), { step: 7 }), /^At step 7: expected a finite loss, but it is Infinity with conv\.weight\[2\] moved by mu = 0\.005; lower mu or the learning rate$/, third); // prettier-ignore
    // The sixth loss is that below the third coordinate.
    await named(along(except(6, NaN), { central: true }), /it is NaN with conv\.weight\[2\] moved/, third);
    await named(along(except(99, NaN)), /it is NaN with fc\.bias\[2\] moved/, { name: 'fc.bias', index: 2 });
    // Two finite losses whose difference is none.
    const far = counting((outputs, first) => outputs.map((_, i) => (first + i === 0 ? -1e308 : 1e308)));
    await named(along(far), /it is Infinity with conv\.weight\[0\] moved/, { name: 'conv.weight', index: 0 });
    const random = (loss: OutputsLoss): Promise<unknown> =>
      new Model(tinyNetwork(), { loss }).randomized(batch, { mu: MU, queries: 9 });
    await named(random(except(5, NaN)), /it is NaN along random direction 4 with mu = 0\.005/, null);
    using model = new Model(tinyNetwork(), { loss: except(0, -Infinity) });
    await named(model.forward(batch, { step: 1 }), /^At step 1: expected a finite loss, but it is -Infinity at the/, null); // prettier-ignore
  });

  it('is not asked about outputs that are not finite', async () => {
    const spoilt = { ...batch, images: batch.images.with(5, NaN) };
    let asked = 0;
    const loss = outputsLoss('never', () => ++asked);
    using model = new Model(tinyNetwork(), { loss });
    const message = /an output of the network is NaN or infinite at the parameters themselves: image 0 of the batch holds NaN/; // prettier-ignore
    const calls = [
      model.forward(spoilt),
      model.coordinatewise(spoilt, { mu: MU, coordinates: every }),
      model.randomized(spoilt, { mu: MU, queries: 3, reuse: 'none' }),
      model.predict(spoilt),
    ];
    for (const call of calls) await assert.rejects(call, { name: 'NonFiniteLossError', coordinate: null, message });
    assert.equal(asked, 0);
  });

  it('that is the same along every direction is refused, as where there is nothing to learn', async () => {
    using model = new Model(tinyNetwork(), { loss: outputsLoss('flat', () => 1) });
    await assert.rejects(
      model.randomized(batch, { mu: MU, queries: 3 }),
      /Expected mu to be large enough to change "flat" along a random direction, received 0\.005/,
    );
    const { values } = await model.coordinatewise(batch, { mu: MU, coordinates: every });
    assert.deepEqual(values, new Float64Array(99));
  });

  it('that throws rejects the call with what it threw, and no job stays', async () => {
    const reason = new Error('the instrument is off');
    for (const at of [0, 40]) {
      let asked = 0;
      const throwing = outputsLoss('throwing', () => {
        if (asked++ === at) throw reason;
        return 1;
      });
      const failing: OutputsLoss = { name: 'failing', losses: () => Promise.reject(reason) };
      for (const loss of [throwing, failing]) {
        using model = new Model(tinyNetwork(), { loss });
        const before = bits(model.parameters);
        const call = model.coordinatewise(batch, { mu: MU, coordinates: every });
        await assert.rejects(call, (error) => error === reason);
        assert.equal(bits(model.parameters), before);
        assert.equal((await model.predict(batch)).length, 60);
      }
    }
  });

  describe('under a signal', () => {
    it('is not waited for after an abort, and is told', async () => {
      const reason = new Error('enough');
      const controller = new AbortController();
      let told: AbortSignal | undefined;
      const hanging: OutputsLoss = {
        name: 'hanging',
        losses: (_, __, { signal }) => {
          told = signal;
          setImmediate(() => {
            controller.abort(reason);
          });
          return new Promise(() => undefined);
        },
      };
      using model = new Model(tinyNetwork(), { loss: hanging });
      const options = { mu: MU, signal: controller.signal };
      const calls: (() => Promise<unknown>)[] = [
        () => model.coordinatewise(batch, { ...options, coordinates: every }),
        () => model.randomized(batch, { ...options, queries: 4 }),
        () => model.forward(batch, { signal: controller.signal }),
      ];
      for (const [i, call] of calls.entries()) {
        const pending = i === 0 ? call() : undefined;
        await assert.rejects(pending ?? call(), (error) => error === reason);
      }
      assert.equal(told?.reason, reason);
    });

    it('is asked no more after an abort, which comes between two queries too', async () => {
      const controller = new AbortController();
      let asked = 0;
      const slow = outputsLoss('slow', async () => {
        asked++;
        if (asked === 3) controller.abort();
        await nextTurn();
        return asked;
      });
      await assert.rejects(along(slow, { signal: controller.signal }), { name: 'AbortError' });
      for (let turn = 0; turn < 10; turn++) await nextTurn();
      assert.equal(asked, 3);
    });

    it('that takes long leaves turns to the rest of the process', async () => {
      let turned = false;
      let last = false;
      const busy = outputsLoss('busy', () => {
        const end = performance.now() + 10;
        while (performance.now() < end);
        last = turned;
        return 1;
      });
      setImmediate(() => {
        turned = true;
      });
      const { signal } = new AbortController();
      const context = { signal, training: true, step: undefined };
      assert.equal((await busy.losses(new Array(9).fill(new Float64Array(1)), batch, context)).length, 9);
      assert.ok(last);
    });

    it('leaves no listener on it', async () => {
      const { signal } = new AbortController();
      let listeners = 0;
      const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
      signal.addEventListener = (...args: Parameters<typeof add>): void => {
        listeners++;
        add(...args);
      };
      signal.removeEventListener = (...args: Parameters<typeof remove>): void => {
        listeners--;
        remove(...args);
      };
      using model = new Model(tinyNetwork(), { loss: crossEntropy });
      await model.forward(batch, { signal });
      await model.coordinatewise(batch, { mu: MU, coordinates: every, signal });
      await model.randomized(batch, { mu: MU, queries: 3, signal });
      await assert.rejects(along(except(0, NaN), { signal }));
      assert.equal(listeners, 0);
    });
  });

  it('reports its queries as they are answered', async () => {
    const reports: [number, number][] = [];
    const onProgress = (done: number, total: number): void => void reports.push([done, total]);
    const now = performance.now.bind(performance);
    // Every part takes long.
    let clock = 0;
    performance.now = () => (clock += 60);
    try {
      await along(crossEntropy, { onProgress });
      assert.ok(reports.length > 5);
      assert.ok(reports.every(([done, total], i) => total === 99 && done > (reports[i - 1]?.[0] ?? 0)));
      const reason = new Error('of the callback');
      const throwing = along(crossEntropy, { onProgress: () => { throw reason; } }); // prettier-ignore
      await assert.rejects(throwing, (error) => error === reason);
    } finally {
      performance.now = now;
    }
  });

  describe('in a file', () => {
    const saved = <T>(use: (file: string) => Promise<T>): Promise<T> =>
      withFolder(async (folder) => {
        const file = join(folder, 'model.safetensors');
        using model = new Model(tinyNetwork(), { seed: 5, loss: crossEntropy });
        await model.save(file);
        return await use(file);
      });

    it('is its name, and must be given again', async () => {
      await saved(async (file) => {
        assert.equal((await readSafetensors(file)).metadata['loss'], 'our cross-entropy');
        const refusal = {
          name: 'FileError',
          option: 'loss',
          message: `${file}: its loss is "our cross-entropy", a function of the outputs: give it by loss`,
        };
        await assert.rejects(Model.load(file), refusal);
        await assert.rejects(Model.load(file, { network: tinyNetwork() }), refusal);
        using model = await Model.load(file, { loss: crossEntropy });
        assert.equal(model.loss, crossEntropy);
        using other = await Model.load(file, { loss: 'cross-entropy' });
        const [ours, theirs] = [await model.forward(batch), await other.forward(batch)];
        assert.ok(Math.abs(ours.loss - theirs.loss) < 1e-14);
      });
    });

    it('with a built-in loss may be loaded with one of outputs', async () => {
      await withFolder(async (folder) => {
        const file = join(folder, 'model.safetensors');
        using model = new Model(tinyNetwork(), { seed: 5 });
        await model.save(file);
        assert.equal((await Model.load(file, { loss: crossEntropy })).loss, crossEntropy);
      });
    });
  });
});
