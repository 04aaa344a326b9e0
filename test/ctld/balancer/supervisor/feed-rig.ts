// A feed whose data plane is the test: it answers or does not, says what it is told to say, and
// its starts are counted. The clock stands.

import type { FromDataPlane, ToDataPlane } from '#ctld/balancer/data-plane/supervisor/protocol.ts'
import { createFeed, type FeedPorts } from '#ctld/balancer/feed.ts'
import type { Observation } from '#ctld/ports.ts'
import { createManualClock } from '#test/helpers/manual-clock.ts'
import { settings, settled, silent } from './world.ts'

export function hello(change: Partial<Extract<FromDataPlane, { kind: 'hello' }>> = {}) {
  const base = { protocol: 1, program: '0.1.0', pid: 1, tableVersion: -1, routed: [] }
  return { kind: 'hello' as const, ...base, ...change }
}

export async function connected(change: Parameters<typeof hello>[0] = {}) {
  const world = rig({ isThere: true })
  const done = world.feed.connect()
  await settled()
  world.say(hello(change))
  await done
  world.sent.splice(0, change.program === undefined ? Infinity : 0)
  return world
}

export function rig({ isThere, mayLaunch = true }: { isThere: boolean; mayLaunch?: boolean }) {
  const clock = createManualClock()
  const launches: ((words: string) => void)[] = []
  const sent: ToDataPlane[] = []
  const seen: Observation[] = []
  let on: Parameters<FeedPorts['dial']>[0] | undefined
  const feed = createFeed(
    {
      clock,
      log: silent,
      version: '0.1.0',
      async dial(listener) {
        if (!world.isThere) throw new Error('ENOENT')
        world.dials += 1
        on = listener
        return {
          send: (message) => void sent.push(message),
          isFull: () => world.isFull,
          close() {},
        }
      },
      launch: mayLaunch ? (ended) => void launches.push(ended) : undefined,
      upgradeCommand: ['node', 'main.ts'],
    },
    settings,
  )
  feed.observe((observation) => seen.push(observation))
  const world = {
    clock,
    feed,
    launches,
    sent,
    seen,
    isThere,
    dials: 0,
    isFull: false,
    say: (message: FromDataPlane) => on?.heard(message),
    cut: () => on?.closed(),
    empty: () => on?.emptied(),
    async pass(ms: number) {
      for (let passed = 0; passed < ms; passed += 10) {
        clock.advance(10)
        await settled()
      }
    },
  }
  return world
}
