// What the daemons cost when nothing is asked of them: memory and processor time of one controller
// and three agents, without a service and with three instances of one. Measured after each agent
// has reported so often that what the start left behind is gone. Run: npm run bench:idle

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { RealCluster } from '#test/helpers/real-cluster.ts'
import { withCluster } from './cluster-session.ts'
import { type BenchOptions, runBench } from './command.ts'
import { cpuMsOf, type MachineFacts, type Memory, machineFacts, memoryOf } from './machine.ts'
import { short, tableOf } from './table.ts'

const USAGE = `node bench/idle.ts [options]
  --quick      2 s a window instead of 10
  --seconds N  in which processor time is counted
  --json       one JSON object`

const WORKERS = 3
const SERVICE = 'trivial-js'
/** The default of an agent, as a release has it. */
const PUBLISH_INTERVAL = '2s'
/** Of each agent, since the last change, before anything is measured. */
const REPORTS = 20
const REPORTS_QUICK = 5

/** `cpuShare`: of one core. */
export type DaemonFigure = Memory & { daemon: string; cpuShare: number }
export type IdleFigures = { instances: number; daemons: DaemonFigure[] }
export type IdleReport = {
  machine: MachineFacts
  settings: { seconds: number; reports: number; publishInterval: string }
  figures: IdleFigures[]
}

async function measure({ quick, seconds }: BenchOptions): Promise<IdleReport> {
  const reports = quick ? REPORTS_QUICK : REPORTS
  const machine = machineFacts()
  await fillCompileCache()
  const options = { workers: WORKERS, publishInterval: PUBLISH_INTERVAL }
  const figures = await withCluster(options, async (cluster) => {
    const idle = await measureIdle(cluster, { instances: 0, reports, seconds })
    await cluster.deploy(SERVICE, { concurrency: WORKERS })
    return [idle, await measureIdle(cluster, { instances: WORKERS, reports, seconds })]
  })
  return { machine, settings: { seconds, reports, publishInterval: PUBLISH_INTERVAL }, figures }
}

/** Every start but the first after an update finds the cache filled; that is what is measured. */
async function fillCompileCache(): Promise<void> {
  for (const program of ['tucano_ctld', 'tucano_agentd']) {
    await promisify(execFile)(join(import.meta.dirname, '../bin', program), ['--version'])
  }
}

async function measureIdle(
  cluster: RealCluster,
  { instances, reports, seconds }: { instances: number; reports: number; seconds: number },
): Promise<IdleFigures> {
  console.error(`${instances} instances: waiting for ${reports} reports of each agent`)
  await reported(cluster, reports)
  const pids: [daemon: string, pid: number][] = [
    ['controller', cluster.controller().pid],
    ['balancer', await cluster.balancerPid()],
    ...workersOf().map((name): [string, number] => [`agent ${name}`, cluster.agent(name).pid]),
  ]
  const before = pids.map(([, pid]) => cpuMsOf(pid))
  const begin = performance.now()
  // Nothing is asked meanwhile: each question would be work.
  await pause(seconds * 1_000)
  const tookMs = performance.now() - begin
  const daemons = pids.map(([daemon, pid], index) => {
    const cpuShare = (cpuMsOf(pid) - (before[index] ?? 0)) / tookMs
    return { daemon, ...memoryOf(pid), cpuShare }
  })
  return { instances, daemons }
}

/** Resolves when each agent has made so many reports from now on. */
async function reported(cluster: RealCluster, count: number): Promise<void> {
  const first = await sequences(cluster)
  await cluster.until(`${count} reports of each agent`, async () => {
    const now = await sequences(cluster)
    return now.every((sequence, index) => sequence - (first[index] ?? 0) >= count)
  })
}

/** The number of each agent's last report. */
function sequences(cluster: RealCluster): Promise<number[]> {
  return Promise.all(
    workersOf().map(async (name) => {
      const path = `/v1/nodes/${name}/agent/v1/status`
      return (await cluster.api<{ sequence: number }>('GET', path)).body.sequence
    }),
  )
}

function workersOf(): string[] {
  return Array.from({ length: WORKERS }, (_, index) => `w${index + 1}`)
}

export function textOf({ machine, settings, figures }: IdleReport): string {
  const rows = figures.flatMap(({ instances, daemons }) =>
    daemons.map(({ daemon, rssMiB, ownMiB, peakMiB, cpuShare }) => ({
      instances,
      daemon,
      'RSS MiB': rssMiB,
      'own MiB': ownMiB,
      'peak MiB': peakMiB,
      'CPU % of a core': short(cpuShare * 100),
    })),
  )
  return [
    `${machine.cores} cores (${machine.cpu}), Node ${machine.node}, load before ` +
      `${machine.loadBefore}; after ${settings.reports} reports, over ${settings.seconds} s`,
    tableOf(rows),
  ].join('\n\n')
}

if (import.meta.main) await runBench({ usage: USAGE, measure, textOf })
