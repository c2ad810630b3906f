/**
 * Builds the site: pages and API reference by TypeDoc.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { ProjectReflection, Reflection } from 'typedoc';
import { Application, Converter, Logger, LogLevel, ReflectionGroup } from 'typedoc';
import { root } from '../run.js';
import { deadLinksOfSite } from './links.js';
import { API, PAGES } from './pages.js';

/** Warnings that say nothing about the documentation: a schema's comment is found along two ways, and is the same. */
const NO_PROBLEM = /has multiple declarations with a comment/;

class Problems extends Logger {
  readonly list: string[] = [];

  override log(message: string, level: LogLevel): void {
    if (level >= LogLevel.Warn && !NO_PROBLEM.test(message)) this.list.push(message);
  }
}

/**
 * Writes the site into a folder.
 *
 * @returns What is wrong: undocumented exports and members, links without a target, pages that do not exist.
 */
export async function buildSite(out: string): Promise<string[]> {
  const pages = Object.values(PAGES).flat();
  const missing = pages.filter(({ file }) => !existsSync(join(root, file))).map(({ file }) => `${file} does not exist`);
  const app = await Application.bootstrap({
    name: 'deepzero',
    includeVersion: true,
    basePath: root,
    entryPoints: [join(root, 'lib/index.ts')],
    tsconfig: join(root, 'tsconfig.build.json'),
    // The type checker has its own step.
    skipErrorChecking: true,
    readme: join(root, 'README.md'),
    projectDocuments: pages.map(({ file }) => join(root, file)).filter(existsSync),
    out,
    githubPages: false,
    hideGenerator: true,
    alwaysCreateEntryPointModule: false,
    customCss: join(root, 'scripts/site/style.css'),
    lightHighlightTheme: 'github-light',
    darkHighlightTheme: 'github-dark',
    highlightLanguages: ['typescript', 'javascript', 'json', 'sh', 'python', 'c', 'tsx', 'text'],
    excludeInternal: true,
    excludePrivate: true,
    kindSortOrder: ['Document', 'Function', 'Class', 'Variable', 'Interface', 'TypeAlias', 'Namespace'],
    sort: ['documents-first', 'kind', 'alphabetical'],
    navigation: { includeGroups: true, excludeReferences: true },
    searchInDocuments: true,
    searchInComments: true,
    includeHierarchySummary: false,
    visibilityFilters: {},
    validation: { notExported: true, invalidLink: true, notDocumented: true, invalidPath: true },
  });
  const problems = new Problems();
  app.logger = problems;
  app.converter.on(
    Converter.EVENT_RESOLVE_END,
    ({ project }) => {
      arrange(project);
    },
    // After TypeDoc has grouped by kind.
    -1000,
  );
  const project = await app.convert();
  if (!project) return [...missing, ...problems.list];
  app.validate(project);
  await app.generateOutputs(project);
  return [...missing, ...problems.list, ...deadLinksOfSite(out)];
}

/** Groups pages as `PAGES` does, and exports by the folder that they come from. */
function arrange(project: ProjectReflection): void {
  const fileOf = new Map(
    (project.documents ?? []).map((page) => [relative(root, project.files.getReflectionPath(page) ?? ''), page]),
  );
  const exported = Object.entries(API).map(([title, folders]) => {
    const own = (project.children ?? []).filter(({ sources = [] }) => {
      const [, folder = ''] = dirname(sources[0]?.fileName ?? '').split('/');
      return folders.includes(folder);
    });
    return [title, own] as const;
  });
  const pages = Object.entries(PAGES).map(([title, listed]) => {
    const own = listed.flatMap(({ file, name }) => {
      const page = fileOf.get(file);
      if (page) page.name = name;
      return page ? [page] : [];
    });
    return [title, own] as const;
  });
  project.groups = [...pages, ...exported]
    .filter(([, children]) => children.length > 0)
    .map(([title, children]: readonly [string, readonly Reflection[]]) => {
      const group = new ReflectionGroup(title, project);
      group.children.push(...(children as ReflectionGroup['children']));
      return group;
    });
}
