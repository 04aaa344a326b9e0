// How long a user waits for a deploy beyond what the program itself takes to start: from the POST
// to the first 200 through the balancer, less the time from starting the same program by hand to
// its first 200.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePorts } from '#test/helpers/free-ports.ts'
import type { RealCluster } from '#test/helpers/real-cluster.ts'

const PROGRAM = 'bench/deploy/program'
const ASK_EVERY_MS = 2
const PATIENCE_MS = 30_000

export type DeployLatency = {
  deploys: number
  /** Medians, in ms. `added`: of the differences of the pairs. */
  startMs: number
  deployMs: number
  addedMs: number
  addedMaxMs: number
}

/** The first deploy on each worker fetches and unpacks the program; it is one of them. */
export async function measureLatency(
  cluster: RealCluster,
  deploys: number,
): Promise<DeployLatency> {
  const pairs: { start: number; deploy: number }[] = []
  const config = await cluster.upload(PROGRAM, { concurrency: 1 })
  for (let n = 1; n <= deploys; n += 1) {
    const start = await startMs()
    const name = `quick-${n}`
    const began = performance.now()
    const { id } = await cluster.declare({ ...config, name })
    await answered(cluster.ports.balancer, name)
    pairs.push({ start, deploy: performance.now() - began })
    await cluster.settled(id)
    await cluster.api('DELETE', `/v1/services/${name}`)
    await cluster.until('it is forgotten', async () => {
      return (await cluster.runtime()).configured_services.every((one) => one.name !== name)
    })
  }
  const added = pairs.map(({ start, deploy }) => deploy - start)
  return {
    deploys,
    startMs: median(pairs.map(({ start }) => start)),
    deployMs: median(pairs.map(({ deploy }) => deploy)),
    addedMs: median(added),
    addedMaxMs: Math.round(Math.max(...added)),
  }
}

async function startMs(): Promise<number> {
  const [port = 0] = await freePorts(1)
  const began = performance.now()
  const env = { PATH: process.env.PATH, PORT: String(port), HOST: '127.0.0.1' }
  const child = spawn('node', [join(PROGRAM, 'server.ts')], { env, stdio: 'ignore' })
  const exited = once(child, 'exit')
  try {
    await answered(port, 'steady')
    return performance.now() - began
  } finally {
    child.kill('SIGKILL')
    await exited
  }
}

/** Resolves at the first 200. */
async function answered(port: number, host: string): Promise<void> {
  const endAt = performance.now() + PATIENCE_MS
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  try {
    while ((await statusOf(port, host, agent)) !== 200) {
      if (performance.now() > endAt) throw new Error(`${host}: no 200 within ${PATIENCE_MS} ms`)
      await sleep(ASK_EVERY_MS)
    }
  } finally {
    agent.destroy()
  }
}

function statusOf(port: number, host: string, agent: Agent): Promise<number> {
  return new Promise((resolve) => {
    request({ host: '127.0.0.1', port, agent, headers: { host } }, (answer) => {
      answer.resume()
      answer.once('end', () => resolve(answer.statusCode ?? 0))
    })
      // Nobody listens yet.
      .once('error', () => resolve(0))
      .end()
  })
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right)
  return Math.round(sorted[Math.floor(sorted.length / 2)] ?? 0)
}
