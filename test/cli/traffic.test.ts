// pause, resume, maintenance and balancer against a fake controller, and where a paused service
// shows.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { TucanoError } from '#shared/errors.ts'
import type { Service } from '#shared/model.ts'
import { busyCounters } from '#test/fakes/counters.ts'
import { anInstance, aService } from '#test/fakes/ctld.ts'
import { createTestCli, NOW } from '#test/helpers/cli.ts'

const paused: Service['traffic'] = { state: 'paused', since: NOW - 8_000, until: NOW + 22_000 }
const closed: Service['traffic'] = {
  state: 'maintenance',
  since: NOW - 180_000,
  page: '<h1>x</h1>',
}
const instances = [anInstance(), anInstance({ id: 'i-2', node: 'w2' })]

const withTraffic = (traffic: Service['traffic']) =>
  createTestCli({ instances, configured_services: [aService({ traffic })], pending: [] })

test('pause says how long, and how it ends before', async () => {
  const { tucano, ctld } = await createTestCli()
  expect(await tucano('pause', 'api', '--for', '2m')).toEqual({
    code: 0,
    out: 'api: paused for 2 min, its requests wait\nto end it before: tucano resume api\n',
    err: '',
  })
  expect((await tucano('pause', 'api')).out).toContain('paused for 30 s')
  expect(ctld.commands).toEqual([
    { kind: 'pause', service: 'api', forMs: 120_000 },
    { kind: 'pause', service: 'api', forMs: 30_000 },
  ])
})

test.each(['30', '0s', '11m', 'soon', '-5s'])('pause --for %s is wrong usage', async (text) => {
  const { tucano, ctld } = await createTestCli()
  const { code, err } = await tucano('pause', 'api', `--for=${text}`)
  expect(code).toBe(2)
  expect(err).toContain(`--for is a duration from 1s to 10m, like 30s or 2m, not ${text}`)
  expect(ctld.commands).toEqual([])
})

test('resume says that it is open, and that nothing is there to answer', async () => {
  const { tucano, ctld } = await createTestCli({ instances: [] })
  const { out } = await tucano('resume', 'api')
  expect(out).toBe(
    'api: open, its requests go to the instances\n' +
      'no instance of it is healthy (it is down): tucano show api\n',
  )
  expect(ctld.commands).toEqual([{ kind: 'resume', service: 'api' }])
})

test('maintenance sends the page of a file that lies beside', async () => {
  const { tucano, ctld, folder } = await createTestCli()
  writeFileSync(join(folder, 'soon.html'), '<h1>Soon</h1>\n')
  const { code, out } = await tucano('maintenance', 'api', '--page', 'soon.html')
  expect({ code, out }).toEqual({
    code: 0,
    out:
      'api: in maintenance, its requests are answered 503 with soon.html\n' +
      'to end it: tucano resume api\n',
  })
  expect((await tucano('maintenance', 'api')).out).toContain('503 without a page')
  expect(ctld.commands).toEqual([
    { kind: 'maintenance', service: 'api', page: '<h1>Soon</h1>\n' },
    { kind: 'maintenance', service: 'api' },
  ])
})

test('a page that is not there, no HTML or too large is named, and nothing is changed', async () => {
  const { tucano, ctld, folder } = await createTestCli()
  writeFileSync(join(folder, 'a.json'), '{}')
  writeFileSync(join(folder, 'large.html'), `<${'x'.repeat(64 * 1024)}`)
  const refusal = async (file: string) => {
    const { code, err } = await tucano('maintenance', 'api', '--page', file)
    expect(code).toBe(2)
    return err
  }
  expect(await refusal('gone.html')).toContain('gone.html: ENOENT')
  expect(await refusal('a.json')).toContain('a.json is no page: it must be HTML')
  expect(await refusal('large.html')).toContain('large.html')
  expect(ctld.commands).toEqual([])
})

test('a service that is not there, or has no requests, is said with the next step', async () => {
  const { tucano, ctld } = await createTestCli()
  for (const command of ['pause', 'resume', 'maintenance']) {
    const { code, err } = await tucano(command, 'nope')
    expect(code).toBe(1)
    expect(err).toContain('next: tucano services and tucano ps list what there is')
  }
  ctld.failWith = new TucanoError('conflict', 'inner is not public: set public: true')
  expect((await tucano('pause', 'api')).err).toBe('tucano: inner is not public: set public: true\n')
})

test('--json gives the summary of the service', async () => {
  const { tucano } = await withTraffic(paused)
  for (const command of ['pause', 'resume', 'maintenance']) {
    const { out } = await tucano(command, 'api', '--json')
    expect(JSON.parse(out)).toMatchObject({ name: 'api', running: 2, traffic: paused })
  }
})

