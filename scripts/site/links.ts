/**
 * Links that lead nowhere: in markdown pages, and in the pages of the site.
 *
 * @module
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

interface Link {
  /** A path relative to the page, or empty for the page itself. */
  readonly path: string;
  readonly anchor: string;
}

function linkOf(target: string): Link | undefined {
  if (/^[a-z][a-z+.-]*:|^\/\//i.test(target)) return undefined;
  const [path = '', anchor = ''] = target.split('#');
  return { path: decodeURIComponent(path.replace(/\?.*$/, '')), anchor: decodeURIComponent(anchor) };
}

/** The anchor of a heading, as GitHub makes it. */
function slug(heading: string): string {
  const text = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
  return text
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');
}

const withoutCode = (markdown: string): string => markdown.replace(/^```.*?^```$/gms, '').replace(/`[^`\n]*`/g, '');

function anchorsOf(markdown: string): Set<string> {
  const headings = [...markdown.replace(/^```.*?^```$/gms, '').matchAll(/^#{1,6} (.+)$/gm)];
  return new Set(headings.map(([, heading]) => slug(heading!)));
}

/**
 * The links of a markdown page whose file or heading does not exist, one line each.
 *
 * @param file The page's path, absolute.
 */
export function deadLinks(file: string, markdown: string): string[] {
  const targets = [...withoutCode(markdown).matchAll(/\]\(\s*<?([^)\s>]+)/g)].map(([, target]) => target!);
  return targets.filter((target) => {
    const link = linkOf(target);
    if (!link) return false;
    const at = link.path === '' ? file : resolve(dirname(file), link.path);
    if (at !== file && !existsSync(at)) return true;
    if (link.anchor === '' || !at.endsWith('.md')) return false;
    return !anchorsOf(at === file ? markdown : readFileSync(at, 'utf8')).has(link.anchor);
  });
}

/** The links in a folder of HTML pages whose file or element does not exist, one line each. */
export function deadLinksOfSite(folder: string): string[] {
  const pages = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.html'));
  const texts = new Map(pages.map((name) => [join(folder, name), readFileSync(join(folder, name), 'utf8')]));
  const ids = new Map(
    [...texts].map(([name, text]) => [name, new Set([...text.matchAll(/\bid="([^"]*)"/g)].map(([, id]) => id))]),
  );
  return [...texts].flatMap(([file, text]) =>
    [...text.matchAll(/<(?:a|img|link|script)\b[^>]*\b(?:href|src)="([^"]*)"/g)]
      .map(([, target]) => target!.replaceAll('&amp;', '&').replaceAll('&#x27;', "'"))
      .filter((target) => {
        const link = linkOf(target);
        if (!link) return false;
        const at = link.path === '' ? file : resolve(dirname(file), link.path);
        if (!existsSync(at) || statSync(at).isDirectory()) return true;
        return link.anchor !== '' && ids.get(at)?.has(link.anchor) === false;
      })
      .map((target) => `${relative(folder, file)} links to ${target}`),
  );
}
