/**
 * A headless Chromium, driven by its DevTools protocol over a pipe.
 *
 * @module
 */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { HANG_MS } from './hang.js';
import { until } from './resources.js';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

/** Where Chromium is; undefined if it is not installed. */
export function findChromium(): string | undefined {
  const places = (process.env['PATH'] ?? '').split(':').flatMap((folder) => NAMES.map((name) => join(folder, name)));
  return places.find((place) => {
    try {
      accessSync(place, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const FLAGS = [
  ...[
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
  ],
  ...['--disable-component-update', '--disable-sync', '--hide-scrollbars', '--remote-debugging-pipe'],
];

type Result = Record<string, unknown>;

export interface Look {
  readonly width: number;
  readonly height: number;
  readonly isDark?: boolean;
}

/** One tab of a browser. */
export class Browser implements AsyncDisposable {
  /** What the page complains of: errors of programs, of the network, of its policy. */
  readonly complaints: string[] = [];
  readonly #child: ChildProcess;
  readonly #folder: string;
  /** Resolves when Chromium has ended, or could not be started. */
  readonly #ended: Promise<void>;
  readonly #waiting = new Map<number, { resolve: (result: Result) => void; reject: (error: Error) => void }>();
  #id = 0;
  #failure: Error | undefined;
  #session: string | undefined;

  private constructor(path: string) {
    this.#folder = mkdtempSync(join(tmpdir(), 'deepzero-chromium-'));
    this.#child = spawn(path, [...FLAGS, `--user-data-dir=${this.#folder}`, 'about:blank'], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    });
    // The option timeout of spawn keeps this process alive where the program is missing.
    setTimeout(() => this.#child.kill('SIGKILL'), HANG_MS).unref();
    let text = '';
    (this.#child.stdio[4] as Readable).setEncoding('utf8').on('data', (more: string) => {
      const messages = (text + more).split('\0');
      text = messages.pop()!;
      for (const message of messages) this.#receive(JSON.parse(message) as Result);
    });
    this.#ended = new Promise((resolve) => {
      const end = (error?: Error): void => {
        this.#failure = error ?? new Error('Chromium has ended');
        for (const { reject } of this.#waiting.values()) reject(this.#failure);
        this.#waiting.clear();
        resolve();
      };
      this.#child.once('error', end).once('close', () => {
        end();
      });
    });
    // A pipe breaks when Chromium ends, which is told by then.
    for (const pipe of this.#child.stdio) pipe?.on('error', () => undefined);
  }

  static async start(path: string): Promise<Browser> {
    const browser = new Browser(path);
    try {
      const { targetId } = await browser.#call('Target.createTarget', { url: 'about:blank' });
      const { sessionId } = await browser.#call('Target.attachToTarget', { targetId, flatten: true });
      browser.#session = sessionId as string;
      for (const domain of ['Page', 'Runtime', 'Log']) await browser.#call(`${domain}.enable`);
      return browser;
    } catch (error) {
      await browser[Symbol.asyncDispose]();
      throw error;
    }
  }

  #receive({ id, method, params, result, error }: Result): void {
    if (typeof id === 'number') {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error) waiting?.reject(new Error(JSON.stringify(error)));
      else waiting?.resolve(result as Result);
    } else if (method === 'Runtime.exceptionThrown') {
      const { exceptionDetails } = params as { exceptionDetails: { exception?: Result } };
      this.complaints.push(String(exceptionDetails.exception?.['description']));
    } else if (method === 'Log.entryAdded') this.complaints.push(JSON.stringify(params).slice(0, 1000));
  }

  async #call(method: string, params: object = {}): Promise<Result> {
    if (this.#failure) throw this.#failure;
    const id = ++this.#id;
    const session = this.#session === undefined ? {} : { sessionId: this.#session };
    (this.#child.stdio[3] as Writable).write(`${JSON.stringify({ id, method, params, ...session })}\0`);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  async open(url: string): Promise<void> {
    await this.#call('Page.navigate', { url });
    await until(async () => (await this.evaluate('location.href + document.readyState')) === `${url}complete`);
  }

  /** The value of an expression in the page. */
  async evaluate(expression: string): Promise<unknown> {
    const reply = await this.#call('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    if (reply['exceptionDetails']) throw new Error(JSON.stringify(reply['exceptionDetails']));
    return (reply['result'] as Result)['value'];
  }

  /** What assistive technology is told of the first element of a selector. */
  async accessible(selector: string): Promise<{ readonly role: string; readonly name: string }> {
    const expression = `document.querySelector(${JSON.stringify(selector)})`;
    const { result } = await this.#call('Runtime.evaluate', { expression });
    const { objectId } = result as Result;
    const reply = await this.#call('Accessibility.getPartialAXTree', { objectId, fetchRelatives: false });
    const [node] = reply['nodes'] as Record<'role' | 'name', { value: string } | undefined>[];
    return { role: node?.role?.value ?? '', name: node?.name?.value ?? '' };
  }

  async look({ width, height, isDark = false }: Look): Promise<void> {
    const metrics = { width, height, deviceScaleFactor: 1, mobile: width < 600 };
    await this.#call('Emulation.setDeviceMetricsOverride', metrics);
    const features = [{ name: 'prefers-color-scheme', value: isDark ? 'dark' : 'light' }];
    await this.#call('Emulation.setEmulatedMedia', { features });
  }

  /** Of the whole page, or of its first screen. */
  async picture(isWhole = true): Promise<Buffer> {
    const { data } = await this.#call('Page.captureScreenshot', { format: 'png', captureBeyondViewport: isWhole });
    return Buffer.from(data as string, 'base64');
  }

  async pdf(): Promise<Buffer> {
    const { data } = await this.#call('Page.printToPDF', { printBackground: false });
    return Buffer.from(data as string, 'base64');
  }

  async press(key: string): Promise<void> {
    for (const type of ['keyDown', 'keyUp'])
      await this.#call('Input.dispatchKeyEvent', { type, key, code: key, ...KEYS[key] });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
}

const KEYS: Readonly<Record<string, object>> = {
  Tab: { windowsVirtualKeyCode: 9 },
  Home: { windowsVirtualKeyCode: 36 },
  Enter: { windowsVirtualKeyCode: 13, text: '\r' },
};
