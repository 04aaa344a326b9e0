// The agent as a whole, on a machine, a disk and a controller that are played.

import { expect, test } from 'vitest'
import { INSTANCES_PER_NODE_MAX } from '#shared/wire.ts'
import { createAgentWorld, running, spec, unavailable } from './agent-world.ts'

test('starts as many instances at the same time as a node may have', async () => {
  const world = createAgentWorld()
  await world.start()
  const ports = Array.from({ length: INSTANCES_PER_NODE_MAX }, (_, index) => 30_000 + index)
  await world.assign(
    ports.map((port) => spec(`i${port}`, { host_port: port })),
    1,
  )
  await world.clock.advance(200)
  expect(
    world
      .agent()
      .status()
      .instances.filter(({ failure }) => failure),
  ).toEqual([])
}, 30_000)

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

test('F04: a program that dies is started again after about a second, unrouted meanwhile', async () => {
  const world = await running('a')
  await world.clock.advance(100)
  const port = world.status('a')?.port
  const at = world.clock.now()
  world.machine.kill('a')
  await world.untilPhase('a', 'backoff')
  await world.untilPhase('a', 'started')
  expect(world.clock.now() - at).toBeLessThan(2_000)
  await world.clock.advance(100)
  expect(world.told('a').slice(-3)).toEqual(['backoff', 'starting', 'started'])
  expect(world.status('a')).toMatchObject({ restarts: 1, port })
})

test('F05: a crash loop ends after six starts, and the controller is told why', async () => {
  const world = createAgentWorld({
    behave: () => ({ endsAfterMs: 300, code: 3, output: ['boom'] }),
  })
  await world.start()
  await world.assign([spec('a')], 1)
  await world.untilPhase('a', 'crashed')
  expect(world.machine.starts()).toHaveLength(6)
  expect(world.status('a')?.failure).toEqual({
    error: 'exited with code 3',
    exit_code: 3,
    last_probe: 'HTTP 200',
    log_tail: ['boom'],
  })
  await world.clock.advance(600_000)
  expect(world.machine.starts()).toHaveLength(6)
  expect(world.bugs).toEqual([])
})

test('Q06: ten healthy minutes forgive former failures', async () => {
  let starts = 0
  const world = createAgentWorld({
    behave() {
      starts += 1
      return { endsAfterMs: starts <= 4 ? 300 : 660_000 }
    },
  })
  await world.start()
  await world.assign([spec('a')], 1)
  await world.clock.advance(3 * 3_600_000)
  expect(world.phase('a')).not.toBe('crashed')
  expect(starts).toBeGreaterThan(15)
})

test('S20: an attempt that is never healthy fails to start; a higher attempt tries again', async () => {
  let attempt = 1
  const world = createAgentWorld({
    behave: () => (attempt === 1 ? { healthyAfterMs: Number.POSITIVE_INFINITY } : {}),
  })
  await world.start()
  await world.assign([spec('a')], 1)
  await world.untilPhase('a', 'failed_to_start')
  expect(world.status('a')?.failure).toMatchObject({
    error: 'not healthy within 10 s of its start',
    last_probe: 'connection refused',
  })
  expect(world.machine.running()).toEqual([])
  await world.clock.advance(60_000)
  expect(world.machine.starts()).toHaveLength(1)
  attempt = 2
  await world.assign([spec('a', { attempt: 2 })], 2)
  await world.untilPhase('a', 'started')
  expect(world.status('a')).toMatchObject({ attempt: 2, restarts: 0 })
})

test('S16: a failed build and a program that cannot be started fail to start, with words', async () => {
  const world = createAgentWorld({
    behave: ({ id }) => (id === 'b' ? { cannotStart: 'ENOENT serve' } : {}),
  })
  const bad = { digest: `sha256:${'b'.repeat(64)}`, build: [], build_timeout_ms: 1, run: ['x'] }
  world.images.set(bad.digest, { failure: { error: 'build: make: exit code 2', exit_code: 2 } })
  await world.start()
  await world.assign([spec('a', { image: bad }), spec('b')], 1)
  await world.untilPhase('a', 'failed_to_start')
  await world.untilPhase('b', 'failed_to_start')
  expect(world.status('a')?.failure).toEqual({ error: 'build: make: exit code 2', exit_code: 2 })
  expect(world.status('b')?.failure?.error).toBe('cannot be started: ENOENT serve')
})

test('Q08: a static port that is in use fails the start in words', async () => {
  const world = createAgentWorld()
  world.machine.occupy(8081, true)
  await world.start()
  await world.assign([spec('a', { host_port: 8081 })], 1)
  await world.untilPhase('a', 'failed_to_start')
  const words = 'cannot be started: port 8081 is in use on this node'
  expect(world.status('a')?.failure?.error).toBe(words)
})

test('F29: a port taken between choice and bind is no failure: another one is tried', async () => {
  const world = createAgentWorld({ behave: ({ count }) => (count <= 3 ? { portTaken: true } : {}) })
  await world.start()
  await world.assign([spec('a')], 1)
  await world.untilPhase('a', 'started')
  expect(world.machine.starts().map(({ env }) => env.PORT)).toEqual([
    '20000',
    '20001',
    '20002',
    '20003',
  ])
  expect(world.status('a')).toMatchObject({ attempt: 1, restarts: 0, port: 20_003 })
})

