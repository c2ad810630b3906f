/**
 * Weights in the safetensors format (https://huggingface.co/docs/safetensors, format 0.4): eight bytes with the
 * header's length (little-endian), a JSON header, then the tensors' bytes. Reading is as strict as the format's
 * own library: every byte belongs to exactly one tensor. Little-endian machines only, as the format is.
 *
 * @module
 */
import { FileError, label, quote, show } from './errors.js';
import { withInputFile, writeFileAtomically } from './files.js';
import type { InputFile } from './files.js';
import { parseJson } from './json.js';
import { checked, expected, isObject, oneOf, string } from './schema.js';

/** The element types of whole bytes. F16 and BF16 come as their bits in a Uint16Array, the 8-bit floats in a Uint8Array. */
export type Dtype =
  | 'F64'
  | 'I64'
  | 'U64'
  | 'F32'
  | 'I32'
  | 'U32'
  | 'F16'
  | 'BF16'
  | 'I16'
  | 'U16'
  | 'F8_E4M3'
  | 'F8_E5M2'
  | 'I8'
  | 'U8'
  | 'BOOL';

/** The elements of a tensor, by its `Dtype`. */
export type TensorData =
  | Float64Array
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

interface ArrayType {
  readonly name: string;
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): TensorData;
}

const ARRAYS: Record<Dtype, ArrayType> = {
  F64: Float64Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
  F32: Float32Array,
  I32: Int32Array,
  U32: Uint32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I16: Int16Array,
  U16: Uint16Array,
  F8_E4M3: Uint8Array,
  F8_E5M2: Uint8Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
};

const DTYPES = Object.keys(ARRAYS) as Dtype[];

/** A tensor of a file. */
export interface Tensor {
  /** The type of its elements. */
  dtype: Dtype;
  /** Its extents; `[]` is a scalar's. */
  shape: number[];
  /** As many elements as the product of `shape`, in row-major order. */
  data: TensorData;
}

/** The content of a file. */
export interface Safetensors {
  /** In the order in which their bytes lie in the file. */
  tensors: Map<string, Tensor>;
  /** Texts by name. */
  metadata: Readonly<Record<string, string>>;
}

const LENGTH_BYTES = 8;
const MAX_HEADER_BYTES = 100_000_000;
const METADATA = '__metadata__';

/** A tensor's entry in the header, checked. */
export interface TensorHeader {
  readonly dtype: Dtype;
  readonly shape: number[];
  /** The number of elements. */
  readonly size: number;
}

interface Entry extends TensorHeader {
  readonly name: string;
  /** Bytes from the header's end on. */
  readonly begin: number;
  readonly end: number;
}

function isCountList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((v) => Number.isSafeInteger(v) && v >= 0);
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** The first key that occurs twice in one object; `JSON.parse` would silently keep the last. */
function duplicateKey(json: string): string | undefined {
  const open: Set<string>[] = [];
  for (const [token, text, colon] of json.matchAll(/("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|[{}]/g)) {
    if (token === '{') open.push(new Set());
    else if (token === '}') open.pop();
    else if (text !== undefined && colon !== undefined) {
      const key = JSON.parse(text) as string;
      const keys = open.at(-1);
      if (keys?.has(key)) return key;
      keys?.add(key);
    }
  }
  return undefined;
}

function parseHeader(file: string, bytes: Uint8Array): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FileError(file, 'the header is not JSON: it is not UTF-8', { cause });
  }
  const header = parseJson(text, file, 'the header');
  if (!isObject(header)) throw new FileError(file, 'the header is not a JSON object');
  const twice = duplicateKey(text);
  if (twice !== undefined) throw new FileError(file, `${quote(twice)} occurs twice in the header`);
  return header;
}

function parseMetadata(file: string, value: unknown): Readonly<Record<string, string>> {
  if (value === undefined) return {};
  if (!isObject(value)) throw new FileError(file, `${METADATA} is not a JSON object`);
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw new FileError(file, `metadata ${quote(key)} is not a string`);
  }
  return value as Record<string, string>;
}

