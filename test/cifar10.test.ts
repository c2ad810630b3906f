import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileError } from '../lib/check.js';
import { CIFAR10_MEAN, CIFAR10_STD, cifar10, writeCifar10 } from '../lib/data/cifar10.js';
import { synthetic } from '../lib/data/synthetic.js';

const RECORD = 3073;

/** `count` records, record i of label i mod 10, its pixels all i in red, 100 in green, 200 in blue. */
function records(count: number): Uint8Array {
  const bytes = new Uint8Array(count * RECORD);
  for (let i = 0; i < count; i++) {
    const record = bytes.subarray(i * RECORD, (i + 1) * RECORD);
    record[0] = i % 10;
    record.fill(i, 1, 1025).fill(100, 1025, 2049).fill(200, 2049);
  }
  return bytes;
}

describe('cifar10', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'deepzero-cifar10-'));
    await writeFile(join(folder, 'data_batch_1.bin'), records(12));
    await writeFile(join(folder, 'data_batch_3.bin'), records(3));
    await writeFile(join(folder, 'test_batch.bin'), records(5));
  });

  afterEach(() => rm(folder, { recursive: true }));

  it('reads batches of any length, normalised channel by channel', async () => {
    const { train, test } = await cifar10(folder);
    assert.equal(train.count, 15);
    assert.equal(test.count, 5);
    assert.deepEqual([...train.labels], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 0, 1, 2]);
    const { images, labels } = train.batch(Uint32Array.of(11));
    assert.deepEqual([...(labels ?? [])], [1]);
    [11, 100, 200].forEach((value, channel) => {
      const expected = Math.fround((value / 255 - CIFAR10_MEAN[channel]!) / CIFAR10_STD[channel]!);
      assert(Math.abs(images[channel * 1024 + 5]! - expected) < 1e-6);
    });
  });

  it('finds the folder that the archive unpacks to', async () => {
    const parent = join(folder, 'parent');
    const inner = join(parent, 'cifar-10-batches-bin');
    await mkdir(inner, { recursive: true });
    await writeFile(join(inner, 'data_batch_2.bin'), records(1));
    await writeFile(join(inner, 'test_batch.bin'), records(1));
    assert.equal((await cifar10(parent)).train.count, 1);
  });

  it('writes a data set that it reads back', async () => {
    const sets = synthetic({ train: 23, test: 4 });
    const copy = join(folder, 'copy');
    await writeCifar10(copy, sets);
    const { train, test } = await cifar10(copy, { mean: sets.train.mean, std: sets.train.std });
    const all = Uint32Array.from({ length: 23 }, (_, i) => i);
    assert.deepEqual(train.batch(all), sets.train.batch(all));
    assert.equal(test.count, 4);
    assert.deepEqual(train.classNames, sets.train.classNames);
  });

  const damages: [string, (folder: string) => Promise<void>, RegExp][] = [
    ['a missing folder', (at) => rm(at, { recursive: true }).then(() => mkdir(`${at}x`)), /folder does not exist/],
    [
      'no training batch',
      async (at) => {
        await rm(join(at, 'data_batch_1.bin'));
        await rm(join(at, 'data_batch_3.bin'));
      },
      /holds none of data_batch_1\.bin/,
    ],
    ['a missing test batch', (at) => rm(join(at, 'test_batch.bin')), /test_batch\.bin: file does not exist/],
    ['an empty batch', (at) => writeFile(join(at, 'data_batch_3.bin'), ''), /data_batch_3\.bin: is empty/],
    [
      'a truncated batch',
      (at) => writeFile(join(at, 'data_batch_1.bin'), records(2).slice(0, -1)),
      /data_batch_1\.bin: .*truncated/,
    ],
    [
      'a label over 9',
      (at) => {
        const bytes = records(4);
        bytes[2 * RECORD] = 10;
        return writeFile(join(at, 'test_batch.bin'), bytes);
      },
      /test_batch\.bin: record 2 .*label 10, expected 0 to 9/,
    ],
  ];
  for (const [what, damage, message] of damages) {
    it(`names ${what}`, async () => {
      await damage(folder);
      await assert.rejects(
        cifar10(folder),
        (error: unknown) => error instanceof FileError && message.test(error.message),
      );
      await rm(`${folder}x`, { recursive: true, force: true });
      await mkdir(folder, { recursive: true });
    });
  }
});
