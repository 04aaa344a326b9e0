// number-fact under load through the balancer of a real cluster on this machine: 1, 3 and 6
// instances on three workers, two rules of balancing, weights that differ, and a node that dies.
// No figure is printed unless every answer was 200 with the golden body (but of the dying node:
// there the wrong ones are counted). Run: npm run bench:number-fact [-- --quick --json]

import { withCluster } from './cluster-session.ts'
import { type BenchOptions, runBench } from './command.ts'
import { percent, sharesText } from './figures.ts'
import { type MachineFacts, machineFacts } from './machine.ts'
import { measureNodeKill, type NodeKill } from './node-kill.ts'
import {
  type CaseFigures,
  CLASSES,
  CONNECTIONS,
  createCase,
  WARM_UP_SHARE,
} from './service-cases.ts'
import { tableOf } from './table.ts'
import { measureToldWeights, type ToldWeights } from './told-weights.ts'
import { deployWorkload } from './workload.ts'

const USAGE = `node bench/number-fact.ts [options]
  --quick      2 s a class instead of 10: whether it works, not how fast
  --seconds N  for each class and way
  --json       one JSON object`

const WORKERS = 3

export type NumberFactReport = {
  machine: MachineFacts
  settings: { seconds: number; warmUpSeconds: number; connections: number; workers: number }
  cases: CaseFigures[]
  toldWeights: ToldWeights[]
  nodeKill: NodeKill
}

async function measure({ seconds }: BenchOptions): Promise<NumberFactReport> {
  const machine = machineFacts()
  const found = await withCluster({ workers: WORKERS, publishInterval: '1s' }, async (cluster) => {
    const one = createCase({ instances: 1, balance: 'round_robin' })
    const turns = createCase({ instances: 3, balance: 'round_robin' })
    const weights = createCase({ instances: 3, balance: 'weighted_round_robin' })
    const six = createCase({ instances: 6, balance: 'round_robin' })
    const workload = await deployWorkload(cluster, one)
    // The two rules in the order ABBA, so that a machine that grows slower favours neither.
    for (const each of [one, turns, weights, weights, turns, six]) {
      say(`${each.instances} × number-fact, ${each.balance}`)
      await each.run(cluster, workload, seconds)
    }
    say('unlike nodes')
    const toldWeights = await measureToldWeights(cluster, workload, seconds)
    return { cases: [one, turns, weights, six].map((each) => each.figures()), toldWeights }
  })
  const nodeKill = await withCluster({ workers: WORKERS, publishInterval: '1s' }, (cluster) => {
    say('a node dies')
    return measureNodeKill(cluster, seconds)
  })
  return {
    machine,
    settings: {
      seconds,
      warmUpSeconds: seconds * WARM_UP_SHARE,
      connections: CONNECTIONS,
      workers: WORKERS,
    },
    ...found,
    nodeKill,
  }
}

export function textOf(report: NumberFactReport): string {
  const { machine, settings, cases, toldWeights, nodeKill } = report
  return [
    `${machine.cores} cores (${machine.cpu}), Node ${machine.node}, load before ` +
      `${machine.loadBefore}; ${settings.connections} connections, ${settings.seconds} s each`,
    tableOf(cases.flatMap(rowsOf)),
    ...cases.map((each) => `${nameOf(each)}: ${sharesText(each.shares)}`),
    ...toldWeights.map(toldText),
    killText(nodeKill),
  ].join('\n\n')
}

function rowsOf(figures: CaseFigures) {
  return figures.classes.map(({ class: name, balancer, direct, ratio, balancerCpuMs }) => ({
    case: nameOf(figures),
    class: name,
    requests: balancer.requests,
    '/s': balancer.perSecond,
    'p50 ms': balancer.p50Ms,
    'p90 ms': balancer.p90Ms,
    'p99 ms': balancer.p99Ms,
    'direct /s': direct.perSecond,
    'direct p50': direct.p50Ms,
    'direct p99': direct.p99Ms,
    '/s ÷ direct': ratio,
    'balancer CPU ms': balancerCpuMs,
  }))
}

function nameOf({ instances, balance, runs }: CaseFigures): string {
  return `${instances} × ${balance}${runs > 1 ? ` (${runs} runs)` : ''}`
}

function toldText({ balance, figure, nodes }: ToldWeights): string {
  const rows = nodes.map((each) => ({
    node: each.node,
    'told CPU': each.toldCpu,
    weight: each.weight,
    requests: each.requests,
    share: percent(each.share),
    promised: percent(each.promised),
  }))
  return `unlike nodes, ${balance}, easy: ${figure.perSecond}/s\n${tableOf(rows)}`
}

function killText(kill: NodeKill): string {
  const window =
    kill.failed === 0 ? '' : `, from ${kill.firstFailureMs} to ${kill.lastFailureMs} ms after it`
  const replaced =
    kill.replacedMs === null
      ? 'no instance elsewhere before the end'
      : `first answer of the instance elsewhere ${kill.replacedMs} ms after the kill`
  return [
    `${kill.node} killed in mid-run, ${CLASSES.join(' + ')} mixed: ` +
      `${kill.failed} of ${kill.sent} failed${window} ${JSON.stringify(kill.failures)}`,
    `${replaced}; slowest answer across the kill ${kill.slowestAcrossMs} ms`,
    tableOf((['direct', 'before', 'after'] as const).map((part) => ({ part, ...kill[part] }))),
  ].join('\n')
}

function say(what: string): void {
  console.error(`${new Date().toISOString().slice(11, 19)} ${what}`)
}

if (import.meta.main) await runBench({ usage: USAGE, measure, textOf })
