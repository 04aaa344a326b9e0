// The client against servers that behave badly.

import { writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createClient } from '#cli/client.io.ts'
import { Interrupted } from '#cli/command.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

const REQUEST_MS = 50

async function clientOf(
  handle: RequestListener,
  signal = new AbortController().signal,
  requestMs = REQUEST_MS,
) {
  const server = createServer(handle)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return createClient({ url, token: 'a-token-that-is-long', signal, requestMs })
}

test('an answer that does not come ends with the time', async () => {
  const client = await clientOf(() => {})
  await expect(client.get('/v1/nodes')).rejects.toMatchObject({
    code: 'timeout',
    message: expect.stringContaining('did not answer in 0.05 s'),
  })
})

test('an answer that begins and does not end, too', async () => {
  const client = await clientOf((_request, response) => void response.writeHead(200).write('{'))
  await expect(client.get('/v1/nodes')).rejects.toMatchObject({ code: 'timeout' })
})

test('an answer that breaks off is a failure in words', async () => {
  const breakOff: RequestListener = (_request, response) => {
    response.writeHead(200, { 'content-length': '100' }).write('{')
    setImmediate(() => response.destroy())
  }
  // Far beyond what it takes: it is the break that has to be seen, and not the time.
  const client = await clientOf(breakOff, undefined, 20_000)
  await expect(client.get('/v1/nodes')).rejects.toMatchObject({ code: 'unavailable' })
})

test('the end of the command ends its requests; a later one is not sent', async () => {
  const ending = new AbortController()
  const client = await clientOf(() => ending.abort(), ending.signal)
  await expect(client.get('/v1/nodes')).rejects.toBeInstanceOf(Interrupted)
  await expect(client.get('/v1/nodes')).rejects.toBeInstanceOf(Interrupted)
})

test('an upload that is refused while it is sent: the refusal is told', async () => {
  const file = join(temporaryFolder(), 'image.tar.gz')
  writeFileSync(file, Buffer.alloc(4 * 1024 * 1024))
  const client = await clientOf((request, response) => {
    request.once('data', () => response.writeHead(413, { connection: 'close' }).end('{}'))
  })
  const sent = client.upload('/v1/images', file, () => {})
  const failure = await sent.catch((error: { code: string }) => error)
  // Which comes first, the answer or the broken pipe, is up to the network.
  expect(failure).toMatchObject({ code: expect.stringMatching(/^(too_large|unavailable)$/) })
})

test('an upload tells how far it is', async () => {
  const file = join(temporaryFolder(), 'image.tar.gz')
  writeFileSync(file, Buffer.alloc(300_000))
  const client = await clientOf((request, response) => {
    request.resume().once('end', () => response.writeHead(201).end('{"digest":"d"}'))
  })
  const seen: number[] = []
  const answer = await client.upload('/v1/images', file, (sent, all) => seen.push(sent / all))
  expect(answer).toEqual({ digest: 'd' })
  expect(seen.at(-1)).toBe(1)
})
