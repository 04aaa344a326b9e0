// What each route reads and submits.

import { expect, test } from 'vitest'
import { aConfig, aDeployment, aReport, createFakeCtld, DIGEST } from '#test/fakes/ctld.ts'
import { AGENT_TOKEN, createTestApi } from '#test/helpers/api.ts'

const MISSING = `sha256:${'b'.repeat(64)}`

test('Q12: a deploy is answered at once with its deployment', async () => {
  const { ask, ctld } = createTestApi()
  const answer = await ask('POST', '/v1/services', { body: { config: aConfig() } })
  expect(answer.statusCode).toBe(202)
  expect(answer.json()).toEqual({
    deployment_id: 'd-2',
    deployment: aDeployment({ id: 'd-2', state: 'deploying' }),
    hints: [expect.stringMatching(/^no check is configured: .* add health.path/)],
  })
  expect(answer.headers.location).toBe('/v1/deployments/d-2')
  expect(ctld.commands).toEqual([{ kind: 'deploy', config: aConfig() }])
})

test.each([
  { health: { path: '/health' } },
  { checks: { readiness: { tcp: true } } },
  { checks: { liveness: { command: ['bin/check'] } } },
])('a deploy with a check of its own gets no hint: %j', async (keys) => {
  const { ask } = createTestApi()
  const answer = await ask('POST', '/v1/services', { body: { config: aConfig(keys) } })
  expect(answer.json().hints).toEqual([])
})

test('M21: a deploy without its image is refused with a hint, and nothing is submitted', async () => {
  const { ask, ctld } = createTestApi()
  const { digest: _, ...image } = aConfig().image
  const bare = { ...aConfig(), image: { ...image, path: '.' } }
  for (const config of [bare, aConfig({ image: { digest: MISSING, run: ['a'] } })]) {
    const answer = await ask('POST', '/v1/services', { body: { config } })
    expect(answer.statusCode).toBe(400)
    expect(answer.json().problems[0].where).toBe('/config/image/digest')
    expect(answer.json().detail).toContain('POST /v1/images')
  }
  expect(ctld.commands).toEqual([])
})

test('a wrong key of a configuration is named with its place and what was meant', async () => {
  const { ask } = createTestApi()
  const config = { ...aConfig(), concurency: 3 }
  const answer = await ask('POST', '/v1/services', { body: { config } })
  expect(answer.statusCode).toBe(400)
  expect(answer.json().problems).toEqual([
    { where: '/config/concurency', what: expect.stringContaining('did you mean `concurrency`?') },
  ])
})

test('scale, stop, start and remove become commands', async () => {
  const { ask, ctld } = createTestApi()
  const answers = [
    await ask('POST', '/v1/services/api/scale', { body: { concurrency: 5 } }),
    await ask('POST', '/v1/services/api/stop'),
    await ask('POST', '/v1/services/api/start', { body: {} }),
    await ask('DELETE', '/v1/services/api'),
  ]
  expect(answers.map(({ statusCode }) => statusCode)).toEqual([202, 202, 202, 202])
  expect(ctld.commands).toEqual([
    { kind: 'scale', service: 'api', concurrency: 5 },
    { kind: 'stop', service: 'api' },
    { kind: 'start', service: 'api' },
    { kind: 'remove', service: 'api' },
  ])
})

test('S29: services are listed with what runs, what is wanted and where', async () => {
  const { ask } = createTestApi()
  const { services, pending } = (await ask('GET', '/v1/services')).json()
  expect(services).toMatchObject([
    { name: 'api', running: 1, wanted: 2, state: 'partial', nodes: { w1: 1 } },
    { name: 'idle', running: 0, wanted: 0, state: 'stopped', nodes: {} },
  ])
  expect(pending).toEqual([{ service: 'api', count: 1, why: 'no worker is alive' }])
})

test('one service comes with its instances, its last deployment and why something waits', async () => {
  const { ask } = createTestApi()
  const detail = (await ask('GET', '/v1/services/api')).json()
  expect(detail.service.config.image.digest).toBe(DIGEST)
  expect(detail.instances).toHaveLength(2)
  expect(detail.deployment.id).toBe('d-1')
  expect(detail.pending).toHaveLength(1)
})

test('M50–M54: runtime information has exactly the names of the specification', async () => {
  const { ask } = createTestApi()
  const runtime = (await ask('GET', '/v1/runtime')).json()
  const names = ['active_services', 'alive_nodes', 'configured_services', 'dead_nodes']
  expect(Object.keys(runtime).sort()).toEqual(names)
  expect(runtime.active_services[0].service).toEqual(runtime.configured_services[0])
})

