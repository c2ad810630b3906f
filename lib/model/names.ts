/**
 * Names of tensors in files of other programs.
 *
 * @module
 */
import type { CompiledNetwork } from '../network/compile.js';
import { quote } from '../support/errors.js';

/** The name in the file of each of a network's tensors, and notes on systematic differences. */
export interface NameMatch {
  readonly names: Map<string, string>;
  readonly notes: string[];
}

/**
 * Finds a network's tensors among a file's names. All names in the file may share a prefix, such as `module.` from PyTorch's
 * `DataParallel`, and the network's only linear layer may have another name in the file.
 */
export function matchNames(theirs: readonly string[], compiled: CompiledNetwork): NameMatch {
  const there = new Set(theirs);
  const ours = [...compiled.parameters, ...compiled.statistics].map(({ name }) => name);
  const counts = sharedPrefixes(theirs).map((prefix) => ({
    prefix,
    found: ours.filter((name) => there.has(prefix + name)).length,
  }));
  const { prefix } = counts.reduce((best, each) => (each.found > best.found ? each : best));
  const names = new Map(ours.map((name) => [name, prefix + name]));
  const notes = prefix === '' ? [] : [`All tensors' names start with ${quote(prefix)}; the prefix is ignored.`];
  const known = new Set(names.values());
  const extra = theirs.filter((name) => !known.has(name));
  const missing = ours.filter((name) => !there.has(prefix + name));
  const other = otherLinear(missing, extra, compiled);
  if (other !== undefined) {
    for (const name of missing) names.set(name, other + lastPart(name));
    const [layer] = splitName(missing[0]!);
    notes.push(`The layer ${quote(other)} of the file is read as ${quote(layer)}, the network's only linear layer.`);
  }
  return { names, notes };
}

/** A tensor's name as its layer's name and the rest, which starts with the dot. */
function splitName(name: string): [layer: string, tensor: string] {
  const dot = Math.max(0, name.lastIndexOf('.'));
  return [name.slice(0, dot), name.slice(dot)];
}

function lastPart(name: string): string {
  return splitName(name)[1];
}

/** The most parts of a prefix. */
const MOST_PARTS = 8;

/** The prefixes that end in a dot and that all names share, the shortest first: '', `module.`, `module.net.`. */
function sharedPrefixes(names: readonly string[]): string[] {
  const [first = '', ...others] = names;
  const ends = Array.from(first.matchAll(/\./g), ({ index }) => index + 1).slice(0, MOST_PARTS);
  const prefixes = ends.map((end) => first.slice(0, end));
  return ['', ...prefixes.filter((prefix) => others.every((name) => name.startsWith(prefix)))];
}

/** The file's layer to read as the network's only linear layer, if all missing tensors are of this and all extra ones of that layer. */
function otherLinear(
  missing: readonly string[],
  extra: readonly string[],
  { parameters }: CompiledNetwork,
): string | undefined {
  const linear = [...new Set(parameters.filter(({ layerType }) => layerType === 'linear').map(({ layer }) => layer))];
  const [layer, ...more] = new Set(missing.map((name) => splitName(name)[0]));
  const [other, ...others] = new Set(extra.map((name) => splitName(name)[0]));
  if (linear.length !== 1 || layer !== linear[0] || more.length > 0 || others.length > 0) return undefined;
  return missing.map(lastPart).sort().join() === extra.map(lastPart).sort().join() ? other : undefined;
}
