import { expect, test } from 'vitest'
import { parseYamlSafely } from '#shared/parse-yaml-safely.io.ts'

test('gives what readYaml gives', async () => {
  const { data, file, positions } = await parseYamlSafely('a: [1, x]\n', 'a.yaml')
  expect({ data, file }).toEqual({ data: { a: [1, 'x'] }, file: 'a.yaml' })
  expect(positions.get('/a/1')).toEqual({ line: 1, column: 8 })
})

test('hands on every problem', async () => {
  await expect(parseYamlSafely('a: 1\na: 2\nb: *x\n', 'a.yaml')).rejects.toMatchObject({
    code: 'invalid_config',
    problems: [{ where: 'a.yaml:2:1 a' }, { where: 'a.yaml:3:1 b' }],
  })
})

test('a text that takes too long is given up at the deadline, and the loop stays free', async () => {
  const reading = parseYamlSafely('[ '.repeat(30_000), 'a.yaml', 1)
  await expect(reading).rejects.toMatchObject({
    code: 'invalid_config',
    problems: [{ where: 'a.yaml', what: 'not read within 1 ms' }],
  })
})

test('the deepest nesting is refused, not a crash', async () => {
  await expect(parseYamlSafely('['.repeat(60_000), 'a.yaml', 20_000)).rejects.toMatchObject({
    code: 'invalid_config',
  })
})

test('10 MB are refused before a thread is started', async () => {
  await expect(parseYamlSafely('a'.repeat(10_000_000), 'a.yaml')).rejects.toThrow('10000000 bytes')
})
