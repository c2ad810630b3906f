import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FileError, InvalidArgumentError } from '../../lib/support/errors.js';
import type { Safetensors, Tensor } from '../../lib/support/safetensors.js';
import { readSafetensors, writeSafetensors } from '../../lib/support/safetensors.js';
import { withFolder } from '../helpers/tiny.js';

const PEAK = fileURLToPath(new URL('../helpers/read-peak.ts', import.meta.url));

/** What the process `PEAK` prints: the most memory that it had, and the error's message, if any. */
interface Peak {
  bytes: number;
  message?: string;
}

/** A file put together by hand: what the header says need not be true. */
function encode(header: unknown, data: Uint8Array = new Uint8Array(0)): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, data]);
}

async function readBytes(bytes: Uint8Array): Promise<Safetensors> {
  return withFolder(async (folder) => {
    const file = join(folder, 'w.safetensors');
    await writeFile(file, bytes);
    return readSafetensors(file);
  });
}

async function roundTrip(tensors: Map<string, Tensor>, metadata?: Record<string, string>): Promise<Safetensors> {
  return withFolder(async (folder) => {
    const file = join(folder, 'w.safetensors');
    await writeSafetensors(file, tensors, metadata);
    return readSafetensors(file);
  });
}

/** Header and data of a file, taken apart by hand. */
async function takeApart(file: string): Promise<{ json: string; header: Record<string, unknown>; data: Buffer }> {
  const bytes = await readFile(file);
  const end = 8 + Number(bytes.readBigUInt64LE());
  const json = bytes.toString('utf8', 8, end);
  return { json, header: JSON.parse(json) as Record<string, unknown>, data: bytes.subarray(end) };
}

const float = (...values: number[]): Tensor => ({
  dtype: 'F32',
  shape: [values.length],
  data: Float32Array.of(...values),
});