function parseEntry(file: string, name: string, value: unknown, dataBytes: number): Entry {
  const fail = (problem: string): never => {
    throw new FileError(file, `tensor ${quote(name)}: ${problem}`);
  };
  if (!isObject(value)) return fail('the header entry is not a JSON object');
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string') return fail('dtype is missing');
  if (!Object.hasOwn(ARRAYS, dtype)) {
    return fail(`dtype ${label(dtype)} is not supported, expected one of ${DTYPES.join(', ')}`);
  }
  if (!isCountList(shape)) return fail('shape is not a list of whole numbers');
  if (!isCountList(offsets) || offsets.length !== 2) return fail('data_offsets is not a pair of whole numbers');
  const [begin, end] = offsets as [number, number];
  const size = elements(shape);
  const bytes = size * ARRAYS[dtype as Dtype].BYTES_PER_ELEMENT;
  if (end < begin) return fail(`data_offsets [${begin}, ${end}] end before they begin`);
  if (end - begin !== bytes) {
    return fail(`${dtype} of shape ${show(shape)} takes ${bytes} bytes, its data_offsets span ${end - begin}`);
  }
  if (end > dataBytes) return fail(`data ends at byte ${end} of ${dataBytes}: the file is truncated`);
  return { name, dtype: dtype as Dtype, shape, size, begin, end };
}

/** The entries in the order of their bytes, which together must cover the data without gap or overlap. */
function checkCoverage(file: string, entries: readonly Entry[], dataBytes: number): readonly Entry[] {
  const inOrder = entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end } of inOrder) {
    if (begin !== covered) {
      const problem = begin < covered ? 'overlaps the tensor before it' : `leaves a gap of ${begin - covered} bytes`;
      throw new FileError(file, `tensor ${quote(name)}: data at byte ${begin} ${problem}`);
    }
    covered = end;
  }
  if (covered !== dataBytes) {
    throw new FileError(file, `${dataBytes - covered} bytes after the last tensor belong to none`);
  }
  return inOrder;
}

/** A safetensors file that is open: its header is read and checked, its tensors are read when they are asked for. */
export class SafetensorsFile {
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order in which their bytes lie in the file. */
  readonly headers: ReadonlyMap<string, TensorHeader>;
  readonly #input: InputFile;
  readonly #positions: ReadonlyMap<string, number>;

  private constructor(input: InputFile, start: number, header: Record<string, unknown>) {
    const { [METADATA]: metadata, ...rest } = header;
    const { path, size } = input;
    const entries = Object.entries(rest).map(([name, value]) => parseEntry(path, name, value, size - start));
    const inOrder = checkCoverage(path, entries, size - start);
    this.path = path;
    this.metadata = parseMetadata(path, metadata);
    this.headers = new Map(inOrder.map(({ name, dtype, shape, size: count }) => [name, { dtype, shape, size: count }]));
    this.#input = input;
    this.#positions = new Map(inOrder.map(({ name, begin }) => [name, start + begin]));
  }

  /** Reads the header. */
  static async open(input: InputFile): Promise<SafetensorsFile> {
    const { path, size } = input;
    if (size < LENGTH_BYTES) throw new FileError(path, `${size} bytes are too few for a safetensors file`);
    const length = new Uint8Array(LENGTH_BYTES);
    await input.read(length, 0);
    const headerBytes = new DataView(length.buffer).getBigUint64(0, true);
    if (headerBytes > MAX_HEADER_BYTES) {
      const problem = `a header of ${headerBytes} bytes is over the format's ${MAX_HEADER_BYTES}: not safetensors`;
      throw new FileError(path, problem);
    }
    const start = LENGTH_BYTES + Number(headerBytes);
    if (size < start) throw new FileError(path, `the header ends at byte ${start} of ${size}: the file is truncated`);
    const header = new Uint8Array(Number(headerBytes));
    await input.read(header, LENGTH_BYTES);
    return new SafetensorsFile(input, start, parseHeader(path, header));
  }

  /** Reads a tensor's data, into an array of its type and size if there is one. */
  async read(name: string, into?: TensorData): Promise<TensorData> {
    const { dtype, size } = this.headers.get(name)!;
    const data = into ?? new ARRAYS[dtype](size);
    await this.#input.read(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), this.#positions.get(name)!);
    return data;
  }
}

/**
 * Opens a safetensors file for the time of an action that does not read all of it, or reads into existing arrays.
 *
 * @throws FileError like `readSafetensors`.
 */