test('instances are those that have not ended, unless all are asked for', async () => {
  const { ask } = createTestApi()
  const idsOf = async (query: string) => {
    const { instances } = (await ask('GET', `/v1/instances${query}`)).json()
    return instances.map(({ id }: { id: string }) => id)
  }
  expect(await idsOf('')).toEqual(['i-1'])
  expect(await idsOf('?all=true')).toEqual(['i-1', 'i-2'])
  expect(await idsOf('?all=true&node=w2')).toEqual(['i-2'])
  expect(await idsOf('?service=idle')).toEqual([])
})

test('ids are matched whole, never by prefix', async () => {
  const { ask } = createTestApi()
  for (const path of ['instances/i', 'deployments/d', 'services/ap', 'nodes/w', 'config/9']) {
    expect((await ask('GET', `/v1/${path}`)).statusCode).toBe(404)
  }
})

test('drain, undrain and unfreeze become commands', async () => {
  const { ask, ctld } = createTestApi()
  expect((await ask('POST', '/v1/nodes/w1/drain')).json().name).toBe('w1')
  expect((await ask('POST', '/v1/nodes/w1/undrain')).statusCode).toBe(200)
  expect((await ask('POST', '/v1/unfreeze')).statusCode).toBe(200)
  expect(ctld.commands.map(({ kind }) => kind)).toEqual(['drain', 'undrain', 'unfreeze'])
  expect((await ask('POST', '/v1/nodes/w9/drain')).statusCode).toBe(404)
})

test('S30: the configuration is read with its versions and put only upon the newest', async () => {
  const { ask, ctld } = createTestApi()
  const config = (await ask('GET', '/v1/config')).json()
  expect(config).toMatchObject({ version: 2, text: 'topology: []\n', by: 'api' })
  expect(config.history).toEqual([{ version: 1, at: 1_000, by: 'start' }])
  expect((await ask('GET', '/v1/config/1')).json().text).toBe('topology:\n')

  const put = await ask('PUT', '/v1/config', { body: { version: 2, text: 'x: 1' } })
  expect(put.json()).toEqual({ version: 3, restart_required: [] })
  expect(ctld.commands).toEqual([{ kind: 'put_config', version: 2, text: 'x: 1', by: 'api' }])

  const stale = await ask('PUT', '/v1/config', { body: { version: 1, text: 'x: 1' } })
  expect(stale.statusCode).toBe(409)
  expect(stale.json().code).toBe('stale_version')
})

test('alerts are listed, and a test mail is accepted', async () => {
  const { ask } = createTestApi()
  expect((await ask('GET', '/v1/alerts')).json()).toMatchObject({
    outbox: 1,
    waiting: [{ id: 'm-1', tries: 2, last_error: '450 busy' }],
  })
  const answer = await ask('POST', '/v1/alerts/test')
  expect([answer.statusCode, answer.json()]).toEqual([202, { mail_id: 'mail-1' }])
})

test('health needs no token and says why it is degraded; readiness waits for the start', async () => {
  let started = false
  const { ask, ctld } = createTestApi({ isStarted: () => started })
  const health = async () => (await ask('GET', '/healthz', { token: null })).json()
  const ready = async () => (await ask('GET', '/readyz', { token: null })).statusCode
  expect([await health(), await ready()]).toEqual([{ status: 'degraded', reason: 'starting' }, 503])
  expect((await ask('GET', '/v1/nodes')).json().code).toBe('starting')
  started = true
  expect([await health(), await ready()]).toEqual([{ status: 'ok' }, 200])
  ctld.step({ degraded: 'the disk is full' })
  expect(await health()).toEqual({ status: 'degraded', reason: 'the disk is full' })
})

test('M32: a report of a worker from its own address is taken and answered', async () => {
  const { ask, ctld } = createTestApi()
  const body = aReport()
  for (const peer of ['127.0.0.1', '::ffff:127.0.0.1']) {
    const answer = await ask('POST', '/v1/agents/w1/report', { token: AGENT_TOKEN, body, peer })
    expect(answer.json()).toEqual({ epoch: 3, generation: 4 })
  }
  expect(ctld.reports).toEqual([body, body])
})

