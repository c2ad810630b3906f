/**
 * Which system and processor a shared object is for, from its first bytes.
 *
 * @module
 */
import { closeSync, openSync, readSync } from 'node:fs';

/** By Node's names. */
export interface Target {
  platform: string;
  arch: string;
}

const ELF_ARCHITECTURES: Readonly<Record<number, string>> = {
  0x03: 'ia32',
  0x15: 'ppc64',
  0x16: 's390x',
  0x28: 'arm',
  0x3e: 'x64',
  0xb7: 'arm64',
  0xf3: 'riscv64',
};

const MACH_O_ARCHITECTURES: Readonly<Record<number, string>> = { 0x0100_0007: 'x64', 0x0100_000c: 'arm64' };

/** The target of a file; undefined where it is neither an ELF nor a 64-bit Mach-O file, or cannot be read. */
export function targetOf(file: string): Target | undefined {
  const bytes = Buffer.alloc(20);
  try {
    const descriptor = openSync(file, 'r');
    try {
      readSync(descriptor, bytes);
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return undefined;
  }
  if (bytes.toString('latin1', 0, 4) === '\x7fELF') {
    const machine = bytes[5] === 2 ? bytes.readUInt16BE(18) : bytes.readUInt16LE(18);
    return { platform: 'linux', arch: ELF_ARCHITECTURES[machine] ?? `ELF machine ${machine}` };
  }
  if (bytes.readUInt32LE(0) === 0xfeed_facf) {
    const processor = bytes.readUInt32LE(4);
    return { platform: 'darwin', arch: MACH_O_ARCHITECTURES[processor] ?? `Mach-O processor ${processor}` };
  }
  return undefined;
}
