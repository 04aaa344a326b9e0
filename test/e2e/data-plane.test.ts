// The balancer is a program of its own: what the users see when the controller, the balancer
// itself or one of its loops is killed, restarted or upgraded while they are being served.

import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePorts } from '#test/helpers/free-ports.ts'
import { type OpenLoop, startOpenLoop } from '#test/helpers/open-loop.ts'
import { type RealCluster, startCluster } from '#test/helpers/real-cluster.ts'

const root = join(import.meta.dirname, '../..')

describe('under load', () => {
  let cluster: RealCluster
  let load: OpenLoop

  beforeAll(async () => {
    cluster = await startCluster({
      workers: 2,
      // A busy machine of tests must not make a node look dead.
      extra: 'health: { liveness_timeout: 20s }',
    })
    const deployment = await cluster.deploy('trivial-js', { concurrency: 3 })
    expect(deployment.state, JSON.stringify(deployment)).toBe('complete_running')
  })

  afterAll(() => cluster[Symbol.asyncDispose]())

  function begin(): OpenLoop {
    load = startOpenLoop({ url: cluster.balancerUrl, host: 'trivial-js', perSecond: 150 })
    return load
  }

  async function end(): Promise<void> {
    await load.answered(150)
    await load.stop()
  }

  test('kill -9 of the controller: no request fails, before, while and after it is away', async () => {
    await begin().answered(100)
    const before = await cluster.balancerPid()
    const controller = cluster.controller()
    controller.kill('SIGKILL')
    await controller.exited
    await load.answered(300)
    await cluster.startController()
    await load.answered(300)
    await end()
    expect(load.bad()).toEqual([])
    expect(await cluster.balancerPid()).toBe(before)
  })

  test('the controller is restarted in order: no request fails, the table is never emptier', async () => {
    await begin().answered(100)
    const controller = cluster.controller()
    controller.kill('SIGTERM')
    expect(await controller.exited).toBe(0)
    await cluster.startController()
    await cluster.until('the agents are back', async () => {
      return (await cluster.runtime()).alive_nodes.length === 2
    })
    await end()
    expect(load.bad()).toEqual([])
    const instances = new Set(
      load.seen.slice(-150).map(({ body }) => /inst (\S+)\)/.exec(body)?.[1]),
    )
    expect(instances.size).toBe(3)
  })

  test('the balancer is upgraded: no connection is refused, no request fails', async () => {
    await begin().answered(100)
    const before = await cluster.balancerPid()
    process.kill(before, 'SIGUSR2')
    const after = await cluster.until('the successor serves', async () => {
      const now = await cluster.balancerPid()
      return now !== before && now
    })
    await cluster.until('the predecessor has ended', async () => !isRunning(before))
    await end()
    expect(load.bad()).toEqual([])
    const { status, body } = await cluster.api<{ tableVersion: number }>('GET', '/v1/balancer')
    expect({ status, isFed: body.tableVersion > 0 }).toEqual({ status: 200, isFed: true })
    expect(isRunning(after)).toBe(true)
    expect((await cluster.events()).map(({ kind }) => kind)).not.toContain('balancer.failed')
  })

  test('a rolling update during and after an upgrade stops no instance under a request', async () => {
    await begin().answered(50)
    process.kill(await cluster.balancerPid(), 'SIGUSR2')
    const deployment = await cluster.deploy('trivial-js', { concurrency: 3, env: { A: 'b' } })
    expect(deployment.state).toBe('complete_running')
    await end()
    expect(load.bad()).toEqual([])
  })

  test('kill -9 of the balancer: the controller starts it again at once and says so', async () => {
    await begin().answered(50)
    const before = await cluster.balancerPid()
    process.kill(before, 'SIGKILL')
    await cluster.until('another balancer serves', async () => {
      // Refused until it listens.
      const answer = await cluster.ask('trivial-js').catch(() => undefined)
      return answer?.status === 200 && (await cluster.balancerPid()) !== before
    })
    await cluster.until('it is an event', async () => {
      return (await cluster.events()).some(({ kind }) => kind === 'balancer.failed')
    })
    await load.answered(50)
    await load.stop()
    const bad = load.bad().map(({ at }) => at)
    const awayMs = Math.round(Math.max(...bad) - Math.min(...bad))
    console.log(`kill -9 of the balancer: ${bad.length} requests failed within ${awayMs} ms`)
    expect(load.seen.at(-1)?.status).toBe(200)
  })

  test('after a reboot it serves by the table on disk before there is a controller', async () => {
    const controller = cluster.controller()
    controller.kill('SIGKILL')
    await controller.exited
    process.kill(await cluster.balancerPid(), 'SIGKILL')
    const folder = join(cluster.folder, 'ctld/balancer')
    const balancer = execa(join(root, 'bin/tucano_balancer'), ['--folder', folder], {
      reject: false,
      stderr: { file: join(cluster.folder, 'balancer-alone.log') },
    })
    await expect
      .poll(
        () =>
          cluster.ask('trivial-js').then(
            ({ status }) => status,
            () => 0,
          ),
        {
          timeout: 30_000,
        },
      )
      .toBe(200)
    // The controller adopts it.
    await cluster.startController()
    expect(await cluster.balancerPid()).toBe(balancer.pid)
    expect((await cluster.api('GET', '/v1/balancer')).status).toBe(200)
    process.kill(balancer.pid ?? 0, 'SIGTERM')
    expect((await balancer).exitCode).toBe(0)
  })
})

