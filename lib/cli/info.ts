import { availableCores, defaultThreads } from '../native/cores.js';
import { native } from '../native/addon.js';
import type { NativeStep } from '../native/addon.js';
import { compile, programOf } from '../network/compile.js';
import type { CompiledNetwork, Program } from '../network/compile.js';
import { sum } from '../support/statistics.js';
import { version } from '../support/version.js';
import type { Command } from './command.js';
import { command } from './command.js';
import { buildNetwork, optionalNetworkOptions } from './inputs.js';
import { grouped, table, wrap } from './output.js';

/** Layers of equal `step` are one kernel's work. */
interface LayerRow extends NativeStep {
  name: string;
  kind: string;
  output: readonly number[];
  parameters: number;
}

const KERNELS =
  'Layers of one step are one kernel. The kernel of a convolution is that for whole values and for changes of all its ' +
  'input channels; changes of some are convolved directly, as is all of the pass in double that changes start from.';

export const info: Command = command({
  name: 'info',
  summary: 'Says what runs here: version, instruction set, threads; with --network, its layers and what runs them.',
  options: optionalNetworkOptions('none'),
  run({ network: name, depth, width }, { output }) {
    const network = name && buildNetwork({ network: name, depth, width }, 10);
    const machine = {
      version,
      isa: native.isa,
      supportedIsas: native.supportedIsas,
      threads: defaultThreads(),
      cores: availableCores(),
      node: process.version,
      platform: `${process.platform}-${process.arch}`,
    };
    output.line(`deepzero ${version}, Node ${machine.node}, ${machine.platform}`);
    output.line(`instruction set  ${machine.isa} (of ${machine.supportedIsas.join(', ')}; DEEPZERO_ISA chooses)`);
    output.line(`threads          ${machine.threads}`);
    output.line(`cores            ${machine.cores} (by CPU affinity and the container's quota)`);
    if (!network) return Promise.resolve(machine);

    const compiled = compile(network);
    const program = programOf(network);
    const steps = new native.Network(network.input, program.operations).steps();
    const layers = layerRows(compiled, program, steps);
    output.line(`\n${network.name}, input ${network.input.join('×')}, ${grouped(compiled.parameterCount)} parameters`);
    const rows = layers.map((row) => [
      ...[row.name, row.kind, row.kernel, row.output.join('×'), grouped(row.parameters), String(row.step)],
    ]);
    output.line(table([['layer', 'kind', 'kernel', 'output', 'parameters', 'step'], ...rows], 3));
    output.line(`\n${wrap(KERNELS)}`);
    return Promise.resolve({ ...machine, network: network.name, parameters: compiled.parameterCount, layers });
  },
});

/** One row an operation, in order; those without parameters have no name. */
function layerRows(
  { parameters }: CompiledNetwork,
  { operations, shapes }: Program,
  steps: readonly NativeStep[],
): LayerRow[] {
  const named = new Set(parameters.map(({ layer }) => layer)).values();
  return operations.map(({ kind }, i) => {
    const hasParameters = kind === 'conv2d' || kind === 'batchNorm' || kind === 'linear';
    const name = (hasParameters ? named.next().value : undefined) ?? '';
    const count = sum(parameters.map(({ layer, size }) => (layer === name ? size : 0)));
    return { name, kind, output: shapes[i + 1] ?? [], parameters: count, ...steps[i]! };
  });
}
