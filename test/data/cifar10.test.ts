import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FileError } from '../../lib/support/errors.js';
import { cifar10, CIFAR10_CLASSES, CIFAR10_MEAN, CIFAR10_STD, writeCifar10 } from '../../lib/data/cifar10.js';
import type { ImageDatasetOptions } from '../../lib/data/dataset.js';
import { describeDataset, ImageDataset } from '../../lib/data/dataset.js';
import { Random } from '../../lib/native/random.js';
import { withFolder } from '../helpers/tiny.js';

const IMAGE = 3 * 32 * 32;
const RECORD = 1 + IMAGE;

/** Records of noise with labels first, first + 1, …, modulo 10. */
function records(count: number, first = 0): Uint8Array {
  const random = new Random(first, 'samples');
  return Uint8Array.from({ length: count * RECORD }, (_, at) =>
    at % RECORD === 0 ? (first + at / RECORD) % 10 : random.integer(256),
  );
}

/** A folder with two training batches and a test batch. */
async function withBatches<T>(use: (folder: string) => Promise<T>): Promise<T> {
  return withFolder(async (folder) => {
    await writeFile(join(folder, 'data_batch_1.bin'), records(3));
    await writeFile(join(folder, 'data_batch_4.bin'), records(2, 7));
    await writeFile(join(folder, 'test_batch.bin'), records(4, 5));
    return use(folder);
  });
}

