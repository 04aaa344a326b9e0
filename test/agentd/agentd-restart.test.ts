// An agent that ends or is killed, whose machine is rebooted or whose disk is full: what it finds
// when it is back.

import { expect, test } from 'vitest'
import { createAgentWorld, running, spec, unavailable } from './agent-world.ts'

test('F03: an agent that was killed adopts its programs, and they stay routed', async () => {
  const world = await running('a', 'b')
  await world.clock.advance(100)
  const pids = world.machine.running().map(({ mark }) => mark.pid)
  world.kill()
  await world.clock.advance(3_000)
  await world.restart()
  expect([world.phase('a'), world.phase('b')]).toEqual(['started', 'started'])
  await world.clock.advance(60_000)
  expect(world.machine.running().map(({ mark }) => mark.pid)).toEqual(pids)
  expect(world.told('a').slice(world.told('a').indexOf('started'))).toEqual(['started'])
  expect(world.status('a')?.restarts).toBe(0)
})

test('F03: a program that died while no agent ran is started again', async () => {
  const world = await running('a')
  await world.clock.advance(100)
  world.kill()
  world.machine.kill('a')
  await world.clock.advance(1_000)
  await world.restart()
  await world.untilPhase('a', 'started')
  expect(world.status('a')?.restarts).toBe(1)
})

test('F25: what a reboot ended is reported as killed and left to the controller', async () => {
  const world = await running('a')
  await world.clock.advance(100)
  world.reboot()
  await world.restart()
  await world.clock.advance(10_000)
  expect(world.status('a')).toMatchObject({
    phase: 'killed',
    failure: { error: 'the machine was restarted' },
  })
  expect(world.machine.running()).toEqual([])
  await world.assign([spec('b')], 2)
  await world.untilPhase('b', 'started')
  expect(world.status('a')).toBeUndefined()
})

test('F24: a program whose mark is another one by now is never signalled', async () => {
  const world = await running('a')
  await world.clock.advance(100)
  world.kill()
  const [program] = world.machine.running()
  if (program !== undefined) program.mark = { ...program.mark, startTime: 'another' }
  const before = world.machine.signals().length
  // The stranger carries none of our marks either.
  if (program !== undefined) program.agent = 'somebody else'
  await world.restart()
  await world.assign([], 2)
  await world.clock.until(() => world.status('a') === undefined)
  expect(
    world.machine
      .signals()
      .slice(before)
      .filter(({ isDelivered }) => isDelivered),
  ).toEqual([])
  expect(world.machine.running()).toHaveLength(1)
})

test('an agent killed in the middle of a start leaves no second program, whenever it was', async () => {
  for (let ms = 0; ms <= 120; ms += 1) {
    const world = createAgentWorld()
    await world.start()
    await world.assign([spec('a')], 1)
    await world.clock.advance(ms)
    world.kill()
    await world.clock.advance(50)
    await world.restart()
    await world.untilPhase('a', 'started')
    await world.clock.advance(1_000)
    expect(world.machine.running(), `killed after ${ms} ms`).toHaveLength(1)
    expect(world.bugs).toEqual([])
  }
})

test('Q16: cut off from its controller, a restarted agent runs what it ran', async () => {
  const world = await running('a')
  await world.clock.advance(100)
  world.controller(unavailable)
  world.kill()
  await world.restart()
  await world.clock.advance(300_000)
  world.machine.kill('a')
  await world.untilPhase('a', 'backoff')
  await world.untilPhase('a', 'started')
  expect(await world.assign([], 0)).toMatchObject({ accepted: false, generation: 1 })
})

test('F36: an agent that stops in order leaves its programs to the next one', async () => {
  const world = await running('a')
  await world.agent().stop()
  expect(world.machine.running()).toHaveLength(1)
  const reports = world.reports.length
  await world.clock.advance(60_000)
  expect(world.reports).toHaveLength(reports)
  await world.restart()
  expect(world.phase('a')).toBe('started')
  expect(world.machine.starts()).toHaveLength(1)
})

test('asked to stop its programs, an agent ends all of them and obeys no order meanwhile', async () => {
  const world = await running('a', 'b')
  let isStopped = false
  const stopped = world.agent().stopPrograms()
  void stopped.then(() => {
    isStopped = true
  })
  await expect(world.assign([spec('c')], 2)).rejects.toMatchObject({ code: 'unavailable' })
  await world.clock.until(() => isStopped)
  expect(world.machine.running()).toEqual([])
  expect(world.phase('a')).toBe('terminated')
})

test('F19: what fills the disk can be stopped: of an order that cannot be saved, that much', async () => {
  const world = await running('a', 'b', 'c')
  world.notebook.disk.setFull(true)
  const order = [spec('a', { want: 'stop' }), spec('b', { env: { NEW: '1' } }), spec('d')]
  await expect(world.assign(order, 2)).rejects.toMatchObject({ code: 'store_failed' })
  await world.untilPhase('a', 'terminated')
  await world.clock.until(() => world.status('c') === undefined)
  expect(world.phase('b')).toBe('started')
  expect(world.status('d')).toBeUndefined()
  expect(world.agent().status().generation).toBe(1)
  world.notebook.disk.setFull(false)
  await world.assign([spec('b'), spec('d')], 2)
  await world.untilPhase('d', 'started')
})

test('F19: a full disk stops no program, and pages are saved once there is room', async () => {
  const world = await running('a')
  await world.clock.advance(100)
  world.notebook.disk.setFull(true)
  await expect(world.assign([spec('a'), spec('b')], 2)).rejects.toMatchObject({
    code: 'store_failed',
  })
  world.machine.kill('a')
  await world.untilPhase('a', 'backoff')
  await world.clock.advance(500)
  world.notebook.disk.setFull(false)
  await world.untilPhase('a', 'started')
  await world.clock.advance(20_000)
  world.kill()
  await world.restart()
  expect(world.status('a')).toMatchObject({ phase: 'started', restarts: 1 })
  expect(world.bugs).toEqual([])
})
