// The documents say what the code says: every state and event is in the drawings, every part has
// its folder, every command and every link leads somewhere.

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { accessLine } from '#ctld/balancer/data-plane/loop/access-line.ts'
import { ENDED_BY, PHASES } from '#ctld/balancer/data-plane/loop/tally.ts'
import packageJson from '#package.json' with { type: 'json' }
import { type Source, sourceOf } from './tidy/source.ts'

const stateMachines = read('docs/state-machines.md')

describe.each([
  ['An instance, as its agent sees it', 'agentd/runner/process.ts', 'Step', 10],
  ['An instance, as its agent sees it', 'agentd/runner/process.ts', 'OrderKind', 10],
  ['An instance, as its agent sees it', 'agentd/runner/process.ts', 'ProcessEvent', 10],
  ['An instance, as its agent sees it', 'shared/model.ts', 'InstancePhase', 12],
  ['An instance, as the controller sees it', 'shared/model.ts', 'InstanceState', 5],
  ['An instance, as the controller sees it', 'shared/model.ts', 'FinalState', 7],
  ['An instance, as the controller sees it', 'ctld/instance.ts', 'InstanceEvent', 12],
  ['A worker', 'shared/model.ts', 'NodeState', 5],
  ['A deployment', 'shared/model.ts', 'DeploymentState', 11],
] as const)('%s', (heading, file, union, countMin) => {
  const section = sectionOf(stateMachines, heading)
  const names = namesOf(read(file), union)

  test(`the section has every ${union}`, () => {
    expect(names.length).toBeGreaterThanOrEqual(countMin)
    expect(names.filter((name) => !hasWord(section, name))).toEqual([])
  })
})

test('a drawing has no state that the code does not have', () => {
  const known = (...unions: [string, string][]) =>
    new Set(unions.flatMap(([file, union]) => namesOf(read(file), union)))
  const drawn = (heading: string) => statesDrawn(drawingOf(sectionOf(stateMachines, heading)))
  expect(drawn('An instance, as its agent sees it')).toEqual(
    known(['agentd/runner/process.ts', 'Step'], ['agentd/runner/process.ts', 'Serving']),
  )
  expect(drawn('An instance, as the controller sees it')).toEqual(
    known(['shared/model.ts', 'InstanceState'], ['shared/model.ts', 'FinalState']),
  )
  expect(drawn('A worker')).toEqual(known(['shared/model.ts', 'NodeState']))
  expect(drawn('A deployment')).toEqual(known(['shared/model.ts', 'DeploymentState']))
  expect(drawn('An incident')).toEqual(new Set(['gathering', 'open', 'recovered']))
  expect(drawn('A request in the balancer')).toEqual(new Set(PHASES.filter((one) => one !== '')))
})

test('the access log is described with every field, phase and end of a request', () => {
  const section = read('docs/operations.md').split('### The access log')[1] ?? ''
  const described = new Set([...section.matchAll(/^\| (.+?) \|/gm)].map(([, cell = '']) => cell))
  const line = accessLine({
    ...{ at: '', client: '', service: '', instance: '', method: '', host: '', path: '' },
    ...{ status: 200, bytesIn: 0, bytesOut: 0, retries: 0, isReused: false, requestId: '' },
    ...{ queueUs: 0, connectUs: 0, firstByteUs: 0, totalUs: 0, endedBy: '', phase: '', error: 'E' },
  })
  const fields = Object.keys(JSON.parse(line) as object)
  const words = [...described].join(' ')
  expect(fields.filter((field) => !words.includes(`\`${field}\``))).toEqual([])
  expect(fields.length).toBeGreaterThan(15)
  const said = [...ENDED_BY, ...PHASES].filter((word) => word !== '')
  expect(said.filter((word) => !section.includes(`\`${word}\``))).toEqual([])
})

test('M01, M02: the architecture draws every actor and part, and each part has its folder', () => {
  const drawing = drawingOf(read('docs/architecture.md'))
  const parts = {
    ctld: ['deployer', 'balancer', 'agent-manager', 'config-manager', 'discovery'],
    agentd: ['monitor', 'runner'],
  }
  for (const [program, folders] of Object.entries(parts)) {
    for (const folder of folders) {
      expect(hasWord(drawing, folder), folder).toBe(true)
      expect(existsSync(join(program, folder)), folder).toBe(true)
    }
  }
  for (const actor of ['user((user))', 'sysadmin((sysadmin))', 'program']) {
    expect(drawing).toContain(actor)
  }
})

