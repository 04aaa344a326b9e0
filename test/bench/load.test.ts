import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { factsOf, loadClasses } from '#bench/golden.ts'
import { createLatencies } from '#bench/latencies.ts'
import { type LoadOptions, type LoadResult, runLoad } from '#bench/load.ts'
import { startService } from '#test/helpers/service-process.ts'

const easy = factsOf('easy')

async function startFake(handle: RequestListener) {
  const server = createServer(handle).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, close, [Symbol.asyncDispose]: close }
}

const load = (url: string, more: Partial<LoadOptions> = {}) =>
  runLoad({ url, service: 'number-fact', classes: ['easy'], connections: 4, requests: 20, ...more })

test('the classes are the ten easy, the ten medium, the four like hard and the one above', () => {
  expect(loadClasses.map((each) => factsOf(each).length)).toEqual([10, 10, 4, 1])
})

test('percentiles are right to within 1 %, the maximum exactly', () => {
  const latencies = createLatencies()
  for (let ms = 1_000; ms >= 1; ms--) latencies.add(ms)
  const { count, p50Ms, p90Ms, p99Ms, maxMs, meanMs } = latencies.summary()
  expect({ count, maxMs, meanMs }).toEqual({ count: 1_000, maxMs: 1_000, meanMs: 500.5 })
  for (const [got, want] of [
    [p50Ms, 500],
    [p90Ms, 900],
    [p99Ms, 990],
  ] as const) {
    expect(Math.abs(got / want - 1)).toBeLessThan(0.01)
  }
  expect(createLatencies().summary().p99Ms).toBe(0)
})

describe('load', { timeout: 20_000 }, () => {
  test('counts the right answers of the real service, by class', async () => {
    await using service = await startService('number-fact')
    const url = `http://127.0.0.1:${service.port}`
    const report = await load(url, { classes: ['easy', 'medium'], requests: 100 })
    expect(report).toMatchObject({ loop: 'closed', sent: 100, served: 100, failures: {} })
    expect(report.classes).toMatchObject({ easy: { count: 50 }, medium: { count: 50 } })
  })

  test('names the service in Host and counts shares by X-Tuc-Inst', async () => {
    const hosts = new Set<string | undefined>()
    let turn = 0
    await using fake = await startFake((request, response) => {
      hosts.add(request.headers.host)
      response.setHeader('X-Tuc-Inst', turn++ % 4 === 0 ? 'b' : 'a')
      response.end(easy.find(({ path }) => path === request.url)?.body)
    })
    const { instances, failed } = await load(fake.url)
    expect(hosts).toEqual(new Set(['number-fact']))
    expect({ instances, failed }).toEqual({
      failed: 0,
      instances: { a: { count: 15, share: 0.75 }, b: { count: 5, share: 0.25 } },
    })
  })

  test('tells failures by their kind', async () => {
    let turn = 0
    await using fake = await startFake((request, response) => {
      const answers = [
        () => response.writeHead(503).end(),
        () => response.end('{"fatores":["1"],"sha":""}'),
        () => request.socket.destroy(),
        () => response.end(`${easy.find(({ path }) => path === request.url)?.body}\n`),
      ]
      answers[turn++ % 4]?.()
    })
    const { failures, served } = await load(fake.url, { connections: 1 })
    expect({ failures, served }).toEqual({
      failures: { ECONNRESET: 5, 'status 503': 5, 'wrong body': 5 },
      served: 5,
    })
    await fake.close()
    expect((await load(fake.url)).failures).toEqual({ ECONNREFUSED: 20 })
  })

  test('counts an answer that never comes as a timeout', async () => {
    await using fake = await startFake(() => {})
    expect((await load(fake.url, { requests: 2, timeoutMs: 50 })).failures).toEqual({ timeout: 2 })
  })

  test('open loop: requests are due by the clock, one gap apart', async () => {
    await using service = await startService('number-fact')
    const results: LoadResult[] = []
    const report = await load(`http://127.0.0.1:${service.port}`, {
      rate: 200,
      onResult: (result) => results.push(result),
    })
    expect(report).toMatchObject({ loop: 'open', sent: 20, served: 20 })
    const dueAt = results.map(({ at }) => at).sort((a, b) => a - b)
    expect((dueAt.at(-1) ?? 0) - (dueAt[0] ?? 0)).toBeCloseTo(19 * 5, 3)
  })

  test('refuses another machine, and options that make no sense', async () => {
    for (const url of ['http://10.0.0.1', 'http://example.org', 'http://localhost.example.org']) {
      await expect(load(url)).rejects.toThrow('--allow-remote')
    }
    await expect(load('https://127.0.0.1')).rejects.toThrow('not an http URL')
    await expect(load('http://127.0.0.1', { connections: Number.NaN })).rejects.toThrow('above 0')
    await expect(load('http://127.0.0.1', { classes: [] })).rejects.toThrow('class')
  })

  test('as a command prints the report and fails when an answer is wrong', async () => {
    await using service = await startService('number-fact')
    const url = `http://127.0.0.1:${service.port}`
    const good = await command('--url', url, '--requests', '10', '--json')
    expect({ code: good.code, served: JSON.parse(good.out).served }).toEqual({
      code: 0,
      served: 10,
    })
    await service.stop('SIGTERM')
    const bad = await command('--url', url, '--requests', '10')
    expect(bad).toMatchObject({ code: 1, out: expect.stringContaining('10 ECONNREFUSED') })
    expect((await command('--url', url, '--class', 'odd')).code).toBe(2)
  })
})

async function command(...words: string[]) {
  const script = join(import.meta.dirname, '../../bench/load.ts')
  const child = spawn(process.execPath, [script, ...words])
  const out = text(child.stdout)
  const [code] = await once(child, 'exit')
  return { code, out: await out }
}
