// The end of a daemon's door: what is under way may finish, and nobody can hold it open.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { PassThrough, type Readable } from 'node:stream'
import { expect, onTestFinished, test } from 'vitest'
import { closeDoor, createDoor, type DoorLimits } from '#shared/http-door.io.ts'
import { type Route, route } from '#shared/http-route.ts'

const quiet = () => {}
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet }

async function openDoor(routes: Route[] = [], limits: Partial<DoorLimits> = {}) {
  const tokens = { admin: 'a token' }
  const app = createDoor({ routes, tokens, log, limits, isStarted: () => true })
  await app.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(() => closeDoor(app, 1))
  const { port } = app.server.address() as AddressInfo
  return { app, port }
}

test('F36: a connection on which nothing was asked does not hold up the stop', async () => {
  const { app, port } = await openDoor()
  const accepted = once(app.server, 'connection')
  const client = connect(port, '127.0.0.1').resume()
  await accepted
  const gone = once(client, 'close')
  await closeDoor(app, 10)
  await gone
})

test('an answer that may be quiet for long outlives the limit for idle connections', async () => {
  const streamed = (path: string, stream: Readable, isEndless: boolean) =>
    route({
      method: 'GET',
      path,
      summary: 'Goes on',
      access: 'anyone',
      isEndless,
      answers: { 200: { description: 'Lines', type: 'text/plain' } },
      handle: () => ({ status: 200, headers: { 'content-type': 'text/plain' }, stream }),
    })
  const [quiet, idle] = [new PassThrough(), new PassThrough()]
  const routes = [streamed('/quiet', quiet, true), streamed('/idle', idle, false)]
  const { port } = await openDoor(routes, { idleMs: 100 })
  const read = async (path: string, stream: PassThrough) => {
    stream.write('first\n')
    const { body } = await fetch(`http://127.0.0.1:${port}${path}`)
    return body?.pipeThrough(new TextDecoderStream()).getReader()
  }
  const follower = await read('/quiet', quiet)
  expect((await follower?.read())?.value).toBe('first\n')
  const other = await read('/idle', idle)
  expect((await other?.read())?.value).toBe('first\n')
  await expect(other?.read()).rejects.toThrow('terminated')
  quiet.end('second\n')
  expect((await follower?.read())?.value).toBe('second\n')
})

test('F36: a request under way is answered before the door is closed', async () => {
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>()
  const { promise: answer, resolve } = Promise.withResolvers<{ status: number; body: string }>()
  const slow = route({
    method: 'GET',
    path: '/slow',
    summary: 'Answers when the test wants it to',
    access: 'anyone',
    answers: { 200: { description: 'It is done' } },
    handle() {
      ask()
      return answer
    },
  })
  const { app, port } = await openDoor([slow])
  const answered = fetch(`http://127.0.0.1:${port}/slow`)
  await asked
  const closed = closeDoor(app, 60_000)
  resolve({ status: 200, body: 'done' })
  expect((await answered).status).toBe(200)
  await closed
})