test('Q22: a controller that is started again stops no instance that still has a request', async () => {
  await using cluster = await startCluster({ workers: 1 })
  // It gives up with 408 after this time, whatever the machine can do.
  const env = { NUMBER_FACT_TIMEOUT_MS: '15000' }
  await cluster.deploy('number-fact', { concurrency: 1, env })
  const [old] = await cluster.instances('number-fact')
  await cluster.until('it is served', async () => {
    return (await cluster.ask('number-fact', '/hello')).status === 200
  })
  const slow = cluster.ask('number-fact', `/factors?number=${2n ** 89n - 1n}`)
  await cluster.until('the request is in flight', async () => {
    const { body } = await cluster.api<{ services: { inFlight: number }[] }>('GET', '/v1/balancer')
    return body.services[0]?.inFlight === 1
  })

  const changed = { concurrency: 1, env: { ...env, CHANGED: 'yes' } }
  await cluster.declare(await cluster.upload('number-fact', changed))
  await cluster.until('the old instance leaves the table', async () => {
    return (await cluster.instances()).some(
      ({ id, state }) => id === old?.id && state === 'terminating',
    )
  })
  const controller = cluster.controller()
  controller.kill('SIGKILL')
  await controller.exited
  await cluster.startController()

  // Its log is looked at for as long as the request lasts: it says when it is told to stop.
  let isOver = false
  const over = slow.finally(() => {
    isOver = true
  })
  const said = new Set<string>()
  while (!isOver) {
    const answer = await fetch(`${cluster.apiUrl}/v1/instances/${old?.id}/log`, {
      headers: { authorization: `Bearer ${cluster.token}` },
    })
    for (const line of (await answer.text()).split('\n')) said.add(line)
  }
  expect((await over).status).toBe(408)
  expect([...said].join()).toContain('number-fact')
  expect([...said].filter((line) => line.includes('1 in flight'))).toEqual([])
})

test('F29: the port of the balancer is taken, though by another balancer: exit 1, and it is said', async () => {
  await using first = await startCluster({ workers: 1, startAgents: false })
  const folder = await mkdtemp(join(tmpdir(), 'tucano-second-'))
  const [api] = await freePorts(1)
  const file = join(folder, 'topology.yaml')
  const lines = [
    'topology: [{ name: c1, kind: ctl, ip: 127.0.0.1 }]',
    `api: { port: ${api} }`,
    `balancer: { host: 127.0.0.1, port: ${first.ports.balancer} }`,
    `store: { folder: ${folder}/state }`,
  ]
  await writeFile(file, `${lines.join('\n')}\n`)
  const second = await execa(process.execPath, [join(root, 'ctld/main.ts'), '-c', file], {
    reject: false,
    timeout: 60_000,
  })
  expect(second.exitCode).toBe(1)
  expect(second.stderr).toContain(`balancer.port: port ${first.ports.balancer} on 127.0.0.1`)
  expect(second.stderr).toContain(`process ${await first.balancerPid()}`)
  // What it had started has ended with it.
  const pid = Number(readFileSync(join(folder, 'state/balancer/balancer.pid'), 'utf8'))
  await expect.poll(() => isRunning(pid), { timeout: 30_000 }).toBe(false)
  await rm(folder, { recursive: true, force: true })
})

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false // There is no such process.
  }
}
