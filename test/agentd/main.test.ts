// tucano_agentd as the process that a worker runs, with real programs and a played controller.

import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { isRunning, startTimeOf } from '#agentd/runner/proc.io.ts'
import { errorOfProblem } from '#shared/problem.ts'
import type { InstanceStatus } from '#shared/wire.ts'
import { agentFolder, playController, startAgent, TOKEN } from '#test/helpers/agent-process.ts'
import { freePorts } from '#test/helpers/free-ports.ts'

const isStarted = ({ phase }: InstanceStatus) => phase === 'started'
const bearer = { authorization: `Bearer ${TOKEN}` }

async function cluster() {
  const controller = await playController()
  const [port = 0] = await freePorts(1)
  const folder = await agentFolder(controller.url, port)
  return { controller, folder }
}

test('M12, M15, F03: fetches, starts and serves; kill -9 of the agent restarts nothing', async () => {
  const { controller, folder } = await cluster()
  const first = startAgent(folder)
  controller.assign([controller.spec('a'), controller.spec('b')])
  const [a, b] = await Promise.all([
    controller.until('a', isStarted),
    controller.until('b', isStarted),
  ])
  const serving = await fetch(`http://127.0.0.1:${a.port}/`)
  expect(serving.status).toBe(200)
  const workerPid = await serving.text()

  first.child.kill('SIGKILL')
  await first.ended
  const during = await fetch(`http://127.0.0.1:${a.port}/`)
  expect(await during.text()).toBe(workerPid)

  const before = controller.reports.length
  const second = startAgent(folder)
  const again = await controller.until('a', () => controller.reports.length > before)
  expect(again).toMatchObject({ phase: 'started', pid: a.pid, port: a.port, restarts: 0 })
  const other = controller.reports.at(-1)?.instances.find(({ id }) => id === 'b')
  expect(other).toMatchObject({ phase: 'started', pid: b.pid, port: b.port, restarts: 0 })

  // What was adopted ends with its exit code learnt, and its children with it.
  controller.assign([controller.spec('a', { want: 'stop' })])
  await controller.until('a', ({ phase }) => phase === 'terminated')
  expect(startTimeOf(Number(workerPid))).toBeUndefined()
  second.child.kill('SIGTERM')
  expect(await second.ended).toBe(0)
}, 40_000)

test('F36: SIGTERM leaves programs running; --stop-programs-on-exit ends them first', async () => {
  const { controller, folder } = await cluster()
  const first = startAgent(folder)
  controller.assign([controller.spec('a')])
  const { pid = 0, port } = await controller.until('a', isStarted)
  first.child.kill('SIGTERM')
  expect(await first.ended).toBe(0)
  expect(startTimeOf(pid)).toBeDefined()

  const before = controller.reports.length
  const second = startAgent(folder, '--stop-programs-on-exit')
  await controller.until('a', () => controller.reports.length > before)
  second.child.kill('SIGINT')
  expect(await second.ended).toBe(0)
  expect(startTimeOf(pid)).toBeUndefined()
  await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow()
}, 40_000)

test('F26: a second agent on one data folder is refused, naming who holds it', async () => {
  const { controller, folder } = await cluster()
  const first = startAgent(folder)
  controller.assign([])
  controller.assign([controller.spec('a')])
  await controller.until('a', isStarted)
  const second = startAgent(folder)
  expect(await second.ended).toBe(1)
  expect(second.output()).toContain(`in use by process ${first.child.pid} on`)
}, 40_000)