describe('safetensors', () => {
  it('reads a file of the format as specified', async () => {
    const data = Buffer.alloc(20);
    [1.5, -2, 3, 4].forEach((value, i) => data.writeFloatLE(value, 4 * i));
    data.writeInt32LE(-7, 16);
    const header = {
      step: { dtype: 'I32', shape: [], data_offsets: [16, 20] },
      __metadata__: { format: 'pt' },
      'fc.weight': { dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] },
    };
    const { tensors, metadata } = await readBytes(encode(header, data));
    assert.deepEqual([...tensors.keys()], ['fc.weight', 'step']);
    assert.deepEqual(tensors.get('fc.weight'), { dtype: 'F32', shape: [2, 2], data: Float32Array.of(1.5, -2, 3, 4) });
    assert.deepEqual(tensors.get('step'), { dtype: 'I32', shape: [], data: Int32Array.of(-7) });
    assert.deepEqual(metadata, { format: 'pt' });
  });

  it('reads its own files, bit for bit, in every element type', async () => {
    const nan = new Float32Array(Uint32Array.of(0x7fc0_1234, 0xff80_0000, 0x8000_0000, 1).buffer);
    const tensors = new Map<string, Tensor>([
      ['F64', { dtype: 'F64', shape: [2], data: Float64Array.of(Math.PI, -0) }],
      ['I64', { dtype: 'I64', shape: [1], data: BigInt64Array.of(-(2n ** 63n)) }],
      ['U64', { dtype: 'U64', shape: [1], data: BigUint64Array.of(2n ** 64n - 1n) }],
      ['F32', { dtype: 'F32', shape: [1, 4], data: nan }],
      ['I32', { dtype: 'I32', shape: [1], data: Int32Array.of(-(2 ** 31)) }],
      ['U32', { dtype: 'U32', shape: [], data: Uint32Array.of(2 ** 32 - 1) }],
      ['I16', { dtype: 'I16', shape: [3], data: Int16Array.of(-32768, 0, 1) }],
      ['F16', { dtype: 'F16', shape: [2], data: Uint16Array.of(0x3c00, 0x7e01) }],
      ['BF16', { dtype: 'BF16', shape: [1], data: Uint16Array.of(0x3f80) }],
      ['F8_E4M3', { dtype: 'F8_E4M3', shape: [1], data: Uint8Array.of(0x38) }],
      ['F8_E5M2', { dtype: 'F8_E5M2', shape: [1], data: Uint8Array.of(0x3c) }],
      ['U16', { dtype: 'U16', shape: [1], data: Uint16Array.of(65535) }],
      ['I8', { dtype: 'I8', shape: [3], data: Int8Array.of(-128, 127, 0) }],
      ['U8', { dtype: 'U8', shape: [1, 1, 1], data: Uint8Array.of(255) }],
      ['BOOL', { dtype: 'BOOL', shape: [2], data: Uint8Array.of(0, 1) }],
      ['empty', { dtype: 'U8', shape: [0, 3], data: new Uint8Array(0) }],
    ]);
    const read = await roundTrip(tensors);
    const raw = ({ dtype, shape, data }: Tensor) => ({ dtype, shape, bytes: Buffer.from(data.buffer).toString('hex') });
    assert.deepEqual([...read.tensors.keys()].sort(), [...tensors.keys()].sort());
    for (const [name, tensor] of tensors) assert.deepEqual(raw(read.tensors.get(name)!), raw(tensor));
    assert.deepEqual(read.metadata, {});
  });

  it('keeps odd names and metadata', async () => {
    const names = ['10', '2', '__proto__', 'a "b" \\ {c}: [d]', 'ü\n', ''];
    const tensors = new Map(names.map((name, i) => [name, float(i)]));
    const metadata = { network: JSON.stringify({ layers: ['{', '"', '}'] }), long: 'x'.repeat(1_000_000) };
    const read = await roundTrip(tensors, metadata);
    assert.deepEqual([...read.tensors.keys()], names);
    assert.deepEqual(
      [...read.tensors.values()].map(({ data }) => data[0]),
      [0, 1, 2, 3, 4, 5],
    );
    assert.deepEqual(read.metadata, metadata);
  });

  it('writes data that begins at a multiple of 8 and tensors aligned to their elements, in the order given', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'w.safetensors');
      const bytes: Tensor = { dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 3) };
      const double: Tensor = { dtype: 'F64', shape: [1], data: Float64Array.of(1) };
      for (let length = 1; length <= 8; length++) {
        const tensors = new Map([
          ['x'.repeat(length), bytes],
          ['b', float(1)],
          ['a', float(2)],
          ['d', double],
        ]);
        await writeSafetensors(file, tensors, { format: 'pt' });
        const { json, header, data } = await takeApart(file);
        assert.equal(Buffer.byteLength(json) % 8, 0);
        assert.ok(json.startsWith('{"__metadata__":{"format":"pt"},"d":'), json);
        const offsets = (name: string) => (header[name] as { data_offsets: number[] }).data_offsets;
        assert.deepEqual(['d', 'b', 'a', 'x'.repeat(length)].map(offsets), [
          [0, 8],
          [8, 12],
          [12, 16],
          [16, 19],
        ]);
        assert.equal(data.length, 19);
      }
    });
  });

  it('copies content before it returns, and writes only a view’s part', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'w.safetensors');
      const whole = Float32Array.of(0, 1, 2, 3);
      const view = whole.subarray(1, 3);
      const written = writeSafetensors(file, new Map([['w', { dtype: 'F32', shape: [2], data: view }]]));
      whole.fill(9);
      await written;
      assert.deepEqual((await readSafetensors(file)).tensors.get('w')?.data, Float32Array.of(1, 2));
    });
  });

  it('takes little more memory than the file has bytes, and none for bytes that it lacks', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'w.safetensors');
      const size = 2 ** 28;
      const header = encode({ a: { dtype: 'F32', shape: [size / 4], data_offsets: [0, size] } });
      await writeFile(file, header);
      const read = (): Peak => JSON.parse(execFileSync(process.execPath, ['--import', 'tsx', PEAK, file], { encoding: 'utf8' })) as Peak; // prettier-ignore
      const lacking = read();
      assert.match(lacking.message!, /data ends at byte 268435456 of 0: the file is truncated$/);
      await truncate(file, header.length + size);
      const whole = read();
      assert.equal(whole.message, undefined);
      const more = whole.bytes - lacking.bytes;
      assert.ok(more > 0.5 * size && more < 1.5 * size, `${more} bytes for ${size}`);
      assert.ok(lacking.bytes < size, `${lacking.bytes} bytes for nothing`);
    });
  });

  it('refuses pipes and devices without reading them', async () => {
    await assert.rejects(readSafetensors('/dev/zero'), {
      name: 'FileError',
      message: '/dev/zero: is not a regular file',
    });
    await assert.rejects(readSafetensors('/'), { name: 'FileError', message: '/: is a folder, expected a file' });
    await assert.rejects(readSafetensors(Symbol('x') as never), /Expected file to be a non-empty string/);
  });

  describe('refuses to read', () => {
    const entry = (begin: number, end: number, shape: unknown = [(end - begin) / 4], dtype: unknown = 'F32') => ({
      dtype,
      shape,
      data_offsets: [begin, end],
    });
    const eight = new Uint8Array(8);
    const huge = Buffer.alloc(16);
    huge.writeBigUInt64LE(2n ** 63n);
    const cases: [string, Uint8Array, RegExp][] = [
      ['an empty file', new Uint8Array(0), /: 0 bytes are too few/],
      ['a file of seven bytes', new Uint8Array(7), /: 7 bytes are too few/],
      ['an impossible header length', huge, /header of 9223372036854775808 bytes is over the format's 100000000/],
      [
        'a header that is cut off',
        encode({ a: entry(0, 8) }).subarray(0, 20),
        /header ends at byte \d+ of 20: .*truncated/,
      ],
      ['a header that is not JSON', encode('{"a": '), /header is not JSON/],
      [
        'a header that is not UTF-8',
        Buffer.concat([encode('{" ": 1}').subarray(0, 9), Buffer.of(0x22, 0xff, 0x22), Buffer.from(':{} ')]),
        /header is not JSON/,
      ],
      ['a header that is a list', encode('[]'), /header is not a JSON object/],
      [
        'a name that occurs twice',
        encode(
          '{"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}, "\\u0077" :{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
        ),
        /"w" occurs twice/,
      ],
      ['metadata that are no object', encode({ __metadata__: 'pt' }), /__metadata__ is not a JSON object/],
      ['metadata that are no strings', encode({ __metadata__: { epoch: 3 } }), /metadata "epoch" is not a string/],
      ['an entry that is no object', encode({ w: 5 }), /tensor "w": the header entry is not a JSON object/],
      ['a missing dtype', encode({ w: { shape: [0], data_offsets: [0, 0] } }), /tensor "w": dtype is missing/],
      [
        'elements of half a byte',
        encode({ w: entry(0, 8, [16], 'F4') }, eight),
        /tensor "w": dtype F4 is not supported, expected one of F64,/,
      ],
      [
        'a header that is nested deeply',
        encode('[{"a":'.repeat(100_000) + '1' + '}]'.repeat(100_000)),
        /: the header has objects and lists nested more than 500 deep$/,
      ],
      [
        'names with control characters and without end',
        encode({ [`\u001b[31m${'x'.repeat(5000)}`]: 5 }),
        /: tensor "\\u001b\[31mx{50,80}…x+": the header entry is not a JSON object$/,
      ],
      [
        'a dtype with control characters',
        encode({ w: entry(0, 8, [4], '\u0007\n') }, eight),
        /tensor "w": dtype "\\u0007\\n" is not supported/,
      ],
      [
        'a shape without end',
        encode({ w: entry(0, 8, new Array(1000).fill(1)) }, eight),
        /"w": F32 of shape an array of 1000 takes 4 bytes, its data_offsets span 8$/,
      ],
      [
        'a dtype that is a property of every object',
        encode({ w: entry(0, 8, [4], 'toString') }, eight),
        /dtype toString is not supported/,
      ],
      [
        'a shape that is no list',
        encode({ w: entry(0, 8, 2) }, eight),
        /tensor "w": shape is not a list of whole numbers/,
      ],
      ['a negative size', encode({ w: entry(0, 8, [-2, -1]) }, eight), /tensor "w": shape is not/],
      [
        'offsets that are no pair',
        encode({ w: { dtype: 'F32', shape: [2], data_offsets: [0] } }, eight),
        /tensor "w": data_offsets is not a pair/,
      ],
      ['offsets in reverse', encode({ w: entry(8, 0, [0]) }, eight), /tensor "w": data_offsets \[8, 0\] end before/],
      [
        'a shape that takes more than its offsets',
        encode({ w: entry(0, 8, [3]) }, eight),
        /"w": F32 of shape \[3\] takes 12 bytes, its data_offsets span 8/,
      ],
      [
        'a product of sizes beyond all numbers',
        encode({ w: entry(0, 8, [2 ** 40, 2 ** 40]) }, eight),
        /tensor "w": F32 of shape/,
      ],
      [
        'data that are cut off',
        encode({ v: entry(0, 4), w: entry(4, 12) }, eight),
        /tensor "w": data ends at byte 12 of 8: the file is truncated/,
      ],
      [
        'tensors that overlap',
        encode({ v: entry(0, 8), w: entry(4, 8) }, eight),
        /tensor "w": data at byte 4 overlaps/,
      ],
      ['two tensors on the same bytes', encode({ v: entry(0, 8), w: entry(0, 8) }, eight), /data at byte 0 overlaps/],
      ['a gap', encode({ w: entry(4, 8) }, eight), /tensor "w": data at byte 4 leaves a gap of 4 bytes/],
      [
        'bytes that belong to no tensor',
        encode({ w: entry(0, 4) }, eight),
        /4 bytes after the last tensor belong to none/,
      ],
    ];
    for (const [what, bytes, message] of cases) {
      it(what, async () => {
        await assert.rejects(readBytes(bytes), (error: unknown) => {
          assert.ok(error instanceof FileError, String(error));
          assert.match(error.message, message);
          assert.match(error.message, /^[^\n]*w\.safetensors: [^\n]*$/);
          return true;
        });
      });
    }
  });

  it('refuses to write tensors that do not fit, and then writes nothing', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'w.safetensors');
      const refused = async (tensor: unknown, message: RegExp, name = 'w'): Promise<void> => {
        const written = writeSafetensors(file, new Map([[name, tensor as Tensor]]));
        await assert.rejects(
          written,
          (error: unknown) => error instanceof InvalidArgumentError && message.test(error.message),
        );
      };
      const data = new Float32Array(4);
      await refused(
        { dtype: 'F32', shape: [2, 3], data },
        /length of tensor "w" to be 6, from its shape \[2, 3\], received 4/,
      );
      await refused(
        { dtype: 'F64', shape: [4], data },
        /data of tensor "w" to be a Float64Array for F64, received a Float32Array/,
      );
      await refused({ dtype: 'F4', shape: [4], data }, /dtype of tensor "w" to be one of F64, .* received "F4"/);
      await refused({ dtype: 'BF16', shape: [4], data }, /data of tensor "w" to be a Uint16Array for BF16, received/);
      await refused({ dtype: 'F32', shape: [0.5, 8], data }, /shape of tensor "w" to be a list of whole numbers/);
      await refused({ dtype: 'F32', shape: [4], data }, /a tensor name to be other than __metadata__/, '__metadata__');
      const written = writeSafetensors(file, new Map(), { a: 1 } as never);
      await assert.rejects(written, /Expected metadata "a" to be a string, received 1/);
      await assert.rejects(writeSafetensors(file, {} as never), /Expected tensors to be a Map/);
      await assert.rejects(readFile(file), { code: 'ENOENT' });
    });
  });
});
