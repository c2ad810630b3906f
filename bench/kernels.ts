import type { Layer, Network } from 'deepzero';
import { compile } from 'deepzero';

import type { Kernel, KernelContender } from './support/kernel-clock.js';
import { kernelContender, peakContender } from './support/kernel-clock.js';
import type { Session } from './support/sampling.js';
import { alternate } from './support/sampling.js';
import type { Statistics } from './support/statistics.js';
import { statistics } from './support/statistics.js';

/** A 3×3 convolution's shape; `size` is its input's height and width. */
export interface KernelShape {
  channels: number;
  outputs: number;
  size: number;
  stride: number;
}

export interface KernelRow extends KernelShape {
  kernel: Kernel;
  threads: number;
  /** Of one call on a block of sixteen images. */
  seconds: Statistics;
  /** Of all threads; a convolution's as if it were direct, 0 for the others. */
  directFlops: number;
  /** What is really done of the peak of as many threads; null for what is no convolution. */
  peakFraction: number | null;
  peakFlops: number;
  /** Values read and written, each once, by all threads. */
  bytesPerSecond: number;
}

/** The shapes of the networks' 3×3 convolutions, each once. */
export function kernelShapes(networks: readonly Network[]): KernelShape[] {
  const shapes = new Map<string, KernelShape>();
  for (const network of networks) {
    for (const shape of convolutionsIn(network.layers, network.input)) {
      shapes.set(Object.values(shape).join(), shape);
    }
  }
  return [...shapes.values()];
}

function convolutionsIn(layers: readonly Layer[], input: Network['input']): KernelShape[] {
  return layers.flatMap((layer, i) => {
    const before = { name: 'layers before', input, layers: layers.slice(0, i) };
    const map: Network['input'] = i === 0 ? input : [...compile(before).outputShape];
    if (layer.type === 'residual')
      return [layer.body, layer.shortcut ?? []].flatMap((branch) => convolutionsIn(branch, map));
    if (layer.type !== 'conv2d' || [layer.kernel].flat().some((extent) => extent !== 3)) return [];
    const [channels, size] = map;
    return [{ channels, outputs: layer.channels, size, stride: layer.stride ?? 1 }];
  });
}

/** Those that such a convolution, and what stands around it, are made of. */
function kernelsOf({ size, stride }: KernelShape): Kernel[] {
  const winograd: Kernel[] = stride === 1 && size % 4 === 0 ? ['winograd'] : [];
  return ['convolution', ...winograd, 'activate', 'activateChange', 'changeMoments'];
}

/** Every kernel on every shape, 1 to `threads` threads, a shape's kernels alternating with the peak. */
export async function timeKernels(
  { networks, threads: most }: { networks: readonly Network[]; threads: number },
  session: Session,
): Promise<KernelRow[]> {
  const rows: KernelRow[] = [];
  for (let threads = 1; threads <= most; threads++) {
    const peak = await peakContender(threads);
    for (const shape of kernelShapes(networks)) {
      const { channels, outputs, size, stride } = shape;
      const named: (KernelContender & { kernel: Kernel })[] = [];
      for (const kernel of kernelsOf(shape)) {
        const name = `${kernel}, ${channels} → ${outputs}, ${size}×${size}, stride ${stride}`;
        // What a round takes of a contender, so that there are rounds enough.
        const run = Math.min(0.03, session.seconds / 5);
        named.push({ ...(await kernelContender(name, { kernel, ...shape, threads }, run)), kernel });
      }
      const timings = await alternate([peak, ...named], session);
      const peakFlops = peak.flops();
      for (const [i, contender] of named.entries()) {
        const { kernel, cost, calls } = contender;
        const seconds = statistics(timings[i + 1]!.map((time) => (time / calls) * threads));
        const every = threads / seconds.median;
        const convolves = kernel === 'convolution' || kernel === 'winograd';
        rows.push({
          ...{ kernel, ...shape, threads, seconds },
          directFlops: 2 * cost.direct * every,
          peakFraction: convolves ? (2 * cost.done * every) / peakFlops : null,
          peakFlops,
          bytesPerSecond: cost.bytes * every,
        });
      }
    }
  }
  return rows;
}
