// What a service may ask of a worker: labels, room, isolation; who goes first, who tries where.

import { describe, expect, test } from 'vitest'
import { avoidedBy } from '#ctld/deployer/avoid.ts'
import { explain } from '#ctld/deployer/explain.ts'
import { seatsOf } from '#ctld/deployer/seat.ts'
import { withFailures } from '#ctld/failures.ts'
import type { Instance } from '#shared/model.ts'
import { Cluster } from '#test/helpers/cluster.ts'
import { aService } from '#test/helpers/seats.ts'
import { anInstance } from '#test/helpers/stored.ts'

const GIB = 1_073_741_824
const failure = { error: 'exited with code 1' }

/** Workers w1, w2 … with these labels. */
function labelled(...labels: Record<string, string>[]): Cluster {
  const world = new Cluster(...labels.map((_, index) => `w${index + 1}`))
  for (const [index, node] of world.nodes.entries()) node.labels = labels[index] ?? {}
  return world
}

/** Workers with so much memory. */
function sized(...gib: number[]): Cluster {
  const world = new Cluster(...gib.map((_, index) => `w${index + 1}`))
  for (const [index, node] of world.nodes.entries()) {
    node.size = { cores: 2, memory: (gib[index] ?? 0) * GIB }
  }
  return world
}

describe('labels', () => {
  test.each([
    [{ label: 'disk', in: ['ssd'] }, 'w1,w1'],
    [{ label: 'disk', not_in: ['ssd'] }, 'w2,w3'],
    [{ label: 'disk' }, 'w1,w2'],
    [{ label: 'node', in: ['w3', 'w2'] }, 'w2,w3'],
  ])('constraint %j', (constraint, places) => {
    const world = labelled({ disk: 'ssd' }, { disk: 'hdd' }, {})
    expect(
      world
        .declare('a', 2, { constraints: [constraint] })
        .run()
        .places('a'),
    ).toBe(places)
  })

  test('what no worker meets waits, and is told of each with its label', () => {
    const world = labelled({ disk: 'hdd' }, { disk: 'hdd' }, {})
    world.declare('a', 1, { constraints: [{ label: 'disk', in: ['ssd'] }] }).run()
    const rule = '(constraint: disk in ssd)'
    expect(world.plan().pending).toEqual([
      {
        service: 'a',
        count: 1,
        why: `w1, w2: disk is hdd ${rule}; w3: has no label disk ${rule}`,
      },
    ])
  })

  test('many workers with one reason are told of in a few words', () => {
    const world = labelled(...Array.from({ length: 30 }, () => ({})))
    world.declare('a', 1, { constraints: [{ label: 'gpu' }] }).run()
    const why = world.plan().pending[0]?.why
    expect(why).toContain('w7, w8 and 22 more: has no label gpu')
  })

  test('a wish is fulfilled as long as it can be, then the others get the rest', () => {
    const world = labelled({}, { zone: 'a' }, { zone: 'b' })
    const affinity = [{ label: 'zone', in: ['a'], weight: 10 }]
    world.declare('a', 4, { affinity, max_per_node: 2 }).run()
    expect(world.places('a')).toBe('w2,w2,w3,w1')
  })

  test('the greater sum of weights wins', () => {
    const world = labelled({ zone: 'a' }, { zone: 'b', disk: 'ssd' }, { disk: 'ssd' })
    const affinity = [
      { label: 'zone', in: ['a'], weight: 60 },
      { label: 'zone', in: ['b'], weight: 30 },
      { label: 'disk', in: ['ssd'], weight: 40 },
    ]
    expect(world.declare('a', 1, { affinity }).run().places('a')).toBe('w2')
  })

  test('spread: one for each zone, then a second; who has no zone comes last', () => {
    const world = labelled({ zone: 'a' }, { zone: 'a' }, { zone: 'b' }, {})
    world.declare('a', 5, { placement: 'spread', spread: { label: 'zone' } }).run()
    expect(world.places('a')).toBe('w1,w3,w2,w3,w1')
    for (const node of world.nodes) node.drained = node.name !== 'w4'
    expect(
      world
        .run()
        .live('a')
        .filter(({ node }) => node === 'w4'),
    ).toHaveLength(5)
  })
})

