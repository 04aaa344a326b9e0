// The agent as a whole, on a machine, a disk and a controller that are played.

import { expect, test } from 'vitest'
import { createAgentWorld, spec } from './agent-world.ts'

async function running(...ids: string[]) {
  const world = createAgentWorld()
  await world.start()
  await world.assign(
    ids.map((id) => spec(id)),
    1,
  )
  for (const id of ids) await world.untilPhase(id, 'started')
  return world
}

test('M15, M26: starts what is assigned, on a port of its own, and reports it started', async () => {
  const world = await running('a', 'b')
  await world.clock.advance(100)
  expect(world.told('a').at(-1)).toBe('started')
  expect(world.status('a')?.port).not.toBe(world.status('b')?.port)
  expect(world.machine.starts().map(({ env }) => env.PORT)).toEqual(['20000', '20001'])
  expect(world.bugs).toEqual([])
})

test('M25: pushes metrics and status each interval, with growing sequence numbers', async () => {
  const world = await running('a')
  const before = world.reports.length
  await world.clock.advance(20_000)
  const later = world.reports.slice(before)
  expect(later.length).toBeGreaterThanOrEqual(9)
  expect(later.length).toBeLessThanOrEqual(12)
  const sequences = world.reports.map(({ report }) => report.sequence)
  expect(sequences).toEqual(sequences.map((_, index) => index + 1))
  expect(later.at(-1)?.report.metrics?.cpu).toBe(0.5)
  expect(later.at(-1)?.report.instances[0]?.usage?.memory).toBe(1_000_000)
})

test('Q22, S17: asked to stop, it ends within its grace and stays reported until dropped', async () => {
  const world = await running('a')
  await world.assign([spec('a', { want: 'stop' })], 2)
  await world.untilPhase('a', 'terminated')
  expect(world.machine.running()).toEqual([])
  await world.clock.advance(10_000)
  expect(world.phase('a')).toBe('terminated')
  await world.assign([], 3)
  await world.clock.until(() => world.status('a') === undefined)
  expect(world.bugs).toEqual([])
})
