/**
 * A report: the page with the data of finished or running runs inside, one file that opens without a server.
 *
 * @module
 */
import { createHash } from 'node:crypto';

import { version } from '../support/version.js';
import { Feed } from './feed.js';
import type { Assets } from './html.js';
import { documentOf } from './html.js';
import { changesOf } from './messages.js';
import type { Message, ReportData } from './protocol.js';

/**
 * A report of runs as an HTML document.
 *
 * @param runs Their folders.
 */
export async function reportOf(runs: readonly string[], { script, style }: Assets): Promise<string> {
  const feed = new Feed({ runs });
  while (await feed.update());
  const messages: Message[] = [
    feed.list,
    ...feed.runs.flatMap(({ id, reader }) => changesOf(reader, id, undefined)?.message ?? []),
  ];
  const data: ReportData = { version, made: new Date().toISOString(), messages };
  // Inside a script element only < can begin its end.
  const json = JSON.stringify(data).replaceAll('<', '\\u003c');
  if (/<\/script|<!--/i.test(script) || /<\/style/i.test(style)) {
    throw new Error('Expected the page to hold no end of its element');
  }
  const policy =
    `default-src 'none'; script-src '${hashOf(script)}'; style-src '${hashOf(style)}'; img-src data:; base-uri 'none'; ` +
    "form-action 'none'";
  const head = `<meta http-equiv="Content-Security-Policy" content="${policy}">\n<style>${style}</style>`;
  const names = feed.runs.map(({ reader }) => reader.name).join(', ');
  return documentOf(
    `deepzero: ${names}`,
    head,
    `<script type="application/json" id="report">${json}</script>\n<script>${script}</script>`,
  );
}

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}
