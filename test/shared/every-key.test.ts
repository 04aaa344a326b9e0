// Breaks every key of every configuration in turn. The keys come from the schemas, so a new key
// is covered by being there.

import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { keysOf, shapeOf } from '#shared/schema-keys.ts'
import { checkServiceConfig } from '#shared/service-config.ts'
import { serviceSchema } from '#shared/service-schema.ts'
import { configurations, type Data, fullExample, problemsOf } from '#test/helpers/configurations.ts'

const examples = new Map(configurations.map(({ file }) => [file as string, fullExample(file)]))

/** No key of any configuration takes one of these. */
const wrongForAll: Record<string, unknown> = {
  nothing: null,
  'a fraction': 2_048.5,
  'a negative number': -1,
  'a huge number': 1e9,
  'no number': Number.NaN,
  'a list of lists': [[[]]],
  'an unknown mapping': { zzz: 1 },
  'a line break': 'a\r\nBcc: everybody@example.com',
  'a NUL': 'a\0b',
  'far too long a text': 'a'.repeat(50_000),
}

describe.each(configurations)('$title', ({ file, schema, parse }) => {
  const keys = keysOf(schema).map((key) => ({ ...key, path: pathOf(key.key) }))

  describe.each(Object.entries(wrongForAll))('refuses %s', (_, wrong) => {
    test.each(keys)('as $key', ({ path }) => {
      const text = stringify(withValue(usable(file), path, wrong))
      const problems = problemsOf(() => parse(text, file))
      expect(problems.map(keyOfProblem)).toContainEqual(
        expect.stringMatching(startOf(reportedPath(path))),
      )
      for (const { where } of problems) expectPlace(text, where)
    })
  })

  test.each(keys.filter(({ required }) => required))('misses $key', ({ path }) => {
    const text = stringify(without(usable(file), path))
    const problem = problemsOf(() => parse(text, file)).find(
      (candidate) => keyOfProblem(candidate) === textOf(path),
    )
    expect(problem?.what).toMatch(/^missing/)
  })

  test.each(keys.filter((key) => Object.keys(shapeOf(key.schema)).length > 0))(
    'refuses an unknown key in $key and names the one that was meant',
    ({ path, schema: inner }) => {
      const meant = Object.keys(shapeOf(inner))[0] ?? ''
      const isItem = Array.isArray(valueAt(usable(file), path))
      const parent = isItem ? [...path, 0] : path
      const text = stringify(withValue(usable(file), [...parent, `${meant}x`], 1))
      const problems = problemsOf(() => parse(text, file))
      if (isSecret(path)) return expect(problems.length).toBeGreaterThan(0)
      const expected = `unknown key "${meant}x"; did you mean \`${meant}\`?`
      expect(problems.map(({ what }) => what)).toContain(expected)
    },
  )

  test('names all wrong keys at once', () => {
    const leaves = keys.filter(({ key }) => !keys.some((other) => isInside(other.key, key)))
    const broken = leaves
      .filter(({ path }) => !isSecret(path.slice(0, -1)))
      .reduce((data, { path }) => withValue(data, path, 2_048.5), usable(file))
    const named = problemsOf(() => parse(stringify(broken), file)).map(keyOfProblem)
    const expected = leaves
      .map(({ path }) => textOf(path))
      .filter((text) => !/token|password/.test(text))
    expect(named).toEqual(expect.arrayContaining(expected))
  })
})

test('the API refuses the same, located by JSON pointer', () => {
  for (const { key } of keysOf(serviceSchema)) {
    const path = pathOf(key)
    const data = withValue(usable('services/service.example.yaml'), path, 2_048.5)
    const problems = problemsOf(() => checkServiceConfig(data))
    expect(problems.map(({ where }) => where)).toContain(`/${path.join('/')}`)
  }
})

const isInside = (key: string, parent: string) =>
  key.startsWith(`${parent}.`) || key.startsWith(`${parent}[`)

type Steps = (string | number)[]

/** The full example, less what must not stand together. */
function usable(file: string): Data {
  const data = structuredClone(examples.get(file)) as Data
  const image = data.image as Data | undefined
  delete image?.digest
  delete image?.archive
  if (data.hash !== undefined) data.balance = 'hash'
  for (const check of Object.values((data.checks ?? {}) as Record<string, Data>)) {
    delete check.tcp
    delete check.command
  }
  if (data.checks !== undefined) delete (data.health as Data).path
  return data
}

/** `topology[].restart.attempts`: the worker of the example has all keys. `*`: its first secret. */
function pathOf(key: string): Steps {
  return key
    .replace('secrets.*', 'secrets.api-key')
    .split('.')
    .flatMap((step) => (step.endsWith('[]') ? [step.slice(0, -2), 1] : [step]))
}

function textOf(path: Steps): string {
  return path.reduce<string>(
    (text, step) =>
      typeof step === 'number' ? `${text}[${step}]` : text === '' ? step : `${text}.${step}`,
    '',
  )
}

const isSecret = (path: Steps) => /(?:token|password)$/.test(String(path.at(-1)))

/** A secret is judged as a whole. */
const reportedPath = (path: Steps) => (isSecret(path.slice(0, -1)) ? path.slice(0, -1) : path)

function startOf(path: Steps): RegExp {
  return new RegExp(`^${textOf(path).replace(/[.[\]]/g, '\\$&')}(?:$|[.[])`)
}

const keyOfProblem = ({ where }: { where: string }) => where.replace(/^\S+:\d+:\d+ ?/, '')

/** The line and column are those of the key, or of the nearest parent when the key is missing. */
function expectPlace(text: string, where: string): void {
  const [, line, column, key] = /^\S+:(\d+):(\d+) ?(.*)$/.exec(where) ?? []
  const rest = text.split('\n')[Number(line) - 1]?.slice(Number(column) - 1) ?? ''
  const names = (key ?? '').split(/[.[\]"]+/).filter((name) => name !== '' && !/^\d+$/.test(name))
  const found = /^[\w-]+/.exec(rest)?.[0]
  // An item of a list begins with its first key or its value.
  if (found !== undefined && !/\[\d+\]/.test(key ?? '')) expect(names).toContain(found)
}

function valueAt(data: unknown, path: Steps): unknown {
  return path.reduce<unknown>((value, step) => (value as Data | undefined)?.[step], data)
}

function withValue(data: Data, path: Steps, value: unknown): Data {
  const copy = structuredClone(data)
  const parent = path
    .slice(0, -1)
    .reduce<unknown>((part, step) => (part as Data)[step], copy) as Data
  parent[path.at(-1) as string] = value
  return copy
}

function without(data: Data, path: Steps): Data {
  const copy = structuredClone(data)
  const parent = valueAt(copy, path.slice(0, -1)) as Data
  delete parent[path.at(-1) as string]
  return copy
}
