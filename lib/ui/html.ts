/**
 * The page's document. It has no content of its own: the page's program makes that from the messages.
 *
 * @module
 */

/** What the page is made of. */
export interface Assets {
  readonly script: string;
  readonly style: string;
}

/** A document whose head ends with `head` and whose body ends with `body`. */
export function documentOf(title: string, head: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
${head}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>${escapeHtml(title)}</title>
</head>
<body>
<noscript>This page needs JavaScript to draw its plots.</noscript>
<div id="page"></div>
${body}
</body>
</html>
`;
}

/** A text as content of an element. */
export function escapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replace(/[&<>"]/g, (char) => entities[char]!);
}