describe('room', () => {
  test('declared memory is not given twice, and what is too much waits', () => {
    const world = sized(2, 1)
      .declare('a', 4, { limits: { memory: '768MiB' } })
      .run()
    expect(world.places('a')).toBe('w1,w2,w1')
    expect(world.plan().pending).toEqual([
      { service: 'a', count: 1, why: 'w1, w2: too little memory is free (it needs 768MiB)' },
    ])
    world.declare('b', 1, {}).run()
    expect(world.live('b')).toHaveLength(1)
  })

  test('so are cores, to the thousandth', () => {
    const world = sized(2)
      .declare('a', 30, { limits: { cpu: 0.1 } })
      .run()
    expect(world.live('a')).toHaveLength(20)
    expect(world.plan().pending[0]?.why).toBe('w1: too few cores are free (it needs 0.1)')
  })

  test('what a former revision took counts until it has gone', () => {
    const world = sized(2)
      .declare('a', 1, { limits: { memory: '1.5GiB' } })
      .run()
    world.declare('a', 1, { limits: { memory: '256MiB' } })
    world.declare('b', 1, { limits: { memory: '1GiB' } }).settle()
    expect(world.live('b')).toHaveLength(0)
    expect(world.runOut().live('b')).toHaveLength(1)
  })

  test('a worker that never told its size gets nothing that declares any', () => {
    const world = new Cluster('w1').declare('a', 1, { limits: { cpu: 1 } }).run()
    expect(world.plan().pending[0]?.why).toBe('w1: has not told its size yet')
  })

  test.each([
    [{ memory: '1MiB' }, 0],
    [{ cpu: 0.1 }, 0],
    [{ pids: 10 }, 0],
    [{ open_files: 100 }, 1],
    [{}, 1],
  ])('limits %j on a worker without isolation', (limits, count) => {
    const world = sized(1)
    world.nodes[0]!.isolation = 'none'
    expect(world.declare('a', 1, { limits }).run().live('a')).toHaveLength(count)
    world.nodes[0]!.isolation = 'v1'
    expect(world.run().live('a')).toHaveLength(1)
  })

  test('the higher priority comes first, and nobody has to go for it', () => {
    const world = sized(1)
    const limits = { memory: '512MiB' }
    world.declare('a', 1, { limits, priority: 10 }).run()
    world.declare('b', 2, { limits, priority: 20 }).declare('c', 2, { limits, priority: 90 }).run()
    expect([world.places('a'), world.places('b'), world.places('c')]).toEqual(['w1', '', 'w1'])
    world.want('a', 'stopped').run()
    expect([world.places('b'), world.places('c')]).toEqual(['', 'w1,w1'])
  })

  test('what was lost with its worker takes nothing', () => {
    const world = sized(1)
      .declare('a', 1, { limits: { memory: '1GiB' } })
      .run()
      .kill('w1')
    expect(seatsOf(world.facts())).toMatchObject([{ instanceCount: 0, memory: 0 }])
  })

  test('a static port is taken by the revision that runs, not by the one that is declared', () => {
    const world = new Cluster('w1').declare('a', 1, { host_port: 'static' }).run()
    world.declare('a', 1, { host_port: 'static', port: 9_090, update: { max_surge: 0 } })
    world.routed.add(world.live('a')[0]!.id)
    world.declare('b', 1, { host_port: 'static' }).settle()
    expect(
      world
        .plan()
        .pending.map(({ why }) => why)
        .join(),
    ).toContain('8080 is taken there')
  })
})

