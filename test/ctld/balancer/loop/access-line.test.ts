import { expect, test } from 'vitest'
import {
  type Access,
  accessLine,
  createStamp,
  PATH_LENGTH_MAX,
} from '#ctld/balancer/data-plane/loop/access-line.ts'
import { forEachSeed } from '#test/helpers/seeds.ts'

const ordinary: Access = {
  at: '2026-11-21T12:00:00.123Z',
  client: '192.0.2.7',
  service: 'shop',
  instance: 'shop-1',
  method: 'GET',
  host: 'shop.example.com',
  path: '/cart/7',
  status: 200,
  bytesIn: 0,
  bytesOut: 1_234,
  queueUs: 0,
  connectUs: 0,
  firstByteUs: 1_250,
  totalUs: 2_001,
  retries: 0,
  isReused: true,
  endedBy: '',
  phase: '',
  requestId: '0190b6a0-1',
  error: '',
}

const read = (change: Partial<Access>) => JSON.parse(accessLine({ ...ordinary, ...change }))

test('a line says what was asked, who answered and how long it took', () => {
  expect(accessLine(ordinary)).toBe(
    '{"at":"2026-11-21T12:00:00.123Z","client":"192.0.2.7","service":"shop","instance":"shop-1",' +
      '"method":"GET","host":"shop.example.com","path":"/cart/7","status":200,"bytes_in":0,' +
      '"bytes_out":1234,"queue_ms":0,"connect_ms":0,"first_byte_ms":1.25,"total_ms":2.001,' +
      '"retries":0,"reused":true,"ended_by":"","phase":"","request_id":"0190b6a0-1"}\n',
  )
})

test('a line says who ended a request, where, and why', () => {
  const change = { endedBy: 'instance', phase: 'body', retries: 2, error: 'ECONNRESET' } as const
  expect(read({ ...change, isReused: false })).toMatchObject({
    ended_by: 'instance',
    phase: 'body',
    retries: 2,
    reused: false,
    error: 'ECONNRESET',
  })
})

test('the query of a path is never written: it may be a secret', () => {
  expect(read({ path: '/reset?token=secret' }).path).toBe('/reset')
  expect(accessLine({ ...ordinary, path: `/${'a'.repeat(3_000)}?secret` })).not.toContain('secret')
})

test('a long path is cut', () => {
  expect(read({ path: `/${'a'.repeat(3_000)}` }).path).toBe(`/${'a'.repeat(PATH_LENGTH_MAX - 1)}`)
})

test('no text of a client can break out of its place', () => {
  for (const name of [
    'client',
    'service',
    'instance',
    'method',
    'host',
    'path',
    'error',
  ] as const) {
    const hostile = 'a"},\\"b\n\r\t\0\x7fé\u2028\ud800'
    const line = accessLine({ ...ordinary, [name]: hostile })
    expect(line.indexOf('\n')).toBe(line.length - 1)
    expect(line).toMatch(/^[ -~]*\n$/)
    expect(JSON.parse(line)).toEqual({
      ...read({ error: name === 'error' ? 'x' : '' }),
      [name]: hostile,
    })
    expect(JSON.parse(accessLine(ordinary))).toEqual(read({}))
  }
})

test('what is remembered of one request is not told of another', () => {
  expect(read({}).host).toBe('shop.example.com')
  expect(read({ host: 'other', method: 'POST' })).toMatchObject({ host: 'other', method: 'POST' })
  expect(read({ service: 'b' })).toMatchObject({ service: 'b', host: 'shop.example.com' })
  for (let count = 0; count < 3_000; count += 1) {
    expect(read({ instance: `i${count}` }).instance).toBe(`i${count}`)
  }
})

test(
  'numbers are what they were',
  forEachSeed(2_000, (random) => {
    const us = random.int(0, 10 ** random.int(1, 10))
    const status = random.int(0, 999)
    const line = read({ totalUs: us, queueUs: us, connectUs: us, bytesIn: us, status })
    expect(line).toMatchObject({ total_ms: us / 1_000, queue_ms: us / 1_000, bytes_in: us, status })
    expect(line.connect_ms).toBe(us / 1_000)
  }),
)

test('a time is ISO 8601', () => {
  const stamp = createStamp()
  const start = Date.UTC(2026, 10, 21, 23, 59, 58, 990)
  for (const later of [0, 0.4, 1, 9.99, 10, 11, 1_010, 2_000, 86_400_000, 5]) {
    expect(stamp(start + later)).toBe(new Date(Math.floor(start + later)).toISOString())
  }
})
