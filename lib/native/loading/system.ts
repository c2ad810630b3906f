/**
 * What decides whether the addon can be loaded or built here, and how.
 *
 * @module
 */
import { accessSync, constants, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { delimiter, join } from 'node:path';

export interface System {
  platform: string;
  arch: string;
  /** The version of glibc; undefined on Linux with another C library, and on other systems. */
  glibc: string | undefined;
  /** `ID` and `ID_LIKE` of `/etc/os-release`, nearest first. */
  distributions: readonly string[];
  /** Which of a C++ compiler, make and python3 no folder of `PATH` has. */
  missingTools: readonly string[];
  /** How the package came here: as a clone, or into a `node_modules` of npm or pnpm. */
  manager: 'clone' | 'npm' | 'pnpm';
  /** The install script is running. */
  installing: boolean;
  /** A Node for Intel processors runs on Apple's. */
  rosetta: boolean;
}

const TOOLS: readonly (readonly [tool: string, names: readonly string[]])[] = [
  ['a C++ compiler', ['c++', 'g++', 'clang++']],
  ['make', ['make', 'gmake']],
  ['python3', ['python3', 'python']],
];

/** This system, seen from the package's folder. */
export function thisSystem(packageFolder: string): System {
  const { platform, arch, env } = process;
  return {
    platform,
    arch,
    glibc: platform === 'linux' ? glibcVersion() : undefined,
    distributions: readDistributions('/etc/os-release'),
    missingTools: missingTools(env['PATH'] ?? ''),
    manager: managerOf(packageFolder),
    installing: env['npm_lifecycle_event'] === 'install',
    rosetta: platform === 'darwin' && arch === 'x64' && cpus()[0]?.model.startsWith('Apple') === true,
  };
}

function glibcVersion(): string | undefined {
  // Otherwise a report looks up the names of the hosts that this process is connected to.
  Object.assign(process.report, { excludeNetwork: true });
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime;
}

export function readDistributions(file: string): string[] {
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    // Other systems have no such file.
  }
  const values = ['ID', 'ID_LIKE'].map((key) => new RegExp(`^${key}="?([^"\\n]*)"?$`, 'm').exec(text)?.[1] ?? '');
  return values.join(' ').split(/\s+/).filter(Boolean);
}

export function missingTools(path: string): string[] {
  const folders = path.split(delimiter).filter(Boolean);
  const found = (name: string): boolean => folders.some((folder) => isExecutable(join(folder, name)));
  return TOOLS.filter(([, names]) => !names.some(found)).map(([tool]) => tool);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export function managerOf(packageFolder: string): System['manager'] {
  if (/[\\/]node_modules[\\/]\.pnpm[\\/]/.test(packageFolder)) return 'pnpm';
  return /[\\/]node_modules[\\/]/.test(packageFolder) ? 'npm' : 'clone';
}
