// What a hostile program does to itself, and not to its neighbour, the agent or the node. Of the
// version of control groups that the machine has: `npm run test:v2` shows the other one.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { NodeView } from '#ctld/snapshot.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import type { Instance } from '#shared/model.ts'
import { type OpenLoop, startOpenLoop } from '#test/helpers/open-loop.ts'
import { PATIENCE } from '#test/helpers/patience.ts'
import { type RealCluster, startCluster } from '#test/helpers/real-cluster.ts'

const PUBLISH_MS = 500
const ALIVE_MS = 3 * PUBLISH_MS * PATIENCE
const NEIGHBOUR = 'trivial-js'

describe.skipIf(process.getuid?.() !== 0)('a hostile program', () => {
  let cluster: RealCluster
  let load: OpenLoop

  beforeAll(async () => {
    cluster = await startCluster({ workers: 1, publishInterval: `${PUBLISH_MS}ms` })
    const neighbour = await cluster.deploy(NEIGHBOUR, { concurrency: 1 })
    expect(neighbour.state, JSON.stringify(neighbour)).toBe('complete_running')
    load = startOpenLoop({ url: cluster.balancerUrl, host: NEIGHBOUR, perSecond: 50 })
  })

  afterAll(async () => {
    await load?.stop()
    await cluster?.[Symbol.asyncDispose]()
  })

  /** Deploys one that can do harm, under a name of its own. */
  async function deployed(name: string, limits: Partial<ServiceConfig['limits']>, env = {}) {
    const config = await cluster.upload('test/fixtures/hostile', { name, env })
    const declared = { ...config, limits: { ...config.limits, ...limits } }
    const { state, failure } = await cluster.settled((await cluster.declare(declared)).id)
    expect(state, JSON.stringify(failure)).toBe('complete_running')
    const [instance] = await cluster.instances(name)
    return instance as Instance
  }

  function harm({ port, service }: Instance) {
    return fetch(`http://127.0.0.1:${port}/${service}`, { method: 'POST' })
  }

  /** Asks for the harm; what is told of its end. */
  async function harmed(instance: Instance): Promise<string> {
    await harm(instance)
    const told = await cluster.until(`the end of ${instance.service}`, async () => {
      const events = await cluster.events()
      return events.find(
        ({ fields }) =>
          fields.instance === instance.id && !fields.healthy && fields.was === 'started',
      )
    })
    return String(told.fields.why)
  }

  /** While it runs: how long the node was not heard of, at the most. */
  async function watched(act: () => Promise<unknown>): Promise<number> {
    const silences: number[] = []
    let isOver = false
    const acting = act().finally(() => {
      isOver = true
    })
    while (!isOver) {
      const { body } = await cluster.api<{ nodes: NodeView[] }>('GET', '/v1/nodes')
      silences.push(body.nodes[0]?.silentMs ?? Number.POSITIVE_INFINITY)
    }
    await acting
    return Math.max(...silences)
  }

  async function isUnharmed() {
    await load.answered(50)
    expect(load.bad()).toEqual([])
    const [neighbour] = await cluster.instances(NEIGHBOUR)
    expect(neighbour).toMatchObject({ healthy: true, restarts: 0 })
    const kinds = (await cluster.events()).map(({ kind }) => kind)
    expect(kinds).not.toContain('node.suspect')
  }

  test('A2: the node says what it keeps programs apart with, and whom they run as', async () => {
    const { body } = await cluster.api<{ nodes: NodeView[] }>('GET', '/v1/nodes')
    expect(body.nodes[0]?.isolation).toMatchObject({ mode: expect.stringMatching(/^v[12]$/) })
  })

  test('F33: one that takes all memory is killed alone, and the user is told why', async () => {
    const instance = await deployed('memory', { memory: '96MiB' })
    expect(await harmed(instance)).toBe('killed: out of memory (limit 96MiB)')
    await isUnharmed()
  })

  test('F32: a fork bomb is held at its limit, and the user is told why', async () => {
    const instance = await deployed('fork', { pids: 64 })
    let error = ''
    const silentMs = await watched(async () => {
      error = await harmed(instance)
    })
    expect(error).toMatch(/: out of processes and threads \(limit 64\)$/)
    expect(silentMs).toBeLessThan(ALIVE_MS)
    await isUnharmed()
  })

  test('F34: eight busy loops get what they may, and the agent reports on time', async () => {
    const instance = await deployed('cpu', { cpu: 0.25, pids: 64 })
    const silentMs = await watched(async () => {
      await harm(instance)
      await load.answered(100)
    })
    expect(silentMs).toBeLessThan(ALIVE_MS)
    await isUnharmed()
    await cluster.api('DELETE', '/v1/services/cpu')
  })

  test('F35: one that opens files without end fails at its own limit', async () => {
    const instance = await deployed('files', { open_files: 256 })
    expect(await harmed(instance)).toMatch(/^exited with code 1/)
    const log = readFileSync(join(cluster.folder, `w1/instances/${instance.id}/output.log`), 'utf8')
    expect(log).toContain('EMFILE')
    await isUnharmed()
  })

  test('F30: what hides in another session without an environment ends with its service', async () => {
    const seconds = `6${process.pid}`
    const hidden = () => processesWith(seconds).length
    await harm(await deployed('hide', {}, { HIDE_SECONDS: seconds }))
    await cluster.until('it hides', async () => hidden() === 1)
    await cluster.api('DELETE', '/v1/services/hide')
    await cluster.until('it is gone', async () => hidden() === 0)
  })

  test('F30: a build that hides a daemon leaves nothing', async () => {
    const seconds = `7${process.pid}`
    const hide = ['sh', '-c', `setsid env -i /bin/sleep ${seconds} & echo built`]
    const config = await cluster.upload(NEIGHBOUR)
    const declared = {
      ...config,
      name: 'built',
      hosts: [],
      image: { ...config.image, build: [hide] },
    }
    const { id } = await cluster.declare({ ...declared, concurrency: 1 })
    expect((await cluster.settled(id)).state).toBe('complete_running')
    expect(processesWith(seconds)).toEqual([])
    const logs = readFileSync(join(cluster.folder, 'w1.log'), 'utf8')
    expect(logs).not.toContain('internal error')
  })
})

function processesWith(word: string): string[] {
  return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && wordsOf(pid).includes(word))
}

function wordsOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return [] // It ended meanwhile.
  }
}