test('a paused service is seen at a glance in services, ps and show', async () => {
  const { tucano } = await withTraffic(paused)
  const line = 'api: paused, open again in 22 s; to end it: tucano resume api\n'
  const { out } = await tucano('services')
  expect(out).toMatch(/^api +paused +2\/2 /m)
  expect(out).toContain(line)
  expect((await tucano('ps')).out).toContain(line)
  expect((await tucano('ps', 'api')).out).toContain(line)
  expect((await tucano('ps', 'other')).out).not.toContain('paused')
  expect((await tucano('show', 'api')).out).toContain(
    'traffic     paused, open again in 22 s; to end it: tucano resume api\n',
  )
})

test('a service in maintenance is, too, with its page; an open one is not', async () => {
  const { tucano } = await withTraffic(closed)
  expect((await tucano('services')).out).toMatch(/^api +maintenance +2\/2 /m)
  expect((await tucano('ps')).out).toContain('api: in maintenance for 3 min; to end it: tucano')
  expect((await tucano('show', 'api')).out).toContain('with a page of 10 B')
  const open = await withTraffic({ state: 'open' })
  for (const words of [['services'], ['ps'], ['show', 'api']]) {
    expect((await open.tucano(...words)).out).not.toMatch(/traffic|resume/)
  }
})

test('balancer shows each service with its errors and times', async () => {
  const { tucano } = await createTestCli()
  const { code, out } = await tucano('balancer')
  expect(code).toBe(0)
  expect(out).toBe(
    [
      'SERVICE  REQUESTS  ERRORS  RETRIES  IN FLIGHT  WAITING      P50    P99',
      'api           100       3        4          2        3  0.76 ms  45 ms',
      'idle            0       0        0          0        0        -      -',
      '',
      '7 open connections, 1 refused, 8 requests of no service (404: 5, 400: 3)',
      'counts for 99 s, in 2 loops; route table 12',
      '',
    ].join('\n'),
  )
})

test('balancer SERVICE shows its instances, and how its requests ended', async () => {
  const { tucano } = await createTestCli()
  const { out } = await tucano('balancer', 'api')
  expect(out).toContain('INSTANCE  NODE  REQUESTS  IN FLIGHT  ERRORS  REUSED  OPEN  EJECTED\n')
  expect(out).toMatch(/^i-1 +w1 +60 +1 +5 +51 +5 +1$/m)
  expect(out).toMatch(/^i-9 +gone +40 /m)
  expect(out).toContain('statuses: 200: 94, client left: 2, 502: 2, 404: 1, 503: 1\n')
  expect(out).toContain('client body: 2')
  expect(await tucano('balancer', 'nope')).toMatchObject({
    code: 1,
    err:
      'tucano: the balancer has no service nope\n' +
      'next: tucano services and tucano ps list what there is\n',
  })
})

test('balancer --json gives the answer of the API; --wide shows more', async () => {
  const { tucano, ask } = await createTestCli()
  const { services, ...rest } = (await ask('GET', '/v1/balancer')).json()
  expect(JSON.parse((await tucano('balancer', '--json')).out)).toEqual({ ...rest, services })
  expect(JSON.parse((await tucano('balancer', 'api', '--json')).out)).toEqual(services[0])
  expect((await tucano('balancer', '--wide')).out).toContain('instance head: 2')
  expect((await tucano('balancer', 'api', '--wide')).out).toContain('CONNECT P99')
})

test('help and tables keep to 80 columns, whatever the names and counts are', async () => {
  const long = 'a-service-with-a-name-of-sixty-three-characters-which-is-the-most'.slice(0, 63)
  const counters = busyCounters()
  const own = counters.services.api
  if (own === undefined) throw new Error('the fake counts nothing')
  const instance = { ...own.instances['i-1'], requests: 4_000_000_000 } as never
  const busy = {
    ...own,
    requests: 4_000_000_000,
    retries: 1_000_000,
    instances: { [long]: instance },
  }
  const { tucano } = await createTestCli(
    {
      configured_services: [aService({ name: long, traffic: closed })],
      instances: [],
      pending: [],
    },
    { counters: async () => ({ ...counters, services: { [long]: busy } }) },
  )
  const commands = ['pause', 'resume', 'maintenance', 'balancer'].map((name) => ['help', name])
  for (const words of [...commands, ['help'], ['services'], ['balancer'], ['balancer', long]]) {
    const { code, out } = await tucano(...words)
    expect(code).toBe(0)
    const table = out.split('\n').filter((line) => !line.startsWith(`${long}:`))
    for (const line of table) expect([line, [...line].length <= 80]).toEqual([line, true])
  }
})
