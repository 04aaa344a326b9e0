// What flows: images up and down, and the history as server-sent events.

import { createHash } from 'node:crypto'
import { request } from 'node:http'
import { afterEach, expect, test } from 'vitest'
import { HEARTBEAT_MS, STALL_MS, STREAMS_MAX } from '#ctld/api/event-stream.ts'
import { createFakeCtld, DIGEST } from '#test/fakes/ctld.ts'
import { ADMIN_TOKEN, AGENT_TOKEN, createTestApi, type TestApi } from '#test/helpers/api.ts'

const gzip = { 'content-type': 'application/gzip' }
const bytes = Buffer.from('a packed program')
const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
const open: TestApi[] = []
afterEach(async () => {
  for (const { app } of open.splice(0)) await app.close()
})

test('an image is stored under its digest and read back by admin and agent', async () => {
  const { ask } = createTestApi()
  const stored = await ask('POST', '/v1/images', { body: bytes, headers: gzip })
  expect([stored.statusCode, stored.json()]).toEqual([201, { digest, bytes: bytes.length }])
  expect(stored.headers.location).toBe(`/v1/images/${digest}`)
  for (const token of [ADMIN_TOKEN, AGENT_TOKEN]) {
    const answer = await ask('GET', `/v1/images/${digest}`, { token })
    expect(answer.rawPayload).toEqual(bytes)
    expect(answer.headers).toMatchObject({ 'content-length': '16', etag: `"${digest}"` })
  }
  const { images } = (await ask('GET', '/v1/images')).json()
  expect(images.map((one: { digest: string }) => one.digest)).toEqual([DIGEST, digest])
})

test('HEAD says the size of an image and has no body', async () => {
  const base = await listening(createTestApi())
  const answer = await fetch(`${base}/v1/images/${DIGEST}`, { method: 'HEAD', headers: admin })
  expect([answer.status, answer.headers.get('content-length')]).toEqual([200, '6'])
  expect(await answer.text()).toBe('')
  const missing = DIGEST.replaceAll('a', 'c').replace('shc', 'sha')
  const none = await fetch(`${base}/v1/images/${missing}`, { method: 'HEAD', headers: admin })
  expect(none.status).toBe(404)
})

test('an upload that is not what it says it is, is refused', async () => {
  const { ask } = createTestApi()
  const put = (headers: Record<string, string>, query = '') =>
    ask('POST', `/v1/images${query}`, { body: bytes, headers: { ...gzip, ...headers } })
  expect((await put({ 'x-tucano-digest': digest })).statusCode).toBe(201)
  expect((await put({}, `?digest=${digest}`)).statusCode).toBe(201)
  expect((await put({ 'x-tucano-digest': DIGEST })).statusCode).toBe(409)
  expect((await put({ 'x-tucano-digest': 'md5:1' })).statusCode).toBe(400)
  expect((await put({ 'x-tucano-digest': digest }, `?digest=${DIGEST}`)).statusCode).toBe(400)
  expect((await ask('POST', '/v1/images')).statusCode).toBe(400)
})

test('an upload that is too large is 413, whether it says so or not', async () => {
  const { ask, images } = createTestApi()
  const claimed = { ...gzip, 'content-length': String(257 * 1024 * 1024) }
  const said = await ask('POST', '/v1/images', { body: bytes, headers: claimed })
  expect(said.statusCode).toBe(413)

  const base = await listening(createTestApi({ images, limits: { archiveBytesMax: 1_000 } }))
  const status = await upload(`${base}/v1/images`, 2_000)
  expect(status).toBe(413)
  expect([...images.files.keys()]).toEqual([DIGEST])
})

test('an upload that breaks off stores nothing', async () => {
  const api = createTestApi()
  const base = await listening(api)
  const headers = { ...admin, ...gzip, 'content-length': '1000' }
  const asked = request(`${base}/v1/images`, { method: 'POST', headers }).on('error', () => {})
  const refused = Promise.withResolvers<unknown>()
  const { put } = api.images
  api.images.put = (upload, expected) => {
    const stored = put(upload, expected)
    stored.catch(refused.resolve)
    asked.destroy()
    return stored
  }
  asked.write(Buffer.alloc(500))
  expect(await refused.promise).toMatchObject({ code: 'invalid_request' })
  expect([...api.images.files.keys()]).toEqual([DIGEST])
})

