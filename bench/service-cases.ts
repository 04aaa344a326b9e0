// One case: so many instances, balanced by one rule. Each class is asked through the balancer and,
// as its peer in the same run, from one instance without it; which of the two comes first changes
// from class to class and from run to run.

import type { RealCluster } from '#test/helpers/real-cluster.ts'
import { createTally, type Figure, loadInto, type Share, sharesOf, type Tally } from './figures.ts'
import type { LoadClass } from './golden.ts'
import { cpuMsOf } from './machine.ts'
import { short } from './table.ts'
import { namesOf, SERVICE, urlOf, type Wanted, type Workload } from './workload.ts'

export const CONNECTIONS = 8
export const CLASSES = ['easy', 'medium', 'hard'] as const satisfies LoadClass[]
/** Discarded, of both ways together, before each run. */
export const WARM_UP_SHARE = 0.2

export type CaseName = Wanted

export type ClassFigures = {
  class: LoadClass
  balancer: Figure
  direct: Figure
  /** Requests/s through the balancer ÷ requests/s of one instance asked directly. */
  ratio: number
  /** Time on a processor that the controller used for each request through it. */
  balancerCpuMs: number
}

export type CaseFigures = CaseName & { runs: number; classes: ClassFigures[]; shares: Share[] }

export type Case = CaseName & {
  /** Adds one run, `seconds` for each class and way. */
  run(cluster: RealCluster, workload: Workload, seconds: number): Promise<void>
  figures(): CaseFigures
}

type Book = { class: LoadClass; balancer: Tally; direct: Tally; cpuMs: number }

export function createCase({ instances, balance }: CaseName): Case {
  const books: Book[] = CLASSES.map((name) => ({
    class: name,
    balancer: createTally(),
    direct: createTally(),
    cpuMs: 0,
  }))
  const names = new Map<string, string>()
  let runs = 0

  return {
    instances,
    balance,
    async run(cluster, workload, seconds) {
      await workload.arrange({ instances, balance })
      const running = await workload.running()
      for (const [id, name] of namesOf(running)) names.set(id, name)
      const directUrl = urlOf(running[0])
      await warmUp([directUrl, cluster.balancerUrl], seconds * WARM_UP_SHARE)
      for (const [turn, book] of books.entries()) {
        await askBoth(cluster, { book, directUrl, seconds, isDirectFirst: (runs + turn) % 2 === 0 })
      }
      runs += 1
    },
    figures: () => ({
      instances,
      balance,
      runs,
      classes: books.map(figuresOf),
      shares: sharesOf(summed(books), (id) => names.get(id) ?? id),
    }),
  }
}

/** Asks all classes in turn, and forgets what it took. */
export async function warmUp(urls: readonly string[], seconds: number): Promise<void> {
  for (const url of urls) await loadInto(createTally(), { ...loadOf(CLASSES, seconds), url })
}

export function loadOf(classes: readonly LoadClass[], seconds: number) {
  return { service: SERVICE, classes, connections: CONNECTIONS, seconds }
}

async function askBoth(
  cluster: RealCluster,
  turn: { book: Book; directUrl: string; seconds: number; isDirectFirst: boolean },
): Promise<void> {
  const { book, directUrl, seconds, isDirectFirst } = turn
  const load = loadOf([book.class], seconds)
  const direct = () => loadInto(book.direct, { ...load, url: directUrl })
  const balanced = async () => {
    const pid = await cluster.balancerPid()
    const before = cpuMsOf(pid)
    await loadInto(book.balancer, { ...load, url: cluster.balancerUrl })
    book.cpuMs += cpuMsOf(pid) - before
  }
  for (const ask of isDirectFirst ? [direct, balanced] : [balanced, direct]) await ask()
}

function figuresOf(book: Book): ClassFigures {
  const [balancer, direct] = [book.balancer.figure(), book.direct.figure()]
  return {
    class: book.class,
    balancer,
    direct,
    ratio: short(balancer.perSecond / direct.perSecond),
    balancerCpuMs: short(book.cpuMs / balancer.requests),
  }
}

function summed(books: readonly Book[]): Map<string, number> {
  const sums = new Map<string, number>()
  for (const [id, count] of books.flatMap(({ balancer }) => [...balancer.instances()])) {
    sums.set(id, (sums.get(id) ?? 0) + count)
  }
  return sums
}
