// The program as a process: exit codes, a reader that goes away, no colour in a pipe.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { anInstance } from '#test/fakes/ctld.ts'
import { createTestCli } from '#test/helpers/cli.ts'

const MAIN = join(import.meta.dirname, '../../cli/main.ts')

test('a reader that has enough is no failure', { timeout: 30_000 }, async () => {
  const instances = Array.from({ length: 5_000 }, (_, index) => anInstance({ id: `i-${index}` }))
  const { folder } = await createTestCli({ instances })
  const child = spawn(process.execPath, [MAIN, 'ps'], { cwd: folder, env: {} })
  const said = text(child.stderr)
  const ended = once(child, 'exit')
  await once(child.stdout, 'data')
  child.stdout.destroy()
  expect(await ended).toEqual([0, null])
  expect(await said).toBe('')
})

test('the exit code of wrong usage is 2, of a failure 1', { timeout: 30_000 }, async () => {
  const { folder } = await createTestCli()
  for (const [words, code] of [
    [['pss'], 2],
    [['show', 'nothing'], 1],
    [['services'], 0],
  ] as const) {
    const child = spawn(process.execPath, [MAIN, ...words], { cwd: folder, env: {} })
    expect((await once(child, 'exit'))[0]).toBe(code)
  }
})

test('SIGINT ends a following command with 130', { timeout: 30_000 }, async () => {
  const { folder, ctld } = await createTestCli()
  ctld.addEvent('something')
  const child = spawn(process.execPath, [MAIN, 'events', '-f'], { cwd: folder, env: {} })
  const ended = once(child, 'exit')
  await once(child.stdout, 'data')
  child.kill('SIGINT')
  expect(await ended).toEqual([130, null])
})
