/**
 * The whole suite, one step after the other, whether or not earlier ones failed. The last line is the count of all tests;
 * a step that counts none is one test.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { root } from './run.js';

const STEPS = ['lint', 'types', 'build:native', 'test:native', 'test:clang', 'test:unit', 'test:isas', 'test:package'];
const LAST_LINES = 60;

interface Result {
  step: string;
  output: string;
  passed: number;
  failed: number;
  seconds: number;
}

async function runStep(step: string): Promise<Result> {
  console.log(`\n=== npm run ${step}`);
  const start = performance.now();
  const child = spawn('npm', ['run', '--silent', step], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    process.stdout.write(text);
  });
  const status = await new Promise<number>((resolve) => {
    child
      .on('error', () => {
        resolve(1);
      })
      .on('close', (code) => {
        resolve(code ?? 1);
      });
  });
  const total = (pattern: RegExp): number =>
    [...output.matchAll(pattern)].reduce((sum, [, count]) => sum + Number(count), 0);
  const passed = total(/(\d+) (?:passing|passed)/g);
  const failed = total(/(\d+) (?:failing|failed)/g);
  const seconds = (performance.now() - start) / 1000;
  return { step, output, seconds, passed: passed || Number(status === 0), failed: failed || Number(status !== 0) };
}

const results: Result[] = [];
for (const step of STEPS) results.push(await runStep(step));

// The failures once more at the end, where a log that was cut still has them.
for (const { step, output, failed } of results) {
  if (failed > 0) console.log(`\n=== the end of npm run ${step}\n${output.split('\n').slice(-LAST_LINES).join('\n')}`);
}

console.log();
for (const { step, passed, failed, seconds } of results) {
  console.log(
    `${failed > 0 ? 'FAILED' : 'ok    '}  ${step}: ${passed} passed, ${failed} failed, ${seconds.toFixed(0)} s`,
  );
}
const sum = (key: 'passed' | 'failed'): number => results.reduce((total, result) => total + result[key], 0);
console.log(`${sum('passed')} passed, ${sum('failed')} failed`);
if (sum('failed') > 0) process.exitCode = 1;
