// tucano secret and restart against a fake controller: where a value is read from, and that it is
// shown nowhere.

import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { SECRET_BYTES_MAX } from '#shared/wire.ts'
import { aDeployment } from '#test/fakes/ctld.ts'
import { createTestCli, type RunOptions, type TestCli } from '#test/helpers/cli.ts'

const set = (cli: TestCli, input: RunOptions['input'], ...more: string[]) =>
  cli.begin(['secret', 'set', 'db-password', ...more], { input: input ?? '' }).done

const values = ({ ctld }: TestCli) =>
  ctld.commands.flatMap((command) => (command.kind === 'put_secret' ? command.value : []))

test('set takes what is piped in, without one line break at its end', async () => {
  const cli = await createTestCli()
  const { code, out, err } = await set(cli, 'hunter2\n')
  expect({ code, out }).toEqual({ code: 0, out: 'db-password: version 3 is set\n' })
  expect(err).toBe('api still has version 1; to change that: tucano restart api\n')
  await set(cli, 'hunter2\r\n')
  await set(cli, 'a\nb\n\n')
  await set(cli, 'hunter2\n', '--exact')
  expect(values(cli)).toEqual(['hunter2', 'hunter2', 'a\nb\n', 'hunter2\n'])
})

test('S6: nothing that set says has the value, in JSON neither', async () => {
  const cli = await createTestCli()
  for (const argv of [[], ['--json'], ['--wide']]) {
    const { out, err } = await set(cli, 'hunter2', ...argv)
    expect(out + err).not.toContain('hunter2')
  }
})

test.each([
  ['nothing', '', 'the value is empty: pipe it in, like: tucano secret set NAME < FILE'],
  ['a line break', '\n', 'the value is empty'],
  ['bytes that are no text', Buffer.from([0xff, 0xfe]), 'the value is not UTF-8 text'],
  ['too much', 'x'.repeat(SECRET_BYTES_MAX + 1), `longer than ${SECRET_BYTES_MAX} bytes`],
  ['without end', 'x'.repeat(3 * SECRET_BYTES_MAX), `longer than ${SECRET_BYTES_MAX} bytes`],
])('set refuses %s', async (_, input, words) => {
  const cli = await createTestCli()
  const { code, err } = await set(cli, input)
  expect(code).toBe(2)
  expect(err).toContain(words)
  expect(cli.ctld.commands).toEqual([])
})

/** A terminal: what is typed arrives in pieces, and echoes unless it is raw. */
function aTerminal() {
  const modes: boolean[] = []
  const setRawMode = (isRaw: boolean) => modes.push(isRaw)
  return { input: Object.assign(new PassThrough(), { isTTY: true, setRawMode }), modes }
}

test.each([
  ['Enter', ['hunt', 'er2\r'], 'hunter2'],
  ['Ctrl-D', ['hunter2\u0004'], 'hunter2'],
  ['Backspace', ['hunterx\u007f', '2é\u007f\b2\r'], 'hunter2'],
  ['letters of more than one byte', ['ação\r'], 'ação'],
])('on a terminal it is typed without an echo: %s', async (_, typed, value) => {
  const cli = await createTestCli()
  const { input, modes } = aTerminal()
  const running = cli.begin(['secret', 'set', 'db-password'], { input })
  await running.said(/type the value of db-password and Enter; it is not shown/)
  for (const piece of typed) input.write(piece)
  expect((await running.done).code).toBe(0)
  expect(values(cli)).toEqual([value])
  expect(modes).toEqual([true, false])
})

test('on a terminal Ctrl-C ends it, and the terminal is as it was', async () => {
  const cli = await createTestCli()
  const { input, modes } = aTerminal()
  const running = cli.begin(['secret', 'set', 'db-password'], { input })
  await running.said(/not shown/)
  input.write('hunter2\u0003')
  expect((await running.done).code).toBe(130)
  expect(values(cli)).toEqual([])
  expect(modes).toEqual([true, false])
})

test('a signal ends the wait for a pipe that says nothing', async () => {
  const cli = await createTestCli()
  const running = cli.begin(['secret', 'set', 'db-password'], { input: new PassThrough() })
  running.interrupt()
  expect((await running.done).code).toBe(130)
})

test('set --restart restarts who has a former version, and waits for it', async () => {
  const done = aDeployment({ id: 'd-2', state: 'complete_running' })
  const cli = await createTestCli({ deployments: [done] })
  const { code, out } = await set(cli, 'x', '--restart')
  expect({ code, out }).toEqual({
    code: 0,
    out: 'db-password: version 3 is set\napi: restarted\n',
  })
  expect(cli.ctld.commands.map(({ kind }) => kind)).toEqual(['put_secret', 'restart'])
})

test('restart replaces the instances of a service', async () => {
  const cli = await createTestCli()
  const { code, out } = await cli.tucano('restart', 'api', '--detach')
  expect({ code, out }).toEqual({ code: 0, out: 'd-2\n' })
  expect(cli.ctld.commands).toEqual([{ kind: 'restart', service: 'api' }])
})

test('ls shows names, versions and users', async () => {
  const cli = await createTestCli()
  const { out } = await cli.tucano('secret', 'ls')
  expect(out).toMatch(/^SECRET +VERSION +SET +USED BY\ndb-password +2 +\S+ s +api \(version 1\)\n$/)
  expect(JSON.parse((await cli.tucano('secret', 'ls', '--json')).out)).toMatchObject({
    secrets: [{ name: 'db-password' }],
  })
})

test('rm removes one', async () => {
  const cli = await createTestCli()
  expect((await cli.tucano('secret', 'rm', 'db-password')).out).toBe('db-password: removed\n')
})

test.each([
  [['secret'], 'set|ls|rm is missing'],
  [['secret', 'set'], 'use: tucano secret set NAME, rm NAME, or ls'],
  [['secret', 'ls', 'db'], 'use: tucano secret set NAME, rm NAME, or ls'],
  [['secret', 'set', '../a'], 'NAME must be of a-z, 0-9 and -'],
  [['secret', 'set', 'db', 'hunter2'], 'unexpected argument'],
])('%j is a wrong use', async (argv, words) => {
  const cli = await createTestCli()
  const { code, err } = await cli.tucano(...argv)
  expect(code).toBe(2)
  expect(err).toContain(words)
})
