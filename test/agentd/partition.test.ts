// What an agent does that hears nothing from its controller (`on_partition`).

import { expect, test } from 'vitest'
import { randomOf } from '#test/helpers/seeds.ts'
import { createAgentWorld, INTERVAL_MS, spec, unavailable } from './agent-world.ts'

const STOP_MS = 30_000

async function running(over: Parameters<typeof spec>[1] = {}) {
  const world = createAgentWorld()
  await world.start()
  await world.assign([spec('a', { partition_stop_ms: STOP_MS, ...over }), spec('b')], 1)
  await world.untilPhase('a', 'started')
  await world.untilPhase('b', 'started')
  await world.clock.advance(2 * INTERVAL_MS)
  return world
}

const isRunning = (world: { machine: { running(): { id: string }[] } }, id: string) =>
  world.machine.running().some((program) => program.id === id)

test('after that silence its program is stopped, in order, and one that is to be kept runs on', async () => {
  const world = await running()
  world.controller(unavailable)
  await world.clock.advance(STOP_MS - 2 * INTERVAL_MS)
  expect(world.phase('a')).toBe('started')
  await world.untilPhase('a', 'cut_off', 3 * INTERVAL_MS)
  expect(isRunning(world, 'a')).toBe(false)
  expect(world.machine.signals()).toContainEqual({ id: 'a', signal: 'SIGTERM', isDelivered: true })
  expect(world.status('a')?.failure?.error).toBe(
    'stopped: the controller was silent for more than 30 s (on_partition)',
  )
  await world.clock.advance(600_000)
  expect(isRunning(world, 'a')).toBe(false)
  expect(world.phase('b')).toBe('started')
  expect(world.machine.starts()).toHaveLength(2)
  expect(world.bugs).toEqual([])
})

test('one that ignores its signal is killed after its grace, and is cut off all the same', async () => {
  const world = createAgentWorld({ behave: () => ({ termMs: Number.POSITIVE_INFINITY }) })
  await world.start()
  await world.assign([spec('a', { partition_stop_ms: STOP_MS })], 1)
  await world.untilPhase('a', 'started')
  world.controller(unavailable)
  await world.untilPhase('a', 'cut_off', STOP_MS + 10_000)
  expect(world.machine.running()).toEqual([])
})

test('heard again, it tells what it did and waits for what is wanted now', async () => {
  const world = await running()
  world.controller(unavailable)
  await world.untilPhase('a', 'cut_off', 2 * STOP_MS)
  world.controller(async ({ epoch, generation }) => ({ epoch, generation }))
  const before = world.reports.length
  await world.clock.advance(2 * INTERVAL_MS)
  const told = world.reports.slice(before).map(({ report }) => report.instances[0]?.phase)
  expect(told.at(-1)).toBe('cut_off')
  expect(isRunning(world, 'a')).toBe(false)
  await world.assign([spec('c', { partition_stop_ms: STOP_MS }), spec('b')], 2)
  await world.untilPhase('c', 'started')
  await world.clock.until(() => world.status('a') === undefined)
})

test('a silence that is shorter harms nothing, however often it comes', async () => {
  const world = await running()
  for (let times = 0; times < 10; times += 1) {
    world.controller(unavailable)
    await world.clock.advance(STOP_MS - 2 * INTERVAL_MS)
    world.controller(async ({ epoch, generation }) => ({ epoch, generation }))
    await world.clock.advance(2 * INTERVAL_MS)
  }
  expect(world.phase('a')).toBe('started')
  expect(world.machine.starts()).toHaveLength(2)
})

test('an order alone is word enough', async () => {
  const world = await running()
  world.controller(unavailable)
  for (let generation = 2; generation < 12; generation += 1) {
    await world.clock.advance(STOP_MS - 5_000)
    await world.assign([spec('a', { partition_stop_ms: STOP_MS }), spec('b')], generation)
  }
  expect(world.phase('a')).toBe('started')
  await world.untilPhase('a', 'cut_off', STOP_MS + 1_000)
})

