/**
 * Estimates by a loss of outputs. The queries' outputs are computed natively in parts; while the losses of one part are
 * computed here, the compute thread is at the next. So it never waits for JavaScript, and a loss may call models itself.
 *
 * @module
 */
import type { Batch } from '../data/dataset.js';
import type {
  NativeNetwork,
  NativeOutputs,
  NativeRandomized,
  NativeReference,
  NativeRequest,
  NativeRequests,
} from '../native/addon.js';
import type { CallOptions } from '../native/jobs.js';
import { atMostEvery, withSignal } from '../native/jobs.js';
import { rankCount } from '../ranks/join.js';
import type { NetworkComputations, QueryAt } from './computations.js';
import { BASE } from './computations.js';
import type { PassResult, QueryResult, Reuse } from './options.js';
import type { OutputsLoss } from './losses.js';
import { lossesOf } from './losses.js';

/** The most bytes of outputs that are computed at a time, where memory does not bound them. */
const MOST_BYTES = 2 ** 26;

type PartComputation = 'coordinateOutputs' | 'directionOutputs' | 'referenceOutputs';

/** A computation with its request. */
type Job<C extends PartComputation> = [computation: C, request: NativeRequests[C]];

/** How the parts of an estimate are computed. */
interface Along<R, C extends PartComputation> {
  /** Queries of the estimate. */
  readonly count: number;
  readonly jobOf: (request: R, part: Part) => Job<C>;
  /** The query that a native error names. */
  readonly nativeQuery: QueryAt;
  /** The query of a number in the order of the parts. */
  readonly queryAt: QueryAt;
}

/** A mini-batch and the options of a call. */
interface Call extends CallOptions {
  readonly batch: Batch;
}

const sidesOf = ({ central }: { readonly central: boolean }): number => (central ? 2 : 1);

/** What a model computes by a loss of outputs. */
export class OutputsEstimates {
  readonly #computations: NetworkComputations;
  readonly #loss: OutputsLoss;
  /** Of the last estimate: its parts share a base pass. */
  #mark = 0;

  constructor(computations: NetworkComputations, loss: OutputsLoss) {
    this.#computations = computations;
    this.#loss = loss;
  }

