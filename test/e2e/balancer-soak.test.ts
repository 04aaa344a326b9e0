// Two minutes of everything at once, with tables that change under it: memory stays flat, and when
// the clients are gone the process has no more open than before they came. SOAK_SECONDS changes
// the length, for a longer look by hand.

import { expect, test } from 'vitest'
import { route, target } from '#test/ctld/balancer/rig.ts'
import { type BalancerProcess, startBalancer } from '#test/helpers/balancer-process.ts'
import { startEchoProgram, startMixedTraffic } from '#test/helpers/mixed-traffic.ts'
import { randomOf } from '#test/helpers/seeds.ts'

const SECONDS = Number(process.env.SOAK_SECONDS ?? 120)
const SAMPLE_REQUESTS = 500
const MIB = 1024 * 1024

/**
 * How memory may grow in the second half: by so much for each request, or by so much in all where
 * a slow machine made few requests. A leak of one KiB for each request is four times the first.
 */
const HEAP = { perRequest: 256, least: 1 * MIB }
const RSS = { perRequest: 512, least: 16 * MIB }

type Sample = { requests: number; heap: number; rss: number }

test('two minutes of mixed traffic: memory flat, nothing left open', {
  timeout: 300_000,
}, async () => {
  await using balancer = await startBalancer(2)
  await using first = await startEchoProgram()
  await using second = await startEchoProgram()
  const targets = [target('i1', first.port), target('i2', second.port)]
  const random = randomOf(5)
  await balancer.publish([route(targets)])
  await balancer.memory()
  const before = { descriptors: balancer.descriptors(), sockets: balancer.sockets() }

  const traffic = startMixedTraffic(balancer.port, 6)
  const samples: Sample[] = []
  const endAt = performance.now() + SECONDS * 1_000
  while (performance.now() < endAt) {
    await traffic.more(SAMPLE_REQUESTS)
    const shown = random.chance(0.5) ? targets : [random.pick(targets)]
    await balancer.publish([route(shown, { pipelining: random.chance(0.5) })])
    samples.push({ requests: traffic.requests(), ...(await memoryOf(balancer)) })
  }
  await traffic.stop()
  await balancer.publish([route(targets)])

  const half = samples.slice(Math.floor(samples.length / 2))
  const requests = half.at(-1)!.requests - half[0]!.requests
  const grown = { heap: growth(half, 'heap'), rss: growth(half, 'rss') }
  print(traffic, samples, grown)
  expect(Object.fromEntries(traffic.failed)).toEqual({})
  expect(Object.keys(traffic.ended).length).toBe(8)
  expect(grown.heap * requests).toBeLessThan(Math.max(HEAP.perRequest * requests, HEAP.least))
  expect(grown.rss * requests).toBeLessThan(Math.max(RSS.perRequest * requests, RSS.least))

  await expectAsBefore(balancer, before)
})

async function memoryOf(balancer: BalancerProcess): Promise<Omit<Sample, 'requests'>> {
  const { loops, rss } = await balancer.memory()
  return { heap: loops.reduce((sum, { heap, external }) => sum + heap + external, 0), rss }
}

/** Bytes for each request: the slope of the straight line through the samples. */
function growth(samples: readonly Sample[], of: 'heap' | 'rss'): number {
  const mean = (values: number[]) => values.reduce((sum, one) => sum + one, 0) / values.length
  const x = mean(samples.map(({ requests }) => requests))
  const y = mean(samples.map((sample) => sample[of]))
  let product = 0
  let square = 0
  for (const sample of samples) {
    product += (sample.requests - x) * (sample[of] - y)
    square += (sample.requests - x) ** 2
  }
  return product / square
}

async function expectAsBefore(
  balancer: BalancerProcess,
  before: { descriptors: number; sockets: number },
): Promise<void> {
  // A request that ended leaves its connection to a pool, or to be closed, a moment later.
  await balancer.until(
    ({ inFlight, waiting, instances }) =>
      inFlight === 0 &&
      waiting === 0 &&
      Object.values(instances).every(
        (one) => one.inFlight === 0 && one.openConnections === one.idleConnections,
      ),
  )
  // The pools let go of what nobody used for four seconds.
  await expect
    .poll(
      async () => ({
        open: (await balancer.counters()).connections.open,
        descriptors: balancer.descriptors(),
        sockets: balancer.sockets(),
      }),
      { timeout: 30_000, interval: 100 },
    )
    .toEqual({ open: 0, ...before })
}

function print(
  { ended }: ReturnType<typeof startMixedTraffic>,
  samples: readonly Sample[],
  grown: { heap: number; rss: number },
): void {
  const mib = (bytes: number) => (bytes / MIB).toFixed(1)
  const shown = [0, 0.25, 0.5, 0.75, 1].map(
    (share) => samples[Math.round(share * (samples.length - 1))]!,
  )
  const lines = shown.map(
    ({ requests, heap, rss }) => `${requests}  heap ${mib(heap)} MiB  rss ${mib(rss)} MiB`,
  )
  const kinds = Object.entries(ended).map(([kind, count]) => `${count} ${kind}`)
  console.log(
    `\nSoak of ${SECONDS} s: ${kinds.join(', ')}\n${lines.join('\n')}\nfor each request of the ` +
      `second half: heap ${grown.heap.toFixed(1)} B, rss ${grown.rss.toFixed(1)} B\n`,
  )
}
