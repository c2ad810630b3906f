import assert from 'node:assert/strict';
import { appendFile, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import protobuf from 'protobufjs';
import { cge } from '../../lib/estimators/cge.js';
import { Model } from '../../lib/model/model.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import { RunFolder } from '../../lib/training/folder.js';
import type { TrainStep } from '../../lib/training/log.js';
import { RunLog } from '../../lib/training/log.js';
import type { TrainOptions } from '../../lib/training/options.js';
import { EventFile } from '../../lib/training/record/events.js';
import { encodeEvent } from '../../lib/training/record/tensorboard.js';
import { train } from '../../lib/training/train.js';
import { tinyImages, tinyNetwork, withFolder } from '../helpers/tiny.js';

/** The fields of TensorBoard's event.proto and summary.proto that scalars need. */
const { root } = protobuf.parse(`
  syntax = "proto3";
  message Event {
    double wall_time = 1;
    int64 step = 2;
    oneof what { string file_version = 3; Summary summary = 5; SessionLog session_log = 7; }
    SourceMetadata source_metadata = 10;
  }
  message SourceMetadata { string writer = 1; }
  message SessionLog {
    enum SessionStatus { STATUS_UNSPECIFIED = 0; START = 1; STOP = 2; CHECKPOINT = 3; }
    SessionStatus status = 1;
  }
  message Summary {
    message Value { string tag = 1; oneof value { float simple_value = 2; } }
    repeated Value value = 1;
  }
`);
const EVENT = root.lookupType('Event');

interface Event {
  wallTime: number;
  step?: string;
  fileVersion?: string;
  sourceMetadata?: { writer: string };
  sessionLog?: { status: string };
  summary?: { value: { tag: string; simpleValue: number }[] };
}

/** CRC-32C, a bit at a time. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

/** The events in the bytes of a file, whose checksums are checked. */
function decoded(bytes: Buffer): Event[] {
  const events: Event[] = [];
  const check = (data: Buffer, at: number): void => {
    const crc = crc32c(data);
    const masked = (BigInt((crc >>> 15) | (crc << 17)) + 0xa282ead8n) & 0xffffffffn;
    assert.equal(BigInt(bytes.readUInt32LE(at)), masked);
  };
  for (let at = 0; at < bytes.length;) {
    check(bytes.subarray(at, at + 8), at + 8);
    const length = Number(bytes.readBigUInt64LE(at));
    const data = bytes.subarray(at + 12, at + 12 + length);
    check(data, at + 12 + length);
    events.push(EVENT.toObject(EVENT.decode(data), { longs: String, enums: String }) as Event);
    at += length + 16;
  }
  return events;
}

const namesIn = async (path: string): Promise<string[]> =>
  (await readdir(path)).filter((name) => name.includes('tfevents'));

/** What the only event file of a folder holds: by tag, the values by step. */
async function scalarsIn(path: string): Promise<Map<string, Map<number, number>>> {
  const [name, ...others] = await namesIn(path);
  assert.deepEqual(others, []);
  const [first, start, ...events] = decoded(await readFile(join(path, name!)));
  assert.equal(first!.fileVersion, 'brain.Event:2');
  assert.deepEqual([start!.sessionLog, start!.step ?? '0'], [{ status: 'START' }, '0']);
  const scalars = new Map<string, Map<number, number>>();
  for (const { step = '0', summary } of events) {
    for (const { tag, simpleValue } of summary!.value) {
      const of = scalars.get(tag) ?? new Map<number, number>();
      assert.ok(!of.has(Number(step)), `${tag} twice at step ${step}`);
      scalars.set(tag, of.set(Number(step), simpleValue));
    }
  }
  return scalars;
}

/** A log of steps of two seconds that ended at those times. */
function logWith(...times: readonly unknown[]): string {
  const entry = { epoch: 0, lr: 1, queries: 3, seconds: 2, queriesPerSecond: 1.5 };
  return times.map((time, step) => `${JSON.stringify({ step, loss: 4 - step, ...entry, time })}\n`).join('');
}

/** A run of seven steps with a test after every third, up to one of its steps. */
async function trainIn(path: string, options: Partial<TrainOptions>, last = Infinity): Promise<TrainStep[]> {
  await using folder = await RunFolder.open(path);
  using model = new Model(tinyNetwork(), { seed: 1 });
  const run = train(model, tinyImages(), {
    ...{ estimator: cge({ mu: 5e-3, sparsity: 0.4, redrawEvery: 1 }), optimizer: sgd({ lr: 0.1 }) },
    ...{ steps: 7, batchSize: 8, folder, test: tinyImages(12, 2), ...options },
  });
  for await (const { step } of run) if (step === last) break;
  return await folder.steps();
}

/** Asserts that the event file has what the log has. */
async function assertSame(path: string, steps: readonly TrainStep[]): Promise<void> {
  const scalars = await scalarsIn(path);
  const values = (tag: string): number[] => [...scalars.get(tag)!.values()];
  const expected = (of: (step: TrainStep) => number | undefined): number[] =>
    steps.flatMap((step) => of(step) ?? []).map(Math.fround);
  assert.deepEqual(
    [...scalars.get('loss/train')!.keys()],
    steps.map(({ step }) => step),
  );
  assert.deepEqual(
    values('loss/train'),
    expected(({ loss }) => loss),
  );
  assert.deepEqual(
    values('accuracy/test'),
    expected(({ test }) => test?.accuracy),
  );
  assert.deepEqual(
    values('queries/total'),
    expected(({ totalQueries }) => totalQueries),
  );
  assert.deepEqual(
    values('gradient/fc.weight'),
    expected(({ gradientNorms }) => gradientNorms!['fc.weight']),
  );
  assert.deepEqual(
    [...scalars.get('density/conv.weight')!],
    [0, 3, 6].filter((step) => step < steps.length).map((step) => [step, Math.fround(43 / 72)]),
  );
}

describe("TensorBoard's event files", () => {
  it('encode events as protocol buffers between checksums', () => {
    const scalars = [
      ['loss/train', 2.5],
      ['µ', -1e-3],
      ['none', 0],
    ] as const;
    for (const step of [0, 1, 127, 128, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
      const [event] = decoded(Buffer.from(encodeEvent({ wallTime: 1.5e9 + 0.25, step, scalars })));
      assert.deepEqual(event, {
        ...{ wallTime: 1.5e9 + 0.25, ...(step > 0 && { step: String(step) }) },
        summary: { value: scalars.map(([tag, value]) => ({ tag, simpleValue: Math.fround(value) })) },
      });
    }
    const [first] = decoded(
      Buffer.from(encodeEvent({ wallTime: 1, fileVersion: 'brain.Event:2', writer: 'deepzero' })),
    );
    assert.deepEqual(first, { wallTime: 1, fileVersion: 'brain.Event:2', sourceMetadata: { writer: 'deepzero' } });
    // The check value of CRC-32C, of its specification.
    assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  });

  it('have every step once, wherever the run was stopped, and also those before the option was given', () =>
    withFolder(async (path) => {
      await trainIn(path, {}, 1);
      assert.deepEqual(await namesIn(path), []);
      await assertSame(path, await trainIn(path, { tensorboard: true }, 3));
      const before = await namesIn(path);
      // A run goes on with the file that it has.
      await trainIn(path, {}, 4);
      await assertSame(path, await trainIn(path, {}));
      assert.notDeepEqual(await namesIn(path), before);
    }));

  it('have every step once after a run was killed, with steps after its checkpoint and half an event', () =>
    withFolder(async (path) => {
      await trainIn(path, { tensorboard: true }, 4);
      const [name] = await namesIn(path);
      const bytes = await readFile(join(path, name!));
      const extra = encodeEvent({ wallTime: 2e9, step: 5, scalars: [['loss/train', 9]] });
      await appendFile(join(path, name!), Buffer.concat([extra, extra.subarray(0, 20)]));
      // A start that was killed before it had removed the file before its own.
      await writeFile(
        join(
          path,
          name!.replace(/\d{10}/, (seconds) => String(Number(seconds) + 1)),
        ),
        bytes.subarray(0, 50),
      );
      await assertSame(path, await trainIn(path, {}));
    }));

  it('leave those of other programs alone', () =>
    withFolder(async (path) => {
      const folder = new RunFolder(path);
      await writeFile(folder.log, logWith(undefined));
      const other = 'events.out.tfevents.1500000000.host.1.0.v2';
      await writeFile(join(path, other), 'x');
      for (let times = 0; times < 2; times++) await (await EventFile.open(folder)).close();
      assert.equal((await namesIn(path)).filter((name) => name !== other).length, 1);
      assert.equal(await readFile(join(path, other), 'utf8'), 'x');
    }));

  it('lead up to the first time of a log of an earlier version that went on, or to when it was written last', () =>
    withFolder(async (path) => {
      const folder = new RunFolder(path);
      const timesOf = async (...times: unknown[]): Promise<number[]> => {
        await writeFile(folder.log, logWith(...times));
        await utimes(folder.log, 1.6e9, 1.6e9);
        // As a run does that goes on.
        await (await RunLog.open(folder.log, times.length)).close();
        await (await EventFile.open(folder)).close();
        const [name] = await namesIn(path);
        const events = decoded(await readFile(join(path, name!))).slice(2);
        return events.map(({ wallTime }) => wallTime);
      };
      const known = new Date(1.7e12).toISOString();
      assert.deepEqual(await timesOf(undefined, undefined, undefined), [1.6e9 - 4, 1.6e9 - 2, 1.6e9]);
      assert.deepEqual(await timesOf(undefined, undefined, known), [1.7e9 - 4, 1.7e9 - 2, 1.7e9]);
      assert.deepEqual(await timesOf('soon', 5, known, 'late'), [1.7e9 - 4, 1.7e9 - 2, 1.7e9, 1.7e9 + 2]);
    }));

  it('are refused without a folder', () => {
    using model = new Model(tinyNetwork());
    const options = { estimator: cge({ mu: 5e-3 }), optimizer: sgd({ lr: 0.1 }), steps: 1, batchSize: 8 };
    assert.throws(() => train(model, tinyImages(), { ...options, tensorboard: true }), {
      name: 'InvalidArgumentError',
      message: 'Expected tensorboard to be beside folder, received no folder',
    });
  });
});
