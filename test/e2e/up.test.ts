// tucano up with real daemons: it serves, it leaves nothing behind, it goes on where it was.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'
import type { Instance } from '#shared/model.ts'
import { removeGroups } from '#test/helpers/groups.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

const MAIN = join(import.meta.dirname, '../../cli/main.ts')
const FACTORS = {
  fatores: ['3', '5', '823'],
  sha: '14260d15efec18fdbd5c01f80d1a45c9b68bbc82b38b8a9e260e2922b2912dac',
}

type Ready = { controller: string; balancer: string; folder: string; instances: Instance[] }
type Up = { child: ChildProcess; ready: Ready; said: () => string; ended: Promise<number | null> }

test('it serves, leaves no process behind, and goes on with its state', async () => {
  const state = join(temporaryFolder(), 'state')
  onTestFinished(() => killAllOf(state))

  const first = await begin(state)
  expect(first.ready.instances).toHaveLength(3)
  expect(new Set(first.ready.instances.map(({ node }) => node))).toEqual(
    new Set(['w1', 'w2', 'w3']),
  )
  expect(first.ready.instances.every(({ healthy }) => healthy)).toBe(true)
  expect(await factors(first.ready)).toEqual(FACTORS)

  const second = spawnUp(state)
  expect(await text(second.stderr as NonNullable<typeof second.stderr>)).toContain(
    'another tucano up is running',
  )
  await end(first, 'SIGINT')
  expect(first.said()).toContain('all is stopped')
  expect(processesOf(state)).toEqual([])

  const again = await begin(state)
  expect(again.said()).toContain('continuing with the state')
  expect(again.said()).toContain('number-fact is deployed already')
  expect(again.said()).not.toContain('uploaded')
  expect(again.ready.balancer).toBe(first.ready.balancer)
  expect(again.ready.instances.map(({ revision }) => revision)).toEqual([1, 1, 1])
  expect(await factors(again.ready)).toEqual(FACTORS)

  again.child.kill('SIGKILL')
  await again.ended
  expect(processesOf(state).length).toBeGreaterThanOrEqual(4)
  const after = await begin(state, '--fresh', '--workers', '1')
  expect(after.said()).toMatch(/was killed and left these running: .*controller \(\d+\)/)
  expect(after.said()).toContain('deploying number-fact')
  expect(after.ready.instances.map(({ node }) => node)).toEqual(['w1', 'w1', 'w1'])
  expect(await factors(after.ready)).toEqual(FACTORS)
  await end(after, 'SIGTERM')
  expect(processesOf(state)).toEqual([])
})

test('a reader that goes away ends it in order, too', async () => {
  const state = join(temporaryFolder(), 'state')
  onTestFinished(() => killAllOf(state))
  const up = await begin(state, '--workers', '1')
  up.child.stdout?.destroy()
  // What is said next finds nobody who reads it: the first event of a service that stops.
  const stop = ['stop', 'number-fact', '--detach']
  spawn(process.execPath, [MAIN, ...stop], { cwd: state, env: environment(state), stdio: 'ignore' })
  expect(await up.ended).toBe(0)
  expect(processesOf(state)).toEqual([])
})

test('a daemon that ends at the start is shown with its last lines: 1, and nothing runs', async () => {
  const state = join(temporaryFolder(), 'state')
  onTestFinished(() => killAllOf(state))
  const first = await begin(state, '--workers', '1')
  await end(first, 'SIGTERM')
  writeFileSync(join(state, 'topology.yaml'), 'topolgy: []\n')
  const child = spawnUp(state, '--workers', '1')
  const said = text(child.stderr as NonNullable<typeof child.stderr>)
  expect((await once(child, 'exit'))[0]).toBe(1)
  expect(await said).toMatch(/controller ended \(exit code 2\); its last lines/)
  expect(await said).toContain('unknown key "topolgy"; did you mean `topology`?')
  expect(processesOf(state)).toEqual([])
})

function spawnUp(state: string, ...options: string[]): ChildProcess {
  const argv = [MAIN, 'up', '--state', state, '--json', ...options]
  return spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Returns when it says that all instances are healthy. */
async function begin(state: string, ...options: string[]): Promise<Up> {
  const child = spawnUp(state, ...options)
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (words: string) => {
    said += words
  })
  const ended = once(child, 'exit').then(([code]) => code as number | null)
  const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> })
  const line = await Promise.race([
    once(lines, 'line').then(([first]) => String(first)),
    ended.then((code) => {
      throw new Error(`ended with ${code}: ${said}`)
    }),
  ])
  return { child, ready: JSON.parse(line) as Ready, said: () => said, ended }
}

async function end({ child, ended, said }: Up, signal: NodeJS.Signals): Promise<void> {
  child.kill(signal)
  expect(await ended, said()).toBe(0)
}

async function factors({ balancer }: Ready): Promise<unknown> {
  const sent = request(`${balancer}/factors?number=12345`, {
    headers: { host: 'number-fact' },
    agent: false,
  }).end()
  const [response] = await once(sent, 'response')
  return JSON.parse(await text(response))
}

function environment(state: string): NodeJS.ProcessEnv {
  const { controller } = JSON.parse(readFileSync(join(state, 'context.json'), 'utf8'))
  return { TUCANO_CONTROLLER: controller, TUCANO_TOKEN_FILE: join(state, 'admin-token') }
}

/** Whatever of it has the folder anywhere in its environment: daemons and programs alike. */
function processesOf(state: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(state)
      } catch {
        return false // Gone since the folder was listed.
      }
    })
    .map(Number)
}

async function killAllOf(state: string): Promise<void> {
  for (const pid of processesOf(state)) process.kill(pid, 'SIGKILL')
  for (const worker of ['w1', 'w2', 'w3']) await removeGroups(join(state, 'agents', worker))
}
