// Who may import whom. Reads the imports of a source and judges each of them; the exceptions that
// exist are listed by name, and the list only gets shorter.

import type { Violation } from './rules.ts'
import { lineOf, quotedAt, type Source } from './source.ts'

/** `to`: a path in the repository, or a package's name. `isType`: it leaves nothing at run time. */
export type Import = { line: number; specifier: string; to: string; isType: boolean }

const WITH_FROM = /\b(import|export)\s+(type\s+)?((?:[\w*$]+|\{[^}]*\})[^'"()]*?)\bfrom\s*(?=['"])/g
const FOR_EFFECT = /\bimport\s*(?=['"])/g
const DYNAMIC = /\bimport\s*\(\s*(?=['"`])/g

export function importsOf(source: Source): Import[] {
  const { code } = source
  const made = (match: RegExpMatchArray, isType: boolean): Import => {
    const specifier = quotedAt(source, (match.index ?? 0) + match[0].length)
    const to = targetOf(source.path, specifier)
    return { line: lineOf(code, match.index ?? 0), specifier, to, isType }
  }
  return [
    ...[...code.matchAll(WITH_FROM)].map((match) =>
      made(match, match[2] !== undefined || hasOnlyTypes(match[3] ?? '')),
    ),
    ...[...code.matchAll(FOR_EFFECT)].map((match) => made(match, false)),
    ...[...code.matchAll(DYNAMIC)].map((match) => made(match, false)),
  ]
}

function hasOnlyTypes(clause: string): boolean {
  const names = /^\{([^}]*)\}\s*$/.exec(clause)?.[1]?.split(',') ?? ['a default or a namespace']
  return names.every((name) => /^\s*(type\s|$)/.test(name))
}

function targetOf(path: string, specifier: string): string {
  if (specifier.startsWith('#')) return specifier.slice(1)
  if (!specifier.startsWith('.')) return specifier
  const steps = path.split('/').slice(0, -1)
  for (const step of specifier.split('/')) {
    if (step === '..') steps.pop()
    else if (step !== '.') steps.push(step)
  }
  return steps.join('/')
}

/** What each part of the system may use beside itself. `cli` reaches the others over HTTP. */
const MAY_USE: Record<string, readonly string[]> = {
  shared: [],
  ctld: ['shared'],
  agentd: ['shared'],
  cli: ['shared'],
  ui: ['shared'],
  services: [],
  bench: ['shared', 'ctld', 'agentd', 'cli', 'services', 'test'],
  test: ['shared', 'ctld', 'agentd', 'cli', 'ui', 'services', 'bench'],
}

/** Modules of Node that reach the world. The others compute. */
const REACHING = new Set(
  [
    'fs fs/promises net http http2 https tls dgram dns dns/promises child_process cluster',
    'worker_threads sqlite os readline timers timers/promises repl inspector',
  ]
    .join(' ')
    .split(' ')
    .map((name) => `node:${name}`),
)
/** Of those modules, what only computes. */
const COMPUTING = /^\{\s*((BlockList|isIP|isIPv4|isIPv6|STATUS_CODES|type \w+)\s*,?\s*)+\}\s*$/

export function importViolations(source: Source, exceptions: ReadonlySet<string>): Violation[] {
  return importsOf(source).flatMap((one) => {
    const what = faultOf(source, one)
    if (what === undefined || exceptions.has(`${source.path} → ${one.to}`)) return []
    return [{ path: source.path, line: one.line, what: `${one.specifier}: ${what}` }]
  })
}

/** Exceptions that nothing needs any more. */
export function needlessExceptions(
  sources: readonly Source[],
  exceptions: ReadonlySet<string>,
): string[] {
  const needed = new Set(
    sources.flatMap((source) =>
      importsOf(source)
        .filter((one) => faultOf(source, one) !== undefined)
        .map((one) => `${source.path} → ${one.to}`),
    ),
  )
  return [...exceptions].filter((exception) => !needed.has(exception))
}

function faultOf(source: Source, one: Import): string | undefined {
  const { path } = source
  const { specifier, to, isType } = one
  if (specifier === '..' || specifier.startsWith('../')) return 'an import never climbs'
  const isOurs = specifier.startsWith('.') || specifier.startsWith('#')
  if (!isOurs) return isType ? undefined : faultOfPackage(source, one)
  if (!/\.(ts|json)$/.test(specifier)) return 'an import carries the extension of its file'
  const [from = '', part = ''] = [partOf(path), partOf(to)]
  if (part !== from && part !== 'package.json' && !MAY_USE[from]?.includes(part)) {
    return `${from} does not import ${part}`
  }
  if (isType || from === 'test' || from === 'bench') return undefined
  if (to.endsWith('.io.ts') && !mayUseEdges(path)) {
    return 'an edge is imported by main.ts, other edges, commands and tests'
  }
  return faultOfFolder(path, to)
}

function faultOfPackage({ path, code }: Source, { line, specifier }: Import): string | undefined {
  if (!/^(ctld|agentd|shared)\//.test(path) || mayUseEdges(path)) return undefined
  if (!REACHING.has(specifier)) return undefined
  const clause = /\bimport\s+(\{[^}]*\})/.exec(
    code
      .split('\n')
      .slice(line - 1)
      .join('\n'),
  )?.[1]
  return COMPUTING.test(clause ?? '') ? undefined : 'the world is reached by *.io.ts alone'
}

/** Another folder's decisions are reached through its noun, the file with the folder's name. */
function faultOfFolder(path: string, to: string): string | undefined {
  const [own, other] = [folderOf(path), folderOf(to)]
  if (own === undefined || other === undefined || own === other) return undefined
  if (to.endsWith('.io.ts') || to === `${other}/${other.split('/').at(-1)}.ts`) return undefined
  return `it is inside ${other}; go through its noun`
}

/** `ctld/deployer`; undefined for the files that stand above the folders, like ctld/ctld.ts. */
function folderOf(path: string): string | undefined {
  const [part = '', folder, file] = path.split('/')
  return (part === 'ctld' || part === 'agentd') && file !== undefined
    ? `${part}/${folder}`
    : undefined
}

function partOf(path: string): string {
  return path.split('/')[0] ?? ''
}

function mayUseEdges(path: string): boolean {
  return path.endsWith('.io.ts') || path.endsWith('/main.ts') || path.startsWith('cli/')
}