test.each([
  ['terminated', {}],
  ['failed_to_start', { healthyAfterMs: Number.POSITIVE_INFINITY }],
  ['crashed', { endsAfterMs: 300, code: 3 }],
] as const)(
  'S18: the port of an instance that is %s is free for the next',
  async (end, behaviour) => {
    const world = createAgentWorld({ behave: ({ id }) => (id === 'a' ? behaviour : {}) })
    await world.start()
    await world.assign([spec('a', { host_port: 8081 })], 1)
    if (end === 'terminated') {
      await world.untilPhase('a', 'started')
      await world.assign([spec('a', { host_port: 8081, want: 'stop' })], 2)
    }
    await world.untilPhase('a', end)
    await world.assign([spec('b', { host_port: 8081 })], 3)
    await world.untilPhase('b', 'started')
    expect(world.status('b')?.port).toBe(8081)
  },
)

test('F06: failing checks make it unhealthy at once, passing ones healthy, too many kill it', async () => {
  const world = await running('a')
  world.machine.setHealthy('a', false)
  await world.untilPhase('a', 'unhealthy')
  expect(world.status('a')?.failure?.error).toBe('health check failed: HTTP 503')
  world.machine.setHealthy('a', true)
  await world.untilPhase('a', 'started')
  expect(world.machine.starts()).toHaveLength(1)

  world.machine.freeze('a', true)
  await world.untilPhase('a', 'unhealthy')
  await world.untilPhase('a', 'backoff')
  expect(world.status('a')?.failure?.error).toBe('health check failed: no answer in time')
  await world.untilPhase('a', 'started')
  expect(world.machine.starts()).toHaveLength(2)
})

test('Q22: what ignores its signal is killed after its grace, and its children with it', async () => {
  const behave = () => ({ termMs: Number.POSITIVE_INFINITY, leavesChild: true })
  const world = createAgentWorld({ behave })
  await world.start()
  await world.assign([spec('a')], 1)
  await world.untilPhase('a', 'started')
  const at = world.clock.now()
  await world.assign([spec('a', { want: 'stop' })], 2)
  await world.untilPhase('a', 'killed')
  expect(world.clock.now() - at).toBeGreaterThanOrEqual(5_000)
  expect(world.clock.now() - at).toBeLessThan(5_500)
  expect(world.machine.running()).toEqual([])
})

test('F30: a stop does not wait for a build that hangs', async () => {
  const world = createAgentWorld()
  const image = { ...spec('a').image, digest: `sha256:${'c'.repeat(64)}` }
  world.images.set(image.digest, { buildMs: Number.POSITIVE_INFINITY })
  await world.start()
  await world.assign([spec('a', { image })], 1)
  await world.untilPhase('a', 'building')
  await world.assign([], 2)
  await world.clock.until(() => world.status('a') === undefined, 1_000)
  expect(world.bugs).toEqual([])
})

test('Q07: what is not assigned is stopped, and what is assigned is started', async () => {
  const world = await running('a', 'b')
  await world.assign([spec('b'), spec('c')], 2)
  await world.untilPhase('c', 'started')
  await world.clock.until(() => world.status('a') === undefined)
  expect(world.machine.running().map(({ id }) => id)).toEqual(['b', 'c'])
  expect(world.machine.starts().filter(({ id }) => id === 'b')).toHaveLength(1)
})

test('F16, F27: an older order is refused with what is obeyed, a doubled one changes nothing', async () => {
  const world = await running('a')
  await world.assign([spec('a'), spec('b')], 7, 3)
  expect(await world.assign([], 6, 3)).toEqual({ accepted: false, epoch: 3, generation: 7 })
  expect(await world.assign([], 99, 2)).toEqual({ accepted: false, epoch: 3, generation: 7 })
  expect(await world.assign([], 7, 3)).toEqual({ accepted: true, epoch: 3, generation: 7 })
  await world.untilPhase('b', 'started')
  expect(await world.assign([spec('b')], 1, 4)).toMatchObject({ accepted: true, epoch: 4 })
  const other = { node: 'w2', epoch: 9, generation: 9, instances: [] }
  await expect(world.agent().obey(other)).rejects.toMatchObject({ code: 'forbidden' })
})

test('M26: the order in the answer to a report is obeyed, one of a former epoch is not', async () => {
  const world = createAgentWorld()
  const order = (epoch: number, id: string) => ({
    epoch,
    generation: 1,
    assignment: { node: 'w1', epoch, generation: 1, instances: [spec(id)] },
  })
  world.controller(async () => order(2, 'a'))
  await world.start()
  await world.untilPhase('a', 'started')
  world.controller(async () => order(1, 'b'))
  await world.clock.advance(10_000)
  expect(world.status('b')).toBeUndefined()
  expect(world.logged).toContain('ignored a controller of a former epoch')
})

test('F12: a controller that does not answer is called once a second at most', async () => {
  const world = createAgentWorld()
  world.controller(unavailable)
  await world.start()
  await world.clock.advance(60_000)
  expect(world.reports.length).toBeLessThanOrEqual(60)
  expect(world.logged.filter((text) => text === 'the controller does not answer')).toHaveLength(1)
  const before = world.reports.length
  await world.assign([spec('a')], 1)
  await world.clock.advance(400)
  expect(world.reports.length).toBeGreaterThan(before)
})

test('S15: one report is under way at a time, and changes meanwhile follow it', async () => {
  const world = createAgentWorld()
  let open = 0
  let most = 0
  world.controller(async ({ epoch, generation }) => {
    open += 1
    most = Math.max(most, open)
    await new Promise<void>((resolve) => world.clock.after(3_000, resolve))
    open -= 1
    return { epoch, generation }
  })
  await world.start()
  await world.clock.advance(1_000)
  await world.assign([spec('a')], 1)
  await world.clock.advance(20_000)
  expect(most).toBe(1)
  expect(world.told('a').at(-1)).toBe('started')
})
