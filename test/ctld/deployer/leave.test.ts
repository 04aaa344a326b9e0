// Who leaves first, held against one who looks at every instance for every place in the order.

import { expect, test } from 'vitest'
import { leavingOrder } from '#ctld/deployer/leave.ts'
import { isServing } from '#ctld/instance.ts'
import type { Instance } from '#shared/model.ts'
import { Cluster } from '#test/helpers/cluster.ts'
import { forEachSeed, type Random } from '#test/helpers/seeds.ts'
import { anInstance } from '#test/helpers/stored.ts'

test(
  'Q17: who does not serve, who is named, then the newest on the fullest worker',
  forEachSeed(300, (random) => {
    const mine = randomInstances(random)
    const from = mine.filter(() => random.chance(0.7))
    const named = new Set(from.filter(() => random.chance(0.3)))
    const isFirst = (one: Instance) => named.has(one)
    expect(leavingOrder(random.shuffle(from), mine, isFirst)).toEqual(
      obviousOrder(from, mine, isFirst),
    )
  }),
)

test('half of the most instances that there may be leave for a new revision at once', () => {
  const world = new Cluster('w1', 'w2', 'w3', 'w4', 'w5').declare('a', 1_000).runOut()
  const since = performance.now()
  const { actions } = world.declare('a', 500, { env: { VERSION: '2' } }).plan()
  expect(performance.now() - since).toBeLessThan(5_000)
  expect(actions.filter(({ kind }) => kind === 'terminate')).toHaveLength(500)
})

function obviousOrder(
  from: readonly Instance[],
  mine: readonly Instance[],
  isFirst: (one: Instance) => boolean,
): Instance[] {
  const gone = new Set<Instance>()
  const fullness = ({ node }: Instance) =>
    mine.filter((one) => one.node === node && !gone.has(one)).length
  while (gone.size < from.length) {
    const [next] = from
      .filter((one) => !gone.has(one))
      .toSorted(
        (a, b) =>
          Number(isServing(a)) - Number(isServing(b)) ||
          Number(isFirst(b)) - Number(isFirst(a)) ||
          fullness(b) - fullness(a) ||
          (a.id < b.id ? 1 : -1),
      )
    if (next !== undefined) gone.add(next)
  }
  return [...gone]
}

function randomInstances(random: Random): Instance[] {
  return Array.from({ length: random.int(0, 20) }, (_, n) =>
    anInstance(`i${String(n).padStart(2, '0')}`, {
      node: random.pick(['w1', 'w2', 'w3', 'w4']),
      healthy: random.chance(0.8),
    }),
  )
}