test('a stream of events goes on from Last-Event-ID and stays alive', async () => {
  const api = createTestApi()
  for (const text of ['one', 'two']) api.ctld.addEvent(text)
  const until = await streaming(api, { 'last-event-id': '1' })
  expect(await until('\n\nid: 2\ndata: {"cursor":2')).not.toContain('"one"')
  await waiting(api)
  api.ctld.addEvent('three')
  expect(await until('"three"')).toMatch(/^id: 3\ndata: \{.*"text":"three".*\}\n\n$/)
  await waiting(api)
  api.clock.advance(HEARTBEAT_MS)
  expect(await until('here')).toBe(': still here\n\n')
})

test('a stream ends when the controller stops', async () => {
  const api = createTestApi()
  const until = await streaming(api, {})
  await until('retry')
  await waiting(api)
  await api.app.close()
  expect(await until('more')).toBe('')
})

test('a reader that takes nothing is closed, and holds nothing in memory', async () => {
  const api = createTestApi({ ctld: createFakeCtld({ lastEventCursor: 0 }) })
  const big = 'x'.repeat(100_000)
  for (let count = 0; count < 500; count++) api.ctld.addEvent(big)
  const base = await listening(api)
  const closed = Promise.withResolvers<void>()
  api.app.server.once('connection', (socket) => socket.once('close', () => closed.resolve()))
  const headers = { ...admin, accept: 'text/event-stream' }
  const asked = request(`${base}/v1/events`, { headers }, (response) => {
    response.pause().on('error', () => {})
  })
  asked.on('error', () => {}).end()
  await stalled(api)
  api.clock.advance(STALL_MS)
  await closed.promise
  expect(api.clock.timers()).toBe(0)
  asked.destroy()
})

test('there is a limit to the number of streams', async () => {
  const api = createTestApi()
  for (let count = 0; count < STREAMS_MAX; count++) await streaming(api, {})
  const answer = await api.ask('GET', '/v1/events', { headers: { accept: 'text/event-stream' } })
  expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '1'])
})

test('a cursor that is none is refused', async () => {
  const { ask } = createTestApi()
  const headers = { accept: 'text/event-stream', 'last-event-id': '1; drop' }
  expect((await ask('GET', '/v1/events', { headers })).statusCode).toBe(400)
})

const admin = { authorization: `Bearer ${ADMIN_TOKEN}` }
const turn = () => new Promise(setImmediate)

async function listening(api: TestApi): Promise<string> {
  open.push(api)
  const { server } = api.app
  if (!server.listening) await api.app.listen({ host: '127.0.0.1', port: 0 })
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`
}

/** Opens a stream of events; each call reads on until the words have come, or the end. */
async function streaming(
  api: TestApi,
  headers: Record<string, string>,
): Promise<(words: string) => Promise<string>> {
  const base = await listening(api)
  const answer = await fetch(`${base}/v1/events`, {
    headers: { ...admin, accept: 'text/event-stream', ...headers },
  })
  expect(answer.headers.get('content-type')).toBe('text/event-stream')
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader()
  return async (words) => {
    let text = ''
    while (!text.includes(words) || !text.endsWith('\n\n')) {
      const part = await reader?.read()
      if (part?.value === undefined) return text
      text += part.value
    }
    return text
  }
}

async function waiting({ ctld }: TestApi): Promise<void> {
  while (ctld.listeners() === 0) await turn()
}

/** Until the sockets are full: no event is fetched any more, and a chunk waits to be taken. */
async function stalled({ ctld, clock }: TestApi): Promise<void> {
  let fetched = 0
  const { events } = ctld
  ctld.events = (after, limit) => {
    fetched += 1
    return events(after, limit)
  }
  for (let quiet = 0, before = -1; quiet < 100 || clock.timers() === 0; quiet++) {
    if (fetched !== before) quiet = 0
    before = fetched
    await turn()
  }
}

/** The status of an upload of so many bytes that does not say how many. */
function upload(url: string, count: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method: 'POST', headers: { ...admin, ...gzip } }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    asked.once('error', reject)
    asked.write(Buffer.alloc(count / 2))
    asked.end(Buffer.alloc(count / 2))
  })
}
