// A service of three instances on three workers is updated, rolled back, drained and rebalanced
// while it is asked by the clock, on connections that stay and on new ones. What counts is the
// number of requests that failed. Run: npm run bench:deploy [-- --quick --json]

import { withCluster } from '#bench/cluster-session.ts'
import { type BenchOptions, runBench } from '#bench/command.ts'
import { type MachineFacts, machineFacts } from '#bench/machine.ts'
import { short, tableOf } from '#bench/table.ts'
import { CASES } from './cases.ts'
import { type CaseResult, runCase } from './run-case.ts'

const USAGE = `node bench/deploy/main.ts [options]
  --quick      2,000 requests a case instead of 100,000, at 1,000 per second
  --json       one JSON object`

const FULL = { requests: 100_000, rate: 3_000 }
const QUICK = { requests: 2_000, rate: 1_000 }

type Found = { machine: MachineFacts; rate: number; cases: CaseResult[] }

await runBench({ usage: USAGE, measure, textOf })

async function measure({ quick, json }: BenchOptions): Promise<Found> {
  const size = quick ? QUICK : FULL
  const cases: CaseResult[] = []
  await withCluster({ workers: 3 }, async (cluster) => {
    for (const one of CASES) {
      if (!json) console.error(`${one.name} …`)
      cases.push(await runCase(cluster, one, size))
    }
  })
  return { machine: await machineFacts(), rate: size.rate, cases }
}

function textOf({ machine, rate, cases }: Found): string {
  const rows = cases.map((one) => ({
    case: one.case,
    changes: one.changes,
    requests: one.requests,
    failed: one.failed,
    'p99 before': short(one.p99Ms.before),
    during: short(one.p99Ms.during),
    after: short(one.p99Ms.after),
  }))
  const failures = cases.flatMap(({ case: name, failures: kinds }) =>
    Object.entries(kinds).map(([kind, count]) => `${name}: ${count} × ${kind}`),
  )
  return [
    `${machine.cpu}, ${machine.cores} cores, Node ${machine.node}; ${rate} requests per second,`,
    'a tenth of them on new connections; p99 in ms',
    '',
    tableOf(rows),
    ...failures,
  ].join('\n')
}
