// How long the planner takes to decide where instances go: the whole of one decision, from the
// facts to the plan, which nothing carries out. Run: npm run bench:place [-- --quick --json]

import { type Facts, reconcile } from '#ctld/deployer/reconcile.ts'
import { runBench } from './command.ts'
import { type MachineFacts, machineFacts } from './machine.ts'
import {
  type Flavour,
  factsFor,
  NOW,
  obeyed,
  type Shape,
  withCrash,
  withoutNode,
} from './place-world.ts'
import { short, tableOf } from './table.ts'

const USAGE = `node bench/place.ts [options]
  --quick      a tenth of the decisions, and the largest cluster without constraints alone
  --json       one JSON object`

const SMALL: Shape = { nodes: 50, services: 50, concurrency: 20 }
const SIZES: readonly Shape[] = [
  { nodes: 50, services: 10, concurrency: 100 },
  { nodes: 500, services: 100, concurrency: 100 },
  { nodes: 1_000, services: 100, concurrency: 1_000 },
  { nodes: 6_100, services: 1_000, concurrency: 1_000 },
]
const DECISIONS = 2_000
const DECISIONS_QUICK = 200
const WARM_UP = 100
const AIM_MS = 50
/** The kernel counts processor time in steps of some ms: small clusters are decided on often. */
const INSTANCES_TIMED_MIN = 200_000
/** With --quick larger ones are measured in the plain flavour alone. */
const RICH_QUICK_MAX = 100_000
const flavours: readonly Flavour[] = ['plain', 'rich']

export type DecisionFigure = {
  flavour: Flavour
  decision: string
  decisions: number
  actions: number
  p50Ms: number
  p99Ms: number
  /** Processor time of this thread, the mean: what others did meanwhile is not in it. */
  cpuMs: number
}
export type SizeFigure = {
  flavour: Flavour
  nodes: number
  instances: number
  seconds: number
  cpuSeconds: number
  perSecond: number
  perCpuSecond: number
  /** When all of it runs: a decision that finds nothing to do, and one after a worker died. */
  steadyCpuMs: number
  deathCpuMs: number
}
export type PlaceReport = {
  machine: MachineFacts
  small: { nodes: number; instances: number; aimP99Ms: number; decisions: DecisionFigure[] }
  sizes: SizeFigure[]
}

async function measure({ quick }: { quick: boolean }): Promise<PlaceReport> {
  const machine = machineFacts()
  const count = quick ? DECISIONS_QUICK : DECISIONS
  const decisions = flavours.flatMap((flavour) => measureSmall(flavour, count))
  const sizes = flavours.flatMap((flavour) =>
    SIZES.filter((shape) => !quick || flavour === 'plain' || countOf(shape) <= RICH_QUICK_MAX).map(
      (shape) => measureSize(shape, flavour),
    ),
  )
  const small = { nodes: SMALL.nodes, instances: countOf(SMALL), aimP99Ms: AIM_MS, decisions }
  return { machine, small, sizes }
}

function countOf({ services, concurrency }: Shape): number {
  return services * concurrency
}

function measureSmall(flavour: Flavour, count: number): DecisionFigure[] {
  const empty = factsFor(SMALL, flavour)
  const full = obeyed(empty, reconcile(empty, NOW))
  const cases: Record<string, (n: number) => Facts> = {
    'all of it is placed': () => empty,
    'nothing is to be done': () => full,
    'one instance crashed': (n) => withCrash(full, n % full.instances.length),
    'a node died': (n) => withoutNode(full, full.nodes[n % full.nodes.length]?.name ?? ''),
  }
  return Object.entries(cases).map(([decision, factsAt]) => {
    for (let n = 0; n < WARM_UP; n += 1) timedOf(factsAt(n))
    const timed = Array.from({ length: count }, (_, n) => timedOf(factsAt(n)))
    const wall = timed.map(({ ms }) => ms)
    return {
      ...{ flavour, decision, decisions: count, actions: timed[0]?.plan.actions.length ?? 0 },
      ...{ p50Ms: at(wall, 0.5), p99Ms: at(wall, 0.99), cpuMs: meanOf(timed, 'cpuMs') },
    }
  })
}

function measureSize(shape: Shape, flavour: Flavour): SizeFigure {
  const empty = factsFor(shape, flavour)
  const times = Math.ceil(INSTANCES_TIMED_MIN / countOf(shape))
  const again = (facts: Facts) => Array.from({ length: times }, () => timedOf(facts))
  const first = again(empty)
  const full = obeyed(empty, first[0]?.plan ?? reconcile(empty, NOW))
  const instances = full.instances.length
  const [ms, cpuMs] = [meanOf(first, 'ms'), meanOf(first, 'cpuMs')]
  return {
    flavour,
    nodes: shape.nodes,
    instances,
    seconds: short(ms / 1_000),
    cpuSeconds: short(cpuMs / 1_000),
    perSecond: short((instances / ms) * 1_000),
    perCpuSecond: short((instances / cpuMs) * 1_000),
    steadyCpuMs: meanOf(again(full), 'cpuMs'),
    deathCpuMs: meanOf(again(withoutNode(full, full.nodes[0]?.name ?? '')), 'cpuMs'),
  }
}

function timedOf(facts: Facts) {
  const cpuBefore = process.threadCpuUsage()
  const startedAt = performance.now()
  const plan = reconcile(facts, NOW)
  const ms = performance.now() - startedAt
  const { user, system } = process.threadCpuUsage(cpuBefore)
  return { plan, ms, cpuMs: (user + system) / 1_000 }
}

function meanOf(timed: readonly { ms: number; cpuMs: number }[], key: 'ms' | 'cpuMs'): number {
  return short(timed.reduce((sum, one) => sum + one[key], 0) / timed.length)
}

function at(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return short(sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN)
}

function textOf({ machine, small, sizes }: PlaceReport): string {
  const title = `${small.instances} instances on ${small.nodes} nodes, one decision`
  const decisions = small.decisions.map(({ p50Ms, p99Ms, cpuMs, ...rest }) => ({
    ...rest,
    'p50 ms': p50Ms,
    'p99 ms': p99Ms,
    'CPU ms': cpuMs,
  }))
  const growth = sizes.map(({ steadyCpuMs, deathCpuMs, cpuSeconds, ...rest }) => ({
    ...rest,
    'CPU s': cpuSeconds,
    'steady CPU ms': steadyCpuMs,
    'death CPU ms': deathCpuMs,
  }))
  return [JSON.stringify(machine), title, tableOf(decisions), tableOf(growth)].join('\n\n')
}

await runBench({ usage: USAGE, measure, textOf })