test('a controller of a former epoch, and an order that is refused, are no word of its controller', async () => {
  const world = await running()
  await world.assign([spec('a', { partition_stop_ms: STOP_MS }), spec('b')], 1, 2)
  world.controller(async () => ({ epoch: 1, generation: 9 }))
  const at = world.clock.now()
  for (let step = 0; step < 5; step += 1) {
    await world.clock.advance(STOP_MS / 10)
    expect(await world.assign([spec('a')], 99, 1)).toMatchObject({ accepted: false })
  }
  await world.untilPhase('a', 'cut_off', STOP_MS)
  expect(world.clock.now() - at).toBeLessThan(STOP_MS + 2_000)
})

test('never sooner than three of its reports were due', async () => {
  const world = await running({ partition_stop_ms: 1_000 })
  expect(world.phase('a')).toBe('started')
  world.controller(unavailable)
  const at = world.clock.now()
  await world.untilPhase('a', 'cut_off', 20_000)
  // The last word may be as old as one interval and its jitter.
  expect(world.clock.now() - at).toBeGreaterThan(3 * INTERVAL_MS - 1.2 * INTERVAL_MS)
})

test('the wall clock means nothing to it', async () => {
  const world = await running()
  for (const jump of [86_400_000, -2 * 86_400_000]) {
    world.clock.jumpWall(jump)
    await world.clock.advance(10_000)
  }
  expect(world.phase('a')).toBe('started')
})

test('a restarted agent gives its controller the whole time once more, and then stops it', async () => {
  const world = await running()
  world.controller(unavailable)
  await world.clock.advance(STOP_MS / 2)
  world.kill()
  await world.restart()
  await world.clock.advance(STOP_MS - 1_000)
  expect(world.phase('a')).toBe('started')
  await world.untilPhase('a', 'cut_off', 2_000)
  // And does not forget it: what ended stays ended until somebody says otherwise.
  world.kill()
  await world.restart()
  expect(world.phase('a')).toBe('cut_off')
  expect(world.machine.starts()).toHaveLength(2)
})

test('what is not running yet, or waits for its restart, is not started in the silence', async () => {
  const world = createAgentWorld({ behave: () => ({ endsAfterMs: 300, code: 1 }) })
  await world.start()
  await world.assign([spec('a', { partition_stop_ms: 6_000 })], 1)
  await world.untilPhase('a', 'backoff')
  world.controller(unavailable)
  await world.untilPhase('a', 'cut_off', 10_000)
  const starts = world.machine.starts().length
  await world.clock.advance(600_000)
  expect(world.machine.starts()).toHaveLength(starts)
  expect(world.machine.running()).toEqual([])
})

test('whatever comes and goes: it runs in no silence that is longer, and stops in no shorter one', async () => {
  for (let seed = 0; seed < 12; seed += 1) await playSeed(seed)
})

async function playSeed(seed: number): Promise<void> {
  const random = randomOf(seed)
  const world = await running()
  let generation = 1
  let heardAt = world.clock.now()
  let longestMs = 0
  const hear = () => {
    longestMs = Math.max(longestMs, world.clock.now() - heardAt)
    heardAt = world.clock.now()
  }
  const answers = async ({ epoch, generation: obeyed }: { epoch: number; generation: number }) => {
    hear()
    return { epoch, generation: obeyed }
  }
  world.controller(answers)
  for (let step = 0; step < 30; step += 1) {
    world.controller(random.chance(0.4) ? unavailable : answers)
    if (random.chance(0.2)) world.clock.jumpWall(random.int(-1e9, 1e9))
    await world.clock.advance(random.int(1_000, 25_000))
    const silentMs = world.clock.now() - heardAt
    const phase = world.phase('a')
    const where = `seed ${seed}, step ${step}: ${phase} after ${silentMs} ms`
    // The signal, its 10 ms and the clearing; nothing waits for a report.
    if (silentMs > STOP_MS + 100) expect(phase, where).toBe('cut_off')
    if (phase !== 'cut_off') continue
    expect(isRunning(world, 'a'), where).toBe(false)
    expect(Math.max(longestMs, silentMs), where).toBeGreaterThanOrEqual(STOP_MS)
    world.controller(answers)
    generation += 1
    const again = { partition_stop_ms: STOP_MS, attempt: generation }
    await world.assign([spec('a', again), spec('b')], generation)
    hear()
    longestMs = 0
    await world.untilPhase('a', 'started')
  }
  expect(world.bugs).toEqual([])
}
