/**
 * A small network on the native surface and requests for it, for tests of jobs and for the workers they start.
 *
 * @module
 */
import {
  native,
  type NativeCoordinatewise,
  type NativeNetwork,
  type NativeRandomized,
  type NativeRequest,
} from '../../lib/native/addon.js';
import { cnn } from '../../lib/network/cnn.js';
import { compile, programOf } from '../../lib/network/compile.js';
import { initialise } from '../../lib/network/initialise.js';
import { Random } from '../../lib/native/random.js';

const network = cnn({ depth: 2 });
const compiled = compile(network);
const COUNT = 20;

export function makeNetwork(): NativeNetwork {
  return new native.Network([3, 32, 32], programOf(network).operations);
}

/** Twenty images of noise. */
export function request(): NativeRequest {
  const random = new Random(1, 'samples');
  const images = Float32Array.from({ length: COUNT * 3 * 32 * 32 }, () => random.between(-1, 1));
  const labels = Int32Array.from({ length: COUNT }, () => random.integer(10));
  return {
    ...initialise(compiled, 1),
    images,
    labels,
    count: COUNT,
    loss: 'cross-entropy',
    training: true,
    threads: 2,
  };
}

/** CGE over every 37th coordinate. */
export function shortJob(): NativeCoordinatewise {
  const coordinates = Uint32Array.from({ length: 100 }, (_, i) => i * 37);
  return { ...request(), coordinates, mu: 5e-3, central: false, reuse: 'layer' };
}

/** RGE that takes longer than a test may, so that one can only pass if the job is stopped. */
export function endlessJob(): NativeRandomized {
  const draw = { distribution: 'gaussian', perTensor: false, reuse: 'none', seed: 1, stream: 5, index: 0 } as const;
  return { ...request(), ...draw, queries: 2 ** 20, mu: 5e-3, central: false };
}
