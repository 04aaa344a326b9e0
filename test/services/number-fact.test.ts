import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import golden from '#services/number-fact/golden.json' with { type: 'json' }
import { ask, hold, type ServiceProcess, startService } from '#test/helpers/service-process.ts'

/** Beyond any test's patience: a prime of 30 digits. */
const ENDLESS = '671998030559713968361666935769'
const HARD = golden.filter(({ level }) => level === 'hard').map(({ number }) => number)
/** More than is tried without a thread, and done in some milliseconds. */
const SHORT_WORK = HARD[0] as string

const factorsPath = (number: string) => `/factors?number=${encodeURIComponent(number)}`

async function expectGolden(service: ServiceProcess, number: string) {
  const { status, body } = await ask(service, factorsPath(number))
  const { factors, sha } = golden.find((fact) => fact.number === number) ?? {}
  expect({ status, ...JSON.parse(body) }).toEqual({ status: 200, fatores: factors, sha })
}

test('each golden number is the product of its factors, and its sha is that of their digits', () => {
  for (const { number, factors, sha } of golden) {
    expect(factors.reduce((product, factor) => product * BigInt(factor), 1n)).toBe(BigInt(number))
    expect(createHash('sha256').update(factors.join('')).digest('hex')).toBe(sha)
  }
  expect(golden.map(({ level }) => level).join()).toBe(
    ['easy', 'medium', 'hard'].flatMap((level) => Array(10).fill(level)).join(),
  )
})

describe('number-fact', { timeout: 30_000 }, () => {
  test('factors the golden numbers', async () => {
    await using service = await startService('number-fact')
    const slow = [HARD[3], HARD[5], HARD[9]]
    for (const { number } of golden) {
      if (!slow.includes(number)) await expectGolden(service, number)
    }
  })

  test('answers what is no number from 1 to 30 digits with 400', async () => {
    await using service = await startService('number-fact')
    for (const path of ['/factors', '/factors?', '/factors?number=', '/factors?other=3']) {
      expect(await ask(service, path)).toMatchObject({
        status: 400,
        body: "Missing 'number' parameter",
      })
    }
    const wrong = ['x', '1_000', '0x10', '1.5', '1 0', '+', '-', '0', '-7', '+ 1', '1e3', '٣']
    for (const number of [...wrong, '1'.repeat(31)]) {
      expect(await ask(service, factorsPath(number)), number).toMatchObject({
        status: 400,
        body: "Invalid 'number' parameter",
      })
    }
  })

  test('takes a sign, leading zeros and any method; 1 has no factors', async () => {
    await using service = await startService('number-fact')
    const { fatores } = JSON.parse((await ask(service, factorsPath('+00012'))).body)
    expect(fatores).toEqual(['2', '2', '3'])
    expect((await ask(service, factorsPath('7'), { method: 'POST' })).status).toBe(200)
    expect(JSON.parse((await ask(service, factorsPath('1'))).body)).toEqual({
      fatores: null,
      sha: createHash('sha256').digest('hex'),
    })
    expect(JSON.parse((await ask(service, factorsPath('9'.repeat(30)))).body).fatores).toContain(
      '2906161',
    )
  })

  test('says hello to the caller, and 404 to any other path', async () => {
    await using service = await startService('number-fact')
    expect((await ask(service, '/hello')).body).toMatch(
      /^Hello, world! \(responding for 127\.0\.0\.1:\d+\)$/,
    )
    for (const path of ['/', '/hello/', '/factors/', '//', '/favicon.ico']) {
      expect((await ask(service, path)).status, path).toBe(404)
    }
  })

  test('gives up with 408 and frees the thread', async () => {
    const env = { NUMBER_FACT_TIMEOUT_MS: '2000', NUMBER_FACT_THREADS: '1' }
    await using service = await startService('number-fact', env)
    expect(await ask(service, factorsPath(ENDLESS))).toMatchObject({
      status: 408,
      body: 'Request timed out',
    })
    await expectGolden(service, SHORT_WORK)
  })

  test('frees the thread of a client that hangs up, for the one who waits', async () => {
    const env = { NUMBER_FACT_THREADS: '1', NUMBER_FACT_QUEUE_MAX: '1' }
    await using service = await startService('number-fact', env)
    const endless = await hold(service, factorsPath(ENDLESS))
    const waiting = await hold(service, factorsPath(SHORT_WORK))
    endless.sent.destroy()
    expect((await waiting.answer).status).toBe(200)
  })

  test('answers 503 with Retry-After while the queue is full, and small numbers all the same', async () => {
    const env = { NUMBER_FACT_THREADS: '1', NUMBER_FACT_QUEUE_MAX: '1' }
    await using service = await startService('number-fact', env)
    await hold(service, factorsPath(ENDLESS))
    await hold(service, factorsPath(ENDLESS))
    const refused = await ask(service, factorsPath(SHORT_WORK))
    expect(refused).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
    await expectGolden(service, '12345')
  })

  test('finishes the request it has when it is told to stop', async () => {
    await using service = await startService('number-fact')
    const { answer } = await hold(service, factorsPath(HARD[9] as string))
    const stopping = service.line(/stops: SIGTERM, 1 in flight/)
    const ended = service.stop('SIGTERM')
    await stopping
    await expect(ask(service, '/hello')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect(await answer).toMatchObject({ status: 200, headers: { connection: 'close' } })
    expect(await ended).toBe(0)
  })

  test('does not start with a setting out of range', async () => {
    for (const name of ['NUMBER_FACT_TIMEOUT_MS', 'NUMBER_FACT_THREADS']) {
      await expect(startService('number-fact', { [name]: '0' })).rejects.toThrow('ended without')
    }
  })
})