/** The loader's refusal of a folder is a FileError for this path, in one line. */
async function refused(folder: string, path: string, problem: RegExp): Promise<void> {
  await assert.rejects(cifar10(folder), (error: unknown) => {
    assert.ok(error instanceof FileError, String(error));
    assert.equal(error.file, path);
    assert.match(error.message, problem);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
}

describe('cifar10', () => {
  it('loads the batches there are, in order, of any length', async () => {
    await withBatches(async (folder) => {
      const { train, test, missing } = await cifar10(folder);
      assert.deepEqual(missing, ['data_batch_2.bin', 'data_batch_3.bin', 'data_batch_5.bin']);
      assert.equal(train.count, 5);
      assert.deepEqual([...train.labels], [0, 1, 2, 7, 8]);
      assert.deepEqual([...test.labels], [5, 6, 7, 8]);
      assert.deepEqual(train.shape, [3, 32, 32]);
      assert.deepEqual(train.classNames, CIFAR10_CLASSES);
      const second = records(2, 7).subarray(RECORD + 1);
      assert.deepEqual(train.images.subarray(4 * IMAGE), second);
    });
  });

  it('names the files that hold fewer images than the others', async () => {
    await withBatches(async (folder) => {
      assert.deepEqual((await cifar10(folder)).short, []);
      await writeFile(join(folder, 'data_batch_3.bin'), records(9));
      assert.deepEqual((await cifar10(folder)).short, ['data_batch_1.bin', 'data_batch_4.bin']);
      for (const i of [1, 3, 4]) await writeFile(join(folder, `data_batch_${i}.bin`), new Uint8Array(10_000 * RECORD));
      assert.deepEqual((await cifar10(folder)).short, ['test_batch.bin']);
      await writeFile(join(folder, 'test_batch.bin'), new Uint8Array(10_000 * RECORD));
      const whole = await cifar10(folder);
      assert.deepEqual([whole.short, whole.train.count, whole.test.count], [[], 30_000, 10_000]);
    });
  });

  it('reads batches of more records than it reads at a time', async () => {
    await withBatches(async (folder) => {
      const content = records(2500);
      await writeFile(join(folder, 'data_batch_1.bin'), content);
      const { train } = await cifar10(folder);
      for (const i of [0, 1023, 1024, 2048, 2499]) {
        assert.equal(train.labels[i], content[i * RECORD]);
        const image = content.subarray(i * RECORD + 1, (i + 1) * RECORD);
        assert.deepEqual(train.images.subarray(i * IMAGE, (i + 1) * IMAGE), image);
      }
      assert.deepEqual([...train.labels.subarray(2500)], [7, 8]);
    });
  });

  it('normalises with the paper’s figures, or with others', async () => {
    await withBatches(async (folder) => {
      const pixel = records(3)[1]!;
      const first = Uint32Array.of(0);
      const usual = (await cifar10(folder)).train.batch(first).images[0];
      assert.equal(usual, Math.fround((pixel / 255 - CIFAR10_MEAN[0]!) / CIFAR10_STD[0]!));
      const options = { mean: [0.5, 0, 0], std: [0.25, 1, 1] };
      const other = (await cifar10(folder, options)).train.batch(first).images[0];
      assert.equal(other, Math.fround((pixel / 255 - 0.5) / 0.25));
      await assert.rejects(cifar10(folder, { std: null as never }), /Expected std to be a list of 3 .*, received null/);
      await assert.rejects(cifar10(folder, { mean: [0.5] }), /Expected mean to be a list of 3 finite numbers/);
    });
  });

  it('finds the official folder inside the one named', async () => {
    await withFolder(async (folder) => {
      const inner = join(folder, 'cifar-10-batches-bin');
      await mkdir(inner);
      await writeFile(join(inner, 'data_batch_1.bin'), records(1));
      await writeFile(join(inner, 'test_batch.bin'), records(1));
      assert.equal((await cifar10(folder)).train.count, 1);
    });
  });

  it('takes class names from batches.meta.txt', async () => {
    await withBatches(async (folder) => {
      const file = join(folder, 'batches.meta.txt');
      const names = 'abcdefghij'.split('');
      await writeFile(file, `${names.join('\r\n')}\r\n\r\n`);
      assert.deepEqual((await cifar10(folder)).test.classNames, names);
      await writeFile(file, 'one\ntwo\n');
      await refused(folder, file, /2 class names, expected 10, one per line/);
    });
  });

  it('refuses a deepzero.json with other content', async () => {
    await withBatches(async (folder) => {
      const file = join(folder, 'deepzero.json');
      const about = { name: 'a', mean: [0, 0, 0], std: [1, 1, 1] };
      const refusedWith = async (content: unknown, problem: RegExp): Promise<void> => {
        await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
        await refused(folder, file, problem);
      };
      const refusedTrain = (train: object, problem: RegExp): Promise<void> =>
        refusedWith({ train: { ...about, ...train }, test: about }, problem);
      await refusedWith('{"train": {', /is not JSON: /);
      await refusedWith(7, /expected its content to be an object, received 7$/);
      await refusedWith([1], /expected its content to be an object, received \[1\]$/);
      await refusedWith({ train: about }, /expected test to be an object, received undefined$/);
      await refusedWith({ train: about, test: about, tset: about }, /unknown "tset"; did you mean "test"\?$/);
      await refusedTrain({ name: '' }, /expected train\.name to be a non-empty string, received ""$/);
      await refusedTrain({ name: undefined }, /expected train\.name to be a non-empty string, received undefined$/);
      await refusedTrain({ mean: [0, 0] }, /train\.mean to be a list of 3 finite numbers, one per channel/);
      await refusedTrain({ std: [1, 0, 1] }, /train\.std\[1\] to be a number from 0.000001 to 10, .*, received 0$/);
      await refusedTrain({ std: [1e-320, 1, 1] }, /train\.std\[0\] .*, received 1e-320$/);
      await refusedTrain({ mean: [0, 0, 1e308] }, /train\.mean\[2\] to be a number from 0 to 1, .*, received 1e\+308$/);
      await refusedTrain({ means: [0, 0, 0] }, /unknown "means" in train; did you mean "mean"\?$/);
    });
  });

  it('refuses a folder that is missing, is a file, or holds no batches', async () => {
    await withFolder(async (folder) => {
      const absent = join(folder, 'absent');
      await refused(absent, absent, /folder does not exist/);
      await refused(folder, folder, /holds none of data_batch_1\.bin, .*, data_batch_5\.bin/);
      const file = join(folder, 'file');
      await writeFile(file, '');
      await refused(file, file, /is a file, expected a folder/);
      await assert.rejects(cifar10(''), /Expected the folder of CIFAR-10 to be a non-empty string/);
    });
  });

  it('refuses a missing test batch', async () => {
    await withBatches(async (folder) => {
      const file = join(folder, 'test_batch.bin');
      await rm(file);
      await refused(folder, file, /file does not exist/);
    });
  });

  it('refuses batches that are empty, truncated or hold a label over 9, by file and record', async () => {
    await withBatches(async (folder) => {
      const file = join(folder, 'data_batch_4.bin');
      await writeFile(file, '');
      await refused(folder, file, /is empty, expected records of 3073 bytes/);
      await writeFile(file, records(2).subarray(0, RECORD + 100));
      await refused(folder, file, /3173 bytes are not a whole number of records of 3073 \(100 left over\): truncated/);
      const wrong = records(3);
      wrong[2 * RECORD] = 10;
      await writeFile(file, wrong);
      await refused(folder, file, /record 2 \(byte 6146\) has label 10, expected 0 to 9/);
    });
  });
});

describe('writeCifar10', () => {
  function imageSet(count: number, changes: Partial<ImageDatasetOptions> = {}): ImageDataset {
    const bytes = records(count, count);
    const images = new Uint8Array(count * IMAGE);
    for (let i = 0; i < count; i++) images.set(bytes.subarray(i * RECORD + 1, (i + 1) * RECORD), i * IMAGE);
    const labels = Uint8Array.from({ length: count }, (_, i) => bytes[i * RECORD]!);
    const classNames = Array.from({ length: 10 }, (_, i) => `kind ${i}`);
    const look = { mean: [0, 0, 0], std: [1, 1, 1] };
    return new ImageDataset({ name: 'noise', images, labels, shape: [3, 32, 32], classNames, ...look, ...changes });
  }

  it('writes what cifar10 reads', async () => {
    await withFolder(async (folder) => {
      const out = join(folder, 'new', 'folder');
      const train = imageSet(13, { name: 'noise train', mean: [0.1, 0.2, 1 / 3], std: [0.4, 0.5, 2 / 3] });
      const sets = { train, test: imageSet(3, { name: 'noise test' }) };
      const files = await writeCifar10(out, sets);
      const batches = [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`);
      const names = ['deepzero.json', 'batches.meta.txt', ...batches, 'test_batch.bin'];
      assert.deepEqual(
        files,
        names.map((name) => join(out, name)),
      );
      assert.deepEqual((await readdir(out)).sort(), [...names].sort());
      await assert.rejects(writeCifar10(out, sets), /folder: already holds deepzero\.json: choose another folder$/);
      const read = await cifar10(out);
      for (const part of ['train', 'test'] as const) {
        assert.deepEqual(read[part].images, sets[part].images);
        assert.deepEqual(read[part].labels, sets[part].labels);
        assert.deepEqual(read[part].classNames, sets[part].classNames);
        assert.deepEqual(describeDataset(read[part]), describeDataset(sets[part]));
      }
      const otherwise = await cifar10(out, { mean: [0, 0, 0] });
      assert.deepEqual([otherwise.train.mean, otherwise.train.std], [[0, 0, 0], train.std]);
      const lengths = await Promise.all(files.slice(2, 7).map(async (file) => (await readFile(file)).length / RECORD));
      assert.deepEqual(lengths, [2, 3, 2, 3, 3]);
    });
  });

  it('refuses sets that do not fit the layout', async () => {
    await withFolder(async (folder) => {
      const test = imageSet(1);
      const out = join(folder, 'out');
      const few = writeCifar10(out, { train: imageSet(4), test });
      await assert.rejects(few, /Expected the number of training images to be an integer >= 5, received 4/);
      const shape = [3, 16, 64] as const;
      const wide = writeCifar10(out, { train: imageSet(5, { shape }), test });
      await assert.rejects(wide, /Expected the shape of training images to be \[3, 32, 32\], received \[3, 16, 64\]/);
      const eleven = Array.from({ length: 11 }, () => 'kind');
      const many = writeCifar10(out, { train: imageSet(5), test: imageSet(1, { classNames: eleven }) });
      await assert.rejects(many, /Expected the number of test classes to be 10, received 11/);
      const padded = imageSet(5, { classNames: eleven.slice(2).concat('kind ') });
      const lines = writeCifar10(out, { train: padded, test });
      await assert.rejects(lines, /Expected the names of training classes to be lines without spaces .*"kind "/);
      const unlike = writeCifar10(out, { train: imageSet(5), test: imageSet(1, { classNames: eleven.slice(1) }) });
      await assert.rejects(unlike, /Expected the names of test classes to be those of the training classes/);
      assert.deepEqual(await readdir(folder), []);
    });
  });
});
