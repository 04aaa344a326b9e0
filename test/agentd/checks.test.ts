// Startup, readiness and liveness apart, on a machine that is played (Q11).

import { expect, test } from 'vitest'
import type { WireCheck, WireChecks } from '#shared/wire-checks.ts'
import { forEachSeed, type Random } from '#test/helpers/seeds.ts'
import { createAgentWorld, spec } from './agent-world.ts'

const STARTED = '/started'
const READY = '/ready'
const ALIVE = 'bin/alive'

function get(path: string): WireCheck['way'] {
  const status: [number, number][] = [[200, 399]]
  return { kind: 'http', path, status, headers: {}, answer_headers: {}, answer_body: [] }
}

function check(way: WireCheck['way'], over: Partial<WireCheck> = {}): WireCheck {
  return { way, interval_ms: 1_000, timeout_ms: 500, rise: 2, fall: 3, ...over }
}

const all: WireChecks = {
  startup: { way: get(STARTED), interval_ms: 1_000, timeout_ms: 500, rise: 1 },
  readiness: check(get(READY)),
  liveness: check({ kind: 'command', argv: [ALIVE] }),
}

async function worldOf(checks: WireChecks, over: Parameters<typeof spec>[1] = {}) {
  const world = createAgentWorld()
  await world.start()
  return { ...world, begin: () => world.assign([spec('a', { ...over, checks })], 1) }
}

async function started(checks: WireChecks = all) {
  const world = await worldOf(checks)
  await world.begin()
  await world.untilPhase('a', 'started')
  return world
}

test('while startup has not passed, nothing else is asked', async () => {
  const world = await worldOf(all)
  world.machine.setHealthy('a', false, STARTED)
  await world.begin()
  await world.clock.advance(5_000)
  expect(world.phase('a')).toBe('starting')
  expect(new Set(world.machine.asked('a'))).toEqual(new Set([STARTED]))
  world.machine.setHealthy('a', true, STARTED)
  await world.untilPhase('a', 'started')
  await world.clock.advance(2_000)
  expect(new Set(world.machine.asked('a'))).toEqual(new Set([STARTED, READY, ALIVE]))
  const asked = world.machine.asked('a')
  expect(asked.lastIndexOf(STARTED)).toBeLessThan(asked.indexOf(READY))
})

test('a start whose check never passes fails within its time, with the last answer', async () => {
  const world = await worldOf(all)
  world.machine.setHealthy('a', false, STARTED)
  await world.begin()
  await world.untilPhase('a', 'failed_to_start', 11_000)
  expect(world.status('a')?.failure).toMatchObject({
    error: 'not healthy within 10 s of its start',
    last_probe: 'HTTP 503',
  })
})

test('startup.fall ends a start before its time is over, and rise wants passes in a row', async () => {
  const startup = { ...check(get(STARTED)), rise: 3, fall: 2 }
  const world = await worldOf({ ...all, startup })
  world.machine.setHealthy('a', false, STARTED)
  await world.begin()
  await world.untilPhase('a', 'failed_to_start', 3_000)
  expect(world.status('a')?.failure?.error).toBe('startup check failed 2 times in a row')

  const other = await worldOf({ ...all, startup })
  await other.begin()
  await other.untilPhase('a', 'started')
  expect(other.machine.asked('a').filter((name) => name === STARTED)).toHaveLength(3)
})

test('one that has started and is not ready is told, asked on, and never restarted for it', async () => {
  const world = await worldOf(all)
  world.machine.setHealthy('a', false, READY)
  await world.begin()
  await world.untilPhase('a', 'unhealthy')
  expect(world.status('a')?.failure?.error).toBe('readiness check failed: HTTP 503')
  await world.clock.advance(600_000)
  expect(world.phase('a')).toBe('unhealthy')
  expect(world.machine.starts()).toHaveLength(1)
  world.machine.setHealthy('a', true, READY)
  // The first pass is enough: it was never unready after it was ready.
  await world.untilPhase('a', 'started', 600)
  expect(world.status('a')).toMatchObject({ restarts: 0, attempt: 1 })
})

test('readiness that fails makes it unhealthy and restarts nothing, however long', async () => {
  const world = await started()
  world.machine.setHealthy('a', false, READY)
  await world.untilPhase('a', 'unhealthy', 5_000)
  await world.clock.advance(600_000)
  expect(world.phase('a')).toBe('unhealthy')
  expect(world.machine.starts()).toHaveLength(1)
  world.machine.setHealthy('a', true, READY)
  await world.clock.advance(1_100)
  expect(world.phase('a')).toBe('unhealthy')
  await world.untilPhase('a', 'started', 1_100)
})

