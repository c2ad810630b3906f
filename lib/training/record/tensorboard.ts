/**
 * The format of TensorBoard's event files: records, each an `Event` of TensorBoard's event.proto in protocol buffers, between its
 * length and checksums. Of the messages only the fields that scalars need.
 *
 * @module
 */

/** An event: what a file starts with, the start of a session, or scalars by their tags at a step. */
export type TensorboardEvent = { readonly wallTime: number } & (
  | { readonly fileVersion: string; readonly writer: string }
  | { readonly startOfSession: true; readonly step: number }
  | { readonly scalars: readonly (readonly [tag: string, value: number])[]; readonly step: number }
);

/** An event as bytes of a file. */
export function encodeEvent(event: TensorboardEvent): Uint8Array {
  return framed(Buffer.concat([double(1, event.wallTime), ...contentOf(event)]));
}

/** Fields 2, 3, 5, 7 and 10 of `Event`. */
function contentOf(event: TensorboardEvent): Uint8Array[] {
  if ('fileVersion' in event) {
    return [bytes(3, Buffer.from(event.fileVersion)), bytes(10, bytes(1, Buffer.from(event.writer)))];
  }
  const step = integer(2, event.step);
  if ('startOfSession' in event) return [step, bytes(7, integer(1, START))];
  const values = event.scalars.map(([tag, value]) =>
    bytes(1, Buffer.concat([bytes(1, Buffer.from(tag)), float(2, value)])),
  );
  return [step, bytes(5, Buffer.concat(values))];
}

/** `SessionLog.START`. */
const START = 1;

/** How a field's value is encoded. */
const WIRE = { varint: 0, bits64: 1, bytes: 2, bits32: 5 } as const;

const key = (field: number, type: keyof typeof WIRE): Uint8Array => varint(8 * field + WIRE[type]);

function integer(field: number, value: number): Uint8Array {
  return Buffer.concat([key(field, 'varint'), varint(value)]);
}

function double(field: number, value: number): Uint8Array {
  const bits = Buffer.alloc(8);
  bits.writeDoubleLE(value);
  return Buffer.concat([key(field, 'bits64'), bits]);
}

function float(field: number, value: number): Uint8Array {
  const bits = Buffer.alloc(4);
  bits.writeFloatLE(Math.fround(value));
  return Buffer.concat([key(field, 'bits32'), bits]);
}

function bytes(field: number, value: Uint8Array): Uint8Array {
  return Buffer.concat([key(field, 'bytes'), varint(value.length), value]);
}

/** An integer from 0 to 2⁵³ − 1: seven bits a byte, the lowest first. */
function varint(value: number): Uint8Array {
  const groups: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) groups.push(128 + (rest % 128));
  return Uint8Array.from([...groups, rest]);
}

/** A record: the length in eight bytes and its checksum, then the data and theirs. */
function framed(data: Uint8Array): Uint8Array {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(data.length));
  return Buffer.concat([length, checksum(length), data, checksum(data)]);
}

/** CRC-32C, rotated and shifted so that a checksum of data with checksums is none of a common pattern. */
function checksum(data: Uint8Array): Uint8Array {
  const crc = crc32c(data);
  const masked = Buffer.alloc(4);
  masked.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0);
  return masked;
}

/** Of each byte, its remainder by Castagnoli's polynomial. */
const REMAINDERS = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = (rest >>> 1) ^ (rest & 1 ? 0x82f63b78 : 0);
  return rest >>> 0;
});

function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = REMAINDERS[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