export async function withSafetensors<T>(file: string, action: (opened: SafetensorsFile) => Promise<T>): Promise<T> {
  return withInputFile(checked(string, file, 'file'), async (input) => action(await SafetensorsFile.open(input)));
}

/**
 * Reads a safetensors file. Each tensor has its own memory; BOOL comes as 0 and 1 in a Uint8Array.
 *
 * @throws FileError naming the file and the tensor, for anything that the format does not allow.
 * @example const { tensors } = await readSafetensors('model.safetensors'); tensors.get('fc.bias')?.data
 */
export async function readSafetensors(file: string): Promise<Safetensors> {
  return withSafetensors(file, async (opened) => {
    const tensors = new Map<string, Tensor>();
    for (const [name, { dtype, shape }] of opened.headers) {
      tensors.set(name, { dtype, shape, data: await opened.read(name) });
    }
    return { tensors, metadata: opened.metadata };
  });
}

function checkTensor(name: string, tensor: Tensor): void {
  const what = `tensor ${quote(name)}`;
  if (!isObject(tensor)) throw expected(what, 'an object', tensor);
  const { dtype, shape, data } = tensor;
  if (name === METADATA) throw expected('a tensor name', `other than ${METADATA}`, name);
  checked(oneOf(DTYPES), dtype, `dtype of ${what}`);
  if (!(data instanceof ARRAYS[dtype])) throw expected(`data of ${what}`, `a ${ARRAYS[dtype].name} for ${dtype}`, data);
  if (!isCountList(shape)) throw expected(`shape of ${what}`, 'a list of whole numbers', shape);
  if (elements(shape) !== data.length) {
    throw expected(`length of ${what}`, `${elements(shape)}, from its shape ${show(shape)}`, data.length);
  }
}

function encodeHeader(tensors: readonly [string, Tensor][], metadata: Readonly<Record<string, string>>): Uint8Array {
  let begin = 0;
  // Joined by hand: an object literal would put integer-like names first.
  const members = tensors.map(([name, { dtype, shape, data }]) => {
    const end = begin + data.byteLength;
    const member = `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`;
    begin = end;
    return member;
  });
  if (Object.keys(metadata).length > 0) members.unshift(`${JSON.stringify(METADATA)}:${JSON.stringify(metadata)}`);
  const json = new TextEncoder().encode(`{${members.join(',')}}`);
  const header = new Uint8Array(LENGTH_BYTES + 8 * Math.ceil(json.length / 8)).fill(0x20);
  header.set(json, LENGTH_BYTES);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - LENGTH_BYTES), true);
  return header;
}

function checkContent(tensors: ReadonlyMap<string, Tensor>, metadata: Readonly<Record<string, string>>): void {
  const given: unknown = tensors;
  if (!(given instanceof Map)) throw expected('tensors', 'a Map from names to tensors', given);
  for (const [name, tensor] of tensors) checkTensor(name, tensor);
  if (!isObject(metadata)) throw expected('metadata', 'an object', metadata);
  for (const [key, text] of Object.entries<unknown>(metadata)) {
    if (typeof text !== 'string') throw expected(`metadata ${quote(key)}`, 'a string', text);
  }
}

/** The bytes of a safetensors file, as `writeSafetensors` writes them: copies of all content. */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array[] {
  checkContent(tensors, metadata);
  const ordered = [...tensors].sort(([, a], [, b]) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT);
  const chunks = ordered.map(([, { data }]) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice());
  return [encodeHeader(ordered, metadata), ...chunks];
}

/**
 * Writes a safetensors file atomically. Tensors lie in the order given, wider elements first, so that each
 * begins at a multiple of its element's size. Content is copied before the call returns its promise, so later changes
 * do not reach the file.
 *
 * @throws FileError if the file cannot be written; InvalidArgumentError if a tensor's length is not its shape's, or
 *   metadata are not strings.
 * @example await writeSafetensors('w.safetensors', new Map([['bias', { dtype: 'F32', shape: [2], data }]]))
 */
export async function writeSafetensors(
  file: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  await writeFileAtomically(checked(string, file, 'file'), encodeSafetensors(tensors, metadata));
}