  /** A pass with its loss. */
  async measured(pass: PassResult, request: NativeRequest, { batch, signal: outer, step }: Call): Promise<PassResult> {
    const { training } = request;
    const outputs = Float64Array.from(pass.outputs);
    const losses = await withSignal(outer, (signal) =>
      lossesOf(this.#loss, [outputs], batch, { signal, training, step }),
    );
    const loss = losses[0]!;
    if (!Number.isFinite(loss)) throw this.#computations.refusal(request, { step }, BASE, `it is ${loss}`);
    return { ...pass, loss };
  }

  async coordinatewise(
    request: NativeReference & { reuse: Reuse },
    call: Call,
    queryAt: QueryAt,
  ): Promise<QueryResult> {
    const mark = ++this.#mark;
    const jobOf = (part: NativeReference): Job<'coordinateOutputs'> => [
      'coordinateOutputs',
      { ...part, reuse: request.reuse, mark },
    ];
    const { slopes, ...base } = await this.#alongCoordinates(request, call, queryAt, jobOf);
    return { ...(base as PassResult), values: slopes, queries: 1 + slopes.length * sidesOf(request) };
  }

  async reference(
    request: NativeReference,
    call: Call,
    queryAt: QueryAt,
  ): Promise<{ loss: number; values: Float64Array }> {
    const { slopes, loss } = await this.#alongCoordinates(request, call, queryAt, (part) => ['referenceOutputs', part]);
    return { loss, values: slopes };
  }

  async randomized(request: NativeRandomized, call: Call, queryAt: QueryAt): Promise<QueryResult> {
    const mark = ++this.#mark;
    const { slopes, ...base } = await this.#slopes(request, call, {
      count: request.queries,
      jobOf: (own, { first, count }) => ['directionOutputs', { ...own, first, directions: count, mark }],
      nativeQuery: queryAt,
      queryAt,
    });
    const { signal } = call;
    const computations = this.#computations;
    const { values } = await computations.run(computations.open(), 'combine', { ...request, slopes }, { signal });
    return { ...(base as PassResult), values, queries: 1 + slopes.length * sidesOf(request) };
  }

  /** The largest job of `coordinatewise`. */
  largest({ coordinates, ...rest }: NativeReference & { reuse: Reuse }): Job<'coordinateOutputs'> {
    const jobOf = (threads: number, queries: number): Job<'coordinateOutputs'> => [
      'coordinateOutputs',
      { ...rest, mark: 1, threads, coordinates: coordinates.subarray(0, queries) },
    ];
    const network = this.#computations.open();
    const { least, most } = this.#share(network, coordinates.length, rest.count * sidesOf(rest), jobOf);
    return jobOf(least, most);
  }

  /** Slopes along coordinates; `jobOf` makes the job for a part of them. */
  async #alongCoordinates<C extends 'coordinateOutputs' | 'referenceOutputs'>(
    request: NativeReference,
    call: Call,
    queryAt: QueryAt,
    jobOf: (part: NativeReference) => Job<C>,
  ): Promise<Slopes> {
    const { coordinates: given } = request;
    // In the order of the layers, so that queries of one part cost about the same and share cached data.
    const order = Uint32Array.from(given.keys()).sort((a, b) => given[a]! - given[b]!);
    const sorted = Uint32Array.from(order, (at) => given[at]!);
    const found = await this.#slopes(request, call, {
      count: sorted.length,
      jobOf: (own, { first, count }) => jobOf({ ...own, coordinates: sorted.subarray(first, first + count) }),
      nativeQuery: queryAt,
      queryAt: (query) => queryAt(sorted[query]!),
    });
    const slopes = new Float64Array(given.length);
    order.forEach((at, i) => {
      slopes[at] = found.slopes[i]!;
    });
    return { ...found, slopes };
  }

  async #slopes<R extends NativeRequest & { central: boolean }, C extends PartComputation>(
    given: R,
    { batch, signal: outer, onProgress, step }: Call,
    { count, jobOf, nativeQuery, queryAt }: Along<R, C>,
  ): Promise<Slopes> {
    const computations = this.#computations;
    const network = computations.open();
    // Later parts read them too, and the caller may go on using the arrays.
    const [parameters, statistics, images] = [given.parameters.slice(), given.statistics.slice(), given.images.slice()];
    const own: R = { ...given, parameters, statistics, images };
    const sides = sidesOf(own);
    const share = this.#share(network, count, sides * own.count, (threads, queries) =>
      jobOf({ ...own, threads }, { first: 0, count: queries }),
    );
    const request = { ...own, threads: share.least };
    try {
      return await withSignal(outer, (signal) =>
        slopesOf({
          ...{ count, sides, onProgress, most: share.most },
          least: Math.min(share.most, share.least * rankCount()),
          compute: (part) => computations.run(network, ...jobOf(request, part), { signal, step }, nativeQuery),
          losses: (outputs) => lossesOf(this.#loss, outputs, batch, { signal, training: true, step }),
          refusal: (query, value) =>
            computations.refusal(request, { step }, query < 0 ? BASE : queryAt(query), `it is ${value}`),
        }),
      );
    } finally {
      computations.close(network);
    }
  }

  /** The threads of an estimate, each with a query of every part, and the most queries of a part. */
  #share<C extends PartComputation>(
    network: NativeNetwork,
    count: number,
    rows: number,
    jobOf: (threads: number, queries: number) => Job<C>,
  ): { least: number; most: number } {
    const { threads, memory, compiled } = this.#computations.setup;
    const cap = Math.floor(MOST_BYTES / (rows * compiled.outputs * Float64Array.BYTES_PER_ELEMENT));
    const bounded = (least: number): number => Math.min(count, Math.max(least, cap));
    if (memory === undefined) return { least: threads, most: bounded(threads) };
    const fits = (least: number, queries: number): boolean =>
      network.memory(...jobOf(least, Math.min(queries, count)), memory).threads >= least;
    let least = threads;
    while (least > 1 && !fits(least, least)) least -= 1;
    let most = bounded(least);
    while (most > least && !fits(least, most)) most = Math.max(least, most >> 1);
    return { least, most };
  }
}

