/**
 * Sizes an amplifier of two transistors by ngspice, which keeps the circuit loaded behind a pipe. The goal: a gain of 40 dB at 1 kHz, from a
 * source of 1 kΩ into a load of 1 kΩ, with 2 V across the first transistor, at the least power. The five resistors are searched on a
 * logarithmic scale, in 24 steps a decade as in the series E24.
 *
 *     npx tsx examples/amplifier.ts [EVALUATIONS]        needs ngspice: apt-get install ngspice
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import type { Answer, Box, Query } from 'deepzero';
import { adam, cge, minimize } from 'deepzero';

/** A stage with common emitter, and a follower that drives the load. Every query alters the resistors. */
const CIRCUIT = `* amplifier
vcc vcc 0 9
vs source 0 dc 0 ac 1
rs source in 1k
c1 in base 10u
r1 vcc base 1k
r2 base 0 1k
q1 collector base emitter small
rc vcc collector 1k
re emitter 0 1k
c2 emitter 0 1m
q2 vcc collector follower small
rf follower 0 1k
c3 follower out 100u
rl out 0 1k
.model small npn(is=1e-14 bf=200 vaf=80 ikf=0.1 ise=1e-14 ne=1.5 rb=50 rc=1 cje=8p cjc=4p tf=0.4n)
.end`;
const RESISTORS = ['r1', 'r2', 'rc', 're', 'rf'];
const MEASUREMENTS = `op
let power = 1000*9*(-i(vcc))
let across = v(collector)-v(emitter)
print power across
ac dec 10 100 10k
meas ac gain find vdb(out) at=1k
destroy all`;

/** What a circuit costs and does: mW, dB, V. */
type Measured = Record<'power' | 'gain' | 'across', number>;

function start() {
  const child = spawn('sh', ['-c', 'exec ngspice -n -p 2>&1'], { stdio: ['pipe', 'pipe', 'inherit'] });
  // The end of its output says that it is gone.
  child.stdin.on('error', () => undefined);
  child.stdin.write(`${CIRCUIT.replaceAll(/^/gm, 'circbyline ')}\nset numdgt=12\n`);
  return { child, lines: createInterface(child.stdout)[Symbol.asyncIterator]() };
}

/** One ngspice, started for the first query and again after it died. */
class Ngspice implements Box {
  #running: ReturnType<typeof start> | undefined;

  /** What ngspice says until it has done the commands. */
  async #say(commands: string, signal?: AbortSignal): Promise<string> {
    const { child, lines } = (this.#running ??= start());
    const kill = (): void => void child.kill('SIGKILL');
    signal?.addEventListener('abort', kill);
    child.stdin.write(`${commands}\necho done\n`);
    try {
      for (let said = ''; ;) {
        const line = await lines.next();
        if (line.value === 'done') return said;
        if (line.done) {
          this.close();
          throw new Error(`ngspice ended: ${said}`);
        }
        said += `${line.value}\n`;
      }
    } finally {
      signal?.removeEventListener('abort', kill);
    }
  }

  async measure(x: Float64Array, signal?: AbortSignal): Promise<Measured> {
    const altered = RESISTORS.map((name, i) => `alter ${name} = ${10 ** x[i]!}\n`);
    const said = await this.#say(altered.join('') + MEASUREMENTS, signal);
    const measured = Object.fromEntries(
      [...said.matchAll(/^(power|gain|across) *= *(\S+)/gm)].map(([, name, value]) => [name, Number(value)]),
    ) as Measured;
    if (Object.keys(measured).length < 3) throw new Error(`no convergence: ${said}`);
    return measured;
  }

  async answer([query]: readonly Query[], { signal }: { signal: AbortSignal }): Promise<Answer[]> {
    const { power, gain, across } = await this.measure(query!.point(), signal);
    if (across < 0.2) return [{ infeasible: 'the first transistor is saturated' }];
    // In dB; what is missing is dearer than any power that it saves.
    return [10 * Math.log10(power) + 3 * Math.max(0, 40 - gain) + 10 * Math.max(0, 2 - across)];
  }

  close(): void {
    this.#running?.child.kill('SIGKILL');
    this.#running = undefined;
  }
}

const ngspice = new Ngspice();
async function report(x: Float64Array): Promise<void> {
  const { power, gain, across } = await ngspice.measure(x);
  const values = RESISTORS.map((name, i) => `${name} ${(10 ** x[i]! / 1000).toPrecision(2)} kΩ`).join(', ');
  console.log(`gain ${gain.toFixed(2)} dB, ${across.toFixed(2)} V, ${power.toFixed(1)} mW: ${values}`);
}

const x0 = Float64Array.of(96, 84, 67, 67, 72).map((steps) => steps / 24);
await report(x0);
const { x, evaluations, failed, message } = await minimize(ngspice, x0, {
  estimator: cge({ mu: 1 / 24, central: true }),
  optimizer: adam({ lr: 0.04, beta1: 0.5, beta2: 0.9 }),
  bounds: [2, 6],
  resolution: 1 / 24,
  timeout: 60,
  budget: { evaluations: Number(process.argv[2] ?? 600) },
});
await report(x);
console.log(`${evaluations} evaluations, ${failed} failed. ${message}.`);
ngspice.close();
