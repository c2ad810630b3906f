/**
 * Trains a simulated optical chip that answers with intensities alone. Eight antennas receive a plane wave, and a rectangular mesh
 * of 28 interferometers (Clements et al. 2016) guides it to detectors, two for each of four sectors that it may come from.
 *
 * The chip has 56 phase shifters of 8 bits. It takes every phase modulo 2π, so phases need no bounds. Each heats its neighbours, so
 * the loss jumps a little where one wraps. Shot and thermal noise make two measurements of one loss differ.
 *
 *     npx tsx examples/optical-mesh.ts [STEPS]
 */
import { adam, cge, minimize } from 'deepzero';

const [PORTS, SECTORS] = [8, 4];
/** The upper port of every interferometer, column by column. */
const MESH = Array.from({ length: PORTS }, (_, column) => (column % 2 === 0 ? [0, 2, 4, 6] : [1, 3, 5])).flat();
const TURN = 2 * Math.PI;
const LEVEL = TURN / 256;
/** The share of a heater's phase that reaches each of its two neighbours. */
const CROSS_TALK = 0.01;
/** Photons of a wave, and a detector's standard deviation in the dark as a share of a wave's power. */
const [PHOTONS, THERMAL] = [10_000, 0.002];

/** Random numbers that depend on a name alone: a run that is repeated, or resumed, has the same noise. */
function random(name: string): { uniform: () => number; normal: () => number } {
  let state = Buffer.from(name).reduce((hash, byte) => Math.imul(hash ^ byte, 0x01000193), 0x811c9dc5);
  const uniform = (): number => {
    state = (state + 0x9e3779b9) | 0;
    const a = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    const b = Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
    return ((b ^ (b >>> 16)) >>> 0) / 2 ** 32;
  };
  return { uniform, normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(TURN * uniform()) };
}

interface Wave {
  readonly sector: number;
  /** Amplitudes at the antennas, real and imaginary parts, of power 1 in all. */
  readonly parts: readonly [re: readonly number[], im: readonly number[]];
}

/** Noisy waves from each sector in turn, in random directions that keep off its borders. */
function waves(count: number, name: string): Wave[] {
  const { uniform, normal } = random(name);
  return Array.from({ length: count }, (_, i) => {
    const sector = i % SECTORS;
    const slope = (TURN * (sector + 0.05 + 0.9 * uniform())) / SECTORS;
    const start = TURN * uniform();
    const part = (wave: (angle: number) => number): number[] =>
      Array.from({ length: PORTS }, (_, port) => wave(slope * port + start) + 0.3 * normal());
    const [re, im] = [part(Math.cos), part(Math.sin)];
    const size = Math.hypot(...re, ...im);
    return { sector, parts: [re.map((a) => a / size), im.map((a) => a / size)] };
  });
}

/** The chip with its phases set: from a wave to the measured share of the light in each sector's detectors. */
function chip(phases: Float64Array, normal: () => number): (wave: Wave) => number[] {
  const heat = phases.map((phase) => phase - TURN * Math.floor(phase / TURN));
  const real = heat.map((own, i) => own + CROSS_TALK * ((heat[i - 1] ?? 0) + (heat[i + 1] ?? 0)));
  // φ delays the upper input; θ, between two half mirrors, turns both by an angle of θ/2.
  const turns = MESH.map((upper, i): [number, number, number, number, number] => {
    const [theta, phi] = [real[2 * i]! / 2, real[2 * i + 1]!];
    return [upper, Math.cos(theta), Math.sin(theta), Math.cos(phi), Math.sin(phi)];
  });
  return ({ parts }) => {
    const [re, im] = [[...parts[0]], [...parts[1]]];
    for (const [a, cos, sin, cosPhi, sinPhi] of turns) {
      const b = a + 1;
      const [x, y] = [re[a]! * cosPhi - im[a]! * sinPhi, re[a]! * sinPhi + im[a]! * cosPhi];
      [re[a], re[b]] = [sin * x + cos * re[b]!, cos * x - sin * re[b]!];
      [im[a], im[b]] = [sin * y + cos * im[b]!, cos * y - sin * im[b]!];
    }
    const light = new Array<number>(SECTORS).fill(0);
    for (let port = 0; port < PORTS; port++) {
      const power = re[port]! ** 2 + im[port]! ** 2;
      light[port >> 1]! += power + Math.sqrt(power / PHOTONS) * normal() + THERMAL * normal();
    }
    return light;
  };
}

/** The mean cross-entropy of the sectors; a score is ten times the light. */
function loss(phases: Float64Array, batch: readonly Wave[], name: string): number {
  const measure = chip(phases, random(name).normal);
  const terms = batch.map((wave) => {
    const scores = measure(wave).map((light) => 10 * light);
    return Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0)) - scores[wave.sector]!;
  });
  return terms.reduce((sum, term) => sum + term, 0) / terms.length;
}

const heldOut = waves(1000, 'held out');
/** The share of held-out waves whose sector is the brightest. */
function accuracy(phases: Float64Array): string {
  const measure = chip(phases, random('accuracy').normal);
  const hits = heldOut.filter((wave) => {
    const light = measure(wave);
    return light.indexOf(Math.max(...light)) === wave.sector;
  });
  return `${((100 * hits.length) / heldOut.length).toFixed(1)} %`;
}

const { uniform } = random('start');
const start = MESH.flatMap(() => [LEVEL * Math.floor(256 * uniform()), LEVEL * Math.floor(256 * uniform())]);
console.log(`accuracy before ${accuracy(Float64Array.from(start))}, by chance ${100 / SECTORS} %`);

// All queries of a step see the same waves; each has its own noise, and two repeats show how much.
const { x, evaluations } = await minimize((phases, { id, sample }) => loss(phases, sample as Wave[], id), start, {
  estimator: cge({ mu: 8 * LEVEL, central: true }),
  optimizer: adam({ lr: 0.05 }),
  budget: { steps: Number(process.argv[2] ?? 60) },
  sample: (step) => waves(32, `step ${step}`),
  resolution: LEVEL,
  repeats: 2,
  onStep: ({ step, loss, signalToNoise }) => {
    console.log(`step ${step}  loss ${loss.toFixed(3)}  signal over noise ${signalToNoise!['x']!.toFixed(1)}`);
  },
});
console.log(`accuracy after  ${accuracy(x)}, ${evaluations} evaluations`);