describe('failures', () => {
  test('each failed try, each restart by the agent and each end by a crash is remembered', () => {
    const deploying = anInstance('i1', { state: 'deploying', healthy: false })
    const tried = withFailures(deploying, { ...deploying, retryAt: 5 }, 4)
    expect(tried.failures).toEqual([{ node: 'w1', at: 4 }])
    const started = anInstance('i1')
    expect(withFailures(started, { ...started, restarts: 3 }, 5).failures).toHaveLength(3)
    const crashed = withFailures(started, { ...started, state: 'unexpected_crashed' }, 6)
    expect(crashed.failures).toEqual([{ node: 'w1', at: 6 }])
    const lost = anInstance('i1', { state: 'lost' })
    const gone = withFailures(lost, { ...lost, state: 'unexpected_crashed' }, 7)
    expect(gone.failures).toBeUndefined()
    expect(withFailures(started, { ...started, restarts: 500 }, 8).failures).toHaveLength(10)
  })

  test('five on one worker in five minutes put it behind one with a single bad end', () => {
    const failures = Array.from({ length: 5 }, (_, at) => ({ node: 'w1', at }))
    const config = new Cluster('w1').declare('a', 1).service('a').config
    const service = aService(config)
    const mine: Instance[] = [
      anInstance('i1', { service: 'a', failures }),
      anInstance('i2', { service: 'a', node: 'w2', state: 'unexpected_crashed', changedAt: 0 }),
    ]
    expect([...avoidedBy(service, mine, 299_000)]).toEqual([
      ['w2', 'once'],
      ['w1', 'often'],
    ])
    // The oldest of the five is too old.
    expect(avoidedBy(service, mine, 300_000).get('w1')).toBeUndefined()
    expect(avoidedBy(service, mine.toSpliced(0, 1), 300_000).size).toBe(0)
  })

  test('tries of one plan see each other: no worker gets more than max_per_node of them', () => {
    const world = new Cluster('w1', 'w2', 'w3').declare('a', 2, { max_per_node: 1 }).settle()
    for (const { id, node } of world.live('a')) {
      expect(['w1', 'w2']).toContain(node)
      const instance = world.instances.get(id)
      if (instance === undefined) continue
      world.instances.set(id, { ...instance, attempt: 3, retryAt: world.now })
    }
    world.settle()
    const places = world.live('a').map(({ node }) => node)
    expect(new Set(places).size, places.join()).toBe(2)
  })

  test('it does not stand in its own way: without another worker it tries there again', () => {
    const world = sized(1)
      .declare('a', 1, { max_per_node: 1, limits: { memory: '1GiB' } })
      .settle()
    const [only] = world.live('a')
    world.instances.set(only!.id, { ...only!, attempt: 3, retryAt: world.now })
    expect(world.settle().live('a')).toMatchObject([{ node: 'w1', attempt: 4 }])
  })

  test('what has its data on a worker makes all its tries there', () => {
    const world = new Cluster('w1', 'w2').declare('a', 1, { sticky: true }).settle()
    world.services.set('a', { ...world.service('a'), homes: ['w1'] })
    const [only] = world.live('a')
    world.instances.set(only!.id, { ...only!, attempt: 4, retryAt: world.now })
    expect(world.settle().live('a')).toMatchObject([{ node: 'w1', attempt: 5 }])
  })

  test('a try goes past a worker on which the program failed often', () => {
    const world = new Cluster('w1', 'w2', 'w3').declare('a', 2).settle()
    const [first, second] = world.live('a')
    const failures = Array.from({ length: 5 }, () => ({ node: 'w2', at: world.now }))
    world.instances.set(second!.id, { ...second!, failures })
    world.instances.set(first!.id, { ...first!, attempt: 3, retryAt: world.now, failure })
    expect(world.settle().instances.get(first!.id)?.node).toBe('w3')
  })
})

describe('explain', () => {
  test('says who is next, who could and who may not, each with its reasons', () => {
    const world = labelled({ disk: 'ssd' }, { disk: 'ssd' }, { disk: 'hdd' }, { disk: 'ssd' })
    world.declare('a', 3, { constraints: [{ label: 'disk', in: ['ssd'] }], max_per_node: 2 }).run()
    world.drain('w4').run()
    const told = explain(world.service('a'), world.facts(), world.now)
    expect(told).toMatchObject({ service: 'a', wanted: 3, held: 3, next: 'w2', nowhere: null })
    expect(told.rule).toBe(
      'round robin: the fewest of its instances, then the next in the ring after w1',
    )
    const [w1, w2, w3, w4] = told.nodes
    expect(w1).toMatchObject({ verdict: 'refused', instances: 2, order: null })
    expect(w1?.why_not).toEqual(['has 2 already (max_per_node 2)'])
    expect(w2).toMatchObject({ verdict: 'next', instances: 1, order: 1, why_not: [] })
    expect(w2?.why).toContain('meets the constraint disk in ssd')
    expect(w3?.why_not).toEqual(['disk is hdd (constraint: disk in ssd)'])
    expect(w4?.why_not).toEqual(['is drained'])
  })

  test('tells all reasons of a worker, with its own figures', () => {
    const world = sized(1, 4)
    world.declare('a', 1, { limits: { memory: '768MiB', cpu: 2 } }).run()
    const told = explain(world.service('a'), world.facts(), world.now)
    expect(told.nodes[0]?.why_not).toEqual([
      '256MiB of 1GiB memory free, it needs 768MiB',
      '0 of 2 cores free, it needs 2',
    ])
    expect(told.nodes[1]?.why).toContain('4GiB of 4GiB memory free')
  })

  test('says why nobody can take one', () => {
    const world = labelled({}).declare('a', 1, { constraints: [{ label: 'gpu' }] })
    const told = explain(world.service('a'), world.facts(), world.now)
    expect(told).toMatchObject({ next: null, nowhere: expect.stringContaining('no label gpu') })
  })

  test('who could says what puts it behind the next one', () => {
    const world = new Cluster('w1', 'w2').declare('a', 1).run()
    const told = explain(world.service('a'), world.facts(), world.now)
    expect(told.nodes[0]?.why_not).toEqual(['has 1 of its instances; w2 has 0 of its instances'])
  })
})
