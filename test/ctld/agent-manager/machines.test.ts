// Restart commands, run for real.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createMachines, OUTPUT_TAIL_MAX } from '#ctld/agent-manager/machines.io.ts'
import type { TucanoError } from '#shared/errors.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

const machines = createMachines()
const failureOf = (command: string[], timeoutMs = 10_000) =>
  machines.restart(command, timeoutMs).then(
    () => undefined,
    (error: TucanoError) => error,
  )

test('Q05: a restart command is run as it is written, without a shell', async () => {
  const folder = temporaryFolder()
  const file = join(folder, 'made $(touch evil); x')
  await machines.restart(['touch', file], 10_000)
  expect(existsSync(file)).toBe(true)
})

test('a command that fails says how, with the end of what it wrote', async () => {
  const script = `head -c 100000 /dev/zero | tr '\\0' x; printf 'no\\r\\nsuch host' >&2; exit 3`
  const error = await failureOf(['sh', '-c', script])
  expect(error?.code).toBe('unavailable')
  expect(error?.message).toMatch(/^sh exited with 3; it said: x+no such host$/)
  expect(error?.message.length).toBeLessThan(OUTPUT_TAIL_MAX + 50)
})

test('a command that cannot be started, or is empty, is an error in words', async () => {
  expect((await failureOf(['/no/such/program']))?.message).toContain('did not start')
  expect((await failureOf([]))?.code).toBe('usage')
})

test('a command that takes too long is killed with all that it started', async () => {
  const folder = temporaryFolder()
  const file = join(folder, 'pid')
  const script = `sleep 1000 & echo $! > ${file}; wait`
  const error = await failureOf(['sh', '-c', script], 1_500)
  expect(error).toMatchObject({ code: 'timeout', message: 'sh took longer than 1500 ms' })
  expect(isAlive(Number(readFileSync(file, 'utf8')))).toBe(false)
})

test('a command that leaves a program running has ended all the same', async () => {
  const folder = temporaryFolder()
  const file = join(folder, 'pid')
  await machines.restart(['sh', '-c', `sleep 1000 & echo $! > ${file}`], 10_000)
  const pid = Number(readFileSync(file, 'utf8'))
  expect(isAlive(pid)).toBe(true)
  process.kill(pid)
})

test("S8: a restart command does not get the controller's environment", async () => {
  process.env.TUCANO_TEST_SECRET = 'canary-77'
  const error = await failureOf(['sh', '-c', 'env | cut -c1-40; exit 1'])
  delete process.env.TUCANO_TEST_SECRET
  expect(error?.message).toContain('PATH=')
  expect(error?.message).not.toContain('canary-77')
})

/** A killed process that nobody has reaped yet (state Z) is dead. */
function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
