// A service of three instances on three workers is updated, rolled back, drained and rebalanced
// while it is asked by the clock, on connections that stay and on new ones. What counts is the
// number of requests that failed. Run: npm run bench:deploy [-- --quick --json]

import { withCluster } from '#bench/cluster-session.ts'
import { type BenchOptions, runBench } from '#bench/command.ts'
import { type MachineFacts, machineFacts } from '#bench/machine.ts'
import { short, tableOf } from '#bench/table.ts'
import { CASES } from './cases.ts'
import { type DeployLatency, measureLatency } from './latency.ts'
import { type CaseResult, runCase } from './run-case.ts'

const USAGE = `node bench/deploy/main.ts [options]
  --quick      1,000 requests a case instead of 100,000, at 1,000 per second
  --json       one JSON object`

const FULL = { requests: 100_000, rate: 2_000, deploys: 15 }
const QUICK = { requests: 1_000, rate: 1_000, deploys: 2 }

type Found = { machine: MachineFacts; rate: number; latency: DeployLatency; cases: CaseResult[] }

await runBench({ usage: USAGE, measure, textOf })

async function measure({ quick, json }: BenchOptions): Promise<Found> {
  const size = quick ? QUICK : FULL
  const machine = machineFacts()
  return withCluster({ workers: 3 }, async (cluster) => {
    const latency = await measureLatency(cluster, size.deploys)
    const cases: CaseResult[] = []
    for (const one of CASES) {
      if (!json) console.error(`${one.name} …`)
      cases.push(await runCase(cluster, one, size))
    }
    return { machine, rate: size.rate, latency, cases }
  })
}

function textOf({ machine, rate, latency, cases }: Found): string {
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
    '',
    `From POST to the first 200: ${latency.deployMs} ms, of it the program's own start ` +
      `${latency.startMs} ms;`,
    `added ${latency.addedMs} ms, at most ${latency.addedMaxMs} (${latency.deploys} deploys)`,
  ].join('\n')
}