describe.each(documents())('%s', (path) => {
  const text = read(path)

  test('links to what is there', () => {
    const links = [...text.matchAll(/\]\(([^)#\s]+)(#[^)]*)?\)/g)].map(([, to = '']) => to)
    const missing = links.filter((to) => !/^\w+:/.test(to) && !existsSync(join(dirname(path), to)))
    expect(missing).toEqual([])
  })

  test('names files that are there', () => {
    const names = [...text.matchAll(/`((?:ctld|agentd|shared|cli|test|bench|docs)\/[\w./-]+)`/g)]
    expect(names.map(([, name = '']) => name).filter((name) => !existsSync(name))).toEqual([])
  })

  test('names scripts that are there', () => {
    const scripts = [...text.matchAll(/\bnpm run ([\w:-]+)/g)].map(([, name]) => name)
    expect(scripts.filter((name) => !Object.hasOwn(packageJson.scripts, name ?? ''))).toEqual([])
  })
})

test('every command that users are told of is there', () => {
  const known = new Set(['up'])
  for (const [, name = ''] of read('cli/commands.ts').matchAll(/from '\.\/([\w-]+)\.ts'/g)) {
    known.add(name)
  }
  const told = [
    ...documents().flatMap((path) => commandsIn(read(path))),
    ...sources().flatMap((source) => commandsIn(withoutComments(source))),
  ]
  const wrong = told.filter((command) => {
    const [name = '', word] = command.split(' ')
    if (name === 'alerts' && word !== undefined) return word !== 'test'
    if (name === 'config' && word !== undefined) return !['get', 'put', 'history'].includes(word)
    return !known.has(name)
  })
  expect(wrong).toEqual([])
})

function documents(): string[] {
  const list = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z', '*.md'])
  return [...new Set(list.toString().split('\0'))].filter((path) => path !== '' && existsSync(path))
}

function sources(): Source[] {
  const folders = ['ctld', 'agentd', 'shared', 'cli']
  const list = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z', ...folders])
  return [...new Set(list.toString().split('\0'))]
    .filter((path) => path.endsWith('.ts') && existsSync(path))
    .map((path) => sourceOf(path, read(path)))
}

function withoutComments({ text, comments }: Source): string {
  return text.replaceAll(/\S/g, (char, at) => (comments[at] === char ? ' ' : char))
}

/** `alerts list` of every `tucano alerts list`, where it stands as something to type. */
function commandsIn(text: string): string[] {
  const typed = /(?:^|[`'(:;$ ]\s?)tucano ([a-z]+)(?: (list|show|logs|test|get|put|history))?\b/gm
  return [...text.matchAll(typed)].map(([, name = '', word]) => [name, word].join(' ').trim())
}

function read(path: string): string {
  return readFileSync(path, 'utf8')
}

/** The quoted names of a union: its members, or the `kind` or `at` of each of them. */
function namesOf(source: string, union: string): string[] {
  const body = new RegExp(
    `^export type ${union} =([\\s\\S]*?)(?=\\n(?:export|function|\\n\\S))`,
    'm',
  )
  const text = body.exec(source)?.[1] ?? ''
  const tagged = [...text.matchAll(/\b(?:kind|at): '(\w+)'/g)]
  const plain = [...text.matchAll(/(?:\||=|^)\s*'(\w+)'/gm)]
  return [...new Set((tagged.length > 0 ? tagged : plain).map(([, name = '']) => name))]
}

function sectionOf(text: string, heading: string): string {
  const section = text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`))
  expect(section, heading).toBeDefined()
  return section ?? ''
}

function drawingOf(text: string): string {
  return /```mermaid\n([\s\S]*?)```/.exec(text)?.[1] ?? ''
}

/** Both ends of each arrow, without the beginning and the end of all. */
function statesDrawn(drawing: string): Set<string> {
  const ends = [...drawing.matchAll(/^ *(\S+) --> ([^\s:]+)/gm)]
  return new Set(
    ends.flatMap(([, from = '', to = '']) => [from, to]).filter((end) => end !== '[*]'),
  )
}

function hasWord(text: string, word: string): boolean {
  return new RegExp(`(?<![\\w-])${word}(?![\\w-])`).test(text)
}
