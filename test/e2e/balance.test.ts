// The balancer between real processes: weights from metrics, orderly ends, input that is refused.

import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Ack, Report } from '#shared/wire.ts'
import { startOpenLoop } from '#test/helpers/open-loop.ts'
import { type RealCluster, startCluster } from '#test/helpers/real-cluster.ts'

/** An agent by hand: reports what the test wants, and says that its instances run on `port`. */
async function startHandAgent(cluster: RealCluster, node: string, cpu: () => number) {
  const token = (await readFile(join(cluster.folder, 'ctld/agent-token'), 'utf8')).trim()
  const server: Server = createServer((_, response) => response.end(node))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  let sequence = 0
  let obeyed: Pick<Ack, 'epoch' | 'generation'> = { epoch: 0, generation: 0 }
  let instances: Report['instances'] = []

  async function report(): Promise<void> {
    sequence += 1
    const body: Report = {
      node,
      agent: { version: '1', boot: 'b', session: `${node}-1` },
      sequence,
      interval_ms: 60_000,
      ...obeyed,
      metrics: {
        cpu: cpu(),
        cores: 2,
        load: 0,
        memory_total: 100,
        memory_used: 0,
        disk_total: 100,
        disk_used: 0,
        net_rx_per_s: 0,
        net_tx_per_s: 0,
      },
      instances,
    }
    const response = await fetch(`${cluster.apiUrl}/v1/agents/${node}/report`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    const ack = (await response.json()) as Ack
    if (ack.assignment === undefined) return
    obeyed = { epoch: ack.assignment.epoch, generation: ack.assignment.generation }
    instances = ack.assignment.instances.map(({ id, service, attempt }) => ({
      id,
      service,
      attempt,
      phase: 'started' as const,
      port,
      restarts: 0,
    }))
  }

  return { report, close: () => server.close() }
}

test('T06/M34/Q10: a worker whose CPU is busy gets a smaller share of the requests', async () => {
  await using cluster = await startCluster({ workers: 2, startAgents: false })
  let busy = 0
  const agents = [
    await startHandAgent(cluster, 'w1', () => busy),
    await startHandAgent(cluster, 'w2', () => 0),
  ]
  const reportAll = async (times: number) => {
    for (let n = 0; n < times; n += 1) for (const agent of agents) await agent.report()
  }
  await reportAll(1)
  await cluster.declare(await cluster.upload('trivial-js', { concurrency: 2 }))
  await reportAll(3)
  const share = async () => {
    let onW1 = 0
    for (let n = 0; n < 110; n += 1) {
      const { body } = await cluster.ask('trivial-js')
      if (body === 'w1') onW1 += 1
    }
    return onW1 / 110
  }
  expect(await share()).toBeCloseTo(0.5, 1)
  busy = 0.9
  await reportAll(2)
  // Weights 1 and 10 (Q10).
  expect(await share()).toBeCloseTo(1 / 11, 1)
  for (const agent of agents) agent.close()
})

test('F36: the controller stops in order under load: what is in flight ends, no request fails', async () => {
  await using cluster = await startCluster({ workers: 1 })
  const deployment = await cluster.deploy('trivial-js', { concurrency: 2 })
  expect(deployment.state, JSON.stringify(deployment)).toBe('complete_running')
  const socket = connect(cluster.ports.balancer, '127.0.0.1')
  await once(socket, 'connect')
  const load = startOpenLoop({ url: cluster.balancerUrl, host: 'trivial-js', perSecond: 200 })
  await load.answered(100)
  const controller = cluster.controller()
  controller.kill('SIGTERM')
  expect(await controller.exited).toBe(0)
  await load.stop()
  // Whoever connects when the port closes is turned away, by refusal or by reset; before that
  // moment nobody is let down. It is told by the last request that was answered.
  const closedAt = Math.max(...load.seen.filter(({ status }) => status === 200).map(({ at }) => at))
  expect(load.bad(({ status, at }) => status === 200 || at > closedAt - 100)).toEqual([])
  socket.destroy()
  const [program] = await programPids(cluster)
  expect(program).toBeGreaterThan(0)
})

test('F08: a controller that stood still for longer than the liveness timeout declares nobody dead', async () => {
  await using cluster = await startCluster({ workers: 2 })
  await cluster.deploy('trivial-js', { concurrency: 2 })
  const before = await cluster.instances('trivial-js')
  const { pid } = cluster.controller()
  process.kill(pid, 'SIGSTOP')
  // Four times the patience that goes with reports every 500 ms; a pause is what is tested.
  await new Promise((resolve) => setTimeout(resolve, 6_000))
  process.kill(pid, 'SIGCONT')
  await cluster.until('it noticed that it stood still', async () => {
    return (await cluster.events()).some(({ kind }) => kind === 'controller.paused')
  })
  await cluster.until('both have reported since', async () => {
    const { alive_nodes } = await cluster.runtime()
    return (
      alive_nodes.length === 2 && alive_nodes.every(({ silentMs }) => (silentMs ?? 9e9) < 2_000)
    )
  })
  const kinds = (await cluster.events()).map(({ kind }) => kind)
  expect(kinds).not.toContain('node.reviving')
  expect(kinds).not.toContain('node.dead')
  const after = await cluster.instances('trivial-js')
  expect(after.map(({ id, pid: program }) => `${id} ${program}`)).toEqual(
    before.map(({ id, pid: program }) => `${id} ${program}`),
  )
})

test('B2: what is refused leaves the state file as it is, to the byte', async () => {
  await using cluster = await startCluster({ workers: 1, startAgents: false })
  const config = await cluster.upload('trivial-js')
  const stateFile = join(cluster.folder, 'ctld/state.json')
  const before = await readFile(stateFile)
  const hostile: [string, unknown][] = [
    ['an unknown key', { config: { ...config, concurency: 3 } }],
    ['a wrong type', { config: { ...config, concurrency: '3' } }],
    ['out of range', { config: { ...config, port: 65_536 } }],
    ['a missing key', { config: { ...config, name: undefined } }],
    ['a name that climbs', { config: { ...config, name: '../x' } }],
    [
      'an image that is not there',
      { config: { ...config, image: { ...config.image, digest: `sha256:${'0'.repeat(64)}` } } },
    ],
    ['a job', { config: { ...config, kind: 'job' } }],
    ['not an object', [1, 2, 3]],
  ]
  for (const [what, body] of hostile) {
    const { status } = await cluster.api('POST', '/v1/services', body)
    expect(status, what).toBeGreaterThanOrEqual(400)
    expect(status, what).toBeLessThan(500)
  }
  const put = await cluster.api<{ problems: { where: string }[] }>('PUT', '/v1/config', {
    version: 1,
    text: 'topology: []\nbalancr: 1\n',
  })
  expect(put.status).toBe(400)
  expect(put.body.problems.length).toBeGreaterThanOrEqual(2)
  expect((await cluster.api('POST', '/v1/services/nobody/stop', {})).status).toBe(404)
  expect(await readFile(stateFile)).toEqual(before)
})

async function programPids(cluster: RealCluster): Promise<number[]> {
  const { programsOf } = await import('#test/helpers/real-cluster.ts')
  return programsOf(join(cluster.folder, 'w1'))
}
