// F26: one controller per data folder, with real processes.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { createInterface } from 'node:readline'
import { expect, test, vi } from 'vitest'
import { openStore } from '#ctld/discovery/store.io.ts'
import { machineClock } from '#shared/clock.io.ts'
import { lockFolder } from '#shared/lock.io.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

vi.setConfig({ testTimeout: 30_000 })

const FIXTURE = `${import.meta.dirname}/../fixtures/store-holder.ts`

test('F26: a second controller on a data folder ends within 1 s, naming who holds it', async () => {
  const folder = temporaryFolder()
  await using first = await startController(folder)
  expect(first.said).toBe('open')

  await using second = await startController(folder)
  const refusal = JSON.parse(second.said)
  expect(refusal.code).toBe('data_locked')
  expect(refusal.message).toBe(
    `the data folder ${folder} is in use by process ${first.pid} on ${hostname()}: ` +
      'stop that controller first, or give this one a folder of its own',
  )
  expect(refusal.tookMs).toBeLessThanOrEqual(1_000)
  expect(await second.exitCode).not.toBe(0)
})

test('F26: kill -9 of the holder frees the folder at once, again and again', async () => {
  const folder = temporaryFolder()
  for (let round = 0; round < 3; round++) {
    const holder = await startController(folder)
    expect(holder.said).toBe('open')
    await holder[Symbol.asyncDispose]()
    expect(statSync(`${folder}/lock.json`).size).toBeGreaterThan(0)
  }
  const store = await openStore({ folder })
  await store.close()
})

test('F26: one process cannot open a folder twice, and can again once it closed it', async () => {
  const folder = temporaryFolder()
  const first = await openStore({ folder })
  await expect(openStore({ folder })).rejects.toMatchObject({
    code: 'data_locked',
    message: expect.stringContaining(`process ${process.pid} on ${hostname()}`),
  })
  await first.close()
  const second = await openStore({ folder })
  await second.close()
})

test('F18: a daemon that cannot write who it is for people starts all the same', async () => {
  const folder = temporaryFolder()
  writeFileSync(`${folder}/lock.json`, '{"pid":1,"host":"of a former life"}')
  mkdirSync(`${folder}/lock.json.new`)
  using _lock = await lockFolder({ folder, daemon: 'agent' }, machineClock)
  expect(readdirSync(folder)).not.toContain('lock.json')
  await expect(lockFolder({ folder, daemon: 'agent' }, machineClock)).rejects.toThrow(
    `the data folder ${folder} is in use by another process: stop that agent first`,
  )
})

test('creates the data folder and its files for their owner alone', async () => {
  const folder = temporaryFolder()
  const path = `${folder}/deep/data`
  const store = await openStore({ folder: path })
  await store.commit({
    instances: { put: [], remove: [] },
    deployments: { put: [], remove: [] },
    events: [],
  })
  expect(statSync(path).mode & 0o777).toBe(0o700)
  expect(statSync(`${folder}/deep`).mode & 0o777).toBe(0o700)
  await store.close()
})

test('names the folder that cannot be created', async () => {
  await expect(openStore({ folder: '/proc/no-such/data' })).rejects.toMatchObject({
    code: 'store_failed',
    message: expect.stringContaining('/proc/no-such/data'),
  })
})

/** Resolves when it has said its first line; disposing it is kill -9. */
async function startController(folder: string) {
  const child = spawn(process.execPath, [FIXTURE, folder], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit') as Promise<[number | null]>
  const [said] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  return {
    pid: child.pid,
    said,
    exitCode: ended.then(([code]) => code),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
    },
  }
}
