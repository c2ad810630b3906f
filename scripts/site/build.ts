/**
 * Builds the site: pages and API reference by TypeDoc.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { CommentDisplayPart, DeclarationReflection, ProjectReflection, Reflection } from 'typedoc';
import { Application, Converter, Logger, LogLevel, PageEvent, ReflectionGroup } from 'typedoc';
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

/** The languages of code in pages; code in any other is a problem. */
const LANGUAGES = ['typescript', 'javascript', 'json', 'sh', 'python', 'c', 'tsx', 'text'] as const;

/**
 * Writes the site into a folder.
 *
 * @param settings.colours Whether code is highlighted, which takes a third of the time; default: true.
 * @returns What is wrong: undocumented exports and members, links without a target, pages that do not exist.
 */
export async function buildSite(out: string, { colours = true } = {}): Promise<string[]> {
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
    // The site is the same in every clone, whatever its remotes; without a template there would be no places in the sources.
    disableGit: true,
    sourceLinkTemplate: '{path}',
    hideGenerator: true,
    alwaysCreateEntryPointModule: false,
    customCss: join(root, 'scripts/site/style.css'),
    customJs: join(root, 'scripts/site/open.js'),
    lightHighlightTheme: 'github-light',
    darkHighlightTheme: 'github-dark',
    highlightLanguages: colours ? [...LANGUAGES] : [],
    ignoredHighlightLanguages: colours ? [] : [...LANGUAGES, 'ts', 'js'],
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
      linkNames(project);
      unlinkSources(project);
    },
    // After TypeDoc has grouped by kind.
    -1000,
  );
  app.renderer.on(PageEvent.END, (page) => {
    // A folder has no index where pages are read from a disk.
    if (page.contents) page.contents = page.contents.replace(/href="\.\.\/(?=[#"])/g, 'href="../index.html');
  });
  const project = await app.convert();
  if (!project) return [...missing, ...problems.list];
  app.validate(project);
  await app.generateOutputs(project);
  return [...missing, ...problems.list, ...deadLinksOfSite(out)];
}

/** Names places in the sources without a link: where a reader has them is unknown. */
function unlinkSources(project: ProjectReflection): void {
  for (const reflection of Object.values(project.reflections)) {
    if (reflection.isDeclaration() || reflection.isSignature())
      for (const source of reflection.sources ?? []) delete source.url;
  }
}

/** Makes links to the reference of names in `code`: in pages, and in the comments of others. */
function linkNames(project: ProjectReflection): void {
  const exported = new Map((project.children ?? []).map((child) => [`\`${child.name}\``, child]));
  const link = (parts: CommentDisplayPart[], owner?: Reflection): void => {
    for (const [i, { kind, text }] of parts.entries()) {
      const target = kind === 'code' ? exported.get(text) : undefined;
      const isWithinLink = parts[i - 1]?.text.endsWith('[') ?? false;
      if (!target || isWithinLink || target === owner) continue;
      parts[i] = { kind: 'inline-tag', tag: '@linkcode', text: target.name, target };
    }
  };
  for (const page of project.documents ?? []) link(page.content);
  for (const reflection of Object.values(project.reflections)) {
    const owner = topLevel(reflection);
    if (!reflection.comment) continue;
    link(reflection.comment.summary, owner);
    for (const { tag, content } of reflection.comment.blockTags) if (tag !== '@example') link(content, owner);
  }
}

function topLevel(reflection: Reflection): Reflection {
  const { parent } = reflection;
  return !parent || parent.isProject() ? reflection : topLevel(parent);
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
  for (const child of project.children ?? []) hideSchema(child);
  project.groups = [...pages, ...exported]
    .filter(([, children]) => children.length > 0)
    .map(([title, children]: readonly [string, readonly Reflection[]]) => {
      const group = new ReflectionGroup(title, project);
      group.children.push(...(children as ReflectionGroup['children']));
      return group;
    });
}

/** Options come from schemas, which are none of the reader's business: their own type, not what it is made of. */
function hideSchema(reflection: DeclarationReflection): void {
  if (!reflection.extendedTypes?.some((type) => type.toString().startsWith('Infer'))) return;
  delete reflection.extendedTypes;
  delete reflection.typeHierarchy;
  for (const child of reflection.children ?? []) {
    delete child.inheritedFrom;
    delete child.overwrites;
    // The schema; the text says the default.
    delete child.defaultValue;
    delete child.sources;
  }
}