test('Q15: a report from elsewhere, for another, or of no worker is 403 and logged once', async () => {
  const { ask, ctld, lines, clock } = createTestApi()
  const refused = async (name: string, node: string, peer: string) => {
    const body = aReport({ node })
    const answer = await ask('POST', `/v1/agents/${name}/report`, {
      token: AGENT_TOKEN,
      body,
      peer,
    })
    return answer.statusCode
  }
  expect(await refused('w1', 'w1', '10.0.0.9')).toBe(403)
  expect(await refused('w1', 'w2', '127.0.0.1')).toBe(403)
  expect(await refused('w9', 'w9', '127.0.0.1')).toBe(403)
  expect(await refused('ctl', 'ctl', '127.0.0.1')).toBe(403)
  expect(ctld.reports).toEqual([])
  const warnings = () => lines.filter(({ level }) => level === 'warn').length
  expect(warnings()).toBe(2)
  clock.advance(10_000)
  await refused('w1', 'w1', '10.0.0.9')
  expect(warnings()).toBe(3)
})

test('a deployment is waited for until its state changes', async () => {
  const { ask, ctld, clock } = createTestApi()
  const asked = ask('GET', '/v1/deployments/d-2?wait=30s')
  await waiting(ctld)
  ctld.step()
  ctld.step({ deployments: [aDeployment({ id: 'd-2', state: 'partial_ok' })] })
  expect((await asked).json().state).toBe('partial_ok')
  expect([ctld.listeners(), clock.timers()]).toEqual([0, 0])
})

test('a settled deployment is not waited for, and no wait is longer than 60 s', async () => {
  const { ask, ctld, clock } = createTestApi()
  expect((await ask('GET', '/v1/deployments/d-1?wait=30s')).json().state).toBe('complete_running')
  const asked = ask('GET', '/v1/deployments/d-2?wait=1h')
  await waiting(ctld)
  clock.advance(60_000)
  expect((await asked).json().state).toBe('deploying')
})

test('events are read in pages from a cursor, and waited for', async () => {
  const { ask, ctld } = createTestApi()
  for (const text of ['one', 'two', 'three']) ctld.addEvent(text)
  const page = (await ask('GET', '/v1/events?after=1&limit=1')).json()
  expect(page).toMatchObject({ cursor: 2, events: [{ text: 'two' }] })
  expect((await ask('GET', '/v1/events?after=3')).json()).toEqual({ cursor: 3, events: [] })

  const asked = ask('GET', '/v1/events?after=3&wait=20s')
  await waiting(ctld)
  ctld.addEvent('four')
  expect((await asked).json()).toMatchObject({ cursor: 4, events: [{ text: 'four' }] })
})

test('a cursor beyond the end of a restored history goes on from that end', async () => {
  const { ask } = createTestApi({ ctld: createFakeCtld({ lastEventCursor: 5 }) })
  expect((await ask('GET', '/v1/events?after=900')).json()).toEqual({ cursor: 5, events: [] })
})

test('stopping answers whoever waits', async () => {
  const { app, ask, ctld } = createTestApi()
  const asked = ask('GET', '/v1/deployments/d-2?wait=60s')
  await waiting(ctld)
  await app.close()
  expect((await asked).statusCode).toBe(200)
})

/** Resolves when a request has begun to wait for a change. */
async function waiting(ctld: { listeners(): number }): Promise<void> {
  while (ctld.listeners() === 0) await new Promise(setImmediate)
}

test('cordon, drain and rebalance become commands; what may be left out has its default', async () => {
  const { ask, ctld } = createTestApi()
  await ask('POST', '/v1/nodes/w1/cordon')
  await ask('POST', '/v1/nodes/w1/uncordon', { body: {} })
  await ask('POST', '/v1/nodes/w1/drain', { body: { deadline: '90s', force: true } })
  await ask('POST', '/v1/nodes/w1/drain')
  await ask('POST', '/v1/rebalance', { body: { instances: ['i-1'] } })
  await ask('POST', '/v1/rebalance')
  await ask('POST', '/v1/rebalance/stop')
  expect(ctld.commands).toEqual([
    { kind: 'cordon', node: 'w1' },
    { kind: 'uncordon', node: 'w1' },
    { kind: 'drain', node: 'w1', deadlineMs: 90_000, force: true },
    { kind: 'drain', node: 'w1', deadlineMs: 600_000, force: false },
    { kind: 'rebalance', instances: ['i-1'] },
    { kind: 'rebalance' },
    { kind: 'stop_rebalance' },
  ])
  expect((await ask('GET', '/v1/nodes/w1/drain')).json().holds).toEqual(ctld.holds)
  expect((await ask('GET', '/v1/nodes/w9/drain')).statusCode).toBe(404)
  expect((await ask('GET', '/v1/rebalance')).json()).toBeNull()
  expect((await ask('GET', '/v1/rebalance/plan')).json()).toEqual(ctld.plan)
  expect((await ask('POST', '/v1/nodes/w1/drain', { body: { deadline: 'now' } })).statusCode).toBe(
    400,
  )
})