test('liveness that fails restarts it, with the back-off of a crash, and says why', async () => {
  const world = await started()
  world.machine.setHealthy('a', false, ALIVE)
  await world.untilPhase('a', 'backoff', 5_000)
  expect(world.status('a')?.failure).toMatchObject({
    error: 'liveness check failed: bin/alive: exit code 1',
    last_probe: 'bin/alive: exit code 1',
  })
  // It was healthy for its users until then.
  expect(world.told('a')).not.toContain('unhealthy')
  await world.untilPhase('a', 'crashed')
  expect(world.machine.starts()).toHaveLength(6)
})

test('failures of liveness that are not in a row are forgotten after `rise` passes', async () => {
  const liveness = check({ kind: 'command', argv: [ALIVE] }, { rise: 2, fall: 3 })
  const world = await started({ ...all, liveness })
  const answers = async (...list: boolean[]) => {
    for (const isHealthy of list) {
      const count = world.machine.asked('a').length
      world.machine.setHealthy('a', isHealthy, ALIVE)
      await world.clock.until(() => world.machine.asked('a').slice(count).includes(ALIVE))
      await world.clock.advance(5)
    }
  }
  await answers(false, false, true, true, false, false, true, true)
  expect(world.phase('a')).toBe('started')
  // One pass between them is not enough.
  await answers(false, false, true, false)
  await world.untilPhase('a', 'backoff', 100)
})

test('without liveness only its end is noticed', async () => {
  const world = await started({ readiness: all.readiness })
  world.machine.freeze('a', true)
  await world.untilPhase('a', 'unhealthy')
  await world.clock.advance(600_000)
  expect(world.machine.starts()).toHaveLength(1)
  world.machine.kill('a')
  await world.untilPhase('a', 'started')
  expect(world.machine.starts()).toHaveLength(2)
})

test('after a restart of the agent all checks go on', async () => {
  const world = await started()
  world.kill()
  await world.restart()
  expect(world.phase('a')).toBe('started')
  world.machine.setHealthy('a', false, ALIVE)
  await world.untilPhase('a', 'backoff', 5_000)
})

test('an answer about the former program says nothing of the next one', async () => {
  const world = await started({ readiness: check(get(READY), { timeout_ms: 60_000 }) })
  world.machine.freeze('a', true)
  // A question that hangs for a minute is under way when it is started again.
  await world.clock.advance(1_500)
  world.machine.kill('a')
  await world.untilPhase('a', 'started')
  await world.clock.advance(120_000)
  expect(world.phase('a')).toBe('started')
  expect(world.machine.starts()).toHaveLength(2)
  expect(world.bugs).toEqual([])
})

test('whatever the checks answer: started only while readiness passes, restarted only by liveness', async () => {
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) await playSeed(seed)
})

async function playSeed(seed: number): Promise<void> {
  let random: Random | undefined
  forEachSeed(seed + 1, (one, at) => {
    if (at === seed) random = one
  })()
  const dice = random as Random
  const world = await started()
  let isLivenessBad = false
  for (let step = 0; step < 60; step += 1) {
    const isReady = dice.chance(0.5)
    // The sixth failure in a row would be its last.
    if (world.machine.starts().length < 5 && dice.chance(0.1)) isLivenessBad = true
    world.machine.setHealthy('a', isReady, READY)
    world.machine.setHealthy('a', !isLivenessBad, ALIVE)
    const starts = world.machine.starts().length
    await world.clock.advance(5_000)
    const restarted = world.machine.starts().length > starts
    expect(restarted && !isLivenessBad, `seed ${seed}: restarted in step ${step}`).toBe(false)
    if (isLivenessBad) {
      const runsOn = !restarted && world.phase('a') === 'started'
      expect(runsOn, `seed ${seed}: runs on in step ${step}`).toBe(false)
      isLivenessBad = false
      world.machine.setHealthy('a', true, ALIVE)
      world.machine.setHealthy('a', true, READY)
      await world.untilPhase('a', 'started')
      continue
    }
    expect(world.phase('a'), `seed ${seed}, step ${step}`).toBe(isReady ? 'started' : 'unhealthy')
  }
  expect(world.bugs).toEqual([])
}