test('S1: no route without the token but /healthz; orders are checked; logs are read', async () => {
  const { controller, folder } = await cluster()
  const agent = startAgent(folder)
  const order = controller.assign([controller.spec('a')])
  await controller.until('a', isStarted)
  const url = (path: string) => `${agent.url}${path}`

  expect(await (await fetch(url('/healthz'))).json()).toMatchObject({ status: 'ok', node: 'w1' })
  for (const path of ['/v1/status', '/v1/instances/a/log', `/v1/builds/${controller.digest}/log`]) {
    expect((await fetch(url(path))).status).toBe(401)
  }
  const put = (body: unknown, headers: Record<string, string> = bearer) =>
    fetch(url('/v1/assignment'), {
      method: 'PUT',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  expect((await put(order, {})).status).toBe(401)
  const broken = await put({ ...order, instances: [{ id: '../x' }], more: 1 })
  expect(broken.status).toBe(400)
  const problem = errorOfProblem(400, await broken.json())
  expect(problem.code).toBe('invalid_request')
  expect(problem.problems.length).toBeGreaterThan(1)
  expect((await put({ ...order, node: 'w2' })).status).toBe(403)
  expect(await (await put(order)).json()).toMatchObject({ accepted: true })
  const stale = await put({ ...order, generation: 1 })
  expect(stale.status).toBe(409)
  expect(await stale.json()).toMatchObject({ accepted: false, generation: order.generation })

  const status = await (await fetch(url('/v1/status'), { headers: bearer })).json()
  expect(status).toMatchObject({ node: 'w1', instances: [{ id: 'a', phase: 'started' }] })
  const log = await fetch(url('/v1/instances/a/log?lines=10'), { headers: bearer })
  expect(await log.text()).toBe('serving\n')
  expect((await fetch(url('/v1/instances/b/log'), { headers: bearer })).status).toBe(404)

  const followed = await fetch(url('/v1/instances/a/log?lines=10&follow=1'), { headers: bearer })
  let text = ''
  for await (const chunk of followed.body ?? []) {
    text += Buffer.from(chunk).toString()
    if (text === 'serving\n') await put(controller.assign([controller.spec('a', { want: 'stop' })]))
    if (text.includes('got SIGTERM')) break
  }
  expect(text).toBe('serving\ngot SIGTERM\n')
  agent.child.kill('SIGTERM')
  expect(await agent.ended).toBe(0)
}, 40_000)

test('S20: what never becomes healthy is reported with all that helps to mend it', async () => {
  const { controller, folder } = await cluster()
  startAgent(folder)
  const health = { ...controller.spec('x').health, start_timeout_ms: 4_000 }
  controller.assign([
    controller.spec('sick', { env: { STATUS: '503' }, health }),
    controller.spec('gone', { env: { LIFE_MS: '10', CODE: '9', DELAY_MS: '60000' } }),
  ])
  const sick = controller.until('sick', ({ phase }) => phase === 'failed_to_start')
  const gone = controller.until('gone', ({ phase }) => phase === 'failed_to_start')
  expect((await sick).failure).toEqual({
    error: 'not healthy within 4 s of its start',
    last_probe: 'HTTP 503 from /',
    log_tail: ['serving'],
  })
  expect((await gone).failure).toMatchObject({
    error: 'exited with code 9 before it was healthy',
    exit_code: 9,
  })
}, 40_000)

test('a wrong configuration stops the start with every problem and exit code 2', async () => {
  const { folder } = await cluster()
  appendFileSync(join(folder, 'agent.yaml'), 'portrange: 1\npublish_intervall: 2s\n')
  const agent = startAgent(folder)
  expect(await agent.ended).toBe(2)
  expect(agent.output()).toContain('portrange')
  expect(agent.output()).toContain('publish_intervall')
  const checked = startAgent(folder, '--check')
  expect(await checked.ended).toBe(2)
  expect(await startAgent(folder, '--help').ended).toBe(0)
  expect(await startAgent(folder, '--version').ended).toBe(0)
  expect(await startAgent(folder, '--nonsense').ended).toBe(2)
}, 40_000)

test('F24: a mark of a former boot names nothing that runs', () => {
  const startTime = startTimeOf(process.pid) ?? ''
  expect(isRunning({ pid: process.pid, startTime, boot: 'now' }, 'now')).toBe(true)
  expect(isRunning({ pid: process.pid, startTime, boot: 'before' }, 'now')).toBe(false)
})
