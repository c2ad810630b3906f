import { Random } from '../native/random.js';
import type { CompiledNetwork, TensorInfo } from './compile.js';

/**
 * Initial parameters and running statistics.
 *
 * Weights of convolutions and linear layers are drawn from N(0, 2/fan_in), Kaiming-normal (He et al. 2015, equation 10);
 * their biases uniformly from ±1/√fan_in, PyTorch's default, where fan_in is the number of inputs of one output.
 * Batch norm starts with γ = 1, β = 0, running mean 0 and running variance 1. Each tensor has a separate sequence, a function of
 * (seed, the tensor's number), so that appended layers do not change the values of earlier ones.
 *
 * PyTorch's generator differs: equal seeds give different numbers of the same distribution.
 *
 * @param seed a non-negative integer.
 * @example const { parameters, statistics } = initialise(compile(resnet20()), 1);
 */
export function initialise(
  compiled: CompiledNetwork,
  seed: number,
): { parameters: Float32Array; statistics: Float32Array } {
  const parameters = new Float32Array(compiled.parameterCount);
  let fanIn = 1; // a bias follows the weight of its layer
  compiled.parameters.forEach((tensor, number) => {
    if (tensor.kind === 'weight') fanIn = tensor.size / tensor.shape[0]!;
    fill(parameters.subarray(tensor.offset, tensor.offset + tensor.size), tensor.kind, fanIn, seed, number);
  });

  const statistics = new Float32Array(compiled.statisticsCount);
  for (const { name, offset, size } of compiled.statistics) {
    if (name.endsWith('.running_var')) statistics.fill(1, offset, offset + size);
  }
  return { parameters, statistics };
}

function fill(values: Float32Array, kind: TensorInfo['kind'], fanIn: number, seed: number, number: number): void {
  const random = new Random(seed, 'initialisation', number);
  const deviation = Math.sqrt(2 / fanIn);
  const bound = 1 / Math.sqrt(fanIn);
  const draw = {
    weight: () => deviation * random.normal(),
    bias: () => random.between(-bound, bound),
    gamma: () => 1,
    beta: () => 0,
  }[kind];
  for (let i = 0; i < values.length; i++) values[i] = draw();
}