/** Consecutive queries of an estimate. */
interface Part {
  readonly first: number;
  readonly count: number;
}

/** The queries of an estimate. */
interface OutputsQueries {
  readonly count: number;
  /** Perturbed points of a query: two if differences are central. */
  readonly sides: number;
  /** The fewest queries of a part, one for each thread of every rank, and the most that fit into memory. */
  readonly least: number;
  readonly most: number;
  readonly onProgress: CallOptions['onProgress'];
  readonly compute: (part: Part) => Promise<NativeOutputs>;
  readonly losses: (outputs: readonly Float64Array[]) => Promise<ArrayLike<number>>;
  /** The error of a loss or a slope that is not finite; −1 is the unperturbed query. */
  readonly refusal: (query: number, value: number) => Error;
}

/** The slopes along the queries, and the unperturbed pass with its loss. */
export interface Slopes extends Partial<Pick<NativeOutputs, 'outputs' | 'statistics'>> {
  readonly loss: number;
  readonly slopes: Float64Array;
}

/** A part whose outputs are on their way. */
interface Started extends Part {
  readonly outputs: Promise<NativeOutputs>;
  /** When, in milliseconds. */
  readonly begun: number;
}

/** Milliseconds that a part should take: many times what starting one costs, and soon over after an abort. */
const PART_MS = 50;
/** The first parts tell little of the time of a query: the base pass is in the first, and layers differ. */
const MOST_GROWTH = 8;

/** Makes the queries, in order. */
async function slopesOf(queries: OutputsQueries): Promise<Slopes> {
  const { count, sides } = queries;
  const slopes = new Float64Array(count);
  const report = atMostEvery(50, queries.onProgress);
  const start = (first: number, size: number): Started => {
    const part = { first, count: Math.min(size, count - first) };
    const outputs = queries.compute(part);
    // It is awaited in its turn; an error of the part before comes first.
    outputs.catch(() => undefined);
    return { ...part, outputs, begun: performance.now() };
  };
  let base: Omit<Slopes, 'slopes'> | undefined;
  let lossMs = 0;
  let next: Started | undefined = start(0, Math.min(2 * queries.least, queries.most));
  while (next) {
    const { first, count: size, begun }: Started = next;
    const { perturbed, distances, unperturbed, outputs, statistics } = await next.outputs;
    const arrived = performance.now();
    const perQuery = Math.max((arrived - begun) / size, lossMs);
    next = first + size < count ? start(first + size, nextSize(size, perQuery, queries)) : undefined;
    const points = split(perturbed, size * sides);
    const losses = await queries.losses(base ? points : [unperturbed!, ...points]);
    lossMs = (performance.now() - arrived) / size;
    base ??= { loss: finite(losses[0]!, -1, queries), ...(outputs && { outputs }), ...(statistics && { statistics }) };
    const others = losses.length - points.length;
    for (let i = 0; i < size; i++) {
      const above = finite(losses[others + i * sides]!, first + i, queries);
      const below = sides === 1 ? base.loss : finite(losses[others + i * sides + 1]!, first + i, queries);
      slopes[first + i] = finite((above - below) / distances[i]!, first + i, queries);
    }
    report?.(first + size, count);
  }
  return { ...base!, slopes };
}

/** A whole number of queries for each thread, as many as take the time of a part. */
function nextSize(last: number, milliseconds: number, { least, most }: OutputsQueries): number {
  const wanted = Math.min(PART_MS / milliseconds, MOST_GROWTH * last, most);
  return least * Math.max(1, Math.floor(wanted / least));
}

/** Equal parts of an array, as views. */
function split(all: Float64Array, parts: number): Float64Array[] {
  const size = all.length / parts;
  return Array.from({ length: parts }, (_, i) => all.subarray(i * size, (i + 1) * size));
}

function finite(value: number, query: number, { refusal }: OutputsQueries): number {
  if (Number.isFinite(value)) return value;
  throw refusal(query, value);
}
