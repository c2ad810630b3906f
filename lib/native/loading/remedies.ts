/**
 * What to type when the addon does not load.
 *
 * @module
 */
import type { System } from './system.js';

interface Commands {
  /** Installs what a build requires. */
  tools: string;
  /** Installs the library of OpenMP. */
  openmp: string;
}

const APT: Commands = { tools: 'apt-get install g++ make python3', openmp: 'apt-get install libgomp1' };
const DNF: Commands = { tools: 'dnf install gcc-c++ make python3', openmp: 'dnf install libgomp' };
const BY_DISTRIBUTION: Readonly<Record<string, Commands>> = {
  debian: APT,
  ubuntu: APT,
  fedora: DNF,
  rhel: DNF,
  centos: DNF,
  amzn: DNF,
  suse: { tools: 'zypper install gcc-c++ make python3', openmp: 'zypper install libgomp1' },
  arch: { tools: 'pacman -S gcc make python', openmp: 'pacman -S gcc-libs' },
  alpine: { tools: 'apk add g++ make python3', openmp: 'apk add libgomp' },
};
const MACOS: Commands = { tools: 'xcode-select --install; brew install libomp', openmp: 'brew install libomp' };

/** The command that installs something, as `"apt-get install libgomp1"`; two of them where the distribution is unknown. */
export function installing(what: keyof Commands, { platform, distributions }: System): string {
  if (platform === 'darwin') return `"${MACOS[what]}"`;
  const known = distributions.map((name) => BY_DISTRIBUTION[name]).find((commands) => commands !== undefined);
  if (known) return `"${known[what]}"`;
  return `"${APT[what]}" or "${DNF[what]}", or what is like it here`;
}

/** How to have the addon built here. */
export function building(system: System): string {
  const missing = system.missingTools;
  const tools =
    missing.length === 0
      ? 'with a C++17 compiler with OpenMP, make and python3'
      : `after ${installing('tools', system)} (missing: ${missing.join(', ')})`;
  return `Build it ${tools}: ${rebuilding(system)}`;
}

function rebuilding({ manager, installing }: System): string {
  if (manager === 'clone') return '"npm install"';
  if (installing) return 'install deepzero again';
  if (manager === 'pnpm')
    return '"pnpm approve-builds" if pnpm blocked the install script, then "pnpm rebuild deepzero"';
  return '"npm install-scripts approve deepzero" if npm blocked the install script, then "npm rebuild deepzero"';
}

/** How to replace what is installed. */
export function replacing({ manager }: System): string {
  if (manager === 'clone') return 'Build it again: "rm -rf build/Release && npm install"';
  return `Install it again: "rm -rf node_modules && ${manager} install"`;
}
