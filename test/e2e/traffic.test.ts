// Pause, maintenance and metrics between real processes.

import { expect, test } from 'vitest'
import { parseExposition } from '#test/helpers/exposition.ts'
import { startCluster } from '#test/helpers/real-cluster.ts'

type Balancer = { services: { service: string; waiting: number; requests: number }[] }

test('a request of a paused service waits through a kill -9 of the controller, and is answered', async () => {
  await using cluster = await startCluster({ workers: 1 })
  await cluster.deploy('trivial-js', { concurrency: 1 })
  const change = (action: string, body?: unknown) =>
    cluster.api<{ traffic: { state: string } }>('POST', `/v1/services/trivial-js/${action}`, body)
  const waiting = async () => {
    const { body } = await cluster.api<Balancer>('GET', '/v1/balancer')
    return body.services.find(({ service }) => service === 'trivial-js')?.waiting
  }
  await expect.poll(async () => (await cluster.ask('trivial-js')).status).toBe(200)

  expect((await change('pause', { for: '60s' })).body.traffic.state).toBe('paused')
  let isAnswered = false
  const answered = cluster.ask('trivial-js').finally(() => {
    isAnswered = true
  })
  await expect.poll(waiting, { timeout: 20_000 }).toBe(1)
  cluster.controller().kill('SIGKILL')
  await cluster.controller().exited
  await cluster.startController()
  expect([await waiting(), isAnswered]).toEqual([1, false])
  await change('resume')
  expect((await answered).status).toBe(200)
  await expect.poll(waiting).toBe(0)

  await change('maintenance', { page: '<h1>Back soon</h1>' })
  const away = await cluster.ask('trivial-js')
  expect(away.body).toBe('<h1>Back soon</h1>')
  expect(away.headers.get('content-type')).toContain('text/html')
  expect(away.status).toBe(503)
  await change('resume')
  expect((await cluster.ask('trivial-js')).status).toBe(200)

  const answer = await fetch(`${cluster.apiUrl}/metrics`, {
    headers: { authorization: `Bearer ${cluster.token}` },
  })
  const { families } = parseExposition(await answer.text())
  const valueIn = (name: string, code?: string) =>
    families
      .find((family) => family.name === name)
      ?.samples.find(({ labels }) => code === undefined || labels.code === code)?.value
  expect(valueIn('tucano_balancer_up')).toBe(1)
  expect(valueIn('tucano_service_requests_total', '200')).toBeGreaterThanOrEqual(3)
  expect(valueIn('tucano_service_requests_total', '503')).toBeGreaterThanOrEqual(1)
})
